//! The recorder: everything that the policy hears, into a bounded pair of files.
//!
//! "What would this setting have done last night?" needs last night's signals, so they are always kept, in the
//! form of [`pharos_policy::trace`]. The keeper hands each input over without waiting: a queue that is full
//! loses inputs, which the trace then says. A thread of its own writes. When a file has half of the size that
//! both may have, it takes the name with `.1` and another is begun, with how things stand at that moment, so
//! that it can be read without the one before; one that begins with nearly as much, or more, has an eighth of its half for what
//! follows. What is written is on the disk within a second, whatever ends the process.
//!
//! In a planned restart the next process begins its file when the one before has ended, with how things stood when it took
//! the policy over, and with all that it has heard since: a replay misses nothing in between.
//!
//! A disk that is full or gone is an alarm, and what could not be written is said in the trace once it can be.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pharos_policy::AlarmId;
use pharos_policy::policy::{Input, Output};
use pharos_policy::trace::{Begin, Line, Standing, VERSION, Writer, micros};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use crate::config::RecordConfig;
use crate::keeper::Keeper;
use crate::kept::since_1970;
use crate::threads::Stopping;

/// Inputs that may wait for the disk: seconds of a busy node, and bounded in memory.
const WAITING: usize = 16 * 1024;

/// How long written lines may stay in memory: the last line of a process that was killed is no older.
const FLUSH: Duration = Duration::from_secs(1);

/// From one attempt to write to the next, while the disk refuses.
const AGAIN: Duration = Duration::from_secs(10);

/// Something to write down.
#[derive(Debug)]
pub(crate) enum Note {
    /// An input, with its time.
    Heard(Duration, Input),
    /// What the policy made of it.
    Made(Duration, Output),
}

impl Note {
    fn at(&self) -> Duration {
        match self {
            Self::Heard(at, _) | Self::Made(at, _) => *at,
        }
    }
}

/// The keeper's end: never waits.
#[derive(Debug)]
pub(crate) struct Recorder {
    notes: mpsc::Sender<Note>,
    lost: u64,
    life: u64,
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Tape {
    notes: mpsc::Receiver<Note>,
    config: RecordConfig,
    node: String,
    life: u64,
    /// The life of the process whose place this one takes.
    goes_on_from: Option<u64>,
    /// How things stood when it took them over, until that is written.
    taken_over: Option<Beginning>,
}

/// How things stood at a moment, by both clocks.
#[derive(Debug)]
struct Beginning {
    at: Duration,
    unix: Duration,
    standing: Box<Standing>,
}

impl Beginning {
    fn now(keeper: &Keeper) -> Self {
        let unix = since_1970();
        let (at, standing) = keeper.standing();
        Self { at, unix, standing: Box::new(standing) }
    }
}

/// Both ends.
pub(crate) fn pair(config: RecordConfig, node: String) -> (Recorder, Tape) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let life = micros(since_1970());
    let recorder = Recorder { notes: sender, lost: 0, life };
    (recorder, Tape { notes: receiver, config, node, life, goes_on_from: None, taken_over: None })
}

impl Recorder {
    /// What tells the lines of this process from those of others.
    pub(crate) fn life(&self) -> u64 {
        self.life
    }

    /// Notes an input; to be called in the order of their times.
    pub(crate) fn heard(&mut self, at: Duration, input: &Input) {
        if *input != Input::Tick {
            self.note(Note::Heard(at, input.clone()));
        }
    }

    /// Notes what came of it.
    pub(crate) fn made(&mut self, at: Duration, output: &Output) {
        if matches!(output, Output::Level { .. }) {
            self.note(Note::Made(at, output.clone()));
        }
    }

    fn note(&mut self, note: Note) {
        if self.notes.try_send(note).is_err() {
            self.lost += 1;
        }
    }

    /// Counts what was handed over and not written.
    pub(crate) fn lose(&mut self, count: u64) {
        self.lost += count;
    }

    /// Notes that could not be handed over since this was last asked.
    pub(crate) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

/// The file that is being written.
struct Reel {
    file: BufWriter<File>,
    octets: u64,
    /// How many of them say how things stood when it was begun.
    beginning: u64,
    writer: Writer,
}

impl Reel {
    /// Goes on where a file ends, or begins it.
    fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
        let octets = file.metadata()?.len();
        let torn = octets > 0 && {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            last != *b"\n"
        };
        let mut reel = Self { file: BufWriter::new(file), octets, beginning: 0, writer: Writer::new() };
        if torn {
            // The line that a crash tore ends here, and only it is lost.
            reel.write(b"\n")?;
        }
        Ok(reel)
    }

    /// Whether it has the half that is its own. After a long beginning there is room for some notes all the same: else each
    /// note would begin another file.
    fn is_full(&self, half: u64) -> bool {
        self.octets >= half.max(self.beginning.saturating_add(half / 8))
    }

    fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.file.write_all(octets)?;
        self.octets += u64::try_from(octets.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.write(&text)
    }

    fn note(&mut self, note: &Note) -> io::Result<()> {
        match note {
            Note::Heard(at, input) => {
                for line in self.writer.lines(*at, input) {
                    self.line(&line)?;
                }
                Ok(())
            }
            Note::Made(at, Output::Level { prefix, to, .. }) => {
                self.line(&Line::Moved(micros(*at), *prefix, *to))
            }
            Note::Made(..) => Ok(()),
        }
    }
}

