//! RFC 9660: the version of the zone that answers.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Opcode, Rcode, Rtype};

const ZONEVERSION: u16 = 19;

fn zone(serial: u32, body: &str) -> String {
    format!("$TTL 60\n@ SOA ns.invalid. h.invalid. {serial} 7200 1800 1209600 300\n@ NS ns.invalid.\n{body}")
}

fn served() -> Served {
    let body =
        "a A 192.0.2.1\nalias CNAME a.other.test.\ncut NS ns.invalid.\nsub NS ns.invalid.\nd DNAME test.\n";
    Served::one("example.", &zone(7, body))
        .zone("sub.example.", &zone(8, "a A 192.0.2.2\n"))
        .zone("other.test.", &zone(0xffff_fffe, "a A 192.0.2.3\n"))
        .not_loaded("broken.test.")
        .identity("a.ams")
}

fn version(ask: Ask) -> (Rcode, Option<Vec<u8>>) {
    let reply = served().ask(&ask.option(ZONEVERSION, b""));
    let options = reply.opt.iter().flat_map(|opt| &opt.options);
    let mut versions = options.filter(|(code, _)| *code == ZONEVERSION).map(|(_, data)| data.clone());
    let version = versions.next();
    assert_eq!(versions.next(), None, "§3.2: one for a type and label count");
    (reply.rcode(), version)
}

fn ask(qname: &str, qtype: Rtype) -> Ask {
    Ask::new(qname, qtype)
}

// §2.1: LABELCOUNT without the root, type 0, the serial. §3.2: with denials, referrals and errors of the zone too.
#[test]
fn the_serial_of_the_zone_that_encloses_the_qname_is_told_with_every_answer() {
    for (qname, qtype, rcode, labels, serial) in [
        ("a.example.", Rtype::A, Rcode::NOERROR, 1, [0, 0, 0, 7]),
        ("a.example.", Rtype::MX, Rcode::NOERROR, 1, [0, 0, 0, 7]),
        ("none.example.", Rtype::A, Rcode::NXDOMAIN, 1, [0, 0, 0, 7]),
        ("x.y.cut.example.", Rtype::A, Rcode::NOERROR, 1, [0, 0, 0, 7]),
        ("a.sub.example.", Rtype::A, Rcode::NOERROR, 2, [0, 0, 0, 8]),
        // The parent has the DS records.
        ("sub.example.", Rtype::DS, Rcode::NOERROR, 1, [0, 0, 0, 7]),
        // The qname's zone, not that of an alias' target (§2.1 counts labels of the original qname).
        ("alias.example.", Rtype::A, Rcode::NOERROR, 1, [0, 0, 0, 7]),
        ("a.other.test.", Rtype::A, Rcode::NOERROR, 2, [0xff, 0xff, 0xff, 0xfe]),
        ("example.", Rtype::AXFR, Rcode::REFUSED, 1, [0, 0, 0, 7]),
    ] {
        let expected = [&[labels, 0], &serial[..]].concat();
        assert_eq!(version(ask(qname, qtype)), (rcode, Some(expected)), "{qname} {qtype}");
    }
}

// §2.1: "The Root zone has a LABELCOUNT field value of 0."
#[test]
fn the_root_has_no_labels() {
    let served = Served::one(".", &zone(9, "a A 192.0.2.1\n"));
    let reply = served.ask(&ask("a.", Rtype::A).option(ZONEVERSION, b""));
    assert_eq!(
        reply.opt.and_then(|opt| opt.option(ZONEVERSION).map(<[u8]>::to_vec)),
        Some(vec![0, 0, 0, 0, 0, 9])
    );
}

// §3.2: otherwise the option must not be there; a zone that was never loaded has no version.
#[test]
fn without_a_zone_or_its_data_there_is_no_version() {
    assert_eq!(version(ask("a.test.", Rtype::A)), (Rcode::REFUSED, None));
    assert_eq!(version(ask("a.broken.test.", Rtype::A)), (Rcode::SERVFAIL, None));
    assert_eq!(version(ask("a.example.", Rtype::A).version(1)), (Rcode::BADVERS, None));
    assert_eq!(version(ask("a.example.", Rtype::A).opcode(Opcode::UPDATE)), (Rcode::NOTIMP, None));
}

// §3.2.2
#[test]
fn nobody_is_told_who_did_not_ask() {
    let reply = served().ask(&ask("a.example.", Rtype::A).nsid());
    assert_eq!(reply.opt.unwrap().option(ZONEVERSION), None);
}

// §3.2.1: data, or a second option, are FORMERR; that reply has OPT, for EDNS is understood (RFC 6891 §7).
#[test]
fn a_wish_that_is_not_empty_or_stands_twice_is_a_format_error() {
    for ask in [
        ask("a.example.", Rtype::A).option(ZONEVERSION, b"\x01\0\0\0\0\x07"),
        ask("a.example.", Rtype::A).option(ZONEVERSION, b"").option(ZONEVERSION, b""),
    ] {
        let reply = served().ask(&ask);
        assert_eq!((reply.rcode(), reply.answer().0.len()), (Rcode::FORMERR, 0));
        assert_eq!(reply.opt.unwrap().option(ZONEVERSION), None);
    }
}

// §1: with NSID one reply tells node and version.
#[test]
fn one_query_tells_node_and_serial() {
    let reply = served().ask(&ask("example.", Rtype::SOA).nsid().option(ZONEVERSION, b""));
    let opt = reply.opt.unwrap();
    assert_eq!(opt.nsid(), Some(&b"a.ams"[..]));
    assert_eq!(opt.option(ZONEVERSION), Some(&[1, 0, 0, 0, 0, 7][..]));
}

// RFC 6891 §6.2.3: options count, and RFC 2181 §9: TC is for what is needed. The records come first.
#[test]
fn what_fits_without_the_options_is_never_truncated_for_them() {
    let mut whole = 0;
    for texts in 1..80 {
        let text = "x".repeat(texts);
        let body = format!("t TXT \"{}\" \"{text}\"\nt TXT \"{}\"\n", "y".repeat(200), "z".repeat(100));
        let served = Served::small("example.", &body);
        let plain = served.ask(&ask("t.example.", Rtype::TXT).edns(512));
        let asked = served.ask(&ask("t.example.", Rtype::TXT).edns(512).nsid().option(ZONEVERSION, b""));
        assert_eq!(plain.is_truncated(), asked.is_truncated(), "{texts}");
        assert_eq!(plain.sections, asked.sections, "{texts}");
        assert!(asked.octets.len() <= 512);
        whole += usize::from(asked.opt.unwrap().options.len() == 2);
    }
    assert!(whole > 10, "options where there is room: {whole}");
}
