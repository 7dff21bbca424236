//! What runs out: disk, descriptors, processor, and the room for more queries than can be answered.

use super::super::expect::{decided, leaves, normal_again, preferred, returns, stays};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::bfd;
use super::processes::FAST;
use crate::lab::{ANYCAST4, Backbone, Disk, Edit, PREFIX4, PREFIX6, Plan, Sender, flood, stutter_threads};
use rustix::process::Signal;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Nobody is called slow: here a flood takes the cores of the other POP as well, and longer than half a minute counts.
const PATIENT: Edit = ("    rise: 3", "    rise: 3\n    slow: 10s");

pub(super) fn all() -> Vec<Scenario> {
    [what_runs_out(), load()].concat()
}

fn what_runs_out() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "disk-full",
            "no octet more fits where responder and sidecar write, and then there is a push",
            "alarms; answers go on from memory, new data too, and no route moves",
        )
        .plan(Plan { disk: Disk::Small, ..Plan::default() })
        .within(
            Duration::from_secs(2),
            "a reload of the samples; the operator's word that follows is written at once, and cannot be",
        )
        .loses(Loss::Nothing)
        .never("session down")
        .step("fill the disks", fill, vec![Expect::Answered(&["a.ams"])])
        .step(
            "a push, and the operator's word",
            |lab| {
                let text = lab.node(Who::A).zone_text("example.com.zone").replace("2026112101", "2026112102");
                lab.node(Who::A).push_zone("example.com.zone", &text);
                lab.pharos(Who::A, &["reload"]);
                // Whether a word that cannot be kept is taken is said by the alarm.
                let _ = lab.node(Who::A).pharos(&["hold", "all", "--text", "disk full"]);
            },
            vec![
                Expect::That("the new data answer", |lab| serial(lab) == Some(2_026_112_102)),
                Expect::Alarm(Who::A, "words-not-saved", ""),
                Expect::Answered(&["a.ams"]),
            ],
        )
        .is_the_fault()
        .calm(Duration::from_secs(3))
        .step(
            "make room",
            |lab| {
                let node = lab.node(Who::A);
                let (state, images) = (node.state.clone(), node.images.clone());
                node.namespace.sh(&format!("rm {}/fill {}/fill", state.display(), images.display()));
                lab.pharos(Who::A, &["release"]);
            },
            vec![Expect::AlarmOver(Who::A, "words-not-saved"), Expect::Answered(&["a.ams"])],
        ),
        Scenario::new(
            "responder-out-of-descriptors",
            "the responder can open nothing more: no connection, no file",
            "UDP is answered as before; without TCP the node is degraded, and clients go to the other POP",
        )
        .plan(Plan { backbone: Backbone::Ibgp, ..Plan::default() })
        .within(
            Duration::from_secs(3),
            "two probes 250 ms apart, 200 ms each without an answer, and a grace of one second",
        )
        .loses(Loss::Connections)
        .never("session down")
        .step(
            "prlimit",
            |lab| {
                let process = lab.node(Who::A).responder().pid();
                lab.limit_descriptors(process, 3);
            },
            [preferred("degraded", "TCP", 80), vec![Expect::Answered(&["a.fra"])]].concat(),
        )
        .calm(Duration::from_secs(3))
        .step(
            "prlimit back",
            |lab| {
                let process = lab.node(Who::A).responder().pid();
                lab.limit_descriptors(process, 1024);
            },
            normal_again(),
        ),
        Scenario::new(
            "sidecar-out-of-descriptors",
            "the sidecar can open nothing more: no probe, no status",
            "what it cannot probe it does not vouch for: withdrawn, with an alarm; it never ends, and earns the routes back",
        )
        .within(Duration::from_secs(1), "two probes 250 ms apart, which fail at once")
        .never("session down")
        .step("prlimit", |lab| {
            let process = lab.node(Who::A).sidecar().pid();
            lab.limit_descriptors(process, 3);
        }, {
            let mut list = leaves("");
            list.push(Expect::Alarm(Who::A, "status-unreachable", ""));
            list
        })
        .calm(Duration::from_secs(3))
        .step("prlimit back", |lab| {
            let process = lab.node(Who::A).sidecar().pid();
            lab.limit_descriptors(process, 1024);
        }, {
            let mut list = returns();
            list.push(Expect::AlarmOver(Who::A, "status-unreachable"));
            list
        }),
    ]
}

