//! The scenarios, by what they break. A file's scenarios stand in the order in which the table shows them.

mod announcers;
mod bfd;
mod data;
mod handover;
mod host;
mod network;
mod operator;
mod peers;
mod processes;
mod resources;
mod states;
mod threads;
mod traffic;
mod transports;
mod wire;

use super::Scenario;

pub use bfd::plan as plan_with_bfd;

/// Why some of them are left out here, if they are.
pub fn left_out() -> Option<&'static str> {
    (!wire::may_use_xdp()).then_some("the scenarios with AF_XDP need root of the machine")
}

/// All that can be played here.
pub fn all() -> Vec<Scenario> {
    [
        processes::all(),
        states::all(),
        threads::all(),
        transports::all(),
        network::all(),
        bfd::all(),
        wire::all(),
        peers::all(),
        announcers::all(),
        data::all(),
        host::all(),
        resources::all(),
        operator::all(),
        traffic::all(),
        handover::all(),
    ]
    .concat()
}
