//! Load on a responder whose zones change under it, and a judge for every single answer.
//!
//! [`World`] writes two zones that refer to each other, whose rdata, TTLs and serials all tell the generation
//! of the files. [`Query`] says for each query what the whole reply must be in a given generation, and
//! [`Judge`] reads replies with code of its own: whoever mixes two generations within a message, or two zones
//! of different generations in a chain, makes a reply that no generation has. [`UdpClient`] and the TCP clients
//! ask, pace themselves, and never ask again: what is not answered is lost, and the sockets' own counters tell
//! whether the client itself or the server lost it. [`Control`] is what they share with the test.

mod control;
mod judge;
mod process;
mod query;
mod tcp;
mod udp;
mod world;

pub use control::{Control, Tally};
pub use judge::Judge;
pub use process::{Memory, udp_drops};
pub use query::{Kind, Query};
pub use tcp::{ask_with_new_connections, pipeline};
pub use udp::{SOCKETS, UdpClient};
pub use world::{Generation, World};
