//! What is noted beside an image: from what files it was made, by which checks, and what they found.
//!
//! Lines of text, so that a person can read them in a hex dump; one that cannot be read makes the image useless.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use pharos_zone::digest::DIGEST_OCTETS;
use pharos_zone::dnssec::{Broken, Checks, Signatures};

use crate::status::SignedStatus;
use crate::zones::hexadecimal;
use crate::zones::zone::Stamp;

/// The program whose checks accepted the zone: another one may check more, or compile otherwise. Two builds of one version
/// may, too, so its sources are told as well (`build.rs`).
const PROGRAM: &str = concat!(env!("CARGO_PKG_VERSION"), " ", env!("PHAROS_MAKERS"));

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::zones) struct Note {
    program: String,
    /// The zone file and those that it includes; none if they cannot be written down.
    pub(in crate::zones) files: Vec<(PathBuf, Option<Stamp>)>,
    pub(in crate::zones) digest: [u8; DIGEST_OCTETS],
    verify: Signatures,
    broken: Broken,
    pub(in crate::zones) warnings: u64,
    pub(in crate::zones) signed: Option<SignedStatus>,
}

impl Note {
    pub(in crate::zones) fn new(
        files: Vec<(PathBuf, Option<Stamp>)>,
        digest: [u8; DIGEST_OCTETS],
        checks: &Checks,
        warnings: u64,
        signed: Option<&SignedStatus>,
    ) -> Self {
        let (verify, broken) = (checks.signatures, checks.broken);
        let (program, signed) = (PROGRAM.to_owned(), signed.cloned());
        Self { program, files, digest, verify, broken, warnings, signed }
    }

    /// Whether the files are those of the zone file at `path`, and are as they were.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        self.files.first().is_some_and(|(file, _)| file == path)
            && self.files.iter().all(|(file, stamp)| stamp.is_some() && Stamp::of(file) == *stamp)
    }

    /// Whether this very program accepted the zone, by no fewer checks than these.
    pub(super) fn satisfies(&self, checks: &Checks) -> bool {
        let verified = self.signed.is_none()
            || self.verify == Signatures::All
            || self.verify == checks.signatures
            || checks.signatures == Signatures::None;
        let refused = self.broken == Broken::Refuse || checks.broken == Broken::Serve;
        self.program == PROGRAM && verified && refused
    }

    pub(super) fn to_octets(&self) -> Vec<u8> {
        let mut text = format!("program {}\ndigest {}\n", self.program, hexadecimal(&self.digest));
        // Writing to text cannot fail.
        let _ = match self.verify {
            Signatures::All => writeln!(text, "verify all"),
            Signatures::OneIn(number) => writeln!(text, "verify {number}"),
            Signatures::None => writeln!(text, "verify none"),
        };
        let _ = writeln!(text, "broken {}", if self.broken == Broken::Refuse { "refuse" } else { "serve" });
        let _ = writeln!(text, "warnings {}", self.warnings);
        if let Some(signed) = &self.signed {
            let _ = writeln!(
                text,
                "signed {} {} {} {} {} {}",
                signed.earliest_expiry_unix,
                signed.latest_inception_unix,
                signed.signatures,
                signed.verified,
                signed.unverifiable,
                signed.earliest_expiry_record
            );
        }
        let plain = |path: &Path| path.to_str().is_some_and(|path| !path.contains('\n'));
        if self.files.iter().all(|(path, _)| plain(path)) {
            for (path, stamp) in &self.files {
                let stamp = stamp.as_ref().map_or("-".to_owned(), Stamp::text);
                let _ = writeln!(text, "file {stamp} {}", path.display());
            }
        }
        text.into_bytes()
    }

    pub(super) fn from_octets(octets: &[u8]) -> Option<Self> {
        let mut note = Self {
            program: String::new(),
            files: Vec::new(),
            digest: [0; DIGEST_OCTETS],
            verify: Signatures::None,
            broken: Broken::Serve,
            warnings: 0,
            signed: None,
        };
        for line in std::str::from_utf8(octets).ok()?.lines() {
            let (what, rest) = line.split_once(' ')?;
            match what {
                "program" => note.program = rest.to_owned(),
                "digest" => note.digest = digest(rest)?,
                "verify" => {
                    note.verify = match rest {
                        "all" => Signatures::All,
                        "none" => Signatures::None,
                        number => Signatures::OneIn(number.parse().ok()?),
                    }
                }
                "broken" => note.broken = if rest == "refuse" { Broken::Refuse } else { Broken::Serve },
                "warnings" => note.warnings = rest.parse().ok()?,
                "signed" => note.signed = Some(signed(rest)?),
                "file" => {
                    let (stamp, path) = rest.split_once(' ')?;
                    let stamp = if stamp == "-" { None } else { Some(Stamp::from_text(stamp)?) };
                    note.files.push((path.into(), stamp));
                }
                _ => return None,
            }
        }
        Some(note)
    }
}

