//! Sans-I/O protocol machines: the announce-only BGP-4 session.
#![forbid(unsafe_code)]
