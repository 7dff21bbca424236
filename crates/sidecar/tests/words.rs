//! What has to survive the sidecar: the operator's words, and the recorded signals.

mod common;

use std::fs;
use std::io::BufRead as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{FakeResponder, LOCALHOST, Running, V4, config, until};
use pharos_sidecar::trace::{Line, Replay, older};
use pharos_sidecar::{Config, HoldDown, Level, Mode, RecordConfig, WordError};

const HOUR: Duration = Duration::from_secs(3600);

/// A directory that goes with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pharos-sidecar-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn settings(responder: SocketAddr, state: &Path) -> Config {
    let mut settings = config(&[V4], vec![responder], Vec::new());
    settings.mode = Mode::DryRun;
    settings.state = Some(state.to_owned());
    settings
}

fn kept(scratch: &Scratch) -> String {
    fs::read_to_string(scratch.0.join("words.json")).unwrap_or_default()
}

#[test]
fn a_wall_clock_that_was_set_ends_no_word_over_a_restart() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    for years in [1, -1] {
        let scratch = Scratch::new("clock");
        let sidecar = Running::start(settings(responder.address, &scratch.0));
        sidecar.until_level(V4, "normal");
        sidecar.0.force(V4, Level::Degraded, HOUR, "congestion", "bob").unwrap();
        until("it is written down", || kept(&scratch).contains("congestion").then_some(()));
        drop(sidecar);
        // As it would read had the clock been set since.
        let mut file: serde_json::Value = serde_json::from_str(&kept(&scratch)).unwrap();
        let set = |time: &mut serde_json::Value| {
            *time = (time.as_i64().unwrap() - years * 365 * 86_400_000).into();
        };
        set(&mut file["unix_ms"]);
        set(&mut file["stands"][0]["said_unix_ms"]);
        set(&mut file["stands"][0]["expires"]["unix_ms"]);
        fs::write(scratch.0.join("words.json"), file.to_string()).unwrap();

        let sidecar = Running::start(settings(responder.address, &scratch.0));
        let word = sidecar.0.status().words.remove(0);
        assert_eq!(word.what, "forced to degraded");
        let (left, age) = (word.expires_after_seconds, word.age_seconds);
        assert!((3000.0..3600.0).contains(&left) && age < 600.0, "{left} s left, {age} s old");
    }
}

#[test]
fn a_drain_and_a_forced_level_survive_a_restart_and_end_on_a_word() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let scratch = Scratch::new("words");
    let sidecar = Running::start(settings(responder.address, &scratch.0));
    sidecar.until_level(V4, "normal");
    sidecar.0.force(V4, Level::LastResort, HOUR, "congestion", "bob").unwrap();
    assert_eq!(sidecar.0.why(V4).unwrap().level, Level::LastResort);
    sidecar.0.drain("new disks", "ada", None, None).unwrap();
    sidecar.until_level(V4, "withdrawn");
    until("both words are written down, and that it is withdrawn", || {
        let text = kept(&scratch);
        let all = text.contains("congestion") && text.contains("new disks");
        (all && !text.contains("\"left_unix_ms\": null")).then_some(())
    });
    drop(sidecar);

    let sidecar = Running::start(settings(responder.address, &scratch.0));
    let status = sidecar.0.status();
    let drain = status.drain.expect("the drain is in force from the start");
    assert_eq!((drain.words.author.as_str(), drain.words.text.as_str()), ("ada", "new disks"));
    assert_eq!(status.words[0].what, "forced to last-resort");
    let mut alarms = sidecar.alarms();
    alarms.sort();
    let word = format!("operator's word on {V4}: forced to last-resort by bob: congestion");
    assert_eq!(alarms, ["drain in force: drained by ada: new disks".to_owned(), word]);
    sidecar.0.undrain("done", "ada");
    // A restart is a return, which is earned first.
    sidecar.until_level(V4, "last-resort");
    sidecar.0.release("all", "done", "bob").unwrap();
    sidecar.until_level(V4, "normal");
    until("no word is written down", || {
        let text = kept(&scratch);
        (!text.contains("congestion") && !text.contains("new disks")).then_some(())
    });
}

