//! The scenarios, by what they break. A file's scenarios stand in the order in which the table shows them.

mod network;
mod operator;
mod peers;
mod processes;
mod threads;
mod transports;

use super::Scenario;

/// All of them.
pub fn all() -> Vec<Scenario> {
    [processes::all(), threads::all(), transports::all(), network::all(), peers::all(), operator::all()]
        .concat()
}
