//! A BIRD of the test's own, on files and a socket in a directory of its own.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::until;

/// A running BIRD. Ends with the test.
pub(crate) struct Bird {
    pub(crate) directory: PathBuf,
    child: Option<Child>,
}

/// A BIRD whose configuration includes what a sidecar writes, as the one in deploy/ does.
pub(crate) const INCLUDES: &str =
    "router id 10.0.0.2;\nprotocol device { scan time 1; }\ninclude \"DIR/[p]haros.conf\";\n";

impl Bird {
    /// Starts BIRD with this configuration, in which DIR is its directory; nothing where there is no BIRD.
    pub(crate) fn start(name: &str, config: &str) -> Option<Self> {
        if program().is_none() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "BIRD is not installed (Debian: bird2)");
            println!("skipped: BIRD is not installed (Debian: bird2)");
            return None;
        }
        let directory = std::env::temp_dir().join(format!("pharos-bird-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let mut bird = Self { directory, child: None };
        bird.configure(config);
        bird.revive();
        Some(bird)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    /// Writes the configuration; BIRD reads it when somebody says so.
    pub(crate) fn configure(&self, config: &str) {
        let text = config.replace("DIR", &self.directory.display().to_string());
        fs::write(self.path("bird.conf"), text).unwrap();
    }

    pub(crate) fn revive(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.path("log")).unwrap();
        let child = Command::new(program().unwrap())
            .current_dir(&self.directory)
            .args(["-f", "-c", "bird.conf", "-s", "bird.ctl", "-P", "bird.pid"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        self.child = Some(child.unwrap());
        until("BIRD answers", || UnixStream::connect(self.path("bird.ctl")).ok());
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What BIRD answers to one command.
    pub(crate) fn ask(&self, command: &str) -> String {
        let mut socket = UnixStream::connect(self.path("bird.ctl")).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        socket.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        let mut buffer = [0; 4096];
        let is_last = |line: &&str| {
            line.get(..4).is_some_and(|code| code.parse::<u16>().is_ok()) && line.get(4..5) == Some(" ")
        };
        // The greeting is such a line too.
        while !(answer.ends_with('\n') && answer.lines().filter(is_last).count() >= 2) {
            let count = socket.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "BIRD ended its answer: {answer}");
            answer.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        answer
    }

    /// Whether BIRD has a route for the prefix, and all that it says of it.
    pub(crate) fn route(&self, prefix: &str) -> Option<String> {
        let said = self.ask(&format!("show route {prefix} all"));
        said.contains(" [pharos_").then_some(said)
    }

    pub(crate) fn until_route(&self, prefix: &str, words: &str) {
        until(&format!("BIRD has {prefix} with {words}; {:?}", self.route(prefix)), || {
            self.route(prefix).filter(|said| said.contains(words))
        });
    }

    pub(crate) fn until_gone(&self, prefix: &str) {
        until(&format!("BIRD has no {prefix}"), || self.route(prefix).is_none().then_some(()));
    }
}

impl Drop for Bird {
    fn drop(&mut self) {
        self.kill();
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(system).map(|dir| dir.join("bird")).find(|it| Path::exists(it))
}
