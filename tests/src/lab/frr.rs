//! FRR routers: zebra and bgpd run by hand, with sockets and pid files of their own, asked through vtysh.
//!
//! No part of the host's FRR installation but its programs is used: `/etc/frr` is not read.

use super::bird::utf8;
use super::{Daemon, Namespace, Workspace, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running pair of zebra and bgpd.
#[derive(Debug)]
pub struct Frr {
    bgpd: Daemon,
    zebra: Daemon,
    others: Vec<Daemon>,
    sockets: PathBuf,
}

impl Frr {
    /// Starts both inside `namespace`, bgpd on the configuration `text`, and waits until they answer.
    pub fn start(namespace: &Namespace, workspace: &Workspace, text: &str) -> Self {
        Self::start_with(namespace, workspace, text, &[])
    }

    /// The same with bfdd, which gets its sessions from bgpd and so comes before it.
    pub fn start_with_bfd(namespace: &Namespace, workspace: &Workspace, text: &str) -> Self {
        Self::start_with(namespace, workspace, text, &["bfdd"])
    }

    fn start_with(namespace: &Namespace, workspace: &Workspace, text: &str, more: &[&str]) -> Self {
        let name = format!("frr-{}", namespace.name());
        let sockets = workspace.join(&name);
        fs::create_dir_all(&sockets).expect("the lab's own directory can be written");
        // The daemons drop to the account of Debian's package before they make their sockets and pid files.
        fs::set_permissions(&sockets, fs::Permissions::from_mode(0o777)).expect("we own the directory");
        let zebra_config = workspace.write(&format!("{name}/zebra.conf"), "");
        let bgpd_config = workspace.write(&format!("{name}/bgpd.conf"), text);
        let zserv = sockets.join("zserv.api");
        let start = |daemon: &str, config: &Path| {
            let pid = sockets.join(format!("{daemon}.pid"));
            let control = sockets.join("bfdd.sock");
            let mut args = vec![
                "--config_file",
                utf8(config),
                "--pid_file",
                utf8(&pid),
                "--vty_socket",
                utf8(&sockets),
                "--vty_port",
                "0",
                "--socket",
                utf8(&zserv),
                "--log",
                "stdout",
            ];
            if daemon == "bfdd" {
                args.extend(["--bfdctl", utf8(&control)]);
            }
            let log = workspace.join(&format!("{name}-{daemon}.log"));
            namespace.start(daemon, &Path::new("/usr/lib/frr").join(daemon), &args, &log)
        };
        let mut zebra = start("zebra", &zebra_config);
        wait_until("zebra opens its socket", || {
            zebra.assert_running();
            zserv.exists()
        });
        let mut others = Vec::new();
        for daemon in more {
            let mut other = start(daemon, &zebra_config);
            let vty = sockets.join(format!("{daemon}.vty"));
            wait_until("another daemon opens its socket", || {
                other.assert_running();
                vty.exists()
            });
            others.push(other);
        }
        let mut bgpd = start("bgpd", &bgpd_config);
        let vty = sockets.join("bgpd.vty");
        wait_until("bgpd opens its socket", || {
            bgpd.assert_running();
            vty.exists()
        });
        Self { bgpd, zebra, others, sockets }
    }

    /// What vtysh says to one command.
    pub fn ask(&self, command: &str) -> String {
        let output = Command::new("vtysh")
            .args(["--vty_socket", utf8(&self.sockets), "-d", "bgpd", "-c", command])
            .output()
            .expect("frr is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// bgpd's entry for `prefix` as JSON; null if there is none.
    pub fn entry(&self, prefix: &str) -> serde_json::Value {
        let family = if prefix.contains(':') { "ipv6" } else { "ipv4" };
        let text = self.ask(&format!("show bgp {family} unicast {prefix} json"));
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Whether bgpd has a path for `prefix`.
    pub fn has(&self, prefix: &str) -> bool {
        self.entry(prefix).pointer("/paths/0").is_some()
    }

    /// The local preference of the first path for `prefix`.
    pub fn local_preference(&self, prefix: &str) -> Option<u64> {
        let entry = self.entry(prefix);
        let path = entry.pointer("/paths/0")?;
        // bgpd leaves the value out when it is the default of 100.
        Some(
            path.get("locPrf")
                .or_else(|| path.get("localpref"))
                .and_then(serde_json::Value::as_u64)
                .unwrap_or(100),
        )
    }

    /// bfdd's process, where there is one.
    pub fn bfdd(&self) -> Option<&Daemon> {
        self.others.first()
    }

    /// bgpd's and zebra's processes.
    pub fn daemons(&mut self) -> [&mut Daemon; 2] {
        [&mut self.bgpd, &mut self.zebra]
    }
}
