//! The talk with one BIRD, as a machine: what it said and what was written go in, commands and files come out. Pure.
//!
//! One command at a time is under way; what is sent next is, in this order:
//!
//! | what | why it comes here |
//! |---|---|
//! | `disable NAME` for each prefix that must go | a withdrawal waits for no file and no look |
//! | the next step of a load | |
//! | `enable NAME` where the file says yes and somebody said no | |
//! | the next question of a look | |
//!
//! It is the same after the greeting of a new connection: whether what must go was there is seen by the look that follows.
//! So a withdrawal waits for what is under way, and for nothing else:
//!
//! | under way | a withdrawal waits for |
//! |---|---|
//! | nothing, or a file is being written | nothing |
//! | a question: `configure check`, `show` | its answer, [`PATIENCE`] at most; then another connection is made at once, unless BIRD has refused this withdrawal before |
//! | a change: any other command | its answer, [`COMMAND_BOUND`] at most; then the connection is lost |
//! | a new connection | its greeting, [`COMMAND_BOUND`] at most; then the connection is lost |
//! | no connection | the next attempt, [`LONGEST_PAUSE`] at most; at the stop, nothing |
//!
//! A change is waited for, because BIRD could carry out a `disable` from another connection before it, and the change
//! would open again what was closed. Another connection helps where the first one is what hangs. It is heard no sooner
//! where BIRD is busy: it does one thing at a time, and hears no client while it reads a configuration or changes to it,
//! however long that takes. What a load or an undo opens counts as open from its command on, so that a withdrawal meanwhile
//! is sent right behind it; what somebody else opens, or an undo of BIRD's own, is seen by the next look, and closed.
//!
//! A load brings the file and BIRD's configuration to the levels in force:
//!
//! | step | goes on when | else |
//! |---|---|---|
//! | write the file | it is on the disk | failed; the old file is still there |
//! | `configure check` | 0020 | the old file is restored; failed |
//! | `configure [soft] [timeout N]` | 0003, or 0004 and 0005 for later | the old file is restored; failed |
//! | look until BIRD shows what the file says | it does, within half of N | `configure undo`, the old file, failed |
//! | `configure confirm` | 0018 | the old file is restored; failed |
//!
//! A load that fails is tried again after a pause that doubles. Meanwhile withdrawals are carried out by `disable`, and
//! the file that is restored has them `disabled` as well. A load that would open what must go by now is dropped before
//! BIRD is told. Whatever breaks the connection, restores the file, and so does each change of a level while there is none: a
//! BIRD that comes back begins with what it has taken last, less what must be gone by now. With an undo timeout BIRD undoes
//! what was not confirmed.
//!
//! What BIRD shows is looked at each second. A protocol that somebody has enabled or disabled, attributes that are not
//! those of the level, and a BIRD that has restarted are seen so, and mended.
//!
//! Longer than a file should be: withdrawals, loads and looks share one connection, and what each waits for of the others is read
//! in one place. What people are told of it stands in `view`.

use std::collections::VecDeque;
use std::time::Duration;

use pharos_policy::{Level, Prefix};

use super::include::{self, Settings, Shown, Sight};
use super::reply::{Code, Reply};
use crate::announcer::reconcile::{self, Reconciler, Seen, Standing, Urgency};
use crate::config::Reload;

/// BIRD answers within milliseconds; a check of a large configuration takes seconds. Longer, and it hangs.
const COMMAND_BOUND: Duration = Duration::from_secs(10);
/// How long the answer to a question may keep a withdrawal waiting. BIRD gives it within milliseconds; without patience a
/// withdrawal in the middle of a look, which is common, would cost the connection and the load under way. With much more, a
/// BIRD that owes an answer for good would keep the route as long.
const PATIENCE: Duration = Duration::from_millis(100);
/// The longest pause between two attempts to connect: a withdrawal may be waiting, and an attempt costs nothing.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Between two looks while a load settles.
const SETTLING_LOOK: Duration = Duration::from_millis(100);
/// What BIRD refused last, for people.
const MOST_SAID: usize = 5;