fn digest(text: &str) -> Option<[u8; DIGEST_OCTETS]> {
    let mut digest = [0; DIGEST_OCTETS];
    for (at, octet) in digest.iter_mut().enumerate() {
        *octet = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

fn signed(text: &str) -> Option<SignedStatus> {
    let mut words = text.splitn(6, ' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let (expiry, inception, signatures, verified, unverifiable) =
        (number()?, number()?, number()?, number()?, number()?);
    Some(SignedStatus {
        earliest_expiry_unix: expiry,
        earliest_expiry_record: words.next()?.to_owned(),
        latest_inception_unix: inception,
        signatures,
        verified,
        unverifiable,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note() -> Note {
        let signed = SignedStatus {
            earliest_expiry_unix: 1,
            earliest_expiry_record: "www.example. A".into(),
            latest_inception_unix: 2,
            signatures: 3,
            verified: 4,
            unverifiable: 5,
        };
        let here = Path::new("/");
        let files = vec![(here.to_owned(), Stamp::of(here)), ("/no such file".into(), None)];
        Note::new(files, [7; DIGEST_OCTETS], &Checks::STRICT, 9, Some(&signed))
    }

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let mut note = note();
        assert_eq!(Note::from_octets(&note.to_octets()).as_ref(), Some(&note));
        note.signed = None;
        (note.verify, note.broken) = (Signatures::OneIn(10.try_into().unwrap()), Broken::Serve);
        assert_eq!(Note::from_octets(&note.to_octets()).as_ref(), Some(&note));
    }

    #[test]
    fn what_is_no_note_is_none() {
        for text in
            ["x", "digest 00\n", "warnings many\n", "signed 1 2\n", "file 1 /x\n", "verify 0\n", "\u{7f}"]
        {
            assert_eq!(Note::from_octets(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Note::from_octets(b"\xff\xff\n"), None);
    }

    #[test]
    fn fewer_checks_do_not_stand_for_more() {
        let checks = |signatures, broken| Checks { signatures, broken, ..Checks::STRICT };
        let tenth = Signatures::OneIn(10.try_into().unwrap());
        for (had, asked, enough) in [
            ((Signatures::All, Broken::Refuse), (Signatures::All, Broken::Refuse), true),
            ((Signatures::All, Broken::Refuse), (tenth, Broken::Serve), true),
            ((tenth, Broken::Refuse), (tenth, Broken::Refuse), true),
            ((tenth, Broken::Refuse), (Signatures::All, Broken::Refuse), false),
            ((Signatures::None, Broken::Refuse), (tenth, Broken::Refuse), false),
            ((Signatures::All, Broken::Serve), (Signatures::All, Broken::Refuse), false),
        ] {
            let note = Note { verify: had.0, broken: had.1, ..note() };
            assert_eq!(note.satisfies(&checks(asked.0, asked.1)), enough, "{had:?} {asked:?}");
        }
        assert!(note().satisfies(&Checks::STRICT));
    }

    #[test]
    fn what_another_version_or_another_build_of_this_one_accepted_is_accepted_again() {
        let (version, sources) = PROGRAM.split_once(' ').unwrap();
        assert!(sources.len() == 16 && sources.bytes().all(|octet| octet.is_ascii_hexdigit()), "{PROGRAM}");
        for program in [format!("0.0.1 {sources}"), format!("{version} 0123456789abcdef"), version.to_owned()]
        {
            let note = Note { program, ..note() };
            assert!(!note.satisfies(&Checks::STRICT), "{note:?}");
            assert_eq!(Note::from_octets(&note.to_octets()).as_ref(), Some(&note));
        }
    }

    #[test]
    fn a_file_that_is_not_there_or_changed_is_another() {
        let file = std::env::temp_dir().join(format!("pharos-note-{}", std::process::id()));
        std::fs::write(&file, "one").unwrap();
        let note = |stamp| Note { files: vec![(file.clone(), stamp)], ..note() };
        let note = note(Stamp::of(&file));
        assert!(note.is_of(&file) && !note.is_of(Path::new("/")));
        std::fs::write(&file, "other").unwrap();
        assert!(!note.is_of(&file));
        std::fs::remove_file(&file).unwrap();
        assert!(!note.is_of(&file));
        assert!(!Note { files: Vec::new(), ..note }.is_of(&file));
    }
}
