//! `--vrps FILE`: what RPKI data say of all that would be announced.
//!
//! Reads what relying parties write for routers, without contacting anybody: the JSON of routinator and rpki-client
//! (`{"roas":[{"prefix":…,"maxLength":…,"asn":…}]}`, the AS as a number or as `AS64500`), and CSV (`ASN,IP Prefix,Max
//! Length,…`; columns are found by their names). What is invalid refuses the configuration: networks that validate would
//! drop the route. What is not found, and what allows more than is announced, is a warning.

use crate::failure::Failure;
use crate::print::remark;
use pharos_ops::config::Loaded;
use pharos_routing::Prefix;
use pharos_routing::origin::{Validity, Vrp, looseness, objection};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// What is to be said of RPKI data.
pub(super) struct Report {
    /// A line for each prefix.
    pub(super) text: String,
    /// What is invalid, each with its reason.
    invalid: Vec<String>,
    warnings: Vec<String>,
}

impl Report {
    /// Prints the warnings; an error if a route would be invalid.
    pub(super) fn conclude(&self, file: &Path) -> Result<(), Failure> {
        for warning in &self.warnings {
            remark(&format!("warning: {warning}\n\n"));
        }
        if self.invalid.is_empty() {
            return Ok(());
        }
        let routes = if self.invalid.len() == 1 { "a route" } else { "routes" };
        let what =
            format!("{} makes {routes} of this node invalid: {}", file.display(), self.invalid.join("; "));
        Err(Failure::usage(what).help(
            "networks that validate drop it (RFC 6811): publish a ROA for exactly this prefix and origin AS, or announce \
             what the ROAs allow",
        ))
    }
}

/// Reads the file and judges everything that this configuration announces.
pub(super) fn check(loaded: &Loaded, file: &Path, origin: Option<u32>) -> Result<Report, Failure> {
    let unreadable = |why: String| {
        Failure::usage(format!("{}: {why}", file.display())).help(
            "give the JSON or CSV that routinator or rpki-client exports, like `routinator vrps -f json`",
        )
    };
    let octets = std::fs::read(file).map_err(|error| unreadable(error.to_string()))?;
    let vrps = parse(&octets).map_err(unreadable)?;
    if vrps.is_empty() {
        // Everything would be not found, which says nothing about anything.
        return Err(unreadable("it holds no VRPs".to_owned()));
    }
    let Some(origin) = origin.or(loaded.site.local_as) else {
        return Err(Failure::usage("there is no origin AS to judge by")
            .help("write `local-as:` in site.yaml, or give --origin-as"));
    };
    let routes = routes(loaded)?;
    if routes.is_empty() {
        return Err(Failure::usage(
            "this configuration announces nothing that RPKI data could say anything of",
        ));
    }
    let mut report = judge(&vrps, &routes, origin);
    if is_private(origin) {
        report.warnings.push(format!(
            "AS{origin} is private (RFC 6996), and no ROA can name it: whoever passes the routes on replaces it by another; \
             give that one with --origin-as"
        ));
    }
    report
        .text
        .insert_str(0, &format!("\norigin AS{origin}, by {} VRPs of {}\n", vrps.len(), file.display()));
    Ok(report)
}

/// What is announced, and whose it is.
fn routes(loaded: &Loaded) -> Result<Vec<(Prefix, String)>, Failure> {
    let Some(sidecar) = &loaded.pharos.sidecar else { return Ok(Vec::new()) };
    let services = (sidecar.groups.iter())
        .flat_map(|group| group.prefixes.iter().map(|prefix| (*prefix, format!("group {}", group.name))));
    let anchors = sidecar.anchors.iter().map(|anchor| (anchor.prefix, "anchor".to_owned()));
    let route = |(prefix, whose): (pharos_ops::config::values::Prefix, String)| {
        let route = Prefix::new(prefix.address(), prefix.length_bits());
        route.map(|route| (route, whose)).map_err(|error| Failure::from_error(&error))
    };
    services.chain(anchors).map(route).collect()
}

