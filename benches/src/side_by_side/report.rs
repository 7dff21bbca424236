//! docs/performance.md: the text of benches/performance.template.md, with a table in each place that asks for one.
//!
//! A line of the template that is only `{{NAME}}` becomes the table of that name. A figure is the median of its
//! rounds, with the least and the most behind it; what was not measured is a dash.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::cases::{CASES, Case, Tool};
use super::error::{BenchError, cannot};
use super::figures::{Figures, Spread};
use super::pieces;
use super::results::{self, LatencyFigures, LoadFigures, Record, ReloadFigures, StartFigures};
use super::servers::Server::{
    self, Bind, Echo, EchoFirst, Gdnsd, Knot, KnotXdp, Nsd, Pharos, PharosImage, PharosOrdinary, PharosXdp,
    XdpEcho, XdpEchoFirst,
};
use super::targets::{Bound, Target, targets};

/// The servers on sockets that ours is held against.
const PEERS: [Server; 4] = [Gdnsd, Nsd, Knot, Bind];

/// Beside the results: others, which need not be there, and what they tell.
const OTHERS: [(&str, &str); 2] = [("scale.jsonl", "How it grows"), ("pieces.jsonl", "In process")];

/// Writes the page.
pub(super) fn write(results: &Path, template: &Path, page: &Path) -> Result<(), BenchError> {
    let mut records = results::read(results)?;
    let mut other_runs = Vec::new();
    for (file, what) in OTHERS {
        let file = results.with_file_name(file);
        if !file.exists() {
            continue;
        }
        for record in results::read(&file)? {
            match record {
                Record::Run(run) => other_runs.push((what, run)),
                other => records.push(other),
            }
        }
    }
    let mut figures = Figures::new(records);
    figures.other_runs = other_runs;
    let text = fs::read_to_string(template).map_err(cannot(format!("read {}", template.display())))?;
    let beside = page.parent().unwrap_or(Path::new("."));
    let made = render(&text, &figures, |plot| beside.join(plot).exists())?;
    fs::write(page, made).map_err(cannot(format!("write {}", page.display())))?;
    println!("{}\n{}\n{}", sockets(&figures), xdp(&figures), targets_table(&figures));
    println!("{} is written", page.display());
    Ok(())
}

/// A plot that nobody has drawn yet is left out.
fn render(template: &str, figures: &Figures, is_drawn: impl Fn(&str) -> bool) -> Result<String, BenchError> {
    let mut page = String::new();
    for line in template.lines() {
        let plot = line.strip_prefix("![").and_then(|rest| rest.split_once("](")?.1.strip_suffix(')'));
        if plot.is_some_and(|plot| !is_drawn(plot)) {
            continue;
        }
        let name = line.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        match name {
            None => page.push_str(line),
            Some("machine") => page.push_str(machine(figures).trim_end()),
            Some("targets") => page.push_str(targets_table(figures).trim_end()),
            Some("sockets") => page.push_str(sockets(figures).trim_end()),
            Some("connections") => page.push_str(connections(figures).trim_end()),
            Some("xdp") => page.push_str(xdp(figures).trim_end()),
            Some("flood") => page.push_str(flood(figures).trim_end()),
            Some("process") => page.push_str(process(figures).trim_end()),
            Some("starts") => page.push_str(starts(figures).trim_end()),
            Some("reload") => page.push_str(reload(figures).trim_end()),
            Some("growth") => page.push_str(growth(figures).trim_end()),
            Some("sixteen") => page.push_str(sixteen(figures).trim_end()),
            Some("pieces") => page.push_str(pieces_table(figures).trim_end()),
            Some("latency") => page.push_str(latency(figures).trim_end()),
            Some(name) => return Err(BenchError::Usage(format!("there is no table `{name}`"))),
        }
        page.push('\n');
    }
    Ok(page)
}

