//! Both ways to an image, held against each other: what the short way makes answers like what the long way makes.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::dnssec::Checks;
use crate::load::{load, load_by_tree};
use crate::scan::{Includes, Source};

const KEY: HashKey = HashKey::new([5, 8]);

fn source(text: &str) -> Source<'_> {
    Source { path: Path::new("zone"), octets: text.as_bytes(), includes: Includes::Refused }
}

fn apex() -> Name {
    Name::from_text("example.").unwrap()
}

/// The image that the short way makes of a text, if it does.
fn direct(text: &str) -> Option<ZoneImage> {
    let mut direct = Direct::new(&apex(), KEY, text.as_bytes()).ok()?;
    let mut simple = true;
    let report = crate::scan::scan(source(text), apex().as_wire(), &mut |record| {
        simple = simple && direct.insert(&record).is_ok();
    });
    if simple && report.is_clean() { direct.finish().ok() } else { None }
}

fn by_tree(text: &str) -> Option<ZoneImage> {
    load_by_tree(&apex(), source(text), KEY, &Checks::STRICT, &mut |_| {}).ok().map(|loaded| loaded.image)
}

/// All that a look-up of a name finds, in words.
fn found(image: &ZoneImage, wire: &[u8]) -> String {
    let mut name = HashedName::default();
    name.set(wire).unwrap();
    name.hash(KEY);
    let apex_label = name.labels() - 1;
    let found = image.find(&name, apex_label);
    let mut text = format!("label {} ", found.label);
    let wildcard = image.wildcard(&name, KEY, found.label);
    for node in std::iter::once(found.node).chain(wildcard) {
        let _ = writeln!(text, "{:?} {:?}", node.name(), node.flags());
        for rrset in node.rrsets() {
            let _ = writeln!(text, " {:?} {} {}", rrset.rtype, rrset.ttl, rrset.wire_octets());
            for record in rrset.records() {
                let _ = writeln!(text, "  {:?} {:?}", record.wire, record.patches().collect::<Vec<_>>());
            }
            for extra in rrset.extras() {
                let _ = writeln!(
                    text,
                    "  -> {:?} {} {:?}",
                    extra.node.name(),
                    extra.place,
                    (extra.need, extra.along)
                );
            }
        }
    }
    text
}

fn same(text: &str, names: &[String]) {
    let (Some(short), Some(long)) = (direct(text), by_tree(text)) else { return };
    assert_eq!(
        (short.records(), short.serial(), short.negative_ttl()),
        (long.records(), long.serial(), long.negative_ttl()),
        "{text}"
    );
    // A table that was made for a few names more than there are is kept, if it is not a quarter too large.
    assert!((long.octets()..=long.octets() * 5 / 4).contains(&short.octets()), "{text}");
    for name in names {
        for name in [name.clone(), format!("x.{name}"), format!("x.y.{name}")] {
            let wire = Name::from_text(&format!("{name}.example.")).unwrap();
            assert_eq!(found(&short, wire.as_wire()), found(&long, wire.as_wire()), "{name} of\n{text}");
        }
    }
    assert_eq!(found(&short, apex().as_wire()), found(&long, apex().as_wire()), "apex of\n{text}");
}

const HEAD: &str = "$TTL 60\n@ SOA ns h 7 1 1 1 30\n@ NS ns\n@ NS a.elsewhere.\n@ MX 5 m\n";

/// A name below the apex, of few labels, so that names meet.
fn owner() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "m", "ns", "*", "www"]), 1..4)
        .prop_map(|labels| labels.join("."))
}

