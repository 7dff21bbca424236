//! Zone files as four other readers understand them, and as ours does.
//!
//! named-checkzone, nsd-checkzone, kzonecheck and ldns-read-zone read the samples, hand-written files
//! (tests/data/zones) and mutations of those. Where all of them accept, we must accept, and our canonical print must
//! hold the same records; where all refuse, we must refuse. Where they differ, a hand-written file names the
//! rule of docs/zone-files.md by which we chose, and generated ones are counted.
//!
//! Prints are compared as records in wire form (folded owner, type, TTL, canonical data), read from each print by our
//! scanner. The text of the data, without blanks, parentheses and case, must also be that of the majority of the
//! readers that print, where there is one. A reader that does not know a type abstains on files with it.
//!
//! `PHAROS_SEED` and `PHAROS_ZONE_FILES` choose other mutations and more of them.

#[path = "zone_files/corpus.rs"]
mod corpus;
#[path = "zone_files/readers.rs"]
mod readers;

use corpus::{Case, Choices, ORIGIN, Origins, zone_lines};
use pharos_tests::lab::{Workspace, source_root};
use readers::{Print, READERS, Reader, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Chosen once; any other must pass as well.
const SEED: u64 = 20_261_121;
/// Mutations in an ordinary run: with the hand-written files about 15 seconds on two cores.
const GENERATED: usize = 400;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Types that a reader does not know, by mnemonic.
type Unknown = BTreeMap<Reader, BTreeSet<String>>;

#[derive(Default)]
struct Tally {
    files: usize,
    accepted: usize,
    refused: usize,
    split: usize,
    records: usize,
    texts: usize,
    no_majority: BTreeSet<u16>,
    /// How generated files were split, and how often.
    splits: BTreeMap<String, (usize, String)>,
    /// For each rule the readers that do not follow it.
    rules: BTreeMap<String, BTreeSet<&'static str>>,
    /// Files with a type that no reader knows.
    unjudged: usize,
    failures: Vec<String>,
}

#[test]
#[ignore = "needs named-checkzone, nsd-checkzone, kzonecheck and ldns-read-zone"]
fn four_other_readers_and_ours_agree() {
    let data = source_root().join("tests/data/zones");
    let good = corpus::hand_written(&data.join("good"));
    let mut cases = corpus::samples(&source_root().join("zones"));
    cases.extend(good.iter().cloned());
    let bad = corpus::hand_written(&data.join("bad"));
    assert!(good.len() >= 90 && bad.len() >= 60, "{} good and {} bad files", good.len(), bad.len());
    cases.extend(bad);
    let seed = number("PHAROS_SEED", SEED);
    let mut choices = Choices(seed);
    let wanted = number("PHAROS_ZONE_FILES", GENERATED as u64) as usize;
    cases.extend((0..wanted).map(|at| corpus::generated(&good, &mut choices, at)));

    let workspace = Workspace::new("zone-files");
    fs::copy(data.join("good/included.inc"), workspace.join("included.inc"))
        .expect("the workspace takes a file");
    let unknown = probe(&good, &workspace);
    let rules =
        fs::read_to_string(source_root().join("docs/zone-files.md")).expect("docs/zone-files.md is there");
    let (tally, next) = (Mutex::new(Tally::default()), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, Into::into) {
            scope.spawn(|| {
                while let Some((at, case)) = {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    cases.get(at).map(|case| (at, case))
                } {
                    let verdicts = read(case, &format!("{at}.zone"), &workspace);
                    judge(case, &verdicts, &unknown, &rules, &mut tally.lock().expect("no judge panics"));
                }
            });
        }
    });
    let tally = tally.into_inner().expect("no judge panics");
    for (reader, types) in &unknown {
        println!("{} abstains on {}", reader.name(), types.iter().cloned().collect::<Vec<_>>().join(" "));
    }
    for (how, (count, example)) in &tally.splits {
        println!("split {count:4}x {how} ({example})");
    }
    for (rule, readers) in &tally.rules {
        println!("rule {rule}: {}", readers.iter().copied().collect::<Vec<_>>().join(", "));
    }
    println!(
        "{} files with seed {seed}: {} accepted by all, {} refused by all, {} split, {} known to nobody; {} printed records and {} texts agree",
        tally.files, tally.accepted, tally.refused, tally.split, tally.unjudged, tally.records, tally.texts
    );
    println!("no two readers print alike: types {:?}", tally.no_majority);
    assert!(tally.failures.is_empty(), "{} differences\n{}", tally.failures.len(), tally.failures.join("\n"));
    assert!(tally.accepted > 100 && tally.refused > 100, "too few files say anything");
}

fn read(case: &Case, file: &str, workspace: &Workspace) -> (Vec<Verdict>, Verdict) {
    let path = workspace.join(file);
    fs::write(&path, &case.text).expect("the workspace takes a file");
    let directory = path.parent().expect("it is in the workspace");
    let all = READERS.iter().map(|reader| reader.read(directory, Path::new(file), &case.origin)).collect();
    let ours = readers::ours(directory, Path::new(file), &case.origin);
    let _ = fs::remove_file(&path);
    (all, ours)
}

