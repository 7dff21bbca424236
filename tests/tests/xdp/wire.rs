//! A server and a client joined by a veth pair, with a responder on the server; and the queries that are sent.

use pharos_testkit::Dice;
use pharos_tests::lab::{Daemon, Namespace, Workspace, pharos_binary, source_root, wait_for, wait_until};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

/// The server's addresses on the wire.
pub(crate) const SERVER_4: &str = "10.53.0.1";
pub(crate) const SERVER_6: &str = "fd53::1";
/// Its address on a VLAN of the wire.
const SERVER_VLAN: &str = "10.53.7.1";
/// How long one query waits; whoever needs an answer asks again.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often it is asked again, on a machine that has other things to do.
const TRIES: usize = 40;
const HTTP: &str = "127.0.0.1:9153";

/// What differs from test to test.
pub(crate) struct Options {
    /// Queues of each end of the wire.
    pub(crate) queues: u32,
    /// `queues:` of the configuration.
    pub(crate) served: &'static str,
    /// `mode:` of the configuration.
    pub(crate) mode: &'static str,
    /// `listen:` of the configuration.
    pub(crate) listen: &'static str,
    /// Capabilities that the responder lacks, as `setpriv --bounding-set` takes them.
    pub(crate) without: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queues: 1,
            served: "auto",
            mode: "auto",
            listen: "[\"10.53.0.1:53\", \"[fd53::1]:53\", \"10.53.7.1:53\"]",
            without: None,
        }
    }
}

/// Two machines and a wire, and a responder that answers.
pub(crate) struct Wire {
    pub(crate) server: Namespace,
    pub(crate) client: Namespace,
    workspace: Workspace,
    options: Options,
    responder: Option<Daemon>,
}

/// What happened at the queues so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Events {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    /// Lost at the kernel's rings.
    pub(crate) lost: u64,
}

impl Wire {
    pub(crate) fn new(options: Options) -> Self {
        let mut wire = Self {
            server: Namespace::new("server"),
            client: Namespace::new("client"),
            workspace: Workspace::new("xdp"),
            options,
            responder: None,
        };
        wire.make_link();
        wire.responder = Some(wire.start("first", "auto", wire.options.listen, HTTP));
        wire.wait_for_responder();
        wire
    }

    /// The wire with its addresses.
    pub(crate) fn make_link(&self) {
        let queues = self.options.queues;
        self.server.sh(&format!(
            "ip link add name xs0 numrxqueues {queues} numtxqueues {queues} type veth \
             peer name xc0 netns {} numrxqueues {queues} numtxqueues {queues}
             ethtool -K xs0 txvlan off rxvlan off; ip link set xs0 up",
            self.client.pid()
        ));
        self.client.sh("ethtool -K xc0 txvlan off rxvlan off; ip link set xc0 up");
        self.add_addresses();
    }

    /// The addresses of both ends; those of IPv6 go whenever an interface goes down.
    pub(crate) fn add_addresses(&self) {
        for (machine, interface, host) in [(&self.server, "xs0", 1), (&self.client, "xc0", 2)] {
            machine.sh(&format!(
                "ip address replace 10.53.0.{host}/24 dev {interface}
                 ip address replace fd53::{host}/64 dev {interface} nodad"
            ));
        }
    }

    fn start(&self, name: &str, mode: &str, listen: &str, management: &str) -> Daemon {
        let zones = source_root().join("zones");
        let config = self.workspace.write(
            &format!("{name}/pharos.yaml"),
            &format!(
                "responder:\n  listen: {listen}\n  workers: 1\n  management: \"{management}\"\n  control: {}\n  \
                 zones: {{directory: {}}}\n",
                text(&self.workspace.join(&format!("{name}.sock"))),
                text(&zones)
            ),
        );
        let xdp = match mode {
            "none" => String::new(),
            _ => format!(
                "xdp: [{{interface: xs0, queues: {}, mode: {}, ring: 1024}}]\n",
                self.options.served, self.options.mode
            ),
        };
        let site = self.workspace.write(&format!("{name}/site.yaml"), &format!("node: a\nsite: lab\n{xdp}"));
        let binary = pharos_binary();
        let serve = [text(&binary), "serve", "--config", text(&config), "--site", text(&site)];
        let log = self.workspace.join(&format!("{name}.log"));
        match self.options.without {
            None => self.server.start(name, &binary, &serve[1..], &log),
            Some(capabilities) => {
                let without = ["--bounding-set", capabilities, "--inh-caps", capabilities];
                // Without a limit to raise, that of the memory to lock is small.
                let arguments = ["-c", "ulimit -l 64; exec setpriv \"$@\"", "sh"];
                let all = [&arguments[..], &without[..], &serve[..]].concat();
                self.server.start(name, Path::new("sh"), &all, &log)
            }
        }
    }

