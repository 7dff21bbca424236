//! Both ways to read a line, held against each other: the same records with the same TTLs and places, and the same
//! report, whatever the text.

use std::cell::Cell;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::scan::scanner::Ways;
use crate::scan::{Includes, Place, Scanned};

/// Lines that the short way reads, one of everything that it knows.
const PLAIN: &[&str] = &[
    "www.h1 300 IN A 10.0.255.19\n",
    "* in 0 a 1.2.3.4\n",
    "@ A 192.0.2.1\r\n",
    "h.Example.  IN\tA  255.249.100.9 \t\n",
    " A 192.0.2.2\n",
    "\t 60\tIN AAAA 2001:db8:0:ffff::1\n",
    "v6 AAAA 1:22:333:4444:abcd:EF01:0:8\n",
    "v6 AAAA ::\n",
    "v6 AAAA ::1\n",
    "v6 AAAA 1::\n",
    "v6 AAAA 1:2:3:4:5:6:7::\n",
    "v6 AAAA ::2:3:4:5:6:7:8\n",
    "v6 AAAA a:b::c:d\n",
    "d12345\t3600\tIN\tNS\tns2.hoster1.test.\n",
    "d12345 NS ns1.d12345\n",
    "d12345 NS @\n",
    "c CNAME a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z.aa.b\n",
    "1.2.0.192.in-addr.arpa. 86400 PTR host-1.elsewhere.\n",
    "h12 IN MX 10 mail.h12.example.\n",
    "h12 MX 65535 @\n",
    "_sip._udp SRV 00010 60 5060 sip.h12.example.\n",
    "t TXT \"v=spf1 ip4:10.0.0.1 -all\"\n",
    "t TXT \"a;(b)c\" d \"\" \"\te\u{1}\"\n",
    "t 60 TXT \"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7\"\n",
    "d DS 4660 13 2 49fd46e6c4b45c55d4ac49fd46e6c4b45c55d4ac49fd46e6c4b45c55d4ac1234\n",
    "d 3600 IN DS 65535 8 1 49FD46E6C4B45C55D4AC 49fd46e6c4b45c55d4ac\n",
    "d DS 1 253 200 abCD\n",
    "n RRSIG A 13 2 3600 20300101000000 20291201235959 34567 example. \
     AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==\n",
    "n RRSIG TYPE65280 8 255 00000 19700101000000 20000229120060 0 @ AQID/+8= \n",
    "n RRSIG NSEC 8 1 5 20300101000000 20291201000000 1 a.b AQIDAQID AQIDAQI=\n",
    "n NSEC o.example. A NS TXT RRSIG NSEC TYPE255\n",
    "n NSEC @\n",
    "2t7b4g4vsa5smi47k61mv5bv1a22bojr NSEC3 1 1 0 - 2VPTU5TIMAMQTTGL4LUU9KG21E0AOR3S A rrsig\n",
    "2t7b4g4vsa5smi47k61mv5bv1a22bojr 5 NSEC3 1 0 12 aabbccdd 2vptu5timamqttgl4luu9kg21e0aor3s NS\n",
    "2t7b4g4vsa5smi47k61mv5bv1a22bojr 5 NSEC3 1 0 12 AA 2vptu5timamqttgl4luu9kg21e0aor3s\n",
];

