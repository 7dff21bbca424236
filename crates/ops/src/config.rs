//! The configuration: `pharos.yaml`, the same at every node, and `site.yaml`, which holds what differs.
//!
//! [`load`] reads both, checks them alone and against each other, and gives either everything
//! ([`Loaded`], with warnings) or every finding ([`ConfigError`]); nothing starts with half a
//! configuration. Unknown keys are errors. The options themselves are defined in [`schema`] and nowhere
//! else. The `pharos` command calls this and maps the result to what responder and sidecar take.

mod check;
mod diagnostic;
pub mod reference;
pub mod schema;
pub mod values;

pub use crate::yaml::Position;
pub use diagnostic::{ConfigError, Diagnostic, Severity};

use crate::yaml::{self, Fault, FaultKind, Step};
use schema::{DefaultDoc, OptionDoc, PharosFile, SiteFile};
use serde::de::DeserializeOwned;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// What the caller is going to start: a section that it needs may not be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// `pharos serve`.
    Responder,
    /// `pharos announce`.
    Sidecar,
    /// Whatever is there, for `pharos check-config` and `pharos status`.
    Present,
}

/// A configuration that passed every check.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The part that all nodes share.
    pub pharos: PharosFile,
    /// The part of this node.
    pub site: SiteFile,
    /// Where `pharos.yaml` stands: relative paths in it begin here.
    pub directory: PathBuf,
    /// What is probably not meant.
    pub warnings: Vec<Diagnostic>,
}

impl Loaded {
    /// The identity in NSID and `id.server`: `NODE.SITE`.
    pub fn nsid(&self) -> String {
        format!("{}.{}", self.site.node, self.site.site)
    }

    /// A path of `pharos.yaml` as this process can open it.
    pub fn path(&self, written: &Path) -> PathBuf {
        self.directory.join(written)
    }
}

/// More than any configuration holds; a path that leads to a log or a disk must not fill the memory.
const FILE_OCTETS_AT_MOST: u64 = 4 << 20;

/// Reads and checks both files.
pub fn load(pharos: &Path, site: &Path, need: Need) -> Result<Loaded, ConfigError> {
    let sources = match (Source::read(pharos), Source::read(site)) {
        (Ok(pharos), Ok(site)) => [pharos, site],
        (first, second) => {
            let findings =
                [first.err(), second.err()].into_iter().flatten().map(|finding| *finding).collect();
            return Err(ConfigError { findings });
        }
    };
    let directory = pharos.parent().map(Path::to_owned).unwrap_or_default();
    from_sources(&sources, directory, need)
}

fn from_sources(sources: &[Source; 2], directory: PathBuf, need: Need) -> Result<Loaded, ConfigError> {
    let [pharos_source, site_source] = sources;
    let (pharos, site) =
        match (pharos_source.parse("", &[]), site_source.parse("site", &["responder", "sidecar"])) {
            (Ok(pharos), Ok(site)) => (pharos, site),
            (first, second) => {
                let findings =
                    [first.err(), second.err()].into_iter().flatten().map(|finding| *finding).collect();
                return Err(ConfigError { findings });
            }
        };
    let findings = check::check(sources, &pharos, &site, need);
    if findings.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(ConfigError { findings });
    }
    Ok(Loaded { pharos, site, directory, warnings: findings })
}

