//! bpf(2): maps, the program and the link of an interface, each behind a descriptor that ends it when it is closed.
//!
//! Only what XDP needs. Nothing is pinned: whatever ends the process, the kernel closes its descriptors, and with the
//! link the program is off the interface.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::program::Instruction;
use crate::sys;

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_LINK_UPDATE: libc::c_long = 29;

const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_MAP_TYPE_XSKMAP: u32 = 17;
const BPF_F_MMAPABLE: u32 = 1 << 10;
const BPF_PROG_TYPE_XDP: u32 = 6;
const BPF_XDP: u32 = 37;
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;
/// No helper that the program calls asks for more.
const LICENSE: &std::ffi::CStr = c"Dual MIT/GPL";
/// For people who list programs and maps with bpftool.
const NAME: [u8; 16] = *b"pharos\0\0\0\0\0\0\0\0\0\0";

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attach {
    /// In the driver (XDP_FLAGS_DRV_MODE).
    Driver,
    /// Behind it, where the packet already is the kernel's (XDP_FLAGS_SKB_MODE).
    Generic,
}

#[repr(C)]
struct MapCreate {
    kind: u32,
    key_octets: u32,
    value_octets: u32,
    entries: u32,
    flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    name: [u8; 16],
}

#[repr(C)]
struct MapUpdate {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
struct ProgLoad {
    kind: u32,
    instructions: u32,
    first_instruction: u64,
    license: u64,
    log_level: u32,
    log_octets: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected_attach: u32,
}

#[repr(C)]
struct LinkCreate {
    program_fd: u32,
    interface: u32,
    attach: u32,
    flags: u32,
}

#[repr(C)]
struct LinkUpdate {
    link_fd: u32,
    program_fd: u32,
    flags: u32,
    old_program_fd: u32,
}

/// An array of plain values that may be mapped.
pub(super) fn array(value_octets: u32, entries: u32) -> io::Result<OwnedFd> {
    map(BPF_MAP_TYPE_ARRAY, value_octets, entries, BPF_F_MMAPABLE)
}

/// The map from queue numbers to sockets.
pub(super) fn socket_map(entries: u32) -> io::Result<OwnedFd> {
    map(BPF_MAP_TYPE_XSKMAP, 4, entries, 0)
}

fn map(kind: u32, value_octets: u32, entries: u32, flags: u32) -> io::Result<OwnedFd> {
    let attributes = MapCreate {
        kind,
        key_octets: 4,
        value_octets,
        entries,
        flags,
        inner_map_fd: 0,
        numa_node: 0,
        name: NAME,
    };
    descriptor(call(BPF_MAP_CREATE, &attributes)?)
}

/// Sends what arrives at a queue to this socket.
pub(super) fn set_socket(map: BorrowedFd<'_>, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
    let value = number(socket);
    let attributes = MapUpdate {
        map_fd: number(map),
        pad: 0,
        key: (&raw const queue) as u64,
        value: (&raw const value) as u64,
        flags: 0,
    };
    call(BPF_MAP_UPDATE_ELEM, &attributes).map(drop)
}

/// Has the kernel verify and compile a program.
pub(super) fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = ProgLoad {
        kind: BPF_PROG_TYPE_XDP,
        instructions: u32::try_from(program.len()).map_err(io::Error::other)?,
        first_instruction: program.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        log_level: 0,
        log_octets: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: NAME,
        interface: 0,
        expected_attach: BPF_XDP,
    };
    descriptor(call(BPF_PROG_LOAD, &attributes)?)
}

/// Puts a program on an interface for as long as the descriptor is open.
pub(super) fn link(program: BorrowedFd<'_>, interface: u32, attach: Attach) -> io::Result<OwnedFd> {
    let flags = match attach {
        Attach::Driver => XDP_FLAGS_DRV_MODE,
        Attach::Generic => XDP_FLAGS_SKB_MODE,
    };
    let attributes = LinkCreate { program_fd: number(program), interface, attach: BPF_XDP, flags };
    descriptor(call(BPF_LINK_CREATE, &attributes)?)
}

/// Replaces the program of a link; no packet passes between the two.
pub(super) fn replace(link: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let attributes =
        LinkUpdate { link_fd: number(link), program_fd: number(program), flags: 0, old_program_fd: 0 };
    call(BPF_LINK_UPDATE, &attributes).map(drop)
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

fn call<T>(command: libc::c_long, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: the kernel reads as many octets of the attributes as it is told. What they point to (keys, values,
    // instructions, a C string) is borrowed by the callers above for the call, is as long as they say or as the map
    // that they made says, and is only read.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, (&raw const *attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn descriptor(number: libc::c_long) -> io::Result<OwnedFd> {
    let number = i32::try_from(number).map_err(io::Error::other)?;
    sys::check(number)?;
    // SAFETY: bpf(2) just made the descriptor (it is close-on-exec by itself), and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Runs a program on one packet and says its verdict, without an interface (BPF_PROG_TEST_RUN).
#[cfg(test)]
pub(super) fn run(program: BorrowedFd<'_>, packet: &[u8]) -> io::Result<u32> {
    const BPF_PROG_TEST_RUN: libc::c_long = 10;

    #[repr(C)]
    struct TestRun {
        program_fd: u32,
        verdict: u32,
        octets_in: u32,
        octets_out: u32,
        data_in: u64,
        data_out: u64,
        repeat: u32,
        duration: u32,
        context: [u64; 4],
    }

    let mut attributes = TestRun {
        program_fd: number(program),
        verdict: 0,
        octets_in: packet.len() as u32,
        octets_out: 0,
        data_in: packet.as_ptr() as u64,
        data_out: 0,
        repeat: 1,
        duration: 0,
        context: [0; 4],
    };
    // SAFETY: the attributes and what they point to are borrowed for the call, with their true lengths; the kernel
    // writes the verdict into the attributes and, as no room is given, nothing else.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_PROG_TEST_RUN, &raw mut attributes, size_of::<TestRun>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(attributes.verdict) }
}
