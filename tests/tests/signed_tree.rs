//! Real validating resolvers, and a tree of signed zones to resolve: root, top-level domains, companies.
//!
//! ```text
//!                 resolver (unbound or Knot Resolver)
//!                /            |             \
//!          root: `.`    tlds: `example`   companies: `company.example`, `partner.example`, `signed.lab`,
//!                             `lab`                  unsigned ones, and one with the wrong DS above it
//! ```
//!
//! Each of the three is a `pharos serve` on a machine of its own, with an address of each family. The resolver
//! knows the root's addresses and key, and finds the rest by referrals. It asks over IPv4 alone, then over IPv6
//! alone. A question is right if the bit AD, or SERVFAIL, says what it should.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use hickory_proto::rr::RecordType;
use pharos_tests::dnssec::resolver::{Family, Kind, Resolver};
use pharos_tests::dnssec::sign::{Algorithm, Denial, Signer};
use pharos_tests::dnssec::{Outcome, Trust, Verdict};
use pharos_tests::lab::{Client, Daemon, Namespace, Transport, Workspace, pharos_binary, wait_until};

/// The root as an operator of a resolver is told of it.
const HINTS: &str = "\
. 3600 NS a.root.
a.root. 3600 A 10.53.1.1
a.root. 3600 AAAA fd53:1::1
";

/// What every zone begins with; the name server's own name follows.
const START: &str = "$TTL 3600\n@ SOA ns hostmaster 1 7200 1800 1209600 300\n";

const ROOT: &str = "\
@ NS a.root.
a.root A 10.53.1.1
a.root AAAA fd53:1::1
";

/// Both top-level domains have the same name server; `example` has the name in it, so it has the glue.
const TLD_SERVER: &str = "\
ns.nic.example. A 10.53.2.1
ns.nic.example. AAAA fd53:2::1
";

const COMPANY: &str = "\
@ NS ns
ns A 10.53.3.1
ns AAAA fd53:3::1
www A 192.0.2.80
www AAAA 2001:db8::80
*.wild A 192.0.2.81
leaf.empty A 192.0.2.82
shop CNAME www.partner.example.
old CNAME www.unsigned.example.
gone CNAME nope.partner.example.
moved DNAME partner.example.
";