/// What one more costs, from the points of the plots.
fn growth(figures: &Figures) -> String {
    let at = |of: &str, panel: &str, line: &str, x: f64| {
        let points = figures.points(of, panel, line);
        points.iter().find(|(at, _)| (*at - x).abs() < 0.5).map_or(f64::NAN, |(_, y)| *y)
    };
    let each = |of: &str, panel: &str, from: f64, to: f64| {
        (at(of, panel, "", to) - at(of, panel, "", from)) / (to - from)
    };
    const MIB: f64 = 1_048_576.0;
    let octets = |of: &str, from: f64, to: f64| each(of, "memory", from, to) * MIB;
    let micros = |of: &str, from: f64, to: f64| each(of, "start", from, to) * 1e6;
    let connections = figures.points("connections", "memory", "");
    let (first, last) = match connections {
        [first, .., last] => (*first, *last),
        _ => ((0.0, f64::NAN), (1.0, f64::NAN)),
    };
    let depth = |line: &str| (at("depth", "query", line, 100.0) - at("depth", "query", line, 1.0)) / 99.0;
    format!(
        "- A record takes {:.0} octets and {:.2} microseconds of the start, from a million to ten million ({:.1} s and {:.0} MiB).\n\
         - A small zone takes {:.1} KiB and {:.0} microseconds, from ten to a hundred thousand ({:.1} s and {:.0} MiB).\n\
         - A signed name takes {:.0} octets and {:.0} microseconds, most of them for its signatures.\n\
         - A label of the name that is asked for takes {:.0} nanoseconds, whether the name is found or not; one of a name in \
         the zone, with all that is above it, {:.0} octets.\n\
         - A wildcard and a plain name beside it take {:.0} octets; an answer from one of a million takes {:.0} nanoseconds, from \
         the only one {:.0}: what grows is the wait for memory.\n\
         - A worker takes {:.2} MiB.\n\
         - An open TCP connection takes {:.0} octets of the process, up to {:.0}; the time of an answer does not follow their \
         number, and what the kernel keeps of each is not in these figures.",
        octets("records", 1e6, 1e7),
        micros("records", 1e6, 1e7),
        at("records", "start", "", 1e7),
        at("records", "memory", "", 1e7),
        octets("zones", 1e4, 1e5) / 1024.0,
        micros("zones", 1e4, 1e5),
        at("zones", "start", "", 1e5),
        at("zones", "memory", "", 1e5),
        octets("signed", 1e4, 1e5),
        micros("signed", 1e4, 1e5),
        depth("NXDOMAIN, flat zone"),
        each("depth", "image", 1.0, 100.0),
        each("wildcards", "image", 1e5, 1e6) * MIB,
        at("wildcards", "query", "from a wildcard", 1e6),
        at("wildcards", "query", "from a wildcard", 1.0),
        each("workers", "memory", 1.0, 32.0),
        (last.1 - first.1) / (last.0 - first.0) * MIB,
        last.0,
    )
}

fn machine(figures: &Figures) -> String {
    let mut text = String::new();
    for (what, run) in &figures.other_runs {
        let _ = writeln!(text, "- {what}: {} UTC, commit {}, Linux {}.", run.date, run.commit, run.kernel);
    }
    for (number, run) in figures.runs.iter().enumerate() {
        let versions: Vec<String> =
            run.versions.iter().map(|(program, version)| format!("{program} {version}")).collect();
        let _ = writeln!(
            text,
            "- {} UTC, commit {}: {}, {} cores, Linux {}; {} rounds, {} s for each load. {}.",
            run.date,
            run.commit,
            run.processor,
            run.cores,
            run.kernel,
            run.rounds,
            run.seconds,
            versions.join(", ")
        );
        let again: Vec<_> = CASES
            .iter()
            .filter(|case| number > 0 && figures.is_by(case.name, number))
            .map(|case| case.title)
            .collect();
        if !again.is_empty() {
            let _ = writeln!(
                text,
                "  Measured anew by it, and told instead of what was before: {}.",
                again.join("; ")
            );
        }
    }
    text
}