/// One file's name and text.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    fn read(path: &Path) -> Result<Self, Box<Diagnostic>> {
        let fault = |what: String, remedy: &str| {
            Box::new(Diagnostic {
                severity: Severity::Error,
                file: path.to_owned(),
                position: None,
                excerpt: None,
                what,
                remedy: remedy.to_owned(),
            })
        };
        let file = std::fs::File::open(path).map_err(|error| {
            fault(format!("cannot be opened: {error}"), "name the files with --config and --site")
        })?;
        let mut octets = Vec::new();
        file.take(FILE_OCTETS_AT_MOST + 1)
            .read_to_end(&mut octets)
            .map_err(|error| fault(format!("cannot be read: {error}"), "name a readable file"))?;
        if octets.len() as u64 > FILE_OCTETS_AT_MOST {
            return Err(fault("is larger than 4 MiB".to_owned(), "name a configuration file"));
        }
        let text = String::from_utf8(octets)
            .map_err(|error| fault(format!("is not UTF-8 text: {error}"), "save the file as UTF-8"))?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// A finding about the value at `path`, or about the nearest thing around it that is written.
    fn finding(&self, severity: Severity, path: &[Step<'_>], what: String, remedy: String) -> Diagnostic {
        let position = (1..=path.len())
            .rev()
            .find_map(|length| yaml::locate(&self.text, path.get(..length).unwrap_or_default()));
        self.at(severity, position, what, remedy)
    }

    fn at(&self, severity: Severity, position: Option<Position>, what: String, remedy: String) -> Diagnostic {
        let line = position.and_then(|at| self.text.lines().nth(at.line.checked_sub(1)?));
        // Beyond this a line no longer fits a terminal, and the place stands before it anyway.
        // What is said here ends in logs and terminals, where no secret belongs.
        let is_secret = |line: &str| ["secret", "previous", "md5-key"].iter().any(|word| line.contains(word));
        let excerpt = line.filter(|line| line.len() <= 200 && !is_secret(line)).map(str::to_owned);
        Diagnostic { severity, file: self.path.clone(), position, excerpt, what, remedy }
    }

    /// Reads the text as `T`, whose options stand in the tables under `root`; keys in `elsewhere` are known
    /// to belong to the other file.
    fn parse<T: DeserializeOwned>(&self, root: &str, elsewhere: &[&str]) -> Result<T, Box<Diagnostic>> {
        yaml::parse(&self.text).map_err(|fault| Box::new(self.explain(&fault, root, elsewhere)))
    }

    fn explain(&self, fault: &Fault, root: &str, elsewhere: &[&str]) -> Diagnostic {
        let path = if fault.path.is_empty() { "the file".to_owned() } else { format!("`{}`", fault.path) };
        let (what, remedy) = match &fault.kind {
            FaultKind::Empty => {
                ("holds no configuration".to_owned(), "copy the commented examples from deploy/".to_owned())
            }
            FaultKind::Syntax(message) => (
                format!("this is not YAML: {message}"),
                "check indentation (spaces only), colons and quotes around this place".to_owned(),
            ),
            FaultKind::UnknownKey { found, known } => {
                let belongs_elsewhere = elsewhere.contains(&found.as_str())
                    || root.is_empty()
                        && fault.path.is_empty()
                        && SiteFile::OPTIONS.iter().any(|option| option.key() == *found);
                let remedy = if belongs_elsewhere {
                    let other = if root.is_empty() { "site.yaml" } else { "pharos.yaml" };
                    format!("`{found}` belongs in {other}")
                } else {
                    advise_key(found, known)
                };
                (format!("unknown key `{found}` in {path}"), remedy)
            }
            FaultKind::MissingKey(key) => (
                format!("{path} lacks the key `{key}`"),
                match option_at(root, &fault.path, Some(key)) {
                    Some(option) => format!("add `{key}:` with {}", option.values),
                    None => format!("add `{key}:`"),
                },
            ),
            FaultKind::DuplicateKey(key) => {
                (format!("`{key}` is written twice in {path}"), "keep one of them".to_owned())
            }
            FaultKind::WrongType { found, expected } => (
                format!("{path} holds {found}, not {expected}"),
                match option_at(root, &fault.path, None) {
                    Some(option) => advise_value(option),
                    None => format!("write {expected}"),
                },
            ),
            FaultKind::BadValue { what, remedy } => (
                format!("{path}: {what}"),
                remedy.clone().unwrap_or_else(|| "see docs/configuration.md".to_owned()),
            ),
        };
        self.at(Severity::Error, fault.position, what, remedy)
    }
}

fn advise_value(option: &OptionDoc) -> String {
    match option.default {
        DefaultDoc::Value(default) => format!("write {}; the default is {default}", option.values),
        _ => format!("write {}", option.values),
    }
}

fn advise_key(found: &str, known: &[String]) -> String {
    let nearest = known.iter().map(|key| (distance(found, key), key)).min();
    let all = known.join(", ");
    match nearest {
        // A typo changes a letter or three; beyond that a suggestion is a guess.
        Some((letters, key)) if letters <= 3 && letters < key.len() => {
            format!("write `{key}`? The keys here are: {all}")
        }
        _ => format!("the keys here are: {all}"),
    }
}

/// The option at a path of the library's writing, like `sidecar.groups[0].name`, or its child `key`.
fn option_at(root: &str, path: &str, key: Option<&str>) -> Option<&'static OptionDoc> {
    let mut general = root.to_owned();
    for part in path.split('.').chain(key).filter(|part| !part.is_empty()) {
        if !general.is_empty() {
            general.push('.');
        }
        match part.split_once('[') {
            Some((name, _)) => {
                general.push_str(name);
                general.push_str("[]");
            }
            None => general.push_str(part),
        }
    }
    schema::all_options().find(|option| option.path() == general || format!("{}[]", option.path()) == general)
}

/// Edit distance in letters: insertions, deletions, replacements.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut previous = i + 1;
        let mut next = vec![previous];
        for (b, above) in right.iter().zip(row.windows(2)) {
            let &[diagonal, up] = above else { continue };
            previous = (diagonal + usize::from(a != *b)).min(up + 1).min(previous + 1);
            next.push(previous);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
