//! Virtual clock, zone builders, clients and peers for tests; never published.
#![forbid(unsafe_code)]
