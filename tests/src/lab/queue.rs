//! A queue of AF_XDP that swallows what it gets, while its worker goes round and the program stays on the interface.
//!
//! The program sends packets to whatever socket the process' map has for a queue. So a small program, compiled here, puts
//! another one there, which is bound to nothing: the kernel drops what is sent to it. To the responder that looks like a
//! queue to which nobody sends. When the holder ends, its socket leaves the map, and the packets go to the IP stack.

use super::bird::utf8;
use super::{Daemon, Workspace, wait_until};
use std::fs;
use std::process::Command;

const SOURCE: &str = r#"
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif

static long bpf(int command, union bpf_attr *words) { return syscall(SYS_bpf, command, words, sizeof *words); }

int main(int count, char **words) {
    union bpf_attr ask;
    memset(&ask, 0, sizeof ask);
    ask.map_id = count > 2 ? atoi(words[1]) : 0;
    int map = bpf(BPF_MAP_GET_FD_BY_ID, &ask);
    int queue = count > 2 ? atoi(words[2]) : 0;
    int nobody = socket(AF_XDP, SOCK_RAW, 0);
    memset(&ask, 0, sizeof ask);
    ask.map_fd = map;
    ask.key = (unsigned long) &queue;
    ask.value = (unsigned long) &nobody;
    if (map < 0 || nobody < 0 || bpf(BPF_MAP_UPDATE_ELEM, &ask)) {
        perror("queue");
        return 1;
    }
    puts("taken");
    fflush(stdout);
    for (;;) pause();
}
"#;

/// Takes a queue's packets from a process, for as long as what it gives is kept.
///
/// # Panics
/// If the process has no queues of AF_XDP, and without the right to touch another process' maps.
pub fn break_queue(workspace: &Workspace, process: u32, queue: u32) -> Daemon {
    let source = workspace.write("queue.c", SOURCE);
    let taker = workspace.join("queue");
    let output = Command::new("cc").args(["-O1", "-o", utf8(&taker), utf8(&source)]).output();
    let output = output.expect("a C compiler is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let map = map_of_sockets(process).unwrap_or_else(|| panic!("process {process} has no queues of AF_XDP"));
    let log = workspace.join("queue.log");
    let mut holder = Daemon::start("queue", &taker, &[map, queue.to_string()], &log);
    wait_until("the queue is taken", || {
        holder.assert_running();
        holder.log().contains("taken")
    });
    holder
}

/// The kernel's number of the map from queues to sockets that a process holds.
fn map_of_sockets(process: u32) -> Option<String> {
    /// BPF_MAP_TYPE_XSKMAP.
    const SOCKETS: &str = "17";
    let files = fs::read_dir(format!("/proc/{process}/fdinfo")).ok()?;
    files.flatten().find_map(|file| {
        let text = fs::read_to_string(file.path()).ok()?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        (value("map_type:")? == SOCKETS).then(|| value("map_id:").map(str::to_owned))?
    })
}
