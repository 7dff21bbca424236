//! The `pharos` command.
#![forbid(unsafe_code)]

fn main() {}