fn targets_table(figures: &Figures) -> String {
    let mut table = Table::new(&["Target", "What", "Bound", "Measured", ""]);
    for target in targets(figures) {
        let Target { number, what, measured, bound, unit } = &target;
        let (word, bound) = match bound {
            Bound::AtMost(most) => ("at most", *most),
            Bound::AtLeast(least) => ("at least", *least),
        };
        let met = match target.is_met() {
            Some(true) => "met",
            Some(false) => "**not met**",
            None => "not measured",
        };
        let close = if target.is_close() { ", within the spread" } else { "" };
        // As many digits as tell the figure from its bound.
        let alike = measured.is_some_and(|measured| short(measured.median) == short(bound));
        let digits = if bound >= 100.0 { 0 } else { 2 + usize::from(alike) };
        table.row(&[
            number.to_string(),
            what.clone(),
            format!("{word} {}{unit}", short(bound)),
            measured.map_or_else(|| "–".into(), |_| format!("{}{unit}", spread(*measured, digits))),
            format!("{met}{close}"),
        ]);
    }
    table.text
}

fn loads() -> impl Iterator<Item = &'static Case> {
    CASES.iter().filter(|case| !matches!(case.tool, Tool::Latency(_)) && case.name != "xdp-flood")
}

fn sockets(figures: &Figures) -> String {
    let columns = [&[Pharos, PharosOrdinary][..], &PEERS, &[Echo, EchoFirst]].concat();
    let last = [
        "ours / best socket peer",
        "ordinary / best socket peer",
        "ours / echo, first",
        "ordinary / echo",
        "other load, %",
    ];
    let mut table = Table::of("CPU ns per answer", &columns, &last);
    for case in loads().filter(|case| case.servers.contains(&Pharos)) {
        let cpu = |server: &Server| figures.load(case.name, *server, LoadFigures::cpu_ns);
        if columns.iter().filter_map(cpu).count() == 0 {
            continue;
        }
        let best = least(PEERS.iter().filter_map(cpu));
        let mut cells = vec![case.title.to_owned()];
        cells.extend(columns.iter().map(|server| spread(cpu(server), 0)));
        cells.push(ratio(cpu(&Pharos), best));
        cells.push(ratio(cpu(&PharosOrdinary), best));
        cells.push(ratio(cpu(&Pharos), cpu(&EchoFirst)));
        cells.push(ratio(cpu(&PharosOrdinary), cpu(&Echo)));
        cells.push(other_load(figures, case, &columns));
        table.row(&cells);
    }
    table.text
}

/// How many of the connections that were wanted got their answer.
fn connections(figures: &Figures) -> String {
    let columns = [&[Pharos][..], &PEERS].concat();
    let mut table = Table::of("answered, %", &columns, &[]);
    for case in CASES {
        let Tool::KxdpgunTcp(wanted) = case.tool else { continue };
        let part = |load: &LoadFigures| 100.0 * load.per_second / f64::from(wanted);
        let mut cells = vec![case.title.to_owned()];
        cells.extend(columns.iter().map(|server| spread(figures.load(case.name, *server, part), 1)));
        table.row(&cells);
    }
    table.text
}

