//! The kernel, made safe: every socket, socket option and system call that std and tokio do not offer.
//!
//! This is the one crate of the workspace that may write `unsafe`. Each such block wraps one system call and
//! says why it is sound; everything else is ordinary Rust over it. Linux only, by intention.
//!
//! Who calls what:
//! - the responder's UDP workers: [`bind_group`] opens their sockets, an [`Inbox`] waits on them, a [`Batch`]
//!   carries queries in and replies out, [`affinity`] pins the worker beside the receive queue that feeds it;
//! - its workers again, where an interface is used by AF_XDP: an [`xdp::Queue`] is received from and sent through in
//!   place of a socket;
//! - the responder's TCP threads: [`tcp::listen_group`] opens their listeners, [`tcp::accept`] takes connections, and a
//!   [`poll::Poll`] waits on all of them;
//! - the sidecar's BGP sessions: [`bgp`] (RFC 2385 signatures, RFC 5082 GTSM, source address);
//! - the sidecar's `lease` announcer: [`markers`] sets addresses that end by themselves;
//! - the sidecar's `exec` announcer: [`process`] ends a program with all that it started;
//! - the sidecar's planned restart: [`handover`], by which its sockets reach the next process;
//! - the sidecar's keeper: [`precedence`], a mutex by which nobody urgent waits for somebody who does not run;
//! - its BFD thread: [`bfd`] (RFC 5881: TTL 255, source ports) and [`urgency`], which asks for precedence;
//! - whoever starts: [`lock`] refuses a second instance, which SO_REUSEPORT would let join in silence;
//!   [`descriptors`] raises what the process may open; [`own_addresses`] tells probes of this host from strangers.
//!
//! What it refuses: to know DNS or BGP, to decide anything, to log, to allocate after set-up on the path of a
//! datagram, and to spin: each wait has a bound, each datagram that the kernel will not send is counted and
//! dropped.
//!
//! A worker, whole:
//!
//! ```no_run
//! use std::time::Duration;
//! use pharos_netio::{Batch, Came, Inbox, MAX_SLOTS, Steering, UdpOptions, affinity, bind_group};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cpus = affinity::allowed_cpus()?;
//! let steering = Steering::ReceivingCpu { worker_cpus: &cpus };
//! let group = bind_group("192.0.2.53:53".parse()?, cpus.len(), steering, &UdpOptions::default())?;
//! for (socket, &cpu) in group.into_iter().zip(&cpus) {
//!     let mut inbox = Inbox::new(vec![socket], Duration::from_millis(100))?;
//!     std::thread::spawn(move || -> std::io::Result<()> {
//!         let _ = affinity::pin_current_thread(cpu);
//!         let mut batch = Batch::new(MAX_SLOTS, 4096, 4096);
//!         loop {
//!             // Here the heart beats and the stop flag is read.
//!             let Some(Came::Socket(_, socket)) = inbox.receive(&mut batch)? else { continue };
//!             batch.for_each(|slot| {
//!                 slot.reply[..2].copy_from_slice(b"ok");
//!                 slot.set_reply(2);
//!             });
//!             let _report = batch.send(socket);
//!         }
//!     });
//! }
//! # Ok(())
//! # }
//! ```

#[cfg(not(target_os = "linux"))]
compile_error!("pharos-netio speaks to the Linux kernel only");

mod addresses;
pub mod affinity;
mod batch;
pub mod bfd;
pub mod bgp;
mod buffers;
mod control;
pub mod descriptors;
mod error;
pub mod handover;
mod inbox;
pub mod lock;
pub mod markers;
pub mod memory;
mod peer;
pub mod poll;
pub mod precedence;
pub mod process;
mod report;
mod rhythm;
mod sys;
pub mod tcp;
mod udp;
pub mod urgency;
pub mod wire;
pub mod xdp;

pub use addresses::{addresses_of, own_addresses};
pub use batch::{Batch, Datagrams, MAX_SLOTS, Slot, Wait};
pub use error::NetError;
pub use inbox::{Came, Inbox};
pub use peer::{Arrival, Peer};
pub use report::SendReport;
pub use rhythm::{Connections, Shares};
pub use udp::{Freebind, ReusePort, Steering, UdpOptions, UdpSocket, bind_group};
