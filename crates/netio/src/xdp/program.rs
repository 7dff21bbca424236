//! The XDP program: which packets go to a queue's socket, and which on to the kernel.
//!
//! It is assembled here, instruction by instruction, for the addresses that are served, so that nothing but the
//! kernel's own compiler is needed to have it. To the socket of the queue on which it arrived goes a packet that is
//!
//! - for this interface's own address on the link, without VLAN tag;
//! - IPv4 without options that is no fragment, or IPv6 whose next header is UDP;
//! - UDP to an (address, port) that is served;
//! - no longer than a frame;
//! - and whose queue has a socket, whose worker was seen within the last [`STALE`].
//!
//! Everything else passes to the kernel: TCP, ARP and neighbour discovery, BGP, fragments (and with them what they
//! would make), IP options, extension headers, VLAN tags, packets for others. So does all that is served when
//! the workers no longer turn: a stopped process does not black-hole the port, the kernel's sockets are there.
//!
//! The comparisons with addresses stand in the program one after the other, so there may be [`MOST_TARGETS`]; the
//! first are met soonest.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// The most (address, port) pairs. Each costs two instructions a packet (IPv4) or up to six (IPv6), under a
/// nanosecond; far beyond this a map would be cheaper, and no node is known to have as many.
pub(super) const MOST_TARGETS: usize = 64;

/// A worker that was not seen for so long does not get packets. Workers turn every 100 ms at least. Less would send
/// packets by the kernel whenever a host is busy with something else for a moment, which is harmless but slower; more
/// would lose what arrives while a process is stopped.
pub(super) const STALE: Duration = Duration::from_secs(1);

/// Distance of two queues' heartbeats in their array: a cache line each, since each has a writer of its own.
pub(super) const HEARTBEAT_OCTETS: u32 = 64;

/// One eBPF instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    immediate: i32,
}

/// What the program is for.
pub(super) struct Purpose<'a> {
    /// The interface's address on the link.
    pub(super) mac: [u8; 6],
    /// Served addresses, none of them a wildcard.
    pub(super) targets: &'a [SocketAddr],
    /// Octets of the longest packet that a frame holds.
    pub(super) longest: u32,
    /// From queues to their sockets.
    pub(super) sockets: BorrowedFd<'a>,
    /// From queues to the time when their worker was last seen, by the coarse monotonic clock.
    pub(super) heartbeats: BorrowedFd<'a>,
}

// Codes of instructions (linux/bpf.h, linux/bpf_common.h).
const LOAD_OCTET: u8 = 0x71;
const LOAD_16: u8 = 0x69;
const LOAD_32: u8 = 0x61;
const LOAD_64: u8 = 0x79;
const STORE_32: u8 = 0x63;
const LOAD_NUMBER_64: u8 = 0x18;
const MOVE: u8 = 0xbf;
const MOVE_NUMBER: u8 = 0xb7;
const ADD_NUMBER: u8 = 0x07;
const SUBTRACT: u8 = 0x1f;
const AND_NUMBER: u8 = 0x57;
const JUMP: u8 = 0x05;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
// Conditional jumps; those of 32 bits look at the lower half and so at the immediate as it is.
const IF_EQUAL: u8 = 0x16;
const IF_DIFFERENT: u8 = 0x56;
const IF_NUMBER_ZERO_64: u8 = 0x15;
const IF_GREATER_REGISTER_64: u8 = 0x2d;
const IF_GREATER_SIGNED_64: u8 = 0x65;

/// The source register that makes [`LOAD_NUMBER_64`] a map's descriptor.
const PSEUDO_MAP_FD: u8 = 1;
const HELPER_MAP_LOOKUP: i32 = 1;
const HELPER_REDIRECT_MAP: i32 = 51;
/// CLOCK_MONOTONIC_COARSE: a read of memory, while the exact time would cost more than all else here.
const HELPER_COARSE_TIME: i32 = 160;
const XDP_PASS: i32 = 2;

// Fields of `struct xdp_md`.
const CONTEXT_DATA: i16 = 0;
const CONTEXT_DATA_END: i16 = 4;
const CONTEXT_QUEUE: i16 = 16;

// Registers; 0 to 5 do not survive a call.
const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R4: u8 = 4;
const R5: u8 = 5;
const R6: u8 = 6;
const R7: u8 = 7;
const R8: u8 = 8;
const STACK: u8 = 10;

