//! Which signals this sidecar has, and which it lacks and why: said at the start and in the status.
//!
//! With our own responder nearly all are there. Another name server tells less: what follows from its answers alone,
//! and from the host.

use pharos_policy::Kind;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::probe::reply::Version;

/// The signals that there are, and those that there are not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// Kinds of signals that are observed, each with what is to be known of it, if anything.
    pub has: Vec<Source>,
    /// Those that are not, each with the reason.
    pub lacks: Vec<Source>,
}

/// One kind of signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its name, as in metrics.
    pub signal: String,
    /// Why it is lacking, or how far it goes; may be empty.
    pub text: String,
}

impl Sources {
    /// Those of this configuration; `version` is what the server is known to tell by RFC 9660.
    pub(crate) fn of(config: &Config, version: Option<Version>) -> Self {
        let mut sources = Self::default();
        for kind in Kind::ALL {
            let (list, text) = match judge(config, kind) {
                Ok(text) => (&mut sources.has, text),
                Err(text) => (&mut sources.lacks, text),
            };
            list.push(Source { signal: kind.name().to_owned(), text: text.to_owned() });
        }
        if config.status.is_none() {
            let (list, text) = match version {
                Some(Version::Told) => {
                    (&mut sources.has, "each answer names its zone and version (RFC 9660)")
                }
                Some(Version::NotTold) => (&mut sources.lacks, "the server does not answer it (RFC 9660)"),
                None => (&mut sources.lacks, "the server has not answered yet"),
            };
            list.push(Source { signal: "zone-version".to_owned(), text: text.to_owned() });
        }
        sources
    }

    /// The names and texts of a list, for people.
    pub(crate) fn in_words(list: &[Source]) -> String {
        let one = |source: &Source| match source.text.as_str() {
            "" => source.signal.clone(),
            text => format!("{} ({text})", source.signal),
        };
        list.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

fn judge(config: &Config, kind: Kind) -> Result<&'static str, &'static str> {
    const OURS: &str = "only Pharos' own responder tells it";
    let ours = config.status.is_some();
    match kind {
        Kind::Wire if config.wire.is_none() => Err("site.yaml has no section wire"),
        Kind::Heartbeats | Kind::Traffic | Kind::Status | Kind::Ready if !ours => Err(OURS),
        Kind::Overload if !ours => {
            Ok("by what this host counts; a server in another network namespace is not among it")
        }
        Kind::DataAge if !ours => Ok("by serials that are times or dates"),
        Kind::Signatures if !ours => Ok("by that of the SOA record"),
        Kind::Zone if !ours => Ok("serials are not compared"),
        _ => Ok(""),
    }
}
