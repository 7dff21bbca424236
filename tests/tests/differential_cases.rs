//! Faults of ours that the comparison with other servers found, each as one small case.

use pharos_testkit::{Ask, Served};
use pharos_wire::Rtype;

#[test]
fn a_query_for_cname_below_a_dname_ends_at_the_synthesized_cname() {
    // RFC 1034 §4.3.2 step 3a: only other types are looked for at the target.
    let zones = Served::small("example.", "old DNAME new\nx.new CNAME y.new\ny.new A 192.0.2.1\n");
    for qtype in [Rtype::CNAME, Rtype::ANY] {
        let reply = zones.ask(&Ask::new("x.old.example.", qtype));
        assert_eq!(reply.answer().0.len(), 2, "{qtype}: {reply}");
        assert!(reply.authority().0.is_empty(), "{qtype}: {reply}");
    }
    assert_eq!(zones.ask(&Ask::new("x.old.example.", Rtype::A)).answer().0.len(), 4);
}

#[test]
fn an_unsigned_zone_leaves_ds_records_out_of_referrals() {
    // RFC 4035 §3.1.4 asks for them where the zone is signed; alone they prove nothing.
    let digest = "00".repeat(32);
    let zones = Served::small("example.", &format!("sub NS ns.elsewhere.\nsub DS 1 13 2 {digest}\n"));
    let reply = zones.ask(&Ask::new("www.sub.example.", Rtype::A).dnssec());
    assert_eq!(reply.authority().0.len(), 1, "{reply}");
    assert_eq!(zones.ask(&Ask::new("sub.example.", Rtype::DS)).answer().0.len(), 1);
}