#[test]
fn words_on_what_is_not_there_are_refused_by_name() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let scratch = Scratch::new("refused");
    let sidecar = Running::start(settings(responder.address, &scratch.0));
    let refused = |result: Result<(), WordError>| result.unwrap_err().to_string();
    assert_eq!(
        refused(sidecar.0.hold("203.0.113.0/24", HOUR, "", "ada")),
        format!("203.0.113.0/24 is not configured; there are all, main, {V4}")
    );
    assert!(refused(sidecar.0.hold("192.0.2.1/24", HOUR, "", "ada")).contains("host bits"));
    let long = refused(sidecar.0.force("main", Level::Normal, HOUR * 24 * 400, "", "ada"));
    assert!(long.contains("longer than a word may last"), "{long}");
    assert_eq!(
        refused(sidecar.0.release("main", "", "ada")),
        "nothing on group main is held or forced; in force are none"
    );
    assert_eq!(kept(&scratch), "");
}

/// Waits as somebody does who has said a word.
fn kept_words(sidecar: &Running) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(sidecar.0.words_kept()).map_err(|error| error.to_string())
}

#[test]
fn a_word_is_on_the_disk_when_it_is_said_to_be() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let scratch = Scratch::new("kept");
    let sidecar = Running::start(settings(responder.address, &scratch.0));
    kept_words(&sidecar).unwrap();
    for word in ["one", "two", "three"] {
        sidecar.0.drain(word, "ada", None, None).unwrap();
        kept_words(&sidecar).unwrap();
        assert!(kept(&scratch).contains(word), "{}", kept(&scratch));
    }
    sidecar.0.undrain("", "ada");
    kept_words(&sidecar).unwrap();
    assert!(!kept(&scratch).contains("three"));
}

#[test]
fn words_that_cannot_be_written_hold_and_are_an_alarm_until_they_can() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let scratch = Scratch::new("unwritten");
    // A directory where the file should begin.
    let in_the_way = scratch.0.join("words.new");
    fs::create_dir_all(&in_the_way).unwrap();
    let sidecar = Running::start(settings(responder.address, &scratch.0));
    sidecar.until_level(V4, "normal");
    sidecar.0.hold("all", HOUR, "quiet", "ada").unwrap();
    let error = kept_words(&sidecar).unwrap_err();
    assert!(error.starts_with("what was said holds from now on, but it is not on the disk"), "{error}");
    assert!(error.contains("words.json: "), "{error}");
    assert_eq!(sidecar.0.status().words[0].what, "held");
    assert!(sidecar.alarms().iter().any(|alarm| alarm.contains("a restart would forget them")));
    fs::remove_dir(&in_the_way).unwrap();
    // Another word is written at once, and with it the one before.
    sidecar.0.force(V4, Level::Normal, HOUR, "", "bob").unwrap();
    kept_words(&sidecar).unwrap();
    until("it is written after all", || {
        let silent = sidecar.alarms().iter().all(|alarm| !alarm.starts_with("operator's words not saved"));
        (silent && kept(&scratch).contains("quiet")).then_some(())
    });
}

