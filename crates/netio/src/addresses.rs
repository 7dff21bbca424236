//! The addresses of this host.

use std::ffi::CStr;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every IPv4 and IPv6 address that an interface of this network namespace has now, each once.
pub fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let mut all = list(|_| true)?;
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// The IPv4 and IPv6 addresses that this interface has now, in the order of the kernel: the main ones first.
pub fn addresses_of(interface: &str) -> io::Result<Vec<IpAddr>> {
    list(|name| name.to_bytes() == interface.as_bytes())
}

/// The addresses of the interfaces whose names are `wanted` (getifaddrs(3)).
fn list(wanted: impl Fn(&CStr) -> bool) -> io::Result<Vec<IpAddr>> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: the pointer is to a variable of ours; the C library sets it to a list that is ours to free.
    if unsafe { libc::getifaddrs(&raw mut first) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut all = Vec::new();
    let mut next = first;
    while !next.is_null() {
        // SAFETY: it is an element of the list that getifaddrs made, which is freed only below.
        let entry = unsafe { &*next };
        next = entry.ifa_next;
        if entry.ifa_addr.is_null() {
            continue;
        }
        // SAFETY: an entry's name is a string of the list, which lives until it is freed below.
        if !wanted(unsafe { CStr::from_ptr(entry.ifa_name) }) {
            continue;
        }
        // SAFETY: what an entry points to starts with its family, which says what the rest is (getifaddrs(3)); the
        // copies are of exactly that structure, wherever it is aligned.
        let address: Option<IpAddr> = unsafe {
            match i32::from((*entry.ifa_addr).sa_family) {
                libc::AF_INET => {
                    let address = entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                    Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
                }
                libc::AF_INET6 => {
                    let address = entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                    Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
                }
                _ => None,
            }
        };
        all.extend(address);
    }
    // SAFETY: the list came from getifaddrs, and nothing refers to it any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_among_the_hosts_own_and_each_stands_once() {
        let all = own_addresses().unwrap();
        assert!(all.contains(&IpAddr::from([127, 0, 0, 1])), "{all:?}");
        assert!(all.is_sorted_by(|one, next| one < next), "{all:?}");
    }

    #[test]
    fn an_interface_has_its_own_addresses_and_one_that_is_not_there_none() {
        assert!(addresses_of("lo").unwrap().contains(&IpAddr::from([127, 0, 0, 1])));
        assert!(addresses_of("pharos-none").unwrap().is_empty());
    }
}
