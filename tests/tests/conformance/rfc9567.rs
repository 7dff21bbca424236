//! RFC 9567: to whom resolvers report errors.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Opcode, Rcode, Rtype};

const CHANNEL: u16 = 18;

fn served() -> Served {
    Served::small("example.", "a A 192.0.2.1\ncut NS ns.invalid.\n")
        .body("agent.test.", "a A 192.0.2.1\n")
        .not_loaded("broken.test.")
        .report_agent("r.agent.test.")
}

fn channel(ask: &Ask) -> (Rcode, Option<Vec<u8>>) {
    let reply = served().ask(ask);
    (reply.rcode(), reply.opt.as_ref().and_then(|opt| opt.option(CHANNEL)).map(<[u8]>::to_vec))
}

// §4, §6.2: unsolicited, the name in full and uncompressed.
#[test]
fn the_agent_is_named_in_replies_of_zones_with_edns() {
    let agent = Some(b"\x01r\x05agent\x04test\0".to_vec());
    for (qname, qtype, rcode) in [
        ("a.example.", Rtype::A, Rcode::NOERROR),
        ("a.example.", Rtype::MX, Rcode::NOERROR),
        ("x.cut.example.", Rtype::A, Rcode::NOERROR),
        ("none.example.", Rtype::A, Rcode::NXDOMAIN),
        ("a.broken.test.", Rtype::A, Rcode::SERVFAIL),
    ] {
        assert_eq!(channel(&Ask::new(qname, qtype).edns(1232)), (rcode, agent.clone()), "{qname}");
        assert_eq!(channel(&Ask::new(qname, qtype)), (rcode, None), "without EDNS");
    }
}

// §8.1: the agent must not lie in the zone that it is reported on.
#[test]
fn a_zone_that_holds_the_agent_does_not_name_it() {
    assert_eq!(channel(&Ask::new("a.agent.test.", Rtype::A).edns(1232)), (Rcode::NOERROR, None));
}

// No zone, nothing to report about.
#[test]
fn refusals_name_no_agent() {
    assert_eq!(channel(&Ask::new("a.other.", Rtype::A).edns(1232)), (Rcode::REFUSED, None));
    assert_eq!(channel(&Ask::new("a.example.", Rtype::A).opcode(Opcode::NOTIFY).edns(1232)).1, None);
    assert_eq!(channel(&Ask::new("a.example.", Rtype::A).version(1)).1, None);
}

// §4: not if the agent is the root.
#[test]
fn the_root_is_no_agent() {
    let reply = served().report_agent(".").ask(&Ask::new("a.example.", Rtype::A).edns(1232));
    assert_eq!(reply.opt.unwrap().options, []);
}
