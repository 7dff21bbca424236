//! More queries than a node can answer: a small program, compiled here, that sends as fast as one thread can.
//!
//! The names do not exist, each is another, as in the floods that authoritative servers know best (random
//! subdomains). What comes back is thrown away by the kernel: the socket has next to no room, and nobody reads it.
//!
//! A flood comes from elsewhere, and asks no processor of the node for leave. Workers that run before all others would
//! not let a program on their own processor overload them, so this one runs before them where it may, and then in turns:
//! it sends more than the workers' buffers hold, and rests for as long as that took.

use super::bird::utf8;
use super::{Daemon, Namespace, Workspace};
use std::process::Command;

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

#define BATCH 64
/* Batches of a turn: 32,768 queries. */
#define TURN 512
/* Header, then 16 letters of "random", then example.com, A, IN. */
static const char query[] = "\0\0\0\0\0\1\0\0\0\0\0\0\20aaaaaaaaaaaaaaaa\7example\3com\0\0\1\0\1";
#define LENGTH (sizeof query - 1)

int main(int count, char **words) {
    struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons(53) };
    struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(53) };
    if (count < 3) return 1;
    int is4 = inet_pton(AF_INET, words[1], &to4.sin_addr) == 1;
    if (!is4 && inet_pton(AF_INET6, words[1], &to6.sin6_addr) != 1) return 1;
    struct sockaddr *to = is4 ? (struct sockaddr *) &to4 : (struct sockaddr *) &to6;
    socklen_t size = is4 ? sizeof to4 : sizeof to6;
    uint64_t state = strtoull(words[2], 0, 10) * 2654435761u + 1;
    int one = 1, sockets[BATCH];
    static char octets[BATCH][LENGTH];
    static struct iovec parts[BATCH];
    static struct mmsghdr messages[BATCH];
    for (int i = 0; i < BATCH; i++) {
        sockets[i] = socket(to->sa_family, SOCK_DGRAM, 0);
        setsockopt(sockets[i], SOL_SOCKET, SO_RCVBUF, &one, sizeof one);
        if (connect(sockets[i], to, size)) return 2;
        memcpy(octets[i], query, LENGTH);
        parts[i] = (struct iovec) { octets[i], LENGTH };
        messages[i].msg_hdr = (struct msghdr) { .msg_iov = &parts[i], .msg_iovlen = 1 };
    }
    struct sched_param first = { .sched_priority = 2 };
    int runs_first = !sched_setscheduler(0, SCHED_FIFO, &first);
    struct timespec began, now;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (unsigned turn = 0;; turn++) {
        if (runs_first && turn % TURN == 0) {
            clock_gettime(CLOCK_MONOTONIC, &now);
            int64_t took = (now.tv_sec - began.tv_sec) * 1000000000ll + now.tv_nsec - began.tv_nsec;
            struct timespec rest = { took / 1000000000, took % 1000000000 };
            nanosleep(&rest, 0);
            clock_gettime(CLOCK_MONOTONIC, &began);
        }
        for (int i = 0; i < BATCH; i++) {
            state ^= state << 13; state ^= state >> 7; state ^= state << 17;
            for (int letter = 0; letter < 16; letter++)
                octets[i][13 + letter] = 'a' + ((state >> (4 * letter)) & 15);
        }
        sendmmsg(sockets[turn % BATCH], messages, BATCH, 0);
    }
}
"#;

/// Floods a service address from inside `namespace`, by one thread whose names follow from `seed`, for as long as what it
/// gives is kept.
pub fn flood(workspace: &Workspace, namespace: &Namespace, address: &str, seed: u32) -> Daemon {
    let source = workspace.write("flood.c", SOURCE);
    let program = workspace.join("flood");
    if !program.exists() {
        let output = Command::new("cc").args(["-O2", "-o", utf8(&program), utf8(&source)]).output();
        let output = output.expect("a C compiler is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let log = workspace.join("flood.log");
    namespace.start("flood", &program, &[address, &seed.to_string()], &log)
}