/// Records of one name.
fn records() -> impl Strategy<Value = Vec<String>> {
    let plain = prop::sample::select(vec![
        "A 192.0.2.1",
        "A 192.0.2.2",
        "AAAA 2001:db8::1",
        "TXT hello",
        "PTR b.a",
        "MX 1 m",
        "MX 2 a.b",
        "MX 3 x.elsewhere.",
        "MX 0 .",
        "SRV 1 1 53 ns",
        "SRV 1 1 53 www",
        "CAA 0 issue \"x\"",
    ]);
    prop_oneof![
        4 => prop::collection::vec(plain.prop_map(str::to_owned), 1..5),
        1 => Just(vec!["CNAME www".to_owned()]),
        1 => Just(vec!["CNAME a.www.a".to_owned()]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_short_way_leads_where_the_long_one_does(zone in prop::collection::vec((owner(), records()), 0..24)) {
        let mut text = HEAD.to_owned();
        for (owner, records) in &zone {
            for record in records {
                writeln!(text, "{owner} {record}").unwrap();
            }
        }
        let names: Vec<String> = zone.into_iter().map(|(owner, _)| owner).collect();
        same(&text, &names);
    }
}

#[test]
fn plain_zones_go_the_short_way() {
    let mut text = HEAD.to_owned();
    for host in 0..3000 {
        writeln!(text, "h{host} A 192.0.2.1\n AAAA 2001:db8::1\nmail.h{host} MX 1 h{host}").unwrap();
    }
    // Too many lead to others for names of the half.
    assert!(direct(&text).is_none());
    let mut text = HEAD.to_owned();
    for host in 0..3000 {
        writeln!(text, "h{host} A 192.0.2.1\n AAAA 2001:db8::1\n TXT x y z\n").unwrap();
    }
    text.push_str("ns A 192.0.2.53\nm A 192.0.2.9\n*.w A 192.0.2.8\nalias CNAME h1\ndeep.er A 192.0.2.7\n");
    let names: Vec<String> =
        ["h1", "h2999", "m", "w", "alias", "er", "deep.er", "none"].map(String::from).into();
    assert!(direct(&text).is_some());
    same(&text, &names);
}

#[test]
fn whatever_is_not_plainly_good_goes_the_long_way() {
    for more in [
        "a NS ns\n",
        "a DNAME b\n",
        "@ NSEC a A\n",
        "@ DNSKEY 257 3 13 AAAA\n",
        "a 1 A 192.0.2.1\na 2 A 192.0.2.2\n",
        "a A 192.0.2.1\na A 192.0.2.1\n",
        "a A 192.0.2.1\nb A 192.0.2.1\na A 192.0.2.2\n",
        "a CNAME b\na A 192.0.2.1\n",
        "a CNAME b\na CNAME c\n",
        "b.a.example.org. A 192.0.2.1\n",
        "@ SOA ns h 7 1 1 1 30\n",
        "a SOA ns h 7 1 1 1 30\n",
        "a TYPE65280 \\# 0\n",
        "a A 192.0.2.256\n",
        "*.w A 192.0.2.1\nx MX 1 y.w\n",
    ] {
        assert!(direct(&format!("{HEAD}{more}")).is_none(), "{more}");
    }
    assert!(direct("$TTL 60\n@ SOA ns h 7 1 1 1 30\n").is_none(), "no NS");
    assert!(direct("$TTL 60\n@ NS ns\n").is_none(), "no SOA");
    assert!(direct(HEAD).is_some());
}

#[test]
fn a_table_that_was_sized_by_too_many_lines_is_made_anew() {
    let mut text = HEAD.to_owned();
    let mut names = Vec::new();
    for host in 0..500 {
        writeln!(text, "; comments\n\n\n\nh{host} A 192.0.2.1").unwrap();
        names.push(format!("h{host}"));
    }
    assert!(direct(&text).is_some());
    same(&text, &names);
}

#[test]
fn text_that_includes_or_warns_is_told_of_as_ever() {
    let text = format!("{HEAD}a A 192.0.2.1\nwww.example.com. A 192.0.2.1\n");
    assert!(load(&apex(), source(&text), KEY, &Checks::STRICT, &mut |_| {}).is_err());
    let text = format!("{HEAD}b MX 1 www.example\n");
    let loaded = load(&apex(), source(&text), KEY, &Checks::STRICT, &mut |_| {}).unwrap();
    assert_eq!(loaded.report.warnings_total, 1, "{}", loaded.report);
    assert!(loaded.report.warnings[0].excerpt.is_some());
}
