//! RFC 4343: case.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Rcode, Rtype};

fn served() -> Served {
    Served::small(
        "ExAmPlE.",
        "WwW A 192.0.2.1\n*.Wild A 192.0.2.2\nSub NS ns.Sub\nNS.sub A 192.0.2.3\nal CNAME wWw\n",
    )
}

// §3: "comparisons ... are done in a case-insensitive manner".
#[test]
fn names_are_found_in_any_case() {
    for qname in ["www.example.", "WWW.EXAMPLE.", "wWw.eXaMpLe."] {
        assert_eq!(served().query(qname, Rtype::A).sections[0].len(), 1, "{qname}");
    }
    assert_eq!(served().query("x.WILD.example.", Rtype::A).sections[0].len(), 1);
    assert!(!served().query("x.SUB.example.", Rtype::A).is_authoritative());
}

// §4.1: "no ... case changes": what is asked comes back as it was written, and owners point to it.
#[test]
fn the_questions_case_is_kept_in_question_and_owner() {
    let reply = served().query("wWw.EXample.", Rtype::A);
    assert_eq!(
        reply.question.as_ref().map(|question| &question.qname[..]),
        Some(&b"\x03wWw\x07EXample\0"[..])
    );
    assert_eq!(reply.answer(), ["wWw.EXample. 3600 A 192.0.2.1"]);
}

// §4.1: output preserves the case of the data as far as compression allows.
#[test]
fn names_in_data_keep_their_case_where_they_are_written_out() {
    let served = Served::small("example.", "a PTR Foo.BAR.test.\n");
    assert_eq!(served.query("a.example.", Rtype::PTR).answer(), ["a.example. 3600 PTR Foo.BAR.test."]);
}

// §3: only the letters of ASCII have case.
#[test]
fn other_octets_have_no_case() {
    let served = Served::small("example.", "\\192 A 192.0.2.1\n[ A 192.0.2.2\n");
    assert_eq!(served.ask(&Ask::of_wire(b"\x01\xe0\x07example\0", Rtype::A)).rcode(), Rcode::NXDOMAIN);
    assert_eq!(served.ask(&Ask::of_wire(b"\x01{\x07example\0", Rtype::A)).rcode(), Rcode::NXDOMAIN);
    assert_eq!(served.ask(&Ask::of_wire(b"\x01[\x07example\0", Rtype::A)).rcode(), Rcode::NOERROR);
}
