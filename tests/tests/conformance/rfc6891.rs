//! RFC 6891: EDNS.

use pharos_testkit::{Ask, Opt, Reply, Served};
use pharos_wire::{Rcode, Rtype};

fn served() -> Served {
    let mut body = String::from("a A 192.0.2.1\n");
    for number in 0..200 {
        body.push_str(&format!("many A 192.0.2.{number}\n"));
    }
    for number in 0..45 {
        body.push_str(&format!("some A 192.0.2.{number}\n"));
    }
    Served::small("example.", &body)
}

fn ask() -> Ask {
    Ask::new("a.example.", Rtype::A)
}

fn opt(reply: &Reply) -> &Opt {
    reply.opt.as_ref().unwrap_or_else(|| panic!("no OPT in {reply}"))
}

// §6.1.1: "If an OPT record is present in a received request, compliant responders MUST include an OPT record".
#[test]
fn opt_is_answered_by_opt_and_never_sent_unasked() {
    let reply = served().ask(&ask().edns(4096));
    let opt = opt(&reply);
    assert_eq!((opt.payload, opt.version, opt.flags, opt.options.len()), (1232, 0, 0, 0));
    assert!(served().ask(&ask()).opt.is_none());
}

// §7: also in errors.
#[test]
fn errors_answer_opt_too() {
    for (ask, rcode) in [
        (Ask::new("a.test.", Rtype::A).edns(1232), Rcode::REFUSED),
        (ask().edns(1232).opcode(pharos_wire::Opcode::NOTIFY), Rcode::NOTIMP),
        (Ask::new("none.example.", Rtype::A).edns(1232), Rcode::NXDOMAIN),
    ] {
        let reply = served().ask(&ask);
        assert_eq!(reply.rcode(), rcode);
        assert!(reply.opt.is_some(), "{rcode:?}");
    }
}

// §6.1.1: "When an OPT RR is included ... more than one ... MUST be FORMERR"; the owner "MUST be 0 (root domain)".
#[test]
fn broken_opt_records_are_format_errors() {
    let opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    for ask in [
        ask().edns(1232).record(2, opt),
        ask().record(2, b"\x01a\0\0\x29\x04\xd0\0\0\0\0\0\0"),
        ask().record(2, b"\xc0\x0c\0\x29\x04\xd0\0\0\0\0\0\0"),
        ask().option_octets(b"\0\x03\0"),
        ask().option_octets(b"\0\x03\0\x05abcd"),
    ] {
        assert_eq!(served().ask(&ask).rcode(), Rcode::FORMERR, "{ask}");
    }
}

// §6.1.1: it may stand anywhere in the additional section; other records are ignored.
#[test]
fn opt_is_found_behind_other_records() {
    let reply = served().ask(&ask().record(2, b"\x01x\0\0\x01\0\x01\0\0\0\0\0\x04\x01\x02\x03\x04").dnssec());
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    assert!(opt(&reply).wants_dnssec());
}

// §6.1.2: "Any OPTION-CODE values not understood by a responder ... MUST be ignored".
#[test]
fn unknown_options_are_ignored_and_not_echoed() {
    let reply = served().ask(&ask().option(65_001, b"hello").option(4242, &[]).option(65_001, &[0; 300]));
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    assert_eq!(reply.sections[0].len(), 1);
    assert_eq!(opt(&reply).options, []);
}

// §6.1.3: "If a responder does not implement the VERSION level of the request, then it MUST respond with
// RCODE=BADVERS"; the version in the reply is ours.
#[test]
fn an_unknown_version_is_badvers_without_an_answer() {
    for version in [1, 2, 255] {
        let reply = served().ask(&ask().dnssec().version(version));
        assert_eq!(reply.rcode(), Rcode::BADVERS);
        assert_eq!(opt(&reply).version, 0);
        assert_eq!(reply.answer(), []);
        assert!(opt(&reply).wants_dnssec(), "DO is copied (RFC 3225 §3)");
    }
}

// §6.1.4: DO is copied (RFC 3225 §3); Z "MUST be ignored by receivers" and set to zero.
#[test]
fn do_is_copied_and_other_flags_are_not() {
    let reply = served().ask(&ask().edns_flags(0xffff));
    assert_eq!((reply.rcode(), opt(&reply).flags), (Rcode::NOERROR, 0x8000));
    assert_eq!(opt(&served().ask(&ask().edns_flags(0x7fff))).flags, 0);
}

// §6.2.3: "Values lower than 512 MUST be treated as equal to 512."
#[test]
fn sizes_under_512_count_as_512() {
    for payload in [0, 1, 12, 511, 512] {
        let reply = served().ask(&ask().edns(payload));
        assert_eq!((reply.rcode(), reply.sections[0].len()), (Rcode::NOERROR, 1), "{payload}");
        assert!(served().ask(&Ask::new("some.example.", Rtype::A).edns(payload)).is_truncated());
    }
}

// §6.2.5: the lesser of what the requestor takes and what the responder sends.
#[test]
fn a_reply_is_as_long_as_both_sides_allow() {
    let some = Ask::new("some.example.", Rtype::A);
    assert!(!served().ask(&some.clone().edns(1232)).is_truncated());
    assert!(served().ask(&some.clone().edns(700)).is_truncated());
    assert!(served().ask(&some).is_truncated());
    let many = Ask::new("many.example.", Rtype::A);
    for payload in [1232, 4096, 65_535] {
        let reply = served().ask(&many.clone().edns(payload));
        assert!(reply.is_truncated() && reply.octets.len() <= 1232, "{payload}");
    }
    assert!(!served().udp_payload(4096).ask(&many.clone().edns(4096)).is_truncated());
    assert!(served().udp_payload(4096).ask(&many.edns(1232)).is_truncated());
}

// §6.2.4: sizes are about UDP.
#[test]
fn sizes_do_not_bound_tcp() {
    let reply = served().ask(&Ask::new("many.example.", Rtype::A).edns(512).tcp());
    assert_eq!((reply.is_truncated(), reply.sections[0].len()), (false, 200));
}

// §7: "... TC ... the OPT RR": it has its room even when nothing else has.
#[test]
fn a_truncated_reply_keeps_its_opt() {
    let reply = served().ask(&Ask::new("many.example.", Rtype::A).edns(512));
    assert!(reply.is_truncated());
    assert_eq!(opt(&reply).payload, 1232);
}
