//! Every state explains itself: the answer to "why is this prefix announced like that?".
//!
//! An [`Explanation`] is a snapshot that stands alone: it needs neither the policy nor its clock to be read.
//! Times are ages (how long ago), because the policy's own time means nothing elsewhere. As JSON, durations
//! are seconds with fractions and their names end in `_seconds`; as text it is the block that
//! `pharos why PREFIX` prints. It reads back from JSON, so that a client prints what the sidecar said.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kind::Kind;
use crate::level::Level;
use crate::prefix::Prefix;
use crate::signal::Health;

/// Why a prefix has its level, since when, and what would change it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The prefix in question.
    pub prefix: Prefix,
    /// The group that it belongs to.
    pub group: String,
    /// The level in force.
    pub level: Level,
    /// How long the level has been in force.
    #[serde(rename = "level_age_seconds", with = "seconds")]
    pub level_age: Duration,
    /// Why: never empty. What asks for the level comes first; things that changed nothing come last.
    pub reasons: Vec<Reason>,
    /// Every signal that concerns the prefix.
    pub signals: Vec<SignalView>,
    /// What is left of the hold-down when the level is better than the one in force and only waits.
    #[serde(rename = "hold_down_left_seconds", with = "optional_seconds")]
    pub hold_down_left: Option<Duration>,
    /// Whether that is the hold-down, or a return that is not allowed yet.
    #[serde(default)]
    pub waits_for: Option<WaitsFor>,
    /// What is left of the grace when the level will be worse but still announced.
    #[serde(rename = "grace_left_seconds", with = "optional_seconds")]
    pub grace_left: Option<Duration>,
    /// How long a return waits at present; grows with every fall in short succession.
    #[serde(rename = "hold_down_seconds", with = "seconds")]
    pub hold_down: Duration,
    /// How many returns are counted, and how many may be.
    pub returns: ReturnsView,
    /// What would change the level, and when: never empty.
    pub next_changes: Vec<NextChange>,
    /// What has come of the level; `None` from the policy alone, which tells nobody.
    #[serde(default)]
    pub effect: Option<Effect>,
    /// What neighbours and other announcers were told; the policy knows none, whoever announces fills it in.
    #[serde(default)]
    pub told: Vec<Told>,
    /// The client queries that come for it; `None` where nobody counts them. Known to the sidecar, not to the policy.
    #[serde(default)]
    pub traffic: Option<TrafficView>,
    /// The last transitions, newest first, at most [`HISTORY`](crate::preference::HISTORY).
    pub history: Vec<Transition>,
}

/// What one neighbour or announcer was told of a prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Who: `bgp 10.0.0.1`, `bird`, `exec NAME`.
    pub who: String,
    /// What, in words: a route with its attributes, or nothing.
    pub text: String,
    /// Whether it has a route of the prefix now.
    #[serde(default)]
    pub route: Route,
}

/// Whether somebody has a route of a prefix, as far as can be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    /// It has.
    There,
    /// It has none.
    Absent,
    /// Nobody can see it now.
    #[default]
    Unknown,
}

/// What has come of a level that was decided: a decision that nobody is told moves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Somebody has a route, as decided.
    Announced,
    /// Nobody has one, as decided.
    NotAnnounced,
    /// There should be a route, and nobody is told one.
    NobodyTold,
    /// Somebody has a route that should be gone.
    StillThere,
    /// Those who might have a route cannot be seen.
    NotKnown,
}

impl Route {
    /// Whether any of them has one. Among nobody, nobody has.
    pub fn of_all(routes: impl IntoIterator<Item = Self>) -> Self {
        routes.into_iter().fold(Self::Absent, |all, route| match (all, route) {
            (Self::There, _) | (_, Self::There) => Self::There,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Absent, Self::Absent) => Self::Absent,
        })
    }
}

impl Effect {
    /// What has come of `level`, by whether anybody has a route.
    pub const fn of(level: Level, anybody: Route) -> Self {
        match (anybody, level.is_announced()) {
            (Route::There, true) => Self::Announced,
            (Route::There, false) => Self::StillThere,
            (Route::Absent, true) => Self::NobodyTold,
            (Route::Absent, false) => Self::NotAnnounced,
            (Route::Unknown, _) => Self::NotKnown,
        }
    }

