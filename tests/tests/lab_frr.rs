//! The same two POPs with FRR as their routers, on `deploy/frr`: routes come, and go with the responder and with
//! the sidecar. What BIRD routers have shown already is not shown again.

use pharos_tests::lab::{
    ANYCAST4, ANYCAST6, PREFIX4, PREFIX6, RouterKind, Topology, Transport, observe, print_time, wait_until,
};
use std::time::Instant;

#[test]
#[ignore = "needs root and FRR"]
fn routes_come_and_go_through_frr_routers() {
    let topology = Topology::new(RouterKind::Frr);
    let start = Instant::now();
    let mut nodes = [&topology.ams, &topology.fra].map(|pop| topology.make_node(pop));
    for node in &mut nodes {
        node.start_responder();
        node.start_sidecar();
    }
    let [mut ams, fra] = nodes;
    for prefix in [PREFIX4, PREFIX6] {
        for pop in [&topology.ams, &topology.fra] {
            wait_until("each POP's router has both routes", || pop.has_route(prefix));
            assert_eq!(pop.local_preference(prefix), Some(100), "level normal");
        }
    }
    let client = topology.client();
    for address in [ANYCAST4, ANYCAST6] {
        for transport in [Transport::Udp, Transport::Tcp] {
            client.ask_until_answered_by(address, transport, "example.com.", ams.nsid());
        }
    }
    print_time("start of the nodes -> client is answered over both families", start.elapsed());

    let watch = client.watch(ANYCAST4, "example.com.");
    let killed = ams.responder().kill();
    observe(
        killed,
        &mut [
            ("kill -9 responder -> IPv4 route gone at the router", &mut || !topology.ams.has_route(PREFIX4)),
            ("kill -9 responder -> IPv6 route gone at the router", &mut || !topology.ams.has_route(PREFIX6)),
        ],
    );
    print_time("kill -9 responder -> client reaches the other POP", watch.reached(fra.nsid(), killed));
    let restarted = Instant::now();
    ams.start_responder();
    print_time("start responder -> client is back", watch.reached(ams.nsid(), restarted));

    let since = Instant::now();
    let output = ams.pharos(&["drain", "--text", "the lab tries it"]);
    assert!(output.status.success(), "{output:?}");
    observe(
        since,
        &mut [("`pharos drain` -> the router's preference is 0", &mut || {
            topology.ams.local_preference(PREFIX4) == Some(0)
        })],
    );

    let killed = ams.sidecar().kill();
    observe(
        killed,
        &mut [
            ("kill -9 sidecar -> IPv4 route gone at the router", &mut || !topology.ams.has_route(PREFIX4)),
            ("kill -9 sidecar -> IPv6 route gone at the router", &mut || !topology.ams.has_route(PREFIX6)),
        ],
    );
    print_time("kill -9 sidecar -> client reaches the other POP", watch.reached(fra.nsid(), killed));
}
