//! What README.md tells a newcomer to type, done as written, with a machine of its own for each test.
//!
//! The command's own tests (crates/pharos) look at it from inside; this is the view from the shell.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use pharos_tests::lab::{Client, Namespace, Transport, Workspace, pharos_binary, source_root, wait_until};
use rustix::process::Signal;

fn zones() -> String {
    source_root().join("zones").to_str().expect("paths of the tree are UTF-8").to_owned()
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn serve_answers_from_a_directory_without_a_configuration() {
    let (workspace, machine) = (Workspace::new("command"), Namespace::new("machine"));
    let arguments = ["serve", "--zones", &zones(), "--listen", "127.0.0.1:53", "--nsid", "here.now"];
    let mut serve = machine.start("serve", &pharos_binary(), &arguments, &workspace.join("serve.log"));
    let client = Client::new(&machine);
    wait_until("the responder answers", || {
        serve.assert_running();
        client.ask("127.0.0.1", Transport::Udp, "example.com.", RecordType::SOA).is_some()
    });
    for transport in [Transport::Udp, Transport::Tcp] {
        let answer =
            client.ask("127.0.0.1", transport, "www.example.com.", RecordType::A).expect("an answer");
        assert_eq!(answer.rcode(), ResponseCode::NoError);
        assert_eq!(answer.data(RecordType::A).len(), 2);
        assert_eq!(answer.nsid.as_deref(), Some("here.now"));
    }
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn a_second_responder_on_the_same_address_refuses_to_start() {
    let (workspace, machine) = (Workspace::new("command"), Namespace::new("machine"));
    let arguments = ["serve", "--zones", &zones(), "--listen", "127.0.0.1:53"];
    let mut first = machine.start("first", &pharos_binary(), &arguments, &workspace.join("first.log"));
    let client = Client::new(&machine);
    wait_until("the first responder answers", || {
        first.assert_running();
        client.ask("127.0.0.1", Transport::Udp, "example.com.", RecordType::SOA).is_some()
    });
    let second = machine.command(pharos_binary().to_str().expect("a plain path")).args(arguments).output();
    let second = second.expect("the command can be started");
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success(), "{said}");
    assert!(said.contains("127.0.0.1:53"), "it should name the address: {said}");
    first.assert_running();
}

#[test]
#[ignore = "needs network namespaces and the pharos binary"]
fn the_demo_announces_its_prefixes_and_ends_cleanly_on_interrupt() {
    let (workspace, machine) = (Workspace::new("command"), Namespace::new("machine"));
    let mut demo = machine.start("demo", &pharos_binary(), &["demo"], &workspace.join("demo.log"));
    wait_until("the demo says what to type next", || {
        demo.assert_running();
        demo.log().contains("dig ")
    });
    wait_until("the demo announces a route", || {
        demo.assert_running();
        demo.log().contains("normal")
    });
    demo.signal(Signal::INT);
    let (status, _) = pharos_tests::lab::wait_for("the demo ends", || demo.ended());
    assert!(status.success(), "{status}:\n{}", demo.log());
}