    fn wait_for_responder(&mut self) {
        let mut responder = self.responder.take().expect("it was started");
        wait_until("the responder answers", || {
            responder.assert_running();
            self.http("/readyz").is_ok()
        });
        self.responder = Some(responder);
        // The first packets of a fresh pair wait for neighbours to be found, in both directions.
        for address in [SERVER_4, SERVER_6] {
            wait_until("the wire carries", || {
                self.exchange(&self.client_socket(address), &query(1, "example.com", 6, &[])).is_some()
            });
        }
    }

    /// The first responder's process.
    pub(crate) fn responder(&mut self) -> &mut Daemon {
        self.responder.as_mut().expect("it was started")
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.responder.as_ref().map(Daemon::log).unwrap_or_default()
    }

    /// Another responder in its place, after its end, that knows nothing of AF_XDP.
    pub(crate) fn start_without_xdp(&mut self) {
        self.responder = Some(self.start("after", "none", self.options.listen, HTTP));
    }

    /// Another responder beside it, on another port of the same interface.
    pub(crate) fn start_a_second(&self) -> Daemon {
        self.start("second", "auto", "[\"10.53.0.1:5353\"]", "127.0.0.1:9155")
    }

    /// A socket of the client's that speaks to the server.
    pub(crate) fn client_socket(&self, address: &str) -> UdpSocket {
        self.client.enter(|| connected(address))
    }

    /// A socket on the server itself.
    pub(crate) fn server_socket(&self, address: &str) -> UdpSocket {
        self.server.enter(|| connected(address))
    }

    /// A socket on the server that shares the responder's port.
    pub(crate) fn socket_beside(&self, address: &str) -> UdpSocket {
        self.server.enter(|| {
            let options = pharos_netio::UdpOptions::default();
            let socket =
                pharos_netio::UdpSocket::bind(at(address, 53), &options).expect("the port is shared");
            UdpSocket::from(std::os::fd::AsFd::as_fd(&socket).try_clone_to_owned().expect("a copy"))
        })
    }

    /// Sends a message and waits for the reply with its identifier; `None` when there is none.
    pub(crate) fn exchange(&self, socket: &UdpSocket, message: &[u8]) -> Option<Vec<u8>> {
        socket.send(message).ok()?;
        let silent = is_never_answered(message);
        let patience = if silent { Duration::from_millis(5) } else { PATIENCE };
        socket.set_read_timeout(Some(patience)).expect("a socket can be told how long to wait");
        let mut reply = vec![0; 65_535];
        loop {
            let octets = socket.recv(&mut reply).ok()?;
            // A late reply to an earlier one is passed over.
            if reply[..octets].first_chunk::<2>() == message.first_chunk::<2>() {
                reply.truncate(octets);
                return Some(reply);
            }
        }
    }

    /// The same, asked again when the machine was too busy to answer in time.
    pub(crate) fn exchange_patiently(&self, socket: &UdpSocket, message: &[u8]) -> Option<Vec<u8>> {
        let tries = if is_never_answered(message) { 1 } else { TRIES };
        (0..tries).find_map(|_| self.exchange(socket, message))
    }

    /// The same of a query that came by AF_XDP, for certain: whoever meets a worker that had no CPU for a second is answered
    /// by the kernel's sockets, and asks again.
    pub(crate) fn exchange_by_xdp(&self, socket: &UdpSocket, message: &[u8]) -> Option<Vec<u8>> {
        let ask = || {
            let before = self.events().received;
            let reply = self.exchange(socket, message);
            let is_due = reply.is_some() || is_never_answered(message);
            (is_due && self.events().received > before).then_some(reply)
        };
        wait_for("a query comes by AF_XDP", ask).0
    }

    /// Whether a query to this address is answered, by a socket of its own.
    pub(crate) fn answers(&self, address: &str) -> bool {
        self.exchange(&self.client_socket(address), &query(7, "www.example.com", 1, &[])).is_some()
    }

