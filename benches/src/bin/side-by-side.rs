//! Pharos beside other name servers; `benches/side-by-side` builds and runs this.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use pharos_benches::side_by_side::{Cli, main as measure};

fn main() -> ExitCode {
    match measure(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
