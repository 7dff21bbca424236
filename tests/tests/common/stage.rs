//! A node and a router on one link: the smallest place in which a session can be held.

use pharos_tests::lab::{Daemon, Namespace, SIDECAR_HTTP, Workspace, pharos_binary};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

/// What the node announces.
pub(crate) const PREFIXES: [&str; 2] = ["192.0.2.0/24", "2001:db8:53::/48"];
/// The node's addresses on the link, as keys of a neighbour.
pub(crate) const NEXT_HOPS: &str = "next-hop-ipv4: 10.0.0.2\n    next-hop-ipv6: \"fd00::2\"";

const ZONE: &str = "@ 3600 IN SOA ns.example.com. root.example.com. 1 7200 900 1209600 300
@ 3600 IN NS ns.example.net.
";

const PHAROS: &str = "responder:
  listen: [\"192.0.2.53:53\", \"[2001:db8:53::53]:53\"]
  zones: {directory: zones}
  workers: 1
  control: RUN/responder.sock
sidecar:
  groups:
    - name: main
      prefixes: [192.0.2.0/24, \"2001:db8:53::/48\"]
      required: [example.com]
  hold-down: 0s
  control: RUN/sidecar.sock
";

/// Both machines; processes end before their namespaces.
pub(crate) struct Stage {
    responder: Option<Daemon>,
    sidecar: Option<Daemon>,
    pub(crate) router: Namespace,
    pub(crate) node: Namespace,
    config: PathBuf,
    pub(crate) workspace: Workspace,
}

impl Stage {
    /// Machines, addresses and the node's configuration with these neighbours; starts nothing.
    pub(crate) fn new(neighbours: &str) -> Self {
        let workspace = Workspace::new("interop");
        let router = Namespace::new("router");
        let node = Namespace::new("node");
        node.link("eth0", &["10.0.0.2/30", "fd00::2/64"], &router, "node", &["10.0.0.1/30", "fd00::1/64"]);
        node.sh("ip address add 192.0.2.53/32 dev lo; ip address add 2001:db8:53::53/128 dev lo");
        let run = workspace.path().to_str().unwrap().to_owned();
        let config = workspace.write("pharos.yaml", &PHAROS.replace("RUN", &run));
        workspace.write("zones/example.com.zone", ZONE);
        let stage = Self { responder: None, sidecar: None, router, node, config, workspace };
        stage.configure(neighbours);
        stage
    }

    /// Writes the part of the configuration that has the neighbours.
    pub(crate) fn configure(&self, neighbours: &str) {
        let site = format!("node: a\nsite: ams\nrouter-id: 10.0.0.2\nlocal-as: 64512\n{neighbours}");
        self.workspace.write("site.yaml", &site);
    }

    /// Starts responder and sidecar.
    pub(crate) fn start(&mut self) {
        self.responder = Some(self.run("serve"));
        self.sidecar = Some(self.run("announce"));
    }

    fn run(&self, command: &str) -> Daemon {
        let log = self.workspace.join(&format!("{command}.log"));
        let site = self.workspace.join("site.yaml");
        let arguments =
            [command, "--config", self.config.to_str().unwrap(), "--site", site.to_str().unwrap()];
        self.node.start(&format!("pharos {command}"), &pharos_binary(), &arguments, &log)
    }

    pub(crate) fn sidecar(&self) -> &Daemon {
        self.sidecar.as_ref().expect("the sidecar was started")
    }

    /// The sidecar's status, once it answers.
    pub(crate) fn status(&self) -> Option<serde_json::Value> {
        let body = self.node.enter(|| {
            let mut stream = TcpStream::connect(SIDECAR_HTTP).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
            write!(stream, "GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
            let mut text = String::new();
            stream.read_to_string(&mut text).ok()?;
            Some(text.split_once("\r\n\r\n")?.1.to_owned())
        })?;
        serde_json::from_str(&body).ok()
    }

    /// The same as text.
    pub(crate) fn status_text(&self) -> String {
        self.status().unwrap_or_default().to_string()
    }

    /// What the sidecar says of one neighbour.
    pub(crate) fn neighbour(&self, name: &str) -> Option<serde_json::Value> {
        let status = self.status()?;
        let mut neighbours = status.get("neighbours")?.as_array()?.iter();
        neighbours.find(|neighbour| neighbour.get("name").is_some_and(|known| known == name)).cloned()
    }

    /// The kinds of the alarms in force.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let status = self.status().unwrap_or_default();
        let alarms = status.get("alarms").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        alarms.iter().filter_map(|alarm| Some(alarm.get("kind")?.as_str()?.to_owned())).collect()
    }
}