/// Lines that it leaves to the long way: good ones, and such that something is to be said of.
const SPECIAL: &[&str] = &[
    "\n",
    " \t\r\n",
    "; a comment\n",
    "$TTL 300\n",
    "$ORIGIN sub.example.\n",
    "$ORIGIN .\n",
    "$ORIGIN a-very-long-label-of-an-origin.and-another-long-label.example.\n",
    "$GENERATE 1-3 g$ A 192.0.2.$\n",
    "@ SOA ns host 1 2 3 4 5\n",
    "@ 60 SOA ns host ( 1 2 3\n 4 5 ) ; serial and times\n",
    "w A 192.0.2.1 ; a comment\n",
    "w.example A 192.0.2.1\n",
    "www.eXAMPLE 60 CNAME x.sub.example\n",
    "w 1h A 192.0.2.1\n",
    "w 123456789 A 192.0.2.1\n",
    "w 4294967296 A 192.0.2.1\n",
    "w CH A 192.0.2.1\n",
    "w CLASS1 TYPE1 192.0.2.1\n",
    "w A \\# 4 c0000201\n",
    "w A 192.0.2.256\n",
    "w A 192.0.02.1\n",
    "w A 192.0.2.1 192.0.2.2\n",
    "w AAAA ::192.0.2.1\n",
    "w AAAA 1:2:3:4:5:6:7:8::\n",
    "w AAAA :1:2:3:4:5:6:7\n",
    "w\\.x A 192.0.2.1\n",
    "\"w\" A 192.0.2.1\n",
    ".. A 192.0.2.1\n",
    "w MX 65536 a\n",
    "w MX 10 \"a\"\n",
    "w MX 0 .\n",
    "w TXT \"a\"\"b\"\n",
    "w TXT \"a\\\"b\"\n",
    "w TXT \"a\n",
    "w TXT a(b\n c)\n",
    "w DS 1 13 2 abcd\n",
    "w DS 1 13 200 abc d\n",
    "w DS 1 ECDSAP256SHA256 200 abcd\n",
    "w RRSIG A 13 2 3600 1893456000 20291201000000 1 example. AQID\n",
    "w RRSIG A 13 2 3600 20300230000000 20291201000000 1 example. AQID\n",
    "w RRSIG A 13 2 3600 20300101000000 20291201000000 1 example. AQ== AQID\n",
    "w RRSIG A 13 2 3600 20300101000000 20291201000000 1 example. AQI AQ==\n",
    "w RRSIG A 13 2 3600 20300101000000 20291201000000 1 example. AR==\n",
    "w NSEC a CAA URI A\n",
    "w DNSKEY 257 3 13 AQID\n",
    "w CAA 0 issue \"ca.example\"\n",
    "w A (\n192.0.2.1 )\nx A 192.0.2.3\n",
    "w A ( 192.0.2.1\nx A 192.0.2.3\n",
    "w\n",
    "w 60\n",
    "w 60 IN\n",
    "w 60 60 A 192.0.2.1\n",
    "w IN IN A 192.0.2.1\n",
    "w FROB 1\n",
    " w A 192.0.2.1\n",
    "w ANY 192.0.2.1\n",
    "(w A 192.0.2.1)\n",
    "abc\\\n",
];

/// What follows each text, so that its last line is not near the end.
const TAIL: &str = "; ----------------------------------------------------------------------------------------\n\
                    ; ----------------------------------------------------------------------------------------\n";

/// One record in full.
type Row = (Vec<u8>, u16, u32, Vec<u8>, Place);

fn scan(text: &[u8], origin: &[u8], ways: Ways) -> (Vec<Row>, Scanned) {
    let mut rows = Vec::new();
    let mut sink = |record: Record<'_>| {
        rows.push((record.owner.to_vec(), record.rtype, record.ttl, record.rdata.to_vec(), record.place));
    };
    let flow = Cell::new(Flow::On);
    let mut scanner = Scanner::new(Includes::Refused, origin, text.len(), &mut sink, &flow);
    scanner.ways = ways;
    let scanned = scanner.run(Path::new("zone"), text);
    (rows, scanned)
}

fn same(text: &[u8], origin: &[u8]) -> usize {
    let (short, long) = (scan(text, origin, Ways::Both), scan(text, origin, Ways::Long));
    let shown = String::from_utf8_lossy(text);
    assert_eq!(short.0, long.0, "{shown}");
    assert_eq!(short.1.report, long.1.report, "{shown}");
    assert_eq!(short.1.lost, long.1.lost, "{shown}");
    short.0.len()
}

/// How much of a text the short way reads by itself.
fn plain_octets(text: &str) -> usize {
    let flow = Cell::new(Flow::On);
    let mut sink = |_: Record<'_>| {};
    let mut scanner = Scanner::new(Includes::Refused, b"\x07example\0", text.len(), &mut sink, &flow);
    scanner.state.default_ttl = Some(60);
    let mut cursor = Cursor::new(text.as_bytes());
    scanner.plain_lines(FileId(0), &mut cursor);
    assert!(scanner.report.is_clean());
    cursor.offset()
}

#[test]
fn lines_of_the_common_types_are_plain() {
    for line in PLAIN {
        let before = if line.starts_with([' ', '\t']) { "w A 192.0.2.1\n" } else { "" };
        let text = format!("{before}{line}{TAIL}");
        assert_eq!(plain_octets(&text), before.len() + line.len(), "{line}");
    }
}

#[test]
fn what_needs_a_word_or_more_care_is_not_plain() {
    for line in SPECIAL {
        assert_eq!(plain_octets(&format!("{line}{TAIL}")), 0, "{line}");
    }
}

