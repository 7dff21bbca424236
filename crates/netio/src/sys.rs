//! System calls that several modules share, with octet slices for arguments so that they are sound for any
//! caller. What only one module needs stands in that module.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The kernel's size type of option values.
fn option_length(octets: usize) -> libc::socklen_t {
    libc::socklen_t::try_from(octets).expect("option values are a few hundred octets at most")
}

/// setsockopt with a value of plain octets.
pub(crate) fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    // SAFETY: the pointer and the length describe `value`, which outlives the call; the kernel only reads.
    let result = unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), option_length(value.len()))
    };
    check(result).map(drop)
}

/// setsockopt with an `int`.
pub(crate) fn set_int(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    set_option(fd, level, name, &value.to_ne_bytes())
}

/// getsockopt; says how many octets of `value` the kernel filled.
pub(crate) fn get_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
    let mut length = option_length(value.len());
    // SAFETY: the pointer and the length describe `value`, which is ours alone for the call; octets may take
    // any value that the kernel writes.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut length) };
    check(result)?;
    Ok(usize::try_from(length).expect("a length that was given as usize"))
}

/// getsockopt of an `int`.
#[cfg(test)]
pub(crate) fn get_int(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<i32> {
    let mut value = [0; 4];
    get_option(fd, level, name, &mut value)?;
    Ok(i32::from_ne_bytes(value))
}

/// The result of a system call, or errno.
pub(crate) fn check(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