/// What a BIRD is told to hold to.
#[derive(Clone, Debug)]
pub(super) struct Times {
    /// The first pause after something failed.
    pub(super) pause: Duration,
    /// How long BIRD waits for a confirmation before it undoes a load; `None` without.
    pub(super) undo: Option<Duration>,
    pub(super) reload: Reload,
    /// From one look to the next.
    pub(super) look: Duration,
}

/// What can happen.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Connected,
    /// The connection, or the attempt at one, is over, for this reason.
    Lost(String),
    Said(Reply),
    Written {
        id: u64,
        result: Result<(), String>,
    },
    Want(Vec<Level>),
    /// Everything shall be withdrawn, and nothing else will be wanted: whether there is a BIRD is asked once more.
    Stop,
    Tick,
}

/// What shall be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Output {
    Connect,
    Disconnect,
    /// A command, with its newline.
    Send(String),
    /// The file shall hold this; orders are carried out one after the other.
    Write {
        id: u64,
        text: String,
    },
}

/// Whether a prefix's protocol is enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Open,
    Closed,
}

/// The command that BIRD has not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Greeting,
    Close(usize),
    Open(usize),
    Check,
    Load,
    Confirm,
    Undo,
    Protocols,
    Route(usize),
}

impl Command {
    /// Whether it changes nothing at BIRD, so that nobody needs to wait for its end.
    const fn is_question(self) -> bool {
        match self {
            Self::Check | Self::Protocols | Self::Route(_) => true,
            Self::Greeting | Self::Close(_) | Self::Open(_) | Self::Load | Self::Confirm | Self::Undo => {
                false
            }
        }
    }
}

/// Where a load is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stage {
    Idle,
    Writing(Vec<Level>),
    Checking(Vec<Level>),
    Loading(Vec<Level>),
    Settling { levels: Vec<Level>, until: Duration },
    Confirming(Vec<Level>),
    Undoing(String),
    Restoring(String),
}

struct Kept {
    prefix: Prefix,
    name: String,
    level: Level,
}

enum Link {
    Down { not_before: Duration },
    Connecting,
    Up(Box<Up>),
}

/// What is known while there is a connection.
struct Up {
    command: Option<(Command, Duration)>,
    /// When its answer is waited for no longer, since a withdrawal waits.
    hurry: Option<Duration>,
    /// One for each prefix; `None` while nobody knows what the door should be.
    doors: Vec<Option<Reconciler<Door>>>,
    closing: VecDeque<usize>,
    opening: VecDeque<usize>,
    load: Reconciler<Vec<Level>>,
    stage: Stage,
    /// What BIRD has loaded from us.
    accepted: Option<Vec<Level>>,
    sights: Vec<Sight>,
    looked: Looked,
    /// What remains to be asked in this look; `None` between looks.
    questions: Option<VecDeque<Command>>,
    look_at: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    NotYet,
    Once,
}

/// The machine.
pub(super) struct Machine {
    settings: Settings,
    times: Times,
    kept: Vec<Kept>,
    names: Vec<String>,
    link: Link,
    /// Attempts in vain since there was a connection.
    failures: u32,
    problem: Option<String>,
    /// What the file held before this process, and the levels that BIRD has last taken from us.
    previous: Option<String>,
    last_good: Option<Vec<Level>>,
    writes: u64,
    /// Why the last order to write could not be carried out.
    unwritten: Option<String>,
    said: VecDeque<String>,
    out: Vec<Output>,
}

impl Machine {
    /// A machine that knows nothing yet; `previous` is what the file holds.
    pub(super) fn new(
        settings: Settings,
        times: Times,
        levels: &[(Prefix, Level)],
        previous: Option<String>,
    ) -> Self {
        let kept =
            |&(prefix, level): &(Prefix, Level)| Kept { prefix, name: include::protocol(prefix), level };
        let kept: Vec<_> = levels.iter().map(kept).collect();
        Self {
            names: kept.iter().map(|kept| kept.name.clone()).collect(),
            settings,
            times,
            kept,
            link: Link::Down { not_before: Duration::ZERO },
            failures: 0,
            problem: None,
            previous,
            last_good: None,
            writes: 0,
            unwritten: None,
            said: VecDeque::new(),
            out: Vec::new(),
        }
    }

