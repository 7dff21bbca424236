//! Neighbours that are set up wrongly, speak wrongly, or come and go.

use super::super::expect::{DEAD, decided, leaves, reconnects, returns, stays};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::HOLD_DOWN;
use crate::lab::{Misbehaver, PREFIX4, PREFIX6, Plan, message, update_body, wait_until};
use std::time::Duration;

const PROBES: &str = "two probes 250 ms apart, refused at once";
/// Two probes in a row must fail, and the first of them may be due at once.
const SOONEST: Duration = Duration::from_millis(200);
/// From a start until its probes are good, and the status has told that it is ready.
const PROBED: Duration = Duration::from_secs(2);
const RETURN_WHY: &str =
    "the hold-down, three probes 250 ms apart, and a status that is fetched once a second";

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "router-refuses-the-as-number",
            "after a change the router expects another AS number of the node",
            "no session; the alarm gives the router's reason; all is back when the router is mended",
        )
        .within(
            Duration::from_millis(3500),
            "connect-retry, a second, and two where the daemon was not up yet; then a NOTIFICATION",
        )
        .loses(Loss::Any)
        .step(
            "restart the router with another AS number",
            |lab| lab.restart_router(("PHAROS_NODE_AS  = 64512", "PHAROS_NODE_AS  = 64513")),
            vec![Expect::Alarm(Who::A, "neighbour-down", "AS"), Expect::Answered(&["a.fra"])],
        )
        .calm(Duration::from_secs(3))
        .step(
            "mend it",
            |lab| lab.restart_router(("PHAROS_NODE_AS  = 64513", "PHAROS_NODE_AS  = 64512")),
            reconnects(),
        ),
        Scenario::new(
            "password-changed-at-the-router",
            "after a change the router has another TCP MD5 password than the node",
            "no session: the kernels drop what is signed otherwise; an alarm; all is back when the passwords agree",
        )
        .plan(Plan {
            site: vec![("# md5-key-file: /etc/pharos/router.key", "md5-key: \"an0ther-s3cret\"")],
            bird: vec![("# password \"...\";", "password \"an0ther-s3cret\";")],
            ..Plan::default()
        })
        .within(
            Duration::from_secs(7),
            "connect-retry, a second, and five for which an attempt to connect is waited for",
        )
        .loses(Loss::Any)
        .step(
            "restart the router with another password",
            |lab| lab.restart_router(("an0ther-s3cret", "mistyped")),
            vec![
                Expect::Alarm(Who::A, "neighbour-down", "did not accept a connection"),
                Expect::Answered(&["a.fra"]),
            ],
        )
        .calm(Duration::from_secs(3))
        .step(
            "mend it",
            |lab| lab.restart_router(("mistyped", "an0ther-s3cret")),
            reconnects(),
        ),
        Scenario::new(
            "malformed-updates",
            "the neighbour sends UPDATEs with broken attributes, each of another kind",
            "tolerated and logged (RFC 7606); the session stands and the routes stay told",
        )
        .loses(Loss::Any)
        .step(
            "become a neighbour that misbehaves",
            misbehave,
            vec![
                Expect::Logged(Who::A, "session up", "64500"),
                Expect::That("each broken UPDATE is logged by what is wrong with it", |lab| {
                    BROKEN.iter().all(|(words, times)| tolerated(lab, words) == *times)
                }),
                Expect::That("the session outlives every broken UPDATE", |lab| {
                    // Two keepalives more than at its beginning: the other side has read it all and still talks.
                    neighbour_of(lab).heard().keepalives >= 3 && stands(lab)
                }),
            ],
        )
        .calm(Duration::from_secs(3))
        .step("look", |_| {}, vec![Expect::That("the session stands, and the routes stay told", stands)])
        .step(
            "send a header that is none",
            |lab| neighbour_of(lab).send(&[0; 19]),
            vec![
                Expect::That("a NOTIFICATION: message header error, not synchronized", |lab| {
                    neighbour_of(lab).heard().notification == Some((1, 1))
                }),
                Expect::Alarm(Who::A, "neighbour-down", ""),
                Expect::That("and then a new session with all routes", |lab| {
                    let heard = neighbour_of(lab).heard();
                    heard.sessions >= 2 && heard.updates > 0
                }),
                Expect::AlarmOver(Who::A, "neighbour-down"),
            ],
        ),
        Scenario::new(
            "flapping",
            "the responder is killed and started every two seconds, ten times",
            "one withdrawal; the route returns once, when it has earned it",
        )
        .within(Duration::from_secs(1), PROBES)
        .step(
            "kill -9",
            |lab| lab.kill_responder(Who::A),
            leaves(DEAD),
        )
        .step(
            "start and kill -9, nine times more, and a last start",
            |lab| {
                for _ in 0..9 {
                    let begun = std::time::Instant::now();
                    lab.node(Who::A).start_responder();
                    wait_until("half of the two seconds", || begun.elapsed() > Duration::from_secs(1));
                    lab.node(Who::A).responder().kill();
                    wait_until("the other half", || begun.elapsed() > Duration::from_secs(2));
                }
                lab.node(Who::A).start_responder();
            },
            returns(),
        ),
        Scenario::new(
            "flapping-slowly",
            "the responder is killed whenever its route has just returned, three times",
            "each withdrawal is as fast as the first, and each return waits twice as long as the one before",
        )
        .within(Duration::from_secs(1), PROBES)
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns_after("hold-down of 2.0s is over"))
        .between(HOLD_DOWN, HOLD_DOWN + PROBED, RETURN_WHY)
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .between(SOONEST, Duration::from_secs(1), PROBES)
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns_after("hold-down of 4.0s is over"))
        .between(2 * HOLD_DOWN, 2 * HOLD_DOWN + PROBED, RETURN_WHY)
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .between(SOONEST, Duration::from_secs(1), PROBES)
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns_after("hold-down of 8.0s is over"))
        .between(4 * HOLD_DOWN, 4 * HOLD_DOWN + PROBED, RETURN_WHY),
    ]
}

