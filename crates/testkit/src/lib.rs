//! What tests share; never published.
//!
//! - [`Served`]: zones from text, compiled as the responder compiles them, and asked without a socket.
//! - [`Ask`]: queries as octets, well-formed ones and odd ones.
//! - [`Reply`]: replies read by a decoder of its own, which shares no code with the one that wrote them, and
//!   held against hickory-proto; records come out as lines of text.
//! - [`model`]: RFC 1034 §4.3.2 once more, slow and obvious, over ordered maps.
//! - [`Dice`]: choices from a seed or from a fuzzer's octets; [`random`]: zones and names made of such choices.
//! - [`fuzz`]: the bodies of the fuzz targets, which a test with a fixed seed calls too.
//! - [`peers`]: other name servers, configured alike wherever a test starts one.
//! - [`counting`]: an allocator by which tests prove that something does not allocate.
//!
//! Nothing here reads a clock or opens a socket.
#![deny(unsafe_code)]

pub mod counting;
mod decode;
mod dice;
pub mod fuzz;
pub mod model;
pub mod peers;
mod query;
pub mod random;
mod reply;
mod served;

pub use dice::Dice;
pub use query::{Ask, mutate};
pub use reply::{Lines, Opt, Question, Record, Reply};
pub use served::{CLIENT, KEY, NOW, Served};
