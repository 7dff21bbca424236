//! The lamp: answers on UDP and TCP from zone files, and tells how it fares.
//!
//! [`Responder::start`] takes the exclusive lock for its addresses, loads every zone, and only then binds and
//! answers. From there on:
//!
//! - one pinned **worker** thread per core runs the batch loop of the query path (module `worker`);
//! - one thread keeps the queues of **AF_XDP** on the interfaces that are to have them (module `xdp`);
//! - as many **TCP** threads share connections (module `tcp`);
//! - [`Handle::reload`] reads what changed, and swaps all zones at once when it is good (module `zones`);
//! - a **vigil** looks now and then whether signatures near their end, and whether the clock can be believed (module
//!   `vigil`);
//! - a **watchdog** ends the process when a worker no longer turns, so that the route goes too;
//! - [`Handle::status`], [`Handle::register`] and [`Handle::readiness`] tell whoever asks.
//!
//! It knows nothing of routes, of configuration files, or of HTTP: the `pharos` command joins those to it.
#![forbid(unsafe_code)]

mod clock;
mod config;
mod counters;
mod handle;
mod hush;
mod intake;
mod log;
mod metrics;
mod origin;
mod pages;
mod places;
mod pressure;
mod room;
mod sockets;
mod status;
mod tcp;
mod vigil;
mod watchdog;
mod worker;
mod xdp;
mod zones;

pub use config::{Config, DnssecConfig, Precedence, StartError, TcpLimits, VERSION, Version, ZoneSource};
pub use handle::{Handle, Readiness, Responder};
pub use pharos_answer::{AnyPolicy, BadSecret, Cookies, Require, Secret};
pub use pharos_netio::lock::LockPlace;
pub use pharos_netio::xdp::{
    Copying as XdpCopying, Mode as XdpMode, Options as XdpOptions, RingSize as XdpRingSize,
};
pub use pharos_zone::dnssec::{Broken, Signatures};
pub use status::{
    AddressStatus, ClockStatus, IntakeStatus, SignedStatus, Status, StatusFilter, TcpThreadStatus,
    WorkerStatus, XdpLife, XdpQueueStatus, XdpStatus, ZoneLife, ZoneStatus,
};
pub use zones::{ReloadError, ReloadReport};