/// Both prefixes back to normal for this reason, at the router, and clients with the node.
fn returns_after(because: &'static str) -> Vec<Expect> {
    [decided("normal", because), stays()].concat()
}

/// The router's daemon makes room for one that sends what no router should.
fn misbehave(lab: &mut FaultLab) {
    let router = lab.ams().router_mut();
    router.kill();
    let neighbour = Misbehaver::start(&router.namespace, [10, 1, 0, 2]);
    lab.neighbour = Some(neighbour);
    wait_until("the sidecar has a session with it", || neighbour_of(lab).heard().updates > 0);
    let origin = [0x40, 1, 1, 0];
    let path = [0x40, 2, 6, 2, 1, 0, 0, 0xfb, 0xf4];
    let hop = [0x40, 3, 4, 10, 0, 0, 1];
    let bodies: Vec<Vec<u8>> = vec![
        // ORIGIN of a value that there is not (RFC 7606 §7.1).
        update_body(&[&[0x40, 1, 1, 9][..], &path, &hop].concat()),
        // ORIGIN of a wrong length.
        update_body(&[&[0x40, 1, 2, 0, 0][..], &path, &hop].concat()),
        // AS_PATH with a segment that is longer than the attribute (§7.2).
        update_body(&[&origin[..], &[0x40, 2, 6, 2, 9, 0, 0, 0xfb, 0xf4], &hop].concat()),
        // NEXT_HOP of a wrong length (§7.3).
        update_body(&[&origin[..], &path, &[0x40, 3, 3, 10, 0, 0]].concat()),
        // LOCAL_PREF from outside (§7.5), MED of a wrong length (§7.4).
        update_body(&[&origin[..], &path, &hop, &[0x40, 5, 4, 0, 0, 0, 1], &[0x80, 4, 3, 0, 0, 1]].concat()),
        // COMMUNITY whose length is no multiple of four (§7.8).
        update_body(&[&origin[..], &path, &hop, &[0xc0, 8, 5, 0, 1, 0, 2, 3]].concat()),
        // No attributes at all, with a prefix.
        update_body(&[]),
        // ORIGIN twice (§3 g).
        update_body(&[&origin[..], &origin, &path, &hop].concat()),
    ];
    for body in bodies {
        neighbour_of(lab).update(&body);
    }
    // One that is well-formed and not wanted: what is received is not kept.
    neighbour_of(lab).send(&message(2, &update_body(&[&origin[..], &path, &hop].concat())));
}

/// What is wrong with the UPDATEs of [`misbehave`], and how often.
const BROKEN: [(&str, usize); 7] = [
    ("ORIGIN is malformed", 2),
    ("AS_PATH is malformed", 1),
    ("NEXT_HOP is malformed", 1),
    ("MULTI_EXIT_DISC is malformed", 1),
    ("COMMUNITIES is malformed", 1),
    ("ORIGIN is missing", 1),
    ("ORIGIN a second time", 1),
];

/// How often the log has said since the step began that an UPDATE is broken like this. None is kept back: of such lines ten a
/// minute are said.
fn tolerated(lab: &mut FaultLab, words: &str) -> usize {
    let since = lab.struck;
    let events = lab.node(Who::A).events(since);
    events.iter().filter(|event| event.message == "BGP" && event.text("fault").contains(words)).count()
}

/// Whether the first session with the neighbour is still the one: nobody has ended it or sent a NOTIFICATION, and the neighbour
/// has been told both routes.
fn stands(lab: &mut FaultLab) -> bool {
    let heard = neighbour_of(lab).heard();
    let status = lab.node(Who::A).sidecar_status().unwrap_or_default();
    let told = |prefix: &str| {
        let told = status.pointer("/neighbours/0/told").and_then(serde_json::Value::as_array);
        told.is_some_and(|told| told.iter().any(|one| one.as_str().is_some_and(|one| one.contains(prefix))))
    };
    (heard.sessions, heard.ended, heard.notification) == (1, 0, None)
        && [PREFIX4, PREFIX6].into_iter().all(told)
}

fn neighbour_of(lab: &FaultLab) -> &Misbehaver {
    lab.neighbour.as_ref().expect("the neighbour was put there")
}
