//! The zone of a million records, pushed with another serial and other contents each time.
//!
//! Two issues of it are written before anything is measured. A push is a file that has the next serial and the rest of
//! one issue, copied by the kernel, and renamed over the one before: so pushes cost the machine a copy, as rsync's do, and
//! not a million formatted lines.

use crate::lab::Workspace;
use crate::load::{Generation, World};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How many it has.
const RECORDS: u32 = 1_000_000;
const FILE: &str = "big.test.zone";

/// Its issues, and where they are pushed to.
#[derive(Debug)]
pub(super) struct BigZone {
    issues: [Issue; 2],
    zones: PathBuf,
    serial: u32,
}

/// One issue: the lines up to the SOA record, which holds the serial, and where the rest begins.
#[derive(Debug)]
struct Issue {
    file: PathBuf,
    generation: Generation,
    head: String,
    rest: u64,
}

impl BigZone {
    /// Writes the zone for the first start, with serial 1, and the small one that its aliases lead through.
    pub(super) fn first(zones: &Path) {
        World::new(zones, RECORDS).write(1).expect("the lab's own directory can be written");
    }

    /// Prepares what will be pushed into `zones`.
    pub(super) fn prepare(workspace: &Workspace, zones: &Path) -> Self {
        let issues = [1, 2].map(|generation: Generation| {
            let directory = workspace.join(&format!("issue-{generation}"));
            let issue = fs::create_dir_all(&directory)
                .and_then(|()| World::new(&directory, RECORDS).write(generation))
                .and_then(|()| Issue::read(directory.join(FILE), generation));
            issue.expect("the lab's own directory can be written")
        });
        Self { issues, zones: zones.to_owned(), serial: 1 }
    }

    /// The serial that was pushed last.
    pub(super) fn serial(&self) -> u32 {
        self.serial
    }

    /// Pushes the next.
    pub(super) fn push(&mut self) {
        self.serial += 1;
        let [first, second] = &self.issues;
        let issue = if self.serial.is_multiple_of(2) { second } else { first };
        // Without the ending that makes it a zone.
        let new = self.zones.join(format!("{FILE}.new"));
        let pushed = issue.write(self.serial, &new).and_then(|()| fs::rename(&new, self.zones.join(FILE)));
        pushed.expect("the lab's own directory can be written");
    }
}

impl Issue {
    fn read(file: PathBuf, generation: Generation) -> io::Result<Self> {
        let mut lines = BufReader::new(File::open(&file)?);
        let mut head = String::new();
        while !head.contains(" SOA ") && lines.read_line(&mut head)? > 0 {}
        let rest = u64::try_from(head.len()).map_err(io::Error::other)?;
        Ok(Self { file, generation, head, rest })
    }

    fn write(&self, serial: u32, to: &Path) -> io::Result<()> {
        let mut from = File::open(&self.file)?;
        from.seek(SeekFrom::Start(self.rest))?;
        let mut to = File::create(to)?;
        let [mine, wanted] = [u32::from(self.generation), serial].map(|serial| format!(" host {serial} "));
        assert!(self.head.contains(&mine), "the serial stands after the mailbox: {}", self.head);
        to.write_all(self.head.replace(&mine, &wanted).as_bytes())?;
        io::copy(&mut from, &mut to).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_has_another_serial_and_the_rest_of_its_issue() {
        let workspace = Workspace::new("big");
        let world = World::new(workspace.path(), 1000);
        world.write(2).unwrap();
        let written = fs::read_to_string(workspace.join(FILE)).unwrap();
        let issue = Issue::read(workspace.join(FILE), 2).unwrap();
        let pushed = workspace.join("pushed");
        issue.write(77, &pushed).unwrap();
        let pushed = fs::read_to_string(pushed).unwrap();
        assert_eq!(pushed, written.replacen(" host 2 ", " host 77 ", 1));
        assert_ne!(pushed, written);
    }
}
