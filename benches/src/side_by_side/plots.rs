//! docs/plots/: how time and memory grow, drawn from the results of [`super::scale`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::error::{BenchError, cannot};
use super::results::{self, Record};
use super::svg::{Axes, Line, Panel, draw};

/// A picture: one thing that grows, and what becomes of others with it.
struct Picture {
    file: &'static str,
    title: &'static str,
    across: &'static str,
    /// Name in the results, title, and how the axes are divided.
    panels: &'static [(&'static str, &'static str, Axes)],
}

const START: (&str, &str, Axes) = ("start", "start to first answer, s", Axes::Logarithmic);
const MEMORY: (&str, &str, Axes) = ("memory", "memory (PSS), MiB", Axes::Logarithmic);
const CPU: (&str, &str, Axes) = ("cpu", "CPU per answer over sockets, ns", Axes::LogarithmicAcross);

const PICTURES: &[Picture] = &[
    Picture {
        file: "records",
        title: "One zone that grows",
        across: "records",
        panels: &[START, MEMORY, CPU],
    },
    Picture {
        file: "zones",
        title: "More and more zones of ten records",
        across: "zones",
        panels: &[START, MEMORY, CPU],
    },
    Picture {
        file: "signed",
        title: "One zone signed with NSEC3 that grows, signatures verified at the start",
        across: "signed names",
        panels: &[START, MEMORY, CPU],
    },
    Picture {
        file: "depth",
        title: "Queries for longer names, in process",
        across: "labels of the qname",
        panels: &[
            ("query", "time per query, ns", Axes::Even),
            ("image", "octets of a name with an address and all names above it", Axes::Even),
        ],
    },
    Picture {
        file: "wildcards",
        title: "More and more wildcards in a zone, in process",
        across: "wildcards",
        panels: &[
            ("query", "time per query, ns", Axes::LogarithmicAcross),
            ("image", "image, with a plain name for each wildcard, MiB", Axes::Logarithmic),
        ],
    },
    Picture {
        file: "workers",
        title: "More workers",
        across: "workers",
        panels: &[
            ("memory", "memory (PSS) with a small zone, MiB", Axes::Even),
            ("query", "queries a second in process, a zone of 2 million names, million", Axes::Even),
        ],
    },
    Picture {
        file: "connections",
        title: "Open TCP connections",
        across: "connections",
        panels: &[
            ("memory", "memory (PSS), MiB", Axes::Even),
            ("answer", "a query on an open connection, median, µs", Axes::Even),
        ],
    },
];

/// The points of each line.
type Lines = BTreeMap<String, Vec<(f64, f64)>>;

/// Draws what there are results of.
pub(super) fn write(results: &Path, directory: &Path) -> Result<(), BenchError> {
    // By picture and panel.
    let mut points: BTreeMap<(String, String), Lines> = BTreeMap::new();
    for record in results::read(results)? {
        if let Record::Scale { of, panel, line, x, y } = record {
            points.entry((of, panel)).or_default().entry(line).or_default().push((x, y));
        }
    }
    fs::create_dir_all(directory).map_err(cannot(format!("make {}", directory.display())))?;
    for picture in PICTURES {
        let panels: Vec<Panel> = picture
            .panels
            .iter()
            .filter_map(|(name, title, axes)| {
                let lines = points.get(&(picture.file.to_owned(), (*name).to_owned()))?;
                let lines = lines.iter().map(|(name, points)| {
                    let mut points = points.clone();
                    points.sort_by(|one, other| one.0.total_cmp(&other.0));
                    Line { name: name.clone(), points }
                });
                let (title, across) = ((*title).to_owned(), picture.across.to_owned());
                Some(Panel { title, across, axes: *axes, lines: lines.collect() })
            })
            .collect();
        if panels.is_empty() {
            continue;
        }
        let file = directory.join(format!("{}.svg", picture.file));
        fs::write(&file, draw(picture.title, &panels))
            .map_err(cannot(format!("write {}", file.display())))?;
        println!("{} is written", file.display());
    }
    Ok(())
}
