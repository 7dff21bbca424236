//! Zone files: scan, check, diagnose, and compile to an image.
//!
//! Text becomes records in [`scan`], which knows RFC 1035 §5 and the text form of every type ([`rdata`]),
//! and which says all that is wrong with a file in one run ([`diagnostic`]). Records become text again in
//! the canonical print of `pharos zone print`.
//!
//! For the responder, [`load`] goes on from records to an image: group them by owner, check the whole zone,
//! compile. A zone with any error in it yields no image.
#![forbid(unsafe_code)]

mod check;
mod compile;
pub mod delegation;
pub mod diagnostic;
pub mod digest;
mod direct;
pub mod dnssec;
mod extras;
pub mod files;
pub mod load;
mod nsec3;
pub mod print;
pub mod rdata;
pub mod rtype;
pub mod scan;
mod tree;
