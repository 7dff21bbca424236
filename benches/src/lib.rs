//! What the benchmarks share: the zones that they ask, and the kinds of queries that they put.
//!
//! Everything here is the same on each run and each machine: sample zones, a generated zone, a fixed hash key.
#![forbid(unsafe_code)]

pub mod side_by_side;

use std::fmt::Write as _;
use std::path::Path;

use pharos_testkit::{Ask, Served};
use pharos_wire::{Class, Opcode, Rtype};

/// Hosts of the generated zone, two records each.
const HOSTS: u32 = 250_000;
/// Delegations of the generated zone, two records each.
const DELEGATIONS: u32 = 250_000;
/// Queries of one kind to the generated zone, spread over its names.
const SPREAD: u32 = 64;

/// Queries that take the same way through the code.
#[derive(Debug)]
pub struct QueryKind {
    /// What they are called in tables.
    pub name: &'static str,
    /// The queries, asked one after the other.
    pub asks: Vec<Ask>,
}

impl QueryKind {
    fn one(name: &'static str, ask: Ask) -> Self {
        Self { name, asks: vec![ask] }
    }
}

/// The zones of `zones/`, and one that is signed with NSEC3: opt-out, no salt, no additional iterations (RFC 9276 §3.1).
///
/// # Panics
/// When they cannot be read or are refused.
pub fn samples() -> Served {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = [
        ("zones", "example.com"),
        ("zones", "example"),
        ("zones", "signed.example"),
        ("zones", "2.0.192.in-addr.arpa"),
        ("zones", "8.b.d.0.1.0.0.2.ip6.arpa"),
        ("tests/data/dnssec/opt-out", "signed.test"),
    ];
    files.iter().fold(Served::new(), |served, (directory, name)| {
        let path = root.join(directory).join(format!("{name}.zone"));
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        served.zone(&format!("{name}."), &text)
    })
}

/// What is asked of the samples.
pub fn sample_kinds() -> Vec<QueryKind> {
    let (a, txt) = (Rtype::A, Rtype::TXT);
    let www = || Ask::new("www.example.com.", a);
    let alice = "1.8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.";
    let long = format!("{}example.com.", "a.".repeat(120));
    [
        ("A, positive", www()),
        ("A, positive, EDNS", www().edns(1232)),
        ("A, positive, EDNS with DO and NSID", www().dnssec().nsid()),
        ("HTTPS, positive", Ask::new("www.example.com.", Rtype::HTTPS)),
        ("NS of the apex, with addresses", Ask::new("example.com.", Rtype::NS)),
        ("MX, with addresses", Ask::new("example.com.", Rtype::MX)),
        ("TXT, two records", Ask::new("example.com.", txt)),
        ("PTR, a name of 34 labels", Ask::new(alice, Rtype::PTR)),
        ("CNAME, within the zone", Ask::new("shop.example.com.", a)),
        ("CNAME, a chain of two", Ask::new("old-shop.example.com.", a)),
        ("CNAME, out of all zones", Ask::new("static.example.com.", a)),
        ("wildcard", Ask::new("bob.users.example.com.", a)),
        ("wildcard CNAME", Ask::new("b17.preview.example.com.", a)),
        ("DNAME", Ask::new("host1.rack1.legacy.example.com.", a)),
        ("NODATA", Ask::new("www.example.com.", txt)),
        ("NODATA, empty non-terminal", Ask::new("_tcp.example.com.", a)),
        ("NXDOMAIN", Ask::new("none.example.com.", a)),
        ("NXDOMAIN, 122 labels", Ask::new(&long, a)),
        ("referral, with glue", Ask::new("www.alphahost.example.", a)),
        ("referral, with glue and DS by DO", Ask::new("www.alphahost.example.", a).dnssec()),
        ("DS of a delegation", Ask::new("alphahost.example.", Rtype::DS)),
        ("ANY, minimal", Ask::new("example.com.", Rtype::ANY)),
        ("signed: positive by DO", Ask::new("signed.example.", Rtype::SOA).dnssec()),
        ("signed: NODATA by DO", Ask::new("signed.example.", Rtype::SRV).dnssec()),
        ("signed: NXDOMAIN by DO", Ask::new("none.signed.example.", a).dnssec()),
        ("signed: NXDOMAIN by DO, truncated", Ask::new("none.signed.example.", a).edns(512).dnssec()),
        ("signed: wildcard by DO", Ask::new("x.wild.signed.example.", a).dnssec()),
        ("signed, NSEC3: NODATA by DO", Ask::new("mail.signed.test.", Rtype::SRV).dnssec()),
        ("signed, NSEC3: NXDOMAIN by DO", Ask::new("none.signed.test.", a).dnssec()),
        ("signed, NSEC3: wildcard by DO", Ask::new("x.wild.signed.test.", a).dnssec()),
        ("signed, NSEC3: referral, opt-out, by DO", Ask::new("www.insecure.signed.test.", a).dnssec()),
        ("REFUSED, not our zone", Ask::new("www.elsewhere.test.", a)),
        ("NOTIMP", www().opcode(Opcode::NOTIFY)),
        ("FORMERR, an option overruns", www().option_octets(b"\0\x03\0\x09")),
        ("BADVERS", www().version(1)),
        ("CH TXT id.server", Ask::new("id.server.", txt).class(Class::CH)),
        ("a response, dropped", www().flags(0x8000)),
    ]
    .map(|(name, ask)| QueryKind::one(name, ask))
    .into()
}

