//! Results, sorted by what they are of: medians with the least and the most, for the report and the targets.

use std::collections::BTreeMap;

use super::results::{LatencyFigures, LoadFigures, Record, ReloadFigures, RunFigures, StartFigures};
use super::servers::Server;

/// A round with more other load than this on the server's core, in percent, tells little of AF_XDP.
pub(super) const QUIET_PERCENT: f64 = 5.0;
/// So many quiet rounds stand for all of them.
const ENOUGH_QUIET: usize = 3;

/// The middle one of some figures, and how far they are apart.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Spread {
    /// The median.
    pub(super) median: f64,
    /// The least.
    pub(super) least: f64,
    /// The most.
    pub(super) most: f64,
    /// How many there are.
    pub(super) count: usize,
}

/// All results of a file.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// The runs that they are from.
    pub(super) runs: Vec<RunFigures>,
    loads: BTreeMap<(String, String), Vec<LoadFigures>>,
    latencies: BTreeMap<(String, String), Vec<LatencyFigures>>,
    starts: BTreeMap<(String, String), Vec<StartFigures>>,
    reloads: BTreeMap<String, Vec<ReloadFigures>>,
    /// Which of the runs has measured a case last; that alone counts.
    measured_by: BTreeMap<String, usize>,
    /// By what grows, the panel and the line: points.
    scale: BTreeMap<[String; 3], Vec<(f64, f64)>>,
}

impl Figures {
    /// Sorts lines.
    pub(super) fn new(records: Vec<Record>) -> Self {
        let mut figures = Self::default();
        for record in records {
            match record {
                Record::Run(run) => figures.runs.push(run),
                Record::Load { case, server, figures: load, .. } => {
                    figures.last_of(&case);
                    figures.loads.entry((case, server)).or_default().push(load);
                }
                Record::Latency { case, server, figures: latency, .. } => {
                    figures.last_of(&case);
                    figures.latencies.entry((case, server)).or_default().push(latency);
                }
                Record::Start { set, server, figures: start, .. } => {
                    figures.starts.entry((set, server)).or_default().push(start);
                }
                Record::Scale { of, panel, line, x, y } => {
                    figures.scale.entry([of, panel, line]).or_default().push((x, y));
                }
                Record::Reload { server, figures: reload, .. } => {
                    figures.reloads.entry(server).or_default().push(reload);
                }
            }
        }
        figures
    }

    /// A case that is measured anew by a later run counts anew.
    fn last_of(&mut self, case: &str) {
        let run = self.runs.len().saturating_sub(1);
        if self.measured_by.insert(case.to_owned(), run).is_some_and(|before| before != run) {
            self.loads.retain(|(of, _), _| of != case);
            self.latencies.retain(|(of, _), _| of != case);
        }
    }

    /// Whether what is told of a case was measured by the run of this number.
    pub(super) fn is_by(&self, case: &str, run: usize) -> bool {
        self.measured_by.get(case) == Some(&run)
    }

    /// A figure of a load.
    pub(super) fn load(
        &self,
        case: &str,
        server: Server,
        of: impl Fn(&LoadFigures) -> f64,
    ) -> Option<Spread> {
        Spread::of(self.loads.get(&(case.into(), server.label().into()))?.iter().map(of))
    }

    /// The same from the rounds with little other load, if there are enough of them.
    pub(super) fn quiet_load(
        &self,
        case: &str,
        server: Server,
        of: impl Fn(&LoadFigures) -> f64,
    ) -> Option<Spread> {
        let all = self.loads.get(&(case.into(), server.label().into()))?;
        let quiet = Spread::of(all.iter().filter(|load| load.other_percent < QUIET_PERCENT).map(&of));
        quiet.filter(|quiet| quiet.count >= ENOUGH_QUIET).or_else(|| Spread::of(all.iter().map(of)))
    }

    /// A figure of latencies.
    pub(super) fn latency(
        &self,
        case: &str,
        server: Server,
        of: impl Fn(&LatencyFigures) -> f64,
    ) -> Option<Spread> {
        Spread::of(self.latencies.get(&(case.into(), server.label().into()))?.iter().map(of))
    }

    /// A figure of starts.
    pub(super) fn start(
        &self,
        set: &str,
        server: Server,
        of: impl Fn(&StartFigures) -> f64,
    ) -> Option<Spread> {
        Spread::of(self.starts.get(&(set.into(), server.label().into()))?.iter().map(of))
    }

    /// The points of a line of a plot.
    pub(super) fn points(&self, of: &str, panel: &str, line: &str) -> &[(f64, f64)] {
        self.scale.get(&[of.into(), panel.into(), line.into()]).map_or(&[], Vec::as_slice)
    }

    /// A figure of reloads.
    pub(super) fn reload(&self, server: Server, of: impl Fn(&ReloadFigures) -> f64) -> Option<Spread> {
        Spread::of(self.reloads.get(server.label())?.iter().map(of))
    }
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let middle = figures.len() / 2;
        let median = match figures.len() % 2 {
            1 => figures[middle],
            _ => (figures.get(middle.checked_sub(1)?)? + figures.get(middle)?) / 2.0,
        };
        Some(Self { median, least: *figures.first()?, most: *figures.last()?, count: figures.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_figures_is_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(std::iter::empty()), None);
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0].into_iter()).unwrap();
        assert_eq!((spread.median, spread.least, spread.most, spread.count), (2.5, 1.0, 4.0, 4));
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()).map(|spread| spread.median), Some(2.0));
    }
}