    /// Waits until a query to each of these is answered and came by AF_XDP. Whoever asks first may meet a worker that
    /// had no CPU for a second, and then the kernel's sockets.
    pub(crate) fn wait_for_xdp(&self, addresses: &[&str]) {
        for address in addresses {
            wait_until(&format!("a query to {address} comes by AF_XDP"), || {
                let before = self.events().received;
                self.answers(address) && self.events().received > before
            });
        }
    }

    /// Whether a query by TCP is answered.
    pub(crate) fn asks_by_tcp(&self, address: &str) -> bool {
        let message = query(3, "www.example.com", 1, &[]);
        let asked = self.client.enter(|| -> io::Result<[u8; 4]> {
            let mut stream = TcpStream::connect(at(address, 53))?;
            stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], &message].concat())?;
            let mut head = [0; 4];
            stream.read_exact(&mut head)?;
            Ok(head)
        });
        asked.is_ok_and(|head| head[2..] == message[..2])
    }

    /// Waits until a query with a VLAN tag is answered, by an interface for that tag; does nothing where the kernel has
    /// no such interfaces.
    pub(crate) fn ask_by_vlan(&self) {
        for (machine, interface, host) in [(&self.server, "xs0", 1), (&self.client, "xc0", 2)] {
            let add = format!("ip link add link {interface} name {interface}.7 type vlan id 7");
            let added = machine.command("sh").args(["-c", &add]).output().expect("a shell can be started");
            if !added.status.success() {
                println!("left out: {}", String::from_utf8_lossy(&added.stderr).trim());
                return;
            }
            machine.sh(&format!(
                "ip address add 10.53.7.{host}/24 dev {interface}.7; ip link set {interface}.7 up"
            ));
        }
        wait_until("a tagged query is answered", || self.answers(SERVER_VLAN));
    }

    /// A datagram to a port that nobody serves.
    pub(crate) fn send_to_another_port(&self) {
        self.client.enter(|| {
            let socket = UdpSocket::bind("10.53.0.2:0").expect("a port is free");
            socket.send_to(&query(5, "www.example.com", 1, &[]), at(SERVER_4, 54)).expect("it can be sent");
        });
    }

    /// Whether an XDP program is on the server's interface.
    pub(crate) fn has_program(&self) -> bool {
        self.server.sh("ip -details link show xs0").contains("prog/xdp")
    }

    /// A page of the responder's.
    pub(crate) fn http(&self, path: &str) -> io::Result<String> {
        self.server.enter(|| {
            let mut stream = TcpStream::connect(HTTP)?;
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {HTTP}\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            let (_, body) = text.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("no HTTP answer"))?;
            Ok(body.to_owned())
        })
    }

    fn status(&self) -> serde_json::Value {
        let page = self.http("/status").expect("the responder has its status");
        serde_json::from_str(&page).expect("the status is JSON")
    }

    /// How the interface is used.
    pub(crate) fn state(&self) -> String {
        self.status()["xdp"][0]["state"].as_str().unwrap_or_default().to_owned()
    }

    /// What came to an address so far: from clients, and from the server itself.
    pub(crate) fn traffic(&self, address: &str) -> (u64, u64) {
        let (status, address) = (self.status(), at(address, 53).to_string());
        let all = status["traffic"].as_array().cloned().unwrap_or_default();
        let one = all.into_iter().find(|one| one["address"] == *address).expect("the address is listened on");
        (one["client"].as_u64().expect("a count"), one["probe"].as_u64().expect("a count"))
    }

    /// Packets that were dropped at the server's end of the wire before any socket or ring.
    pub(crate) fn dropped(&self) -> u64 {
        let status = self.status();
        let all = status["interfaces"].as_array().cloned().unwrap_or_default();
        let one = all.into_iter().find(|one| one["interface"] == "xs0").expect("the interface is told of");
        one["dropped"].as_u64().expect("a count")
    }

    /// Sends more packets than the queue of a core holds (net.core.netdev_max_backlog, 1000 unless changed), before the
    /// kernel takes any out: one datagram is sent twelve times by the filter of its interface, each of those twelve times
    /// by the next one's, and each of those by the wire.
    pub(crate) fn overfill_the_queue(&self) {
        let copies = |to: &str| format!(" action mirred egress mirror dev {to} pipe").repeat(12);
        for number in 0..3 {
            self.client.sh(&format!(
                "ip link add fan{number} type veth peer name end{number}
                 ip link set fan{number} up; ip link set end{number} up; tc qdisc add dev fan{number} clsact"
            ));
        }
        for (from, to) in [("fan0", "fan1"), ("fan1", "fan2"), ("fan2", "xc0")] {
            let filter = format!("tc filter add dev {from} egress protocol ip prio 1 u32 match u32 0 0");
            self.client.sh(&format!("{filter}{}", copies(to)));
        }
        self.client.sh(
            "ip address add 10.99.0.1/24 dev fan0; ip neigh add 10.99.0.2 lladdr 02:00:00:00:00:05 dev fan0",
        );
        self.client.enter(|| {
            let socket = UdpSocket::bind("10.99.0.1:0").expect("a port is free");
            socket.send_to(b"one", at("10.99.0.2", 53)).expect("it can be sent");
        });
    }

    /// What happened at the queues.
    pub(crate) fn events(&self) -> Events {
        let status = self.status();
        let queues = status["xdp"][0]["queues"].as_array().cloned().unwrap_or_default();
        let sum =
            |event: &str| queues.iter().filter_map(|queue| queue["events"][event].as_u64()).sum::<u64>();
        Events { received: sum("received"), sent: sum("sent"), lost: sum("rx_dropped") + sum("rx_ring_full") }
    }
}

