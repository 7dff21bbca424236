//! Who has a route of a prefix, as far as this sidecar can see: what each neighbour and each other announcer was told, and
//! what has thereby come of the level in force. The status, its page, `pharos why` and the metrics all ask here.
//!
//! A neighbour has what its session has told it; without a session it has nothing; and while it takes no octets, so that some
//! wait, what it has is not known. Octets that the kernel has taken count as told: BGP acknowledges nothing. Of another announcer counts what it
//! observes, and of one that has observed nothing yet, or whose thread is late, nothing is known. One that runs dry tells
//! nobody.
//!
//! A session writes down what it has told when it has told it, and looks again each second. So what stands here of a
//! neighbour is never older than the watchdog is patient with the BGP thread, and the moment of its look: then the process
//! ends ([`crate::watchdog`]), and tells nothing any more.

use pharos_policy::Prefix;
use pharos_policy::explain::{Route, Told};

use crate::config::Mode;
use crate::keeper::{Neighbour, State, View};

/// What each neighbour and each other announcer was told of a prefix.
pub(crate) fn told(state: &State, prefix: Prefix) -> Vec<Told> {
    let neighbours = state.neighbours.iter().map(|neighbour| {
        let nothing = if neighbour.state.is_none() { "nothing, in a dry run" } else { "nothing" };
        let mut text = neighbour.told_of(prefix).unwrap_or(nothing).to_owned();
        if neighbour.waits {
            text += " (waits: the neighbour takes no octets, and may know something older)";
        }
        Told { who: format!("bgp {}", neighbour.name), text, route: of_neighbour(neighbour, prefix) }
    });
    let announcers = state.announcers.iter().flat_map(|view| {
        let of_it = view.observed.iter().filter(move |observed| observed.prefix == prefix);
        of_it.map(|it| Told {
            who: view.name.clone(),
            text: if view.late { format!("{} (last known)", it.text) } else { it.text.clone() },
            route: if view.late { Route::Unknown } else { it.route },
        })
    });
    neighbours.chain(announcers).collect()
}

/// Whether anybody has a route of a prefix.
pub(crate) fn route(state: &State, prefix: Prefix) -> Route {
    let neighbours = state.neighbours.iter().map(|neighbour| of_neighbour(neighbour, prefix));
    let announcers = state.announcers.iter().map(|view| of_announcer(view, prefix));
    Route::of_all(neighbours.chain(announcers))
}

fn of_neighbour(neighbour: &Neighbour, prefix: Prefix) -> Route {
    match neighbour.told_of(prefix) {
        _ if neighbour.waits => Route::Unknown,
        Some(_) => Route::There,
        None => Route::Absent,
    }
}

fn of_announcer(view: &View, prefix: Prefix) -> Route {
    let of_it = view.observed.iter().filter(|observed| observed.prefix == prefix);
    let mut routes = of_it.map(|observed| observed.route);
    match (view.mode, routes.next()) {
        (Mode::DryRun, _) => Route::Absent,
        (Mode::Announce, _) if view.late => Route::Unknown,
        (Mode::Announce, None) => Route::Unknown,
        (Mode::Announce, Some(first)) => Route::of_all(std::iter::once(first).chain(routes)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pharos_policy::explain::Effect;
    use pharos_policy::{Level, Policy};
    use pharos_routing::bgp::State as Session;

    use super::*;
    use crate::clock::Clock;
    use crate::config::sample;
    use crate::keeper::{Keeper, Observed};
    use crate::queues::Queues;
    use crate::traffic::{Flows, Traffic};

    fn prefix() -> Prefix {
        "192.0.2.0/24".parse().unwrap()
    }

    fn neighbour(state: Option<Session>, told: &[&str]) -> Neighbour {
        Neighbour {
            name: "10.0.0.1".into(),
            remote_as: 64500,
            state,
            since: Duration::ZERO,
            agreed: None,
            flaps: 0,
            last_down: None,
            last_notification: None,
            told: told.iter().map(|line| (*line).to_owned()).collect(),
            waits: false,
            drift: Vec::new(),
            bfd: None,
        }
    }

    fn view(mode: Mode, observed_of: &[Route]) -> View {
        let observed = |route: &Route| Observed { prefix: prefix(), text: "so".into(), route: *route };
        let observed = observed_of.iter().map(observed).collect();
        View {
            name: "bird".into(),
            thread: "pharos-bird",
            late: false,
            mode,
            death: String::new(),
            state: String::new(),
            failing: None,
            observed,
            said: Vec::new(),
            drift: Vec::new(),
        }
    }

    fn effect(neighbours: Vec<Neighbour>, views: Vec<View>) -> Effect {
        let config = sample::config();
        let traffic = Traffic::new(config.rules.quiet, config.rules.patience, Flows::new());
        let clock = Clock::start();
        let policy = Policy::new(clock.now(), config.policy()).unwrap();
        let keeper = Keeper::new(clock, policy, neighbours, views, None, traffic, Queues::of([]));
        let route = route(&keeper.state(), prefix());
        Effect::of(Level::Normal, route)
    }

    const LINE: &str = "192.0.2.0/24 via 10.0.0.2 communities 64512:53";

    #[test]
    fn one_neighbour_that_was_told_makes_it_announced_and_one_without_a_session_does_not() {
        let up = || neighbour(Some(Session::Established), &[LINE]);
        let down = || neighbour(Some(Session::Active), &[]);
        assert_eq!(effect(vec![down(), up()], Vec::new()), Effect::Announced);
        assert_eq!(effect(vec![down(), down()], Vec::new()), Effect::NobodyTold);
        let other = neighbour(Some(Session::Established), &["192.0.2.0/25 via 10.0.0.2"]);
        assert_eq!(effect(vec![other], Vec::new()), Effect::NobodyTold);
    }

    #[test]
    fn what_a_neighbour_has_that_takes_no_octets_is_not_known() {
        let waits = |told: &[&str]| Neighbour { waits: true, ..neighbour(Some(Session::Established), told) };
        assert_eq!(effect(vec![waits(&[])], Vec::new()), Effect::NotKnown, "a withdrawal may wait");
        assert_eq!(effect(vec![waits(&[LINE])], Vec::new()), Effect::NotKnown);
        let other = neighbour(Some(Session::Established), &[LINE]);
        assert_eq!(effect(vec![waits(&[]), other], Vec::new()), Effect::Announced);
    }

    #[test]
    fn a_dry_run_tells_nobody_whatever_it_shows() {
        let shown = format!("(dry run, not sent) {LINE}");
        let views = vec![view(Mode::DryRun, &[Route::There])];
        assert_eq!(effect(vec![neighbour(None, &[&shown])], views), Effect::NobodyTold);
    }

    #[test]
    fn of_an_announcer_counts_what_it_observes_and_before_that_nothing_is_known() {
        let of = |observed: &[Route]| effect(Vec::new(), vec![view(Mode::Announce, observed)]);
        assert_eq!(of(&[]), Effect::NotKnown);
        assert_eq!(of(&[Route::Unknown]), Effect::NotKnown);
        assert_eq!(of(&[Route::Absent]), Effect::NobodyTold);
        assert_eq!(of(&[Route::Absent, Route::There]), Effect::Announced, "a marker for each level");
        let late = View { late: true, ..view(Mode::Announce, &[Route::There]) };
        assert_eq!(effect(Vec::new(), vec![late]), Effect::NotKnown);
        // Whoever is seen to have it is enough.
        let up = neighbour(Some(Session::Established), &[LINE]);
        assert_eq!(effect(vec![up], vec![view(Mode::Announce, &[])]), Effect::Announced);
    }
}
