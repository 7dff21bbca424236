//! The announcer `bird` with a real BIRD, and with whatever else may listen on a socket.
//!
//! BIRD runs without privileges and without neighbours here: what it would tell them is what it shows. Without BIRD these
//! tests leave themselves out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop right there")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::bird::{Bird, INCLUDES};
use common::{FakeResponder, LOCALHOST, Running, V4, config, until};
use pharos_sidecar::status::AnnouncerStatus;
use pharos_sidecar::{
    AnnouncerConfig, BirdConfig, Community, Config, Death, Event, LevelMap, Mode, Reload, Way,
};

/// Quicker than in earnest, since the tests wait for looks and pauses.
fn settings(control: &Path, include: &Path) -> BirdConfig {
    BirdConfig {
        control: control.to_owned(),
        include: include.to_owned(),
        levels: LevelMap::with_communities(vec![Community::new(64512, 53)]),
        undo_timeout: Some(Duration::from_secs(60)),
        reload: Reload::Full,
        look: Duration::from_millis(100),
        retry: Duration::from_millis(100),
        death: Death::Stay,
    }
}

fn with(responder: &FakeResponder, bird: BirdConfig) -> Config {
    let mut config = config(&[V4], vec![responder.address], Vec::new());
    config.probe.timeout = Duration::from_millis(500);
    let name = "bird".to_owned();
    config.announcers = vec![AnnouncerConfig { name, mode: Mode::Announce, way: Way::Bird(Box::new(bird)) }];
    config
}

fn of(responder: &FakeResponder, bird: &Bird) -> Config {
    with(responder, settings(&bird.path("bird.ctl"), &bird.path("pharos.conf")))
}

fn view(sidecar: &Running) -> AnnouncerStatus {
    sidecar.0.status().announcers.into_iter().next().unwrap()
}

fn until_observed(sidecar: &Running, words: &str) {
    until(&format!("{words} is observed; {:?}", view(sidecar)), || {
        (view(sidecar).prefixes.first()?.observed.contains(words)).then_some(())
    });
}

#[test]
fn bird_has_the_route_with_the_attributes_of_its_level_and_loses_it_with_the_responder() {
    let Some(bird) = Bird::start("levels", INCLUDES) else { return };
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let sidecar = Running::start(of(&responder, &bird));
    bird.until_route(V4, "BGP.community: (64512,53)");
    until_observed(&sidecar, "normal");
    until("nothing drifts", || {
        (view(&sidecar).drift.is_empty() && sidecar.alarms().is_empty()).then_some(())
    });
    assert!(view(&sidecar).death.contains("stay for good"), "{:?}", view(&sidecar));

    responder.stop_tcp();
    bird.until_route(V4, "BGP.as_path: 64512");
    until_observed(&sidecar, "degraded");
    responder.stop_udp();
    bird.until_gone(V4);
    until_observed(&sidecar, "withdrawn");

    responder.revive();
    bird.until_route(V4, "BGP.community: (64512,53)");
    sidecar.stop("the end");
    bird.until_gone(V4);
    let file = std::fs::read_to_string(bird.path("pharos.conf")).unwrap();
    assert!(file.contains("disabled yes"), "a BIRD that restarts does not bring it back: {file}");
}

