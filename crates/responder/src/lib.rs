//! UDP workers, TCP listener, reload, health and counters.
#![forbid(unsafe_code)]
