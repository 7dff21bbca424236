//! AF_XDP: datagrams from an interface's queues straight into a worker's memory, past the kernel's IP stack.
//!
//! An [`Attachment`] puts an XDP program (module `program`) on an interface for as long as it lives, and makes a
//! [`Queue`] for each of its receive queues. A worker takes batches from a queue as it does from a socket: both are
//! [`crate::Datagrams`]. The program lets only UDP to the served addresses through to the queues; everything else, and that
//! too when nobody turns, goes to the kernel as ever.
//!
//! Nothing is left behind, however the process ends: program, maps and sockets hang on descriptors. Linux 5.11 or
//! later (the coarse clock of programs; links to interfaces came with 5.9). The process needs CAP_NET_ADMIN,
//! CAP_NET_RAW and CAP_BPF, and may lock the frames' memory with CAP_IPC_LOCK or a sufficient RLIMIT_MEMLOCK. What is
//! missing is an [`NetError::Xdp`] that says so; whoever calls goes on with sockets.
//!
//! It refuses to share an interface with another XDP program, and to parse what a plain datagram does not have: VLAN
//! tags, options, fragments. Replies leave by the interface on which the query came, with the addresses of the link
//! turned round; the routing table and the host's packet filter are not asked.

mod bpf;
mod counts;
mod frame;
mod interface;
mod memory;
mod program;
mod queue;
mod ring;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use counts::{Event, QueueCounts};
pub use interface::{Changed, Changes};
pub use queue::Queue;

use crate::error::NetError;
use bpf::Attach;
use interface::Interface;
use memory::Mapping;
use program::Purpose;

/// Where the program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// In the driver where it can, else behind it.
    #[default]
    Auto,
    /// In the driver or not at all.
    Native,
    /// Behind the driver, where each packet has become the kernel's already: for drivers without XDP.
    Generic,
}

/// Whether packets are copied between the device's memory and the frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Copying {
    /// Not where the driver can do without.
    #[default]
    Auto,
    /// Always.
    Copy,
    /// Never, or not at all.
    ZeroCopy,
}

/// Places of the RX ring of a queue, and frames to receive into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingSize(u32);

impl RingSize {
    /// A power of two from 64, one batch, to 65536; `None` for anything else.
    pub fn new(places: u32) -> Option<Self> {
        (places.is_power_of_two() && (64..=65_536).contains(&places)).then_some(Self(places))
    }
}

impl Default for RingSize {
    /// 5 ms at 800,000 queries/s. With 1024 the queries of a burst were lost while the worker's turn lasted.
    fn default() -> Self {
        Self(4096)
    }
}

/// How an interface is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The interface's name.
    pub interface: String,
    /// Its first so many receive queues; all of them when `None`.
    pub queues: Option<NonZeroU32>,
    /// Where the program is attached.
    pub mode: Mode,
    /// Whether packets may be copied.
    pub copying: Copying,
    /// Places of the RX ring of a queue.
    pub ring: RingSize,
}

impl Options {
    /// The defaults for an interface.
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            interface: interface.into(),
            queues: None,
            mode: Mode::default(),
            copying: Copying::default(),
            ring: RingSize::default(),
        }
    }
}

/// The step that failed when an interface was to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Asking for the interface.
    Look,
    /// Looking whether other hosts are reached by it.
    Loopback,
    /// Looking at the largest packet that it carries.
    Mtu,
    /// Counting the addresses that are served.
    Targets,
    /// Making the maps.
    Maps,
    /// Having the program verified.
    Program,
    /// Opening an AF_XDP socket.
    Socket,
    /// Registering the memory for frames.
    Memory,
    /// Making the rings.
    Rings,
    /// Binding a socket to a queue.
    Bind,
    /// Attaching the program.
    Attach,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Look => "ask for",
            Self::Loopback => "take the host's own packets on",
            Self::Mtu => "use packets as small as those of",
            Self::Targets => "serve so many addresses by AF_XDP on",
            Self::Maps => "make BPF maps for",
            Self::Program => "load the XDP program for",
            Self::Socket => "open an AF_XDP socket for",
            Self::Memory => "register memory for the frames of",
            Self::Rings => "make the rings of",
            Self::Bind => "bind an AF_XDP socket to",
            Self::Attach => "attach the XDP program to",
        })
    }
}

