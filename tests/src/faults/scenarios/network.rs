//! Links, sessions and routers.

use super::super::expect::{DEAD, at_fra, decided, gone, reconnects, returns, stays};
use super::super::{Expect, FaultLab, Loss, Scenario, Who};
use crate::lab::{Backbone, PREFIX4, PREFIX6, Plan, TransitHelp};
use rustix::process::Signal;
use std::time::Duration;

/// The hold time that both sides of the shipped session agree on.
const HOLD: Duration = Duration::from_secs(9);
/// From one keepalive of theirs to the next, at most.
const KEEPALIVE: Duration = Duration::from_secs(3);

pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "link-silent",
            "the link to the router loses every packet without going down",
            "the router drops the routes after the hold time; the sidecar alarms",
        )
        .within(HOLD, "the hold time")
        .step("lose everything", FaultLab::silence_link, vec![
            Expect::Gone(PREFIX4),
            Expect::Gone(PREFIX6),
            Expect::Alarm(Who::A, "neighbour-down", ""),
            Expect::Answered(&["a.fra"]),
        ])
        .step("let it through", FaultLab::restore_link, reconnects()),
        Scenario::new(
            "router-killed",
            "kill -9 of the routing daemon at the only router of the POP",
            "the transit network drops the POP; the sidecar alarms, and announces again once the daemon is back",
        )
        .within(Duration::from_secs(1), "the kernel closes the sessions' connections")
        .step("kill -9", |lab| {
            lab.strike();
            lab.ams().router_mut().kill();
        }, vec![
            Expect::Transit(PREFIX4, Some("10.2.0.2")),
            Expect::Alarm(Who::A, "neighbour-down", ""),
            Expect::Answered(&["a.fra"]),
        ])
        .step("start again", FaultLab::start_router, vec![
            Expect::AlarmOver(Who::A, "neighbour-down"),
            Expect::Transit(PREFIX4, Some("10.1.0.2")),
            Expect::Answered(&["a.ams"]),
        ]),
        Scenario::new(
            "router-frozen",
            "the routing daemon at the only router of the POP hangs (SIGSTOP); its kernel forwards on",
            "the transit network and the sidecar see it by their hold times; clients move, and come back with it",
        )
        .within(
            HOLD + KEEPALIVE,
            "the hold time, and until the transit network's BIRD wakes for another session's message: only then it \
             closes the one whose hold timer has ended",
        )
        .step("SIGSTOP", |lab| signal_router(lab, Signal::STOP), vec![
            Expect::Transit(PREFIX4, Some("10.2.0.2")),
            Expect::Alarm(Who::A, "neighbour-down", "Hold Timer Expired"),
            Expect::Answered(&["a.fra"]),
        ])
        .step("SIGCONT", |lab| signal_router(lab, Signal::CONT), vec![
            Expect::AlarmOver(Who::A, "neighbour-down"),
            Expect::Transit(PREFIX4, Some("10.1.0.2")),
            Expect::Answered(&["a.ams"]),
        ]),
        Scenario::new(
            "one-of-two-routers-killed",
            "kill -9 of the routing daemon at one of the two routers of the POP",
            "an alarm; the other router keeps the POP announced, and no client loses an answer",
        )
        .plan(Plan { ams_routers: 2, ..Plan::default() })
        .within(Duration::from_secs(1), "the kernel closes the session's connection")
        .step("kill -9", |lab| {
            lab.strike();
            lab.topology.ams.routers.swap(0, 1);
            lab.ams().router_mut().kill();
        }, vec![Expect::Alarm(Who::A, "neighbour-down", "10.0.2.1"), Expect::Answered(&["a.ams"])])
        .calm(Duration::from_secs(1))
        .step("start again", |lab| {
            lab.start_router();
            lab.topology.ams.routers.swap(0, 1);
        }, vec![Expect::AlarmOver(Who::A, "neighbour-down"), Expect::Answered(&["a.ams"])])
        .loses(Loss::Nothing),
        Scenario::new(
            "session-shut-by-the-router",
            "the router's operator disables the session",
            "the routes go; the alarm repeats the router's reason; they are back when it is enabled",
        )
        .within(Duration::from_millis(100), "a NOTIFICATION")
        .step("disable", |lab| {
            lab.strike();
            bird(lab, "disable pharos_node \"maintenance 4711\"");
        }, vec![
            Expect::Gone(PREFIX4),
            Expect::Gone(PREFIX6),
            Expect::Alarm(Who::A, "neighbour-down", "maintenance 4711"),
            Expect::Answered(&["a.fra"]),
        ])
        .step("enable", |lab| bird(lab, "enable pharos_node"), reconnects()),
        Scenario::new(
            "one-node-of-two-dies",
            "kill -9 of the responder at one of two nodes that share an ECMP router",
            "its part of the route goes; the other node takes all; the world outside sees nothing",
        )
        .plan(pair())
        .within(Duration::from_secs(1), "two probes 250 ms apart, refused at once")
        .step("kill -9", |lab| lab.kill_responder(Who::A), {
            let mut list = decided("withdrawn", DEAD);
            list.extend([Expect::Spread(PREFIX4, 1), Expect::Spread(PREFIX6, 1), Expect::Answered(&["b.ams"])]);
            list
        })
        .step("start again", |lab| lab.node(Who::A).start_responder(), {
            let mut list = decided("normal", "");
            list.extend([Expect::Back(PREFIX4), Expect::Back(PREFIX6), Expect::Answered(&["a.ams", "b.ams"])]);
            list
        }),
        Scenario::new(
            "both-nodes-of-a-pop-die",
            "kill -9 of the responders at both nodes that share an ECMP router",
            "the POP leaves; clients are answered by the other POP",
        )
        .plan(pair())
        .within(Duration::from_secs(1), "two probes 250 ms apart, refused at once")
        .step("kill -9 of both", |lab| {
            lab.strike();
            lab.node(Who::A).responder().kill();
            lab.node(Who::B).responder().kill();
        }, {
            let mut list = decided("withdrawn", DEAD);
            list.extend([PREFIX4, PREFIX6].map(|prefix| Expect::Level {
                who: Who::B,
                prefix,
                level: "withdrawn",
                because: DEAD,
            }));
            list.extend([Expect::Spread(PREFIX4, 0), Expect::Spread(PREFIX6, 0), Expect::Answered(&["a.fra"])]);
            list
        }),
        Scenario::new(
            "sidecar-killed-helper-router",
            "kill -9 of the sidecar, and the router is a helper for graceful restart and for the long-lived one",
            "the routes go at once all the same: the session never offers either",
        )
        .plan(Plan {
            // Both lines of the file: graceful restart, and the long-lived one.
            bird: vec![("graceful restart off;", "graceful restart on;")],
            ..Plan::default()
        })
        .within(Duration::from_millis(50), "the kernel closes the session's connection")
        .step("kill -9", |lab| lab.kill_sidecar(Who::A), gone())
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), returns()),
        Scenario::new(
            "router-restarted-with-helper",
            "kill -9 of the routing daemon and a start with recovery; the transit network is a graceful-restart helper",
            "the transit network keeps sending to the POP until its router has heard of the node again; the sidecar alarms",
        )
        .plan(Plan { help: TransitHelp::GracefulRestart, ..Plan::default() })
        .within(
            Duration::from_millis(3500),
            "the kernel closes the session's connection; then connect-retry, a second, and two where the daemon was not up yet",
        )
        .loses(Loss::Any)
        .step("kill -9, and start", |lab| {
            lab.strike();
            lab.ams().router_mut().kill();
            lab.recover_router();
        }, vec![
            Expect::Alarm(Who::A, "neighbour-down", ""),
            Expect::AlarmOver(Who::A, "neighbour-down"),
            Expect::Back(PREFIX4),
            Expect::Back(PREFIX6),
            Expect::Transit(PREFIX4, Some("10.1.0.2")),
            Expect::Answered(&["a.ams"]),
        ])
        .calm(Duration::from_secs(2)),
        Scenario::new(
            "router-dead-with-long-lived-helper",
            "the POP's only router loses its power; the transit network keeps stale routes, long-lived (RFC 9494)",
            "clients are sent to the dead POP for the hold time and the restart time, then elsewhere; and to it again when \
             nobody else is left, for an hour; the sidecar alarms",
        )
        .plan(Plan { help: TransitHelp::LongLived, ..Plan::default() })
        .within(HOLD + Duration::from_secs(6), "the hold time, and the restart time of five seconds")
        .loses(Loss::Any)
        .step("power cut", |lab| {
            lab.silence_uplink();
            lab.strike();
            lab.ams().router_mut().kill();
        }, vec![
            Expect::Alarm(Who::A, "neighbour-down", ""),
            Expect::Transit(PREFIX4, Some("10.2.0.2")),
            Expect::That("the transit network still has the route, as a stale one", |lab| {
                let route = lab.topology.transit.route_from("ams", PREFIX4);
                route.is_some_and(|route| route.communities.iter().any(|community| community == "65535:6"))
            }),
            Expect::Answered(&["a.fra"]),
        ])
        .step("kill -9 of the responder of the other POP", |lab| lab.kill_responder(Who::Fra), {
            let mut list = at_fra("withdrawn", "");
            list.push(Expect::Transit(PREFIX4, Some("10.1.0.2")));
            list
        })
        .step("start both again", |lab| {
            lab.restore_uplink();
            lab.start_router();
            lab.node(Who::Fra).start_responder();
        }, [at_fra("normal", ""), reconnects()].concat()),
        Scenario::new(
            "backbone-cut",
            "the link between the POPs' routers goes down",
            "nothing: no decision depends on anything beyond the own router",
        )
        .plan(Plan { backbone: Backbone::Ibgp, ..Plan::default() })
        .loses(Loss::Nothing)
        .never("session down")
        .never("alarm")
        .step("ip link set down", |lab| {
            lab.ams().router().namespace.sh("ip link set backbone down");
        }, stays())
        .calm(Duration::from_secs(12)),
        Scenario::new(
            "one-sidecar-of-two-killed",
            "kill -9 of the sidecar at one of two nodes that share an ECMP router",
            "its part of the route goes at once; the other node takes all; the world outside sees nothing",
        )
        .plan(pair())
        .within(Duration::from_millis(50), "the kernel closes the session's connection")
        .step("kill -9", |lab| lab.kill_sidecar(Who::A), vec![Expect::Spread(PREFIX4, 1), Expect::Spread(PREFIX6, 1), Expect::Answered(&["b.ams"])])
        .step("start again", |lab| lab.node(Who::A).start_sidecar(), {
            let mut list = decided("normal", "");
            list.extend([Expect::Back(PREFIX4), Expect::Back(PREFIX6), Expect::Answered(&["a.ams", "b.ams"])]);
            list
        }),
    ]
}

/// Two nodes behind one router, as they should be configured.
pub(super) fn pair() -> Plan {
    Plan { ams_nodes: 2, pharos: vec![("degrade: allowed", "degrade: never")], ..Plan::default() }
}

fn signal_router(lab: &mut FaultLab, signal: Signal) {
    lab.ams().router_mut().bird_mut().expect("the router runs BIRD").daemon().signal(signal);
}

fn bird(lab: &mut FaultLab, command: &str) {
    let bird = lab.topology.ams.router().bird().expect("the router runs BIRD");
    bird.ask(command);
}
