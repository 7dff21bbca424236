//! RFC 9471: glue in referrals, and TC where it does not fit.

use pharos_testkit::{Ask, Served};
use pharos_wire::Rtype;

/// A delegation to `servers` name servers inside of it, each with an IPv4 and an IPv6 address. The names are long, so
/// that each server takes some 130 octets.
fn in_domain(servers: usize) -> String {
    let label = "n".repeat(40);
    (0..servers)
        .map(|n| {
            format!(
                "sub NS {label}{n}.sub\n{label}{n}.sub A 192.0.2.{n}\n{label}{n}.sub AAAA 2001:db8::{n}\n"
            )
        })
        .collect()
}

// §3.1: "MUST include all available glue records for in-domain name servers".
#[test]
fn a_referral_has_all_in_domain_glue() {
    let reply = Served::small("example.", &in_domain(3)).query("www.sub.example.", Rtype::A);
    assert!(!reply.is_truncated() && !reply.is_authoritative());
    assert_eq!((reply.sections[1].len(), reply.sections[2].len()), (3, 6));
}

// §3.1: "If, due to message size constraints, all such glue records cannot be included, the server MUST set TC=1".
#[test]
fn a_referral_whose_in_domain_glue_does_not_fit_is_truncated() {
    let served = Served::small("example.", &in_domain(6));
    let reply = served.query("www.sub.example.", Rtype::A);
    assert!(reply.is_truncated());
    assert_eq!(reply.sections[1].len(), 6, "the NS RRset fits");
    assert!(reply.sections[2].len() < 12);
    for ask in
        [Ask::new("www.sub.example.", Rtype::A).edns(1232), Ask::new("www.sub.example.", Rtype::A).tcp()]
    {
        let reply = served.ask(&ask);
        assert!(!reply.is_truncated(), "{ask}");
        assert_eq!(reply.sections[2].len(), 12, "{ask}");
    }
}

// §3.1: glue of every length of name and reply: it is whole, or TC says so.
#[test]
fn in_domain_glue_is_whole_or_the_reply_is_truncated_at_every_size() {
    let served = Served::small("example.", &in_domain(7)).udp_payload(4096);
    let mut seen = [0; 2];
    for payload in (512..1400).step_by(7) {
        let reply = served.ask(&Ask::new("www.sub.example.", Rtype::A).edns(payload));
        assert_eq!(reply.is_truncated(), reply.sections[2].len() < 14, "{payload}");
        seen[usize::from(reply.is_truncated())] += 1;
    }
    assert!(seen.iter().all(|&count| count > 10), "{seen:?}");
}

// §3.2: sibling glue "MAY" be left out: "not all ... sibling glue" needs TC.
#[test]
fn sibling_glue_comes_along_where_it_fits_and_never_truncates() {
    let label = "n".repeat(40);
    let mut body = String::from("other NS ns.other\nns.other A 192.0.2.99\n");
    for n in 0..6 {
        body.push_str(&format!(
            "sub NS {label}{n}.other\n{label}{n}.other A 192.0.2.{n}\n{label}{n}.other AAAA ::{n}\n"
        ));
    }
    let served = Served::small("example.", &body);
    let reply = served.query("www.sub.example.", Rtype::A);
    assert!(!reply.is_truncated());
    assert_eq!(reply.sections[1].len(), 6);
    assert_eq!(served.ask(&Ask::new("www.sub.example.", Rtype::A).edns(1232)).sections[2].len(), 12);
}

// §2.3: domains whose servers lie in each other can only be reached with sibling glue.
#[test]
fn domains_that_serve_each_other_get_each_others_glue() {
    let served = Served::small("example.", "a NS ns.b\nb NS ns.a\nns.a A 192.0.2.1\nns.b A 192.0.2.2\n");
    assert_eq!(served.query("www.a.example.", Rtype::A).additional(), ["ns.b.example. 3600 A 192.0.2.2"]);
    assert_eq!(served.query("www.b.example.", Rtype::A).additional(), ["ns.a.example. 3600 A 192.0.2.1"]);
}

// §2.2, §3.1: in-domain glue comes first, so that sibling glue never takes its room.
#[test]
fn in_domain_glue_has_precedence() {
    let label = "n".repeat(40);
    let mut body = String::from("other NS ns.other\nns.other A 192.0.2.99\n");
    for n in 0..4 {
        body.push_str(&format!(
            "sub NS {label}{n}.other\n{label}{n}.other A 192.0.2.{n}\n{label}{n}.other AAAA ::{n}\n"
        ));
    }
    body.push_str("sub NS ns.sub\nns.sub A 192.0.2.77\nns.sub AAAA 2001:db8::77\n");
    for payload in 512..700 {
        let reply = Served::small("example.", &body).ask(&Ask::new("x.sub.example.", Rtype::A).edns(payload));
        assert!(!reply.is_truncated(), "{payload}");
        let inside =
            reply.sections[2].iter().filter(|record| record.owner.starts_with(b"\x02ns\x03sub")).count();
        assert_eq!(inside, 2, "{payload}");
    }
}

// §2.1: the cut's own name may be its server.
#[test]
fn a_server_named_like_the_cut_is_in_domain() {
    let served = Served::small("example.", "sub NS sub\nsub A 192.0.2.1\n");
    let reply = served.query("www.sub.example.", Rtype::A);
    assert_eq!(reply.additional(), ["sub.example. 3600 A 192.0.2.1"]);
    assert!(!served.query("sub.example.", Rtype::A).is_authoritative());
}

// §2.4: names in other zones have no glue here.
#[test]
fn servers_outside_of_the_zone_have_no_glue() {
    let served = Served::small("example.", "sub NS ns.test.\n").body("test.", "ns A 192.0.2.1\n");
    assert_eq!(served.query("x.sub.example.", Rtype::A).additional(), []);
}

// §3: referrals behind aliases too.
#[test]
fn a_referral_behind_an_alias_has_its_glue() {
    let body = format!("alias CNAME www.sub\n{}", in_domain(2));
    let reply = Served::small("example.", &body).query("alias.example.", Rtype::A);
    assert_eq!(reply.sections[2].len(), 4);
    let body = format!("alias CNAME www.sub\n{}", in_domain(7));
    assert!(Served::small("example.", &body).query("alias.example.", Rtype::A).is_truncated());
}