/// Which types each reader does not know: it refuses a zone with the first record of that type's own file.
fn probe(good: &[Case], workspace: &Workspace) -> Unknown {
    let mut unknown = Unknown::new();
    for case in good {
        let Some(rtype) = case.name.strip_prefix("good/type-").and_then(|name| name.strip_suffix(".zone"))
        else {
            continue;
        };
        let lines = zone_lines(case).into_iter().take(6);
        let text = lines.map(|line| format!("{line}\n")).collect::<String>().into_bytes();
        let (verdicts, ours) = read(&Case { text, ..case.clone() }, "probe.zone", workspace);
        assert!(ours.accepts(), "{}: {ours:?}", case.name);
        for (reader, _) in READERS.into_iter().zip(verdicts).filter(|(_, verdict)| !verdict.accepts()) {
            unknown.entry(reader).or_default().insert(rtype.to_ascii_uppercase());
        }
    }
    unknown
}

fn judge(
    case: &Case,
    (all, ours): &(Vec<Verdict>, Verdict),
    unknown: &Unknown,
    rules: &str,
    tally: &mut Tally,
) {
    tally.files += 1;
    let text = String::from_utf8_lossy(&case.text).to_ascii_uppercase();
    let words: BTreeSet<&str> = text.split_whitespace().collect();
    let abstains = |reader: Reader| {
        unknown.get(&reader).is_some_and(|types| types.iter().any(|rtype| words.contains(rtype.as_str())))
    };
    let voters: Vec<(Reader, &Verdict)> =
        READERS.into_iter().zip(all).filter(|(reader, _)| !abstains(*reader)).collect();
    let accepting = voters.iter().filter(|(_, verdict)| verdict.accepts()).count();
    let named = &case.rules;
    let written = case.origins == Origins::Written;
    for rule in named.iter().filter(|rule| !rules.contains(&format!("**{rule}**"))) {
        tally.failures.push(format!("{}: docs/zone-files.md has no rule {rule}", case.name));
    }
    let words = || {
        let said = voters.iter().map(|(reader, verdict)| match verdict {
            Verdict::Accepts(_) => format!("  {} accepts", reader.name()),
            Verdict::Refuses(words) => {
                format!("  {}: {}", reader.name(), words.trim().replace('\n', "\n    "))
            }
        });
        let ours = match ours {
            Verdict::Accepts(_) => "  we accept".to_owned(),
            Verdict::Refuses(words) => format!("  we refuse: {words}"),
        };
        let lines = zone_lines(case);
        let tail: Vec<_> = lines.iter().skip(5).take(6).map(|line| format!("  | {line}")).collect();
        format!("{}\n{}\n{ours}", tail.join("\n"), said.collect::<Vec<_>>().join("\n"))
    };
    let all_accept = accepting == voters.len();
    // Four must agree to bind us on a generated file, and none of the rules that it was made of may speak of it.
    let binding = written || (voters.len() == READERS.len() && named.is_empty());
    if voters.is_empty() {
        tally.unjudged += 1;
    } else if (accepting == 0 || all_accept) && (binding || all_accept == ours.accepts()) {
        *(if all_accept { &mut tally.accepted } else { &mut tally.refused }) += 1;
        if all_accept != ours.accepts() {
            let all = if all_accept { "accept" } else { "refuse" };
            tally.failures.push(format!("{}: all {all}\n{}", case.name, words()));
        }
    } else {
        tally.split += 1;
        let other = voters.iter().filter(|(_, verdict)| verdict.accepts() != ours.accepts());
        if !written {
            tally.splits.entry(split(&voters, ours)).or_insert((0, example(case))).0 += 1;
        } else if named.is_empty() {
            tally.failures.push(format!("{}: readers differ and no rule is named\n{}", case.name, words()));
        } else {
            for (reader, rule) in other.flat_map(|(reader, _)| named.iter().map(|rule| (reader.name(), rule)))
            {
                tally.rules.entry(rule.clone()).or_default().insert(reader);
            }
        }
    }
    if let Verdict::Accepts(Some(Ok(print))) = ours {
        compare(case, print, &voters, named, tally);
    } else if let Verdict::Accepts(print) = ours {
        tally.failures.push(format!("{}: our print cannot be read: {print:?}", case.name));
    }
}

/// Who takes a file and who does not, in a line.
fn split(voters: &[(Reader, &Verdict)], ours: &Verdict) -> String {
    let how = voters.iter().map(|(reader, verdict)| match verdict {
        Verdict::Accepts(_) => format!("{} accepts, ", reader.name()),
        Verdict::Refuses(_) => format!("{} refuses, ", reader.name()),
    });
    let us = match ours {
        Verdict::Accepts(_) => "we accept".to_owned(),
        Verdict::Refuses(words) => format!("we refuse: {}", without_quotes(words)),
    };
    how.collect::<String>() + &us
}

