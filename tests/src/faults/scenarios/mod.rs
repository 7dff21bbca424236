//! The scenarios, by what they break. A file's scenarios stand in the order in which the table shows them.

mod announcers;
mod bfd;
mod data;
mod drains;
mod handover;
mod host;
mod last_resort;
mod network;
mod operator;
mod peers;
mod processes;
mod resources;
mod servers;
mod states;
mod threads;
mod traffic;
mod transports;
mod wire;
mod words;
mod xdp;

use super::Scenario;

pub use bfd::plan as plan_with_bfd;

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
            [states::all(), drains::all(), words::all(), last_resort::all()].concat(),
        ),
        ("A thread that stops", threads::all()),
        ("Half of the service", transports::all()),
        ("Links, sessions and routers", network::all()),
        ("BFD", bfd::all()),
        ("The path of the packets", [wire::all(), xdp::all()].concat()),
        ("Neighbours that are wrong", peers::all()),
        ("A BIRD on the node", announcers::all()),
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
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_scenarios_have_the_same_name() {
        let all = all();
        let names: BTreeSet<_> = all.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), all.len());
    }
}
