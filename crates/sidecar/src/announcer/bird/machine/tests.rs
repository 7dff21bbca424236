//! The machine against a BIRD that a test can break: nothing waits, time moves by addition.

use std::collections::BTreeMap;

use super::*;
use crate::announcer::bird::reply::Parser;
use crate::announcer::drift::Kind;
use crate::config::LevelMap;
use pharos_policy::explain;
use pharos_routing::Community;

const S: fn(u64) -> Duration = Duration::from_secs;
const MS: fn(u64) -> Duration = Duration::from_millis;
const V4: &str = "192.0.2.0/24";
const NAME: &str = "pharos_192_0_2_0_24";

/// What a BIRD with our file in it would do.
#[derive(Default)]
struct Daemon {
    file: String,
    /// The text that is loaded, by protocol.
    loaded: BTreeMap<String, String>,
    closed: BTreeMap<String, bool>,
    /// Why every configuration is refused.
    refuses: Option<&'static str>,
    /// Takes configurations, says so, and does nothing.
    is_deaf: bool,
    commands: Vec<String>,
}

impl Daemon {
    fn load(&mut self) {
        let blocks = self.file.split("protocol static ").skip(1);
        let new: BTreeMap<_, _> = blocks
            .filter_map(|block| Some((block.split_once(' ')?.0.to_owned(), block.to_owned())))
            .collect();
        for (name, block) in &new {
            let closed = block.contains("disabled yes");
            // As BIRD does (proto_reconfigure): the configuration's word counts, whatever was typed.
            self.closed.insert(name.clone(), closed);
        }
        self.loaded = new;
    }

    fn answer(&mut self, command: &str) -> String {
        self.commands.push(command.trim().to_owned());
        let words: Vec<_> = command.split_whitespace().collect();
        match words.as_slice() {
            ["disable", name] if self.loaded.contains_key(*name) => {
                match self.closed.insert((*name).to_owned(), true) {
                    Some(true) => format!("0008-{name}: already disabled\n0000 \n"),
                    _ => format!("0009-{name}: disabled\n0000 \n"),
                }
            }
            ["enable", name] if self.loaded.contains_key(*name) => {
                self.closed.insert((*name).to_owned(), false);
                format!("0011-{name}: enabled\n0000 \n")
            }
            ["configure", ..] if self.refuses.is_some() && words.get(1) != Some(&"undo") => {
                format!("0002-Reading configuration from /b\n8002 {}\n", self.refuses.unwrap_or_default())
            }
            ["configure", "check"] => {
                "0002-Reading configuration from /b\n0020 Configuration OK\n".to_owned()
            }
            ["configure", "confirm"] => "0018 Reconfiguration confirmed\n".to_owned(),
            ["configure", "undo"] => "0021-Undo requested\n0003 Reconfigured\n".to_owned(),
            ["configure", rest @ ..] => {
                if !self.is_deaf {
                    self.load();
                }
                let scheduled = if rest.contains(&"timeout") { "0022-Undo scheduled in 10 s\n" } else { "" };
                format!("0002-Reading configuration from /b\n{scheduled}0003 Reconfigured\n")
            }
            ["show", "protocols", _] if self.loaded.is_empty() => "0000 \n".to_owned(),
            ["show", "protocols", _] => {
                let state = |name: &String| if self.closed.get(name) == Some(&true) { "down" } else { "up" };
                let line = |name| format!("1002-{name} Static master4 {} 20:59:31\n", state(name));
                self.loaded.keys().map(line).collect::<String>() + "0000 \n"
            }
            ["show", "route", prefix, "all", "protocol", name] => {
                if self.closed.get(*name) == Some(&true) {
                    return "8001 Network not found\n".to_owned();
                }
                let block = self.loaded.get(*name).map_or("", String::as_str);
                let communities: String = block
                    .split("add((")
                    .skip(1)
                    .filter_map(|rest| Some(format!(" ({})", rest.split_once("))")?.0)))
                    .collect();
                let path = " 64512".repeat(block.matches("prepend").count());
                let path = if path.is_empty() { path } else { format!("1012-\tBGP.as_path:{path}\n") };
                format!(
                    "1007-Table master4:\n {prefix}  blackhole [{name} 20:59:31.389] * (200)\n1008-\tType: static univ\n\
                     {path}1012-\tBGP.community:{communities}\n0000 \n"
                )
            }
            _ => "9001 syntax error, unexpected CF_SYM_UNDEFINED\n".to_owned(),
        }
    }
}