    /// Why the level is no more than a decision, as a sentence without a full stop; `None` where it is in effect.
    pub const fn lack(self) -> Option<&'static str> {
        match self {
            Self::Announced | Self::NotAnnounced => None,
            Self::NobodyTold => Some("nobody is told"),
            Self::StillThere => Some("somebody still has the route"),
            Self::NotKnown => Some("who has the route is not known"),
        }
    }
}

/// The client queries of a prefix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrafficView {
    /// So many come.
    pub queries_per_second: f64,
    /// How long ago they were counted.
    #[serde(rename = "age_seconds", with = "seconds")]
    pub age: Duration,
    /// So many came before the last change of level; `None` if there was none.
    pub before_per_second: Option<f64>,
    /// Whether they followed it; `None` where there was nothing to follow.
    pub followed: Option<Followed>,
}

/// Whether traffic followed a change of level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Followed {
    /// It has.
    Yes,
    /// It has not, and may still.
    NotYet,
    /// It has not, and had the time to.
    No,
}

impl fmt::Display for TrafficView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} client queries a second", self.queries_per_second)?;
        if let Some(before) = self.before_per_second {
            write!(f, ", {before:.0} before the last change")?;
        }
        f.write_str(match self.followed {
            None => "",
            Some(Followed::Yes) => ": they followed it",
            Some(Followed::NotYet) => ": they have not followed it yet",
            Some(Followed::No) => ": they have not followed it",
        })
    }
}

/// What a better level waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitsFor {
    /// That it stays good for the hold-down.
    HoldDown,
    /// That one more return is allowed.
    Returns,
}

/// The cap on returns as it stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReturnsView {
    /// Returns within the time that counts.
    pub counted: usize,
    /// So many may be.
    pub most: u32,
    /// The time that counts.
    pub within_seconds: f64,
}

/// One reason for a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The level that this reason asks for.
    pub asks: Level,
    /// The reason as a sentence without a full stop.
    pub text: String,
}

/// One signal as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SignalView {
    /// What is observed: `udp probe of 192.0.2.53:53`.
    pub name: String,
    /// The verdict.
    pub health: Verdict,
    /// How long the verdict has stood.
    #[serde(rename = "health_age_seconds", with = "seconds")]
    pub health_age: Duration,
    /// What was seen last; empty before the first observation.
    pub last: String,
    /// How long ago that was; `None` before the first observation.
    #[serde(rename = "last_age_seconds", with = "optional_seconds")]
    pub last_age: Option<Duration>,
    /// What it still takes to change the verdict: "2 of 3 passes".
    pub progress: String,
    /// What a reader shall not take the verdict for; mostly empty.
    #[serde(default)]
    pub remark: String,
}

/// A verdict as people are told it: [`Health`], in the words that the kind of its signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not enough seen since the start, or too long ago.
    Unknown,
    /// Passing.
    Good,
    /// Real traffic that fails: nobody asks, which is neither good nor bad.
    Quiet,
    /// Passing, and a person should look before that ends.
    Warned,
    /// Failing, or silent.
    Bad,
    /// Failing as badly as it can.
    Expired,
}

impl Verdict {
    /// What `health` means for a signal of this kind.
    pub const fn of(kind: Kind, health: Health) -> Self {
        match (kind, health) {
            (Kind::Traffic | Kind::Answers, Health::Bad) => Self::Quiet,
            (_, Health::Unknown) => Self::Unknown,
            (_, Health::Good) => Self::Good,
            (_, Health::Warned) => Self::Warned,
            (_, Health::Bad) => Self::Bad,
            (_, Health::Expired) => Self::Expired,
        }
    }

