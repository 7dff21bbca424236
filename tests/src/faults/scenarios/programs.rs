//! A program of the operator's announces (`exec`): a shell script that enables and disables protocols of a BIRD on the node
//! by birdc(8), and says by the same means what there is.

use super::super::expect::{DEAD, absent, decided, gone, leaves, returns};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use super::node_bird::SAMPLE;
use crate::lab::{Edit, HandOver, PREFIX4, PREFIX6, Plan, Speaker, wait_until};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "exec-responder-killed",
            "kill -9 of the responder; a program speaks with a BIRD on the node (`exec`)",
            "the program is run at once, and the routes go",
        )
        .plan(plan())
        .prepared(write_protocols)
        .within(Duration::from_secs(1), "two probes 250 ms apart, refused at once, and a run of the program")
        .step("kill -9", |lab| lab.kill_responder(Who::A), leaves(DEAD))
        .step("start again", |lab| lab.node(Who::A).start_responder(), returns()),
        Scenario::new(
            "exec-program-hangs",
            "the program that announces hangs whenever it is to announce; TCP refuses, so that it is to tell of level degraded, \
             and while it hangs the responder is killed",
            "the run that hangs is killed with its children, and the withdrawal comes at once; an announcement that hangs \
             later is killed after its five seconds, is an alarm, and is tried again until it succeeds",
        )
        .plan(plan())
        .prepared(write_protocols)
        .loses(Loss::Any)
        .within(Duration::from_secs(1), "two probes 250 ms apart, refused at once, and a run of the program")
        .step(
            "hang, reject TCP 53, then kill -9",
            |lab| {
                hang_while_it_degrades(lab);
                lab.kill_responder(Who::A);
            },
            leaves(DEAD),
        )
        .step(
            "mend TCP, start the responder",
            mend,
            {
                let rest = [
                    Expect::Alarm(Who::A, "announcer-failing", "killed after 5s"),
                    Expect::Alarm(Who::A, "drift", "should be normal"),
                ];
                [decided("normal", ""), rest.to_vec(), absent()].concat()
            },
        )
        .step("hang no more", go_on, vec![
            Expect::AlarmOver(Who::A, "announcer-failing"),
            Expect::Back(PREFIX4),
            Expect::Back(PREFIX6),
            Expect::Answered(&["a.ams"]),
        ]),
        Scenario::new(
            "exec-program-hangs-and-both-processes-are-killed",
            "the program hangs while it is to tell of level degraded; kill -9 of the sidecar and of the responder, and a start of \
             the sidecar; then whatever hung goes on",
            "the program that hung has ended with its sidecar; the new one has it withdrawn, and nothing announces it again; \
             earned back once the responder answers",
        )
        .plan(plan())
        .prepared(write_protocols)
        .loses(Loss::Any)
        .within(Duration::from_secs(2), "the start of a process, whose first order is to withdraw what is not known to answer")
        .step(
            "hang, reject TCP 53, then kill -9 of both, and start the sidecar",
            |lab| {
                hang_while_it_degrades(lab);
                lab.kill_responder(Who::A);
                lab.node(Who::A).sidecar().kill();
                lab.node(Who::A).start_sidecar();
            },
            gone(),
        )
        .step("hang no more", go_on, absent())
        .calm(Duration::from_secs(3))
        .step("mend TCP, start the responder", mend, returns()),
        Scenario::new(
            "exec-program-hangs-and-the-sidecar-is-handed-over",
            "the program hangs while it is to tell of level degraded; the sidecar hands over to another process, the responder \
             is killed, and then whatever hung goes on",
            "no program of the old process is left: the routes go at once, and nothing announces them again; earned back once \
             the responder answers",
        )
        .plan(plan())
        .prepared(write_protocols)
        .loses(Loss::Any)
        .within(Duration::from_secs(1), "two probes 250 ms apart, refused at once, and a run of the program")
        .step(
            "hang, reject TCP 53, `pharos hand-over`, then kill -9",
            |lab| {
                hang_while_it_degrades(lab);
                lab.node(Who::A).hand_over(HandOver::ByCommand);
                lab.kill_responder(Who::A);
            },
            leaves(DEAD),
        )
        .step("hang no more", go_on, absent())
        .calm(Duration::from_secs(3))
        .step("mend TCP, start the responder", mend, returns()),
    ]
}

/// In the place of the announcers `bird` and `lease`; the lab puts its own paths for the two that are shipped.
const PROGRAM: Edit = (
    SAMPLE,
    concat!(
        "#   exec:
#     - name: birdc
#       program: ",
        env!("CARGO_MANIFEST_DIR"),
        "/tools/announce-by-birdc
#       arguments: [/run/bird/bird.ctl, /var/lib/pharos/bird.conf]
#       observe:
#         program: ",
        env!("CARGO_MANIFEST_DIR"),
        "/tools/announce-by-birdc
#         arguments: [/run/bird/bird.ctl, /var/lib/pharos/bird.conf, observe]
#         interval: 1s
"
    ),
);

fn plan() -> Plan {
    Plan { speaker: Speaker::LocalBird, site: vec![PROGRAM], ..Plan::default() }
}

/// BIRD's side, at every node: a protocol for each prefix and level, of which the program enables one.
fn write_protocols(lab: &mut FaultLab) {
    let levels = [
        ("normal", "(64512, 100)"),
        ("degraded", "(64512, 101)"),
        ("last_resort", "(64512, 102)"),
        ("draining", "(64512, 103)); bgp_community.add((65535, 0)"),
    ];
    let prefixes = [(PREFIX4, "ipv4"), (PREFIX6, "ipv6")];
    let of = |(prefix, family): (&str, &str)| {
        let name = prefix.replace(['.', ':', '/'], "_");
        levels.map(|(level, communities)| {
            format!(
                "protocol static pharos_{name}_{level} {{
	disabled;
	{family};
	route {prefix} blackhole {{ bgp_community.add({communities}); }};
}}
"
            )
        })
    };
    let text = prefixes.map(of).concat().concat();
    for node in lab.nodes() {
        fs::write(node.state.join("bird.conf"), &text).expect("the lab's own directory can be written");
    }
}

fn directory(lab: &mut FaultLab) -> PathBuf {
    lab.node(Who::A).state.clone()
}

fn hang(lab: &mut FaultLab) {
    fs::write(directory(lab).join("hang"), "").expect("the lab's own directory can be written");
}

/// The program hangs as it is to tell that TCP is refused.
fn hang_while_it_degrades(lab: &mut FaultLab) {
    hang(lab);
    lab.filter(Who::A, "tcp dport 53 reject with tcp reset");
    let hangs = ["hangs-ipv4", "hangs-ipv6"].map(|name| directory(lab).join(name));
    wait_until("the program hangs for both prefixes", || hangs.iter().all(|file| file.exists()));
}

fn mend(lab: &mut FaultLab) {
    lab.unfilter(Who::A);
    lab.node(Who::A).start_responder();
}

fn go_on(lab: &mut FaultLab) {
    fs::remove_file(directory(lab).join("hang")).expect("an earlier step has put it there");
}