/// Assembles the program.
pub(super) fn assemble(purpose: &Purpose<'_>) -> Vec<Instruction> {
    let mut code = Assembler::default();
    code.add(MOVE, R6, R1, 0, 0);
    code.add(LOAD_32, R2, R6, CONTEXT_DATA, 0);
    code.add(LOAD_32, R3, R6, CONTEXT_DATA_END, 0);
    code.needs(42);
    code.add(LOAD_32, R0, R2, 0, 0);
    let [m0, m1, m2, m3, m4, m5] = purpose.mac;
    code.unless_equal(R0, number_32([m0, m1, m2, m3]), Label::Pass);
    code.add(LOAD_16, R0, R2, 4, 0);
    code.unless_equal(R0, number_16([m4, m5]), Label::Pass);
    code.add(LOAD_16, R0, R2, 12, 0);
    code.jump(IF_EQUAL, R0, number_16([0x86, 0xdd]), Label::Ipv6);
    code.unless_equal(R0, number_16([0x08, 0x00]), Label::Pass);
    ipv4(&mut code, purpose.targets);
    code.mark(Label::Ipv6);
    ipv6(&mut code, purpose.targets);
    code.mark(Label::Take);
    take(&mut code, purpose);
    code.mark(Label::Pass);
    code.add(MOVE_NUMBER, R0, 0, 0, XDP_PASS);
    code.add(EXIT, 0, 0, 0, 0);
    code.finish()
}

/// From the IPv4 header on: R1 has the port, R4 the address.
fn ipv4(code: &mut Assembler, targets: &[SocketAddr]) {
    // Version 4, five words of header: no options.
    code.add(LOAD_OCTET, R0, R2, 14, 0);
    code.unless_equal(R0, 0x45, Label::Pass);
    // Neither an offset nor more to come (RFC 791 §3.1).
    code.add(LOAD_16, R0, R2, 20, 0);
    code.add(AND_NUMBER, R0, 0, 0, number_16([0x3f, 0xff]));
    code.unless_equal(R0, 0, Label::Pass);
    code.add(LOAD_OCTET, R0, R2, 23, 0);
    code.unless_equal(R0, libc::IPPROTO_UDP, Label::Pass);
    code.add(LOAD_16, R1, R2, 36, 0);
    code.add(LOAD_32, R4, R2, 30, 0);
    for target in targets {
        let IpAddr::V4(address) = target.ip() else { continue };
        code.add(IF_DIFFERENT, R4, 0, 1, number_32(address.octets()));
        code.jump(IF_EQUAL, R1, number_16(target.port().to_be_bytes()), Label::Take);
    }
    code.jump(JUMP, 0, 0, Label::Pass);
}

/// From the IPv6 header on: R1 has the port; R4, R5, R7 and R8 the address.
fn ipv6(code: &mut Assembler, targets: &[SocketAddr]) {
    code.needs(62);
    code.add(LOAD_OCTET, R0, R2, 14, 0);
    code.add(AND_NUMBER, R0, 0, 0, 0xf0);
    code.unless_equal(R0, 0x60, Label::Pass);
    code.add(LOAD_OCTET, R0, R2, 20, 0);
    code.unless_equal(R0, libc::IPPROTO_UDP, Label::Pass);
    code.add(LOAD_16, R1, R2, 56, 0);
    let words = [(R4, 38), (R5, 42), (R7, 46), (R8, 50)];
    for (register, offset) in words {
        code.add(LOAD_32, register, R2, offset, 0);
    }
    for target in targets {
        let IpAddr::V6(address) = target.ip() else { continue };
        let octets = address.octets();
        let (parts, _) = octets.as_chunks::<4>();
        // The lower words first: that is where addresses of one host differ.
        for ((&part, (register, _)), skip) in parts.iter().zip(words).rev().zip((1..=4).rev()) {
            code.add(IF_DIFFERENT, register, 0, skip, number_32(part));
        }
        code.jump(IF_EQUAL, R1, number_16(target.port().to_be_bytes()), Label::Take);
    }
    code.jump(JUMP, 0, 0, Label::Pass);
}

