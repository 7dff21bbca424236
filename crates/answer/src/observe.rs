//! Who is told how an answer comes about.
//!
//! The query path runs with [`Silent`], which the compiler removes. `pharos explain` and tests run the very
//! same code with a [`Recorder`].

use pharos_wire::Rtype;

/// One thing that was found or decided on the way to an answer, in the order of RFC 1034 §4.3.2. Names are told
/// by the label of the name at hand at which they start: 0 is the name itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Step {
    /// The zone with this index, whose apex starts at this label, encloses the name (step 2).
    Zone {
        /// Index in the set of zones.
        zone: usize,
        /// Where the apex starts.
        apex_label: usize,
    },
    /// No zone here encloses the name: REFUSED, or the end of a chain of aliases.
    NoZone,
    /// The enclosing zone is configured and has never been loaded: SERVFAIL.
    NotLoaded,
    /// The name exists (step 3a).
    Exists,
    /// The name does not exist; its closest encloser starts at this label (RFC 4592 §3.3.1).
    ClosestEncloser(usize),
    /// A zone cut stands at this label (step 3b).
    Cut(usize),
    /// A DNAME stands at this label (step 3c, RFC 6672 §3.2).
    Dname(usize),
    /// The wildcard below the closest encloser stands for the name (step 3c).
    Wildcard,
    /// The name is an alias; what follows concerns its target (step 3a).
    Alias,
    /// The chain of aliases ends here because it closed into a loop or reached the bound.
    ChainEnds,
    /// An RRset was put into the answer section.
    Answered(Rtype),
    /// The type does not exist at the name.
    NoData,
    /// The name does not exist and nothing stands for it.
    NxDomain,
    /// A record that proves a denial was put into the authority section.
    Proved,
    /// Glue or other addresses were put into the additional section.
    Additional(Rtype),
    /// An RRset that the client needs did not fit.
    DidNotFit(Rtype),
}

/// Receives the steps.
pub trait Observer {
    /// Called for each step as it is taken.
    fn note(&mut self, step: Step);
}

/// Hears nothing: the query path's observer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {
    #[inline(always)]
    fn note(&mut self, _: Step) {}
}

/// Keeps every step.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// What was noted, in order.
    pub steps: Vec<Step>,
}

impl Observer for Recorder {
    fn note(&mut self, step: Step) {
        self.steps.push(step);
    }
}