#[test]
fn a_node_whose_words_cannot_be_read_asks_for_no_queries_until_a_person_says_so() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let scratch = Scratch::new("unreadable");
    fs::create_dir_all(&scratch.0).unwrap();
    let garbage = "{\"drain\": {\"words\": {\"author\": \"a";
    fs::write(scratch.0.join("words.json"), garbage).unwrap();
    let unreadable = |sidecar: &Running| {
        let alarms = sidecar.alarms();
        let alarm = alarms.into_iter().find(|alarm| alarm.starts_with("operator's words unreadable: "))?;
        assert!(
            alarm.contains("words.json cannot be read") && alarm.contains("`pharos release all`"),
            "{alarm}"
        );
        Some(())
    };
    let sidecar = Running::start(settings(responder.address, &scratch.0));
    unreadable(&sidecar).expect("an alarm from the start");
    until("every probe is good", || sidecar.0.ready().ok());
    assert_eq!(sidecar.0.status().words[0].words.author, "the sidecar itself");
    sidecar.until_level(V4, "draining");
    assert!(
        sidecar.0.why(V4).unwrap().history.iter().all(|change| change.to >= Level::Draining),
        "no better one"
    );
    until("the word is written down", || kept(&scratch).contains("the sidecar itself").then_some(()));
    assert_eq!(fs::read_to_string(scratch.0.join("words.json.unreadable")).unwrap(), garbage);
    drop(sidecar);

    // It is no secret that a restart keeps.
    let sidecar = Running::start(settings(responder.address, &scratch.0));
    unreadable(&sidecar).expect("the alarm stands still");
    sidecar.0.release("all", "it may", "ada").unwrap();
    sidecar.until_level(V4, "normal");
    until("the alarm ends with the doubt", || unreadable(&sidecar).is_none().then_some(()));
    until("what is written is the truth", || kept(&scratch).contains("\"stands\": []").then_some(()));
}

/// A hold-down that doubles from 50 ms, and that no slow machine forgets.
fn with_patience(mut settings: Config) -> Config {
    let quick = Duration::from_millis(50);
    settings.hold_down = HoldDown { first: quick, base: quick, max: quick * 16, forget: HOUR };
    settings
}

/// Ends an announced sidecar, and leaves its falls and returns as one leaves them that nobody has told to end.
fn killed(sidecar: Running, file: &Path) {
    let dead = until("the return is written down", || {
        let text = fs::read_to_string(file).ok()?;
        text.contains("\"level\": \"normal\"").then_some(text)
    });
    assert!(dead.contains("\"end\": \"broken\""), "{dead}");
    drop(sidecar);
    let ordered = fs::read_to_string(file).expect("it is there");
    assert!(ordered.contains("\"end\": \"ordered\""), "{ordered}");
    fs::write(file, dead).expect("it can be written");
}

#[test]
fn a_sidecar_that_dies_whenever_it_has_announced_waits_longer_each_time_and_one_that_is_stopped_does_not() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let scratch = Scratch::new("flaps");
    let file = scratch.0.join("flaps.json");
    let settings = || with_patience(settings(responder.address, &scratch.0));
    let mut waits = Vec::new();
    let mut returns = Vec::new();
    for _ in 0..4 {
        let sidecar = Running::start(settings());
        let why = sidecar.0.why(V4).unwrap();
        waits.push(why.hold_down.as_millis());
        returns.push(why.returns.counted);
        sidecar.until_level(V4, "normal");
        killed(sidecar, &file);
    }
    assert_eq!((waits, returns), (vec![50, 50, 100, 200], vec![0, 1, 2, 3]));
    for returns in [4, 5] {
        let sidecar = Running::start(settings());
        let why = sidecar.0.why(V4).unwrap();
        assert_eq!((why.hold_down.as_millis(), why.returns.counted), (400, returns));
        sidecar.until_level(V4, "normal");
    }
}

#[test]
fn falls_and_returns_that_cannot_be_read_begin_anew_with_an_alarm_until_they_are_written() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let scratch = Scratch::new("no-flaps");
    fs::create_dir_all(&scratch.0).unwrap();
    let file = scratch.0.join("flaps.json");
    fs::write(&file, "[1, 2").unwrap();
    let mut settings = settings(responder.address, &scratch.0);
    // Nothing is written before a level changes.
    settings.hold_down = HoldDown::new(HOUR);
    let alarm = |sidecar: &Running| {
        sidecar.alarms().into_iter().find(|alarm| alarm.starts_with("falls and returns not kept: "))
    };
    let sidecar = Running::start(settings.clone());
    let text = alarm(&sidecar).expect("an alarm from the start");
    assert!(text.contains("flaps.json cannot be read") && text.contains("begin anew"), "{text}");
    drop(sidecar);

    fs::write(&file, "[1, 2").unwrap();
    settings.hold_down = HoldDown::new(Duration::from_millis(50));
    let sidecar = Running::start(settings);
    sidecar.until_level(V4, "normal");
    until("the alarm is over", || alarm(&sidecar).is_none().then_some(()));
    assert!(fs::read_to_string(&file).unwrap().contains("\"end\": \"broken\""));
}

