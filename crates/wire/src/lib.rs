//! DNS messages as octets: names, header, question, EDNS, and a writer of replies.
//!
//! Everything here works on `&[u8]` that a stranger sent and on `&mut [u8]` that the caller owns. Nothing
//! allocates, nothing panics on any input, and nothing decides *what* to answer: that is `pharos-answer`.
//!
//! - [`Name`] and [`name`]: domain names in wire form, their text form, case folding and comparison.
//! - [`hash`]: one keyed hash for every suffix of a name, made in one pass from the root leftwards.
//! - [`Query`]: one pass over a received message that leaves all that an answer needs.
//! - [`edns`]: the OPT record of RFC 6891 and the options that we understand.
//! - [`Writer`]: appends to a reply, never past its limit, and can go back to a mark.
//! - [`types`]: numbers with names: record types, classes, opcodes, response codes.
//!
//! Called by `pharos-answer` (query path), `pharos-zonedb` and `pharos-zone` (names, hashes).
#![forbid(unsafe_code)]

pub mod edns;
pub mod hash;
pub mod header;
pub mod name;
pub mod query;
pub mod types;
pub mod writer;

pub use name::Name;
pub use query::{Malformed, Query};
pub use types::{Class, Opcode, Rcode, Rtype};
pub use writer::Writer;