/// The lines that a file is about, as far as they fit.
fn example(case: &Case) -> String {
    let lines = zone_lines(case);
    let from = lines.len().saturating_sub(1).min(5);
    lines[from..].iter().take(4).cloned().collect::<Vec<_>>().join(" / ")
}

/// Words of the file taken out, so that like refusals count together.
fn without_quotes(words: &str) -> String {
    words.split('`').step_by(2).collect::<Vec<_>>().join("...")
}

/// Our print beside those of the readers that accept and print.
fn compare(case: &Case, print: &Print, voters: &[(Reader, &Verdict)], named: &[String], tally: &mut Tally) {
    let (mut prints, unreadable) = (Vec::new(), Print::new());
    for (reader, verdict) in voters {
        match verdict {
            Verdict::Accepts(Some(Ok(print))) => prints.push((*reader, print)),
            Verdict::Accepts(Some(Err(why))) => {
                if named.is_empty() && case.origins == Origins::Written {
                    tally.failures.push(format!(
                        "{}: what {} prints we refuse: {why}",
                        case.name,
                        reader.name()
                    ));
                }
                prints.push((*reader, &unreadable));
            }
            _ => {}
        }
    }
    let keys = |print: &Print| print.keys().cloned().collect::<BTreeSet<_>>();
    let ours = keys(print);
    let like_us = prints.iter().filter(|(_, theirs)| keys(theirs) == ours).count();
    // Generated files may meet a choice of ours by chance: a majority against us is an error in any case.
    let wrong = match case.origins {
        Origins::Written => like_us != prints.len(),
        // Where no two of them read the same, there is nothing to agree with.
        Origins::Generated => prints.iter().any(|(_, one)| {
            keys(one) != ours
                && prints.iter().filter(|(_, theirs)| keys(theirs) == keys(one)).count() > like_us.max(1)
        }),
    };
    for (reader, _) in
        prints.iter().filter(|(_, theirs)| case.origins == Origins::Written && keys(theirs) != ours)
    {
        for rule in named {
            tally.rules.entry(rule.clone()).or_default().insert(reader.name());
        }
    }
    if wrong && named.is_empty() && !prints.iter().all(|(_, theirs)| differ_in_ttl_alone(print, theirs)) {
        for (reader, theirs) in &prints {
            let theirs = keys(theirs);
            let show = |set: Vec<&readers::Key>| format!("{:?}", set.iter().take(3).collect::<Vec<_>>());
            if theirs != ours {
                tally.failures.push(format!(
                    "{}: {} has other records\n  only it: {}\n  only we: {}",
                    case.name,
                    reader.name(),
                    show(theirs.difference(&ours).collect()),
                    show(ours.difference(&theirs).collect())
                ));
            }
        }
    }
    for (key, text) in print {
        let texts: Vec<&String> = prints.iter().filter_map(|(_, theirs)| theirs.get(key)).collect();
        tally.records += texts.len();
        let majority = texts.iter().find(|text| texts.iter().filter(|other| other == text).count() > 1);
        match majority {
            Some(majority) if *majority == text => tally.texts += 1,
            Some(majority) if named.is_empty() => tally
                .failures
                .push(format!("{}: type {}: most print {majority:?}, we print {text:?}", case.name, key.1)),
            None if texts.len() > 1 && !texts.contains(&text) => {
                tally.no_majority.insert(key.1);
            }
            _ => {}
        }
    }
}

/// Whether two prints hold the same records but for TTLs, and an RRset with two of these is among them: rule
/// `rrset-ttl`.
fn differ_in_ttl_alone(ours: &Print, theirs: &Print) -> bool {
    let without_ttl = |print: &Print| {
        print
            .keys()
            .map(|(owner, rtype, _, rdata)| (owner.clone(), *rtype, rdata.clone()))
            .collect::<BTreeSet<_>>()
    };
    let mut ttls: BTreeMap<(&[u8], u16), BTreeSet<u32>> = BTreeMap::new();
    for (owner, rtype, ttl, _) in ours.keys().chain(theirs.keys()) {
        ttls.entry((owner, *rtype)).or_default().insert(*ttl);
    }
    without_ttl(ours) == without_ttl(theirs) && (ours == theirs || ttls.values().any(|ttls| ttls.len() > 1))
}

/// The origin of the hand-written files is written in each, because ldns-read-zone cannot be told one.
#[test]
fn every_hand_written_file_says_its_origin() {
    let data = source_root().join("tests/data/zones");
    for case in corpus::hand_written(&data.join("good")) {
        let text = String::from_utf8_lossy(&case.text).into_owned();
        assert!(text.contains(&format!("$ORIGIN {ORIGIN}.\n")), "{}", case.name);
    }
}
