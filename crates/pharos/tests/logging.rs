//! What is at the other end of stderr is nobody's reason to stop answering.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{GUARD, Scratch, ask, free_address, pharos, run, stderr, until};
use hickory_proto::rr::{RData, RecordType};
use std::fs::File;
use std::io::{PipeReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What a pipe holds on Linux.
const PIPE: usize = 64 * 1024;

struct Serving {
    child: Killed,
    server: SocketAddr,
    management: SocketAddr,
    scratch: Scratch,
}

impl Serving {
    fn start(name: &str, stderr: Stdio) -> Self {
        let scratch = Scratch::new(name);
        let (server, management) = (free_address(), free_address());
        let mut command = pharos(["serve", "--listen", &server.to_string()]);
        command.args(["--management", &management.to_string(), "--zones"]).arg(scratch.0.join("zones"));
        command.arg("--control").arg(scratch.0.join("control.sock"));
        let child = {
            scratch.write("zones/own.test.zone", &zone_text(1));
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap()
        };
        let serving = Self { child: Killed(child), server, management, scratch };
        until("the start", || serving.socket().exists() && serving.serial() == Some(1));
        serving
    }

    fn socket(&self) -> PathBuf {
        self.scratch.0.join("control.sock")
    }

    fn serial(&self) -> Option<u32> {
        match &ask(self.server, "own.test.", RecordType::SOA)?.answers.first()?.data {
            RData::SOA(soa) => Some(soa.serial),
            _ => None,
        }
    }

    fn reload(&self, serial: u32) {
        self.scratch.write("zones/own.test.zone", &zone_text(serial));
        let reload = run(["reload".as_ref(), "--control".as_ref(), self.socket().as_os_str()]);
        assert!(reload.status.success(), "{}", stderr(&reload));
        assert_eq!(self.serial(), Some(serial));
    }

    fn signal(&self, name: &str) {
        let pid = self.child.0.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    fn lost_lines(&self) -> u64 {
        let mut stream = TcpStream::connect(self.management).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix("pharos_log_lines_lost_total "));
        line.unwrap_or_else(|| panic!("{page}")).parse().unwrap()
    }

    /// Everything that logs, then the end.
    fn live_and_end(mut self) {
        for serial in 2..5 {
            self.reload(serial);
        }
        self.scratch.write("zones/own.test.zone", &zone_text(9));
        self.signal("HUP");
        until("the reload by signal", || self.serial() == Some(9));
        self.signal("TERM");
        let status = end(&mut self.child.0);
        assert!(status.success(), "{status}");
    }
}

/// A child that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn end(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + GUARD;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn zone_text(serial: u32) -> String {
    format!("$TTL 60\n@ IN SOA ns.own.test. me.own.test. {serial} 1 1 1 1\n@ IN NS ns\nns IN A 192.0.2.1\n")
}

/// The write end of a pipe that takes no octet more, and the end that nobody reads.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut filling = writer.try_clone().unwrap();
    let filled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&filled);
    // It stands at the first octet too many, until the reading end is gone.
    std::thread::spawn(move || {
        while filling.write_all(b"x").is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    until("the pipe is full", || filled.load(Ordering::Relaxed) >= PIPE);
    (reader, writer.into())
}

#[test]
fn a_full_log_disk_loses_lines_and_nothing_else() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let serving = Serving::start("log-full", full.into());
    serving.reload(2);
    until("the lost lines are counted", || serving.lost_lines() > 0);
    serving.live_and_end();
}

#[test]
fn a_log_that_nobody_reads_holds_up_neither_answers_nor_reloads_nor_the_end() {
    let (reader, stderr) = full_pipe();
    Serving::start("log-unread", stderr).live_and_end();
    drop(reader);
}

#[test]
fn a_start_that_fails_ends_though_nobody_reads_why() {
    let serving = Serving::start("log-fails", Stdio::null());
    let (reader, stderr) = full_pipe();
    let mut command = pharos(["serve", "--listen", &serving.server.to_string(), "--zones"]);
    let zones = serving.scratch.0.join("zones");
    let child = command.arg(zones).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
    assert_eq!(end(&mut Killed(child).0).code(), Some(1));
    drop(reader);
}

#[test]
fn a_log_reader_that_went_away_is_not_missed() {
    let (reader, writer) = std::io::pipe().unwrap();
    let serving = Serving::start("log-closed", writer.into());
    drop(reader);
    serving.live_and_end();
}

#[test]
fn a_check_does_not_fail_for_a_full_log_disk() {
    let scratch = Scratch::new("check-full");
    let zone = scratch.write("own.test.zone", &zone_text(1));
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let mut good = pharos(["zone", "check"]);
    assert_eq!(good.arg(&zone).stderr(full()).output().unwrap().status.code(), Some(0));
    let broken = scratch.write("own.test.zone", "@ IN A 192.0.2.256\n");
    let mut bad = pharos(["zone", "check"]);
    assert_eq!(bad.arg(&broken).stderr(full()).output().unwrap().status.code(), Some(1));
}