    /// Takes what happened; gives what to do about it, in order.
    pub(super) fn step(&mut self, now: Duration, input: Input) -> Vec<Output> {
        match input {
            Input::Connected => self.connected(now),
            Input::Lost(why) => self.lost(now, why),
            Input::Said(reply) => self.heard(now, &reply),
            Input::Written { id, result } => self.written(now, id, result),
            Input::Want(levels) => self.take_levels(levels),
            Input::Stop => {
                self.take_levels(vec![Level::Withdrawn; self.kept.len()]);
                if let Link::Down { not_before } = &mut self.link {
                    *not_before = now;
                }
            }
            Input::Tick => {}
        }
        self.go_on(now);
        std::mem::take(&mut self.out)
    }

    /// When time alone may ask for something.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        match &self.link {
            Link::Down { not_before } => Some(*not_before),
            Link::Connecting => None,
            Link::Up(up) => {
                if let Some((_, until)) = up.command {
                    return Some(up.hurry.map_or(until, |hurry| hurry.min(until)));
                }
                let doors = up.doors.iter().flatten().filter_map(Reconciler::next_deadline);
                doors.chain(up.load.next_deadline()).chain([up.look_at]).min()
            }
        }
    }

    /// Whether nothing is under way and nothing is open to be done; also when there is nobody to tell.
    pub(super) fn is_at_rest(&self) -> bool {
        match &self.link {
            Link::Up(up) => {
                let closed = |sight: &Sight| matches!(sight, Sight::Missing | Sight::Closed);
                up.looked == Looked::Once
                    && up.sights.iter().all(closed)
                    && (up.stage == Stage::Idle && up.load.standing() == Standing::AsWanted
                        || up.load.failure().is_some())
            }
            Link::Down { .. } => self.problem.is_some(),
            Link::Connecting => false,
        }
    }

    fn connected(&mut self, now: Duration) {
        let levels = self.kept.iter().map(|kept| kept.level).collect();
        self.link = Link::Up(Box::new(Up {
            command: Some((Command::Greeting, now + COMMAND_BOUND)),
            hurry: None,
            doors: self.kept.iter().map(|_| None).collect(),
            closing: VecDeque::new(),
            opening: VecDeque::new(),
            load: Reconciler::new(levels, Urgency::Patient, self.times.pause),
            stage: Stage::Idle,
            accepted: None,
            sights: vec![Sight::Missing; self.kept.len()],
            looked: Looked::NotYet,
            questions: None,
            look_at: now,
        }));
    }

    fn take_levels(&mut self, levels: Vec<Level>) {
        let mut has_changed = false;
        for (kept, level) in self.kept.iter_mut().zip(levels) {
            has_changed |= kept.level != level;
            kept.level = level;
        }
        if has_changed && !self.is_heard() {
            self.restore();
        }
    }

    /// Whether BIRD listens: until its greeting, a connection is one to a backlog.
    fn is_heard(&self) -> bool {
        let Link::Up(up) = &self.link else { return false };
        up.command.is_none_or(|(command, _)| command != Command::Greeting)
    }

    fn lost(&mut self, now: Duration, why: String) {
        let pause = self.times.pause.saturating_mul(1 << self.failures.min(8)).min(LONGEST_PAUSE);
        self.link = Link::Down { not_before: now + pause };
        // After that, changed levels alone change the file.
        if self.failures == 0 || self.unwritten.is_some() {
            self.restore();
        }
        self.failures = self.failures.saturating_add(1);
        self.problem = Some(match &self.unwritten {
            Some(also) => format!("{why}; and the file that it would begin with cannot be written: {also}"),
            None => why,
        });
    }

    /// Gives the connection up.
    fn hang_up(&mut self, now: Duration, why: String) {
        self.out.push(Output::Disconnect);
        self.lost(now, why);
    }

    /// Leaves a question unanswered for the withdrawals that wait: the next connection begins with them.
    fn connect_anew(&mut self) {
        self.out.push(Output::Disconnect);
        self.link = Link::Connecting;
        self.restore();
        self.out.push(Output::Connect);
    }

    /// Does whatever can be done now.
    fn go_on(&mut self, now: Duration) {
        match &mut self.link {
            Link::Down { not_before } if *not_before <= now => {
                self.link = Link::Connecting;
                self.out.push(Output::Connect);
            }
            Link::Down { .. } | Link::Connecting => {}
            Link::Up(up) => {
                if up.hurry.is_some_and(|hurry| hurry <= now) {
                    return self.connect_anew();
                }
                if let Some((command, until)) = up.command
                    && until <= now
                {
                    let why =
                        format!("no answer to `{}` within {COMMAND_BOUND:?}", self.words(command).trim());
                    return self.hang_up(now, why);
                }
                self.want(now);
                self.send_next(now);
            }
        }
    }

    /// Holds every part against what is wanted.
    fn want(&mut self, now: Duration) {
        let Link::Up(up) = &mut self.link else { return };
        for (at, kept) in self.kept.iter().enumerate() {
            let allowed =
                up.accepted.as_ref().and_then(|levels| levels.get(at)).is_some_and(|it| it.is_announced());
            let wanted = match (kept.level.is_announced(), allowed) {
                (false, _) => Some((Door::Closed, Urgency::Urgent)),
                (true, true) => Some((Door::Open, Urgency::Patient)),
                (true, false) => None,
            };
            let Some((door, urgency)) = wanted else {
                // The load under way opens it: who held it closed until now would close it again.
                if let Some(slot) = up.doors.get_mut(at) {
                    *slot = None;
                }
                up.closing.retain(|&waiting| waiting != at);
                up.opening.retain(|&waiting| waiting != at);
                continue;
            };
            if let Some(slot) = up.doors.get_mut(at)
                && slot.is_none()
            {
                *slot = Some(Reconciler::new(door, urgency, self.times.pause));
                // What BIRD shows already needs no command. What nobody has looked at may be open.
                if up.looked == Looked::Once {
                    let seen = seen(up.sights.get(at));
                    step_door(up, now, at, reconcile::Input::Saw(seen));
                }
            }
            step_door(up, now, at, reconcile::Input::Want(door, urgency));
        }
        if up.looked == Looked::NotYet {
            return;
        }
        let levels = self.kept.iter().map(|kept| kept.level).collect();
        self.step_load(now, reconcile::Input::Want(levels, Urgency::Patient));
    }

    fn step_load(&mut self, now: Duration, input: reconcile::Input<Vec<Level>>) {
        let Link::Up(up) = &mut self.link else { return };
        if let Some(reconcile::Output::Act(levels)) = up.load.step(now, input) {
            let whole: Vec<_> =
                self.kept.iter().map(|kept| kept.prefix).zip(levels.iter().copied()).collect();
            up.stage = Stage::Writing(levels);
            let text = include::render(&self.settings, &whole);
            self.write(text);
        }
    }

    fn write(&mut self, text: String) {
        self.writes += 1;
        self.out.push(Output::Write { id: self.writes, text });
    }

    /// Puts a file back that BIRD has taken, with everything disabled that must be gone by now.
    fn restore(&mut self) {
        let text = match (&self.last_good, &self.previous) {
            (Some(levels), _) => {
                let level = |(kept, level): (&Kept, &Level)| match kept.level.is_announced() {
                    true => (kept.prefix, *level),
                    false => (kept.prefix, kept.level),
                };
                let whole: Vec<_> = self.kept.iter().zip(levels).map(level).collect();
                include::render(&self.settings, &whole)
            }
            // It is of a process that is gone: nobody knows how to disable single prefixes in it.
            (None, Some(previous)) if self.kept.iter().all(|kept| kept.level.is_announced()) => {
                previous.clone()
            }
            (None, _) => include::EMPTY.to_owned(),
        };
        self.write(text);
    }

    fn written(&mut self, now: Duration, id: u64, result: Result<(), String>) {
        if id != self.writes {
            return;
        }
        self.unwritten = result.as_ref().err().cloned();
        let Link::Up(up) = &mut self.link else { return };
        match (std::mem::replace(&mut up.stage, Stage::Idle), result) {
            (Stage::Writing(levels), Ok(())) => up.stage = Stage::Checking(levels),
            (Stage::Writing(_), Err(why)) => self.failed(now, why),
            (Stage::Restoring(why), Ok(())) => self.failed(now, why),
            (Stage::Restoring(why), Err(also)) => {
                self.failed(now, format!("{why}; restoring the file: {also}"));
            }
            (stage, _) => up.stage = stage,
        }
    }

    fn failed(&mut self, now: Duration, why: String) {
        self.step_load(now, reconcile::Input::Failed(why));
    }

    fn send_next(&mut self, now: Duration) {
        let overtaken = self.is_overtaken();
        let Link::Up(up) = &mut self.link else { return };
        if let Some((command, _)) = up.command {
            let hurries = command.is_question() && up.closing.iter().any(|&at| is_untried(up, at));
            up.hurry = hurries.then(|| up.hurry.unwrap_or(now + PATIENCE));
            return;
        }
        if let (Stage::Checking(_) | Stage::Loading(_), true) = (&up.stage, overtaken) {
            // BIRD has checked it at most; the next load writes over it. Loaded, it would enable what was just disabled.
            up.stage = Stage::Idle;
            self.failed(now, "overtaken by a withdrawal".to_owned());
            return self.send_next(now);
        }
        let Link::Up(up) = &mut self.link else { return };
        let step = match &up.stage {
            Stage::Checking(_) => Some(Command::Check),
            Stage::Loading(_) => Some(Command::Load),
            Stage::Confirming(_) => Some(Command::Confirm),
            Stage::Undoing(_) => Some(Command::Undo),
            Stage::Idle | Stage::Writing(_) | Stage::Settling { .. } | Stage::Restoring(_) => None,
        };
        if up.questions.is_none() && up.look_at <= now {
            up.questions = Some(VecDeque::from([Command::Protocols]));
        }
        let next = (up.closing.pop_front().map(Command::Close))
            .or(step)
            .or_else(|| up.opening.pop_front().map(Command::Open))
            .or_else(|| up.questions.as_mut().and_then(VecDeque::pop_front));
        let Some(command) = next else { return };
        up.command = Some((command, now + COMMAND_BOUND));
        let levels = match (command, &up.stage) {
            (Command::Load, Stage::Loading(levels)) => Some(levels.clone()),
            (Command::Undo, _) => self.last_good.clone(),
            _ => None,
        };
        if let Some(levels) = levels {
            may_open(up, now, &levels);
        }
        let words = self.words(command);
        self.out.push(Output::Send(words));
    }

    /// Whether the load under way would open what must be gone by now.
    fn is_overtaken(&self) -> bool {
        let Link::Up(up) = &self.link else { return false };
        let (Stage::Writing(levels) | Stage::Checking(levels) | Stage::Loading(levels)) = &up.stage else {
            return false;
        };
        let mut pairs = self.kept.iter().zip(levels);
        pairs.any(|(kept, level)| level.is_announced() && !kept.level.is_announced())
    }

    fn words(&self, command: Command) -> String {
        let name = |at: usize| self.names.get(at).map_or("", String::as_str);
        let soft = match self.times.reload {
            Reload::Full => "",
            Reload::Soft => " soft",
        };
        match command {
            Command::Greeting => "the greeting".to_owned(),
            Command::Close(at) => format!("disable {}\n", name(at)),
            Command::Open(at) => format!("enable {}\n", name(at)),
            Command::Check => "configure check\n".to_owned(),
            Command::Load => match self.times.undo {
                Some(undo) => format!("configure{soft} timeout {}\n", undo.as_secs().max(1)),
                None => format!("configure{soft}\n"),
            },
            Command::Confirm => "configure confirm\n".to_owned(),
            Command::Undo => "configure undo\n".to_owned(),
            Command::Protocols => "show protocols \"pharos_*\"\n".to_owned(),
            Command::Route(at) => match self.kept.get(at) {
                Some(kept) => format!("show route {} all protocol {}\n", kept.prefix, kept.name),
                None => String::new(),
            },
        }
    }

    fn heard(&mut self, now: Duration, reply: &Reply) {
        let Link::Up(up) = &mut self.link else { return };
        up.hurry = None;
        let Some((command, _)) = up.command.take() else {
            return self.hang_up(now, format!("an answer to nothing: {reply}"));
        };
        // A name that BIRD does not know has no route either.
        let is_unknown = matches!(command, Command::Close(_)) && reply.code == Code::SYNTAX;
        let is_look = matches!(command, Command::Protocols | Command::Route(_));
        if reply.code.is_refusal() && !is_look && !is_unknown {
            self.said.truncate(MOST_SAID - 1);
            self.said.push_front(format!("{reply}"));
        }
        let Link::Up(up) = &mut self.link else { return };
        match command {
            Command::Greeting if reply.code == Code::READY => {
                self.failures = 0;
                self.problem = None;
            }
            Command::Greeting => self.hang_up(now, format!("an unexpected greeting: {reply}")),
            Command::Close(at) => {
                let gone = reply.has(Code::DISABLED) || reply.has(Code::ALREADY_DISABLED) || is_unknown;
                if let (true, Some(sight)) = (gone, up.sights.get_mut(at)) {
                    *sight = Sight::Closed;
                }
                let input =
                    if gone { reconcile::Input::Done } else { reconcile::Input::Failed(reply.to_string()) };
                up.look_at = now;
                step_door(up, now, at, input);
            }
            Command::Open(at) => {
                let open = reply.has(Code::ENABLED) || reply.has(Code::ALREADY_ENABLED);
                let input =
                    if open { reconcile::Input::Done } else { reconcile::Input::Failed(reply.to_string()) };
                up.look_at = now;
                step_door(up, now, at, input);
            }
            Command::Check | Command::Load | Command::Confirm | Command::Undo => self.load_heard(now, reply),
            Command::Protocols => {
                let mut sights = include::protocols(reply, &self.names);
                let up_again = sights.iter().enumerate().filter(|(_, sight)| **sight == Sight::Idle);
                up.questions = Some(up_again.map(|(at, _)| Command::Route(at)).collect());
                // Until they are asked for, the routes are those that were seen last.
                for (new, old) in sights.iter_mut().zip(&up.sights) {
                    if let (Sight::Idle, Sight::Route(_)) = (&new, old) {
                        new.clone_from(old);
                    }
                }
                up.sights = sights;
                self.looked_if_over(now);
            }
            Command::Route(at) => {
                let shown = self.names.get(at).and_then(|name| include::route(reply, name));
                if let Some(sight) = up.sights.get_mut(at) {
                    *sight = shown.map_or(Sight::Idle, Sight::Route);
                }
                self.looked_if_over(now);
            }
        }
    }

    fn load_heard(&mut self, now: Duration, reply: &Reply) {
        let undo = self.times.undo;
        let Link::Up(up) = &mut self.link else { return };
        let loaded = [Code::RECONFIGURED, Code::IN_PROGRESS, Code::QUEUED].contains(&reply.code);
        if !matches!(up.stage, Stage::Checking(_)) {
            // Whatever became of it: what was seen before is of the past.
            (up.look_at, up.questions) = (now, None);
        }
        up.stage = match std::mem::replace(&mut up.stage, Stage::Idle) {
            Stage::Checking(levels) if reply.code == Code::CHECKED => Stage::Loading(levels),
            Stage::Loading(levels) if loaded => match undo {
                Some(undo) => Stage::Settling { levels, until: now + undo / 2 },
                None => return self.loaded(now, levels),
            },
            Stage::Confirming(levels) if reply.code == Code::CONFIRMED => return self.loaded(now, levels),
            Stage::Checking(_) | Stage::Loading(_) => {
                Stage::Restoring(format!("BIRD refuses the configuration: {reply}"))
            }
            Stage::Confirming(_) => Stage::Restoring(format!("BIRD has undone the configuration: {reply}")),
            Stage::Undoing(why) => Stage::Restoring(why),
            other => other,
        };
        if let Stage::Restoring(_) = up.stage {
            self.restore();
        }
    }

    fn loaded(&mut self, now: Duration, levels: Vec<Level>) {
        let Link::Up(up) = &mut self.link else { return };
        up.stage = Stage::Idle;
        up.accepted = Some(levels.clone());
        self.last_good = Some(levels);
        self.step_load(now, reconcile::Input::Done);
    }

    /// After the last answer of a look.
    fn looked_if_over(&mut self, now: Duration) {
        let Link::Up(up) = &mut self.link else { return };
        if up.questions.as_ref().is_none_or(|questions| !questions.is_empty()) {
            return;
        }
        up.questions = None;
        up.looked = Looked::Once;
        up.look_at = now + self.times.look;
        for at in 0..up.doors.len() {
            let seen = seen(up.sights.get(at));
            step_door(up, now, at, reconcile::Input::Saw(seen));
        }
        if let Stage::Settling { levels, until } = &up.stage {
            up.look_at = now + SETTLING_LOOK;
            match unsettled(&self.settings, &self.kept, levels, &up.sights) {
                None => up.stage = Stage::Confirming(levels.clone()),
                Some(why) if *until <= now => {
                    up.stage = Stage::Undoing(format!("BIRD has loaded the file, and {why}"));
                }
                Some(_) => {}
            }
        } else if let (Stage::Idle, Some(accepted)) = (&up.stage, &up.accepted) {
            let seen = match unsettled(&self.settings, &self.kept, accepted, &up.sights) {
                None => Seen::Known(accepted.clone()),
                Some(why) => Seen::Odd(why),
            };
            self.step_load(now, reconcile::Input::Saw(seen));
        }
    }
}

