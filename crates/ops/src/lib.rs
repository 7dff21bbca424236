//! Configuration, logging, metrics and status over HTTP, control socket, signals.
#![forbid(unsafe_code)]