/// A zone of a million records: hosts with two addresses, delegations with a name server and its glue.
pub fn million() -> Served {
    let mut text = String::with_capacity(40 << 20);
    text.push_str("$TTL 3600\n@ SOA ns1 hostmaster 1 7200 1800 1209600 300\n@ NS ns1\nns1 A 192.0.2.1\n");
    for host in 0..HOSTS {
        let [_, b, c, d] = host.to_be_bytes();
        let _ = writeln!(text, "host{host} A 10.{b}.{c}.{d}\nhost{host} AAAA 2001:db8::{b:x}:{c:x}{d:02x}");
    }
    for delegation in 0..DELEGATIONS {
        let [_, b, c, d] = delegation.to_be_bytes();
        let _ = writeln!(text, "sub{delegation} NS ns.sub{delegation}\nns.sub{delegation} A 10.{b}.{c}.{d}");
    }
    Served::one("million.test.", &text)
}

/// What is asked of the generated zone.
pub fn million_kinds() -> Vec<QueryKind> {
    let spread = |name, of: u32, prefix: &str, qtype| QueryKind {
        name,
        asks: (0..SPREAD)
            .map(|n| Ask::new(&format!("{prefix}{}.million.test.", n * (of / SPREAD)), qtype).edns(1232))
            .collect(),
    };
    vec![
        spread("1M records: A, positive, EDNS", HOSTS, "host", Rtype::A),
        spread("1M records: NODATA, EDNS", HOSTS, "host", Rtype::TXT),
        spread("1M records: NXDOMAIN, EDNS", HOSTS, "none", Rtype::A),
        spread("1M records: referral, EDNS", DELEGATIONS, "www.sub", Rtype::A),
    ]
}

/// A zone of so many records, apart from its head, like that of a registry that hosts, too: delegations with glue and
/// DS, addresses, mail and text. Only what `domain` reads: no TTL units, no $GENERATE.
pub fn mixed_zone(records: u32) -> String {
    let mut text = String::from(
        "$ORIGIN example.\n$TTL 3600\n@ IN SOA ns1 hostmaster 2026112101 7200 1800 1209600 300\n@ IN NS ns1\nns1 IN A 192.0.2.1\n",
    );
    for at in 0..records / 8 {
        let (b, c, d) = (at >> 16 & 255, at >> 8 & 255, at & 255);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "d{at}\t3600\tIN\tNS\tns1.d{at}\n\
             d{at}\t3600\tIN\tNS\tns2.hoster{d}.test.\n\
             d{at}\t3600\tIN\tDS\t{} 13 2 {:064x}\n\
             ns1.d{at}\tIN\tA\t10.{b}.{c}.{d}\n\
             www.h{at} 300 IN A 10.{b}.{c}.{d}\n\
             www.h{at} 300 IN AAAA 2001:db8:{b:x}:{c:x}::{d:x}\n\
             h{at} IN MX 10 mail.h{at}.example.\n\
             h{at} IN TXT \"v=spf1 ip4:10.{b}.{c}.{d} -all\"\n",
            at & 0xffff,
            u64::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        );
    }
    text
}

/// A zone of so many names, each with an address, and nothing else below its apex. Only what `domain` reads.
pub fn hosts_zone(names: u32) -> String {
    let mut text = String::from(
        "$TTL 3600\n@ IN SOA ns hostmaster 1 7200 1800 1209600 300\n@ IN NS ns\nns IN A 192.0.2.1\n",
    );
    for host in 0..names {
        let [_, b, c, d] = host.to_be_bytes();
        // Writing to a string does not fail.
        let _ = writeln!(text, "h{host} IN A 10.{b}.{c}.{d}");
    }
    text
}

#[cfg(test)]
mod tests {
    use pharos_answer::{Transport, Truncation, Verdict};

    use super::*;

    #[test]
    fn every_kind_of_query_is_what_its_name_says() {
        let samples = samples();
        for kind in sample_kinds() {
            for ask in &kind.asks {
                let verdict = samples.verdict(Transport::Udp, &ask.octets());
                let Verdict::Reply(reply) = verdict else {
                    assert!(kind.name.contains("dropped"), "{}: {verdict:?}", kind.name);
                    continue;
                };
                let first = kind.name.split([' ', ',', ':']).next().unwrap_or_default();
                let expected = match first {
                    "NODATA" => "noerror nodata",
                    "NXDOMAIN" => "nxdomain nxdomain",
                    "referral" => "noerror referral",
                    "REFUSED" => "refused error",
                    "NOTIMP" => "notimp error",
                    "FORMERR" => "formerr error",
                    "BADVERS" => "badvers error",
                    "CH" => "noerror chaos",
                    "signed" if kind.name.contains("NODATA") => "noerror nodata",
                    "signed" if kind.name.contains("NXDOMAIN") => "nxdomain nxdomain",
                    "signed" if kind.name.contains("referral") => "noerror referral",
                    _ => "noerror answer",
                };
                let cut = reply.truncation == Truncation::Cut;
                assert_eq!(cut, kind.name.contains("truncated"), "{}", kind.name);
                assert_eq!(
                    format!("{} {}", reply.rcode.label(), reply.kind.label()),
                    expected,
                    "{}",
                    kind.name
                );
            }
        }
    }
}