#[test]
fn a_configuration_that_bird_refuses_is_an_alarm_and_keeps_no_withdrawal_back() {
    let Some(bird) = Bird::start("refused", INCLUDES) else { return };
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let sidecar = Running::start(of(&responder, &bird));
    bird.until_route(V4, "(64512,53)");
    until("the file is confirmed", || (view(&sidecar).state.ends_with("connected")).then_some(()));

    // Somebody else's mistake, in somebody else's part of the configuration.
    bird.configure(&format!("{INCLUDES}protocol nonsense;\n"));
    responder.stop_tcp();
    let refused = until("the refusal is an alarm", || {
        sidecar
            .alarms()
            .into_iter()
            .find(|alarm| alarm.starts_with("bird fails: BIRD refuses the configuration: 8002 "))
    });
    assert!(refused.contains("bird.conf:4:"), "it names the place: {refused}");
    until("what cannot be told is drift", || {
        let drift = view(&sidecar).drift.into_iter().next()?;
        (drift.wanted == "degraded" && drift.observed == "normal").then_some(())
    });
    let file = std::fs::read_to_string(bird.path("pharos.conf")).unwrap();
    assert!(file.contains("description \"normal\""), "the old file is back: {file}");

    responder.stop_udp();
    bird.until_gone(V4);
    until("gone is what was wanted", || view(&sidecar).drift.is_empty().then_some(()));
    assert!(sidecar.alarms().iter().any(|alarm| alarm.starts_with("bird fails")), "{:?}", sidecar.alarms());

    bird.configure(INCLUDES);
    responder.revive();
    bird.until_route(V4, "(64512,53)");
    until("the alarms are over", || sidecar.alarms().is_empty().then_some(()));
}

#[test]
fn a_hand_on_the_switch_and_a_restart_are_seen_and_mended() {
    let Some(mut bird) = Bird::start("hand", INCLUDES) else { return };
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let sidecar = Running::start(of(&responder, &bird));
    bird.until_route(V4, "(64512,53)");
    until("nothing drifts", || view(&sidecar).drift.is_empty().then_some(()));
    let mut events = sidecar.0.events();

    until("the drift is told", || {
        // Whoever is early enough meets the first load, which takes it for a part of what it found.
        if bird.route(V4).is_some() {
            bird.ask("disable pharos_192_0_2_0_24");
        }
        match events.try_recv().ok()? {
            Event::Drift { announcer, wanted, observed, .. } => {
                (announcer == "bird" && wanted == "normal" && observed == "withdrawn").then_some(())
            }
            _ => None,
        }
    });
    bird.until_route(V4, "(64512,53)");
    until("it is told that it is over", || {
        matches!(events.try_recv().ok()?, Event::DriftOver { .. }).then_some(())
    });

    bird.kill();
    until("the loss is an alarm", || {
        sidecar.alarms().into_iter().find(|alarm| alarm.starts_with("bird fails"))
    });
    until_observed(&sidecar, "unknown: not connected");
    bird.revive();
    bird.until_route(V4, "(64512,53)");
    until("the alarms are over", || sidecar.alarms().is_empty().then_some(()));
}

/// Between a sidecar and its BIRD.
struct Proxy {
    /// What commands begin with that never reach BIRD, while it is told to swallow.
    command: &'static str,
    swallows: AtomicBool,
    swallowed: AtomicUsize,
}

impl Proxy {
    fn start(listen: &Path, bird: &Path, command: &'static str) -> Arc<Self> {
        let listener = UnixListener::bind(listen).unwrap();
        let (swallows, swallowed) = (AtomicBool::new(false), AtomicUsize::new(0));
        let proxy = Arc::new(Self { command, swallows, swallowed });
        let (bird, started) = (bird.to_owned(), Arc::clone(&proxy));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(to_bird) = UnixStream::connect(&bird) else { continue };
                let (mut from_bird, mut to_client) =
                    (to_bird.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from_bird, &mut to_client);
                    let _ = to_client.shutdown(std::net::Shutdown::Both);
                });
                let proxy = Arc::clone(&started);
                std::thread::spawn(move || proxy.hand_on(client, to_bird));
            }
        });
        proxy
    }

    fn hand_on(&self, client: UnixStream, mut to_bird: UnixStream) {
        for line in BufReader::new(client).lines().map_while(Result::ok) {
            if line.starts_with(self.command) && self.swallows.load(Ordering::SeqCst) {
                self.swallowed.fetch_add(1, Ordering::SeqCst);
            } else if to_bird.write_all(format!("{line}\n").as_bytes()).is_err() {
                break;
            }
        }
        let _ = to_bird.shutdown(std::net::Shutdown::Both);
    }

    fn swallow(&self) {
        self.swallows.store(true, Ordering::SeqCst);
    }

    fn until_swallowed(&self) {
        until("a command is swallowed", || (self.swallowed.load(Ordering::SeqCst) > 0).then_some(()));
    }

    fn let_through(&self) {
        self.swallows.store(false, Ordering::SeqCst);
    }
}

