//! Names, header, question, EDNS and a message writer over borrowed octets; no allocation.
#![forbid(unsafe_code)]
