//! RFC 6672: DNAME. The table of §2.2 and the rules around it.

use pharos_testkit::{Ask, Served};
use pharos_wire::{Rcode, Rtype};

/// A server with the root, the owner's DNAME in it, and nothing else.
fn redirecting(owner: &str, target: &str) -> Served {
    Served::small(".", &format!("{owner} 600 DNAME {target}\n"))
}

/// The name to which the query is redirected first, if it is.
fn redirected(served: &Served, qname: &str) -> Option<String> {
    let reply = served.query(qname, Rtype::A);
    let start = format!("{qname} 600 CNAME ");
    reply.answer().0.iter().find_map(|line| line.strip_prefix(&start).map(str::to_owned))
}

// §2.2, table 1
#[test]
fn names_are_substituted_as_in_the_table() {
    for (qname, owner, target, result) in [
        ("com.", "example.com.", "example.net.", None),
        ("example.com.", "example.com.", "example.net.", None),
        ("a.example.com.", "example.com.", "example.net.", Some("a.example.net.")),
        ("a.b.example.com.", "example.com.", "example.net.", Some("a.b.example.net.")),
        ("ab.example.com.", "b.example.com.", "example.net.", None),
        ("foo.example.com.", "example.com.", "example.net.", Some("foo.example.net.")),
        ("a.x.example.com.", "x.example.com.", "example.net.", Some("a.example.net.")),
        ("a.example.com.", "example.com.", "y.example.net.", Some("a.y.example.net.")),
        ("cyc.example.com.", "example.com.", "example.com.", Some("cyc.example.com.")),
        ("cyc.example.com.", "example.com.", "c.example.com.", Some("cyc.c.example.com.")),
        ("shortloop.x.x.", "x.", ".", Some("shortloop.x.")),
        ("shortloop.x.", "x.", ".", Some("shortloop.")),
    ] {
        let served = redirecting(owner, target);
        assert_eq!(redirected(&served, qname).as_deref(), result, "{qname} by {owner} to {target}");
        assert_eq!(
            served.query(qname, Rtype::A).answer().has(&format!("{owner} 600 DNAME ")),
            result.is_some()
        );
    }
}

// §2.2, note 0: "The result depends on the QTYPE. If the QTYPE = DNAME, then the result is 'example.com.'".
#[test]
fn the_owner_itself_is_not_redirected() {
    let served = Served::small("example.", "d DNAME x.test.\nd A 192.0.2.1\nd MX 1 m.test.\n");
    assert_eq!(served.query("d.example.", Rtype::DNAME).answer(), ["d.example. 3600 DNAME x.test."]);
    // §2.3: other data may stand beside it.
    assert_eq!(served.query("d.example.", Rtype::A).answer(), ["d.example. 3600 A 192.0.2.1"]);
    let reply = served.query("d.example.", Rtype::TXT);
    assert_eq!((reply.rcode(), reply.sections[0].len()), (Rcode::NOERROR, 0));
    assert!(reply.authority().has("example. 300 SOA"));
}

// §3.1: "The TTL of the synthesized CNAME RR is the TTL of the DNAME"; §3.2 step 3c: the DNAME comes first.
#[test]
fn the_answer_is_the_dname_and_a_cname_with_its_ttl() {
    let served = Served::small("example.", "d 77 DNAME x.test.\n");
    let reply = served.query("a.b.d.example.", Rtype::A);
    assert_eq!((reply.rcode(), reply.is_authoritative()), (Rcode::NOERROR, true));
    assert_eq!(
        reply.answer().0,
        ["d.example. 77 DNAME x.test.", "a.b.d.example. 77 CNAME a.b.x.test."],
        "in this order"
    );
}

// §3.2: the query goes on with the new name.
#[test]
fn the_query_goes_on_with_the_new_name() {
    let served = Served::small("example.", "d DNAME n\na.n A 192.0.2.1\nb.n CNAME a.n\n");
    assert_eq!(
        served.query("b.d.example.", Rtype::A).answer().0,
        [
            "d.example. 3600 DNAME n.example.",
            "b.d.example. 3600 CNAME b.n.example.",
            "b.n.example. 3600 CNAME a.n.example.",
            "a.n.example. 3600 A 192.0.2.1",
        ]
    );
    let reply = served.query("none.d.example.", Rtype::A);
    assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
    assert_eq!(reply.sections[0].len(), 2);
}