/// The packet is ours if it fits, and if somebody is there.
fn take(code: &mut Assembler, purpose: &Purpose<'_>) {
    code.add(SUBTRACT, R3, R2, 0, 0);
    code.add(MOVE_NUMBER, R4, 0, 0, purpose.longest.cast_signed());
    code.jump_register(IF_GREATER_REGISTER_64, R3, R4, Label::Pass);
    code.add(LOAD_32, R7, R6, CONTEXT_QUEUE, 0);
    code.add(STORE_32, STACK, R7, -4, 0);
    code.map(R1, purpose.heartbeats);
    code.add(MOVE, R2, STACK, 0, 0);
    code.add(ADD_NUMBER, R2, 0, 0, -4);
    code.add(CALL, 0, 0, 0, HELPER_MAP_LOOKUP);
    code.jump(IF_NUMBER_ZERO_64, R0, 0, Label::Pass);
    code.add(LOAD_64, R8, R0, 0, 0);
    code.add(CALL, 0, 0, 0, HELPER_COARSE_TIME);
    code.add(SUBTRACT, R0, R8, 0, 0);
    // Signed: the worker may have looked at a clock a tick younger.
    let stale_ns = i32::try_from(STALE.as_nanos()).expect("a second or two");
    code.jump(IF_GREATER_SIGNED_64, R0, stale_ns, Label::Pass);
    code.map(R1, purpose.sockets);
    code.add(MOVE, R2, R7, 0, 0);
    // What becomes of the packet when the queue has no socket.
    code.add(MOVE_NUMBER, R3, 0, 0, XDP_PASS);
    code.add(CALL, 0, 0, 0, HELPER_REDIRECT_MAP);
    code.add(EXIT, 0, 0, 0, 0);
}

/// Octets as they stand in the packet, as the number that a load makes of them.
fn number_16(octets: [u8; 2]) -> i32 {
    u16::from_ne_bytes(octets).into()
}

fn number_32(octets: [u8; 4]) -> i32 {
    i32::from_ne_bytes(octets)
}

/// Places that are jumped to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Ipv6,
    Take,
    Pass,
}

/// Collects instructions, and fills in where jumps lead once all labels have their place.
#[derive(Default)]
struct Assembler {
    code: Vec<Instruction>,
    jumps: Vec<(usize, Label)>,
    marks: Vec<(Label, usize)>,
}

impl Assembler {
    fn add(&mut self, code: u8, destination: u8, source: u8, offset: i16, immediate: i32) {
        let registers = if cfg!(target_endian = "little") {
            source << 4 | destination
        } else {
            destination << 4 | source
        };
        self.code.push(Instruction { code, registers, offset, immediate });
    }

    fn jump(&mut self, code: u8, register: u8, immediate: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.add(code, register, 0, 0, immediate);
    }

    fn jump_register(&mut self, code: u8, left: u8, right: u8, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.add(code, left, right, 0, 0);
    }

    fn unless_equal(&mut self, register: u8, immediate: i32, to: Label) {
        self.jump(IF_DIFFERENT, register, immediate, to);
    }

    /// Shorter packets pass; the kernel's verifier wants to see it before each load.
    fn needs(&mut self, octets: i32) {
        self.add(MOVE, R4, R2, 0, 0);
        self.add(ADD_NUMBER, R4, 0, 0, octets);
        self.jump_register(IF_GREATER_REGISTER_64, R4, R3, Label::Pass);
    }

    /// A map's address: the one instruction that takes two places.
    fn map(&mut self, register: u8, map: BorrowedFd<'_>) {
        self.add(LOAD_NUMBER_64, register, PSEUDO_MAP_FD, 0, map.as_raw_fd());
        self.add(0, 0, 0, 0, 0);
    }

    fn mark(&mut self, label: Label) {
        self.marks.push((label, self.code.len()));
    }

    fn finish(mut self) -> Vec<Instruction> {
        for &(at, to) in &self.jumps {
            let mark = self.marks.iter().find(|(label, _)| *label == to);
            let (_, place) = mark.expect("every label is marked in `assemble`");
            // Relative to the next instruction.
            let distance = *place as i64 - at as i64 - 1;
            if let Some(jump) = self.code.get_mut(at) {
                jump.offset = i16::try_from(distance).expect("the program has some hundred instructions");
            }
        }
        self.code
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