#[test]
fn what_is_not_confirmed_is_undone_by_bird_itself_and_loaded_again() {
    let Some(bird) = Bird::start("undo", INCLUDES) else { return };
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let proxy = Proxy::start(&bird.path("proxy.ctl"), &bird.path("bird.ctl"), "configure confirm");
    let mut settings = settings(&bird.path("proxy.ctl"), &bird.path("pharos.conf"));
    settings.undo_timeout = Some(Duration::from_secs(4));
    let mut config = with(&responder, settings);
    // Time to lose the second confirmation and not the first.
    config.hold_down = pharos_sidecar::HoldDown::new(Duration::from_secs(2));
    let sidecar = Running::start(config);
    until("the first load is confirmed", || {
        let loaded = bird.ask("show protocols \"pharos_*\"").contains(" down ");
        (loaded && view(&sidecar).state.ends_with("connected")).then_some(())
    });
    proxy.swallow();
    bird.until_route(V4, "(64512,53)");
    bird.until_gone(V4);
    proxy.let_through();
    bird.until_route(V4, "(64512,53)");
    until("all is well in the end", || sidecar.alarms().is_empty().then_some(()));
}

#[test]
fn looks_that_are_never_answered_keep_no_withdrawal_back() {
    let Some(bird) = Bird::start("looks", INCLUDES) else { return };
    let mut responder = FakeResponder::start(LOCALHOST).unwrap();
    let proxy = Proxy::start(&bird.path("proxy.ctl"), &bird.path("bird.ctl"), "show ");
    let settings = settings(&bird.path("proxy.ctl"), &bird.path("pharos.conf"));
    let sidecar = Running::start(with(&responder, settings));
    bird.until_route(V4, "(64512,53)");
    until("the load is confirmed", || view(&sidecar).state.ends_with("connected").then_some(()));
    proxy.swallow();
    proxy.until_swallowed();
    responder.kill();
    bird.until_gone(V4);
    proxy.let_through();
    until_observed(&sidecar, "withdrawn");
    responder.revive();
    bird.until_route(V4, "(64512,53)");
}

#[test]
fn whatever_else_listens_there_is_an_alarm_with_its_reason_and_nothing_worse() {
    let directory = std::env::temp_dir().join(format!("pharos-hostile-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let responder = FakeResponder::start(LOCALHOST).unwrap();
    let endless = format!("0001-{}\n", "x".repeat(1000)).repeat(2000);
    let hostile: [(&str, &str, &str); 6] = [
        ("http", "HTTP/1.1 400 Bad Request\r\n", "which is no reply of BIRD's"),
        ("refuses", "8007 Access denied\n", "an unexpected greeting: 8007 Access denied"),
        ("closes", "", "BIRD closed the connection"),
        ("line", &"x".repeat(100_000), "a line of more than 8192 octets"),
        ("endless", &endless, "a reply of more than 1048576 octets"),
        ("chatters", "0001 BIRD ready.\n0003 a\n0003 b\n", "an answer to nothing"),
    ];
    for (name, says, why) in hostile {
        let control = directory.join(name);
        let listener = UnixListener::bind(&control).unwrap();
        let says = says.to_owned();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for mut client in listener.incoming().map_while(Result::ok) {
                let _ = client.write_all(says.as_bytes());
                // One that says nothing hangs up.
                open.extend((!says.is_empty()).then_some(client));
            }
        });
        let sidecar = Running::start(with(&responder, settings(&control, &directory.join("pharos.conf"))));
        until(&format!("{why} is told; {:?}", sidecar.alarms()), || {
            sidecar.alarms().into_iter().find(|alarm| alarm.starts_with("bird fails") && alarm.contains(why))
        });
        sidecar.until_level(V4, "normal");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
