//! The announcer `exec` with real programs: what they are told, what becomes of failures, and drift.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use common::{FakeResponder, LOCALHOST, Running, V4, block, config, legacy, until};
use pharos_sidecar::status::{AnnouncerStatus, Effect};
use pharos_sidecar::{AnnouncerConfig, Config, Event, ExecConfig, Mode, ObserveConfig, Sidecar, Way};

/// A directory with a program in it that writes what it is told into `log`, unless its state says otherwise.
struct Stage {
    directory: PathBuf,
    responder: FakeResponder,
}

impl Stage {
    fn new(name: &str, script: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("pharos-exec-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let stage = Self { directory, responder: FakeResponder::start(LOCALHOST).unwrap() };
        let script = script.replace("DIR", &stage.directory.display().to_string());
        // Renamed into place, so that no other test's child has it open for writing when it is run.
        let (draft, program) = (stage.path("draft"), stage.path("program"));
        std::fs::write(&draft, format!("#!/bin/sh\n{script}")).unwrap();
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::rename(draft, program).unwrap();
        stage
    }

    fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn until_last(&self, line: &str) {
        until(&format!("the log ends with {line}: {:?}", self.log()), || {
            (self.log().last().map(String::as_str) == Some(line)).then_some(())
        });
    }

    /// Waits for the end of the process whose number is in that file.
    fn until_dead(&self, file: &str) {
        let process = std::fs::read_to_string(self.path(file)).unwrap();
        let stat = format!("/proc/{}/stat", process.trim());
        until("it has died", || {
            std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")).then_some(())
        });
    }

    fn announcer(&self) -> AnnouncerConfig {
        let exec = ExecConfig {
            program: self.path("program"),
            arguments: vec!["first word".into()],
            timeout: Duration::from_secs(50),
            retry: Duration::from_millis(100),
            observe: None,
        };
        AnnouncerConfig { name: "exec test".into(), mode: Mode::Announce, way: Way::Exec(exec) }
    }

    fn config(&self, announcer: AnnouncerConfig) -> Config {
        let mut config = config(&[V4], vec![self.responder.address], Vec::new());
        config.announcers = vec![announcer];
        config
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn view(sidecar: &Running) -> AnnouncerStatus {
    sidecar.0.status().announcers.into_iter().next().unwrap()
}

const TELL: &str = "echo \"$1|$2|$3|$PHAROS_LEVEL|$PHAROS_FAMILY|$PHAROS_GROUP|$PHAROS_NODE\" >> DIR/log\n";

#[test]
fn a_program_is_told_each_level_with_prefix_and_reason_and_the_withdrawal_at_the_end() {
    let mut stage = Stage::new("told", TELL);
    let sidecar = Running::start(stage.config(stage.announcer()));
    let line = |level: &str| format!("first word|{level}|{V4}|{level}|ipv4|main|a.ams");
    stage.until_last(&line("normal"));
    assert_eq!(
        stage.log(),
        [line("withdrawn"), line("normal")],
        "nothing was known, so the first level was told"
    );
    until("the status says so", || (view(&sidecar).prefixes[0].observed == "normal").then_some(()));
    assert_eq!((view(&sidecar).drift, view(&sidecar).failing), (Vec::new(), None));
    assert!(view(&sidecar).death.contains("stay"), "{:?}", view(&sidecar));

    stage.responder.kill();
    stage.until_last(&line("withdrawn"));
    stage.responder.revive();
    stage.until_last(&line("normal"));
    sidecar.stop("the end");
    assert_eq!(stage.log().last(), Some(&line("withdrawn")));
}

#[test]
fn a_program_that_fails_is_an_alarm_and_drift_with_its_last_words_and_is_tried_again() {
    let stage = Stage::new(
        "fails",
        "[ $2 = withdrawn -o -e DIR/fixed ] && exit 0\necho no such router >&2\nexit 7\n",
    );
    let sidecar = Running::start(stage.config(stage.announcer()));
    let mut events = sidecar.0.events();
    sidecar.until_level(V4, "normal");
    let words = format!("exec test fails: {V4} normal: exit status: 7: no such router");
    until("the alarm stands", || sidecar.alarms().contains(&words).then_some(()));
    until("the drift is shown", || view(&sidecar).drift.first().map(|_| ()));
    let drift = view(&sidecar).drift[0].to_string();
    assert!(drift.contains("should be normal and is unknown"), "{drift}");
    until("an event tells of the drift", || match events.try_recv().ok()? {
        Event::Drift { announcer, .. } => (announcer == "exec test").then_some(()),
        _ => None,
    });
    assert!(view(&sidecar).said.iter().any(|line| line.ends_with("no such router")), "{:?}", view(&sidecar));

    std::fs::write(stage.path("fixed"), "").unwrap();
    until("the next attempt helps", || sidecar.alarms().is_empty().then_some(()));
    assert_eq!(view(&sidecar).drift, []);
}

#[test]
fn a_withdrawal_does_not_wait_for_a_program_that_hangs_while_it_announces() {
    let mut stage = Stage::new("hangs", &format!("[ \"$2\" = normal ] && exec sleep 1000\n{TELL}"));
    let sidecar = Running::start(stage.config(stage.announcer()));
    sidecar.until_level(V4, "normal");
    until("the program hangs", || view(&sidecar).state.contains("1 runs").then_some(()));
    stage.responder.kill();
    sidecar.until_level(V4, "withdrawn");
    until("the withdrawal is told twice", || (stage.log().len() == 2).then_some(()));
    until("it is observed", || (view(&sidecar).prefixes[0].observed == "withdrawn").then_some(()));
}

/// Fails to withdraw while there is a file `broken`, and takes that away with it where there is one `once` as well.
const BREAKS: &str = "if [ \"$2\" = withdrawn -a -e DIR/broken ]; then\n\
                      echo failed >> DIR/log; [ -e DIR/once ] && rm DIR/broken; echo no router; exit 7; fi\n";

#[test]
fn at_the_stop_a_withdrawal_that_has_failed_waits_for_no_pause() {
    let mut stage = Stage::new("hurry", &format!("{BREAKS}{TELL}"));
    let mut announcer = stage.announcer();
    let Way::Exec(exec) = &mut announcer.way else { panic!("an exec announcer") };
    // As long as a withdrawal ever pauses.
    exec.retry = Duration::from_secs(2);
    let sidecar = Running::start(stage.config(announcer));
    let line = |level: &str| format!("first word|{level}|{V4}|{level}|ipv4|main|a.ams");
    stage.until_last(&line("normal"));
    std::fs::write(stage.path("broken"), "").unwrap();
    stage.responder.kill();
    let words = format!("exec test fails: {V4} withdrawn: exit status: 7: no router");
    until("the withdrawal fails", || sidecar.alarms().contains(&words).then_some(()));
    std::fs::remove_file(stage.path("broken")).unwrap();
    sidecar.stop("the end");
    assert_eq!(stage.log().last(), Some(&line("withdrawn")));
}

#[test]
fn a_withdrawal_that_fails_at_the_stop_is_tried_again() {
    let stage = Stage::new("again", &format!("{BREAKS}{TELL}"));
    let sidecar = Running::start(stage.config(stage.announcer()));
    let line = |level: &str| format!("first word|{level}|{V4}|{level}|ipv4|main|a.ams");
    stage.until_last(&line("normal"));
    std::fs::write(stage.path("once"), "").unwrap();
    std::fs::write(stage.path("broken"), "").unwrap();
    sidecar.stop("the end");
    assert_eq!(stage.log()[2..], ["failed".to_owned(), line("withdrawn")]);
}

#[test]
fn a_stop_waits_for_a_withdrawal_as_long_as_a_run_may_take() {
    // Longer than a stop takes that no program has part in.
    let stage = Stage::new("slow", &format!("[ $2 = withdrawn -a -e DIR/slow ] && sleep 6\n{TELL}"));
    let sidecar = Running::start(stage.config(stage.announcer()));
    let line = |level: &str| format!("first word|{level}|{V4}|{level}|ipv4|main|a.ams");
    stage.until_last(&line("normal"));
    std::fs::write(stage.path("slow"), "").unwrap();
    sidecar.stop("the end");
    assert_eq!(stage.log().last(), Some(&line("withdrawn")));
}

#[test]
fn a_stop_does_not_wait_for_ever_for_a_program_that_hangs_and_leaves_none_behind() {
    let script =
        format!("[ $2 = withdrawn -a -e DIR/hang ] && {{ sleep 1000 & echo $! > DIR/child; wait; }}\n{TELL}");
    let stage = Stage::new("bound", &script);
    let mut announcer = stage.announcer();
    let Way::Exec(exec) = &mut announcer.way else { panic!("an exec announcer") };
    exec.timeout = Duration::from_millis(500);
    let sidecar = Running::start(stage.config(announcer));
    stage.until_last(&format!("first word|normal|{V4}|normal|ipv4|main|a.ams"));
    std::fs::write(stage.path("hang"), "").unwrap();
    sidecar.stop("the end");
    stage.until_dead("child");
}

#[test]
fn no_program_runs_on_or_is_started_when_another_process_takes_over() {
    let hangs =
        "[ \"$2\" = normal ] && { sleep 1000 & echo $! > DIR/draft && mv DIR/draft DIR/child; wait; }\n";
    let mut stage = Stage::new("yields", &format!("{hangs}{TELL}"));
    let sidecar = Running::start(stage.config(stage.announcer()));
    until("the program hangs", || stage.path("child").exists().then_some(()));
    block(sidecar.0.give_way());
    stage.until_dead("child");
    let told = stage.log();
    stage.responder.kill();
    sidecar.until_level(V4, "withdrawn");
    sidecar.stop("it has ended");
    assert_eq!(stage.log(), told);
}

/// A configuration with so many prefixes that no cap has room for all of them, each looked at as often as can be.
fn crowd(stage: &Stage, timeout: Duration) -> (Vec<String>, Config) {
    let prefixes: Vec<_> = (0..20).map(|third| format!("198.18.{third}.0/24")).collect();
    let mut announcer = stage.announcer();
    let Way::Exec(exec) = &mut announcer.way else { panic!("an exec announcer") };
    exec.timeout = timeout;
    let (program, arguments) = (exec.program.clone(), exec.arguments.clone());
    exec.observe = Some(ObserveConfig { program, arguments, interval: Duration::from_millis(100) });
    let mut config = stage.config(announcer);
    config.groups[0].prefixes = prefixes.iter().map(|prefix| prefix.parse().unwrap()).collect();
    (prefixes, config)
}

/// Asked with the prefix alone, the program writes that down and hangs.
const HANGING_LOOK: &str = "[ $# = 2 ] && echo $2 >> DIR/looks && exec sleep 1000\n";

#[test]
fn programs_that_hang_while_they_look_keep_no_withdrawal_and_no_announcement_back() {
    let mut stage = Stage::new("looks", &format!("{HANGING_LOOK}{TELL}"));
    let (prefixes, config) = crowd(&stage, Duration::from_secs(60));
    let sidecar = Running::start(config);
    let until_told = |stage: &Stage, level: &str| {
        until(&format!("every prefix is told {level}"), || {
            let log = stage.log();
            let last = |prefix: &String| log.iter().rfind(|line| line.contains(&format!("|{prefix}|")));
            prefixes.iter().all(|prefix| last(prefix).is_some_and(|line| line.contains(level))).then_some(())
        });
    };
    until_told(&stage, "normal");
    until("as many looks hang as there may be", || {
        let looks = std::fs::read_to_string(stage.path("looks")).ok()?;
        (looks.lines().count() >= 8).then_some(())
    });
    stage.responder.kill();
    until_told(&stage, "withdrawn");
    stage.responder.revive();
    until_told(&stage, "normal");
    sidecar.stop("the end");
    until_told(&stage, "withdrawn");
}

#[test]
fn looks_that_hang_leave_every_prefix_its_turn() {
    let stage = Stage::new("turns", HANGING_LOOK);
    let (prefixes, config) = crowd(&stage, Duration::from_millis(200));
    let _sidecar = Running::start(config);
    until("every prefix is looked at", || {
        let looks = std::fs::read_to_string(stage.path("looks")).ok()?;
        prefixes.iter().all(|prefix| looks.lines().any(|line| line == prefix)).then_some(())
    });
}

#[test]
fn what_somebody_changes_by_hand_is_seen_and_mended() {
    // The state is a file: the program writes it, and asked with the prefix alone it reads it.
    let script =
        "if [ $# = 2 ]; then cat DIR/state; exit; fi\necho $2 > DIR/draft.$$ && mv DIR/draft.$$ DIR/state\n";
    let stage = Stage::new("hand", script);
    let mut announcer = stage.announcer();
    let Way::Exec(exec) = &mut announcer.way else { panic!("an exec announcer") };
    let interval = Duration::from_millis(100);
    let (program, arguments) = (exec.program.clone(), exec.arguments.clone());
    exec.observe = Some(ObserveConfig { program, arguments, interval });
    let sidecar = Running::start(stage.config(announcer));
    let state = || std::fs::read_to_string(stage.path("state")).unwrap_or_default();
    until("the route is there", || (state() == "normal\n").then_some(()));
    until("and seen", || {
        let view = view(&sidecar);
        (view.prefixes[0].observed == "normal" && view.drift.is_empty()).then_some(())
    });
    let mut events = sidecar.0.events();

    let by_hand = |state: &str| {
        // At once, so that no look finds half of it.
        std::fs::write(stage.path("hand"), state).unwrap();
        std::fs::rename(stage.path("hand"), stage.path("state")).unwrap();
    };
    by_hand("withdrawn\n");
    until("the drift is told", || match events.try_recv().ok()? {
        Event::Drift { wanted, observed, why, .. } => {
            let words = [wanted.as_str(), &observed, &why];
            (words == ["normal", "withdrawn", "somebody else has changed it"]).then_some(())
        }
        _ => None,
    });
    until("it is mended", || (state() == "normal\n").then_some(()));
    until("it is told that it is over", || match events.try_recv().ok()? {
        Event::DriftOver { .. } => Some(()),
        _ => None,
    });

    by_hand("up\n");
    until("nonsense is mended too", || (state() == "normal\n").then_some(()));
}

#[test]
fn looks_that_fail_are_an_alarm_and_leave_what_was_known_as_the_last_known() {
    let look = "if [ $# = 2 ]; then [ -e DIR/blind ] && echo no socket && exit 9; cat DIR/state; exit; fi\n";
    let tell = "echo $2 > DIR/draft.$$ && mv DIR/draft.$$ DIR/state; echo $2 >> DIR/log\n";
    let stage = Stage::new("blind", &format!("{look}{tell}"));
    let mut announcer = stage.announcer();
    let Way::Exec(exec) = &mut announcer.way else { panic!("an exec announcer") };
    let (program, arguments) = (exec.program.clone(), exec.arguments.clone());
    exec.observe = Some(ObserveConfig { program, arguments, interval: Duration::from_millis(100) });
    let sidecar = Running::start(stage.config(announcer));
    let effect = |sidecar: &Running| sidecar.0.status().prefixes[0].effect;
    let told = || stage.log().len();
    until("the route is seen", || {
        let sees = view(&sidecar).prefixes.first()?.observed == "normal";
        (sees && effect(&sidecar) == Some(Effect::Announced)).then_some(())
    });
    let before = told();
    std::fs::write(stage.path("blind"), "").unwrap();
    let words = format!("exec test fails: {V4} cannot be looked at: exit status: 9: no socket");
    until("the alarm stands", || sidecar.alarms().contains(&words).then_some(()));
    until("what is shown is the last known", || {
        (view(&sidecar).prefixes[0].observed == "normal (last known)").then_some(())
    });
    assert!(view(&sidecar).failing.unwrap().ends_with("no socket"));
    assert_eq!(effect(&sidecar), Some(Effect::NotKnown));
    assert_eq!(
        (view(&sidecar).drift, told()),
        (Vec::new(), before),
        "that nobody sees it is no reason to act"
    );
    std::fs::remove_file(stage.path("blind")).unwrap();
    until("a good look ends it", || {
        let sees = view(&sidecar).prefixes[0].observed == "normal" && view(&sidecar).failing.is_none();
        (sees && sidecar.alarms().is_empty() && effect(&sidecar) == Some(Effect::Announced)).then_some(())
    });
}

#[test]
fn a_configuration_that_would_leave_a_programs_routes_up_is_not_handed_over_to() {
    let stage = Stage::new("left", TELL);
    let sidecar = Running::start(stage.config(stage.announcer()));
    stage.until_last("first word|normal|192.0.2.0/24|normal|ipv4|main|a.ams");
    let refusal = |config: Config| {
        let estate = block(sidecar.0.offer()).unwrap();
        let refusal = Sidecar::prepare(config, Some(legacy(&estate))).err();
        sidecar.0.recall();
        refusal.map(|error| error.to_string())
    };
    assert_eq!(refusal(stage.config(stage.announcer())), None, "the same goes on");
    let mut without = stage.config(stage.announcer());
    without.announcers.clear();
    without.mode = Mode::DryRun;
    assert_eq!(
        refusal(without).unwrap(),
        "it would leave for good what the process before announces: 192.0.2.0/24 by exec test, which is no longer \
         configured; restart the sidecar instead, which withdraws every route before it ends"
    );
    let mut dry = stage.announcer();
    dry.mode = Mode::DryRun;
    let said = refusal(stage.config(dry)).unwrap();
    assert!(said.contains("192.0.2.0/24 by exec test, which runs dry now"), "{said}");
    let mut other = stage.config(stage.announcer());
    other.groups[0].prefixes = vec!["198.51.100.0/24".parse().unwrap()];
    let said = refusal(other).unwrap();
    assert!(said.contains("192.0.2.0/24 by exec test, no longer configured"), "{said}");
    // Nothing has been taken: the one that runs withdraws as ever.
    sidecar.stop("over");
    stage.until_last("first word|withdrawn|192.0.2.0/24|withdrawn|ipv4|main|a.ams");
}

#[test]
fn what_no_program_could_be_told_is_not_called_announced() {
    let stage = Stage::new("nobody", "[ $2 = withdrawn -o -e DIR/fixed ] && exit 0\nexit 7\n");
    let mut announcer = stage.announcer();
    announcer.mode = Mode::DryRun;
    let sidecar = Running::start(stage.config(announcer));
    sidecar.until_level(V4, "normal");
    let effect = |sidecar: &Running| sidecar.0.status().prefixes[0].effect;
    until("nobody is told", || (effect(&sidecar) == Some(Effect::NobodyTold)).then_some(()));
    let sidecar = Running::start(stage.config(stage.announcer()));
    sidecar.until_level(V4, "normal");
    until("a program that fails leaves nobody the wiser", || {
        (effect(&sidecar) == Some(Effect::NotKnown)).then_some(())
    });
    let why = sidecar.0.why(V4).unwrap().to_string();
    assert!(why.contains("that is decided only: who has the route is not known"), "{why}");
    std::fs::write(stage.path("fixed"), "").unwrap();
    until("it is told", || (effect(&sidecar) == Some(Effect::Announced)).then_some(()));
}

#[test]
fn in_a_dry_run_no_program_is_run_and_the_status_shows_what_would_be_told() {
    let stage = Stage::new("dry", TELL);
    let mut announcer = stage.announcer();
    announcer.mode = Mode::DryRun;
    let sidecar = Running::start(stage.config(announcer));
    until("the level is shown", || {
        (view(&sidecar).prefixes.first()?.observed == "(dry run, not done) normal").then_some(())
    });
    assert_eq!(stage.log(), Vec::<String>::new());
    assert_eq!(view(&sidecar).state, "dry run: nothing is done");
}