/// What an attachment has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It works.
    Good,
    /// The interface is down: nothing comes until it is up again, and nothing needs to be done then.
    Down,
    /// The interface has gone, or another one has its name: this attachment is of no use any more.
    Gone,
}

/// An XDP program on an interface, and what its queues share.
pub struct Attachment {
    name: String,
    interface: Interface,
    attach: Attach,
    longest: u32,
    targets: Vec<SocketAddr>,
    link: OwnedFd,
    sockets: OwnedFd,
    heartbeats: OwnedFd,
    beats: Arc<Mapping>,
}

impl Attachment {
    /// Makes the queues of an interface and attaches the program. `targets` are the addresses that are served; a
    /// wildcard stands for the addresses that this host has now ([`Self::retarget`]). `counts` has the counts of the
    /// queue with a number. Packets come as soon as the queues are received from.
    ///
    /// # Errors
    /// [`NetError::Xdp`]; nothing is left attached.
    pub fn open(
        options: &Options,
        targets: &[SocketAddr],
        mut counts: impl FnMut(u32) -> Arc<QueueCounts>,
    ) -> Result<(Self, Vec<Queue>), NetError> {
        let name = &options.interface;
        let failed = |step| move |source| failed_at(name, step, source);
        let looked = Interface::look(name).map_err(failed(Step::Look))?;
        let absent = || failed_at(name, Step::Look, io::Error::from_raw_os_error(libc::ENODEV));
        let interface = looked.ok_or_else(absent)?;
        // What the host asks its own addresses has one address at both ends, which on any other interface is forged.
        if interface.is_loopback {
            return Err(failed_at(name, Step::Loopback, io::Error::from_raw_os_error(libc::EOPNOTSUPP)));
        }
        if interface.mtu < LEAST_MTU {
            return Err(failed_at(name, Step::Mtu, io::Error::from_raw_os_error(libc::EMSGSIZE)));
        }
        let targets = concrete(targets).map_err(failed(Step::Targets))?;
        raise_memory_limit();
        let queues = options.queues.map_or(interface.queues, |queues| queues.get().min(interface.queues));
        let heartbeats = bpf::array(program::HEARTBEAT_OCTETS, queues).map_err(failed(Step::Maps))?;
        let octets = (queues * program::HEARTBEAT_OCTETS) as usize;
        let beats = Mapping::shared(heartbeats.as_fd(), 0, octets).map_err(failed(Step::Maps))?;
        let beats = Arc::new(beats);
        let sockets = bpf::socket_map(queues).map_err(failed(Step::Maps))?;
        let frame_octets = frame_octets(interface.mtu);
        let longest = frame_octets - queue::KERNEL_HEADROOM;
        let purpose = Purpose {
            mac: interface.mac,
            targets: &targets,
            longest,
            sockets: sockets.as_fd(),
            heartbeats: heartbeats.as_fd(),
        };
        let program = bpf::load(&program::assemble(&purpose)).map_err(failed(Step::Program))?;
        let mut opened = Vec::new();
        for number in 0..queues {
            let plan = queue::Plan {
                interface: interface.index,
                number,
                ring: options.ring.0,
                frame_octets,
                mtu: interface.mtu,
                // A program behind the driver never sees what the driver would put into the frames by itself.
                copying: if options.mode == Mode::Generic { Copying::Copy } else { options.copying },
                heartbeats: &beats,
                counts: counts(number),
            };
            let queue = Queue::open(&plan).map_err(|(step, source)| failed_at(name, step, source))?;
            bpf::set_socket(sockets.as_fd(), number, queue.as_fd()).map_err(failed(Step::Maps))?;
            opened.push(queue);
        }
        let ways: &[Attach] = match options.mode {
            Mode::Auto => &[Attach::Driver, Attach::Generic],
            Mode::Native => &[Attach::Driver],
            Mode::Generic => &[Attach::Generic],
        };
        let mut attached = Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        for &way in ways {
            attached = bpf::link(program.as_fd(), interface.index, way).map(|link| (link, way));
            // Only a driver that does not know XDP is a reason to attach behind it.
            if !matches!(&attached, Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP)) {
                break;
            }
        }
        let (link, attach) = attached.map_err(failed(Step::Attach))?;
        let attachment = Self {
            name: name.clone(),
            interface,
            attach,
            longest,
            targets,
            link,
            sockets,
            heartbeats,
            beats,
        };
        Ok((attachment, opened))
    }

    /// Looks what has become of the interface. One that has another address on the link gets a program for it.
    ///
    /// # Errors
    /// [`NetError::Xdp`] when the new program is refused; the old one stays.
    pub fn look(&mut self) -> Result<Health, NetError> {
        let looked = Interface::look(&self.name);
        let now = looked.map_err(|source| failed_at(&self.name, Step::Look, source))?;
        let Some(now) = now.filter(|now| now.index == self.interface.index) else {
            return Ok(Health::Gone);
        };
        // Frames and replies for other packets, and queues for a driver that was told to have more, need a new beginning.
        if now.mtu != self.interface.mtu || now.queues != self.interface.queues {
            return Ok(Health::Gone);
        }
        if now.mac != self.interface.mac {
            self.interface.mac = now.mac;
            self.replace()?;
        }
        Ok(if now.is_up { Health::Good } else { Health::Down })
    }

    /// Serves these addresses from now on, if they are others. Of wildcards it is the host's own addresses that count.
    ///
    /// # Errors
    /// [`NetError::Xdp`]; the old addresses stay.
    pub fn retarget(&mut self, targets: &[SocketAddr]) -> Result<(), NetError> {
        let targets = concrete(targets).map_err(|source| failed_at(&self.name, Step::Targets, source))?;
        if targets == self.targets {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.targets, targets);
        let replaced = self.replace();
        if replaced.is_err() {
            self.targets = before;
        }
        replaced
    }

    fn replace(&self) -> Result<(), NetError> {
        let purpose = Purpose {
            mac: self.interface.mac,
            targets: &self.targets,
            longest: self.longest,
            sockets: self.sockets.as_fd(),
            heartbeats: self.heartbeats.as_fd(),
        };
        let failed = |step| move |source| failed_at(&self.name, step, source);
        let program = bpf::load(&program::assemble(&purpose)).map_err(failed(Step::Program))?;
        bpf::replace(self.link.as_fd(), program.as_fd()).map_err(failed(Step::Attach))
    }

    /// The kernel's number of the interface, by which its queues are known.
    pub fn interface(&self) -> u32 {
        self.interface.index
    }

    /// The addresses whose datagrams go to the queues.
    pub fn targets(&self) -> &[SocketAddr] {
        &self.targets
    }

    /// Where the program was attached: [`Mode::Native`] or [`Mode::Generic`].
    pub fn mode(&self) -> Mode {
        match self.attach {
            Attach::Driver => Mode::Native,
            Attach::Generic => Mode::Generic,
        }
    }

    /// For whoever asks whether the workers turn.
    pub fn beats(&self) -> Beats {
        Beats(self.beats.clone())
    }
}