/// A machine, its BIRD and the time.
struct World {
    machine: Machine,
    daemon: Daemon,
    now: Duration,
    is_up: bool,
}

impl World {
    fn new(undo: Option<Duration>) -> Self {
        let levels = LevelMap::with_communities(vec![Community::new(64512, 53)]);
        let settings = Settings { local_as: 64512, levels, gateways: Vec::new() };
        let times = Times { pause: S(1), undo, reload: Reload::Full, look: S(1) };
        let start = [(V4.parse().unwrap(), Level::Withdrawn)];
        let machine = Machine::new(settings, times, &start, None);
        let mut world = Self { machine, daemon: Daemon::default(), now: S(1), is_up: true };
        world.run(Input::Tick);
        world
    }

    /// Carries out whatever comes of an input until nothing does.
    fn run(&mut self, input: Input) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for output in self.machine.step(self.now, input) {
                match output {
                    Output::Connect if self.is_up => {
                        inputs.push_back(Input::Connected);
                        inputs.push_back(said("0001 BIRD 2.0.12 ready.\n"));
                    }
                    Output::Connect => inputs.push_back(Input::Lost("nobody listens".to_owned())),
                    Output::Disconnect => {}
                    Output::Send(command) => inputs.push_back(said(&self.daemon.answer(&command))),
                    Output::Write { id, text } => {
                        self.daemon.file = text;
                        inputs.push_back(Input::Written { id, result: Ok(()) });
                    }
                }
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.machine.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.run(Input::Tick);
        }
        self.now = end;
    }

    fn want(&mut self, level: Level) {
        self.daemon.commands.clear();
        self.run(Input::Want(vec![level]));
    }

    fn observed(&self) -> String {
        self.machine.observed()[0].text.clone()
    }
}

fn said(octets: &str) -> Input {
    Input::Said(Parser::default().feed(octets.as_bytes()).unwrap().remove(0))
}

#[test]
fn at_the_start_the_file_is_loaded_with_everything_withdrawn() {
    let world = World::new(Some(S(10)));
    assert_eq!(world.observed(), "withdrawn");
    assert_eq!((world.machine.gaps(), world.machine.failing()), (Vec::new(), None));
    assert!(world.daemon.file.contains("disabled yes"), "{}", world.daemon.file);
    assert_eq!(world.machine.state(), "connected");
    assert!(world.machine.is_at_rest());
}

#[test]
fn an_announcement_is_checked_loaded_seen_and_confirmed() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    assert_eq!(world.observed(), "normal");
    let loads: Vec<_> = world.daemon.commands.iter().filter(|it| it.starts_with("configure")).collect();
    assert_eq!(loads, ["configure check", "configure timeout 10", "configure confirm"]);
    assert_eq!(world.machine.gaps(), []);
    world.want(Level::Degraded);
    assert_eq!(world.observed(), "degraded");
}

#[test]
fn a_prefix_that_is_announced_again_is_disabled_by_nobody() {
    for undo in [Some(S(10)), None] {
        let mut world = World::new(undo);
        for _ in 0..3 {
            world.want(Level::Normal);
            world.pass(S(5));
            let closes = world.daemon.commands.iter().any(|it| it.starts_with("disable"));
            assert!(!closes && world.observed() == "normal", "{:?}", world.daemon.commands);
            world.want(Level::Withdrawn);
            world.pass(S(5));
        }
    }
}

#[test]
fn without_an_undo_timeout_nothing_is_confirmed() {
    let mut world = World::new(None);
    world.want(Level::Normal);
    let loads: Vec<_> = world.daemon.commands.iter().filter(|it| it.starts_with("configure")).collect();
    assert_eq!(loads, ["configure check", "configure"]);
    assert_eq!(world.observed(), "normal");
}

#[test]
fn a_withdrawal_begins_with_disable_and_the_file_follows() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    world.want(Level::Withdrawn);
    assert_eq!(world.daemon.commands.first(), Some(&format!("disable {NAME}")));
    assert!(world.daemon.file.contains("disabled yes"));
    assert_eq!(world.observed(), "withdrawn");
    world.want(Level::Normal);
    assert_eq!(world.observed(), "normal");
}

