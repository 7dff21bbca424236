//! RFC 3403: NAPTR, with the flags of RFC 3404 §4.3.

use pharos_testkit::{Ask, Served};
use pharos_wire::Rtype;

fn additional(naptr: &str) -> Vec<String> {
    let zone = format!(
        "{naptr}\n_sip._udp SRV 1 2 5060 sip\n_sip._udp SRV 2 2 5060 sip\n_sip._udp SRV 3 2 5060 x.wild\n\
         _sip._udp A 192.0.2.1\nsip A 192.0.2.2\n*.wild A 192.0.2.3\n"
    );
    let mut lines =
        Served::small("example.", &zone).ask(&Ask::new("n.example.", Rtype::NAPTR).edns(1232)).additional().0;
    lines.sort_unstable();
    lines
}

// §4.2: the server may read the flag and send what the client asks for next; RFC 3404 §4.3: "S" is SRV. RFC 2782: SRV
// brings addresses.
#[test]
fn flag_s_brings_srv_records_and_their_addresses() {
    for flag in ["s", "S"] {
        assert_eq!(
            additional(&format!(r#"n NAPTR 1 2 "{flag}" "SIP+D2U" "" _sip._udp"#)),
            [
                "_sip._udp.example. 3600 SRV 1 2 5060 sip.example.",
                "_sip._udp.example. 3600 SRV 2 2 5060 sip.example.",
                "_sip._udp.example. 3600 SRV 3 2 5060 x.wild.example.",
                "sip.example. 3600 A 192.0.2.2",
                "x.wild.example. 3600 A 192.0.2.3",
            ]
        );
    }
}

// RFC 3404 §4.3: "A" is addresses.
#[test]
fn flag_a_brings_addresses() {
    for flag in ["a", "A"] {
        let naptr = format!(r#"n NAPTR 1 2 "{flag}" "SIP+D2U" "" _sip._udp"#);
        assert_eq!(additional(&naptr), ["_sip._udp.example. 3600 A 192.0.2.1"]);
    }
}

// RFC 3404 §4.3: "U" is a URI, "P" is the application's; without a flag the next rule is another NAPTR.
#[test]
fn other_flags_bring_nothing() {
    for flag in ["u", "P", "", "sa", "9"] {
        assert_eq!(additional(&format!(r#"n NAPTR 1 2 "{flag}" "" "" _sip._udp"#)), [""; 0], "{flag}");
    }
}

// RFC 2181 §5: two rules that lead to the same place bring it along once.
#[test]
fn what_two_rules_lead_to_is_told_once() {
    let twice = r#"n NAPTR 1 2 "s" "SIP+D2U" "" _sip._udp
n NAPTR 1 3 "s" "SIPS+D2T" "" _sip._udp
n NAPTR 1 4 "a" "" "" sip"#;
    assert_eq!(additional(twice).len(), 5);
}