    /// The name in texts, logs and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => Health::Unknown.name(),
            Self::Good => Health::Good.name(),
            Self::Quiet => "quiet",
            Self::Warned => Health::Warned.name(),
            Self::Bad => Health::Bad.name(),
            Self::Expired => Health::Expired.name(),
        }
    }

    /// A sort key that puts the worst first.
    pub const fn severity(self) -> u8 {
        match self {
            Self::Bad | Self::Expired => 0,
            Self::Unknown => 1,
            Self::Warned => 2,
            Self::Quiet => 3,
            Self::Good => 4,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Something that would change the level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextChange {
    /// The level that would come.
    pub to: Level,
    /// The time until then, when time alone decides; `None` when an event must come first.
    #[serde(rename = "after_seconds", with = "optional_seconds")]
    pub after: Option<Duration>,
    /// The condition as a sentence without a full stop.
    pub when: String,
}

impl NextChange {
    /// When it would come, as a person reads it.
    pub fn condition(&self) -> String {
        match self.after {
            Some(left) => format!("in {}: {}", Age(left), self.when),
            None => self.when.clone(),
        }
    }
}

/// One change of level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// How long ago.
    #[serde(rename = "age_seconds", with = "seconds")]
    pub age: Duration,
    /// The level before.
    pub from: Level,
    /// The level after.
    pub to: Level,
    /// Why.
    pub cause: String,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { prefix, group, level, .. } = self;
        writeln!(f, "{prefix} is {level}, for {}  (group {group})", Age(self.level_age))?;
        if let Some(lack) = self.effect.and_then(Effect::lack) {
            writeln!(f, "that is decided only: {lack}")?;
        }
        writeln!(f, "because")?;
        for reason in &self.reasons {
            writeln!(f, "  {:<11} {}", reason.asks, reason.text)?;
        }
        writeln!(f, "what would change it")?;
        for change in &self.next_changes {
            writeln!(f, "  {:<11} {}", change.to, change.condition())?;
        }
        let capped = self.waits_for == Some(WaitsFor::Returns);
        match self.hold_down_left {
            Some(left) if !capped => writeln!(f, "hold-down {} ({} left)", Age(self.hold_down), Age(left))?,
            _ => writeln!(f, "hold-down {}, none running", Age(self.hold_down))?,
        }
        let ReturnsView { counted, most, within_seconds } = self.returns;
        let within = Age(Duration::try_from_secs_f64(within_seconds).unwrap_or_default());
        write!(f, "returns {counted} of {most} within {within}")?;
        match self.hold_down_left {
            Some(left) if capped => writeln!(f, " (the next in {})", Age(left))?,
            _ => writeln!(f)?,
        }
        if let Some(traffic) = &self.traffic {
            writeln!(f, "traffic {traffic}")?;
        }
        if let Some(left) = self.grace_left {
            writeln!(f, "grace {} left", Age(left))?;
        }
        writeln!(f, "told")?;
        for told in &self.told {
            writeln!(f, "  {told}")?;
        }
        writeln!(f, "signals")?;
        for signal in &self.signals {
            writeln!(f, "  {signal}")?;
        }
        writeln!(f, "last changes")?;
        if self.history.is_empty() {
            writeln!(f, "  none since the start")?;
        }
        for transition in &self.history {
            writeln!(f, "  {transition}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SignalView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7} for {:>7}  {}", self.health, Age(self.health_age), self.name)?;
        match self.last_age {
            Some(age) => write!(f, "; last {} ago: {}", Age(age), self.last)?,
            None => write!(f, "; nothing seen yet")?,
        }
        if !self.progress.is_empty() {
            write!(f, " ({})", self.progress)?;
        }
        if self.remark.is_empty() { Ok(()) } else { write!(f, "; {}", self.remark) }
    }
}

impl fmt::Display for NextChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Some(left) => write!(f, "{} in {}: {}", self.to, Age(left), self.when),
            None => write!(f, "{}: {}", self.to, self.when),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.who, self.text)
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} ago  {} -> {}: {}", Age(self.age), self.from, self.to, self.cause)
    }
}

/// A duration as people read it: `350ms`, `7.2s`, `4m 10s`, `3h 05m`, `2d 04h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(pub Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let secs = self.0.as_secs();
        let text = match secs {
            _ if millis < 1_000 => format!("{millis}ms"),
            0..60 => format!("{}.{}s", secs, millis % 1_000 / 100),
            60..3_600 => format!("{}m {:02}s", secs / 60, secs % 60),
            3_600..86_400 => format!("{}h {:02}m", secs / 3_600, secs % 3_600 / 60),
            _ => format!("{}d {:02}h", secs / 86_400, secs % 86_400 / 3_600),
        };
        f.pad(&text)
    }
}

/// Durations as seconds with fractions, rounded to microseconds.
mod seconds {
    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(to_f64(*value))
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        from_f64(f64::deserialize(d)?)
    }

    pub(super) fn to_f64(value: Duration) -> f64 {
        (value.as_secs_f64() * 1e6).round() / 1e6
    }

    pub(super) fn from_f64<E: serde::de::Error>(value: f64) -> Result<Duration, E> {
        Duration::try_from_secs_f64(value).map_err(E::custom)
    }
}

