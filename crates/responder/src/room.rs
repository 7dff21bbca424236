//! File descriptors: how many TCP connections there is room for.
//!
//! Each connection of a stranger takes one, and whoever opens enough of them must not keep a push from being read or
//! an operator from being heard. So the soft limit is raised to what the operator grants, a reserve is set aside, and
//! no more connections are taken than what remains.

use pharos_netio::descriptors;

use crate::config::TcpLimits;

/// Descriptors that connections are never given: 64 for management over HTTP and 32 for the control socket, as many
/// as each of those takes at most, and the rest for zone files, the threads' own, and a service manager's pipes.
const RESERVE: u64 = 160;
/// Connections for which there is room in any case: truncated replies send clients here, probes come here.
const LEAST: usize = 16;

/// What to do about too few descriptors.
pub(crate) const REMEDY: &str = "grant more file descriptors (LimitNOFILE= of the service, or ulimit -n), or lower `connections:` of `tcp:`";

/// Raises the limit on descriptors as far as that is granted.
pub(crate) fn raise() {
    if let Err(error) = descriptors::raise_limit() {
        tracing::warn!(%error, "the limit on file descriptors is unknown");
    }
}

/// Lowers the bound on connections to what there are descriptors for, once everything else is open but the desks; says
/// so if that is less than was configured.
pub(crate) fn fit(limits: TcpLimits) -> TcpLimits {
    let (Ok(granted), Ok(open)) = (descriptors::limits(), descriptors::open()) else { return limits };
    let room = granted.soft.saturating_sub(open).saturating_sub(RESERVE);
    let connections = bound(limits.connections, room);
    if connections < limits.connections {
        tracing::warn!(
            configured = limits.connections,
            taken = connections,
            descriptors = granted.soft,
            reserved = RESERVE,
            "fewer TCP connections are taken at once than configured, so that reloads and operators have file \
             descriptors: {REMEDY}"
        );
    }
    TcpLimits { connections, ..limits }
}

fn bound(configured: usize, room: u64) -> usize {
    configured.min(usize::try_from(room).unwrap_or(usize::MAX).max(LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_take_what_the_reserve_leaves_and_a_few_always() {
        assert_eq!(bound(4096, 65_000), 4096);
        assert_eq!(bound(4096, 70), 70);
        assert_eq!(bound(4096, 0), LEAST);
        assert_eq!(bound(4, 0), 4);
    }
}
