//! The announcer `exec`: a program of the operator's is run for each change of a prefix.
//!
//! Per prefix there is one [`Reconciler`]; the runs of one prefix follow each other, those of several go side by side.
//! Announcements wait for their turn while [`RUNS_AT_ONCE`] programs tell something. A withdrawal waits for no turn, and
//! there is one for each prefix at most; a run that is still busy with announcing its prefix is killed first, and one
//! that withdraws it already is not begun again before its end. At the start nothing is known, so that every prefix is
//! told its level, withdrawn to begin with. At the stop all are withdrawn: at once, whatever pause there was after a run
//! that failed, and where that fails again and again for as long as [`longest_stop`] gives. Nobody does it afterwards.
//! Where another process takes over, what announces is killed first, and what withdraws is waited for, but not for long: the
//! next process's programs know of none of ours.
//!
//! With `observe`, another program is asked in turn what there is, for [`LOOKS_AT_ONCE`] prefixes at a time; looks that
//! hang delay other looks and nothing else. Its first line is the name of a level. A look that fails is no reason to act:
//! what is known stays so. After [`LOOKS_IN_VAIN`] of a prefix in a row the announcer is failing, with the program's last
//! word, what was known is shown as that, and who has the route is not known; until a look is answered. Without `observe`
//! the last run that succeeded counts as observed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use pharos_policy::explain::Route;
use pharos_policy::{Family, Level, Prefix};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::drift::{Gap, Kind};
use super::reconcile::{Input, Output, Reconciler, Seen, Standing, Urgency};
use super::report::Reporter;
use crate::config::{Config, ExecConfig};
use crate::keeper::{Keeper, Levels, Observed};
use crate::threads::Stopping;

mod run;

use run::{Alone, Order, Outcome};

/// Programs that tell something side by side, before an announcement waits for its turn. A node has few prefixes; more at
/// once would make a load of their own, and fewer would let those that hang keep the others waiting.
const RUNS_AT_ONCE: usize = 16;

/// Programs that look side by side. With fewer, some that hang would leave the other prefixes unseen; nothing is withdrawn
/// or announced the sooner with more.
const LOOKS_AT_ONCE: usize = 8;

/// Looks at one prefix that fail in a row until people hear of it: one may meet a daemon that is being restarted.
const LOOKS_IN_VAIN: u32 = 3;

/// At the stop withdrawals are tried for so long beside the time that a single one may take. With less, one that fails by its
/// timeout would have no second try; the whole must be less than the service manager waits.
const LAST_TRIES: Duration = Duration::from_secs(5);

/// Then programs that have not ended are killed, which takes no time unless the kernel does, and the thread ends.
const ENDING: Duration = Duration::from_secs(2);

/// When another process takes over, a withdrawal that runs has so long to end. More is for the next one to tell anew, which
/// waits for this one's end.
const LAST_WITHDRAWALS: Duration = Duration::from_millis(500);

/// The longest reason that a program is given, in characters.
const LONGEST_REASON: usize = 500;

/// One configured program with the prefixes that it is run for.
pub(crate) struct Exec {
    index: usize,
    name: String,
    config: ExecConfig,
    node: String,
    keeper: Arc<Keeper>,
    levels: watch::Receiver<Levels>,
    reporter: Reporter,
    kept: Vec<Kept>,
    /// Runs that wait for their turn: index of the prefix.
    waiting: VecDeque<usize>,
    running: JoinSet<(usize, Ran)>,
    /// What programs said last.
    said: Vec<String>,
}

/// One prefix.
struct Kept {
    prefix: Prefix,
    level: Reconciler<Level>,
    busy: Busy,
    /// When somebody looks next; `None` without `observe`.
    look_at: Option<Duration>,
    looking: Looking,
    /// The looks that have failed since one was answered.
    in_vain: InVain,
}

/// Looks that have failed in a row.
#[derive(Debug, Default)]
struct InVain {
    count: u32,
    /// Why the last one did.
    why: String,
}

impl Kept {
    /// Why nobody can see what there is, where that has lasted.
    fn blind(&self) -> Option<&str> {
        (self.in_vain.count >= LOOKS_IN_VAIN).then_some(self.in_vain.why.as_str())
    }

