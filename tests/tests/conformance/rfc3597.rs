//! RFC 3597: types that nobody knows.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Rcode, Rtype};

// §3: "treated as unstructured binary data".
#[test]
fn unknown_types_are_served_as_they_are() {
    let served = Served::small("example.", "a TYPE65280 \\# 4 C00C0102\na TYPE731 \\# 0\n");
    let reply = served.query("a.example.", Rtype(65_280));
    assert_eq!(reply.sections[0][0].rdata, [0xc0, 0x0c, 1, 2]);
    assert_eq!(served.query("a.example.", Rtype(731)).sections[0][0].rdata, []);
}

// §2, §3: a type without records is no error.
#[test]
fn unknown_types_without_records_have_no_data() {
    let served = Served::small("example.", "a A 192.0.2.1\n");
    for qtype in [128, 200, 248, 256, 12_345, 65_535].map(Rtype) {
        let reply = served.query("a.example.", qtype);
        assert_eq!(reply.rcode(), Rcode::NOERROR, "{qtype}");
        assert!(reply.authority().has("example. 300 SOA"), "{qtype}");
    }
}

// §4: "MUST NOT compress domain names embedded in the RDATA of types that are class-specific or not well-known"; the
// well-known types are RFC 1035's.
#[test]
fn names_in_newer_types_are_not_compressed() {
    let served = Served::small(
        "example.",
        "a SRV 1 2 3 a\na NAPTR 1 2 \"\" \"\" \"\" a\na RP a a\na AFSDB 1 a\na KX 1 a\na SVCB 1 a\na DNAME a\na PX 1 a a\n",
    );
    let whole = b"\x01a\x07example\0";
    for (qtype, names) in [(33, 1), (35, 1), (17, 2), (18, 1), (36, 1), (64, 1), (39, 1), (26, 2)] {
        let reply = served.query("a.example.", Rtype(qtype));
        assert_eq!(reply.sections[0].len(), 1);
        let found = reply.octets.windows(whole.len()).filter(|octets| octets == whole).count();
        assert_eq!(found, names + 1, "type {qtype}: the question and the data");
    }
}

// §5: a known type may be written in the generic form.
#[test]
fn known_types_in_generic_form_are_the_known_types() {
    let served = Served::small(
        "example.",
        "a TYPE1 \\# 4 C0000201\nb CLASS1 TYPE28 \\# 16 20010DB8000000000000000000000001\n",
    );
    assert_eq!(served.query("a.example.", Rtype::A).answer(), ["a.example. 3600 A 192.0.2.1"]);
    assert_eq!(served.query("b.example.", Rtype::AAAA).answer(), ["b.example. 3600 AAAA 2001:db8::1"]);
}

// §6: equality of unknown data is octet by octet, so that case matters.
#[test]
fn unknown_data_that_differ_in_case_are_two_records() {
    let served = Served::small("example.", "a TYPE65280 \\# 1 41\na TYPE65280 \\# 1 61\n");
    assert_eq!(served.ask(&Ask::new("a.example.", Rtype(65_280)).tcp()).sections[0].len(), 2);
}
