//! The immutable image of a zone, the set of zones that a node serves, and the swap of one set for the next.
//!
//! A [`ZoneImage`] is made once, by `pharos-zone` through [`build::ImageBuilder`], and only read from then on.
//! Its whole content is one arena of octets with a hash table of cache lines beside it, so that a look-up
//! touches one line of the table and the lines of one node. Rdata stand there ready for the wire: what
//! compresses is compressed against suffixes of the owner, whose place in a reply follows from the place
//! of the qname alone (see [`image::Record`]).
//!
//! A [`ZoneSet`] finds the image that encloses a name. [`Published`] holds the set in force; a worker looks at
//! a counter once per batch and takes the new set when it moved, and never frees an old one.
//!
//! [`stored`] turns an image into octets and back, for a file that spares the work of making it again.
//!
//! Nothing here opens files, knows a clock, or decides what to answer.
#![forbid(unsafe_code)]

mod apex;
pub mod build;
mod depths;
pub mod foresight;
pub mod image;
mod nsec;
pub mod nsec3;
mod published;
mod rekey;
mod set;
pub mod stored;
mod sums;
mod table;

pub use apex::Apex;
pub use build::{BuildError, ImageBuilder};
pub use foresight::{Approach, Foresight};
pub use image::{Glimpse, Match, Node, Record, RrSet, ZoneImage};
pub use published::{Published, Reader, Retire};
pub use set::{Enclosing, ZoneSet, ZoneState};