/// A replay of these files through `settings`.
fn replay(path: &Path, settings: &Config) -> Replay {
    let mut replay = Replay::new(settings.policy()).expect("the settings can work");
    for file in [older(path), path.to_owned()] {
        let Ok(file) = fs::File::open(file) else { continue };
        for line in std::io::BufReader::new(file).lines() {
            replay
                .take(serde_json::from_str::<Line>(&line.expect("text")).expect("a line of the record"))
                .expect("in order");
        }
    }
    replay
}

#[test]
fn what_was_recorded_replays_to_what_was_done_over_files_that_change() {
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let scratch = Scratch::new("recorded");
    let path = scratch.0.join("signals.jsonl");
    let mut settings = settings(responder.address, &scratch.0);
    settings.record = Some(RecordConfig { path: path.clone(), octets: 20_000 });
    let sidecar = Running::start(settings.clone());
    sidecar.until_level(V4, "normal");
    responder.kill();
    sidecar.until_level(V4, "withdrawn");
    responder.revive();
    sidecar.until_level(V4, "normal");
    until("the first file is full", || older(&path).exists().then_some(()));
    sidecar.0.drain("new disks", "ada", None, None).unwrap();
    sidecar.until_level(V4, "withdrawn");
    let history = sidecar.0.why(V4).unwrap().history.len();
    // A replay comes as far as its last line, and time alone writes none.
    let recorded = || fs::metadata(&path).map_or(0, |file| file.len());
    let before = recorded();
    until("something is recorded after the withdrawal", || (recorded() != before).then_some(()));
    drop(sidecar);
    let replay = replay(&path, &settings);
    let moved: Vec<_> =
        replay.moved().iter().map(|moved| format!("{} -> {}", moved.from, moved.to)).collect();
    let really = replay.really_moved();
    // The files may have changed more than once, and the oldest is let go.
    let lived = [
        "withdrawn -> normal",
        "normal -> withdrawn",
        "withdrawn -> normal",
        "normal -> draining",
        "draining -> withdrawn",
    ];
    assert_eq!(history, lived.len());
    assert!(lived.ends_with(&moved.iter().map(String::as_str).collect::<Vec<_>>()), "{moved:?}");
    assert!(moved.len() >= 2 && moved.len() == really, "{moved:?}, really {really}");
}

#[test]
fn a_replay_waits_as_long_as_the_sidecar_that_had_read_of_falls_before_it() {
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let scratch = Scratch::new("recorded-flaps");
    let path = scratch.0.join("signals.jsonl");
    let mut settings = with_patience(settings(responder.address, &scratch.0));
    settings.record = Some(RecordConfig { path: path.clone(), octets: 64 << 20 });
    let mut lived = Vec::new();
    for _ in 0..5 {
        let sidecar = Running::start(settings.clone());
        sidecar.until_level(V4, "normal");
        lived.push(sidecar.0.why(V4).unwrap().history[0].cause.clone());
        // A replay comes as far as its last line: one more, which changes nothing.
        sidecar.0.undrain("", "ada");
        killed(sidecar, &scratch.0.join("flaps.json"));
    }
    assert!(lived[4].contains("hold-down of 400ms is over"), "{lived:?}");
    let replay = replay(&path, &settings);
    let announced: Vec<_> = replay.moved().iter().filter(|moved| moved.to == Level::Normal).collect();
    assert_eq!(announced.len(), lived.len());
    for (moved, lived) in announced.iter().zip(&lived) {
        // It may have been announced before its recording began.
        assert!(moved.cause.ends_with(lived.as_str()), "{moved:?}, really {lived}");
    }
}