fn judge(vrps: &[Vrp], routes: &[(Prefix, String)], origin: u32) -> Report {
    let mut report = Report { text: String::new(), invalid: Vec::new(), warnings: Vec::new() };
    let mut allowing = BTreeSet::new();
    for (prefix, whose) in routes {
        let (verdict, why) = match Validity::judge(vrps, *prefix, origin) {
            Validity::Valid(by) => {
                let why = list(&by, ToString::to_string);
                allowing.extend(by);
                ("valid", why)
            }
            Validity::Invalid(by) => {
                let why = list(&by, |vrp| {
                    format!("{vrp}: {}", objection(vrp, *prefix, origin).unwrap_or_default())
                });
                report.invalid.push(format!("{prefix} ({why})"));
                ("invalid", why)
            }
            Validity::NotFound => {
                report.warnings.push(format!(
                    "no ROA covers {prefix}, so nothing keeps others from announcing it; publish one for {prefix} AS{origin} \
                     with maxLength {}",
                    prefix.len()
                ));
                ("not found", "no ROA covers it".to_owned())
            }
        };
        // Writing to a String cannot fail.
        let _ = writeln!(report.text, "  {verdict:<11} {prefix}  ({whose}): {why}");
    }
    let announced = routes.iter().map(|(prefix, _)| *prefix).collect();
    for vrp in &allowing {
        if let Some(loose) = looseness(vrp, &announced) {
            report.warnings.push(format!(
                "the ROA {vrp} allows {} that this node does not announce, like {}: forged with AS{origin} as its origin, it \
                 would be valid (RFC 9319); a maxLength of exactly what is announced is safe",
                counted(loose.unused),
                loose.example
            ));
        }
    }
    report
}

fn counted(prefixes: u128) -> String {
    match prefixes {
        1 => "a prefix".to_owned(),
        many if many > 1_000_000 => "more than a million prefixes".to_owned(),
        many => format!("{many} prefixes"),
    }
}

/// The first few; there may be hundreds for a prefix that many ROAs cover.
fn list(vrps: &[Vrp], words: impl Fn(&Vrp) -> String) -> String {
    const SHOWN: usize = 4;
    let mut shown: Vec<String> = vrps.iter().take(SHOWN).map(words).collect();
    if vrps.len() > SHOWN {
        shown.push(format!("and {} more", vrps.len() - SHOWN));
    }
    shown.join(", ")
}

/// RFC 6996 §5.
fn is_private(asn: u32) -> bool {
    (64_512..=65_534).contains(&asn) || (4_200_000_000..=4_294_967_294).contains(&asn)
}

fn parse(octets: &[u8]) -> Result<Vec<Vrp>, String> {
    match octets.iter().find(|octet| !octet.is_ascii_whitespace()) {
        Some(b'{') => parse_json(octets),
        _ => {
            parse_csv(std::str::from_utf8(octets).map_err(|error| format!("neither JSON nor text: {error}"))?)
        }
    }
}

#[derive(Deserialize)]
struct Export {
    roas: Vec<Payload>,
}

