//! Query octets, the zones in force and a context in; reply octets and a verdict out.
//!
//! This is the query path's thinking part. It is pure: no clock, no socket, no allocation, no lock; what it
//! needs to know of the world stands in [`Context`]. The batch loops of `pharos-responder` call it in passes,
//! so that the waits for memory of one query overlap with the work of others:
//!
//! 1. [`look_up`] parses, folds and hashes once, and finds the zone; then asks for the line of its hash table, then for
//!    the node; with more such steps where there are many zones;
//! 2. [`Job::write`] decides (RFC 1034 §4.3.2 as later clarified; see the module `resolve`) and links the
//!    reply: header and question as received, then records whose compression pointers follow from where the
//!    qname stands (the module `reply`).
//!
//! Tests and `explain` call [`answer`], which is the same for one query. What happens is
//! told to an [`Observer`], a generic parameter: [`Silent`] costs nothing.
//!
//! A message that deserves no reply at all (too short, or itself a response) yields [`Verdict::Drop`].
#![forbid(unsafe_code)]

mod chaos;
mod context;
mod cookie;
mod denial;
mod helpful;
mod job;
mod observe;
mod options;
mod reply;
mod resolve;
mod verdict;

pub use context::{AnyPolicy, Audience, Context, NSID_MAX, Pressure, Transport};
pub use cookie::{BadSecret, Cookies, Require, Secret};
pub use job::{Job, answer, look_up};
pub use observe::{End, Observer, Owner, Proves, Silent, Step, Subject};
pub use verdict::{DropReason, Kind, Replied, Truncation, Verdict};
