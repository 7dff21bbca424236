//! What every long-running process of Pharos needs around its work, and nothing about DNS or BGP.
//!
//! - [`config`]: `pharos.yaml` and `site.yaml` as types, with errors that name file, line, column and cure;
//! - [`logging`]: one line per event on stderr, as text or JSON;
//! - [`http`]: the management server (`/metrics`, `/livez`, `/readyz`, `/status`) and a small client for it;
//! - [`control`]: the unix socket for everything that changes state, server and client;
//! - [`signals`]: SIGHUP, SIGTERM and SIGINT as a stream.
//!
//! The crate knows neither the responder nor the sidecar: the `pharos` command maps the configuration to
//! theirs and hands closures to the servers here. Everything that faces another process is bounded: line
//! lengths, header times, connections, reply sizes.
#![forbid(unsafe_code)]

pub mod config;
pub mod control;
pub mod http;
pub mod logging;
pub mod signals;
mod yaml;