fn load() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "flood",
            "far more queries than the node can answer, for names that do not exist",
            "an alarm; the node absorbs what it can, and no route moves",
        )
        .flooded(),
        Scenario::new(
            "flood-with-bfd",
            "the same, with BFD on the session: 300 ms, three times",
            "the same: BFD's packets are sent in time, and no session ends",
        )
        .plan(bfd::plan())
        .flooded(),
        Scenario::new(
            "flood-with-the-fast-profile",
            "the same, without BFD, and `probe: {interval: 100ms, timeout: 80ms}`: probes are lost sooner and more often",
            "the same: what is merely unanswered is put down to the overload",
        )
        .plan(Plan { pharos: FAST.to_vec(), ..Plan::default() })
        .flooded(),
        Scenario::new(
            "flood-with-a-slow-status",
            "the same with the shipped probes, and the responder's status takes nearly half a second: its threads that tell \
             of it stop for 400 ms, and run for 100 ms, by turns",
            "the same: the status is waited for before silence is believed",
        )
        .flooded_by(|lab| {
            let process = lab.node(Who::A).responder().pid();
            let times = [400, 100].map(Duration::from_millis);
            let slow = stutter_threads(&lab.topology.workspace, process, "pharos-desk", times);
            lab.helpers.push(slow);
            lab.strike();
            begin_flood(lab);
        }),
        Scenario::new(
            "flood-with-the-status-away",
            "the same with the shipped probes, and the responder's status is not reached any more, for longer than what it told \
             is believed",
            "the same: the host counts that others are answered",
        )
        .alone()
        .within(Duration::from_secs(6), "two fetches of the status, a second each, and what the host counts meanwhile")
        .loses(Loss::Any)
        .never("session down")
        .step(
            "two threads that send what they can, and the status is dropped",
            |lab| {
                lab.filter(Who::A, "tcp dport 9153 drop");
                begin_flood(lab);
            },
            vec![Expect::Alarm(Who::A, "overload", ""), Expect::Alarm(Who::A, "status-unreachable", "")],
        )
        .calm(Duration::from_secs(30))
        .step(
            "both end",
            |lab| {
                lab.unfilter(Who::A);
                lab.helpers.clear();
            },
            [stays(), vec![Expect::AlarmOver(Who::A, "overload"), Expect::AlarmOver(Who::A, "status-unreachable")]]
                .concat(),
        ),
        Scenario::new(
            "flood-beside-a-dead-family",
            "the same with the shipped probes, by IPv4, and a filter that drops every query by IPv6 and UDP",
            "IPv6 is withdrawn after half a minute of silence, IPv4 stays",
        )
        .plan(Plan { pharos: vec![PATIENT], ..Plan::default() })
        .alone()
        .within(Duration::from_secs(45), "half a minute without an answer, and ten answers by IPv4 meanwhile")
        .loses(Loss::Any)
        .never("session down")
        .step("two threads that send what they can", begin_flood, vec![Expect::Alarm(Who::A, "overload", "")])
        .step(
            "drop UDP 53 of IPv6",
            |lab| lab.filter(Who::A, "meta nfproto ipv6 udp dport 53 drop"),
            vec![
                Expect::Level { who: Who::A, prefix: PREFIX6, level: "withdrawn", because: "UDP probe" },
                Expect::Gone(PREFIX6),
                Expect::Back(PREFIX4),
            ],
        )
        .is_the_fault()
        .calm(Duration::from_secs(5))
        .step(
            "both end",
            |lab| {
                lab.unfilter(Who::A);
                lab.helpers.clear();
            },
            vec![
                Expect::Level { who: Who::A, prefix: PREFIX6, level: "normal", because: "" },
                Expect::Back(PREFIX4),
                Expect::Back(PREFIX6),
                Expect::Answered(&["a.ams"]),
                Expect::AlarmOver(Who::A, "overload"),
            ],
        ),
        Scenario::new(
            "flood-degrade",
            "the same with the shipped probes, and the group says `overload: degrade`",
            "degraded after a minute, one step and no more; normal again when the flood is over",
        )
        .plan(Plan {
            pharos: vec![("degrade: allowed", "degrade: allowed\n      overload: degrade"), PATIENT],
            ..Plan::default()
        })
        .alone()
        .within(Duration::from_secs(65), "the status is fetched once a second, and a grace of a minute")
        .loses(Loss::Any)
        .never("session down")
        .step(
            "two threads that send what they can",
            begin_flood,
            [preferred("degraded", "", 80), vec![Expect::Alarm(Who::A, "overload", "")]].concat(),
        )
        .calm(Duration::from_secs(5))
        .step(
            "the flood ends",
            |lab| lab.helpers.clear(),
            [normal_again(), vec![Expect::AlarmOver(Who::A, "overload")]].concat(),
        ),
        Scenario::new(
            "processor-taken",
            "eight processes take all the time of the processor that they get",
            "nothing: probes are in time, keepalives and BFD too",
        )
        .alone()
        .plan(bfd::plan())
        .loses(Loss::Nothing)
        .never("session down")
        .step(
            "eight endless loops",
            |lab| {
                let machine = lab.node(Who::A).namespace.clone();
                (0..8).for_each(|number| {
                    lab.helper(
                        &machine,
                        &format!("loop-{number}"),
                        Path::new("/bin/sh"),
                        &["-c", "while :; do :; done"],
                    );
                });
            },
            vec![Expect::Answered(&["a.ams"])],
        )
        .calm(Duration::from_secs(10))
        .step("they end", |lab| lab.helpers.clear(), vec![Expect::Answered(&["a.ams"])]),
        Scenario::new(
            "reloads-under-load",
            "a zone of 100,000 names is pushed and loaded, three times in a row, under load by UDP and by TCP",
            "nothing: no query waits for it, and no probe fails",
        )
        .asked_by_streams()
        .loses(Loss::Nothing)
        .never("session down")
        .step(
            "three pushes",
            |lab| {
                for serial in 1..=3 {
                    lab.node(Who::A).push_zone("big.example.zone", &big(serial));
                    lab.pharos(Who::A, &["reload"]);
                }
            },
            vec![Expect::Answered(&["a.ams"])],
        )
        .calm(Duration::from_secs(2)),
        Scenario::new(
            "slow-but-correct",
            "the responder pauses for 150 ms of every half second: every answer comes, many come late",
            "an alarm; degraded after half a minute, still announced",
        )
        .within(
            Duration::from_secs(60),
            "the hundred last answers, a quarter second apart, and a grace of half a minute",
        )
        .loses(Loss::Nothing)
        .step(
            "SIGSTOP and SIGCONT, over and over",
            |lab| {
                let process = lab.node(Who::A).responder().pid();
                let script = format!(
                    "while :; do kill -STOP {process}; sleep 0.15; kill -CONT {process}; sleep 0.35; done"
                );
                let machine = lab.node(Who::A).namespace.clone();
                lab.helper(&machine, "pauses", Path::new("/bin/sh"), &["-c", &script]);
            },
            {
                let mut list = decided("degraded", "latency");
                list.extend([
                    Expect::Alarm(Who::A, "slow", ""),
                    Expect::Preference(PREFIX4, 80),
                    Expect::Preference(PREFIX6, 80),
                    Expect::Answered(&["a.ams"]),
                ]);
                list
            },
        )
        .step(
            "no more pauses",
            |lab| {
                lab.helpers.clear();
                lab.node(Who::A).responder().signal(Signal::CONT);
            },
            {
                let mut list = normal_again();
                list.push(Expect::AlarmOver(Who::A, "slow"));
                list
            },
        ),
    ]
}

