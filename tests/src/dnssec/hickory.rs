//! The validator of hickory-net, on hickory-proto's cryptography: each reply as we sent it, record by record.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hickory_net::dnssec::DnssecDnsHandle;
use hickory_net::runtime::TokioRuntimeProvider;
use hickory_net::xfer::{DnsHandle, DnsResponseStream, FirstAnswer};
use hickory_net::{DnsError, NetError};
use hickory_proto::dnssec::{Proof, TrustAnchors};
use hickory_proto::op::{DnsRequest, DnsRequestOptions, DnsResponse, Message, Query};
use hickory_proto::rr::{RData, Record, RecordType};

use super::exchange::exchange;
use super::questions::{APEX, Question};
use super::sign::Denial;
use super::{Outcome, Trust, Verdict, name};

/// How long one reply may take before the server is taken for dead; no judgement on speed.
const GUARD: Duration = Duration::from_secs(10);

/// A validator with one server to ask, for everything.
pub struct Hickory {
    handle: DnssecDnsHandle<Server>,
    runtime: tokio::runtime::Runtime,
}

impl Hickory {
    /// Asks `server`, and trusts the keys of `anchors`, lines of a zone file.
    ///
    /// # Panics
    /// If it cannot read them.
    pub fn new(server: SocketAddr, anchors: &str) -> Self {
        let anchors: TrustAnchors = anchors.parse().expect("anchors are DNSKEY records");
        let handle = DnssecDnsHandle::with_trust_anchor(Server(server), Arc::new(anchors));
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { handle, runtime }
    }

    /// Asks, and verifies what comes back.
    ///
    /// # Panics
    /// If no reply comes that it can read.
    pub fn judge(&self, qname: &str, rtype: RecordType) -> Verdict {
        let asked = self.handle.lookup(Query::query(name(qname), rtype), DnsRequestOptions::default());
        let (reply, trust) = match self.runtime.block_on(asked.first_answer()) {
            Ok(reply) => {
                let trust = trust(&reply);
                (reply, trust)
            }
            Err(NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure, .. })) => {
                (*response, Trust::Insecure)
            }
            Err(NetError::Dns(DnsError::Nsec { response, .. })) => (*response, Trust::Bogus),
            Err(error) => panic!("{qname} {rtype}: {error}"),
        };
        Verdict { outcome: Outcome::of(&reply, rtype), trust }
    }

    /// Where the aliases of a reply end, if there are any.
    fn alias_target(&self, qname: &str, rtype: RecordType) -> Option<String> {
        if rtype == RecordType::CNAME {
            return None;
        }
        let query = Query::query(name(qname), rtype);
        let request = DnsRequest::from_query(query, DnsRequestOptions::default());
        let asked = self.handle.inner().send(request);
        let reply = self.runtime.block_on(asked.first_answer()).ok()?;
        let target = |record: &Record| match &record.data {
            RData::CNAME(target) => Some(target.to_string()),
            _ => None,
        };
        reply.answers.iter().rev().find_map(target)
    }
}

/// Where hickory-net 0.26 finds a sound reply false. Others judge such a reply; of an alias, what it leads to is
/// asked for by itself as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Error {
    /// Behind an alias, a denial or an expansion speaks of the last name (RFC 4035 §3.1.3, RFC 2308 §2.1), and
    /// the CNAME that a DNAME makes is not signed (RFC 6672 §5.3.1). It measures all against the first name.
    Alias,
    /// The NSEC or NSEC3 record of a DNAME says nothing of names below it (RFC 6840 §4.1), yet it does say which
    /// types its owner has. It takes neither.
    TypesBesideDname,
    /// The NSEC record of a wildcard is expanded where just that is asked for (RFC 4592 §4.7). It takes none that is.
    ExpandedNsec,
    /// For an expansion there must be no closer name (RFC 4035 §5.3.4). It wants an NSEC record to deny the very
    /// wildcard as well, if that is one label up.
    NsecOfTheWildcardItself,
    /// Of a name without an NSEC3 record of its own, a span of opt-out proves that its next closer name may be an
    /// unsigned delegation (RFC 5155 §8.6; for empty non-terminals, its erratum 3441). It looks for one that
    /// covers the name itself, and for none where the type is not DS.
    OptOutAboveTheName,
}

impl Error {
    /// The error behind a verdict that is not right, if it is one of these.
    pub fn behind(hickory: &Hickory, question: &Question, denial: Denial) -> Option<Self> {
        let Question { qname, rtype, .. } = question;
        let (label, parent) = qname.split_once('.').unwrap_or_default();
        let below = |name: &str| parent == format!("{name}.{APEX}.");
        if let Some(target) = hickory.alias_target(qname, *rtype) {
            let link = Question { qname: target, ..question.clone() };
            let verdict = hickory.judge(&link.qname, *rtype);
            return (link.fits(verdict) || Self::behind(hickory, &link, denial).is_some())
                .then_some(Self::Alias);
        }
        if question.wants_synthesized() {
            return Some(Self::Alias);
        }
        if label == "d" && below_apex(parent) {
            return Some(Self::TypesBesideDname);
        }
        if *rtype == RecordType::NSEC && qname.ends_with(&format!(".wild.{APEX}.")) {
            return Some(Self::ExpandedNsec);
        }
        if denial == Denial::Nsec && (below("wild") || below("wildalias")) {
            return Some(Self::NsecOfTheWildcardItself);
        }
        if denial == Denial::Nsec3OptOut && (below("optout") || (label == "optout" && below_apex(parent))) {
            return Some(Self::OptOutAboveTheName);
        }
        None
    }
}

fn below_apex(parent: &str) -> bool {
    parent == format!("{APEX}.")
}

/// The least trusted record of answer and authority decides.
fn trust(reply: &Message) -> Trust {
    let records = reply.answers.iter().chain(&reply.authorities);
    let proofs: Vec<Proof> = records
        .filter(|record| record.record_type() != RecordType::RRSIG)
        .map(|record| record.proof)
        .collect();
    if proofs.iter().any(|proof| matches!(proof, Proof::Bogus | Proof::Indeterminate)) {
        Trust::Bogus
    } else if proofs.is_empty() || proofs.contains(&Proof::Insecure) {
        Trust::Insecure
    } else {
        Trust::Secure
    }
}

/// Where the queries go.
#[derive(Debug, Clone, Copy)]
struct Server(SocketAddr);

impl DnsHandle for Server {
    type Response = DnsResponseStream;
    type Runtime = TokioRuntimeProvider;

    fn send(&self, request: DnsRequest) -> DnsResponseStream {
        let server = *self;
        // Nothing else runs on this runtime, so that an exchange may block it.
        Box::pin(async move { Ok(DnsResponse::from_buffer(exchange(server.0, &request.to_vec()?, GUARD)?)?) })
            .into()
    }
}
