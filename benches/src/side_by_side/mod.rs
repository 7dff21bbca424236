//! Pharos side by side with other authoritative servers: what an answer costs a core, how soon a server is up, what
//! its zones take in memory, how a reload goes. `benches/side-by-side` is the one command.
//!
//! How a figure is made:
//! - Each server has a room of its own, two network namespaces and a veth pair. All servers of a set of zones
//!   are up at once, and the load goes round them, again and again: what disturbs the machine disturbs all alike. What
//!   counts is the ratio of medians within one run; absolute times drift with the machine.
//! - The server and the kernel's receive thread of its interface run on one core, the load on another one. **CPU ns per
//!   answer** is what both have used meanwhile, by the scheduler's count, divided by the answers that arrived: the
//!   receiving and sending of the kernel, and the server.
//! - *Other load* is what else ran on the server's core meanwhile. A round with much of it tells little.
//!
//! `cases` is the table of what is measured, `servers` that of the servers; `run` goes through them and writes
//! `results`, from which `report` makes docs/performance.md. `pieces` measures parts of the server by themselves, `scale` how it grows,
//! and `plots` draws that.
//!
//! What it refuses: to send anything outside of its namespaces, to judge tests, and to touch servers that it did not
//! start.

mod cases;
mod data;
mod error;
mod figures;
mod latency;
mod load;
mod machine;
mod pieces;
mod plots;
mod probe;
mod proc;
mod report;
mod results;
mod room;
mod run;
mod running;
mod scale;
mod servers;
mod svg;
mod targets;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use data::{Data, Sizes};
pub use error::BenchError;

/// Measure Pharos and other name servers on this machine.
#[derive(Debug, Parser)]
#[command(name = "side-by-side", max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Order,
}

#[derive(Debug, Subcommand)]
enum Order {
    /// Measure, and write the results.
    Run(Run),
    /// Make the zones and queries for a run.
    Data(Sets),
    /// Make the page from results.
    Report(Report),
    /// Measure pieces of the server by themselves, in this process.
    Pieces(Pieces),
    /// Measure how time and memory grow.
    Scale(Scale),
    /// Draw the plots from the results of `scale`.
    Plots(Plots),
}

/// Which pieces.
#[derive(Debug, Args)]
struct Pieces {
    /// Only those with these words in their names.
    #[arg(long, default_value = "", value_name = "WORDS")]
    only: String,
    /// Where the results go.
    #[arg(long, default_value = "benches/results/pieces.jsonl", value_name = "FILE")]
    results: PathBuf,
}

/// What shall grow, and how far.
#[derive(Debug, Args)]
struct Scale {
    /// Any of depth, wildcards, workers, connections, zones, signed, records; all of them without this.
    #[arg(long, value_delimiter = ',', value_name = "FAMILY,...")]
    families: Vec<String>,
    /// The most records, and ten times the most zones.
    #[arg(long, default_value_t = 10_000_000)]
    most_records: u32,
    /// Where zones are made.
    #[arg(long, default_value = "target/side-by-side", value_name = "DIR")]
    data: PathBuf,
    /// Where the results go.
    #[arg(long, default_value = "benches/results/scale.jsonl", value_name = "FILE")]
    results: PathBuf,
    /// Add to the results that are there.
    #[arg(long)]
    go_on: bool,
    /// The core of the server.
    #[arg(long, default_value_t = 0)]
    server_core: u16,
    /// The core of the load.
    #[arg(long, default_value_t = 1)]
    load_core: u16,
}

/// What to draw.
#[derive(Debug, Args)]
struct Plots {
    /// The results.
    #[arg(long, default_value = "benches/results/scale.jsonl", value_name = "FILE")]
    results: PathBuf,
    /// Where the pictures go.
    #[arg(long, default_value = "docs/plots", value_name = "DIR")]
    directory: PathBuf,
}

/// Zones and queries.
#[derive(Debug, Args)]
struct Sets {
    /// How much is in the zones.
    #[arg(long, value_enum, default_value_t = Size::Full)]
    size: Size,
    /// Where zones and queries are made, and kept for the next run.
    #[arg(long, default_value = "target/side-by-side", value_name = "DIR")]
    data: PathBuf,
}

/// What to make the page of.
#[derive(Debug, Args)]
struct Report {
    /// The results.
    #[arg(long, default_value = "benches/results/side-by-side.jsonl", value_name = "FILE")]
    results: PathBuf,
    /// The text around the tables.
    #[arg(long, default_value = "benches/performance.template.md", value_name = "FILE")]
    template: PathBuf,
    /// The page.
    #[arg(long, default_value = "docs/performance.md", value_name = "FILE")]
    page: PathBuf,
}

/// What to measure, and how often.
#[derive(Debug, Args)]
struct Run {
    /// Rows, by name or by its beginning, like `udp` or `start-big`; all of them without this.
    #[arg(long, value_delimiter = ',', value_name = "ROW,...")]
    rows: Vec<String>,
    /// Servers; all that are installed without this.
    #[arg(long, value_delimiter = ',', value_name = "SERVER,...")]
    servers: Vec<String>,
    /// How often each figure is measured; the medians are shown.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// How long each load lasts, in seconds.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    #[command(flatten)]
    sets: Sets,
    /// One round of one second each: a look, not a measurement.
    #[arg(long)]
    quick: bool,
    /// Where the results go.
    #[arg(long, default_value = "benches/results/side-by-side.jsonl", value_name = "FILE")]
    results: PathBuf,
    /// Add to the results that are there; of rows that were measured before, these are told.
    #[arg(long)]
    go_on: bool,
    /// The core of the servers.
    #[arg(long, default_value_t = 0)]
    server_core: u16,
    /// The core of the load.
    #[arg(long, default_value_t = 1)]
    load_core: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Size {
    /// What the published figures are made with.
    Full,
    /// Enough to see that everything works.
    Tiny,
}

impl Sets {
    fn sizes(&self) -> Sizes {
        if self.size == Size::Tiny { Sizes::TINY } else { Sizes::FULL }
    }

    fn open(&self) -> Result<Data, BenchError> {
        Ok(Data::new(&self.directory()?, self.sizes()))
    }

    /// Absolute: servers have working directories of their own.
    fn directory(&self) -> Result<PathBuf, BenchError> {
        std::path::absolute(&self.data).map_err(error::cannot("find the directory of data"))
    }
}

/// Does what the command line asks for.
///
/// # Errors
/// Whatever keeps the whole from being done. A server that fails is left out, and said so.
pub fn main(cli: Cli) -> Result<(), BenchError> {
    match cli.command {
        Order::Run(options) => run::run(&options),
        Order::Data(sets) => {
            let data = sets.open()?;
            data::Set::ALL.into_iter().try_for_each(|set| data.make(set))
        }
        Order::Pieces(options) => pieces::run(&options),
        Order::Scale(options) => scale::run(&options),
        Order::Plots(options) => plots::write(&options.results, &options.directory),
        Order::Report(options) => report::write(&options.results, &options.template, &options.page),
    }
}
