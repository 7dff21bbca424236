//! A planned restart of the sidecar: the next version goes on with its sessions, and nobody notices.
//!
//! That routers hear nothing is held against BIRD's own trace of its sessions.

use super::super::expect::{absent, decided, leaves, normal_again, preferred, returns, stays};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::bfd;
use crate::lab::{HandOver, PREFIX4, PREFIX6};
use rustix::process::Signal;
use std::time::Duration;

/// Longer than the hold time of nine seconds: after that only who drives the sessions can have kept them.
const PAST_HOLD: Duration = Duration::from_secs(12);

pub(super) fn all() -> Vec<Scenario> {
    [taken_over(), under_words(), with_other_prefixes(), in_vain()].concat()
}

fn taken_over() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "sidecar-handed-over",
            "a planned restart of the sidecar under load by UDP and by TCP: `pharos hand-over`, then SIGHUP",
            "no UPDATE, no session ends, no query is lost; the next version tells what changes in the same sessions",
        )
        .asked_by_streams()
        .loses(Loss::Nothing)
        .never("session down")
        .never("session up")
        .never("nothing is handed over, and everything goes on as it was")
        .step("`pharos hand-over`", |lab| lab.node(Who::A).hand_over(HandOver::ByCommand), stays())
        .unheard()
        .calm(PAST_HOLD)
        .step("SIGHUP", |lab| lab.node(Who::A).hand_over(HandOver::BySignal), stays())
        .unheard()
        .calm(PAST_HOLD)
        .step("`pharos force all degraded`", force_degraded, preferred("degraded", "lab", 80))
        .step("`pharos release`", release, normal_again()),
        Scenario::new(
            "sidecar-handed-over-bfd",
            "a planned restart of the sidecar under load, three times; BFD is on",
            "the same; BFD's packets go on",
        )
        .plan(bfd::plan())
        .loses(Loss::Nothing)
        .never("session down")
        .never("session up")
        .step("`pharos hand-over`, three times", |lab| {
            (0..3).for_each(|_| lab.node(Who::A).hand_over(HandOver::ByCommand));
        }, stays())
        .unheard()
        .calm(PAST_HOLD)
        .step("`pharos force all degraded`", force_degraded, preferred("degraded", "lab", 80))
        .step("`pharos release`", release, normal_again()),
        Scenario::new(
            "sidecar-handed-over-while-degraded",
            "a planned restart of the sidecar of a node that is degraded",
            "it stays so, and no router hears of it; earned back once all is mended",
        )
        .loses(Loss::Connections)
        .step("reject TCP 53", FaultLab::degrade, preferred("degraded", "TCP", 80))
        .step("`pharos hand-over`", |lab| lab.node(Who::A).hand_over(HandOver::ByCommand), vec![
            Expect::Preference(PREFIX4, 80),
            Expect::Preference(PREFIX6, 80),
        ])
        .is_the_fault()
        .unheard()
        .calm(Duration::from_secs(3))
        .step("let TCP through", |lab| lab.unfilter(Who::A), normal_again()),
        Scenario::new(
            "sidecar-handed-over-while-drained",
            "a planned restart of the sidecar of a drained node",
            "the drain goes over; nothing is announced until somebody undrains it",
        )
        .loses(Loss::Nothing)
        .step("drain, and the deadline", |lab| {
            lab.pharos(Who::A, &["drain", "--text", "lab"]);
        }, [decided("draining", ""), leaves("")].concat())
        .step("`pharos hand-over`", |lab| lab.node(Who::A).hand_over(HandOver::ByCommand), {
            [vec![Expect::Why(Who::A, PREFIX4, "drain")], absent()].concat()
        })
        .is_the_fault()
        .unheard()
        .calm(Duration::from_secs(5))
        .step("undrain", |lab| {
            lab.pharos(Who::A, &["undrain"]);
        }, returns()),
    ]
}

