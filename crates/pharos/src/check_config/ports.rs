//! Ports that this host may give to anybody: a warning, since a service may then not start.
//!
//! A program that connects without asking for a port gets one of the kernel's range (`ip_local_port_range`, ip(7)). If it
//! gets one that a service of ours listens on, and keeps it, the next start of that service fails: a reboot goes well a
//! hundred times. The kernel leaves out what `ip_local_reserved_ports` names.

use pharos_ops::config::Loaded;
use pharos_ops::config::schema::Mode;
use std::ops::RangeInclusive;

/// Warnings about the ports of a configuration on this host; none where the kernel does not tell its range.
pub(crate) fn check(loaded: &Loaded) -> Vec<String> {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok();
    let Some(range) = read("ip_local_port_range").as_deref().and_then(range) else { return Vec::new() };
    let reserved = read("ip_local_reserved_ports").unwrap_or_default();
    let in_danger = |(_, port): &(String, u16)| range.contains(port) && !is_reserved(&reserved, *port);
    listening(loaded).into_iter().filter(in_danger).map(|(what, port)| warning(&what, port, &range)).collect()
}

fn warning(what: &str, port: u16, range: &RangeInclusive<u16>) -> String {
    let (first, last) = (range.start(), range.end());
    format!(
        "warning: port {port} of {what} is one of {first} to {last}, of which this host gives any to whoever connects \
         somewhere: a start may find it taken\n  help: choose another, or add it to net.ipv4.ip_local_reserved_ports"
    )
}

/// What listens, by its option, and the port.
fn listening(loaded: &Loaded) -> Vec<(String, u16)> {
    let mut all = Vec::new();
    if let Some(responder) = &loaded.pharos.responder {
        all.extend(responder.listen.iter().map(|at| (format!("responder.listen ({at})"), at.0.port())));
        all.push(("responder.management".to_owned(), responder.management.0.port()));
        all.extend(
            loaded.site.management_dns.iter().map(|at| (format!("management-dns ({at})"), at.0.port())),
        );
    }
    if let Some(sidecar) = &loaded.pharos.sidecar {
        all.push(("sidecar.management".to_owned(), sidecar.management.0.port()));
        let passive = loaded.site.neighbours.iter().filter(|neighbour| neighbour.mode == Mode::Passive);
        all.extend(passive.map(|neighbour| (format!("neighbour {}", neighbour.address), neighbour.port)));
    }
    all.sort_by_key(|(_, port)| *port);
    // One warning for a port, by whatever is named first.
    all.dedup_by_key(|(_, port)| *port);
    all
}

/// Two numbers, as the kernel writes them.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    let (first, last) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(first..=last)
}

/// Whether a list of ports and ranges, as the kernel writes it, has this one.
fn is_reserved(list: &str, port: u16) -> bool {
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bounds = (first.parse::<u16>(), last.parse::<u16>());
        matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_range_and_its_exceptions_are_read_as_it_writes_them() {
        assert_eq!(range("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(range(""), None);
        assert_eq!(range("0 70000"), None);
        let reserved = |port| is_reserved("8080,9148,40000-40010\n", port);
        assert!(reserved(8080) && reserved(40000) && reserved(40010));
        assert!(!reserved(8081) && !reserved(40011));
        assert!(!is_reserved("\n", 0));
    }

    #[test]
    fn a_warning_names_what_listens_and_the_remedy() {
        let text = warning("sidecar.management", 40154, &(32768..=60999));
        assert!(text.contains("port 40154 of sidecar.management is one of 32768 to 60999"), "{text}");
        assert!(text.ends_with("add it to net.ipv4.ip_local_reserved_ports"), "{text}");
    }
}
