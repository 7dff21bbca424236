//! The sidecar's BGP and BFD against the routers of others, each in a namespace of its own: BIRD, FRR, GoBGP and ExaBGP
//! hold sessions over IPv4 and IPv6 and learn both families; passwords, TTL checks, roles and IPv6 next hops agree with
//! theirs; and with BFD a frozen process is seen from both sides.
//!
//! Nothing here judges a time: times are printed. That it was BFD which saw something, and not the hold timer, is
//! told by what each side says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common {
    pub(crate) mod stage;
}

use common::stage::{NEXT_HOPS, PREFIXES, Stage};
use pharos_tests::lab::{Bird, Daemon, Frr, observe, pharos_binary, print_time, wait_for, wait_until};
use rustix::process::Signal;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

const SECRET: &str = "an0ther-s3cret";

/// The neighbours of most tests: over IPv4 with a password and the TTL check, and over IPv6 with IPv6 next hops for
/// both families.
fn neighbours(more4: &str, more6: &str) -> String {
    format!(
        "neighbours:
  - address: 10.0.0.1
    as: 64500
    {NEXT_HOPS}
    md5-key: \"{SECRET}\"
    ttl-security: neighbour
    communities: [no-export]
    large-communities: [\"64512:1:53\"]
    connect-retry: 100ms
    {more4}
  - address: \"fd00::1\"
    as: 64500
    next-hop-ipv4: \"fd00::2\"
    connect-retry: 100ms
    {more6}
"
    )
}

const BFD: &str = "bfd: {interval: 100ms, multiplier: 3}";

fn bird_config(more4: &str, more6: &str) -> String {
    format!(
        "log stderr all;
router id 10.0.0.1;
protocol device {{}}
protocol direct {{ ipv4; ipv6; }}
protocol bfd {{ interface \"node\" {{ min rx interval 100 ms; min tx interval 100 ms; idle tx interval 1 s; multiplier 3; }}; }}
protocol bgp over4 {{
  local 10.0.0.1 as 64500; neighbor 10.0.0.2 as 64512;
  passive on; hold time 30; error wait time 1, 1; password \"{SECRET}\"; ttl security on; {more4}
  ipv4 {{ import all; export none; }};
  ipv6 {{ import all; export none; }};
}}
protocol bgp over6 {{
  local fd00::1 as 64500; neighbor fd00::2 as 64512;
  passive on; hold time 30; error wait time 1, 1; {more6}
  ipv4 {{ import all; export none; extended next hop on; }};
  ipv6 {{ import all; export none; }};
}}
"
    )
}

/// What BIRD has from one of its sessions.
fn bird_routes(bird: &Bird, protocol: &str) -> String {
    bird.ask(&format!("show route protocol {protocol} all")).join("\n")
}

#[test]
#[ignore = "needs root and BIRD"]
fn bird_learns_both_families_over_both_and_agrees_on_everything() {
    let mut stage = Stage::new(&neighbours("", "bgp-role: customer\n    bgp-role-check: strict"));
    let bird = Bird::start(&stage.router, &stage.workspace, &bird_config("", "local role provider;"));
    stage.start();
    for (protocol, via4) in [("over4", "BGP.next_hop: 10.0.0.2"), ("over6", "BGP.next_hop: fd00::2")] {
        wait_until("BIRD has both routes", || {
            let routes = bird_routes(&bird, protocol);
            PREFIXES.iter().all(|prefix| routes.contains(prefix))
        });
        let routes = bird_routes(&bird, protocol);
        assert!(routes.contains(via4) && routes.contains("BGP.next_hop: fd00::2"), "{routes}");
    }
    let routes = bird_routes(&bird, "over4");
    assert!(routes.contains("BGP.community: (64512,100) (65535,65281)"), "{routes}");
    assert!(routes.contains("BGP.large_community: (64512, 1, 53)"), "{routes}");
    let sessions = bird.ask("show protocols all over6").join("\n");
    assert!(sessions.contains("Extended next hop") && sessions.contains("Role: customer"), "{sessions}");

    // ROUTE-REFRESH: everything again, and nothing is missing afterwards.
    bird.ask("reload in over6");
    wait_until("the sidecar hears the request", || {
        stage.sidecar().log().contains("the neighbour asked for our routes again")
    });
    assert!(bird_routes(&bird, "over6").contains("192.0.2.0/24"));

    let status = stage.status_text();
    assert!(status.contains("IPv6 next hops for IPv4, the neighbour is provider"), "{status}");
    // What BIRD's operator says when it shuts a session down, and what ours says (RFC 9003).
    bird.ask("disable over6 \"power work, back at 04:00\"");
    wait_until("the reason is shown", || {
        stage
            .status_text()
            .contains("Administrative Shutdown (6/2): \u{201c}power work, back at 04:00\u{201d}")
    });
    // And it stays to be asked for when the session is up again.
    bird.ask("enable over6");
    wait_until("the session is up again", || {
        stage.neighbour("fd00::1").is_some_and(|neighbour| neighbour["state"] == "Established")
    });
    let told = stage.neighbour("fd00::1").unwrap()["last_notification"].clone();
    assert_eq!(
        (&told["direction"], &told["code"], &told["subcode"]),
        (&"received".into(), &6.into(), &2.into())
    );
    assert_eq!(told["communication"], "power work, back at 04:00");
    stage.sidecar().signal(Signal::TERM);
    wait_until("BIRD is told why", || {
        bird.ask("show protocols all over4").join("\n").contains("sidecar is stopping")
    });
}

#[test]
#[ignore = "needs root and BIRD"]
fn what_does_not_agree_is_refused_with_a_reason_that_people_see() {
    let mut stage = Stage::new(&neighbours("", "bgp-role: peer"));
    let config = bird_config("", "local role provider;").replace(SECRET, "wrong");
    let _bird = Bird::start(&stage.router, &stage.workspace, &config);
    stage.start();
    wait_until("the roles are refused", || {
        let status = stage.status_text();
        status.contains("Role Mismatch (2/11)")
    });
    // A wrong password looks like nobody: the kernel drops what is not signed with it.
    wait_until("a neighbour with another password stays down", || {
        let status = stage.neighbour("10.0.0.1").unwrap_or_default();
        status.to_string().contains("did not accept a connection within")
    });
    assert!(stage.alarms().iter().filter(|kind| *kind == "neighbour-down").count() == 2);
}

fn frr_config(more4: &str) -> String {
    format!(
        "!
router bgp 64500
 bgp router-id 10.0.0.1
 no bgp ebgp-requires-policy
 no bgp default ipv4-unicast
 no bgp network import-check
 neighbor 10.0.0.2 remote-as 64512
 neighbor 10.0.0.2 password {SECRET}
 neighbor 10.0.0.2 ttl-security hops 1
 neighbor 10.0.0.2 passive
 {more4}
 neighbor fd00::2 remote-as 64512
 neighbor fd00::2 passive
 neighbor fd00::2 capability extended-nexthop
 neighbor fd00::2 local-role provider
 address-family ipv4 unicast
  neighbor 10.0.0.2 activate
  neighbor fd00::2 activate
 exit-address-family
 address-family ipv6 unicast
  neighbor 10.0.0.2 activate
  neighbor fd00::2 activate
 exit-address-family
exit
"
    )
}

/// What bgpd has for a prefix: the next hops of its paths.
fn frr_next_hops(frr: &Frr, prefix: &str) -> Vec<String> {
    let entry = frr.entry(prefix);
    let paths = entry.get("paths").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let mut hops: Vec<String> =
        paths.iter().filter_map(|path| Some(path.pointer("/nexthops/0/ip")?.as_str()?.to_owned())).collect();
    hops.sort();
    hops
}

#[test]
#[ignore = "needs root and FRR"]
fn frr_learns_both_families_over_both_and_agrees_on_everything() {
    let config = neighbours("", "bgp-role: customer");
    let mut stage = Stage::new(&config);
    let frr = Frr::start(&stage.router, &stage.workspace, &frr_config(""));
    stage.start();
    wait_until("FRR has both routes twice", || {
        frr_next_hops(&frr, PREFIXES[0]) == ["10.0.0.2", "fd00::2"]
            && frr_next_hops(&frr, PREFIXES[1]) == ["fd00::2", "fd00::2"]
    });
    let entry = frr.entry(PREFIXES[0]).to_string();
    assert!(entry.contains("64512:100 no-export") && entry.contains("64512:1:53"), "{entry}");
    let status = stage.status_text();
    assert!(status.contains("IPv6 next hops for IPv4, the neighbour is provider"), "{status}");
    frr.ask("clear bgp fd00::2 soft in");
    wait_until("the sidecar hears the request", || {
        stage.sidecar().log().contains("the neighbour asked for our routes again")
    });
    wait_until("nothing is missing afterwards", || {
        frr_next_hops(&frr, PREFIXES[0]) == ["10.0.0.2", "fd00::2"]
    });
}

#[test]
#[ignore = "needs root and GoBGP"]
fn gobgp_learns_both_families_over_both() {
    let neighbours = "neighbours:
  - {address: 10.0.0.1, as: 64500, next-hop-ipv4: 10.0.0.2, next-hop-ipv6: \"fd00::2\", md5-key: secret, connect-retry: 100ms}
  - {address: \"fd00::1\", as: 64500, next-hop-ipv4: 10.0.0.2, next-hop-ipv6: \"fd00::2\", connect-retry: 100ms}
";
    let mut stage = Stage::new(neighbours);
    let family = |name: &str| {
        format!("[[neighbors.afi-safis]]\n[neighbors.afi-safis.config]\nafi-safi-name = \"{name}\"\n")
    };
    let neighbour = |address: &str, password: &str| {
        format!(
            "[[neighbors]]\n[neighbors.config]\nneighbor-address = \"{address}\"\npeer-as = 64512\n{password}\n\
             [neighbors.transport.config]\npassive-mode = true\n{}{}",
            family("ipv4-unicast"),
            family("ipv6-unicast")
        )
    };
    let config = format!(
        "[global.config]\nas = 64500\nrouter-id = \"10.0.0.1\"\n{}{}",
        neighbour("10.0.0.2", "auth-password = \"secret\""),
        neighbour("fd00::2", "")
    );
    let file = stage.workspace.write("gobgpd.conf", &config);
    let log = stage.workspace.join("gobgpd.log");
    let arguments = ["-f", file.to_str().unwrap(), "--api-hosts", "127.0.0.1:50051"];
    let _gobgpd: Daemon = stage.router.start("gobgpd", Path::new("gobgpd"), &arguments, &log);
    stage.start();
    let table = |family: &str| {
        let output =
            stage.router.command("gobgp").args(["global", "rib", "-a", family, "-j"]).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default()
    };
    for (family, prefix) in [("ipv4", PREFIXES[0]), ("ipv6", PREFIXES[1])] {
        wait_until("GoBGP has the route from both sessions", || {
            table(family)
                .get(prefix)
                .and_then(serde_json::Value::as_array)
                .is_some_and(|paths| paths.len() == 2)
        });
    }
    let words = table("ipv4").to_string();
    assert!(words.contains("10.0.0.2"), "{words}");
    outlive_the_hold_time(&stage);
    withdraw_all(&stage);
    wait_until("GoBGP has neither", || {
        [("ipv4", PREFIXES[0]), ("ipv6", PREFIXES[1])].iter().all(|(family, prefix)| {
            let routes = table(family);
            routes.is_object() && routes.get(*prefix).is_none()
        })
    });
    assert_never_down(&stage);
}

#[test]
#[ignore = "needs root and ExaBGP"]
fn exabgp_connects_to_a_sidecar_that_waits_and_reads_both_families() {
    let neighbours = "neighbours:
  - {address: 10.0.0.1, as: 64500, mode: passive, local-address: 10.0.0.2, md5-key: secret, next-hop-ipv6: \"fd00::2\"}
  - {address: \"fd00::1\", as: 64500, mode: passive, local-address: \"fd00::2\", next-hop-ipv4: 10.0.0.2}
";
    let mut stage = Stage::new(neighbours);
    let heard = stage.workspace.join("heard.json");
    let neighbour = |far: &str, near: &str, md5: &str| {
        format!(
            "neighbor {far} {{ router-id 10.0.0.1; local-address {near}; local-as 64500; peer-as 64512; hold-time 30; {md5}
               family {{ ipv4 unicast; ipv6 unicast; }} api {{ processes [ log ]; receive {{ parsed; update; }} }} }}\n"
        )
    };
    let config = format!(
        "process log {{ run /bin/sh -c \"cat > {}\"; encoder json; }}\n{}{}",
        heard.display(),
        neighbour("10.0.0.2", "10.0.0.1", "md5-password secret;"),
        neighbour("fd00::2", "fd00::1", "")
    );
    let file = stage.workspace.write("exabgp.conf", &config);
    stage.start();
    let log = stage.workspace.join("exabgp.log");
    let arguments = ["exabgp.daemon.drop=false", "exabgp.api.cli=false", "exabgp", file.to_str().unwrap()];
    let _exabgp: Daemon = stage.router.start("exabgp", Path::new("/usr/bin/env"), &arguments, &log);
    wait_until("ExaBGP has both routes from both sessions", || {
        let heard = std::fs::read_to_string(&heard).unwrap_or_default();
        let from = |address: &str| {
            let said: Vec<&str> =
                heard.lines().filter(|line| line.contains(&format!("\"peer\": \"{address}\""))).collect();
            PREFIXES.iter().all(|prefix| said.iter().any(|line| line.contains(prefix)))
        };
        from("10.0.0.2") && from("fd00::2")
    });
    outlive_the_hold_time(&stage);
    withdraw_all(&stage);
    wait_until("ExaBGP hears from both sessions that both are withdrawn", || {
        let heard = std::fs::read_to_string(&heard).unwrap_or_default();
        ["10.0.0.2", "fd00::2"].iter().all(|address| {
            let from = |line: &&str| line.contains(&format!("\"peer\": \"{address}\""));
            let withdrawn: Vec<_> = heard
                .lines()
                .filter(from)
                .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
                .filter_map(|said| said.pointer("/neighbor/message/update/withdraw").map(ToString::to_string))
                .collect();
            PREFIXES.iter().all(|prefix| withdrawn.iter().any(|said| said.contains(prefix)))
        })
    });
    assert_never_down(&stage);
}

/// Until both have had to hear each other's keepalives: the hold time is 9 s.
fn outlive_the_hold_time(stage: &Stage) {
    wait_until("the hold time has passed", || {
        stage.status().is_some_and(|status| status["uptime_seconds"].as_f64().unwrap() > 11.0)
    });
    assert_never_down(stage);
}

fn assert_never_down(stage: &Stage) {
    for name in ["10.0.0.1", "fd00::1"] {
        let neighbour = stage.neighbour(name).unwrap();
        assert_eq!((&neighbour["state"], &neighbour["flaps"]), (&"Established".into(), &0.into()), "{name}");
    }
}

/// Has the node withdraw everything, its sessions up.
fn withdraw_all(stage: &Stage) {
    let output = pharos(stage, &["force", "all", "withdrawn", "--text", "the test says so"]);
    assert!(output.status.success(), "{output:?}");
}

/// Freezes the sidecar and then the router, and prints when each side saw it.
fn freeze_both(stage: &mut Stage, router: u32, has_route: &dyn Fn() -> bool) {
    wait_until("BFD is up", || {
        stage.neighbour("10.0.0.1").is_some_and(|n| n.pointer("/bfd/state").is_some_and(|s| s == "Up"))
    });
    wait_until("the route is there", has_route);
    stage.sidecar().signal(Signal::STOP);
    let since = Instant::now();
    observe(since, &mut [("SIGSTOP sidecar -> route gone at the router", &mut || !has_route())]);
    stage.sidecar().signal(Signal::CONT);
    wait_until("the sidecar hears that the neighbour was down", || {
        stage.sidecar().log().contains("the neighbour is down: control detection time expired")
    });
    let back = wait_until("the route comes back", has_route);
    print_time("SIGCONT sidecar -> route back", back);
    wait_until("BFD is up again", || {
        stage.neighbour("10.0.0.1").is_some_and(|n| n.pointer("/bfd/state").is_some_and(|s| s == "Up"))
    });

    let pid = rustix::process::Pid::from_raw(i32::try_from(router).unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::STOP).unwrap();
    let since = Instant::now();
    let (cause, _) = wait_for("the sidecar says that BFD is down", || {
        let neighbour = stage.neighbour("10.0.0.1")?;
        let cause = neighbour.get("last_down")?.as_str()?.to_owned();
        cause.contains("BFD: nothing was heard for").then_some(cause)
    });
    print_time("SIGSTOP router's BFD -> session ended by the sidecar", since.elapsed());
    rustix::process::kill_process(pid, Signal::CONT).unwrap();
    assert!(cause.starts_with("we ended the session: Cease/BFD Down (6/10)"), "{cause}");
    wait_until("the alarm is raised", || stage.alarms().contains(&"bfd-down".to_owned()) || has_route());
    wait_until("the route comes back", has_route);
}

#[test]
#[ignore = "needs root and BIRD"]
fn with_bird_a_frozen_process_is_seen_by_bfd_from_both_sides() {
    // As it is shipped: 300 ms times 3.
    let mut stage = Stage::new(&neighbours("bfd: {}", ""));
    let mut bird = Bird::start(&stage.router, &stage.workspace, &bird_config("bfd on;", ""));
    stage.start();
    let pid = bird.daemon().pid();
    let has = |bird: &Bird| bird_routes(bird, "over4").contains(PREFIXES[0]);
    freeze_both(&mut stage, pid, &|| has(&bird));
}

#[test]
#[ignore = "needs root and FRR"]
fn with_frr_a_frozen_process_is_seen_by_bfd_from_both_sides() {
    // With its TTL check FRR 8.4 takes a neighbour for one beyond a router, and speaks multihop BFD on another port.
    let mut stage = Stage::new(&neighbours(BFD, "").replace("ttl-security: neighbour", "ttl-security: none"));
    let frr_config =
        frr_config("neighbor 10.0.0.2 bfd 3 100 100").replace(" neighbor 10.0.0.2 ttl-security hops 1\n", "");
    let frr = Frr::start_with_bfd(&stage.router, &stage.workspace, &frr_config);
    let bfdd = frr.bfdd().expect("it was started").pid();
    stage.start();
    let has = |frr: &Frr| frr_next_hops(frr, PREFIXES[0]).contains(&"10.0.0.2".to_owned());
    freeze_both(&mut stage, bfdd, &|| has(&frr));
}

/// A sidecar that took another's place, which the lab has not started itself: ends with the test.
struct Adopted(i32);

impl Adopted {
    fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_raw(self.0).expect("a pid is positive");
        // It has ended already where an error comes.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

/// A `pharos` command for the node's sidecar.
fn pharos(stage: &Stage, arguments: &[&str]) -> Output {
    let control = stage.workspace.join("sidecar.sock");
    let mut command = stage.node.command(pharos_binary().to_str().unwrap());
    command.args(arguments).args(["--control", control.to_str().unwrap()]).output().unwrap()
}

/// `pharos hand-over` on the node: whether it succeeded, and what it said.
fn hand_over(stage: &Stage) -> (bool, String) {
    let output = pharos(stage, &["hand-over", "--json"]);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

/// What BIRD has counted of a session since it began, in words, and since when it and its BFD are what they are. An UPDATE
/// that changes nothing counts there, too.
fn counted(bird: &Bird, protocol: &str) -> (Vec<String>, Vec<Duration>) {
    let counts = bird.ask(&format!("show protocols all {protocol}"));
    let counts = counts.into_iter().filter(|line| {
        ["Import updates:", "Import withdraws:", "BGP state:", protocol]
            .iter()
            .any(|word| line.contains(word))
    });
    let bfd = bird.ask("show bfd sessions").into_iter().filter(|line| line.contains("10.0.0.2"));
    // The last columns are intervals, which the neighbours may say anew.
    let bfd = bfd.map(|line| line.split_whitespace().take(4).collect::<Vec<_>>().join(" "));
    let all = counts.chain(bfd).collect::<Vec<_>>().join("\n");
    let (times, words): (Vec<&str>, Vec<&str>) =
        all.split_whitespace().partition(|word| time_of(word).is_some());
    (words.into_iter().map(str::to_owned).collect(), times.into_iter().filter_map(time_of).collect())
}

/// `04:15:06.057` as the time since midnight.
fn time_of(word: &str) -> Option<Duration> {
    let [hours, minutes, seconds] = word.split(':').collect::<Vec<_>>().try_into().ok()?;
    let whole = hours.parse::<u32>().ok()? * 3600 + minutes.parse::<u32>().ok()? * 60;
    Some(Duration::from_secs(whole.into()) + Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?)
}

/// That nothing was counted, and that nothing has begun anew: BIRD reckons its times back from now, and rounds.
fn assert_same(now: &(Vec<String>, Vec<Duration>), before: &(Vec<String>, Vec<Duration>), why: &str) {
    const ROUNDED: Duration = Duration::from_millis(100);
    assert_eq!(now.0, before.0, "{why}");
    assert_eq!(now.1.len(), before.1.len(), "{why}");
    for (now, before) in now.1.iter().zip(&before.1) {
        assert!(now.abs_diff(*before) < ROUNDED, "{now:?} instead of {before:?}\n{why}");
    }
}

#[test]
#[ignore = "needs root and BIRD"]
fn bird_hears_nothing_of_planned_restarts_with_bfd_and_md5_and_without() {
    let fast = "bfd: {interval: 50ms, multiplier: 3}";
    let mut stage = Stage::new(&neighbours(fast, ""));
    let config = bird_config("bfd on;", "").replace("100 ms", "50 ms");
    let bird = Bird::start(&stage.router, &stage.workspace, &config);
    stage.start();
    let bfd_is_up = |stage: &Stage| {
        stage.neighbour("10.0.0.1").is_some_and(|n| n.pointer("/bfd/state").is_some_and(|s| s == "Up"))
    };
    wait_until("BFD is up", || bfd_is_up(&stage));
    for protocol in ["over4", "over6"] {
        wait_until("BIRD has both routes", || {
            let routes = bird_routes(&bird, protocol);
            PREFIXES.iter().all(|prefix| routes.contains(prefix))
        });
    }
    let before = ["over4", "over6"].map(|protocol| counted(&bird, protocol));
    let assert_nothing_heard = |log: &str| {
        for (protocol, before) in ["over4", "over6"].into_iter().zip(&before) {
            assert_same(&counted(&bird, protocol), before, log);
        }
    };
    assert!(before[0].0.contains(&"Up".to_owned()) && before[0].1.len() == 2, "BFD is counted: {before:?}");
    let mut adopted: Vec<Adopted> = Vec::new();
    for _ in 0..5 {
        let (done, said) = hand_over(&stage);
        assert!(done, "{said}\n{}", stage.sidecar().log());
        let result: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(result["sessions"], 2, "{said}");
        adopted.push(Adopted(i32::try_from(result["pid"].as_i64().unwrap()).unwrap()));
        wait_until("the next process answers", || {
            stage.status().is_some_and(|status| status["pid"] == result["pid"])
        });
        assert!(bfd_is_up(&stage), "{}", stage.status_text());
        assert_nothing_heard(&stage.sidecar().log());
    }
    // A configuration that is refused, and one that the next process cannot carry out: the last one goes on.
    let pid = adopted.last().unwrap().0;
    stage.configure("neighbours: [{address: 10.0.0.1, as: 0}]\n");
    let (done, said) = hand_over(&stage);
    assert!(!done && said.contains("RFC 7607"), "{said}");
    let unknown =
        neighbours("", "").replace("ttl-security", "local-address: 10.9.9.9\n    bfd: {}\n    ttl-security");
    stage.configure(&unknown);
    let (done, said) = hand_over(&stage);
    assert!(!done && said.contains("10.9.9.9"), "{said}");
    stage.configure(&neighbours(fast, ""));
    // Whoever drove the sessions before does so no more: longer than the hold time of 9 s.
    wait_until("the hold time has passed", || {
        stage.status().is_some_and(|status| status["uptime_seconds"].as_f64().unwrap() > 10.0)
    });
    assert_eq!(stage.status().unwrap()["pid"], pid);
    assert_nothing_heard(&stage.sidecar().log());
    let flaps = |n: serde_json::Value| (n["flaps"].as_u64(), n["bfd"]["flaps"].as_u64());
    assert_eq!(stage.neighbour("10.0.0.1").map(flaps), Some((Some(0), Some(0))));
    for line in stage.sidecar().log().lines().filter(|line| line.contains("held_ms")) {
        println!("{line}");
    }
    // It really has them: what it says when it is stopped is heard.
    adopted.last().unwrap().signal(Signal::TERM);
    wait_until("BIRD is told why", || {
        bird.ask("show protocols all over4").join("\n").contains("sidecar is stopping")
    });
    for protocol in ["over4", "over6"] {
        wait_until("the routes are gone", || !bird_routes(&bird, protocol).contains(PREFIXES[0]));
    }
}
