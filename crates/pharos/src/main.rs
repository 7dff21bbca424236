//! The `pharos` command: reads the command line, sets up logging, runs one subcommand, and turns how it ended
//! into words on stderr and an exit code.
//!
//! [`serve`] and [`announce`] run the two processes of a node, [`demo`] both of them with a router in one,
//! [`client`] talks to them from outside, [`explain`] answers one query by itself, [`check_config`] and [`zone`] stop
//! after the check. [`map`] is the one place that knows both the configuration files and what responder and sidecar
//! take.
#![forbid(unsafe_code)]

mod announce;
mod check_config;
mod cli;
mod client;
mod demo;
mod explain;
mod failure;
mod files;
mod map;
mod orders;
mod print;
mod serve;
mod service;
mod simulate;
mod successor;
mod view;
mod zone;

use clap::Parser as _;
use cli::{Cli, Command, Zone};
use failure::Failure;
use pharos_ops::config::reference;
use pharos_ops::logging;
use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // The demo shows events in its own words; everything else logs what a person may need.
    let default_level = if matches!(cli.command, Command::Demo(_)) { "off" } else { "info" };
    let logging = match logging::init(cli.log.log_format, cli.log.log_level.as_deref(), default_level) {
        Ok(logging) => logging,
        Err(error) => {
            let failure = Failure::usage(error.to_string());
            // Nobody may read stderr any more; the exit code still tells.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            return failure.exit_code();
        }
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // After the log's lines, and like them without waiting for ever: a service that failed must end, so
            // that it can be started anew.
            logging.say(&format!("error: {failure}"));
            failure.exit_code()
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::CheckConfig(args) => check_config::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Zone(Zone::Check(args)) => zone::check(args),
        Command::Zone(Zone::Print(args)) => zone::print(args),
        Command::Explain(args) => explain::run(args),
        Command::ConfigReference => {
            print::say(&reference::markdown());
            Ok(())
        }
        Command::Serve(args) => on_runtime(serve::run(args)),
        Command::Announce(args) => on_runtime(announce::run(args)),
        Command::Demo(args) => on_runtime(demo::run(args)),
        Command::Status(args) => on_runtime(client::status(args)),
        Command::Why(args) => on_runtime(client::why(args)),
        Command::Drain(args) => on_runtime(client::drain(args)),
        Command::Undrain(args) => on_runtime(client::undrain(args)),
        Command::Hold(args) => on_runtime(client::hold(args)),
        Command::Force(args) => on_runtime(client::force(args)),
        Command::Release(args) => on_runtime(client::release(args)),
        Command::Reload(args) => on_runtime(client::reload(args)),
        Command::HandOver(args) => on_runtime(client::hand_over(args)),
    }
}

/// Management pages, control sockets and the demo's collector need little; queries and probes have threads of
/// their own.
fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("pharos-desk")
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(work);
    // What was to be waited for has been. A reload that still runs, in a file that may never end, is not.
    runtime.shutdown_background();
    outcome
}
