//! A server's and a client's network namespace, joined by one veth pair: the room in which a server is measured.
//!
//! A veth device hands what it is sent to the other end within the sender's own system call, or within whatever
//! the sender's core interrupts, and so the receiving side's work would be charged to whoever sends. Here each end
//! receives by *threaded NAPI*, a kernel thread of its own, pinned to the core of its side: the server's core does
//! all that the server's packets cost, and the thread's time can be read. GRO is on, since veth uses NAPI with it
//! (or with an XDP program) alone; TSO is off, since with it plain packets would bypass NAPI.
//!
//! Namespaces have no names. Each lives as long as a process that holds it, which the kernel kills with this one.
//! They have a mount namespace beside the network's, because /sys shows the interfaces of the namespace for which
//! it was mounted, and threaded NAPI is switched on there.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::error::{BenchError, cannot};
use super::proc;

/// Which core does what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cores {
    /// The server and the receive thread of its interface.
    pub(super) server: u16,
    /// The load and the receive thread of its interface.
    pub(super) load: u16,
}

/// The two namespaces.
#[derive(Debug)]
pub(super) struct Room {
    /// Where the server runs.
    pub(super) server: Namespace,
    /// Where the load comes from.
    pub(super) client: Namespace,
    /// The server's end of the pair.
    pub(super) server_interface: String,
    /// The client's end.
    pub(super) client_interface: String,
    /// Where the server shall answer.
    pub(super) address: String,
    /// Where the client asks from.
    pub(super) client_address: String,
    /// The link address of the server's end.
    pub(super) server_mac: String,
    /// The kernel threads that receive for the server.
    pub(super) receivers: Vec<u32>,
}

impl Room {
    /// Builds room `number` of this process.
    pub(super) fn new(number: u8, cores: Cores) -> Result<Self, BenchError> {
        let (server, client) = (Namespace::new()?, Namespace::new()?);
        // Names of interfaces are in those of the kernel's threads, which all namespaces share.
        let own = std::process::id() % 100_000;
        let (server_interface, client_interface) = (format!("s{number}x{own}"), format!("c{number}x{own}"));
        let address = |side: u8| (format!("10.53.{number}.{side}"), format!("fd53:{number}::{side}"));
        server.sh(&format!(
            "ip link add {server_interface} numrxqueues 1 numtxqueues 1 type veth \
             peer name {client_interface} numrxqueues 1 numtxqueues 1 netns {}",
            client.holder.id()
        ))?;
        for (namespace, name, side) in [(&server, &server_interface, 1), (&client, &client_interface, 2)] {
            let (v4, v6) = address(side);
            namespace.sh(&format!(
                "echo 0 > /proc/sys/net/ipv6/conf/{name}/accept_dad
                 echo 10000 65000 > /proc/sys/net/ipv4/ip_local_port_range
                 ip address add {v4}/24 dev {name}
                 ip address add {v6}/64 dev {name} nodad
                 ethtool -K {name} gro on tso off > /dev/null 2>&1
                 ip link set {name} txqueuelen 10000 up
                 echo 1 > /sys/class/net/{name}/threaded"
            ))?;
        }
        // Nobody asks for link addresses while others are measured.
        let mac =
            |namespace: &Namespace, name: &str| namespace.sh(&format!("cat /sys/class/net/{name}/address"));
        let (server_mac, client_mac) = (mac(&server, &server_interface)?, mac(&client, &client_interface)?);
        for (namespace, name, side, mac) in
            [(&server, &server_interface, 2, client_mac), (&client, &client_interface, 1, server_mac)]
        {
            let (v4, v6) = address(side);
            for address in [v4, v6] {
                namespace.sh(&format!("ip neighbour replace {address} lladdr {} dev {name}", mac.trim()))?;
            }
        }
        let receivers = proc::named(&format!("napi/{server_interface}-"));
        let client_receivers = proc::named(&format!("napi/{client_interface}-"));
        for (threads, core) in [(&receivers, cores.server), (&client_receivers, cores.load)] {
            for thread in threads {
                succeed(Command::new("taskset").args(["-pc", &core.to_string(), &thread.to_string()]))?;
            }
        }
        if receivers.is_empty() || client_receivers.is_empty() {
            return Err(BenchError::Usage(
                "this kernel has no threaded NAPI on veth: 5.12 and later do".into(),
            ));
        }
        let ((server_address, _), (client_address, _)) = (address(1), address(2));
        let server_mac = mac(&server, &server_interface)?.trim().to_owned();
        Ok(Self {
            server,
            client,
            server_interface,
            client_interface,
            address: server_address,
            client_address,
            server_mac,
            receivers,
        })
    }
}

/// A network namespace and its view of /sys.
#[derive(Debug)]
pub(super) struct Namespace {
    holder: Child,
}

impl Namespace {
    fn new() -> Result<Self, BenchError> {
        const HOLD: &str = "mount -t sysfs none /sys && mount -t bpf none /sys/fs/bpf
            ip link set lo up && echo ready && exec sleep infinity";
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare", "--net", "--mount", "sh", "-c", HOLD]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut holder = command.spawn().map_err(cannot("start setpriv and unshare (util-linux)"))?;
        let mut line = String::new();
        if let Some(out) = holder.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(cannot("hear from a namespace"))?;
        }
        let namespace = Self { holder };
        if line.trim() != "ready" {
            return Err(BenchError::Usage("cannot make a network namespace: this needs root".into()));
        }
        Ok(namespace)
    }

    /// A command that will run inside, and die with the thread that starts it.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter"]);
        for kind in ["net", "mnt"] {
            let option = if kind == "net" { "net" } else { "mount" };
            command.arg(format!("--{option}=/proc/{}/ns/{kind}", self.holder.id()));
        }
        command.arg("--").arg(program).stdin(Stdio::null());
        command
    }

    /// The same, on one core.
    pub(super) fn command_on(&self, core: u16, program: &Path) -> Command {
        let mut command = self.command(Path::new("taskset"));
        command.args(["-c", &core.to_string()]).arg(program);
        command
    }

    /// Runs a shell script inside; gives what it prints.
    pub(super) fn sh(&self, script: &str) -> Result<String, BenchError> {
        succeed(self.command(Path::new("sh")).args(["-ec", script]))
    }

    /// Runs `work` on a thread that stands inside. Sockets that it opens stay inside for good.
    pub(super) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, BenchError> {
        let door = File::open(format!("/proc/{}/ns/net", self.holder.id()))
            .map_err(cannot("find a namespace again"))?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(door.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(|error| cannot("enter a namespace")(error.into()))?;
                Ok(work())
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // An error means that it had ended already; the kernel takes the namespace down with its last process.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Runs a command to its end; gives its standard output, or an error with what it said.
pub(super) fn succeed(command: &mut Command) -> Result<String, BenchError> {
    let words = || {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    };
    let shown = words();
    let output = command.output().map_err(cannot(format!("run `{shown}`")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(BenchError::Command {
        command: shown,
        said: if said.is_empty() { output.status.to_string() } else { said },
    })
}
