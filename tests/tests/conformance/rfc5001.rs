//! RFC 5001: the name server identifier.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Rcode, Rtype};

fn served() -> Served {
    Served::small("example.", "a A 192.0.2.1\n").identity("a.ams")
}

fn nsid(ask: Ask) -> Option<Vec<u8>> {
    served().ask(&ask).opt.and_then(|opt| opt.nsid().map(<[u8]>::to_vec))
}

// §2.1, §2.2
#[test]
fn the_identity_is_told_to_those_who_ask_and_to_nobody_else() {
    assert_eq!(nsid(Ask::new("a.example.", Rtype::A).nsid()).as_deref(), Some(&b"a.ams"[..]));
    assert_eq!(nsid(Ask::new("a.example.", Rtype::A).edns(1232)), None);
    assert!(served().query("a.example.", Rtype::A).opt.is_none());
}

// §2.1: data in the query's option are to be ignored.
#[test]
fn data_in_the_question_for_the_identity_are_ignored() {
    assert_eq!(nsid(Ask::new("a.example.", Rtype::A).option(3, b"who?")).as_deref(), Some(&b"a.ams"[..]));
}

// §2.3: the identity is about the server, whatever the answer is.
#[test]
fn errors_tell_the_identity_too() {
    for (ask, rcode) in [
        (Ask::new("a.other.", Rtype::A).nsid(), Rcode::REFUSED),
        (Ask::new("none.example.", Rtype::A).nsid(), Rcode::NXDOMAIN),
        (Ask::new("a.example.", Rtype::A).nsid().version(1), Rcode::BADVERS),
    ] {
        let reply = served().ask(&ask);
        assert_eq!(reply.rcode(), rcode);
        assert_eq!(reply.opt.as_ref().and_then(|opt| opt.nsid()), Some(&b"a.ams"[..]), "{rcode:?}");
    }
}

// §2.2: it takes its room in a truncated reply too.
#[test]
fn a_truncated_reply_still_tells_the_identity() {
    let mut body = String::new();
    for number in 0..100 {
        body.push_str(&format!("a A 192.0.2.{number}\n"));
    }
    let reply = Served::small("example.", &body).ask(&Ask::new("a.example.", Rtype::A).edns(512).nsid());
    assert!(reply.is_truncated());
    assert!(reply.opt.is_some_and(|opt| opt.nsid() == Some(b"a.test")));
}