/// Writes down what the keeper hears, until the order to stop; what waits then is written first.
pub(crate) async fn run(keeper: Arc<Keeper>, mut tape: Tape, mut stopping: Stopping) {
    loop {
        let Err(error) = tape.write(&keeper, &mut stopping).await else { return };
        let text = format!("{}: {error}; signals are not recorded", tape.config.path.display());
        keeper.take(Input::Raise { alarm: AlarmId::NotRecording, text });
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            _ = stopping.ordered() => return,
        }
        // What waited meanwhile is stale and may be most of what was heard: the gap is said instead.
        let mut missed = 0;
        while tape.notes.try_recv().is_ok() {
            missed += 1;
        }
        keeper.lost_notes(missed);
    }
}

impl Tape {
    /// The keeper goes on from what the process before has left, whose life this was if it recorded. To be called before
    /// anything is heard.
    pub(crate) fn goes_on(&mut self, from: Option<u64>, keeper: &Keeper) {
        self.goes_on_from = from;
        self.taken_over = Some(Beginning::now(keeper));
    }

    /// Ends with the order to stop, or with an error.
    async fn write(&mut self, keeper: &Keeper, stopping: &mut Stopping) -> io::Result<()> {
        let half = self.config.octets / 2;
        if fs::metadata(&self.config.path).is_ok_and(|file| file.len() >= half) {
            fs::rename(&self.config.path, older(&self.config.path))?;
        }
        let mut reel = self.begin(keeper, None)?;
        reel.file.flush()?;
        keeper.take(Input::Clear { alarm: AlarmId::NotRecording });
        let mut flush = tokio::time::interval(FLUSH);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let note = tokio::select! {
                note = self.notes.recv() => note,
                _ = flush.tick() => {
                    reel.file.flush()?;
                    continue;
                }
                _ = stopping.ordered() => {
                    while let Ok(note) = self.notes.try_recv() {
                        reel.note(&note)?;
                    }
                    return reel.file.flush();
                }
            };
            let Some(note) = note else { return reel.file.flush() };
            reel.note(&note)?;
            let lost = keeper.take_lost_notes();
            if lost > 0 {
                reel.line(&Line::Gap(micros(note.at()), lost))?;
            }
            if reel.is_full(half) {
                reel = self.begin(keeper, Some(reel))?;
            }
        }
    }

    /// Begins with how things stand; a file that is full ends with what was heard before that moment.
    fn begin(&mut self, keeper: &Keeper, full: Option<Reel>) -> io::Result<Reel> {
        let mut after = None;
        let mut before = Vec::new();
        let Beginning { at, unix, standing } = match self.taken_over.take() {
            // All notes are of the time since then.
            Some(beginning) => beginning,
            None => {
                let beginning = Beginning::now(keeper);
                while let Ok(note) = self.notes.try_recv() {
                    if note.at() > beginning.at {
                        after = Some(note);
                        break;
                    }
                    before.push(note);
                }
                beginning
            }
        };
        if let Some(mut full) = full {
            for note in &before {
                full.note(note)?;
            }
            full.file.flush()?;
            fs::rename(&self.config.path, older(&self.config.path))?;
        }
        let mut reel = Reel::open(&self.config.path)?;
        let before = reel.octets;
        reel.line(&Line::Begin(Begin {
            version: VERSION,
            node: self.node.clone(),
            life: self.life,
            at_us: micros(at),
            unix_us: micros(unix),
            goes_on_from: self.goes_on_from,
        }))?;
        reel.line(&Line::State(micros(at), standing))?;
        reel.beginning = reel.octets - before;
        if let Some(note) = after {
            reel.note(&note)?;
        }
        Ok(reel)
    }
}

/// The name of the file before this one.
pub fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_file_has_the_same_name_and_a_number() {
        assert_eq!(older(Path::new("/a/signals.jsonl")), PathBuf::from("/a/signals.jsonl.1"));
    }

    #[test]
    fn a_long_beginning_leaves_room_for_notes() {
        let path = std::env::temp_dir().join(format!("pharos-record-full-{}.jsonl", std::process::id()));
        let reel = Reel::open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let mut reel = Reel { octets: 799, beginning: 10, ..reel };
        assert!(!reel.is_full(800));
        reel.octets = 800;
        assert!(reel.is_full(800));
        (reel.octets, reel.beginning) = (1099, 1000);
        assert!(!reel.is_full(800), "it would begin with as much again");
        reel.octets = 1100;
        assert!(reel.is_full(800));
    }

    #[test]
    fn a_line_that_a_crash_tore_costs_no_other() {
        let path = std::env::temp_dir().join(format!("pharos-record-{}.jsonl", std::process::id()));
        fs::write(&path, "{\"pass\":[1,1]}\n{\"pa").unwrap();
        let mut reel = Reel::open(&path).unwrap();
        reel.line(&Line::Pass(2, 1)).unwrap();
        reel.file.flush().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(text, "{\"pass\":[1,1]}\n{\"pa\n{\"pass\":[2,1]}\n");
        assert_eq!(reel.octets, u64::try_from(text.len()).unwrap());
    }
}