fn fill(lab: &mut FaultLab) {
    let node = lab.node(Who::A);
    let (state, images) = (node.state.clone(), node.images.clone());
    // It ends when nothing more fits, which is an error.
    node.namespace.sh(&format!(
        "for directory in {} {}; do cat /dev/zero > $directory/fill 2> /dev/null || true; done",
        state.display(),
        images.display()
    ));
}

fn serial(lab: &mut FaultLab) -> Option<u64> {
    lab.node(Who::A).zone_status("example.com.")?.get("serial")?.as_u64()
}

pub(super) fn begin_flood(lab: &mut FaultLab) {
    for seed in [1, 2] {
        let router = &lab.topology.ams.router().namespace;
        let one = flood(&lab.topology.workspace, router, ANYCAST4, seed, Sender::Anywhere);
        lab.helpers.push(one);
    }
}

impl Scenario {
    /// A flood that the node absorbs, and its end.
    pub(super) fn flooded(self) -> Self {
        self.flooded_by(begin_flood)
    }

    fn flooded_by(self, begin: fn(&mut FaultLab)) -> Self {
        self.alone()
            .within(Duration::from_secs(4), "the status is fetched once a second")
            .loses(Loss::Any)
            .never("session down")
            .step("two threads that send what they can", begin, vec![Expect::Alarm(Who::A, "overload", "")])
            .calm(Duration::from_secs(10))
            .step(
                "the flood ends",
                |lab| lab.helpers.clear(),
                [stays(), vec![Expect::AlarmOver(Who::A, "overload")]].concat(),
            )
    }
}

fn big(serial: u32) -> String {
    let mut text =
        format!("$TTL 300\n@ SOA ns hostmaster {serial} 7200 1800 1209600 300\n@ NS ns\nns A 192.0.2.53\n");
    for name in 0..100_000 {
        writeln!(text, "host-{name} A 198.51.100.{}", name % 250 + 1).expect("a string takes it");
    }
    text
}