fn xdp(figures: &Figures) -> String {
    let columns = [PharosXdp, KnotXdp, XdpEcho, XdpEchoFirst];
    let last = [
        "ours / Knot XDP",
        "ours / echo, first",
        "answered, %: ours",
        "Knot XDP",
        "echo, first",
        "other load, %",
    ];
    let mut table = Table::of("CPU ns per answer", &columns, &last);
    for case in loads().filter(|case| case.servers.contains(&KnotXdp)) {
        let cpu = |server: &Server| figures.quiet_load(case.name, *server, LoadFigures::cpu_ns);
        if columns.iter().filter_map(cpu).count() == 0 {
            continue;
        }
        let mut cells = vec![case.title.to_owned()];
        cells.extend(columns.iter().map(|server| spread(cpu(server), 0)));
        cells.push(ratio(cpu(&PharosXdp), cpu(&KnotXdp)));
        cells.push(ratio(cpu(&PharosXdp), cpu(&XdpEchoFirst)));
        cells.extend([PharosXdp, KnotXdp, XdpEchoFirst].map(|server| {
            let part = |load: &LoadFigures| {
                100.0 * load.answered.answered as f64 / load.answered.asked.max(1) as f64
            };
            figures
                .quiet_load(case.name, server, part)
                .map_or_else(|| "–".into(), |part| format!("{:.0}", part.median))
        }));
        cells.push(other_load(figures, case, &columns));
        table.row(&cells);
    }
    table.text
}

fn flood(figures: &Figures) -> String {
    let Some(case) = CASES.iter().find(|case| case.name == "xdp-flood") else { return String::new() };
    let Tool::Kxdpgun(wanted) = case.tool else { return String::new() };
    let mut table =
        Table::new(&["Server", "sent/s", "answers/s", "of what was wanted, %", "beside Knot XDP"]);
    let rate = |server| figures.quiet_load(case.name, server, |load| load.per_second);
    for server in case.servers {
        let sent = figures.quiet_load(case.name, *server, LoadFigures::sent_per_second);
        let part = figures.quiet_load(case.name, *server, |load| 100.0 * load.per_second / f64::from(wanted));
        if rate(*server).is_some() {
            let beside = ratio(rate(*server), rate(KnotXdp));
            let (sent, rate) = (spread(sent, 0), spread(rate(*server), 0));
            table.row(&[server.title().into(), sent, rate, spread(part, 1), beside]);
        }
    }
    table.text
}

fn process(figures: &Figures) -> String {
    let columns = [Pharos, Gdnsd, Nsd, Knot, Bind, PharosXdp, KnotXdp];
    let mut table = Table::of("process ns per answer", &columns, &[]);
    for case in loads() {
        let process = |server: &Server| figures.load(case.name, *server, |load| load.process_ns);
        if columns.iter().filter_map(process).count() > 0 {
            let mut cells = vec![case.title.to_owned()];
            cells.extend(columns.iter().map(|server| {
                let user = figures.load(case.name, *server, |load| load.user_percent);
                match (process(server), user) {
                    (Some(process), Some(user)) => {
                        format!("{:.0} ({:.0} % user)", process.median, user.median)
                    }
                    _ => "–".into(),
                }
            }));
            table.row(&cells);
        }
    }
    table.text
}

fn starts(figures: &Figures) -> String {
    let columns = [&[Pharos, PharosImage][..], &PEERS].concat();
    let mut table = Table::of("", &columns, &["ours / best peer"]);
    type Of = fn(&StartFigures) -> f64;
    let kinds: [(&str, Of, usize); 3] = [
        ("start to first answer, s", |start| start.seconds, 2),
        ("memory (PSS), MiB", |start| start.proportional_mib, 0),
        ("memory (RSS), MiB", |start| start.resident_mib, 0),
    ];
    for (set, title) in [("big", "1M records"), ("many", "10k zones"), ("nsec3", "NSEC3, 100k names")] {
        for (kind, of, digits) in kinds {
            let figure = |server: &Server| figures.start(set, *server, of);
            if columns.iter().filter_map(figure).count() > 0 {
                let mut cells = vec![format!("{title}: {kind}")];
                cells.extend(columns.iter().map(|server| spread(figure(server), digits)));
                cells.push(ratio(figure(&Pharos), least(PEERS.iter().filter_map(figure))));
                table.row(&cells);
            }
        }
    }
    table.text
}

