//! The one crate with unsafe code: sockets, options, batches of datagrams.
