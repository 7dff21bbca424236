//! RFC 8914: extended DNS errors.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Class, Opcode, Rcode, Rtype};

const EDE: u16 = 15;

fn served() -> Served {
    Served::small("example.", "a A 192.0.2.1\n").not_loaded("broken.test.")
}

fn told(ask: &Ask) -> (Rcode, Option<Vec<u8>>) {
    let reply = served().ask(ask);
    let told = reply.opt.as_ref().and_then(|opt| opt.option(EDE)).map(<[u8]>::to_vec);
    (reply.rcode(), told)
}

// §4.15 Not Ready, §4.19 Prohibited, §4.21 Not Authoritative, §4.22 Not Supported.
#[test]
fn errors_say_more_than_their_code() {
    let ask = |qname, qtype| Ask::new(qname, qtype).edns(1232);
    for (ask, rcode, code) in [
        (ask("a.broken.test.", Rtype::A), Rcode::SERVFAIL, 14),
        (ask("a.other.", Rtype::A), Rcode::REFUSED, 20),
        (ask("a.other.", Rtype::AXFR), Rcode::REFUSED, 20),
        (ask("example.", Rtype::AXFR), Rcode::REFUSED, 18),
        (ask("example.", Rtype::IXFR).tcp(), Rcode::REFUSED, 18),
        (ask("a.example.", Rtype::A).class(Class(4)), Rcode::REFUSED, 20),
        (ask("version.bind.", Rtype::TXT).class(Class::CH), Rcode::REFUSED, 20),
        (ask("a.example.", Rtype::A).opcode(Opcode::NOTIFY), Rcode::NOTIMP, 21),
        (ask("a.example.", Rtype::TKEY), Rcode::NOTIMP, 21),
    ] {
        assert_eq!(told(&ask), (rcode, Some(vec![0, code])), "{ask}");
    }
}

// §3: the option belongs into OPT, so who sends none is told nothing.
#[test]
fn without_edns_nothing_is_said() {
    assert_eq!(told(&Ask::new("a.broken.test.", Rtype::A)), (Rcode::SERVFAIL, None));
}

// §2: nothing is said where there is nothing to say.
#[test]
fn answers_and_denials_have_no_extended_error() {
    for (ask, rcode) in [
        (Ask::new("a.example.", Rtype::A), Rcode::NOERROR),
        (Ask::new("a.example.", Rtype::MX), Rcode::NOERROR),
        (Ask::new("none.example.", Rtype::A), Rcode::NXDOMAIN),
        (Ask::new("a.example.", Rtype::A).version(1), Rcode::BADVERS),
        (Ask::new("a.example.", Rtype::OPT), Rcode::FORMERR),
    ] {
        assert_eq!(told(&ask.nsid()), (rcode, None));
    }
}
