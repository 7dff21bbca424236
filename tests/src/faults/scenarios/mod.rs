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

use super::Scenario;

/// All of them.
pub fn all() -> Vec<Scenario> {
    [
        processes::all(),
        states::all(),
        threads::all(),
        transports::all(),
        network::all(),
        bfd::all(),
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