/// When the workers of an interface's queues were last seen.
#[derive(Clone)]
pub struct Beats(Arc<Mapping>);

impl Beats {
    /// How long ago the worker of a queue turned; a very long time when it never did.
    pub fn age(&self, queue: u32) -> Duration {
        let place = queue as usize * program::HEARTBEAT_OCTETS as usize;
        let beat = if place < self.0.octets() { self.0.long(place).load(Ordering::Relaxed) } else { 0 };
        Duration::from_nanos(coarse_now_ns().saturating_sub(beat))
    }
}

/// The time by which heartbeats are compared: CLOCK_MONOTONIC_COARSE, as the program reads it.
#[inline]
pub(crate) fn coarse_now_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours, and all that is written to. The clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut now) };
    #[allow(clippy::unnecessary_cast, reason = "narrower types on some platforms")]
    let (seconds, nanoseconds) = (now.tv_sec as u64, now.tv_nsec as u64);
    seconds * 1_000_000_000 + nanoseconds
}

/// What IPv6 needs of a link (RFC 8200 §5). On a smaller one the shortest reply with its options might not fit.
const LEAST_MTU: u32 = 1280;

/// Frames of half a page do for packets of Ethernet's usual size; longer ones take a page, and those that do not fit a
/// page pass to the kernel.
fn frame_octets(mtu: u32) -> u32 {
    /// What stands before an IP packet in a frame: the kernel's room and the Ethernet header.
    const BEFORE: u32 = queue::KERNEL_HEADROOM + 14;
    if mtu + BEFORE <= 2048 { 2048 } else { 4096 }
}