/// The same for durations that may be absent.
mod optional_seconds {
    use super::*;

    pub(super) fn serialize<S: serde::Serializer>(value: &Option<Duration>, s: S) -> Result<S::Ok, S::Error> {
        value.map(seconds::to_f64).serialize(s)
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(d)?.map(seconds::from_f64).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_like_a_person_would_say_them() {
        let text = |ms| Age(Duration::from_millis(ms)).to_string();
        assert_eq!(
            [0, 350, 7_250, 59_999, 250_000, 11_100_000, 187_200_000].map(text),
            ["0ms", "350ms", "7.2s", "59.9s", "4m 10s", "3h 05m", "2d 04h"]
        );
    }

    #[test]
    fn an_explanation_reads_back_from_its_own_json_and_prints_every_part() {
        let explanation = Explanation {
            prefix: "192.0.2.0/24".parse().unwrap(),
            group: "main".into(),
            level: Level::Withdrawn,
            level_age: Duration::from_millis(12_300),
            reasons: vec![Reason { asks: Level::Withdrawn, text: "connection refused".into() }],
            signals: vec![SignalView {
                name: "udp probe of 192.0.2.53:53".into(),
                health: Verdict::Bad,
                health_age: Duration::from_secs(12),
                last: "connection refused".into(),
                last_age: Some(Duration::from_millis(20)),
                progress: "0 of 3 passes".into(),
                remark: String::new(),
            }],
            hold_down_left: None,
            waits_for: None,
            grace_left: None,
            hold_down: Duration::from_secs(10),
            returns: ReturnsView { counted: 1, most: 10, within_seconds: 3600.0 },
            next_changes: vec![NextChange { to: Level::Normal, after: None, when: "probes pass".into() }],
            effect: Some(Effect::StillThere),
            told: vec![Told { who: "exec gobgp".into(), text: "normal".into(), route: Route::There }],
            traffic: Some(TrafficView {
                queries_per_second: 12.3,
                age: Duration::from_secs(1),
                before_per_second: Some(800.0),
                followed: Some(Followed::NotYet),
            }),
            history: vec![Transition {
                age: Duration::from_millis(12_300),
                from: Level::Normal,
                to: Level::Withdrawn,
                cause: "connection refused".into(),
            }],
        };
        let json = serde_json::to_string(&explanation).unwrap();
        assert!(json.contains("\"level_age_seconds\":12.3"), "{json}");
        assert_eq!(serde_json::from_str::<Explanation>(&json).unwrap(), explanation);
        let text = explanation.to_string();
        for part in [
            "192.0.2.0/24 is withdrawn",
            "because",
            "signals",
            "last changes",
            "normal -> withdrawn",
            "that is decided only: somebody still has the route",
            "exec gobgp: normal",
        ] {
            assert!(text.contains(part), "{part} missing in:\n{text}");
        }
    }

    #[test]
    fn a_level_is_in_effect_when_somebody_is_told_and_a_withdrawal_when_nobody_has_the_route() {
        use Route::{Absent, There, Unknown};
        let effect = |level, routes: &[Route]| Effect::of(level, Route::of_all(routes.iter().copied()));
        for (routes, announced, withdrawn) in [
            (&[There, Absent, Unknown][..], Effect::Announced, Effect::StillThere),
            (&[Absent, Absent], Effect::NobodyTold, Effect::NotAnnounced),
            (&[], Effect::NobodyTold, Effect::NotAnnounced),
            (&[Absent, Unknown], Effect::NotKnown, Effect::NotKnown),
        ] {
            for level in Level::ALL.into_iter().filter(|level| level.is_announced()) {
                assert_eq!(effect(level, routes), announced, "{level} {routes:?}");
            }
            assert_eq!(effect(Level::Withdrawn, routes), withdrawn, "{routes:?}");
        }
    }

    #[test]
    fn what_an_older_sidecar_does_not_say_of_a_route_is_not_known() {
        let told: Told = serde_json::from_str(r#"{"who": "bird", "text": "normal"}"#).unwrap();
        assert_eq!(told.route, Route::Unknown);
        assert_eq!(serde_json::to_string(&Effect::NobodyTold).unwrap(), "\"nobody-told\"");
    }
}
