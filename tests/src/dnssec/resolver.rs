//! Real validating resolvers: unbound and Knot Resolver, as processes.
//!
//! Each listens on one loopback address, knows where to begin, and trusts the keys that it is given. A question
//! goes to it with AD set and without DO, so that its reply says in AD what it thinks (RFC 6840 §5.7).

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::RecordType;

use super::exchange::exchange;
use super::{Outcome, Trust, Verdict, name};
use crate::lab::{Daemon, Namespace, Workspace, wait_until};

/// How long one question may take, with all that the resolver asks in turn; no judgement on speed.
const GUARD: Duration = Duration::from_secs(20);

/// Which resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// unbound.
    Unbound,
    /// Knot Resolver's kresd.
    Knot,
}

/// Over which protocol it may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

/// A resolver that runs, and ends with its owner.
pub struct Resolver<'lab> {
    namespace: Option<&'lab Namespace>,
    address: SocketAddr,
    daemon: Daemon,
}

impl Resolver<'static> {
    /// unbound on this machine's own loopback, which takes all of `zones` from one server.
    ///
    /// # Panics
    /// If it does not start, with what it printed.
    pub fn beside(workspace: &Workspace, zones: &[&str], server: SocketAddr, anchors: &str) -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(1);
        // All of 127.0.0.0/8 is this machine; this address is nobody else's.
        let (pid, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let address: SocketAddr =
            format!("127.{}.{}.{number}:5353", 1 + (pid >> 8) % 250, pid & 255).parse().expect("an address");
        let mut config = unbound_config(workspace, address, anchors);
        config.push_str("  do-ip6: no\n  outgoing-interface: 127.0.0.1\n");
        // RFC 6761 §6.2 has it answer for `test` by itself.
        config.push_str("  local-zone: \"test.\" nodefault\n");
        for zone in zones {
            let (address, port) = (server.ip(), server.port());
            let _ = write!(config, "stub-zone:\n  name: \"{zone}\"\n  stub-addr: {address}@{port}\n");
        }
        let path = workspace.write("unbound.conf", &config);
        let args = ["-d", "-c", path.to_str().expect("a plain path")].map(str::to_owned);
        let log = workspace.join("unbound.log");
        let daemon = Daemon::start("unbound", &program("unbound"), &args, &log);
        Self { namespace: None, address, daemon }.ready(zones.first().expect("a zone"))
    }
}

impl<'lab> Resolver<'lab> {
    /// A resolver on a machine of the lab, which begins at the root servers of `hints` and asks over one family.
    ///
    /// # Panics
    /// If it does not start, with what it printed.
    pub fn at(
        namespace: &'lab Namespace,
        workspace: &Workspace,
        kind: Kind,
        family: Family,
        hints: &str,
        anchors: &str,
    ) -> Self {
        let name = format!("{kind:?}-{family:?}").to_lowercase();
        let address: SocketAddr = "127.0.0.1:53".parse().expect("an address");
        let hints = workspace.write(&format!("{name}/hints"), hints);
        let log = workspace.join(&format!("{name}.log"));
        let directory = workspace.join(&name);
        let flag = |wanted| if family == wanted { "yes" } else { "no" };
        let daemon = match kind {
            Kind::Unbound => {
                let mut config = unbound_config(workspace, address, anchors);
                let (v4, v6) = (flag(Family::V4), flag(Family::V6));
                // The client is on IPv4, so that is allowed; asking over it is not.
                let _ =
                    write!(config, "  root-hints: \"{}\"\n  do-ip4: yes\n  do-ip6: {v6}\n", hints.display());
                if v4 == "no" {
                    config.push_str("  do-not-query-address: 0.0.0.0/0\n  prefer-ip6: yes\n");
                }
                let path = workspace.write(&format!("{name}/unbound.conf"), &config);
                let args = ["-d", "-c", path.to_str().expect("a plain path")];
                namespace.start(&name, &program("unbound"), &args, &log)
            }
            Kind::Knot => {
                let path = workspace
                    .write(&format!("{name}/kresd.conf"), &kresd_config(family, &directory, anchors));
                let (path, directory) = (path.display().to_string(), directory.display().to_string());
                namespace.start(&name, &program("kresd"), &["-n", "-c", &path, &directory], &log)
            }
        };
        Self { namespace: Some(namespace), address, daemon }.ready(".")
    }

