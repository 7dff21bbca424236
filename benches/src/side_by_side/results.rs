//! What was measured, as lines of JSON: written while a run goes on, read by the report.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{BenchError, cannot};

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Record {
    /// Where and with what the lines behind it were measured.
    Run(RunFigures),
    /// One load on one server.
    Load {
        case: String,
        server: String,
        round: u32,
        #[serde(flatten)]
        figures: LoadFigures,
    },
    /// How long answers took at one rate.
    Latency {
        case: String,
        server: String,
        round: u32,
        #[serde(flatten)]
        figures: LatencyFigures,
    },
    /// One start.
    Start {
        set: String,
        server: String,
        round: u32,
        #[serde(flatten)]
        figures: StartFigures,
    },
    /// How something grows: a point of a line of a panel of a plot.
    Scale { of: String, panel: String, line: String, x: f64, y: f64 },
    /// A piece of the server by itself: of several turns.
    Piece { name: String, median_ns: f64, least_ns: f64 },
    /// One reload.
    Reload {
        server: String,
        round: u32,
        #[serde(flatten)]
        figures: ReloadFigures,
    },
}

/// The circumstances of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RunFigures {
    /// Begin, in UTC.
    pub(super) date: String,
    /// The processor's name.
    pub(super) processor: String,
    /// Its cores.
    pub(super) cores: usize,
    /// The kernel's release.
    pub(super) kernel: String,
    /// What was measured of us: a commit.
    pub(super) commit: String,
    /// How often each figure was measured.
    pub(super) rounds: u32,
    /// How long each load lasted.
    pub(super) seconds: u64,
    /// `full` or `tiny`.
    pub(super) sizes: String,
    /// The servers and load tools, and what they say they are.
    pub(super) versions: BTreeMap<String, String>,
}

/// What a load tool saw.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Answered {
    /// Queries sent (or connections opened).
    pub(super) asked: u64,
    /// Answers received.
    pub(super) answered: u64,
    /// Answers by rcode.
    pub(super) rcodes: BTreeMap<String, u64>,
}

/// What a load cost the server's core.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct LoadFigures {
    /// What the tool saw.
    #[serde(flatten)]
    pub(super) answered: Answered,
    /// Answers a second.
    pub(super) per_second: f64,
    /// Time of the server's processes for each answer.
    pub(super) process_ns: f64,
    /// Time of the receive thread of its interface for each answer.
    pub(super) receive_ns: f64,
    /// How much of the processes' time is user space, in percent.
    pub(super) user_percent: f64,
    /// How busy server and receive thread kept the core, in percent of the load's time.
    pub(super) core_percent: f64,
    /// What else ran on that core, in percent of the time.
    pub(super) other_percent: f64,
}

impl LoadFigures {
    /// Queries that the tool sent a second, by its own count: fewer than wanted where its device holds it up.
    pub(super) fn sent_per_second(&self) -> f64 {
        self.answered.asked as f64 * self.per_second / self.answered.answered.max(1) as f64
    }

    /// The figure that is compared: all that an answer costs the server's core.
    pub(super) fn cpu_ns(&self) -> f64 {
        self.process_ns + self.receive_ns
    }
}

/// How long answers take, in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct LatencyFigures {
    /// Queries that were due.
    pub(super) asked: u64,
    /// Answers that came.
    pub(super) answered: u64,
    /// Half of the queries were answered within this time; nothing, if more were never.
    pub(super) p50_us: Option<f64>,
    /// 99 of 100.
    pub(super) p99_us: Option<f64>,
    /// 999 of 1000.
    pub(super) p999_us: Option<f64>,
    /// All answers.
    pub(super) max_us: f64,
    /// How late the client itself sent 99 of 100 queries at most; this is within the times above.
    pub(super) client_late_p99_us: f64,
    /// What the host took of the two cores meanwhile, in milliseconds.
    #[serde(default)]
    pub(super) stolen_ms: f64,
}

impl LatencyFigures {
    /// Queries without an answer, in percent.
    pub(super) fn lost_percent(&self) -> f64 {
        100.0 * (1.0 - self.answered as f64 / self.asked.max(1) as f64)
    }
}

/// A start on one core, files in the page cache.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct StartFigures {
    /// Until it has answered for its zones.
    pub(super) seconds: f64,
    /// Time on cores until nothing is left to do.
    pub(super) cpu_seconds: f64,
    /// Resident memory, shared pages counted by each process.
    pub(super) resident_mib: f64,
    /// Resident memory, shared pages divided.
    pub(super) proportional_mib: f64,
}

/// A reload of the changed big zone.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct ReloadFigures {
    /// From the order to the first answer with the new serial.
    pub(super) seconds: f64,
    /// Time on cores.
    pub(super) cpu_seconds: f64,
    /// The longest time between two answers, asked each millisecond.
    pub(super) longest_gap_ms: f64,
    /// The most memory on the way, shared pages divided.
    pub(super) peak_mib: f64,
}

/// A file that grows.
#[derive(Debug)]
pub(super) struct Results {
    path: PathBuf,
    file: File,
}

impl Results {
    /// A new file, or one that goes on.
    pub(super) fn open(path: &Path, begin: Begin) -> Result<Self, BenchError> {
        let failed = || cannot(format!("write {}", path.display()));
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(failed())?;
        }
        let mut options = File::options();
        options.create(true);
        match begin {
            Begin::Anew => options.write(true).truncate(true),
            Begin::GoOn => options.append(true),
        };
        Ok(Self { path: path.to_owned(), file: options.open(path).map_err(failed())? })
    }

    /// Writes a line. What is written stays, whatever happens later.
    pub(super) fn add(&mut self, record: &Record) -> Result<(), BenchError> {
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        self.file.write_all(&line).map_err(cannot(format!("write {}", self.path.display())))
    }
}

/// How a file of results begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begin {
    /// What was there is gone.
    Anew,
    /// Behind what is there.
    GoOn,
}

/// Reads a file.
pub(super) fn read(path: &Path) -> Result<Vec<Record>, BenchError> {
    let text = fs::read_to_string(path).map_err(cannot(format!("read {}", path.display())))?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|source| BenchError::Results {
                file: path.to_owned(),
                line: at + 1,
                source,
            })
        })
        .collect()
}
