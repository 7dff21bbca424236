//! RFC 9460: SVCB and HTTPS.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Rcode, Rtype};

const ZONE: &str = "\
@ HTTPS 1 . alpn=h2
@ A 192.0.2.1
@ AAAA 2001:db8::1
service HTTPS 1 host port=8443
service HTTPS 2 other.test.
service HTTPS 3 nowhere
host A 192.0.2.2
host AAAA 2001:db8::2
alias HTTPS 0 pool
pool HTTPS 1 host
pool HTTPS 2 .
pool A 192.0.2.3
pool SVCB 1 host
none HTTPS 0 .
none A 192.0.2.4
long HTTPS 0 alias
loop1 HTTPS 0 loop2
loop2 HTTPS 0 loop1
loop2 A 192.0.2.5
itself HTTPS 0 itself
itself A 192.0.2.6
to-cname HTTPS 1 cname
cname CNAME host
into-cut HTTPS 1 ns.cut
cut NS ns.cut
ns.cut A 192.0.2.7
_8443._foo.api SVCB 1 api port=8443
_8443._foo.api SVCB 0 pool
api A 192.0.2.8
*.wild HTTPS 1 .
*.wild A 192.0.2.9
to-wild HTTPS 1 a.wild
to-wild HTTPS 2 b.wild
to-wild HTTPS 0 c.wild
keys HTTPS 1 . key65333=ex1 mandatory=alpn alpn=h2
";

fn served() -> Served {
    Served::small("example.", ZONE)
}

fn additional(qname: &str, qtype: Rtype) -> Vec<String> {
    let reply = served().ask(&Ask::new(qname, qtype).edns(1232));
    assert_eq!((reply.rcode(), reply.is_truncated()), (Rcode::NOERROR, false), "{reply}");
    let mut lines = reply.additional().0;
    lines.sort_unstable();
    lines
}

fn https(qname: &str) -> Vec<String> {
    additional(qname, Rtype::HTTPS)
}

// §4.1: the server returns A and AAAA of the TargetName; §2.5.2: "." is the owner's name itself.
#[test]
fn a_service_at_its_owner_brings_the_owners_addresses_along() {
    assert_eq!(https("example."), ["example. 3600 A 192.0.2.1", "example. 3600 AAAA 2001:db8::1"]);
}

// §2.5.2: the owner of a wildcard's record is the name that was asked for.
#[test]
fn a_service_at_the_owner_of_a_wildcard_is_at_the_name_asked_for() {
    assert_eq!(https("Any.wild.example."), ["Any.wild.example. 3600 A 192.0.2.9"]);
}

// §4.1: "any TargetNames that are in the zone".
#[test]
fn a_service_elsewhere_brings_the_addresses_that_the_zone_has() {
    assert_eq!(
        https("service.example."),
        ["host.example. 3600 A 192.0.2.2", "host.example. 3600 AAAA 2001:db8::2"]
    );
}

// §4.1: with an alias the target's records of the same type, too, and what these lead to; not those of another type.
#[test]
fn an_alias_brings_the_targets_services_and_their_addresses_along() {
    assert_eq!(
        https("alias.example."),
        [
            "host.example. 3600 A 192.0.2.2",
            "host.example. 3600 AAAA 2001:db8::2",
            "pool.example. 3600 A 192.0.2.3",
            "pool.example. 3600 HTTPS 1 host.example.",
            "pool.example. 3600 HTTPS 2 .",
        ]
    );
}

// §2.4.2: aliases may lead to aliases.
#[test]
fn an_alias_of_an_alias_is_followed() {
    let lines = https("long.example.");
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert!(lines.contains(&"alias.example. 3600 HTTPS 0 pool.example.".to_owned()));
}

// §2.4.2: loops are the client's to notice (§3); nothing is sent twice.
#[test]
fn aliases_that_lead_in_circles_end() {
    assert_eq!(
        https("loop1.example."),
        ["loop2.example. 3600 A 192.0.2.5", "loop2.example. 3600 HTTPS 0 loop1.example."]
    );
    assert_eq!(https("itself.example."), ["itself.example. 3600 A 192.0.2.6"]);
}

// §2.5.1: "." in AliasMode says that the service does not exist.
#[test]
fn an_alias_of_the_root_leads_nowhere() {
    assert_eq!(https("none.example."), [""; 0]);
}

// RFC 2181 §5.4.1: glue is for referrals. §4.1 asks for records of the zone, and an alias by CNAME has none.
#[test]
fn glue_and_aliases_by_cname_are_not_told() {
    assert_eq!(https("into-cut.example."), [""; 0]);
    assert_eq!(https("to-cname.example."), [""; 0]);
}

// §2.3, §4.1: the same for SVCB and every type like it, services and aliases side by side.
#[test]
fn svcb_is_answered_like_https() {
    assert_eq!(
        additional("_8443._foo.api.example.", Rtype::SVCB),
        [
            "api.example. 3600 A 192.0.2.8",
            "host.example. 3600 A 192.0.2.2",
            "host.example. 3600 AAAA 2001:db8::2",
            "pool.example. 3600 A 192.0.2.3",
            "pool.example. 3600 SVCB 1 host.example.",
        ]
    );
}

// RFC 4592 §3.3.1: one wildcard stands for three names; that of the alias has the RRset of the type as well.
#[test]
fn targets_that_a_wildcard_stands_for_are_told_by_their_names() {
    assert_eq!(
        https("to-wild.example."),
        [
            "a.wild.example. 3600 A 192.0.2.9",
            "b.wild.example. 3600 A 192.0.2.9",
            "c.wild.example. 3600 A 192.0.2.9",
            "c.wild.example. 3600 HTTPS 1 .",
        ]
    );
}

// §4.1: additional records are a help; without room they are left out, and there is no TC (RFC 2181 §9).
#[test]
fn what_has_no_room_is_left_out() {
    let mut body = String::from("alias HTTPS 0 pool\npool HTTPS 1 .\npool A 192.0.2.1\n");
    for number in 0..40 {
        body.push_str(&format!("pool AAAA 2001:db8::{number}\n"));
    }
    let reply = Served::small("example.", &body).query("alias.example.", Rtype::HTTPS);
    assert!(!reply.is_truncated());
    assert_eq!(reply.additional(), ["pool.example. 3600 HTTPS 1 .", "pool.example. 3600 A 192.0.2.1"]);
}

// §2.2: TargetName is not compressed; §4.1: parameters are opaque and given as they are, in the order of their keys.
#[test]
fn data_are_given_as_they_are() {
    let reply = served().query("keys.example.", Rtype::HTTPS);
    let rdata = &reply.sections[0][0].rdata;
    assert_eq!(rdata[..], *b"\0\x01\0\0\0\0\x02\0\x01\0\x01\0\x03\x02h2\xff\x35\0\x03ex1");
    let reply = served().query("alias.example.", Rtype::HTTPS);
    assert_eq!(reply.sections[0][0].rdata[..], *b"\0\0\x04pool\x07example\0");
}
