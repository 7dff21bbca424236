//! What may come of a fault, as values that the engine can look at.

use super::{FaultLab, Who};
use crate::lab::{NodeEvent, PREFIX4, PREFIX6, RouteMonitor, RouteNews};
use serde_json::Value;
use std::time::Instant;

/// Something that must come true after a step.
#[derive(Debug, Clone)]
pub enum Expect {
    /// The sidecar decides on this level, and its cause holds these words. Here and below, `|` divides alternatives.
    Level {
        /// Of which node.
        who: Who,
        /// For which prefix.
        prefix: &'static str,
        /// What it decides.
        level: &'static str,
        /// Part of the cause.
        because: &'static str,
    },
    /// The route goes at every router of ams: no node there is a way to the prefix any more, and none becomes one again.
    Gone(&'static str),
    /// No node is a way to the prefix for any router of ams, from the beginning of the step to its end.
    Absent(&'static str),
    /// The route is at every router of ams.
    Back(&'static str),
    /// The routers of ams spread the prefix over so many nodes.
    Spread(&'static str, usize),
    /// The local preference of the route at the first router of ams.
    Preference(&'static str, u64),
    /// The first router of ams has this community on the route.
    Community(&'static str, &'static str),
    /// The transit network sends traffic for the prefix to the router with this address, or nowhere.
    Transit(&'static str, Option<&'static str>),
    /// An alarm of this kind, and with these words, is raised.
    Alarm(Who, &'static str, &'static str),
    /// The last alarm of this kind is over.
    AlarmOver(Who, &'static str),
    /// The sidecar's log has this message, and these words anywhere in its fields.
    Logged(Who, &'static str, &'static str),
    /// What this signal saw last has these words.
    Saw(Who, &'static str, &'static str),
    /// Among the reasons that `pharos why` gives for the prefix, one that asks for the level in force has these words.
    Why(Who, &'static str, &'static str),
    /// What `pharos why` says of traffic and the last change of the prefix: `yes`, `not-yet` or `no`.
    Followed(Who, &'static str, &'static str),
    /// Every query of every client is answered by one of these.
    Answered(&'static [&'static str]),
    /// The responder has ended by itself.
    ResponderEnded(Who),
    /// The sidecar has ended by itself.
    SidecarEnded(Who),
    /// Anything else.
    That(&'static str, fn(&mut FaultLab) -> bool),
}

/// What a measured moment stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Detection,
    Alarm,
    Convergence,
    Clients,
    Other,
}

/// What a probe says of a responder that was killed: a query that lay in its socket is not answered, later ones are
/// refused.
pub(super) const DEAD: &str = "connection refused|no answer within";

/// Whether a text has one of the words, which `|` divides.
fn has(text: &str, words: &str) -> bool {
    words.split('|').any(|word| text.contains(word))
}

/// Both prefixes withdrawn at the first node of ams for this reason, gone at its router, and clients with fra.
pub(super) fn leaves(because: &'static str) -> Vec<Expect> {
    let mut list = decided("withdrawn", because);
    list.extend([Expect::Gone(PREFIX4), Expect::Gone(PREFIX6), Expect::Answered(&["a.fra"])]);
    list
}

/// The node of fra decides on this level for both prefixes.
pub(super) fn at_fra(level: &'static str, because: &'static str) -> Vec<Expect> {
    [PREFIX4, PREFIX6].map(|prefix| Expect::Level { who: Who::Fra, prefix, level, because }).to_vec()
}

/// Nothing is announced, before, during and after, and clients are with fra.
pub(super) fn absent() -> Vec<Expect> {
    vec![Expect::Absent(PREFIX4), Expect::Absent(PREFIX6), Expect::Answered(&["a.fra"])]
}

/// The routes go, and clients are with fra; nobody is left at ams who could decide anything.
pub(super) fn gone() -> Vec<Expect> {
    vec![Expect::Gone(PREFIX4), Expect::Gone(PREFIX6), Expect::Answered(&["a.fra"])]
}

/// Who slept finds its signals silent for too long, and earns its routes back.
pub(super) fn wakes() -> Vec<Expect> {
    let mut list = decided("withdrawn", "nothing seen");
    list.extend(returns());
    list
}

/// The session with the router is up again, with both routes, and clients are with the first node of ams.
pub(super) fn reconnects() -> Vec<Expect> {
    vec![
        Expect::AlarmOver(Who::A, "neighbour-down"),
        Expect::Back(PREFIX4),
        Expect::Back(PREFIX6),
        Expect::Answered(&["a.ams"]),
    ]
}

/// Nothing at all: both routes are there, and clients with the first node of ams.
pub(super) fn stays() -> Vec<Expect> {
    vec![Expect::Back(PREFIX4), Expect::Back(PREFIX6), Expect::Answered(&["a.ams"])]
}

/// The first node of ams decides on this level for both prefixes, and its router has these preferences.
pub(super) fn preferred(level: &'static str, because: &'static str, value: u64) -> Vec<Expect> {
    let mut list = decided(level, because);
    list.extend([Expect::Preference(PREFIX4, value), Expect::Preference(PREFIX6, value)]);
    list
}

/// Both prefixes preferred as ever, at a node of ams that had stayed announced, and clients with it.
pub(super) fn normal_again() -> Vec<Expect> {
    [preferred("normal", "", 100), vec![Expect::Answered(&["a.ams"])]].concat()
}

/// Both prefixes back to normal at the first node of ams, at its router, and clients with it.
pub(super) fn returns() -> Vec<Expect> {
    let mut list = decided("normal", "");
    list.extend([Expect::Back(PREFIX4), Expect::Back(PREFIX6), Expect::Answered(&["a.ams"])]);
    list
}

/// The first node of ams decides on this level for both prefixes.
pub(super) fn decided(level: &'static str, because: &'static str) -> Vec<Expect> {
    let of = |prefix| Expect::Level { who: Who::A, prefix, level, because };
    vec![of(PREFIX4), of(PREFIX6)]
}

impl Expect {
    /// Which of the measured times this is the end of.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Level { .. } => Kind::Detection,
            Self::Alarm(..) => Kind::Alarm,
            Self::Gone(_)
            | Self::Preference(..)
            | Self::Community(..)
            | Self::Spread(..)
            | Self::Transit(..)
            | Self::Back(_) => Kind::Convergence,
            Self::Answered(_) => Kind::Clients,
            _ => Kind::Other,
        }
    }

    /// Whether looking costs a process: then it is looked at last, and seldom.
    pub(super) fn is_costly(&self) -> bool {
        matches!(self, Self::Why(..) | Self::Followed(..))
    }

    /// Whether it is about what is, and not about what has happened: then it has to be so still when the step ends.
    pub(super) fn is_state(&self) -> bool {
        match self {
            Self::Gone(_)
            | Self::Absent(_)
            | Self::Back(_)
            | Self::Spread(..)
            | Self::Preference(..)
            | Self::Community(..)
            | Self::Transit(..)
            | Self::Answered(_) => true,
            Self::Level { .. }
            | Self::Alarm(..)
            | Self::AlarmOver(..)
            | Self::Logged(..)
            | Self::Saw(..)
            | Self::Why(..)
            | Self::Followed(..)
            | Self::ResponderEnded(_)
            | Self::SidecarEnded(_)
            | Self::That(..) => false,
        }
    }

    /// Whether it is something that has to come about, so that there must be a bound on how late.
    #[cfg(test)]
    pub(super) fn is_reaction(&self) -> bool {
        matches!(self, Self::Level { .. } | Self::Alarm(..) | Self::Gone(_))
    }

    /// The prefix whose routes may lead to so many nodes of ams at most once this has come true.
    pub(super) fn most_nodes(&self) -> Option<(&'static str, usize)> {
        match self {
            Self::Gone(prefix) | Self::Absent(prefix) => Some((prefix, 0)),
            Self::Spread(prefix, nodes) => Some((prefix, *nodes)),
            _ => None,
        }
    }

    /// The moment at which it came true; `None` if it has not since then.
    pub(super) fn met(&self, lab: &mut FaultLab, since: Instant) -> Option<Instant> {
        match self {
            Self::Level { who, prefix, level, because } => {
                let matches = |event: &NodeEvent| {
                    event.message == "route"
                        && event.text("prefix") == *prefix
                        && event.text("to") == *level
                        && has(event.text("cause"), because)
                };
                first(lab, *who, since, matches)
            }
            Self::Alarm(who, kind, words) => first(lab, *who, since, |event| {
                event.message == "alarm" && event.text("kind") == *kind && has(event.text("text"), words)
            }),
            Self::AlarmOver(who, kind) => {
                first(lab, *who, since, |event| event.message == "alarm over" && event.text("kind") == *kind)
            }
            Self::Logged(who, message, words) => first(lab, *who, since, |event| {
                event.message.contains(message) && has(&event.fields.to_string(), words)
            }),
            Self::Saw(who, signal, words) => {
                let status = lab.node(*who).sidecar_status()?;
                let signals = status.get("signals")?.as_array()?;
                let seen =
                    signals.iter().find(|entry| entry.get("name").is_some_and(|name| name == signal))?;
                has(seen.get("last")?.as_str()?, words).then(Instant::now)
            }
            Self::Gone(prefix) => route(lab, prefix, since, 0),
            Self::Absent(prefix) => route(lab, prefix, since, 0).map(|_| since),
            Self::Back(prefix) => {
                let nodes = lab.topology.ams.machines.len();
                route(lab, prefix, since, nodes)
            }
            Self::Spread(prefix, nodes) => route(lab, prefix, since, *nodes),
            Self::Preference(prefix, value) => {
                (lab.topology.ams.local_preference(prefix) == Some(*value)).then(Instant::now)
            }
            Self::Community(prefix, community) => {
                let route = lab.topology.ams.bird_route(prefix)?;
                route.communities.iter().any(|has| has == community).then(Instant::now)
            }
            Self::Transit(prefix, gateway) => {
                let news = lab.topology.transit_routes.last(prefix)?;
                let expected: Vec<_> = gateway.iter().map(|gateway| (*gateway).to_owned()).collect();
                (news.gateways == expected).then_some(news.at.max(since))
            }
            Self::Why(who, prefix, words) => has_reason(&why(lab, *who, prefix)?, words).then(Instant::now),
            Self::Followed(who, prefix, verdict) => {
                let why = why(lab, *who, prefix)?;
                (why.pointer("/traffic/followed")?.as_str()? == *verdict).then(Instant::now)
            }
            Self::Answered(nodes) => lab.traffic.settled_on(nodes, since),
            Self::ResponderEnded(who) => lab.node(*who).responder().ended().map(|_| Instant::now()),
            Self::SidecarEnded(who) => lab.node(*who).sidecar().ended().map(|_| Instant::now()),
            Self::That(_, holds) => holds(lab).then(Instant::now),
        }
    }
}

/// What `pharos why` says of a prefix.
fn why(lab: &mut FaultLab, who: Who, prefix: &str) -> Option<Value> {
    serde_json::from_slice(&lab.node(who).pharos(&["why", prefix, "--json"]).stdout).ok()
}

/// Whether a reason that asks for the level in force has one of these words. What else stands there, signals, history and
/// what would change it, is no reason.
fn has_reason(why: &Value, words: &str) -> bool {
    let level = why.get("level");
    let reasons = why.get("reasons").and_then(Value::as_array);
    let text = |reason: &Value| reason.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
    level.is_some()
        && reasons.is_some_and(|all| all.iter().any(|one| one.get("asks") == level && has(&text(one), words)))
}

fn first(
    lab: &mut FaultLab,
    who: Who,
    since: Instant,
    matches: impl Fn(&NodeEvent) -> bool,
) -> Option<Instant> {
    let events = lab.node(who).events(since);
    events.iter().find(|event| matches(event)).map(|event| event.at)
}

/// When the last router of ams came to spread `prefix` over so many nodes, by its kernel's own news.
fn route(lab: &FaultLab, prefix: &str, since: Instant, nodes: usize) -> Option<Instant> {
    let mut last = since;
    for router in &lab.topology.ams.routers {
        last = last.max(heard(&router.routes, prefix, nodes).or_else(|| {
            // A kernel that lost the interface says nothing; its daemon knows. So does one without a kernel route.
            (nodes == 0 && router.bird().is_some_and(|bird| !bird.has(prefix))).then(Instant::now)
        })?);
    }
    Some(last)
}

fn heard(routes: &RouteMonitor, prefix: &str, nodes: usize) -> Option<Instant> {
    let news = routes.last(prefix)?;
    (nodes_among(&news) == nodes).then_some(news.at)
}

/// How many gateways of a route are nodes of this POP; others are the backbone's.
pub(super) fn nodes_among(news: &RouteNews) -> usize {
    let is_node =
        |gateway: &&String| ["10.0.", "fd00::", "fd00:0:0:"].iter().any(|net| gateway.starts_with(net));
    news.gateways.iter().filter(is_node).count()
}

/// Of a router's news of a prefix, those by which it led to more than `most` nodes of this POP, later than `after`.
pub(super) fn returned(news: &[RouteNews], after: Instant, most: usize) -> Vec<&RouteNews> {
    news.iter().filter(|news| news.at > after && nodes_among(news) > most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    const BACKBONE: &str = "10.8.0.2";
    const A: &str = "10.0.0.2";
    const B: &str = "10.0.1.2";

    fn news(begun: Instant, list: &[(u64, &[&str])]) -> Vec<RouteNews> {
        let one = |(ms, gateways): &(u64, &[&str])| RouteNews {
            at: begun + Duration::from_millis(*ms),
            gateways: gateways.iter().map(|&gateway| gateway.to_owned()).collect(),
        };
        list.iter().map(one).collect()
    }

    #[test]
    fn a_route_that_came_back_and_went_again_is_seen() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let flap = news(begun, &[(0, &[A]), (10, &[]), (20, &[A]), (25, &[])]);
        let seen: Vec<_> = returned(&flap, at(10), 0).iter().map(|news| news.at).collect();
        assert_eq!(seen, [at(20)]);
        assert!(returned(&flap, at(20), 0).is_empty(), "what came before it had to be gone is no fault");
    }

    #[test]
    fn another_pop_s_way_is_no_return_and_of_two_nodes_one_may_stay() {
        let begun = Instant::now();
        assert!(returned(&news(begun, &[(10, &[]), (20, &[BACKBONE])]), begun, 0).is_empty());
        let pair = news(begun, &[(10, &[B]), (20, &[B]), (30, &[A, B])]);
        assert_eq!(returned(&pair, begun, 1), [&pair[2]]);
        assert_eq!(returned(&pair, begun, 0).len(), 3);
    }

    #[test]
    fn a_reason_asks_for_the_level_in_force_and_no_signal_nor_history_is_one() {
        let why = json!({
            "level": "degraded",
            "reasons": [
                {"asks": "degraded", "text": "UDP probe of 192.0.2.53:53: no answer within 200ms"},
                {"asks": "normal", "text": "data of example.com.: 70 s old (asks for nothing)"},
            ],
            "signals": [{"name": "TCP probe of 192.0.2.53:53", "last": "connection refused"}],
            "history": [{"cause": "the signature has expired"}],
        });
        assert!(has_reason(&why, "refused|no answer within"));
        assert!(!["TCP", "has expired", "70 s old"].iter().any(|words| has_reason(&why, words)));
        assert!(!has_reason(&json!({"reasons": [{"text": "TCP"}]}), "TCP"));
    }
}