fn under_words() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "sidecar-handed-over-while-held-and-forced",
            "a planned restart of the sidecar of a node one of whose prefixes is forced to be degraded, the other held",
            "the operator's words go over; no router hears of it, and a release ends both",
        )
        .loses(Loss::Nothing)
        .step("force IPv4, hold IPv6", |lab| {
            lab.pharos(Who::A, &["force", PREFIX4, "degraded", "--text", "lab"]);
            lab.pharos(Who::A, &["hold", PREFIX6, "--text", "lab"]);
        }, vec![
            Expect::Level { who: Who::A, prefix: PREFIX4, level: "degraded", because: "lab" },
            Expect::Preference(PREFIX4, 80),
            Expect::Preference(PREFIX6, 100),
        ])
        .step("`pharos hand-over`", |lab| lab.node(Who::A).hand_over(HandOver::ByCommand), vec![
            Expect::Preference(PREFIX4, 80),
            Expect::Preference(PREFIX6, 100),
            Expect::Why(Who::A, PREFIX4, "forced to degraded"),
            Expect::Why(Who::A, PREFIX6, "held"),
            Expect::Answered(&["a.ams"]),
        ])
        .is_the_fault()
        .unheard()
        .calm(Duration::from_secs(3))
        .step("`pharos release`", release, vec![
            Expect::Level { who: Who::A, prefix: PREFIX4, level: "normal", because: "" },
            Expect::Preference(PREFIX4, 100),
            Expect::AlarmOver(Who::A, "word-in-force"),
            Expect::Answered(&["a.ams"]),
        ]),
    ]
}

fn with_other_prefixes() -> Vec<Scenario> {
    const BOTH: &str = "prefixes: [\"192.0.2.0/24\", \"2001:db8:53::/48\"]";
    const ONE: &str = "prefixes: [\"192.0.2.0/24\"]";
    fn restart(lab: &mut FaultLab, from: &'static str, to: &'static str) {
        let node = lab.node(Who::A);
        node.edit_config(&[(from, to)]);
        node.hand_over(HandOver::ByCommand);
    }
    vec![
        Scenario::new(
            "sidecar-handed-over-without-a-prefix",
            "a planned restart of the sidecar with a configuration that has the IPv6 prefix no longer, and one that has it again",
            "it is withdrawn for that reason, in the session that stands; IPv4 stays; as it is there again, it is earned as at a \
             start",
        )
        .within(Duration::from_secs(3), "the next process reads its configuration, and is handed the session")
        .loses(Loss::Any)
        .never("session down")
        .step("take it out, and `pharos hand-over`", |lab| restart(lab, BOTH, ONE), vec![
            Expect::Level {
                who: Who::A,
                prefix: PREFIX6,
                level: "withdrawn",
                because: "no longer configured",
            },
            Expect::Gone(PREFIX6),
            Expect::Back(PREFIX4),
            Expect::Answered(&["a.ams", "a.fra"]),
        ])
        .calm(Duration::from_secs(3))
        .step("put it back, and `pharos hand-over`", |lab| restart(lab, ONE, BOTH), vec![
            Expect::Level { who: Who::A, prefix: PREFIX6, level: "normal", because: "" },
            Expect::Back(PREFIX4),
            Expect::Back(PREFIX6),
            Expect::Answered(&["a.ams"]),
        ]),
    ]
}

fn in_vain() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "sidecar-handed-over-in-vain",
            "planned restarts whose next version cannot start: a configuration that is refused, an address that it cannot have",
            "a line in the log, and the reason for who asked; nothing else changes, and once that is mended it is handed over",
        )
        .loses(Loss::Nothing)
        .never("session down")
        .never("session up")
        .step("a misspelt option, and SIGHUP", |lab| {
            lab.node(Who::A).edit_config(&[("hold-down:", "hold-dwon:")]);
            lab.node(Who::A).sidecar().signal(Signal::HUP);
        }, refused("hold-dwon"))
        .unheard()
        .calm(PAST_HOLD)
        .step("another management address, which this host has not, and `pharos hand-over`", |lab| {
            let node = lab.node(Who::A);
            node.edit_config(&[("hold-dwon:", "hold-down:"), ("127.0.0.1:9154", "203.0.113.1:9154")]);
            let output = node.pharos(&["hand-over"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && said.contains("203.0.113.1:9154"), "{output:?}");
        }, refused("203.0.113.1:9154"))
        .unheard()
        .calm(Duration::from_secs(3))
        .step("mend it, and `pharos hand-over`", |lab| {
            let node = lab.node(Who::A);
            node.edit_config(&[("203.0.113.1:9154", "127.0.0.1:9154")]);
            node.hand_over(HandOver::ByCommand);
        }, stays())
        .unheard()
        .calm(Duration::from_secs(3)),
    ]
}

fn refused(why: &'static str) -> Vec<Expect> {
    [vec![Expect::Logged(Who::A, "nothing is handed over", why)], stays()].concat()
}

/// The operator's word.
pub(super) fn force_degraded(lab: &mut FaultLab) {
    lab.strike();
    lab.pharos(Who::A, &["force", "all", "degraded", "--text", "lab"]);
}

/// Its end.
pub(super) fn release(lab: &mut FaultLab) {
    lab.pharos(Who::A, &["release"]);
}