#[test]
fn the_end_of_the_text_is_left_to_the_long_way_and_nothing_is_lost_there() {
    let text = PLAIN.concat();
    for end in 0..text.len() {
        same(&text.as_bytes()[..end], b"\x07example\0");
    }
    assert_eq!(same(format!("$TTL 60\n{text}").as_bytes(), b"\x07example\0"), PLAIN.len());
}

/// Octets that mean something somewhere, and some that do not.
const OCTETS: &[u8] = b"\0\t\n\r !\"$()-./039:;=@AGINSVZ\\`afg~\xff";

/// Whatever single octet of a good line is another one, is missing or stands there twice, both ways agree; and what
/// follows inherits the same owner and TTL.
#[test]
fn a_line_with_one_wrong_octet_is_read_alike() {
    let mut compared = 0;
    for line in PLAIN.iter().chain(SPECIAL) {
        let compare = |changed: &[u8]| {
            let text = [
                b"$TTL 60\nfirst 7 A 192.0.2.7\n",
                changed,
                b" A 192.0.2.8\nlast A 192.0.2.9\n",
                TAIL.as_bytes(),
            ];
            same(&text.concat(), b"\x07example\0");
        };
        for at in 0..line.len() {
            let (before, rest) = line.as_bytes().split_at(at);
            compare(&[before, &rest[1..]].concat());
            compare(&[before, &rest[..1], rest].concat());
            for octet in OCTETS {
                compare(&[before, &[*octet], &rest[1..]].concat());
                compared += 1;
            }
        }
    }
    assert!(compared > 50_000, "{compared}");
}

#[test]
fn names_as_long_as_can_be_are_read_alike() {
    let label = "l".repeat(63);
    for octets in 40..80 {
        let origin = format!("$ORIGIN {label}.{label}.{label}.\n$TTL 60\n");
        let word = "o".repeat(octets);
        let text = format!("{origin}{word} A 192.0.2.1\n{word}. NS {word}.\nx.{word} MX 1 {word}.y\n{TAIL}");
        same(text.as_bytes(), b"\0");
    }
}

/// A line, perhaps with one octet changed, and with other blanks between its words.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let good = prop_oneof![6 => prop::sample::select(PLAIN), 1 => prop::sample::select(SPECIAL)];
    let blanks = prop_oneof![
        4 => Just(String::from(" ")),
        1 => (1..80_usize).prop_map(|count| " ".repeat(count)),
        1 => "[ \t\r]{1,4}",
    ];
    let change = (any::<prop::sample::Index>(), prop_oneof![prop::sample::select(OCTETS), any::<u8>()]);
    (good, blanks, prop::option::weighted(0.1, change)).prop_map(|(line, blanks, change)| {
        let mut line = line.replace(' ', &blanks).into_bytes();
        if let Some((at, octet)) = change {
            let at = at.index(line.len());
            line[at] = octet;
        }
        line
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whole_texts_are_read_alike(
        lines in prop::collection::vec(line(), 0..20),
        origin in prop::sample::select(vec![&b"\0"[..], b"\x07example\0", b"\x01b\x01a\0"]),
        ttl in any::<bool>(),
    ) {
        let head = if ttl { b"$TTL 60\n" } else { &b""[..] };
        same(&[head, &lines.concat()].concat(), origin);
    }

    #[test]
    fn numbers_and_addresses_are_read_as_the_rules_beside_the_types_read_them(
        text in "[0-9]{1,9}|([0-9]{0,4}[.]){3}[0-9]{0,4}|([0-9a-fA-F]{0,5}:){0,9}[0-9a-f]{0,5}|[ -~]{1,20}",
    ) {
        let line = format!("{text}\n{TAIL}");
        let Some(word) = Line::at(line.as_bytes(), 0).and_then(|mut line| line.word()) else { return Ok(()) };
        let text = &word.octets[..word.len];
        prop_assert_eq!(figures::ipv4(word), crate::rdata::address::ipv4(text));
        // The dotted form is left to the long way.
        let dotted = text.contains(&b'.');
        prop_assert_eq!(figures::ipv6(word), crate::rdata::address::ipv6(text).filter(|_| !dotted));
        let number = std::str::from_utf8(text).ok().filter(|text| text.len() <= 8 && !text.starts_with('+'));
        prop_assert_eq!(figures::decimal(word), number.and_then(|text| text.parse().ok()));
    }
}
