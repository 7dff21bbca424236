//! RFC 4892: asking a server who it is, in class CH.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Class, Rcode, Rtype};

fn served() -> Served {
    Served::small("example.", "").identity("a.ams")
}

fn chaos(qname: &str, qtype: Rtype) -> Ask {
    Ask::new(qname, qtype).class(Class::CH)
}

// §2: ID.SERVER, after BIND's HOSTNAME.BIND; a TXT record in class CH.
#[test]
fn the_identity_is_a_text_in_class_ch() {
    for qname in ["id.server.", "ID.Server.", "hostname.bind."] {
        let reply = served().ask(&chaos(qname, Rtype::TXT));
        assert_eq!(reply.rcode(), Rcode::NOERROR);
        let [record] = &reply.sections[0][..] else { panic!("{reply}") };
        assert_eq!((record.rtype, record.class, record.ttl), (Rtype::TXT, Class::CH, 0));
        assert_eq!(record.rdata, b"\x05a.ams");
    }
}

// §2 ties the identity with NSID: they say the same.
#[test]
fn it_says_the_same_as_nsid() {
    let reply = served().ask(&chaos("id.server.", Rtype::TXT).nsid());
    assert_eq!(
        &reply.sections[0][0].rdata[1..],
        reply.opt.as_ref().and_then(|opt| opt.nsid()).unwrap_or_default()
    );
}

// §4: an operator may keep it to himself.
#[test]
fn without_an_identity_the_question_is_refused() {
    let served = Served::small("example.", "").identity("");
    assert_eq!(served.ask(&chaos("id.server.", Rtype::TXT)).rcode(), Rcode::REFUSED);
}

// Ours: nothing else in class CH is told, the version neither.
#[test]
fn other_names_in_class_ch_are_refused() {
    for qname in ["version.bind.", "version.server.", "authors.bind.", "www.example.", ".", "x.id.server."] {
        let reply = served().ask(&chaos(qname, Rtype::TXT));
        assert_eq!(reply.rcode(), Rcode::REFUSED, "{qname}");
        assert_eq!(reply.answer(), []);
    }
}

// The names have no meaning in class IN.
#[test]
fn in_class_in_the_names_are_names_outside_of_our_zones() {
    assert_eq!(served().query("id.server.", Rtype::TXT).rcode(), Rcode::REFUSED);
}