#[test]
fn a_refused_configuration_is_told_restored_and_tried_again_and_keeps_no_withdrawal_back() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    let before = world.daemon.file.clone();
    world.daemon.refuses = Some("/b:25:1 syntax error");
    world.want(Level::Degraded);
    assert_eq!(world.daemon.file, before, "the old file is back");
    let why = "BIRD refuses the configuration: 8002 /b:25:1 syntax error";
    assert_eq!(world.machine.failing(), Some(why));
    assert_eq!(world.machine.said(), ["8002 /b:25:1 syntax error"]);
    let gap = &world.machine.gaps()[0];
    assert_eq!((gap.wanted.as_str(), gap.observed.as_str(), gap.kind), ("degraded", "normal", Kind::Astray));

    world.want(Level::Withdrawn);
    assert_eq!(world.daemon.commands.first(), Some(&format!("disable {NAME}")));
    assert_eq!(world.observed(), "withdrawn");
    assert_eq!(world.machine.gaps(), []);
    assert_eq!(world.machine.failing(), Some(why), "it is gone, and the file is still refused");
    assert!(world.daemon.file.contains("disabled yes"), "a BIRD that restarts must not bring it back");

    world.daemon.refuses = None;
    world.pass(S(60));
    assert_eq!(world.machine.failing(), None);
    world.want(Level::Normal);
    assert_eq!(world.observed(), "normal");
}

#[test]
fn what_comes_back_while_the_configuration_is_refused_is_enabled_as_it_was() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    world.daemon.refuses = Some("broken");
    world.want(Level::Withdrawn);
    world.want(Level::Normal);
    assert_eq!(world.observed(), "normal", "{:?}", world.daemon.commands);
}

#[test]
fn retries_of_a_refused_configuration_become_rare() {
    let mut world = World::new(None);
    world.daemon.refuses = Some("broken");
    world.want(Level::Normal);
    world.pass(S(300));
    let checks = world.daemon.commands.iter().filter(|it| *it == "configure check").count();
    assert!((8..=16).contains(&checks), "{checks} checks in five minutes");
}

#[test]
fn a_bird_that_says_yes_and_does_nothing_is_undone_and_told() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    let before = world.daemon.file.clone();
    world.daemon.is_deaf = true;
    world.want(Level::Degraded);
    assert_eq!(world.machine.state(), "connected, confirming the load");
    world.pass(MS(5100));
    assert!(world.daemon.commands.iter().any(|it| it == "configure undo"), "{:?}", world.daemon.commands);
    assert!(!world.daemon.commands.iter().any(|it| it == "configure confirm"));
    let why = "BIRD has loaded the file, and has 192.0.2.0/24 with (64512,53)";
    assert_eq!((world.machine.failing(), &world.daemon.file), (Some(why), &before));
    world.daemon.is_deaf = false;
    world.pass(S(30));
    assert_eq!((world.machine.failing(), world.observed().as_str()), (None, "degraded"));
}

#[test]
fn a_file_that_bird_does_not_include_is_told() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    world.daemon.is_deaf = true;
    world.daemon.loaded.clear();
    world.pass(S(8));
    let why = world.machine.failing().unwrap_or_default();
    assert!(
        why.contains("has no protocol pharos_192_0_2_0_24; does its configuration include the file?"),
        "{why}"
    );
    assert_eq!(world.observed(), "withdrawn: BIRD has no such protocol");
}

#[test]
fn what_somebody_types_is_drift_and_mended() {
    let mut world = World::new(Some(S(10)));
    for (level, words) in [(Level::Normal, "enable"), (Level::Withdrawn, "disable")] {
        world.want(level);
        world.daemon.closed.insert(NAME.to_owned(), level.is_announced());
        world.now += S(1);
        let outputs = world.machine.step(world.now, Input::Tick);
        let [Output::Send(look)] = outputs.as_slice() else { panic!("{outputs:?}") };
        let mut input = said(&world.daemon.answer(look));
        // The look may have a question more.
        let command = loop {
            let outputs = world.machine.step(world.now, input);
            let [Output::Send(command)] = outputs.as_slice() else { panic!("{outputs:?}") };
            match command.starts_with("show") {
                true => input = said(&world.daemon.answer(command)),
                false => break command.clone(),
            }
        };
        assert_eq!(command, format!("{words} {NAME}\n"));
        let gap = &world.machine.gaps()[0];
        assert_eq!((gap.why.as_str(), gap.kind), ("somebody else has changed it", Kind::Astray));
        let answer = said(&world.daemon.answer(&command));
        world.run(answer);
        assert_eq!((world.observed(), world.machine.gaps()), (level.to_string(), Vec::new()));
    }
}