fn reload(figures: &Figures) -> String {
    let columns = [&[Pharos, PharosImage][..], &PEERS].concat();
    let mut table =
        Table::of("reload of 1M records, one in a hundred changed", &columns, &["ours / best peer"]);
    type Of = fn(&ReloadFigures) -> f64;
    let kinds: [(&str, Of, usize); 3] = [
        ("until the new serial is answered, s", |reload| reload.seconds, 2),
        ("peak of memory (PSS), MiB", |reload| reload.peak_mib, 0),
        ("longest gap between answers, ms", |reload| reload.longest_gap_ms, 1),
    ];
    for (kind, of, digits) in kinds {
        let figure = |server: &Server| figures.reload(*server, of);
        let mut cells = vec![kind.to_owned()];
        cells.extend(columns.iter().map(|server| spread(figure(server), digits)));
        cells.push(ratio(figure(&Pharos), least(PEERS.iter().filter_map(figure))));
        table.row(&cells);
    }
    table.text
}

fn pieces_table(figures: &Figures) -> String {
    let mut table = Table::new(&["Piece", "Prototype", "Ours", "least of all turns"]);
    for (name, prototype) in pieces::ALL {
        if let Some((median, least)) = figures.piece(name) {
            let prototype = if prototype.is_empty() { "–" } else { prototype };
            table.row(&[name.into(), prototype.into(), pieces::shown(median), pieces::shown(least)]);
        }
    }
    table.text
}

fn latency(figures: &Figures) -> String {
    let columns = [Pharos, PharosOrdinary, Gdnsd, Nsd, Knot, PharosXdp, KnotXdp];
    let mut table = Table::of("µs", &columns, &["ours / gdnsd"]);
    type Of = fn(&LatencyFigures) -> Option<f64>;
    let kinds: [(&str, Of); 4] = [
        ("p50", |latency| latency.p50_us),
        ("p99", |latency| latency.p99_us),
        ("p99.9", |latency| latency.p999_us),
        ("lost, %", |latency| Some(latency.lost_percent())),
    ];
    for case in CASES.iter().filter(|case| matches!(case.tool, Tool::Latency(_))) {
        for (kind, of) in kinds {
            let of = |latency: &LatencyFigures| of(latency).unwrap_or(f64::INFINITY);
            let figure = |server: &Server| figures.latency(case.name, *server, of);
            let digits = if kind.starts_with("lost") { 2 } else { 0 };
            let mut cells = vec![format!("{}: {kind}", case.title)];
            cells.extend(columns.iter().map(|server| spread(figure(server), digits)));
            cells.push(if digits == 0 { ratio(figure(&Pharos), figure(&Gdnsd)) } else { String::new() });
            table.row(&cells);
        }
    }
    table.text
}

/// What sixteen cores would answer if each did what one does here, and how much of a 100 Gbit/s link that is.
fn sixteen(figures: &Figures) -> String {
    const CORES: f64 = 16.0;
    /// Octets of an answer: an address, with EDNS, and a denial by NSEC3.
    const PLAIN: f64 = 76.0;
    const DENIAL: f64 = 745.0;
    // With 42 octets of headers, and 24 of Ethernet between and around frames.
    let link = |octets: f64| 100e9 / 8.0 / (octets + 42.0 + 24.0);
    let cpu = |case, server| figures.load(case, server, LoadFigures::cpu_ns).map(|spread| spread.median);
    let alone = figures.points("depth", "query", "found, names at all depths").first().map(|point| point.1);
    let batch = figures.piece(pieces::QUERY_IN_BATCH).map(|(median, _)| median);
    let lines = [
        ("sockets, small zone", cpu("udp-small", Pharos), PLAIN),
        ("sockets, 1M records, 1 in 10 NXDOMAIN", cpu("udp-big-mix", Pharos), PLAIN),
        ("sockets, 1M records, random subdomains", cpu("udp-big-none", Pharos), PLAIN),
        ("sockets, NSEC3, all NXDOMAIN", cpu("nsec3-none", Pharos), DENIAL),
        ("AF_XDP in copy mode, small zone", cpu("xdp-small", PharosXdp), PLAIN),
        ("AF_XDP in copy mode, NSEC3, all NXDOMAIN", cpu("nsec3-none", PharosXdp), DENIAL),
        ("our own work alone, in process, one name again and again", alone, PLAIN),
        ("our own work alone, in process, a million names, batches of 32", batch, PLAIN),
    ];
    let mut table =
        Table::new(&["Path", "ns per answer on a core here", "16 cores, answers/s", "of 100 Gbit/s, %"]);
    for (path, cpu, octets) in lines {
        let Some(cpu) = cpu.filter(|cpu| *cpu > 0.0) else { continue };
        let answers = CORES * 1e9 / cpu;
        table.row(&[
            path.into(),
            format!("{cpu:.0}"),
            format!("{:.1} million", answers / 1e6),
            format!("{:.0}", 100.0 * answers / link(octets)),
        ]);
    }
    if let [(one, alone), .., (cores, together)] = figures.points("workers", "query", "") {
        let _ = writeln!(
            table.text,
            "\nThe query path alone, over one zone of two million names, answers {:.2} times as many queries on {cores} cores at once \
             as on {one}.",
            together / alone
        );
    }
    table.text
}