/// The addresses in order, a wildcard replaced by those that this host has.
fn concrete(targets: &[SocketAddr]) -> io::Result<Vec<SocketAddr>> {
    let mut all = Vec::new();
    for target in targets {
        if target.ip().is_unspecified() {
            let own = crate::own_addresses()?.into_iter();
            let of_family = own.filter(|address| address.is_ipv4() == target.is_ipv4());
            let reachable = of_family.filter(|address: &IpAddr| !address.is_loopback());
            all.extend(reachable.map(|address| SocketAddr::new(address, target.port())));
        } else {
            all.push(SocketAddr::new(target.ip(), target.port()));
        }
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|target| seen.insert(*target));
    if all.len() > program::MOST_TARGETS {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    Ok(all)
}

/// As far as this process may lock memory at all. Who has CAP_IPC_LOCK needs no limit, and newer kernels count maps
/// elsewhere.
fn raise_memory_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is ours for the call.
    if unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) } != 0 {
        return;
    }
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the kernel only reads the structure. A refusal shows where memory is registered.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
}

fn failed_at(interface: &str, step: Step, source: io::Error) -> NetError {
    NetError::Xdp { interface: interface.to_owned(), step, source }
}

/// Which of the capabilities that BPF programs for an interface need are not among the effective ones of a thread with this
/// status (proc(5)); both where that does not tell.
fn missing(status: &str) -> String {
    const NEEDED: [(&str, u32); 2] = [("CAP_BPF", 39), ("CAP_NET_ADMIN", 12)];
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    let absent = NEEDED.iter().filter(|(_, number)| effective & (1 << number) == 0);
    let absent: Vec<_> = absent.map(|(name, _)| *name).collect();
    if absent.is_empty() { NEEDED.map(|(name, _)| name).join(" and ") } else { absent.join(" and ") }
}

