//! RFC 4592: wildcards. The zone of §2.2.1 with its examples, closest enclosers, and records at wildcards.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Rcode, Rtype};

const ZONE: &str = "\
$TTL 3600
@                SOA ns.example.com. hostmaster.example.com. 1 7200 1800 1209600 300
@                NS  ns.example.com.
@                NS  ns.example.net.
*                TXT \"this is a wildcard\"
*                MX  10 host1
sub.*            TXT \"this is not a wildcard\"
host1            A   192.0.2.1
_ssh._tcp.host1  SRV 0 0 22 host1
_ssh._tcp.host2  SRV 0 0 22 host1
subdel           NS  ns.example.com.
subdel           NS  ns.example.net.
";

fn served() -> Served {
    Served::one("example.", ZONE)
}

fn denied(served: &Served, qname: &str, qtype: Rtype, rcode: Rcode) {
    let reply = served.query(qname, qtype);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (rcode, true), "{qname}");
    assert_eq!(reply.answer(), [], "{qname}");
    assert!(reply.authority().has("example. 300 SOA "), "{qname}");
}

// §2.2.1: "QNAME=host3.example. QTYPE=MX, QCLASS=IN"
#[test]
fn a_name_that_does_not_exist_gets_the_wildcards_data_under_its_own_name() {
    let reply = served().query("host3.example.", Rtype::MX);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
    assert_eq!(reply.answer(), ["host3.example. 3600 MX 10 host1.example."]);
    assert_eq!(reply.additional(), ["host1.example. 3600 A 192.0.2.1"]);
}

// §2.2.1: "QNAME=host3.example. QTYPE=A": "the answer ... is 'no error, but no data'".
#[test]
fn a_type_that_the_wildcard_lacks_has_no_data() {
    denied(&served(), "host3.example.", Rtype::A, Rcode::NOERROR);
}

// §2.2.1: "QNAME=foo.bar.example. QTYPE=TXT": the wildcard covers several labels.
#[test]
fn a_wildcard_stands_for_several_labels() {
    let reply = served().query("foo.bar.example.", Rtype::TXT);
    assert_eq!(reply.answer(), ["foo.bar.example. 3600 TXT \"this is a wildcard\""]);
}

// §2.2.1: "QNAME=host1.example., QTYPE=MX": "because host1.example. exists".
#[test]
fn a_name_that_exists_gets_nothing_from_the_wildcard() {
    denied(&served(), "host1.example.", Rtype::MX, Rcode::NOERROR);
}

// §2.2.1: "QNAME=sub.*.example., QTYPE=MX": "because sub.*.example. exists".
#[test]
fn a_name_below_the_asterisk_exists_by_itself() {
    denied(&served(), "sub.*.example.", Rtype::MX, Rcode::NOERROR);
    let reply = served().query("sub.*.example.", Rtype::TXT);
    assert_eq!(reply.answer(), ["sub.*.example. 3600 TXT \"this is not a wildcard\""]);
}

// §2.2.1: "QNAME=_telnet._tcp.host1.example., QTYPE=SRV": "because _tcp.host1.example. exists (without data)".
#[test]
fn an_empty_non_terminal_keeps_the_wildcard_away() {
    denied(&served(), "_telnet._tcp.host1.example.", Rtype::SRV, Rcode::NXDOMAIN);
    denied(&served(), "_tcp.host1.example.", Rtype::TXT, Rcode::NOERROR);
    denied(&served(), "host2.example.", Rtype::TXT, Rcode::NOERROR);
}

// §2.2.1: "QNAME=host.subdel.example., QTYPE=A": "because subdel.example. exists (and is a zone cut)".
#[test]
fn a_delegation_keeps_the_wildcard_away() {
    let reply = served().query("host.subdel.example.", Rtype::A);
    assert!(!reply.is_authoritative());
    assert_eq!(
        reply.authority(),
        ["subdel.example. 3600 NS ns.example.com.", "subdel.example. 3600 NS ns.example.net."]
    );
}

// §2.2.1: "QNAME=ghost.*.example., QTYPE=MX": "because *.example. exists".
#[test]
fn the_asterisk_itself_keeps_the_wildcard_away() {
    denied(&served(), "ghost.*.example.", Rtype::MX, Rcode::NXDOMAIN);
}

// §2.3: a query for the wildcard's own name is answered like any other.
#[test]
fn the_wildcards_own_name_is_an_existing_name() {
    let reply = served().query("*.example.", Rtype::TXT);
    assert_eq!(reply.answer(), ["*.example. 3600 TXT \"this is a wildcard\""]);
    denied(&served(), "*.example.", Rtype::A, Rcode::NOERROR);
}

// §2.1.1: only the whole leftmost label `*` is special.
#[test]
fn an_asterisk_elsewhere_is_an_ordinary_octet() {
    let served = Served::small("example.", "a*.x A 192.0.2.1\n*b.x A 192.0.2.2\n\\*\\*.x A 192.0.2.3\n");
    denied(&served, "q.x.example.", Rtype::A, Rcode::NXDOMAIN);
    denied(&served, "ab.x.example.", Rtype::A, Rcode::NXDOMAIN);
    assert_eq!(served.query("a*.x.example.", Rtype::A).sections[0].len(), 1);
}

