//! The fixed header of a message (RFC 1035 §4.1.1): where its fields stand and what its bits mean.
//!
//! ```text
//!   0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15
//! |                      ID                       |   octets 0-1
//! |QR|   Opcode  |AA|TC|RD|RA| Z|AD|CD|   RCODE   |   octets 2-3
//! |      QDCOUNT, ANCOUNT, NSCOUNT, ARCOUNT       |   octets 4-11
//! ```

/// Octets in a header; also where the question always starts.
pub const OCTETS: usize = 12;

/// This message is a response.
pub const QR: u16 = 0x8000;
/// The answer is authoritative.
pub const AA: u16 = 0x0400;
/// The message was cut short.
pub const TC: u16 = 0x0200;
/// Recursion desired; copied into the reply (RFC 1035 §4.1.1).
pub const RD: u16 = 0x0100;
/// The four bits of the opcode.
pub const OPCODE_MASK: u16 = 0x7800;

/// Where each count stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    /// Records that answer the question.
    Answer,
    /// Records that point to an authority, or prove a denial.
    Authority,
    /// Records that may help.
    Additional,
}

impl Section {
    /// Offset of the section's count in the header.
    pub const fn count_offset(self) -> usize {
        match self {
            Self::Answer => 6,
            Self::Authority => 8,
            Self::Additional => 10,
        }
    }
}
