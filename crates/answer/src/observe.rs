//! Who is told how an answer comes about.
//!
//! The query path runs with [`Silent`], which the compiler removes. `pharos explain` runs the very same code with an
//! observer that puts each step into words. Steps borrow what they speak of: whoever keeps them copies.

use pharos_wire::Rtype;
use pharos_wire::hash::HashedName;
use pharos_wire::header::Section;
use pharos_zonedb::image::Need;
use pharos_zonedb::{Node, RrSet};

/// One thing that was found or decided on the way to an answer, in the order of RFC 1034 §4.3.2. Names are told by
/// the label of the name at hand at which they start: 0 is the name itself.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Step<'a> {
    /// The zone with this index, whose apex starts at this label, encloses the name (step 2).
    Zone {
        /// Index in the set of zones.
        zone: usize,
        /// Where the apex starts.
        apex_label: usize,
    },
    /// No zone here encloses the name: REFUSED, or the end of a chain of aliases.
    NoZone,
    /// The enclosing zone is configured and has never been loaded: SERVFAIL, or the end of a chain of aliases.
    NotLoaded,
    /// The name exists (step 3a).
    Exists(Node<'a>),
    /// The name does not exist; its closest encloser starts at this label (RFC 4592 §3.3.1).
    ClosestEncloser(usize),
    /// A zone cut stands at this label (step 3b).
    Cut(usize),
    /// A DNAME stands at this label (step 3c, RFC 6672 §3.2).
    Dname(usize),
    /// The wildcard below the closest encloser stands for the name (step 3c).
    Wildcard(Node<'a>),
    /// The name is an alias; the next step concerns its target (step 3a).
    Alias,
    /// The chain of aliases ends before the name at hand.
    ChainEnds(End),
    /// A DNAME would make of the name one that is too long (RFC 6672 §2.2).
    NameTooLong,
    /// The type does not exist at the name.
    NoData,
    /// The name does not exist and nothing stands for it.
    NxDomain,
    /// This record will be needed in the authority section; it may be known already for another reason.
    Needs {
        /// Where the NSEC or NSEC3 record stands.
        record: Node<'a>,
        /// What it shows.
        proves: Proves,
        /// Of which name.
        of: Subject,
    },
    /// An RRset was put into the answer or authority section, with its signatures if the client wants them.
    Put {
        /// Where.
        section: Section,
        /// Whose it is.
        owner: Owner<'a>,
        /// What it holds.
        rrset: RrSet<'a>,
        /// Seconds for which it may be cached, which may be fewer than the zone says (RFC 2308 §3).
        ttl: u32,
        /// Octets of the reply with it, without OPT.
        octets: usize,
    },
    /// The signatures over this RRset of the name were put into the answer section, without it.
    Signatures(RrSet<'a>),
    /// A CNAME that no zone holds was put into the answer section, as the DNAME demands (RFC 6672 §3.1).
    Synthesized,
    /// Addresses were put into the additional section.
    Additional {
        /// Whose.
        node: Node<'a>,
        /// What they are.
        rrset: RrSet<'a>,
        /// Whether the reply had to have them.
        need: Need,
        /// Octets of the reply with them, without OPT.
        octets: usize,
    },
    /// The signatures over addresses in the additional section were put there, too.
    AdditionalSignatures {
        /// Whose.
        node: Node<'a>,
        /// The type of the addresses.
        rtype: Rtype,
    },
    /// Addresses, or the signatures over addresses, that would have been helpful did not fit; nothing is missing that
    /// the client needs (RFC 2181 §9).
    LeftOut {
        /// Whose.
        node: Node<'a>,
        /// Their type: that of addresses, or RRSIG.
        rtype: Rtype,
    },
    /// An RRset that the client needs did not fit: the reply is truncated.
    DidNotFit {
        /// Its type.
        rtype: Rtype,
        /// Octets of the reply without it, and without OPT.
        octets: usize,
    },
}

/// Why a chain of aliases is not followed further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The name was met before (RFC 1034 §3.6.2).
    Loop,
    /// As many aliases as one reply may have were followed.
    Bound,
    /// The reply is so long that compression would not reach what follows (RFC 1035 §4.1.4).
    Length,
}

/// What an NSEC or NSEC3 record shows in a denial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proves {
    /// It matches the name, and its list of types lacks the one in question (RFC 4035 §3.1.3.1, RFC 5155 §7.2.3).
    NoType,
    /// It covers an empty non-terminal: the next name lies below, so the name exists and has no types at all.
    Empty,
    /// It covers the name, which does not exist (RFC 4035 §3.1.3.2).
    NoName,
    /// It covers the wildcard that could have stood for the name (RFC 4035 §3.1.3.2, RFC 5155 §7.2.2).
    NoWildcard,
    /// It matches the closest encloser of which there is a proof (RFC 5155 §7.2.1).
    Encloser,
    /// It covers the next closer name, which is one label longer (RFC 5155 §7.2.1).
    NextCloser,
}

/// The name that a proof speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The suffix of the name at hand that starts at this label.
    Suffix(usize),
    /// The wildcard directly below that suffix.
    WildcardBelow(usize),
}

/// Whose an RRset is.
#[derive(Clone, Copy, Debug)]
pub enum Owner<'a> {
    /// The suffix of the name at hand that has so many octets.
    Suffix(usize),
    /// A name of its own.
    Node(Node<'a>),
}

/// Receives the steps.
pub trait Observer {
    /// Called for each step as it is taken, with the name at hand: the qname, then targets of aliases.
    fn note(&mut self, name: &HashedName, step: Step<'_>);
}

/// Hears nothing: the query path's observer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    #[inline(always)]
    fn note(&mut self, _: &HashedName, _: Step<'_>) {}
}