// §3.3.1, §3.3.2: the source of synthesis is the asterisk at the closest encloser and no other.
#[test]
fn only_the_wildcard_at_the_closest_encloser_counts() {
    let served = Served::small("example.", "* TXT top\na TXT a\n*.b.c TXT inner\nx.y.b.c TXT deep\n");
    let txt = |qname: &str| served.query(qname, Rtype::TXT).answer();
    assert_eq!(txt("q.example."), ["q.example. 3600 TXT \"top\""]);
    assert_eq!(txt("q.b.c.example."), ["q.b.c.example. 3600 TXT \"inner\""]);
    // The closest encloser y.b.c.example. has no wildcard, and those above it do not count.
    denied(&served, "q.y.b.c.example.", Rtype::TXT, Rcode::NXDOMAIN);
    denied(&served, "q.a.example.", Rtype::TXT, Rcode::NXDOMAIN);
    denied(&served, "q.c.example.", Rtype::TXT, Rcode::NXDOMAIN);
}

// §4.1: SOA at a wildcard: a zone whose apex starts with an asterisk is a zone like others, and no wildcard.
#[test]
fn a_zone_whose_name_starts_with_an_asterisk_synthesizes_nothing() {
    let served = Served::small("*.example.", "www A 192.0.2.1\n");
    assert_eq!(served.query("www.*.example.", Rtype::A).sections[0].len(), 1);
    assert_eq!(served.query("www.a.example.", Rtype::A).rcode(), Rcode::REFUSED);
}

// §4.2: "the meaning ... is not defined": such a zone is not taken.
#[test]
#[should_panic = "NS at the wildcard"]
fn a_delegation_at_a_wildcard_is_not_served() {
    let _ = Served::small("example.", "* NS ns.test.\n");
}

// §4.3
#[test]
fn an_alias_at_a_wildcard_is_followed_from_the_name_asked() {
    let served = Served::small("example.", "*.w CNAME real\nreal A 192.0.2.1\n*.self CNAME x.self\n");
    let reply = served.query("q.w.example.", Rtype::A);
    assert_eq!(reply.answer(), ["q.w.example. 3600 CNAME real.example.", "real.example. 3600 A 192.0.2.1"]);
    assert_eq!(
        served.query("q.w.example.", Rtype::CNAME).answer(),
        ["q.w.example. 3600 CNAME real.example."]
    );
    // The target may be synthesized by the same wildcard, and is then a loop.
    assert_eq!(
        served.query("q.self.example.", Rtype::A).answer(),
        ["q.self.example. 3600 CNAME x.self.example.", "x.self.example. 3600 CNAME x.self.example."]
    );
}

// §4.5: SRV below a wildcard's asterisk is no wildcard for services.
#[test]
fn services_below_an_asterisk_are_not_synthesized() {
    let served = Served::small("example.", "_ssh._tcp.* SRV 0 0 22 host\nhost A 192.0.2.1\n");
    // The wildcard exists without data of its own (§4.9).
    denied(&served, "q.example.", Rtype::SRV, Rcode::NOERROR);
    denied(&served, "_ssh._tcp.q.example.", Rtype::SRV, Rcode::NOERROR);
    assert_eq!(served.query("_ssh._tcp.*.example.", Rtype::SRV).sections[0].len(), 1);
}

// §4.6: DS belongs to cuts, and there is none at a wildcard; the query is one like others.
#[test]
fn ds_of_a_name_that_a_wildcard_covers_has_no_data() {
    denied(&served(), "host3.example.", Rtype::DS, Rcode::NOERROR);
}

// §4.9
#[test]
fn a_wildcard_that_is_an_empty_non_terminal_gives_no_data() {
    let served = Served::small("example.", "a.*.e A 192.0.2.1\n");
    denied(&served, "q.e.example.", Rtype::A, Rcode::NOERROR);
    denied(&served, "b.q.e.example.", Rtype::A, Rcode::NOERROR);
    denied(&served, "b.*.e.example.", Rtype::A, Rcode::NXDOMAIN);
}

// §3.3.3: all of the wildcard's RRset, owner rewritten, whatever the length of the name.
#[test]
fn names_in_a_wildcards_data_are_right_for_every_length_of_qname() {
    let served = Served::small(
        "example.",
        "*.w MX 1 a.w\n*.w MX 2 b.a.w\n*.w MX 3 x.test.\n*.w MX 4 y.test.\na.w A 192.0.2.1\n",
    );
    for qname in ["q.w.example.".to_owned(), format!("{}w.example.", "abc.".repeat(50))] {
        let reply = served.ask(&Ask::new(&qname, Rtype::MX).edns(1232));
        let lines = ["1 a.w.example.", "2 b.a.w.example.", "3 x.test.", "4 y.test."];
        let expected = lines.map(|target| format!("{qname} 3600 MX {target}"));
        assert_eq!(reply.answer(), expected.each_ref().map(String::as_str));
        assert_eq!(reply.additional(), ["a.w.example. 3600 A 192.0.2.1"]);
    }
}
