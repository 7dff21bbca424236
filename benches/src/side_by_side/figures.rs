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

/// What was measured of a server in one round, and the round's number.
type Round<F> = (u32, F);

/// All results of a file.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// The runs that they are from.
    pub(super) runs: Vec<RunFigures>,
    /// Those that measured something else, and what.
    pub(super) other_runs: Vec<(&'static str, RunFigures)>,
    loads: BTreeMap<(String, String), Vec<Round<LoadFigures>>>,
    latencies: BTreeMap<(String, String), Vec<Round<LatencyFigures>>>,
    starts: BTreeMap<(String, String), Vec<Round<StartFigures>>>,
    reloads: BTreeMap<String, Vec<Round<ReloadFigures>>>,
    /// Of each piece by itself the nanoseconds, in the median and at least.
    pieces: BTreeMap<String, (f64, f64)>,
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
                Record::Load { case, server, round, figures: load } => {
                    figures.last_of(&case);
                    figures.loads.entry((case, server)).or_default().push((round, load));
                }
                Record::Latency { case, server, round, figures: latency } => {
                    figures.last_of(&case);
                    figures.latencies.entry((case, server)).or_default().push((round, latency));
                }
                Record::Start { set, server, round, figures: start } => {
                    figures.starts.entry((set, server)).or_default().push((round, start));
                }
                Record::Scale { of, panel, line, x, y } => {
                    figures.scale.entry([of, panel, line]).or_default().push((x, y));
                }
                Record::Piece { name, median_ns, least_ns } => {
                    figures.pieces.insert(name, (median_ns, least_ns));
                }
                Record::Reload { server, round, figures: reload } => {
                    figures.reloads.entry(server).or_default().push((round, reload));
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
        Spread::of(self.loads_of((case, server))?.iter().map(|(_, load)| of(load)))
    }

    /// The same from the rounds with little other load, if there are enough of them.
    pub(super) fn quiet_load(
        &self,
        case: &str,
        server: Server,
        of: impl Fn(&LoadFigures) -> f64,
    ) -> Option<Spread> {
        let all = self.loads_of((case, server))?;
        let quiet = all.iter().filter(|(_, load)| is_quiet(load));
        enough(Spread::of(quiet.map(|(_, load)| of(load)))).or_else(|| self.load(case, server, of))
    }

    /// What an answer costs one server beside another, round by round.
    pub(super) fn load_ratio(
        &self,
        one: (&str, Server),
        other: (&str, Server),
        of: impl Fn(&LoadFigures) -> f64,
    ) -> Option<Spread> {
        ratios(self.loads_of(one)?, self.loads_of(other)?, |_| true, of)
    }

    /// The same by the rounds with little other load beside either, if there are enough of them.
    pub(super) fn quiet_load_ratio(
        &self,
        one: (&str, Server),
        other: (&str, Server),
        of: impl Fn(&LoadFigures) -> f64,
    ) -> Option<Spread> {
        let quiet = ratios(self.loads_of(one)?, self.loads_of(other)?, is_quiet, &of);
        enough(quiet).or_else(|| self.load_ratio(one, other, of))
    }

    fn loads_of(&self, (case, server): (&str, Server)) -> Option<&[Round<LoadFigures>]> {
        self.loads.get(&(case.into(), server.label().into())).map(Vec::as_slice)
    }

    /// A figure of one server's latencies beside another's, round by round. Two that are infinite are equal.
    pub(super) fn latency_ratio(
        &self,
        case: &str,
        one: Server,
        other: Server,
        of: impl Fn(&LatencyFigures) -> f64,
    ) -> Option<Spread> {
        let figures = |server: Server| self.latencies.get(&(case.into(), server.label().into()));
        ratios(figures(one)?, figures(other)?, |_| true, of)
    }

    /// A figure of one server's starts beside another's, round by round.
    pub(super) fn start_ratio(
        &self,
        set: &str,
        one: Server,
        other: Server,
        of: impl Fn(&StartFigures) -> f64,
    ) -> Option<Spread> {
        let figures = |server: Server| self.starts.get(&(set.into(), server.label().into()));
        ratios(figures(one)?, figures(other)?, |_| true, of)
    }

    /// A figure of one server's reloads beside another's, round by round.
    pub(super) fn reload_ratio(
        &self,
        one: Server,
        other: Server,
        of: impl Fn(&ReloadFigures) -> f64,
    ) -> Option<Spread> {
        ratios(self.reloads.get(one.label())?, self.reloads.get(other.label())?, |_| true, of)
    }

    /// A figure of latencies.
    pub(super) fn latency(
        &self,
        case: &str,
        server: Server,
        of: impl Fn(&LatencyFigures) -> f64,
    ) -> Option<Spread> {
        let all = self.latencies.get(&(case.into(), server.label().into()))?;
        Spread::of(all.iter().map(|(_, latency)| of(latency)))
    }

    /// A figure of starts.
    pub(super) fn start(
        &self,
        set: &str,
        server: Server,
        of: impl Fn(&StartFigures) -> f64,
    ) -> Option<Spread> {
        let all = self.starts.get(&(set.into(), server.label().into()))?;
        Spread::of(all.iter().map(|(_, start)| of(start)))
    }

    /// What a piece took by itself: the median of its turns and the least, in nanoseconds.
    pub(super) fn piece(&self, name: &str) -> Option<(f64, f64)> {
        self.pieces.get(name).copied()
    }

    /// The points of a line of a plot.
    pub(super) fn points(&self, of: &str, panel: &str, line: &str) -> &[(f64, f64)] {
        self.scale.get(&[of.into(), panel.into(), line.into()]).map_or(&[], Vec::as_slice)
    }

    /// A figure of reloads.
    pub(super) fn reload(&self, server: Server, of: impl Fn(&ReloadFigures) -> f64) -> Option<Spread> {
        Spread::of(self.reloads.get(server.label())?.iter().map(|(_, reload)| of(reload)))
    }
}