#[derive(Deserialize)]
struct Payload {
    prefix: String,
    #[serde(rename = "maxLength")]
    max_length: Option<u8>,
    asn: Asn,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Asn {
    Number(u32),
    Text(String),
}

fn parse_json(octets: &[u8]) -> Result<Vec<Vrp>, String> {
    let export: Export = serde_json::from_slice(octets).map_err(|error| error.to_string())?;
    let payload = |(index, Payload { prefix, max_length, asn }): (usize, Payload)| {
        let asn = match asn {
            Asn::Number(asn) => Ok(asn),
            Asn::Text(text) => asn_of(&text),
        };
        asn.and_then(|asn| vrp_of(&prefix, max_length, asn)).map_err(|why| format!("roas[{index}]: {why}"))
    };
    export.roas.into_iter().enumerate().map(payload).collect()
}

/// Which field of a line holds what.
struct Columns {
    asn: usize,
    prefix: usize,
    max_length: usize,
}

fn parse_csv(text: &str) -> Result<Vec<Vrp>, String> {
    let mut columns = Columns { asn: 0, prefix: 1, max_length: 2 };
    let mut vrps = Vec::new();
    let lines =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    for (place, (number, line)) in lines.enumerate() {
        let fields: Vec<&str> = line.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let called = |name: &str| fields.iter().position(|field| field.eq_ignore_ascii_case(name));
        if place == 0
            && let (Some(asn), Some(prefix), Some(max_length)) =
                (called("ASN"), called("IP Prefix"), called("Max Length"))
        {
            columns = Columns { asn, prefix, max_length };
            continue;
        }
        let at = |column: usize| fields.get(column).copied().unwrap_or_default();
        let vrp = || {
            let max_length = match at(columns.max_length) {
                "" => None,
                text => Some(text.parse().map_err(|_| format!("`{text}` is not a length"))?),
            };
            vrp_of(at(columns.prefix), max_length, asn_of(at(columns.asn))?)
        };
        vrps.push(vrp().map_err(|why: String| format!("line {}: {why}", number + 1))?);
    }
    Ok(vrps)
}

fn asn_of(text: &str) -> Result<u32, String> {
    let digits = match text.split_at_checked(2) {
        Some((start, digits)) if start.eq_ignore_ascii_case("AS") => digits,
        _ => text,
    };
    digits.parse().map_err(|_| format!("`{text}` is not an AS number"))
}

fn vrp_of(prefix: &str, max_length: Option<u8>, asn: u32) -> Result<Vrp, String> {
    let prefix: Prefix = prefix.parse().map_err(|error: pharos_routing::PrefixError| error.to_string())?;
    Vrp::new(prefix, max_length.unwrap_or(prefix.len()), asn).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(vrps: &[Vrp]) -> Vec<String> {
        vrps.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn json_and_csv_of_every_relying_party_are_read_alike() {
        let expected = ["192.0.2.0/24 AS64500", "2001:db8::/32 up to /48 AS64501"];
        for text in [
            r#"{"metadata":{"generated":1},"roas":[
                {"asn":"AS64500","prefix":"192.0.2.0/24","maxLength":24,"ta":"arin"},
                {"asn":"AS64501","prefix":"2001:db8::/32","maxLength":48,"ta":"ripe"}]}"#,
            r#"{"roas":[{"asn":64500,"prefix":"192.0.2.0/24","maxLength":24,"expires":1},
                {"asn":"64501","prefix":"2001:db8::/32","maxLength":48}],"bgpsec_keys":[]}"#,
            "ASN,IP Prefix,Max Length,Trust Anchor\nAS64500,192.0.2.0/24,24,arin\nAS64501,2001:db8::/32,48,ripe\n",
            "\"ASN\",\"IP Prefix\",\"Max Length\",\"Trust Anchor\"\r\n\"AS64500\",\"192.0.2.0/24\",\"\",\"arin\"\r\n\
             \"64501\",\"2001:db8::/32\",\"48\",\"ripe\"\r\n",
            "URI,ASN,IP Prefix,Max Length,Not Before,Not After\n\
             rsync://x/1.roa,AS64500,192.0.2.0/24,24,a,b\nrsync://x/2.roa,AS64501,2001:db8::/32,48,a,b\n",
            "as64500, 192.0.2.0/24, 24\n# a remark\n\nas64501, 2001:db8::/32, 48\n",
        ] {
            assert_eq!(said(&parse(text.as_bytes()).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        for (text, why) in [
            (
                "{\"roas\":[{\"asn\":1,\"prefix\":\"192.0.2.0/24\"},{\"asn\":\"ASX\",\"prefix\":\"::/0\"}]}",
                "roas[1]: `ASX`",
            ),
            ("{\"roas\":[{\"asn\":1,\"prefix\":\"192.0.2.1/24\"}]}", "roas[0]: 192.0.2.1/24 has bits set"),
            ("{\"roas\":[{\"asn\":1,\"prefix\":\"192.0.2.0/24\",\"maxLength\":33}]}", "a maxLength of 33"),
            ("{\"roas\":{}}", "invalid type"),
            ("{\"vrps\":[]}", "missing field `roas`"),
            ("ASN,IP Prefix,Max Length\nAS1,192.0.2.0/24,x\n", "line 2: `x` is not a length"),
            ("AS1,192.0.2.0,24\n", "line 1: `192.0.2.0` is not a prefix"),
            ("hello\n", "line 1: `hello` is not an AS number"),
            ("\u{fe}", "line 1: `\u{fe}` is not an AS number"),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(parse(b"\xff\xfe").unwrap_err().contains("neither JSON nor text"));
    }
}