    /// Why the announcer is failing with this prefix, if it is.
    fn failing(&self) -> Option<String> {
        let (prefix, wanted) = (self.prefix, self.level.wanted());
        let run = self.level.failure().map(|why| format!("{prefix} {wanted}: {why}"));
        run.or_else(|| self.blind().map(|why| format!("{prefix} cannot be looked at: {why}")))
    }

    /// Whether it is withdrawn, as far as anybody knows, and nothing is under way that could change that.
    fn is_withdrawn(&self) -> bool {
        matches!(self.busy, Busy::No) && *self.level.seen() == Seen::Known(Level::Withdrawn)
    }

    /// When somebody may look next; `None` while somebody does, or a run is due or under way.
    fn next_look(&self) -> Option<Duration> {
        self.look_at.filter(|_| matches!(self.busy, Busy::No) && self.looking == Looking::No)
    }
}

enum Busy {
    No,
    /// In the queue.
    Waiting(Level),
    /// Being run; what kills it.
    Running(Level, Option<oneshot::Sender<()>>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looking {
    No,
    Yes,
    /// The program was asked before something changed: its answer is of the past.
    Stale,
}

/// What has run.
enum Ran {
    Action(Outcome),
    Look(Outcome),
}

/// How long a program's last withdrawals take at most, from the order to stop on: one that is given its whole time after
/// an announcement that has to be killed first, and some tries more where they fail.
pub(super) fn longest_stop(config: &ExecConfig) -> Duration {
    config.timeout + LAST_TRIES + ENDING
}

impl Exec {
    pub(super) fn new(
        index: usize,
        name: String,
        config: ExecConfig,
        all: &Config,
        keeper: &Arc<Keeper>,
    ) -> Self {
        let levels = keeper.levels();
        let now = keeper.clock.now();
        let look_at = config.observe.as_ref().map(|_| now);
        let kept = |&(prefix, level): &(Prefix, Level)| Kept {
            prefix,
            level: Reconciler::new(level, urgency(level), config.retry),
            busy: Busy::No,
            look_at,
            looking: Looking::No,
            in_vain: InVain::default(),
        };
        let kept = levels.borrow().iter().map(kept).collect();
        Self {
            index,
            reporter: Reporter::new(Arc::clone(keeper), name.clone()),
            name,
            config,
            node: all.nsid.clone(),
            keeper: Arc::clone(keeper),
            levels,
            kept,
            waiting: VecDeque::new(),
            running: JoinSet::new(),
            said: Vec::new(),
        }
    }

    /// Follows the levels until the order to stop; then withdraws every prefix. Or until the order to give way, after which
    /// no program runs any more.
    pub(super) async fn run(mut self, stopping: Stopping, mut yielding: Stopping) {
        while !yielding.is_ordered() {
            self.follow_levels();
            self.tick();
            self.start_waiting();
            self.look();
            self.report();
            let wake = self.keeper.clock.instant(self.next_deadline());
            tokio::select! {
                // It comes with the order to stop, too.
                _ = yielding.ordered() => {}
                // The keeper outlives every announcer, which holds it.
                _ = self.levels.changed() => {}
                Some(Ok((at, ran))) = self.running.join_next(), if !self.running.is_empty() => self.ran(at, ran),
                () = tokio::time::sleep_until(wake) => {}
            }
        }
        match stopping.is_ordered() {
            true => self.withdraw_all().await,
            false => self.give_way().await,
        }
    }

    fn follow_levels(&mut self) {
        let levels = Arc::clone(&self.levels.borrow_and_update());
        for &(prefix, level) in levels.iter() {
            if let Some(at) = self.kept.iter().position(|kept| kept.prefix == prefix) {
                self.step(at, Input::Want(level, urgency(level)));
            }
        }
    }

    fn tick(&mut self) {
        for at in 0..self.kept.len() {
            self.step(at, Input::Tick);
        }
    }

    /// Looks at the prefixes whose time has come, those first that have waited longest.
    fn look(&mut self) {
        let Some(observe) = &self.config.observe else { return };
        let now = self.keeper.clock.now();
        let due =
            |(at, kept): (usize, &Kept)| kept.next_look().filter(|due| *due <= now).map(|due| (due, at));
        let mut due: Vec<_> = self.kept.iter().enumerate().filter_map(due).collect();
        due.sort_unstable();
        for (_, at) in due.into_iter().take(LOOKS_AT_ONCE.saturating_sub(self.looks())) {
            let Some(kept) = self.kept.get_mut(at) else { continue };
            kept.look_at = Some(now + observe.interval);
            kept.looking = Looking::Yes;
            let order = Order {
                program: observe.program.clone(),
                arguments: [observe.arguments.clone(), vec![kept.prefix.to_string()]].concat(),
                environment: environment(&self.node, kept.prefix),
                timeout: self.config.timeout,
                alone: Alone::Ends,
            };
            self.running.spawn(async move { (at, Ran::Look(run::run(order, None).await)) });
        }
    }

    /// How many programs look just now.
    fn looks(&self) -> usize {
        self.kept.iter().filter(|kept| kept.looking != Looking::No).count()
    }

    /// How many programs tell something just now.
    fn runs(&self) -> usize {
        self.kept.iter().filter(|kept| matches!(kept.busy, Busy::Running(..))).count()
    }

    /// Hands an input to a prefix's machine and does what it asks for.
    fn step(&mut self, at: usize, input: Input<Level>) {
        let now = self.keeper.clock.now();
        let Some(kept) = self.kept.get_mut(at) else { return };
        match kept.level.step(now, input) {
            None => {}
            Some(Output::Act(level)) => {
                kept.busy = Busy::Waiting(level);
                match urgency(level) {
                    Urgency::Urgent => self.waiting.push_front(at),
                    Urgency::Patient => self.waiting.push_back(at),
                }
            }
            Some(Output::Abandon) => match &mut kept.busy {
                Busy::No => {}
                Busy::Running(_, kill) => drop(kill.take()),
                Busy::Waiting(_) => {
                    kept.busy = Busy::No;
                    self.waiting.retain(|&waiting| waiting != at);
                    self.step(at, Input::Failed("not begun".to_owned()));
                }
            },
        }
    }

    /// Runs every withdrawal that waits, and announcements while there is room.
    fn start_waiting(&mut self) {
        while let Some(at) = self.waiting.pop_front() {
            let has_room = self.runs() < RUNS_AT_ONCE;
            let Some(kept) = self.kept.get_mut(at) else { continue };
            let Busy::Waiting(level) = kept.busy else { continue };
            if urgency(level) == Urgency::Patient && !has_room {
                // Withdrawals stand before it: none is left.
                return self.waiting.push_front(at);
            }
            let (kill, killed) = oneshot::channel();
            kept.busy = Busy::Running(level, Some(kill));
            if kept.looking == Looking::Yes {
                kept.looking = Looking::Stale;
            }
            let (prefix, attempt) = (kept.prefix, kept.level.attempts());
            let order = self.order(prefix, level, attempt);
            self.running.spawn(async move { (at, Ran::Action(run::run(order, Some(killed)).await)) });
        }
    }

    fn order(&self, prefix: Prefix, level: Level, attempt: u32) -> Order {
        let explanation = self.keeper.explain(prefix);
        let reason = explanation.as_ref().and_then(|it| it.reasons.first()).map_or("", |it| &it.text);
        let reason = printable(reason);
        let group = explanation.as_ref().map_or("", |it| it.group.as_str());
        let mut environment = environment(&self.node, prefix);
        environment.extend([
            ("PHAROS_LEVEL", level.to_string()),
            ("PHAROS_GROUP", group.to_owned()),
            ("PHAROS_REASON", reason.clone()),
            ("PHAROS_ATTEMPT", attempt.to_string()),
        ]);
        let told = [level.to_string(), prefix.to_string(), reason];
        Order {
            program: self.config.program.clone(),
            arguments: self.config.arguments.iter().cloned().chain(told).collect(),
            environment,
            timeout: self.config.timeout,
            alone: match urgency(level) {
                Urgency::Patient => Alone::Ends,
                Urgency::Urgent => Alone::GoesOn,
            },
        }
    }

    fn ran(&mut self, at: usize, ran: Ran) {
        let Some(kept) = self.kept.get_mut(at) else { return };
        let prefix = kept.prefix;
        match ran {
            Ran::Look(outcome) => {
                if std::mem::replace(&mut kept.looking, Looking::No) == Looking::Yes {
                    self.saw(at, &outcome);
                }
            }
            Ran::Action(outcome) => {
                let busy = std::mem::replace(&mut kept.busy, Busy::No);
                kept.look_at = kept.look_at.map(|_| self.keeper.clock.now());
                let level = match busy {
                    Busy::Running(level, _) | Busy::Waiting(level) => level.name(),
                    Busy::No => "",
                };
                let lines = outcome.lines.iter().map(|line| format!("{prefix} {level}: {line}"));
                self.said.extend(lines);
                let surplus = self.said.len().saturating_sub(run::MOST_LINES);
                self.said.drain(..surplus);
                let result = outcome.result();
                self.keeper.metrics.action(&self.name, &result);
                match result {
                    Ok(()) => self.step(at, Input::Done),
                    Err(why) => {
                        let announcer = self.name.as_str();
                        tracing::warn!(announcer, %prefix, level, why, "the program failed");
                        self.step(at, Input::Failed(why));
                    }
                }
            }
        }
    }

    /// Believes what `observe` says, if it is a level, and counts the looks that fail.
    fn saw(&mut self, at: usize, outcome: &Outcome) {
        let Some(kept) = self.kept.get_mut(at) else { return };
        if let Err(why) = outcome.result() {
            // Blindness is no reason to act; what was done last still counts.
            let announcer = self.name.as_str();
            tracing::debug!(announcer, prefix = %kept.prefix, why, "observe");
            kept.in_vain = InVain { count: kept.in_vain.count.saturating_add(1), why };
            return;
        }
        kept.in_vain = InVain::default();
        let first = outcome.lines.first().map(String::as_str).unwrap_or_default();
        let seen = match Level::ALL.into_iter().find(|level| level.name() == first) {
            Some(level) => Seen::Known(level),
            None => Seen::Odd(format!("\"{}\", which is no level", printable(first))),
        };
        self.step(at, Input::Saw(seen));
    }

    fn next_deadline(&self) -> Duration {
        let machines = self.kept.iter().filter_map(|kept| kept.level.next_deadline());
        // Where no more may look, the end of a look is waited for, and no time.
        let has_room = self.looks() < LOOKS_AT_ONCE;
        let looks = self.kept.iter().filter(|_| has_room).filter_map(Kept::next_look);
        // Without anything to wait for, a look at the clock now and then does no harm.
        let rest = self.keeper.clock.now() + Duration::from_secs(60);
        machines.chain(looks).chain(self.reporter.next_deadline()).fold(rest, Duration::min)
    }

    fn report(&mut self) {
        let gaps = self.kept.iter().filter_map(gap).collect();
        let drift = self.reporter.gaps(gaps);
        let failing = self.kept.iter().find_map(Kept::failing);
        self.reporter.failing(failing.as_deref());
        let observed = self.kept.iter().map(observed).collect();
        let running = self.kept.iter().filter(|kept| !matches!(kept.busy, Busy::No)).count();
        let state = match running {
            0 => format!("{}, no run in progress", self.config.program.display()),
            count => format!("{}, {count} runs in progress or waiting", self.config.program.display()),
        };
        let said = self.said.clone();
        self.keeper.announcer(self.index, |view| {
            view.state = state;
            view.failing = failing;
            view.observed = observed;
            view.said = said;
            view.drift = drift;
        });
    }

    /// Runs the program for every prefix that is not withdrawn, whatever else is under way, and again where it fails, until
    /// all are withdrawn or the time for it is over.
    async fn withdraw_all(&mut self) {
        let until = self.keeper.clock.now() + self.config.timeout + LAST_TRIES;
        for at in 0..self.kept.len() {
            self.step(at, Input::Want(Level::Withdrawn, Urgency::Urgent));
            self.step(at, Input::Hurry);
        }
        loop {
            self.start_waiting();
            self.report();
            if self.kept.iter().all(Kept::is_withdrawn) {
                return;
            }
            if self.keeper.clock.now() >= until {
                break;
            }
            let tries = self.kept.iter().filter_map(|kept| kept.level.next_deadline());
            let wake = self.keeper.clock.instant(tries.fold(until, Duration::min));
            tokio::select! {
                Some(Ok((at, ran))) = self.running.join_next(), if !self.running.is_empty() => self.ran(at, ran),
                () = tokio::time::sleep_until(wake) => self.tick(),
            }
        }
        self.give_up().await;
    }

    /// Says what is left as it was.
    async fn give_up(&mut self) {
        let announcer = self.name.as_str();
        for kept in self.kept.iter().filter(|kept| !kept.is_withdrawn()) {
            let why = kept.level.failure().unwrap_or("the program has not ended");
            tracing::error!(announcer, prefix = %kept.prefix, why, "not withdrawn at the stop: what there is stays");
        }
        self.kill_all().await;
    }

    /// Leaves everything to another process: what announces is ended, and what withdraws may end by itself first.
    async fn give_way(&mut self) {
        self.kill(Urgency::Patient);
        self.until_none_runs(LAST_WITHDRAWALS).await;
        self.kill_all().await;
    }

    /// Ends the programs that are running still, with their children. Looks end with this thread.
    async fn kill_all(&mut self) {
        self.kill(Urgency::Patient);
        self.kill(Urgency::Urgent);
        self.until_none_runs(ENDING / 2).await;
    }

    fn kill(&mut self, those: Urgency) {
        for kept in &mut self.kept {
            if let Busy::Running(level, kill) = &mut kept.busy
                && urgency(*level) == those
            {
                drop(kill.take());
            }
        }
    }

    async fn until_none_runs(&mut self, bound: Duration) {
        let ending = async {
            while self.runs() > 0
                && let Some(ended) = self.running.join_next().await
            {
                if let Ok((at, Ran::Action(_))) = ended
                    && let Some(kept) = self.kept.get_mut(at)
                {
                    kept.busy = Busy::No;
                }
            }
        };
        let _ = tokio::time::timeout(bound, ending).await;
    }
}

fn gap(kept: &Kept) -> Option<Gap> {
    let kind = match kept.level.standing() {
        Standing::AsWanted => return None,
        Standing::OnTheWay => Kind::Closing,
        Standing::Astray => Kind::Astray,
    };
    let why = match (kept.level.failure(), kind) {
        (Some(why), _) => why.to_owned(),
        (None, Kind::Astray) => "somebody else has changed it".to_owned(),
        (None, _) => "the program is being run".to_owned(),
    };
    let (wanted, observed) = (kept.level.wanted().to_string(), seen(kept.level.seen()));
    Some(Gap { prefix: kept.prefix, wanted, observed, why, kind })
}

fn observed(kept: &Kept) -> Observed {
    let text = seen(kept.level.seen());
    let (text, route) = match (kept.blind(), kept.level.seen()) {
        (_, Seen::Odd(_) | Seen::Unknown(_)) => (text, Route::Unknown),
        (Some(_), Seen::Known(_)) => (format!("{text} (last known)"), Route::Unknown),
        (None, Seen::Known(level)) if level.is_announced() => (text, Route::There),
        (None, Seen::Known(_)) => (text, Route::Absent),
    };
    Observed { prefix: kept.prefix, text, route }
}

fn seen(seen: &Seen<Level>) -> String {
    match seen {
        Seen::Known(level) => level.to_string(),
        Seen::Odd(words) => words.clone(),
        Seen::Unknown(why) => format!("unknown ({why})"),
    }
}

fn urgency(level: Level) -> Urgency {
    if level.is_announced() { Urgency::Patient } else { Urgency::Urgent }
}

/// What every program is told in its environment, and all that there is in it.
fn environment(node: &str, prefix: Prefix) -> Vec<(&'static str, String)> {
    vec![
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("LC_ALL", "C".to_owned()),
        ("PHAROS_NODE", node.to_owned()),
        ("PHAROS_PREFIX", prefix.to_string()),
        ("PHAROS_FAMILY", if prefix.family() == Family::Ipv4 { "ipv4" } else { "ipv6" }.to_owned()),
    ]
}

/// Without control characters, and not too long: reasons hold operators' words.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_REASON).collect()
}
