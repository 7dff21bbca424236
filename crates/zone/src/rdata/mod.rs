//! Record data: one description of each type's fields, and what is done with it.
//!
//! The description of every type is a line in the table of types. From it follow the reading of text, the check
//! of wire data ([`validate`]), the places of names ([`names`]), and the canonical text ([`write_text`]). A new
//! type costs a line. Data are always in uncompressed wire format here.

pub(crate) mod address;
pub(crate) mod base;
pub(crate) mod bits;
pub(crate) mod codes;
pub(crate) mod location;
pub(crate) mod odd;
pub(crate) mod params;
pub(crate) mod show;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod wire;

pub use show::write_text;
pub use table::NameUse;
pub use wire::{Names, RdataError, names, validate};
