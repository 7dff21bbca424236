//! The files that are compared: samples, hand-written ones, and mutations of these from a seed.

use std::path::{Path, PathBuf};

/// A zone file to be read.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// What it is called in reports.
    pub(crate) name: String,
    pub(crate) origin: String,
    pub(crate) text: Vec<u8>,
    /// The named rules of docs/zone-files.md by which we chose where readers differ; of a generated file those of the
    /// files that it was made of.
    pub(crate) rules: Vec<String>,
    pub(crate) origins: Origins,
}

/// Where a file comes from, and so how much of a difference a person has judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origins {
    Written,
    Generated,
}

/// The zone of all hand-written files.
pub(crate) const ORIGIN: &str = "example";

/// The hand-written files of a directory; each `; rule: NAME` in one names a rule that it shows.
pub(crate) fn hand_written(directory: &Path) -> Vec<Case> {
    let mut cases: Vec<Case> = zone_files(directory)
        .into_iter()
        .map(|(_, path)| {
            let text = std::fs::read(&path).expect("it was listed");
            let lines = String::from_utf8_lossy(&text).into_owned();
            let rules =
                lines.lines().filter_map(|line| line.strip_prefix("; rule: ")).map(str::to_owned).collect();
            let name = format!("{}/{}", folder(directory), path.file_name().unwrap_or_default().display());
            Case { name, origin: ORIGIN.to_owned(), text, rules, origins: Origins::Written }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// The samples of the quick start.
pub(crate) fn samples(directory: &Path) -> Vec<Case> {
    zone_files(directory)
        .into_iter()
        .map(|(origin, path)| Case {
            name: format!("zones/{origin}.zone"),
            origin,
            text: std::fs::read(&path).expect("it was listed"),
            rules: Vec::new(),
            origins: Origins::Written,
        })
        .collect()
}

fn folder(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn zone_files(directory: &Path) -> Vec<(String, PathBuf)> {
    let entries =
        std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let named = |path: PathBuf| Some((folder(&path).strip_suffix(".zone")?.to_owned(), path));
    entries.flatten().filter_map(|entry| named(entry.path())).collect()
}

/// SplitMix64: enough for choices, and the same everywhere.
pub(crate) struct Choices(pub(crate) u64);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Words that are put in place of others: edges of fields, and words of other fields.
const WORDS: &[&str] = &[
    "0",
    "1",
    "00",
    "007",
    "255",
    "256",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "-1",
    "+1",
    "1h",
    "1w2d",
    "@",
    ".",
    "a",
    "a.",
    "A.B.example.",
    "*",
    "-",
    "\"\"",
    "\"a b\"",
    "\\000",
    "\\255x",
    "\\.",
    "a\\046b",
    "\\#",
    "192.0.2.1",
    "2001:db8::1",
    "::",
    "A",
    "NS",
    "TYPE1",
    "TYPE65280",
    "IN",
    "CLASS1",
    "AQID",
    "AQIDBA==",
    "abcd",
    "ABC",
    "( a )",
    "20300101000000",
    "alpn=h2",
    "port=53",
    "key65280=x",
    "key9=",
    "; a comment",
    "xn--bcher-kva",
    "_tcp",
    "a_b",
];

/// A file made of one or two hand-written good ones, most often with one thing changed.
pub(crate) fn generated(good: &[Case], choices: &mut Choices, number: usize) -> Case {
    let of = choices.one_of(good);
    let mut rules = of.rules.clone();
    let mut lines = zone_lines(of);
    // Behind the first five lines stand the records that the file is about.
    let first = 5.min(lines.len() - 1);
    let at = first + choices.below(lines.len() - first);
    let change = choices.below(10);
    if change < 9 {
        lines[at] = changed(&lines[at], choices);
    }
    if change >= 8 {
        // Records of another file behind these, so that names and types meet.
        let other = choices.one_of(good);
        lines.extend(zone_lines(other).into_iter().skip(5));
        rules.extend(other.rules.iter().cloned());
    }
    lines.push(String::new());
    let name = format!("generated {number}, from {}", of.name);
    Case {
        name,
        origin: ORIGIN.to_owned(),
        text: lines.join("\n").into_bytes(),
        rules,
        origins: Origins::Generated,
    }
}

/// The lines of a file without those that name rules.
pub(crate) fn zone_lines(case: &Case) -> Vec<String> {
    let text = String::from_utf8_lossy(&case.text).into_owned();
    text.lines().filter(|line| !line.starts_with("; rule: ")).map(str::to_owned).collect()
}

fn changed(line: &str, choices: &mut Choices) -> String {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let at = choices.below(words.len());
    match choices.below(7) {
        0 if words.len() > 1 => drop(words.remove(at)),
        1 => words.insert(at, words[at].clone()),
        2 => words.swap(at, (at + 1) % line.split(' ').count()),
        3 => words.insert(at, (*choices.one_of(WORDS)).to_owned()),
        4 => words[at] = one_octet_changed(&words[at], choices),
        _ => words[at] = (*choices.one_of(WORDS)).to_owned(),
    }
    let changed = words.join(" ");
    // A range of millions would only keep the readers busy.
    let too_many = changed.starts_with("$GENERATE") && changed.contains("0000");
    if too_many { line.to_owned() } else { changed }
}

fn one_octet_changed(word: &str, choices: &mut Choices) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let letter = *choices
        .one_of(&['0', '9', 'a', 'Z', '.', '-', '\\', '"', '/', ':', '=', '!', '(', ';', '@', '~', '\u{e9}']);
    let at = choices.below(letters.len().max(1));
    match choices.below(3) {
        0 if !letters.is_empty() => drop(letters.remove(at)),
        1 if !letters.is_empty() => letters[at] = letter,
        _ => letters.insert(at, letter),
    }
    letters.into_iter().collect()
}