#[test]
fn a_bird_that_restarts_is_asked_and_told_anew() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    world.is_up = false;
    world.run(Input::Lost("BIRD closed the connection".to_owned()));
    assert_eq!(world.observed(), "unknown: not connected");
    assert_eq!(world.machine.gaps()[0].why, "BIRD closed the connection");
    world.pass(S(30));
    world.want(Level::Degraded);
    world.daemon.closed.clear();
    world.is_up = true;
    world.pass(S(3));
    assert_eq!(world.observed(), "degraded");
    assert_eq!(world.machine.failing(), None);
}

#[test]
fn the_file_that_a_bird_will_come_back_to_opens_nothing_that_must_be_gone() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    world.is_up = false;
    world.run(Input::Lost("BIRD closed the connection".to_owned()));
    let opens = |world: &World| world.daemon.file.contains("disabled no");
    assert!(opens(&world));
    world.want(Level::Withdrawn);
    assert!(!opens(&world), "{}", world.daemon.file);
    world.want(Level::Normal);
    assert!(opens(&world), "{}", world.daemon.file);
}

#[test]
fn what_was_wanted_gone_before_the_connection_was_lost_is_not_opened_by_the_file() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    let outputs = world.machine.step(world.now, Input::Want(vec![Level::Withdrawn]));
    assert!(outputs.contains(&Output::Send(format!("disable {NAME}\n"))), "{outputs:?}");
    world.is_up = false;
    world.run(Input::Lost("BIRD closed the connection".to_owned()));
    assert!(world.daemon.file.contains("disabled yes"), "{}", world.daemon.file);
}