/// What a person can do about a failed step.
pub(crate) fn remedy(interface: &str, step: Step, source: &io::Error) -> Option<String> {
    let text = match (step, source.raw_os_error()?) {
        (Step::Look, libc::ENODEV) => format!("no interface is named {interface}; `ip link` lists them"),
        (Step::Loopback, _) => format!(
            "name the interface by which clients come; what this host itself asks comes by {interface}, and is answered \
             by the kernel's sockets"
        ),
        (Step::Mtu, _) => format!("IPv6 needs {LEAST_MTU} octets: `ip link set {interface} mtu {LEAST_MTU}` or more"),
        (Step::Targets, _) => format!(
            "an XDP program serves at most {} addresses; list fewer under `listen:`, or none of them as a wildcard",
            program::MOST_TARGETS
        ),
        (Step::Maps | Step::Program, libc::EPERM) => {
            let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
            format!("loading BPF programs needs {} (systemd: AmbientCapabilities=)", missing(&status))
        }
        (Step::Maps | Step::Program, libc::ENOSYS | libc::EINVAL) => {
            "this kernel lacks BPF or parts of it; Linux 5.11 or later has all that is needed".to_owned()
        }
        (Step::Socket, libc::EPERM) => {
            "AF_XDP sockets need CAP_NET_RAW (systemd: AmbientCapabilities=CAP_NET_RAW)".to_owned()
        }
        (Step::Socket, libc::EAFNOSUPPORT) => {
            "this kernel has no AF_XDP (CONFIG_XDP_SOCKETS), or the service may not use it (systemd: \
             RestrictAddressFamilies=)"
                .to_owned()
        }
        (Step::Memory, libc::ENOBUFS | libc::EPERM | libc::EAGAIN) => {
            "the memory for frames may not be locked: raise RLIMIT_MEMLOCK (systemd: LimitMEMLOCK=infinity) or give \
             CAP_IPC_LOCK; a smaller `ring:` needs less"
                .to_owned()
        }
        (Step::Memory | Step::Rings, libc::ENOMEM) => {
            "there is not enough memory; a smaller `ring:` or fewer `queues:` need less".to_owned()
        }
        (Step::Bind, libc::EOPNOTSUPP | libc::EPROTONOSUPPORT) => {
            "the driver cannot do without copying; write `copy: auto` or `copy: copy`".to_owned()
        }
        (Step::Bind | Step::Attach, libc::EBUSY | libc::EEXIST) => format!(
            "another XDP program or AF_XDP socket has {interface}; `ip link show {interface}` and `bpftool net` \
             name it"
        ),
        (Step::Attach, libc::EOPNOTSUPP) => {
            "the driver has no XDP; write `mode: auto` or `mode: generic`".to_owned()
        }
        (Step::Attach, libc::EPERM) => {
            "attaching a program needs CAP_NET_ADMIN (systemd: AmbientCapabilities=CAP_NET_ADMIN)".to_owned()
        }
        (Step::Attach, libc::ERANGE | libc::EINVAL | libc::ENOSPC) => format!(
            "the driver refuses XDP in its present state: a smaller MTU, fewer queues or other offloads may help \
             (`ip link set {interface} mtu 1500`; the kernel's log says more)"
        ),
        _ => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &[&str]) -> Vec<SocketAddr> {
        text.iter().map(|address| address.parse().unwrap()).collect()
    }

    #[test]
    fn a_wildcard_stands_for_the_addresses_that_the_host_has_and_never_for_loopback() {
        let own = crate::own_addresses().unwrap();
        let found = concrete(&addresses(&["0.0.0.0:53", "[::]:53"])).unwrap();
        assert!(found.iter().all(|target| own.contains(&target.ip()) && !target.ip().is_loopback()));
        assert_eq!(found.len(), own.iter().filter(|address| !address.is_loopback()).count());
    }

    #[test]
    fn an_address_that_is_listed_twice_is_compared_with_once() {
        let twice = addresses(&["192.0.2.1:53", "192.0.2.1:53", "192.0.2.1:5353"]);
        assert_eq!(concrete(&twice).unwrap(), addresses(&["192.0.2.1:53", "192.0.2.1:5353"]));
    }

    #[test]
    fn more_addresses_than_a_program_compares_with_are_refused_with_the_number() {
        let many: Vec<SocketAddr> = (0..65).map(|n| SocketAddr::from(([192, 0, 2, n], 53))).collect();
        let error = failed_at("eth0", Step::Targets, concrete(&many).unwrap_err());
        assert!(error.to_string().contains("serve so many addresses by AF_XDP on eth0"), "{error}");
        assert!(error.remedy().unwrap().contains("at most 64"), "{error}");
    }

    #[test]
    fn a_ring_has_a_power_of_two_of_places_and_at_least_a_batch() {
        assert!([64, 4096, 65_536].into_iter().all(|places| RingSize::new(places).is_some()));
        assert!([0, 32, 100, 131_072, u32::MAX].into_iter().all(|places| RingSize::new(places).is_none()));
    }

    #[test]
    fn frames_hold_packets_of_the_usual_size_in_half_a_page_and_longer_ones_in_a_page() {
        assert_eq!(
            [1280, 1500, 1778, 1779, 3498, 9000].map(frame_octets),
            [2048, 2048, 2048, 4096, 4096, 4096]
        );
    }

    #[test]
    fn a_loopback_interface_is_refused_with_a_remedy_whatever_may_be_loaded() {
        let opened = Attachment::open(&Options::new("lo"), &addresses(&["127.0.0.1:53"]), |_| Arc::default());
        let Err(error) = opened else { panic!("it was attached") };
        assert!(error.to_string().starts_with("cannot take the host's own packets on lo: "), "{error}");
        assert!(error.remedy().unwrap().contains("name the interface by which clients come"), "{error}");
    }

    #[test]
    fn each_thing_that_is_missing_is_named() {
        let said = |step, errno| {
            failed_at("eth0", step, io::Error::from_raw_os_error(errno)).remedy().unwrap_or_default()
        };
        assert!(said(Step::Mtu, libc::EMSGSIZE).contains("ip link set eth0 mtu 1280"));
        assert!(said(Step::Maps, libc::EPERM).contains("loading BPF programs needs CAP_"));
        let of = |effective: u64| missing(&format!("Name:\tudp-0\nCapEff:\t{effective:016x}\n"));
        assert_eq!(of(1 << 39), "CAP_NET_ADMIN");
        assert_eq!(of(u64::MAX - (1 << 39)), "CAP_BPF");
        assert_eq!((of(0), missing("")), ("CAP_BPF and CAP_NET_ADMIN".to_owned(), of(u64::MAX)));
        assert!(said(Step::Socket, libc::EPERM).contains("CAP_NET_RAW"));
        assert!(said(Step::Memory, libc::ENOBUFS).contains("RLIMIT_MEMLOCK"));
        assert!(said(Step::Attach, libc::EBUSY).contains("another XDP program"));
        assert!(said(Step::Attach, libc::EOPNOTSUPP).contains("mode: generic"));
    }
}
