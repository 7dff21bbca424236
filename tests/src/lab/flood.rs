//! More queries than a node can answer: a small program, compiled here, that sends as fast as one thread can.
//!
//! The names do not exist, each is another, as in the floods that authoritative servers know best (random
//! subdomains). What comes back is thrown away by the kernel: the socket has next to no room, and nobody reads it.
//!
//! A flood comes from elsewhere, and asks no processor of the node for leave. Workers that run before all others would
//! not let a program on their own processor overload them, so this one runs before them where it may, and then in turns:
//! it sends more than the workers' buffers hold, and rests.

use super::bird::utf8;
use super::{Daemon, Namespace, Workspace};
use std::process::Command;

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// On whatever core, one datagram at a time, in long turns; it rests for as long as each took.
    Anywhere,
    /// On this core, in bursts (UDP_SEGMENT, udp(7)); it rests three times as long as each took, so that others have time.
    BeforeWorkers {
        /// The core.
        core: usize,
    },
}

const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#define SOCKETS 64
#define MESSAGES 64
/* Batches of a turn: 32,768 queries. */
#define TURN 512
#define TOGETHER 64
#define BURST 200000
#define PAUSES 3
/* Header, then 16 letters of "random", then example.com, A, IN. */
static const char query[] = "\0\0\0\0\0\1\0\0\0\0\0\0\20aaaaaaaaaaaaaaaa\7example\3com\0\0\1\0\1";
#define LENGTH (sizeof query - 1)

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

static int come_first(int core) {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    struct sched_param priority = { .sched_priority = 2 };
    return sched_setaffinity(0, sizeof cores, &cores) || sched_setscheduler(0, SCHED_FIFO, &priority);
}

int main(int count, char **words) {
    struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(53) };
    struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(53) };
    if (count < 4) return 1;
    int is4 = inet_pton(AF_INET, words[1], &to4.sin_addr) == 1;
    if (!is4 && inet_pton(AF_INET6, words[1], &to6.sin6_addr) != 1) return 1;
    struct sockaddr *to = is4 ? (struct sockaddr *) &to4 : (struct sockaddr *) &to6;
    socklen_t size = is4 ? sizeof to4 : sizeof to6;
    uint64_t state = strtoull(words[2], 0, 10) * 2654435761u + 1;
    int core = atoi(words[3]);
    if (core >= 0 && come_first(core)) return 3;
    int together = core >= 0 ? TOGETHER : 1, many = MESSAGES / (core >= 0 ? 16 : 1);
    int one = 1, segment = LENGTH, sockets[SOCKETS];
    static char octets[MESSAGES][TOGETHER][LENGTH];
    static struct iovec parts[MESSAGES];
    static struct mmsghdr messages[MESSAGES];
    for (int i = 0; i < SOCKETS; i++) {
        sockets[i] = socket(to->sa_family, SOCK_DGRAM, 0);
        setsockopt(sockets[i], SOL_SOCKET, SO_RCVBUF, &one, sizeof one);
        if (together > 1 && setsockopt(sockets[i], IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment)) return 4;
        if (connect(sockets[i], to, size)) return 2;
    }
    for (int i = 0; i < many; i++) {
        for (int j = 0; j < together; j++) memcpy(octets[i][j], query, LENGTH);
        parts[i] = (struct iovec) { octets[i], together * LENGTH };
        messages[i].msg_hdr = (struct msghdr) { .msg_iov = &parts[i], .msg_iovlen = 1 };
    }
    struct sched_param first = { .sched_priority = 2 };
    int in_turns = core < 0 && !sched_setscheduler(0, SCHED_FIFO, &first);
    long long begun = now();
    for (unsigned turn = 0;; turn++) {
        if (in_turns && turn % TURN == 0) {
            long long took = now() - begun;
            struct timespec rest = { took / 1000000000ll, took % 1000000000ll };
            nanosleep(&rest, NULL);
            begun = now();
        }
        for (int i = 0; i < many; i++) {
            for (int j = 0; j < together; j++) {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                for (int letter = 0; letter < 16; letter++)
                    octets[i][j][13 + letter] = 'a' + ((state >> (4 * letter)) & 15);
            }
        }
        sendmmsg(sockets[turn % SOCKETS], messages, many, 0);
        long long took = now() - begun;
        if (core >= 0 && took >= BURST) {
            /* However long that was: receiving is done here too. */
            struct timespec pause = { took * PAUSES / 1000000000ll, took * PAUSES % 1000000000ll };
            nanosleep(&pause, NULL);
            begun = now();
        }
    }
}
"#;

/// Floods a service address from inside `namespace`, by one thread whose names follow from `seed`, for as long as what it
/// gives is kept.
pub fn flood(
    workspace: &Workspace,
    namespace: &Namespace,
    address: &str,
    seed: u32,
    sender: Sender,
) -> Daemon {
    let core = match sender {
        Sender::Anywhere => "-1".to_owned(),
        Sender::BeforeWorkers { core } => core.to_string(),
    };
    let source = workspace.write("flood.c", SOURCE);
    let program = workspace.join("flood");
    if !program.exists() {
        let output = Command::new("cc").args(["-O2", "-o", utf8(&program), utf8(&source)]).output();
        let output = output.expect("a C compiler is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let log = workspace.join("flood.log");
    namespace.start("flood", &program, &[address, &seed.to_string(), &core], &log)
}