    fn ready(mut self, zone: &str) -> Self {
        wait_until("the resolver answers", || {
            self.daemon.assert_running();
            let short = Duration::from_millis(500);
            self.ask(zone, RecordType::SOA, short).is_some()
        });
        self
    }

    /// What it says of a question.
    ///
    /// # Panics
    /// If it says nothing.
    pub fn judge(&self, qname: &str, rtype: RecordType) -> Verdict {
        let reply = self.ask(qname, rtype, GUARD);
        let reply = reply.unwrap_or_else(|| panic!("no reply to {qname} {rtype}:\n{}", self.daemon.log()));
        let outcome = Outcome::of(&reply, rtype);
        let trust = match outcome {
            // A resolver that found out something false says this, and no more (RFC 4035 §5.5).
            Outcome::Failure => Trust::Bogus,
            _ if reply.metadata.authentic_data => Trust::Secure,
            _ => Trust::Insecure,
        };
        Verdict { outcome, trust }
    }

    /// What it printed about one name: unbound says why it finds something false.
    pub fn log_of(&self, qname: &str) -> String {
        let log = self.daemon.log();
        let name = qname.trim_end_matches('.').to_lowercase();
        log.lines().filter(|line| line.to_lowercase().contains(&name)).collect::<Vec<_>>().join("\n")
    }

    fn ask(&self, qname: &str, rtype: RecordType, patience: Duration) -> Option<Message> {
        let mut message = Message::query();
        message.add_query(Query::query(name(qname), rtype));
        message.metadata.recursion_desired = true;
        message.metadata.authentic_data = true;
        let mut edns = Edns::new();
        edns.set_max_payload(4096);
        message.set_edns(edns);
        let query = message.to_vec().expect("a plain query can be written");
        let asked = || exchange(self.address, &query, patience).ok();
        let reply = match self.namespace {
            Some(namespace) => namespace.enter(asked),
            None => asked(),
        };
        Message::from_vec(&reply?).ok().filter(|reply| reply.metadata.id == message.metadata.id)
    }
}

/// What all of them have: no thread, file or port beyond need, and nothing that answers from other questions.
fn unbound_config(workspace: &Workspace, address: SocketAddr, anchors: &str) -> String {
    let anchors = workspace.write("anchors", anchors);
    format!(
        "server:\n  interface: {}\n  port: {}\n  directory: \"{}\"\n  chroot: \"\"\n  username: \"\"\n  \
         pidfile: \"\"\n  use-syslog: no\n  logfile: \"\"\n  do-daemonize: no\n  num-threads: 1\n  \
         access-control: 127.0.0.0/8 allow\n  do-not-query-localhost: no\n  module-config: \"validator iterator\"\n  \
         trust-anchor-file: \"{}\"\n  trust-anchor-signaling: no\n  root-key-sentinel: no\n  \
         harden-algo-downgrade: yes\n  val-log-level: 2\n  aggressive-nsec: no\n  harden-below-nxdomain: no\n  \
         qname-minimisation: no\n  prefetch: no\n  max-udp-size: 4096\n",
        address.ip(),
        address.port(),
        workspace.path().display(),
        anchors.display(),
    )
}

fn kresd_config(family: Family, directory: &Path, anchors: &str) -> String {
    fs::write(directory.join("anchors"), anchors).expect("the workspace can be written");
    let directory = directory.display();
    let flag = |wanted| family == wanted;
    format!(
        "net.listen('127.0.0.1', 53, {{ kind = 'dns' }})\nnet.ipv4 = {}\nnet.ipv6 = {}\n\
         modules.unload('ta_update')\nmodules.unload('ta_signal_query')\nmodules.unload('priming')\n\
         modules.unload('detect_time_jump')\n\
         modules.load('hints > iterate')\nhints.root_file('{directory}/hints')\n\
         trust_anchors.add_file('{directory}/anchors', true)\ncache.size = 10 * MB\nlog_level('info')\n",
        flag(Family::V4),
        flag(Family::V6),
    )
}

/// Daemons are where users do not look.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    directories.extend(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let mut found = directories.into_iter().map(|directory| directory.join(name));
    found.find(|path| path.exists()).unwrap_or_else(|| name.into())
}