#[test]
fn the_file_opens_nothing_that_must_be_gone_while_a_bird_that_hangs_does_not_greet() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    world.machine.step(world.now, Input::Lost("BIRD closed the connection".to_owned()));
    world.now += S(1);
    assert_eq!(world.machine.step(world.now, Input::Tick), [Output::Connect]);
    assert_eq!(world.machine.step(world.now, Input::Connected), []);
    let outputs = world.machine.step(world.now, Input::Want(vec![Level::Withdrawn]));
    let [Output::Write { text, .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert!(text.contains("disabled yes"), "{text}");
}

#[test]
fn a_file_that_cannot_be_written_while_bird_is_away_is_told_and_written_at_the_next_attempt() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    world.is_up = false;
    world.run(Input::Lost("BIRD closed the connection".to_owned()));
    let outputs = world.machine.step(world.now, Input::Want(vec![Level::Withdrawn]));
    let [Output::Write { id, .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
    world.machine.step(world.now, Input::Written { id: *id, result: Err("no space".to_owned()) });
    assert!(world.daemon.file.contains("disabled no"));
    let next = world.machine.next_deadline().unwrap();
    world.machine.step(next, Input::Tick);
    let outputs = world.machine.step(next, Input::Lost("nobody listens".to_owned()));
    let [Output::Write { id, text }] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert!(text.contains("disabled yes"), "{text}");
    let why = world.machine.failing().unwrap();
    assert!(why.contains("nobody listens") && why.contains("no space"), "{why}");
    world.machine.step(next, Input::Written { id: *id, result: Ok(()) });
    assert_eq!(world.machine.step(next, Input::Lost("nobody listens".to_owned())), []);
}

#[test]
fn at_the_stop_it_is_asked_once_more_whether_there_is_a_bird() {
    for is_up in [true, false] {
        let mut world = World::new(Some(S(10)));
        world.want(Level::Normal);
        world.is_up = false;
        world.run(Input::Lost("BIRD closed the connection".to_owned()));
        world.pass(S(30));
        world.is_up = is_up;
        world.run(Input::Stop);
        assert!(world.machine.is_at_rest());
        assert!(!world.daemon.file.contains("disabled no"), "{}", world.daemon.file);
        assert_eq!(world.observed(), if is_up { "withdrawn" } else { "unknown: not connected" });
    }
}

#[test]
fn a_route_is_there_while_bird_shows_it_and_of_a_bird_that_is_gone_nobody_knows() {
    let mut world = World::new(Some(S(10)));
    let route = |world: &World| world.machine.observed()[0].route;
    assert_eq!(route(&world), explain::Route::Absent);
    world.want(Level::Normal);
    assert_eq!(route(&world), explain::Route::There);
    world.is_up = false;
    world.run(Input::Lost("BIRD closed the connection".to_owned()));
    assert_eq!(route(&world), explain::Route::Unknown);
    world.is_up = true;
    world.pass(S(3));
    assert_eq!(route(&world), explain::Route::There);
}

#[test]
fn a_load_that_a_withdrawal_overtakes_never_reaches_bird() {
    let mut world = World::new(Some(S(10)));
    let outputs = world.machine.step(world.now, Input::Want(vec![Level::Normal]));
    let [Output::Write { id, .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
    let id = *id;
    assert_eq!(world.machine.step(world.now, Input::Want(vec![Level::Withdrawn])), []);
    world.daemon.commands.clear();
    world.run(Input::Written { id, result: Ok(()) });
    assert!(!world.daemon.file.contains("disabled no"), "{}", world.daemon.file);
    assert_eq!(world.observed(), "withdrawn");
    assert_eq!(world.machine.failing(), None);
}

#[test]
fn a_withdrawal_while_bird_checks_the_file_keeps_it_from_being_loaded() {
    let mut world = World::new(Some(S(10)));
    let outputs = world.machine.step(world.now, Input::Want(vec![Level::Normal]));
    let [Output::Write { id, text }] = outputs.as_slice() else { panic!("{outputs:?}") };
    world.daemon.file.clone_from(text);
    let outputs = world.machine.step(world.now, Input::Written { id: *id, result: Ok(()) });
    let [Output::Send(check)] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(check, "configure check\n");
    assert_eq!(world.machine.step(world.now, Input::Want(vec![Level::Withdrawn])), []);
    world.daemon.commands.clear();
    let reply = world.daemon.answer(check);
    world.run(said(&reply));
    let loads = world.daemon.commands.iter().position(|command| command.starts_with("configure timeout"));
    let checks = world.daemon.commands.iter().rposition(|command| command == "configure check");
    assert!(
        loads > checks,
        "only what was checked after the withdrawal is loaded: {:?}",
        world.daemon.commands
    );
    assert!(world.daemon.file.contains("disabled yes"), "{}", world.daemon.file);
    assert_eq!((world.observed().as_str(), world.machine.failing()), ("withdrawn", None));
}

#[test]
fn a_connection_lost_in_the_middle_of_a_load_puts_the_old_file_back() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    let before = world.daemon.file.clone();
    let outputs = world.machine.step(world.now, Input::Want(vec![Level::Degraded]));
    let [Output::Write { .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
    let outputs = world.machine.step(world.now, Input::Lost("gone".to_owned()));
    let Some(Output::Write { text, .. }) = outputs.first() else { panic!("{outputs:?}") };
    assert_eq!(*text, before);
}

#[test]
fn a_command_without_an_answer_ends_the_connection() {
    let mut world = World::new(Some(S(10)));
    world.now += S(1);
    let outputs = world.machine.step(world.now, Input::Tick);
    assert_eq!(outputs, [Output::Send("show protocols \"pharos_*\"\n".to_owned())]);
    let outputs = world.machine.step(world.now + COMMAND_BOUND, Input::Tick);
    assert!(matches!(outputs.as_slice(), [Output::Disconnect, Output::Write { .. }]), "{outputs:?}");
    assert!(world.machine.failing().unwrap().contains("no answer to `show protocols"));
    assert!(world.machine.next_deadline().unwrap() <= world.now + COMMAND_BOUND + MS(2000));
}

/// What is asked for beside files, which keep nothing waiting.
fn talk(mut outputs: Vec<Output>) -> Vec<Output> {
    outputs.retain(|output| !matches!(output, Output::Write { .. }));
    outputs
}

/// Sends a machine with the route there into a look that BIRD does not answer.
fn looking() -> World {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    world.now += S(1);
    let outputs = world.machine.step(world.now, Input::Tick);
    assert_eq!(outputs, [Output::Send("show protocols \"pharos_*\"\n".to_owned())]);
    world
}

#[test]
fn what_must_go_is_disabled_right_after_the_greeting_and_looked_at_then() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    world.is_up = false;
    world.run(Input::Lost("BIRD closed the connection".to_owned()));
    world.want(Level::Withdrawn);
    world.now = world.machine.next_deadline().unwrap();
    assert_eq!(world.machine.step(world.now, Input::Tick), [Output::Connect]);
    assert_eq!(world.machine.step(world.now, Input::Connected), []);
    let outputs = world.machine.step(world.now, said("0001 BIRD 2.0.12 ready.\n"));
    let [Output::Send(command)] = outputs.as_slice() else { panic!("{outputs:?}") };
    assert_eq!(*command, format!("disable {NAME}\n"));
    let answer = said(&world.daemon.answer(command));
    world.run(answer);
    assert_eq!(world.daemon.commands[1], "show protocols \"pharos_*\"");
    assert_eq!((world.observed().as_str(), world.machine.failing()), ("withdrawn", None));
}

#[test]
fn a_name_that_bird_does_not_know_is_gone_and_no_refusal() {
    let world = World::new(Some(S(10)));
    assert_eq!(world.daemon.commands[0], format!("disable {NAME}"));
    assert_eq!(world.daemon.commands.iter().filter(|it| it.starts_with("disable")).count(), 1);
    assert_eq!((world.machine.said(), world.machine.failing()), (Vec::new(), None));
}

#[test]
fn a_level_that_is_announced_is_not_disabled_on_a_new_connection() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    world.daemon.commands.clear();
    world.run(Input::Lost("BIRD closed the connection".to_owned()));
    world.pass(S(3));
    assert_eq!(world.observed(), "normal");
    assert!(!world.daemon.commands.iter().any(|it| it.starts_with("disable")), "{:?}", world.daemon.commands);
}

#[test]
fn a_look_that_is_answered_in_time_costs_a_withdrawal_no_connection() {
    let mut world = looking();
    assert_eq!(talk(world.machine.step(world.now, Input::Want(vec![Level::Withdrawn]))), []);
    let answer = said(&world.daemon.answer("show protocols \"pharos_*\""));
    let outputs = world.machine.step(world.now + PATIENCE - MS(1), answer);
    assert_eq!(talk(outputs), [Output::Send(format!("disable {NAME}\n"))]);
}

#[test]
fn a_look_without_an_answer_keeps_a_withdrawal_for_its_patience_and_costs_the_connection() {
    let mut world = looking();
    world.now += S(5);
    assert_eq!(talk(world.machine.step(world.now, Input::Want(vec![Level::Withdrawn]))), []);
    assert_eq!(world.machine.next_deadline(), Some(world.now + PATIENCE));
    assert_eq!(world.machine.step(world.now + MS(50), Input::Tick), []);
    assert_eq!(world.machine.next_deadline(), Some(world.now + PATIENCE), "later news give no more time");
    world.now += PATIENCE;
    assert_eq!(talk(world.machine.step(world.now, Input::Tick)), [Output::Disconnect, Output::Connect]);
    assert_eq!(world.machine.failing(), None, "nothing has failed so far");
    assert_eq!(world.machine.step(world.now, Input::Connected), []);
    let outputs = world.machine.step(world.now, said("0001 BIRD 2.0.12 ready.\n"));
    assert_eq!(outputs, [Output::Send(format!("disable {NAME}\n"))]);
    let answer = said(&world.daemon.answer(&format!("disable {NAME}")));
    world.run(answer);
    assert_eq!((world.observed().as_str(), world.machine.gaps()), ("withdrawn", Vec::new()));
    assert!(world.machine.is_at_rest());
}

#[test]
fn a_check_that_a_withdrawal_gives_up_puts_a_file_back_that_opens_nothing() {
    let mut world = World::new(Some(S(10)));
    world.want(Level::Normal);
    let outputs = world.machine.step(world.now, Input::Want(vec![Level::Degraded]));
    let [Output::Write { id, .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
    let outputs = world.machine.step(world.now, Input::Written { id: *id, result: Ok(()) });
    assert_eq!(outputs, [Output::Send("configure check\n".to_owned())]);
    assert_eq!(world.machine.step(world.now, Input::Want(vec![Level::Withdrawn])), []);
    world.now += PATIENCE;
    let outputs = world.machine.step(world.now, Input::Tick);
    let [Output::Disconnect, Output::Write { text, .. }, Output::Connect] = outputs.as_slice() else {
        panic!("{outputs:?}")
    };
    assert!(text.contains("disabled yes"), "{text}");
    assert_eq!(world.machine.failing(), None);
}

#[test]
fn a_withdrawal_waits_for_a_change_that_bird_is_carrying_out() {
    let mut world = World::new(None);
    world.want(Level::Normal);
    let outputs = world.machine.step(world.now, Input::Want(vec![Level::Degraded]));
    let [Output::Write { id, .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
    world.machine.step(world.now, Input::Written { id: *id, result: Ok(()) });
    let outputs = world.machine.step(world.now, said("0020 Configuration OK\n"));
    assert_eq!(outputs, [Output::Send("configure\n".to_owned())]);
    assert_eq!(world.machine.step(world.now, Input::Want(vec![Level::Withdrawn])), []);
    assert_eq!(world.machine.next_deadline(), Some(world.now + COMMAND_BOUND));
    world.now += PATIENCE;
    assert_eq!(world.machine.step(world.now, Input::Tick), []);
    let outputs = world.machine.step(world.now, said("0003 Reconfigured\n"));
    assert_eq!(talk(outputs), [Output::Send(format!("disable {NAME}\n"))]);
}

/// What was seen before it was told to open the prefix says nothing any more.
#[test]
fn a_withdrawal_while_a_load_opens_the_prefix_is_sent_right_behind_it() {
    for undo in [None, Some(S(10))] {
        let mut world = World::new(undo);
        let outputs = world.machine.step(world.now, Input::Want(vec![Level::Normal]));
        let [Output::Write { id, .. }] = outputs.as_slice() else { panic!("{outputs:?}") };
        world.machine.step(world.now, Input::Written { id: *id, result: Ok(()) });
        let outputs = world.machine.step(world.now, said("0020 Configuration OK\n"));
        assert!(
            matches!(outputs.as_slice(), [Output::Send(it)] if it.starts_with("configure")),
            "{outputs:?}"
        );
        assert_eq!(world.machine.step(world.now, Input::Want(vec![Level::Withdrawn])), []);
        assert!(!world.machine.is_at_rest(), "nobody leaves before it is closed");
        assert_eq!(world.machine.observed()[0].route, explain::Route::Unknown);
        let outputs = world.machine.step(world.now, said("0003 Reconfigured\n"));
        assert_eq!(talk(outputs), [Output::Send(format!("disable {NAME}\n"))]);
    }
}

/// Else a check that takes longer than the pause between two attempts would never end.
#[test]
fn a_withdrawal_that_bird_has_refused_breaks_no_check_off() {
    let mut world = World::new(None);
    world.want(Level::Normal);
    let outputs = world.machine.step(world.now, Input::Want(vec![Level::Withdrawn]));
    let id = outputs.iter().find_map(|output| match output {
        Output::Write { id, .. } => Some(*id),
        _ => None,
    });
    world.machine.step(world.now, Input::Written { id: id.unwrap(), result: Ok(()) });
    let outputs = world.machine.step(world.now, said("8007 Access denied\n"));
    assert_eq!(outputs, [Output::Send("configure check\n".to_owned())]);
    let end = world.machine.next_deadline();
    world.now += S(1);
    assert_eq!(world.machine.step(world.now, Input::Tick), []);
    assert_eq!(world.machine.next_deadline(), end, "it is due again, and waits");
}

/// The kernel connects to one that is stopped as well.
#[test]
fn a_bird_that_does_not_greet_fails_on() {
    let mut world = World::new(Some(S(10)));
    world.machine.step(world.now, Input::Lost("it hangs".to_owned()));
    world.now = world.machine.next_deadline().unwrap();
    assert_eq!(world.machine.step(world.now, Input::Tick), [Output::Connect]);
    assert_eq!(world.machine.step(world.now, Input::Connected), []);
    assert_eq!(world.machine.failing(), Some("it hangs"));
    assert_eq!(world.machine.state(), "not connected: it hangs");
    world.machine.step(world.now, said("0001 BIRD 2.0.12 ready.\n"));
    assert_eq!((world.machine.failing(), world.machine.state().as_str()), (None, "connected"));
}

#[test]
fn an_answer_to_nothing_ends_the_connection() {
    let mut world = World::new(Some(S(10)));
    let outputs = world.machine.step(world.now, said("0003 Reconfigured\n"));
    assert!(matches!(outputs.as_slice(), [Output::Disconnect, Output::Write { .. }]), "{outputs:?}");
}