/// Whether the command that opens or closes a prefix has not failed since it was due.
fn is_untried(up: &Up, at: usize) -> bool {
    up.doors.get(at).and_then(Option::as_ref).is_some_and(|door| door.failure().is_none())
}

/// BIRD is told to go over to these levels, which opens what was closed and is announced by them: until the next look that
/// counts as open.
fn may_open(up: &mut Up, now: Duration, levels: &[Level]) {
    for (at, level) in levels.iter().enumerate() {
        if let Some(sight @ (Sight::Closed | Sight::Missing)) = up.sights.get_mut(at)
            && level.is_announced()
        {
            *sight = Sight::Opening;
            step_door(up, now, at, reconcile::Input::Saw(Seen::Known(Door::Open)));
        }
    }
}

/// Hands an input to a door's machine and queues what it asks for.
fn step_door(up: &mut Up, now: Duration, at: usize, input: reconcile::Input<Door>) {
    let Some(Some(door)) = up.doors.get_mut(at) else { return };
    match door.step(now, input) {
        Some(reconcile::Output::Act(Door::Closed)) => up.closing.push_back(at),
        Some(reconcile::Output::Act(Door::Open)) => up.opening.push_back(at),
        Some(reconcile::Output::Abandon) if up.opening.contains(&at) => {
            up.opening.retain(|&waiting| waiting != at);
            step_door(up, now, at, reconcile::Input::Failed("not begun".to_owned()));
        }
        // The command is with BIRD, which answers in a moment.
        Some(reconcile::Output::Abandon) | None => {}
    }
}

fn seen(sight: Option<&Sight>) -> Seen<Door> {
    match sight {
        Some(Sight::Missing | Sight::Closed) => Seen::Known(Door::Closed),
        Some(Sight::Opening | Sight::Idle | Sight::Route(_)) => Seen::Known(Door::Open),
        None => Seen::Unknown("not looked at yet".to_owned()),
    }
}

/// What BIRD shows that is not as a file with these levels says, as far as enabling and disabling has no part in it.
fn unsettled(settings: &Settings, kept: &[Kept], levels: &[Level], sights: &[Sight]) -> Option<String> {
    kept.iter().zip(levels).zip(sights).find_map(|((Kept { prefix, name, .. }, level), sight)| match sight {
        Sight::Missing => Some(format!("has no protocol {name}; does its configuration include the file?")),
        Sight::Closed | Sight::Opening | Sight::Idle => None,
        Sight::Route(shown) if !level.is_announced() || *shown == Shown::expected(settings, *level) => None,
        Sight::Route(shown) => Some(format!("has {prefix} with {}", shown.words())),
    })
}

#[cfg(test)]
mod tests;
mod view;