/// The median of the other load in all rounds of a row, and the most.
fn other_load(figures: &Figures, case: &Case, servers: &[Server]) -> String {
    let other = |server: &Server| figures.load(case.name, *server, |load| load.other_percent);
    let spreads: Vec<Spread> = servers.iter().filter_map(other).collect();
    let median = spreads.iter().map(|spread| spread.median).fold(0.0, f64::max);
    let most = spreads.iter().map(|spread| spread.most).fold(0.0, f64::max);
    format!("{median:.0} (≤ {most:.0})")
}

fn least(spreads: impl Iterator<Item = Spread>) -> Option<Spread> {
    spreads.min_by(|one, other| one.median.total_cmp(&other.median))
}

fn ratio(one: Option<Spread>, other: Option<Spread>) -> String {
    match (one, other) {
        (Some(one), Some(other)) if other.median > 0.0 && one.median.is_finite() => {
            format!("**{:.2}**", one.median / other.median)
        }
        _ => "–".into(),
    }
}

fn spread(spread: Option<Spread>, digits: usize) -> String {
    let Some(Spread { median, least, most, count }) = spread else { return "–".into() };
    let number = |number: f64| match number.is_finite() {
        true => format!("{number:.digits$}"),
        false => "never".into(),
    };
    if count == 1 {
        return number(median);
    }
    format!("{} ({}–{})", number(median), number(least), number(most))
}

fn short(number: f64) -> String {
    if number.abs() < 100.0 { format!("{number:.2}") } else { format!("{number:.0}") }
}

/// A table of Markdown: the first column is text, the others are numbers.
struct Table {
    text: String,
}

impl Table {
    fn new(head: &[&str]) -> Self {
        let rule = if head.len() > 1 { "---:|".repeat(head.len() - 1) } else { String::new() };
        Self { text: format!("| {} |\n|---|{rule}\n", head.join(" | ")) }
    }

    fn of(first: &str, servers: &[Server], last: &[&str]) -> Self {
        let titles = servers.iter().map(|server| server.title());
        let head: Vec<&str> = std::iter::once(first).chain(titles).chain(last.iter().copied()).collect();
        Self::new(&head)
    }

    fn row(&mut self, cells: &[String]) {
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_asks_only_for_tables_that_there_are() {
        let template = include_str!("../../performance.template.md");
        let page = render(template, &Figures::default(), |_| true).unwrap();
        assert!(page.contains("not measured") && !page.contains("{{"), "{page}");
        let undrawn = render(template, &Figures::default(), |_| false).unwrap();
        assert!(page.contains("](plots/") && !undrawn.contains("](plots/"), "{undrawn}");
    }
}