// §2.2: "... the name is too long ... SHOULD be YXDOMAIN".
#[test]
fn a_name_that_would_grow_too_long_is_yxdomain() {
    let long = vec!["l".repeat(63); 3].join(".");
    let served = Served::small("example.", &format!("d DNAME {long}.test.\n"));
    let fits = format!("{}.d.example.", "a".repeat(255 - (3 * 64 + 6) - 1));
    let reply = served.ask(&Ask::new(&fits, Rtype::A).edns(1232));
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    assert_eq!(reply.sections[0][1].rdata.len(), 255);
    let too_long = format!("{}.d.example.", "a".repeat(255 - (3 * 64 + 6)));
    let reply = served.ask(&Ask::new(&too_long, Rtype::A).edns(1232));
    assert_eq!(reply.rcode(), Rcode::YXDOMAIN);
    assert!(reply.is_authoritative());
    // The DNAME goes along, so that the reason can be seen and proved.
    assert_eq!(reply.sections[0].len(), 1);
    assert_eq!(reply.sections[0][0].rtype, Rtype::DNAME);
}

// §2.4: "Resource records MUST NOT exist at any subdomain of the owner": if they do, they are never seen.
#[test]
fn what_lies_below_a_dname_is_not_seen() {
    let served = Served::small(
        "example.",
        "d DNAME n\na.d A 192.0.2.1\na.n A 192.0.2.2\nsub.d NS ns.test.\nm MX 1 a.d\n",
    );
    assert_eq!(served.query("a.d.example.", Rtype::A).answer().0[2], "a.n.example. 3600 A 192.0.2.2");
    assert!(served.query("x.sub.d.example.", Rtype::A).is_authoritative());
    assert_eq!(served.query("m.example.", Rtype::MX).additional(), []);
}

// §2.3: beside SOA and NS at the apex.
#[test]
fn a_dname_at_the_apex_redirects_the_whole_zone() {
    let served = Served::small("example.", "@ DNAME test.\n");
    assert_eq!(redirected_at(&served, "www.example."), "www.example. 3600 CNAME www.test.");
    assert_eq!(served.query("example.", Rtype::SOA).sections[0].len(), 1);
    assert_eq!(served.query("example.", Rtype::NS).sections[0].len(), 1);
}

fn redirected_at(served: &Served, qname: &str) -> String {
    served.query(qname, Rtype::A).answer().0[1].clone()
}

// §2.3: "a DNAME RR [and an] NS RR ... at the zone apex" alone; and §2.4: one DNAME, no CNAME.
#[test]
fn zones_that_break_the_rules_of_dname_are_not_served() {
    for body in ["d DNAME x.\nd NS ns.test.\n", "d DNAME x.\nd DNAME y.\n", "d DNAME x.\nd CNAME y.\n"] {
        let text = format!("@ 60 SOA n. h. 1 1 1 1 1\n@ 60 NS ns.test.\n$TTL 60\n{body}");
        let served = std::panic::catch_unwind(|| Served::one("example.", &text));
        assert!(served.is_err(), "{body}");
    }
}

// §3.2, RFC 2181 §5: a chain that comes by the same DNAME twice tells it once.
#[test]
fn a_dname_is_told_once_however_often_it_redirects() {
    let served = Served::small(".", "x. 600 DNAME .\n");
    let lines = served.query("shortloop.x.x.x.", Rtype::A).answer();
    assert_eq!(lines.0.iter().filter(|line| line.contains("DNAME")).count(), 1);
    assert_eq!(lines.0.len(), 4);
    let served = Served::small("example.", "d DNAME @\n");
    let reply = served.query("d.d.example.", Rtype::DNAME);
    assert_eq!(reply.answer(), ["d.example. 3600 DNAME example.", "d.d.example. 3600 CNAME d.example."]);
    let any = served.query("d.d.example.", Rtype::ANY);
    assert_eq!(any.answer(), ["d.example. 3600 DNAME example.", "d.d.example. 3600 CNAME d.example."]);
}

// §2.2: loops by DNAME end.
#[test]
fn a_dname_that_grows_for_ever_ends_at_the_bound() {
    let served = Served::small("example.", "d DNAME x.d\n");
    let reply = served.ask(&Ask::new("q.d.example.", Rtype::A).tcp());
    assert_eq!(reply.rcode(), Rcode::NOERROR);
    assert!(reply.sections[0].len() >= 9);
    let mut once = reply.sections[0].clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), reply.sections[0].len());
}

// §2.5: no compression of the target; the data are the whole name.
#[test]
fn the_target_is_not_compressed() {
    let served = Served::small("example.", "d DNAME n.example.\n");
    let reply = served.query("d.example.", Rtype::DNAME);
    assert_eq!(reply.sections[0][0].rdata, b"\x01n\x07example\0");
}