fn is_quiet(load: &LoadFigures) -> bool {
    load.other_percent < QUIET_PERCENT
}

fn enough(quiet: Option<Spread>) -> Option<Spread> {
    quiet.filter(|quiet| quiet.count >= ENOUGH_QUIET)
}

/// Figures of one server divided by those of another in the same round, the first of a round by the first, where a round has
/// several. What disturbs the machine for longer than a turn disturbs both, so these are closer together than what either
/// took.
fn ratios<F>(
    one: &[Round<F>],
    other: &[Round<F>],
    counts: impl Fn(&F) -> bool,
    of: impl Fn(&F) -> f64,
) -> Option<Spread> {
    let of_round = |all: &[Round<F>], round: u32| all.iter().filter(|(of, _)| *of == round).count();
    let ratio = |(index, (round, figures)): (usize, &Round<F>)| {
        let before = of_round(one.get(..index)?, *round);
        let beside = other.iter().filter(|(of, _)| of == round).nth(before).map(|(_, figures)| figures);
        let beside = beside.filter(|beside| counts(beside) && counts(figures))?;
        match (of(figures), of(beside)) {
            (one, other) if one.is_infinite() && other.is_infinite() => Some(1.0),
            (one, other) => (other > 0.0).then_some(one / other),
        }
    };
    Spread::of(one.iter().enumerate().filter_map(ratio))
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
    fn where_a_round_has_several_figures_each_is_held_against_the_one_of_its_turn() {
        let one = [(1, 2.0), (1, 30.0), (2, 8.0), (2, 9.0)];
        let other = [(1, 1.0), (1, 10.0), (2, 2.0)];
        let spread = ratios(&one, &other, |_| true, |figure: &f64| *figure).unwrap();
        assert_eq!((spread.median, spread.least, spread.most, spread.count), (3.0, 2.0, 4.0, 3));
    }

    #[test]
    fn a_ratio_is_that_of_one_round() {
        let one = [(1, 2.0), (2, 3.0), (3, 50.0), (4, f64::INFINITY)];
        let other = [(4, f64::INFINITY), (3, 10.0), (1, 1.0)];
        let of = |counts: fn(&f64) -> bool| ratios(&one, &other, counts, |figure: &f64| *figure);
        let spread = of(|_| true).unwrap();
        assert_eq!((spread.median, spread.least, spread.most, spread.count), (2.0, 1.0, 5.0, 3));
        assert_eq!(of(|figure| *figure < 20.0).unwrap().count, 1);
        assert_eq!(of(|_| false), None);
    }

    #[test]
    fn the_median_of_an_even_number_of_figures_is_between_the_two_in_the_middle() {
        assert_eq!(Spread::of(std::iter::empty()), None);
        let spread = Spread::of([4.0, 1.0, 2.0, 3.0].into_iter()).unwrap();
        assert_eq!((spread.median, spread.least, spread.most, spread.count), (2.5, 1.0, 4.0, 4));
        assert_eq!(Spread::of([3.0, 1.0, 2.0].into_iter()).map(|spread| spread.median), Some(2.0));
    }
}
