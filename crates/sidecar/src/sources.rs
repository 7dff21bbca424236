//! Which signals this sidecar has, and which it lacks and why: said at the start and in the status.
//!
//! With our own responder nearly all are there. Another name server tells less: what follows from its answers alone,
//! and from the host. Of the age of its data only where serials are times or days, which its first answers show.

use pharos_policy::{GroupConfig, Kind};
use serde::{Deserialize, Serialize};

use crate::config::{Config, zone_name};
use crate::kept;
use crate::probe::reply::Version;
use crate::responder::Answers;

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
    /// Those of this configuration, as far as the server's answers have shown by now.
    pub(crate) fn of(config: &Config, answers: &Answers) -> Self {
        let mut sources = Self::default();
        for kind in Kind::ALL {
            let (list, text) = match judge(config, kind) {
                Ok(text) => (&mut sources.has, text),
                Err(text) => (&mut sources.lacks, text),
            };
            list.push(Source { signal: kind.name().to_owned(), text: text.to_owned() });
        }
        let (data_age, ageless) = (Kind::DataAge.name(), ageless(config, answers));
        if !ageless.is_empty() && ageless.len() == config.rules.data_age.len() {
            sources.has.retain(|source| source.signal != data_age);
        }
        let lacking = ageless.into_iter().map(|text| Source { signal: data_age.to_owned(), text });
        sources.lacks.extend(lacking);
        if config.status.is_none() {
            let (list, text) = match answers.tells_version() {
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

/// Of each group whose data have a bound on their age, and of which another server's answers have shown a serial that tells
/// none: why its age is not known. Our own responder tells when it loaded such a zone.
fn ageless(config: &Config, answers: &Answers) -> Vec<String> {
    if config.status.is_some() {
        return Vec::new();
    }
    let now = kept::since_1970().as_secs();
    let groups = config.groups.iter().filter(|group| config.rules.data_age.contains_key(&group.name));
    let of_group = |group: &GroupConfig| {
        let mut zones = group.required_zones.iter().filter_map(|zone| zone_name(zone).ok());
        let why = zones.find_map(|zone| answers.ageless(&zone, now))?;
        Some(format!("group {}: {why}", group.name))
    };
    groups.filter_map(of_group).collect()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{StatusConfig, sample};
    use crate::probe::reply::Told;

    fn age(config: &Config, answers: &Answers) -> (Vec<String>, Vec<String>) {
        let texts = |list: Vec<Source>| {
            list.into_iter().filter(|source| source.signal == "data-age").map(|source| source.text).collect()
        };
        let Sources { has, lacks } = Sources::of(config, answers);
        (texts(has), texts(lacks))
    }

    #[test]
    fn an_age_that_no_serial_tells_is_lacking_with_the_reason_and_the_remedy() {
        let mut config = sample::config();
        let mut other = sample::group();
        (other.name, other.required_zones) = ("other".into(), vec!["Other.Example".into()]);
        config.groups.push(other);
        config.rules.data_age.insert("main".into(), Duration::from_secs(3600));
        let answers = Answers::default();
        let tell = |zone: &str, serial| {
            let told = Told { serial, expires: None, version: Version::NotTold };
            answers.tell(Duration::ZERO, &zone_name(zone).unwrap(), told);
        };
        let dated = (vec!["by serials that are times or dates".to_owned()], Vec::new());
        assert_eq!(age(&config, &answers), dated, "nothing was answered yet");
        tell("other.example", 7);
        assert_eq!(age(&config, &answers), dated, "that group may serve any data");
        tell("example.com", 7);
        let lacks = "group main: the serial of example.com. is neither a time nor a day, so that its age is not known; \
                     make serials seconds since 1970 or YYYYMMDDnn, or leave out `data-age`";
        assert_eq!(age(&config, &answers), (Vec::new(), vec![lacks.to_owned()]));
        config.rules.data_age.insert("other".into(), Duration::from_secs(3600));
        tell("other.example", 2_026_112_803);
        assert_eq!(
            age(&config, &answers),
            (dated.0.clone(), vec![lacks.to_owned()]),
            "of the other it is known"
        );
        tell("example.com", 2_026_112_803);
        assert_eq!(age(&config, &answers), dated);
        tell("example.com", 7);
        config.status = Some(StatusConfig::new("127.0.0.1:9153".parse().unwrap()));
        assert_eq!(
            age(&config, &answers),
            (vec![String::new()], Vec::new()),
            "ours tells when it has loaded"
        );
    }
}
