//! The way of a line to stderr: a bounded queue and a thread that empties it.
//!
//! The threads that observe, decide and answer log too, so writing a line must never hold them up and never
//! end the process, whatever is at the other end of stderr: a full disk, a pipe that nobody reads, nobody. A
//! line is formatted where it arises and put into the queue; when that is full, or when the write fails, it is
//! lost and counted. As soon as a line can be written again, another one says how many were lost.
//!
//! Hand-rolled, in place of the crate tracing-appender, because that has no bound on its flush that we can
//! choose, does not count what its writes lose, and does not say in the log itself that lines are missing.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;
use tracing::Level;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::Format;

/// Lines that wait at most: about a megabyte. A burst of events fits, such as many zones refused at once; more
/// would only make the log later, not better.
const CAPACITY: usize = 4096;

/// Lines lost since the start of the process, in whichever way.
static LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    IntCounter::new("pharos_log_lines_lost_total", "Log lines that stderr did not take, or not in time.")
        .expect("the name is valid")
});

/// Counts lines that nobody will read.
pub(super) fn lost() -> &'static IntCounter {
    &LOST
}

/// The near end of the queue; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    format: Format,
    lines: SyncSender<Vec<u8>>,
    progress: Arc<Progress>,
}

/// How far both ends have come, in lines.
#[derive(Debug, Default)]
struct Progress {
    /// Put into the queue, taken out and dealt with.
    counts: Mutex<(u64, u64)>,
    dealt_with: Condvar,
}

impl Queue {
    /// A queue and the thread that writes its lines to `out`, for as long as there is a near end.
    pub(super) fn start(format: Format, out: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(CAPACITY);
        let progress = Arc::new(Progress::default());
        let drain = Drain { format, out, progress: Arc::clone(&progress), torn: Torn::No, told: LOST.get() };
        std::thread::Builder::new().name("pharos-log".to_owned()).spawn(move || drain.run(&waiting))?;
        Ok(Self { format, lines, progress })
    }

    /// Takes a line, or loses it; either way at once.
    pub(super) fn put(&self, line: &[u8]) {
        let line = line.to_vec();
        // One count for each line in the queue, in its order; the lock is never held while anything waits.
        let mut counts = self.progress.lock();
        match self.lines.try_send(line) {
            Ok(()) => counts.0 += 1,
            Err(_) => LOST.inc(),
        }
    }

    /// A line that does not come from tracing.
    pub(super) fn note(&self, level: Level, text: &str) {
        self.put(note(self.format, level, text).as_bytes());
    }

    /// Waits until what this thread has put is dealt with, but no longer than `bound`.
    pub(super) fn flush(&self, bound: Duration) {
        let counts = self.progress.lock();
        let until = counts.0;
        let behind = |(_, done): &mut (u64, u64)| *done < until;
        drop(self.progress.dealt_with.wait_timeout_while(counts, bound, behind));
    }
}

/// tracing-subscriber writes each line whole, by one call.
impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Progress {
    fn lock(&self) -> std::sync::MutexGuard<'_, (u64, u64)> {
        // Two numbers are whole at any time.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the last line that failed was written in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Torn {
    No,
    Yes,
}

/// The far end: the only one that may wait for stderr.
struct Drain<W> {
    format: Format,
    out: W,
    progress: Arc<Progress>,
    torn: Torn,
    /// How many lost lines the log itself has told of.
    told: u64,
}

impl<W: Write> Drain<W> {
    fn run(mut self, waiting: &Receiver<Vec<u8>>) {
        while let Ok(line) = waiting.recv() {
            match self.write(&line) {
                Ok(()) => self.tell_losses(),
                Err(_) => LOST.inc(),
            }
            self.progress.lock().1 += 1;
            self.progress.dealt_with.notify_all();
        }
    }

    /// Says how many lines are missing, now that there is room again.
    fn tell_losses(&mut self) {
        let lost = LOST.get();
        if lost > self.told {
            let text = format!("{} log lines were lost", lost - self.told);
            if self.write(note(self.format, Level::WARN, &text).as_bytes()).is_ok() {
                self.told = lost;
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn == Torn::Yes {
            self.out.write_all(b"\n")?;
            self.torn = Torn::No;
        }
        let mut rest = line;
        while !rest.is_empty() {
            let written = match self.out.write(rest) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other,
            };
            match written {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) => {
                    if rest.len() < line.len() {
                        self.torn = Torn::Yes;
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// A line of our own, looking like the others.
fn note(format: Format, level: Level, text: &str) -> String {
    let mut time = String::new();
    // A String takes everything.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match format {
        Format::Text => format!("{time} {level:>5} {text}\n"),
        Format::Json => {
            let level = level.as_str();
            let line = serde_json::json!({"timestamp": time, "level": level, "message": text});
            format!("{line}\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// Far beyond what anything here takes; against hanging only.
    const GUARD: Duration = Duration::from_secs(60);

    /// The counter is the whole process's; whoever reads it must be alone.
    static ALONE: Mutex<()> = Mutex::new(());

    /// Asks for what to do with each write, and keeps what was written.
    struct Scripted {
        orders: Receiver<io::Result<usize>>,
        written: Sender<String>,
    }

    impl Write for Scripted {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let count = self.orders.recv().unwrap_or(Ok(usize::MAX))?.min(octets.len());
            let _ = self.written.send(String::from_utf8_lossy(&octets[..count]).into_owned());
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn scripted(format: Format) -> (Queue, Sender<io::Result<usize>>, Receiver<String>) {
        let (order, orders) = channel();
        let (written, seen) = channel();
        (Queue::start(format, Scripted { orders, written }).unwrap(), order, seen)
    }

    #[test]
    fn a_full_queue_loses_lines_at_once_counts_them_and_says_so_when_there_is_room() {
        let _alone = ALONE.lock();
        let before = LOST.get();
        let (queue, order, seen) = scripted(Format::Text);
        // The thread takes one line and stands; the queue takes its capacity, give or take that one.
        for line in 0..CAPACITY + 10 {
            queue.put(format!("{line}\n").as_bytes());
        }
        let lost = LOST.get() - before;
        assert!((9..=10).contains(&lost), "{lost}");
        queue.flush(Duration::from_millis(1));
        drop(order);
        queue.flush(GUARD);
        let text: Vec<String> = seen.try_iter().collect();
        assert_eq!(text[0], "0\n");
        assert!(text[1].ends_with(&format!(" WARN {lost} log lines were lost\n")), "{}", text[1]);
        assert_eq!(text.len() as u64, (CAPACITY + 10 + 1) as u64 - lost, "told once");
    }

    #[test]
    fn a_write_that_fails_loses_its_line_and_a_torn_one_ends_before_the_next() {
        let _alone = ALONE.lock();
        let before = LOST.get();
        let (queue, order, seen) = scripted(Format::Json);
        let full = || Err(io::ErrorKind::StorageFull.into());
        for wanted in [full(), Ok(2), full()] {
            order.send(wanted).unwrap();
        }
        drop(order);
        for line in ["one\n", "two\n", "three\n"] {
            queue.put(line.as_bytes());
        }
        queue.flush(GUARD);
        assert_eq!(LOST.get() - before, 2);
        let text: Vec<String> = seen.try_iter().collect();
        assert_eq!(text[..3], ["tw", "\n", "three\n"]);
        let told: serde_json::Value = serde_json::from_str(&text[3]).unwrap();
        assert_eq!((&told["level"], &told["message"]), (&"WARN".into(), &"2 log lines were lost".into()));
    }
}
