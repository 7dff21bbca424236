//! The scenarios, by what they break. A file's scenarios stand in the order in which the table shows them.

mod announcers;
mod bfd;
mod data;
mod drains;
mod handover;
mod host;
mod last_resort;
mod links;
mod network;
mod node_bird;
mod operator;
mod peers;
mod processes;
mod programs;
mod resources;
mod servers;
mod states;
mod stops;
mod threads;
mod traffic;
mod transports;
mod wire;
mod words;
mod xdp;

use super::Scenario;
use std::time::Duration;

pub use bfd::plan as plan_with_bfd;

/// An operator's word, and the UPDATE that comes of it.
const UPDATE: Duration = Duration::from_millis(500);
const UPDATE_WHY: &str = "one UPDATE";
/// The hold-down in the lab: nobody is announced again sooner.
const HOLD_DOWN: Duration = Duration::from_secs(2);
/// From a start, or from the moment when all is well, to the announcement.
const ANNOUNCED: Duration = Duration::from_secs(4);
const ANNOUNCED_WHY: &str =
    "three probes 250 ms apart, a status that is fetched once a second, and a hold-down of two seconds";
/// A drain whose queries have gone ends before its deadline.
const QUIET_LEAST: Duration = Duration::from_secs(2);
const QUIET_MOST: Duration = Duration::from_millis(5500);
const QUIET_WHY: &str = "three readings of the status, a second apart, by which next to no query comes any more, and the one \
                         before them, in which some still did";
/// One whose queries stay ends at it.
const DEADLINE_LEAST: Duration = Duration::from_secs(10);
const DEADLINE_MOST: Duration = Duration::from_secs(11);
const DEADLINE_WHY: &str = "a drain time of ten seconds, and one UPDATE";

/// Why some of them are left out here, if they are.
pub fn left_out() -> Option<&'static str> {
    (!xdp::may_be_used()).then_some("the scenarios with AF_XDP need root of the machine")
}

/// All that can be played here.
pub fn all() -> Vec<Scenario> {
    let sections = [
        ("Processes that die, hang and come back", processes::all()),
        (
            "The same in other states",
            [states::all(), stops::all(), drains::all(), words::all(), last_resort::all()].concat(),
        ),
        ("A thread that stops", threads::all()),
        ("Half of the service", transports::all()),
        ("Links, sessions and routers", [network::all(), links::all()].concat()),
        ("BFD", bfd::all()),
        ("The path of the packets", [wire::all(), xdp::all()].concat()),
        ("Neighbours that are wrong", peers::all()),
        ("A BIRD on the node", [announcers::all(), node_bird::all(), programs::all()].concat()),
        ("Data and signatures", data::all()),
        ("The host", host::all()),
        ("What runs out", resources::all()),
        ("Another name server", servers::all()),
        ("Operators and pushes", operator::all()),
        ("Clients that do not follow", traffic::all()),
        ("Planned restarts of the sidecar", handover::all()),
    ];
    let of_section = |(section, scenarios): (&'static str, Vec<Scenario>)| {
        scenarios.into_iter().map(move |scenario| Scenario { section, ..scenario })
    };
    sections.into_iter().flat_map(of_section).collect()
}

#[cfg(test)]
mod tests {
    use super::super::expect::Kind;
    use super::super::{Bound, Expect, Step, Timed};
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_scenarios_have_the_same_name() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn whoever_has_to_react_has_a_bound_on_how_late() {
        let reacts = |scenario: &&Scenario| {
            let fault = scenario.steps.get(scenario.fault_step).expect("a scenario has a fault");
            fault.expect.iter().any(Expect::is_reaction)
        };
        let all = all();
        let unbound = all.iter().filter(reacts).filter(|scenario| scenario.bound.within.is_none());
        assert_eq!(unbound.map(|scenario| scenario.name).collect::<Vec<_>>(), [""; 0]);
    }

    #[test]
    fn whatever_has_a_bound_can_be_measured_and_says_why_so_much() {
        for scenario in all() {
            let measured = |step: &Step| {
                let is_measured = |expect: &Expect| {
                    matches!(expect.kind(), Kind::Detection | Kind::Alarm | Kind::Convergence)
                };
                step.expect.iter().any(is_measured)
            };
            let Bound { within, because } = scenario.bound;
            assert_eq!(within.is_some(), !because.is_empty(), "{}", scenario.name);
            let fault = scenario.steps.get(scenario.fault_step).expect("a scenario has a fault");
            assert!(within.is_none() || measured(fault), "{}", scenario.name);
            assert!(fault.timed.is_none(), "{}: the fault has the bound of the scenario", scenario.name);
            for (number, step) in scenario.steps.iter().enumerate() {
                let Some(Timed { least, most, because, .. }) = step.timed else { continue };
                assert!(number > scenario.fault_step && measured(step), "{}", scenario.name);
                assert!(least < most && !because.is_empty(), "{}", scenario.name);
            }
        }
    }
}