/// Too short for a header, or a response: silence is the rule (RFC 1035 §7.3), and nothing is waited for long.
fn is_never_answered(message: &[u8]) -> bool {
    message.len() < 12 || message[2] & 0x80 != 0
}

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

fn connected(address: &str) -> UdpSocket {
    let any = if address.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any).expect("a port is free");
    socket.connect(at(address, 53)).expect("a route leads there");
    socket
}

fn text(path: &Path) -> &str {
    path.to_str().expect("paths of the lab are UTF-8")
}

/// Header, question and whatever comes behind it, which is one record if it is anything.
pub(crate) fn query(id: u16, qname: &str, qtype: u16, additional: &[u8]) -> Vec<u8> {
    let [i0, i1] = id.to_be_bytes();
    let mut message = vec![i0, i1, 1, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(!additional.is_empty())];
    for label in qname.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(qtype.to_be_bytes());
    message.extend([0, 1]);
    message.extend(additional);
    message
}

/// Queries of every kind: each name and type of the samples with each kind of EDNS, and damaged ones of each.
pub(crate) fn queries() -> Vec<Vec<u8>> {
    let names = [
        "www.example.com",
        "WwW.eXample.COM",
        "example.com",
        "shop.example.com",
        "old-shop.example.com",
        "static.example.com",
        "_tcp.example.com",
        "none.none.example.com",
        "signed.example",
        "none.signed.example",
        "www.elsewhere.test",
        "id.server",
        "",
    ];
    let types = [1, 2, 5, 6, 15, 16, 28, 33, 43, 46, 47, 48, 50, 65, 252, 255, 41, 249];
    let opt = |payload: u16, flags: u16, options: &[u8]| {
        let mut record = vec![0, 0, 41];
        record.extend(payload.to_be_bytes());
        record.extend([0, 0]);
        record.extend(flags.to_be_bytes());
        record.extend((options.len() as u16).to_be_bytes());
        record.extend(options);
        record
    };
    let additions = [
        vec![],
        opt(512, 0x8000, &[]),
        opt(1232, 0, &[]),
        opt(1232, 0x8000, &[0, 3, 0, 0]),
        opt(4096, 0x8000, &[0, 15, 0, 0, 0, 19, 0, 0]),
        opt(0, 0, &[0, 10, 0, 3, 1, 2, 3]),
    ];
    let mut all = Vec::new();
    for name in names {
        for qtype in types {
            for addition in &additions {
                all.push(query(0, name, qtype, addition));
            }
            // Class CH, where the server tells of itself (RFC 4892).
            let mut chaos = query(0, name, qtype, &[]);
            *chaos.last_mut().expect("a query ends with its class") = 3;
            all.push(chaos);
        }
    }
    let mut dice = Dice::of_seed(53);
    for index in 0..all.len() {
        let mut damaged = all[index].clone();
        for _ in 0..=dice.below(3) {
            let at = dice.below(damaged.len());
            damaged[at] = dice.octet();
        }
        if dice.once_in(4) {
            damaged.truncate(dice.below(damaged.len()));
        }
        all.push(damaged);
    }
    // Each has an identifier of its own, so that no reply is taken for that of another.
    for (id, message) in (0_u16..).zip(&mut all) {
        if let Some(place) = message.first_chunk_mut::<2>() {
            *place = id.to_be_bytes();
        }
    }
    all
}
