//! Signed zones, and validators that are not ours to judge what is answered from them.
//!
//! ```text
//! sign (zone text -> BIND's tools -> signed zone) -> a responder -> questions -> hickory | resolver -> verdict
//! ```
//!
//! [`hickory`] is the validator that goes with hickory-proto: it sees each reply as we sent it. [`resolver`]
//! runs unbound and Knot Resolver, which ask by themselves, so they judge what a client would be told. A
//! verdict is what became of the question and how far it can be trusted; [`questions`] knows both for every
//! kind of answer that a signed zone can give.
//!
//! Nothing here knows how our answers are made. The suites `validator.rs` and `signed_tree.rs` call it.

mod exchange;
pub mod hickory;
pub mod questions;
pub mod resolver;
pub mod sign;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RecordType};

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There are records of the type asked for.
    Answer,
    /// The name exists, the type does not (RFC 2308 §2.2), or an alias ends at such a name.
    NoData,
    /// The name does not exist (RFC 2308 §2.1), or an alias ends at such a name.
    NoName,
    /// No answer: SERVFAIL, or worse.
    Failure,
}

impl Outcome {
    /// What a reply to a question of this type says.
    pub fn of(reply: &Message, rtype: RecordType) -> Self {
        match reply.metadata.response_code {
            ResponseCode::NXDomain => Self::NoName,
            ResponseCode::NoError if reply.answers.iter().any(|record| record.record_type() == rtype) => {
                Self::Answer
            }
            ResponseCode::NoError => Self::NoData,
            _ => Self::Failure,
        }
    }
}

/// How far a validator trusts what it was told (RFC 4035 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// A chain of signatures leads to it from the trust anchor.
    Secure,
    /// A chain of signatures proves that it need not be signed.
    Insecure,
    /// It should be signed, and cannot be verified.
    Bogus,
}

/// What a validator says of one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What became of the question.
    pub outcome: Outcome,
    /// How far that can be trusted.
    pub trust: Trust,
}

/// A name from its text, of which each label is taken as it stands: `Name` has its own idea of what hosts are called.
fn name(text: &str) -> Name {
    let labels = text.trim_end_matches('.').split('.').filter(|label| !label.is_empty());
    let mut name = Name::from_labels(labels.map(str::as_bytes)).expect("labels and name are short");
    name.set_fqdn(true);
    name
}