#[derive(Clone, Copy)]
struct Expected(&'static str, RecordType, Outcome, Trust);

/// What the resolver must say, whoever it is and whichever way it came.
fn expected() -> Vec<Expected> {
    use Outcome::{Answer, Failure, NoData, NoName};
    use RecordType::{A, AAAA, CNAME, DNSKEY, DS, MX, SOA, TXT};
    use Trust::{Bogus, Insecure, Secure};
    let list = [
        // Down the tree, at each level, and at each cut.
        (".", SOA, Answer, Secure),
        (".", DNSKEY, Answer, Secure),
        ("example.", DS, Answer, Secure),
        ("example.", SOA, Answer, Secure),
        ("company.example.", DS, Answer, Secure),
        ("company.example.", DNSKEY, Answer, Secure),
        ("www.company.example.", A, Answer, Secure),
        ("www.company.example.", AAAA, Answer, Secure),
        // More than a datagram may hold, so by TCP.
        ("big.company.example.", TXT, Answer, Secure),
        // NODATA, with NSEC3, at an empty non-terminal, and with NSEC.
        ("www.company.example.", MX, NoData, Secure),
        ("empty.company.example.", A, NoData, Secure),
        ("www.partner.example.", MX, NoData, Secure),
        // Names that are not there, at each level.
        ("nope.", A, NoName, Secure),
        ("nope.example.", A, NoName, Secure),
        ("nope.company.example.", A, NoName, Secure),
        ("a.b.www.partner.example.", A, NoName, Secure),
        // Wildcards.
        ("x.wild.company.example.", A, Answer, Secure),
        ("x.wild.company.example.", MX, NoData, Secure),
        ("x.wild.partner.example.", A, Answer, Secure),
        // Aliases into other zones.
        ("shop.company.example.", A, Answer, Secure),
        ("shop.company.example.", CNAME, Answer, Secure),
        ("gone.company.example.", A, NoName, Secure),
        ("www.moved.company.example.", A, Answer, Secure),
        ("old.company.example.", A, Answer, Insecure),
        // Delegations without DS: that there is none is proven, what is below is not.
        ("unsigned.example.", DS, NoData, Secure),
        ("www.unsigned.example.", A, Answer, Insecure),
        ("nope.unsigned.example.", A, NoName, Insecure),
        // The same within a span of opt-out, where the denial itself is insecure (RFC 5155 §9.2).
        ("www.signed.lab.", A, Answer, Secure),
        ("www.signed.lab.", TXT, NoData, Secure),
        ("www.unsigned.lab.", A, Answer, Insecure),
        ("nope.lab.", A, NoName, Insecure),
        // The DS is of another key.
        ("www.bogus.example.", A, Failure, Bogus),
        ("nope.bogus.example.", A, Failure, Bogus),
    ];
    list.into_iter().map(|(name, rtype, outcome, trust)| Expected(name, rtype, outcome, trust)).collect()
}

#[test]
#[ignore = "needs network namespaces, unbound, kresd (Debian: knot-resolver), dnssec-signzone, the pharos binary"]
fn validating_resolvers_find_every_level_of_a_signed_tree_secure() {
    let workspace = Workspace::new("tree");
    let anchors = sign(&workspace);
    let resolver = Namespace::new("resolver");
    let servers = ["root", "tlds", "companies"].map(Namespace::new);
    let mut daemons: Vec<Daemon> = Vec::new();
    for (number, server) in (1..).zip(&servers) {
        let (near, far) = (format!("10.53.{number}.2/24"), format!("10.53.{number}.1/24"));
        let (near6, far6) = (format!("fd53:{number}::2/64"), format!("fd53:{number}::1/64"));
        resolver.link(server.name(), &[&near, &near6], server, "eth0", &[&far, &far6]);
        daemons.push(serve(server, number, &workspace));
    }
    for (number, (zone, daemon)) in (1..).zip([".", "example.", "company.example."].iter().zip(&mut daemons))
    {
        for address in [format!("10.53.{number}.1"), format!("fd53:{number}::1")] {
            wait_until("each responder answers over each family", || {
                daemon.assert_running();
                Client::new(&resolver).ask(&address, Transport::Udp, zone, RecordType::SOA).is_some()
            });
        }
    }

    let mut findings = Vec::new();
    for kind in [Kind::Unbound, Kind::Knot] {
        for family in [Family::V4, Family::V6] {
            let asked = Resolver::at(&resolver, &workspace, kind, family, HINTS, &anchors);
            for Expected(name, rtype, outcome, trust) in expected() {
                let verdict = asked.judge(name, rtype);
                if verdict != (Verdict { outcome, trust }) {
                    let log = asked.log_of(name);
                    findings.push(format!("{kind:?} {family:?}: {name} {rtype}: {verdict:?}\n{log}"));
                }
            }
            println!("{kind:?} over {family:?}: {} questions", expected().len());
        }
    }
    assert!(findings.is_empty(), "verdicts that are not right:\n{}", findings.join("\n"));
}

fn serve(machine: &Namespace, number: u8, workspace: &Workspace) -> Daemon {
    let zones = workspace.join(machine.name()).join("zones");
    let (v4, v6) = (format!("10.53.{number}.1:53"), format!("[fd53:{number}::1]:53"));
    let zones = zones.to_str().unwrap();
    let arguments = ["serve", "--zones", zones, "--listen", &v4, "--listen", &v6, "--nsid", machine.name()];
    let log = workspace.join(&format!("{}.log", machine.name()));
    machine.start(machine.name(), &pharos_binary(), &arguments, &log)
}

/// Signs all zones, from the leaves to the root, into a directory for each machine. Gives the root's keys.
///
/// Each level has another algorithm, and the kinds of denial are those of such zones: the root has NSEC, one
/// top-level domain NSEC3, the other opt-out.
fn sign(workspace: &Workspace) -> String {
    let [root, tlds, companies] = ["root", "tlds", "companies"].map(|name| Signer::new(workspace, name));
    let company_text = format!("{START}{COMPANY}big TXT {}\n", format!("\"{}\" ", "x".repeat(250)).repeat(8));
    let partner_text = format!("{START}{COMPANY}");
    let sign = |name: &str, text: &str, denial| companies.sign(name, text, &[Algorithm::Ed25519], denial);
    let company = sign("company.example", &company_text, Denial::Nsec3);
    let partner = sign("partner.example", &partner_text, Denial::Nsec);
    let signed = sign("signed.lab", &partner_text, Denial::Nsec3Salted);
    sign("bogus.example", &partner_text, Denial::Nsec);
    let another = Signer::new(workspace, "another");
    let another = another.sign("bogus.example", &partner_text, &[Algorithm::Ed25519], Denial::Nsec);
    for name in ["unsigned.example", "unsigned.lab"] {
        companies.leave_unsigned(name, &partner_text);
    }

    let delegations = |names: &[&str]| -> String {
        let one =
            |name: &&str| format!("{name} NS ns.{name}\nns.{name} A 10.53.3.1\nns.{name} AAAA fd53:3::1\n");
        names.iter().map(one).collect()
    };
    let start = START.replace(" ns ", " ns.nic.example. ");
    let example = format!(
        "{start}@ NS ns.nic.example.\n{TLD_SERVER}{}{}{}{}",
        delegations(&["company", "partner", "unsigned", "bogus"]),
        company.ds(),
        partner.ds(),
        another.ds()
    );
    let example = tlds.sign("example", &example, &[Algorithm::EcdsaP256], Denial::Nsec3);
    let lab = format!("{start}@ NS ns.nic.example.\n{}{}", delegations(&["signed", "unsigned"]), signed.ds());
    let lab = tlds.sign("lab", &lab, &[Algorithm::EcdsaP256], Denial::Nsec3OptOut);
    let text = format!(
        "{}{ROOT}{TLD_SERVER}example NS ns.nic.example.\nlab NS ns.nic.example.\n{}{}",
        START.replace(" ns ", " a.root. "),
        example.ds(),
        lab.ds()
    );
    root.sign(".", &text, &[Algorithm::RsaSha256], Denial::Nsec).anchors()
}
