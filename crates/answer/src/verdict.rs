//! What became of a query, for whoever counts.

use pharos_wire::{Opcode, Rcode, Rtype};

/// What became of a query.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// A reply stands in the output.
    Reply(Replied),
    /// Nothing is to be sent.
    Drop(DropReason),
}

/// What is known of a reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replied {
    /// Octets of the reply.
    pub len: usize,
    /// The response code, with its extended bits.
    pub rcode: Rcode,
    /// What kind of answer it is.
    pub kind: Kind,
    /// Whether something was left out that the client needs.
    pub truncation: Truncation,
    /// The query's opcode.
    pub opcode: Opcode,
    /// The type asked for; `None` where no question could be read.
    pub qtype: Option<Rtype>,
    /// Index, in the set of zones, of the zone asked.
    pub zone: Option<usize>,
}

/// The kinds of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// Records that answer the question, perhaps behind an alias.
    Answer,
    /// The name exists, or stands for others, without the type (RFC 2308 §2.2).
    NoData,
    /// The name, or an alias' target, does not exist (RFC 2308 §2.1).
    NxDomain,
    /// Another server knows (RFC 1034 §4.3.2 step 3b).
    Referral,
    /// About the server itself (RFC 4892).
    Chaos,
    /// Not an answer: the response code says why.
    Error,
}

impl Kind {
    /// The name used in metrics and test reports.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::NoData => "nodata",
            Self::NxDomain => "nxdomain",
            Self::Referral => "referral",
            Self::Chaos => "chaos",
            Self::Error => "error",
        }
    }
}

/// Whether a reply is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truncation {
    /// It is.
    Whole,
    /// The TC bit is set: some RRset that the client needs did not fit.
    Cut,
}

/// Why a message gets no reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum DropReason {
    /// Shorter than a header.
    Short,
    /// A response.
    Response,
}

impl DropReason {
    /// Every reason, for whoever counts them.
    pub const ALL: [Self; 2] = [Self::Short, Self::Response];

    /// The name used in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Response => "response",
        }
    }
}
