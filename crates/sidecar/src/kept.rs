//! Small files of the state directory, whole or not at all.
//!
//! What is written stands on the disk before it counts as written: beside the old file, synced, renamed over it, and the
//! directory synced. So a power cut leaves the one or the other. What is read is bounded, since a file that is no longer
//! ours may be anything. Callers: [`words`](crate::words) and [`flaps`](crate::flaps), on a thread that may wait for a disk.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pharos_netio::handover::moment;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The largest file that is read: ours have kilobytes.
const MOST_OCTETS: u64 = 4 << 20;

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct KeptFile {
    path: PathBuf,
}

impl KeptFile {
    /// The file of this name in a state directory, neither of which need exist yet.
    pub(crate) fn in_directory(directory: &Path, name: &str) -> Self {
        Self { path: directory.join(name) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was written last; nothing if nothing ever was. Whatever else is wrong is an error.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> io::Result<Option<T>> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut octets = Vec::new();
        file.take(MOST_OCTETS + 1).read_to_end(&mut octets)?;
        if octets.len() as u64 > MOST_OCTETS {
            return Err(io::Error::other(format!("it has more than {MOST_OCTETS} octets")));
        }
        serde_json::from_slice(&octets).map(Some).map_err(io::Error::other)
    }

    /// Writes it anew; it is on the disk when this returns.
    pub(crate) fn write(&self, content: &impl Serialize) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory)?;
        let mut text = serde_json::to_vec_pretty(content)?;
        text.push(b'\n');
        let fresh = self.path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&fresh, &self.path)?;
        // Only then has the rename come through a power cut.
        File::open(directory)?.sync_all()
    }

    /// Gives a file that cannot be read a second name, so that what replaces it does not destroy it. The first name stays:
    /// a process that ends before it has written finds it as this one did. Gives that name.
    pub(crate) fn set_aside(&self) -> io::Result<PathBuf> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".unreadable");
        let aside = PathBuf::from(name);
        match fs::remove_file(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::hard_link(&self.path, &aside)?;
        Ok(aside)
    }
}

/// A moment that a file tells of, by two clocks: while the host runs, the one that nobody sets counts, and after a boot the
/// wall clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// By the wall clock.
    unix_ms: u64,
    /// By the clock that all processes share from boot to boot.
    moment_ms: u64,
    /// The boot, as the kernel names it; empty where nobody said so, as a version before did not.
    #[serde(default)]
    boot: String,
}

impl Stamp {
    pub(crate) fn now() -> Self {
        Self { unix_ms: milliseconds(since_1970()), moment_ms: milliseconds(moment()), boot: boot() }
    }

    /// By the clock that all processes share.
    pub(crate) fn moment(&self) -> Duration {
        Duration::from_millis(self.moment_ms)
    }

    /// By the wall clock.
    pub(crate) fn unix(&self) -> Duration {
        Duration::from_millis(self.unix_ms)
    }

    /// What has gone by since, if it is `now`. A wall clock that was set takes nothing away.
    pub(crate) fn elapsed(&self, now: &Self) -> Duration {
        match now.moment().checked_sub(self.moment()) {
            Some(elapsed) if self.boot.is_empty() || now.boot == self.boot => elapsed,
            // Another boot. Since then at least the time of this one went by.
            _ => now.unix().saturating_sub(self.unix()).max(now.moment()),
        }
    }
}

/// The name of this boot: from the service manager where it gives it (`%b` of systemd), which may hide the kernel's file.
fn boot() -> String {
    let told = std::env::var("PHAROS_BOOT").ok().filter(|boot| !boot.is_empty());
    let boot =
        told.or_else(|| fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()).unwrap_or_default();
    // The one writes it with dashes, the other without.
    boot.trim().replace('-', "")
}

/// In whole milliseconds.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The wall clock.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_the_host_runs_no_wall_clock_counts_and_after_a_boot_none_takes_time_away() {
        let stamp = |unix: u64, moment: u64, boot: &str| Stamp {
            unix_ms: unix * 1000,
            moment_ms: moment * 1000,
            boot: boot.to_owned(),
        };
        let seconds = Duration::from_secs;
        let written = stamp(1_000_000, 5_000, "a");
        for unix in [0, 1_000_007, 9_000_000] {
            assert_eq!(written.elapsed(&stamp(unix, 5_007, "a")), seconds(7), "wall clock at {unix}");
        }
        assert_eq!(written.elapsed(&stamp(1_000_090, 30, "b")), seconds(90));
        assert_eq!(
            written.elapsed(&stamp(1_009_000, 5_007, "b")),
            seconds(9_000),
            "up for longer than the boot before"
        );
        assert_eq!(written.elapsed(&stamp(900_000, 30, "b")), seconds(30), "it went back");
        let unnamed = stamp(1_000_000, 5_000, "");
        assert_eq!(unnamed.elapsed(&stamp(9_000_000, 5_007, "a")), seconds(7), "of a version before");
        let now = Stamp::now();
        assert!(now.elapsed(&Stamp::now()) < seconds(60));
    }

    fn scratch(name: &str) -> (PathBuf, KeptFile) {
        let directory = std::env::temp_dir().join(format!("pharos-kept-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        let file = KeptFile::in_directory(&directory, "it.json");
        (directory, file)
    }

    #[test]
    fn what_is_written_is_read_and_what_never_was_is_nothing() {
        let (directory, file) = scratch("written");
        assert_eq!(file.read::<Vec<u32>>().unwrap(), None);
        file.write(&[1, 2, 3]).unwrap();
        assert_eq!(file.read::<Vec<u32>>().unwrap(), Some(vec![1, 2, 3]));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_keeps_a_second_name_when_it_is_replaced() {
        let (directory, file) = scratch("garbage");
        fs::create_dir_all(&directory).unwrap();
        for garbage in [&b""[..], b"[1,", b"\xff\xfe", b"{}"] {
            fs::write(file.path(), garbage).unwrap();
            file.read::<Vec<u32>>().unwrap_err();
            let aside = file.set_aside().unwrap();
            file.read::<Vec<u32>>().unwrap_err();
            file.write(&[7]).unwrap();
            assert_eq!(fs::read(aside).unwrap(), garbage);
            assert_eq!(file.read::<Vec<u32>>().unwrap(), Some(vec![7]));
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_is_too_long_to_be_ours_is_not_read_to_its_end() {
        let (directory, file) = scratch("long");
        fs::create_dir_all(&directory).unwrap();
        File::create(file.path()).unwrap().set_len(1 << 40).unwrap();
        assert!(file.read::<Vec<u32>>().unwrap_err().to_string().contains("more than"));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let (directory, file) = scratch("failed");
        file.write(&[1]).unwrap();
        let in_the_way = directory.join("it.new");
        fs::create_dir(&in_the_way).unwrap();
        file.write(&[2]).unwrap_err();
        assert_eq!(file.read::<Vec<u32>>().unwrap(), Some(vec![1]));
        fs::remove_dir_all(directory).unwrap();
    }
}
