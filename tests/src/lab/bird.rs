//! BIRD routers: started on a configuration, asked over their control socket.
//!
//! The socket is spoken directly (`birdc` costs a process for each question), which makes it cheap to look at
//! a route every two milliseconds. It is a file, so the namespace does not matter.

use super::{Daemon, Namespace, Workspace, wait_until};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A running BIRD.
#[derive(Debug)]
pub struct Bird {
    daemon: Daemon,
    socket: PathBuf,
}

/// What the router's table says about a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BirdRoute {
    /// The local preference that the import filter gave.
    pub local_preference: u32,
    /// The path, nearest neighbour first.
    pub as_path: Vec<u32>,
    /// Each community as `AS:value`.
    pub communities: Vec<String>,
}

impl Bird {
    /// Starts BIRD inside `namespace` on the configuration `text`, and waits until it answers.
    pub fn start(namespace: &Namespace, workspace: &Workspace, text: &str) -> Self {
        Self::start_with(namespace, workspace, text, &[])
    }

    /// The same as the recovery of a graceful restart (`-R`).
    pub fn recover(namespace: &Namespace, workspace: &Workspace, text: &str) -> Self {
        Self::start_with(namespace, workspace, text, &["-R"])
    }

    fn start_with(namespace: &Namespace, workspace: &Workspace, text: &str, more: &[&str]) -> Self {
        let name = format!("bird-{}", namespace.name());
        let config = Self::config(namespace, workspace);
        std::fs::write(&config, text).expect("the lab's own directory can be written");
        let socket = Self::control(namespace, workspace);
        let mut daemon = namespace.start(
            &name,
            Path::new("/usr/sbin/bird"),
            &[&["-f", "-c", utf8(&config), "-s", utf8(&socket)], more].concat(),
            &workspace.join(&format!("{name}.log")),
        );
        wait_until("BIRD answers on its control socket", || {
            daemon.assert_running();
            UnixStream::connect(&socket).is_ok()
        });
        Self { daemon, socket }
    }

    /// Where its configuration is.
    pub fn config(namespace: &Namespace, workspace: &Workspace) -> PathBuf {
        workspace.join(&format!("bird-{}.conf", namespace.name()))
    }

    /// Where its control socket is.
    pub fn control(namespace: &Namespace, workspace: &Workspace) -> PathBuf {
        workspace.join(&format!("bird-{}.ctl", namespace.name()))
    }

    /// Sends one command and gives the reply's lines, codes included.
    pub fn ask(&self, command: &str) -> Vec<String> {
        let stream = UnixStream::connect(&self.socket).expect("BIRD listens on its control socket");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a time limit above zero is valid");
        let mut reader = BufReader::new(stream);
        reply(&mut reader);
        writeln!(reader.get_mut(), "{command}").expect("BIRD reads its control socket");
        reply(&mut reader)
    }

    /// The best route for `prefix`, if there is one.
    pub fn route(&self, prefix: &str) -> Option<BirdRoute> {
        let lines = self.ask(&format!("show route for {prefix} primary all"));
        lines.iter().any(|line| line.starts_with("1007")).then(|| parse_route(&lines))
    }

    /// The route for `prefix` that the session of this name brought, the best or not.
    pub fn route_from(&self, protocol: &str, prefix: &str) -> Option<BirdRoute> {
        let lines = self.ask(&format!("show route for {prefix} protocol {protocol} all"));
        lines.iter().any(|line| line.starts_with("1007")).then(|| parse_route(&lines))
    }

    /// Whether the table has `prefix`.
    pub fn has(&self, prefix: &str) -> bool {
        self.ask(&format!("show route for {prefix}")).iter().any(|line| line.starts_with("1007"))
    }

    /// Whether the BGP session of this name is established.
    pub fn established(&self, protocol: &str) -> bool {
        self.ask(&format!("show protocols {protocol}")).iter().any(|line| line.contains("Established"))
    }

    /// How many routes a session has announced and withdrawn, as BIRD counts them.
    pub fn route_changes(&self, protocol: &str) -> Vec<String> {
        let lines = self.ask(&format!("show protocols all {protocol}"));
        let counted = |line: &&String| line.contains("Import updates:") || line.contains("Import withdraws:");
        lines.iter().filter(counted).map(|line| line.trim().to_owned()).collect()
    }

    /// From now on its log tells what comes from sessions whose names begin so, and what becomes of them.
    pub fn trace(&self, protocols: &str) {
        self.ask(&format!("debug \"{protocols}*\" {{ states, events, packets }}"));
    }

    /// What its log tells of sessions whose names begin so, but for keepalives.
    pub fn traced(&self, protocols: &str) -> Vec<String> {
        let told = |line: &&str| line.contains(&format!(" {protocols}")) && !line.contains("KEEPALIVE");
        self.daemon.log().lines().filter(told).map(str::to_owned).collect()
    }

    /// The process, for those who want to kill or stop it.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }
}

/// Reads lines up to the one whose code ends the reply: four digits and a blank instead of a hyphen.
fn reply(reader: &mut BufReader<UnixStream>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        let count = reader.read_line(&mut line).expect("BIRD answers within seconds");
        let line = line.trim_end().to_owned();
        let coded = line.len() >= 4 && line.bytes().take(4).all(|octet| octet.is_ascii_digit());
        let last = coded && line.as_bytes().get(4) != Some(&b'-');
        lines.push(line);
        if last || count == 0 {
            return lines;
        }
    }
}

fn parse_route(lines: &[String]) -> BirdRoute {
    let value = |key: &str| {
        let line = lines.iter().find_map(|line| line.split_once(key));
        line.map(|(_, value)| value.trim_start_matches(':').trim().to_owned()).unwrap_or_default()
    };
    BirdRoute {
        local_preference: value("BGP.local_pref").parse().unwrap_or(0),
        as_path: value("BGP.as_path").split_whitespace().filter_map(|number| number.parse().ok()).collect(),
        communities: value("BGP.community")
            .split_whitespace()
            .map(|pair| pair.trim_matches(['(', ')']).replace(',', ":"))
            .collect(),
    }
}

pub(super) fn utf8(path: &Path) -> &str {
    path.to_str().expect("paths of the lab are UTF-8")
}
