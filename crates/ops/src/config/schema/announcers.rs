//! Announcers beside our own BGP speaker: section `announcers` of site.yaml.

use super::{DefaultDoc, LevelsSection, OptionDoc, SidecarMode, every_default, period_ms};
use crate::config::values::{Community, Label, LargeCommunity, Marker, Period, Prefix};
use serde::Deserialize;
use std::path::PathBuf;

section! {
    /// Who is told of every level besides the neighbours.
    AnnouncersSection at "site.announcers" {
        /// A BIRD on this host, by its control socket.
        #[serde(default)]
        bird: Option<BirdSection>, write "section", Described("none");
        /// Marker addresses on which a routing daemon's routes depend.
        #[serde(default)]
        lease: Option<LeaseSection>, write "section", Described("none");
        /// Programs that are run for each change of a prefix.
        #[serde(default)]
        exec: Vec<ExecSection>, write "list of sections", Described("none");
    }
}

section! {
    /// A BIRD on this host, by its control socket.
    BirdSection at "site.announcers.bird" {
        /// BIRD's control socket. The sidecar's user must be in BIRD's group.
        #[serde(default = "bird_control")]
        control: PathBuf, write "absolute path", Value("/run/bird/bird.ctl");
        /// The file that the sidecar writes and that BIRD's configuration includes: a static protocol for each prefix.
        /// The sidecar's user must be able to write its directory, and BIRD's to read it.
        #[serde(default = "bird_include")]
        include: PathBuf, write "absolute path", Value("/var/lib/pharos/bird.conf");
        /// Standard communities on every route. Beside them each route says its level, as to a neighbour.
        #[serde(default)]
        communities: Vec<Community>, write "list of \"NUMBER:NUMBER\"", Value("[]");
        /// Large communities on every route.
        #[serde(default)]
        large_communities: Vec<LargeCommunity>, write "list of \"NUMBER:NUMBER:NUMBER\"", Value("[]");
        /// What each level is told as, where that is to differ from the defaults: the keys of a neighbour's `levels`.
        /// BIRD's own filters may use local-pref on any session, so it is set where it is written.
        #[serde(default = "every_default")]
        levels: LevelsSection, write "section", Described("the default of each level");
        /// BIRD undoes a load that is not confirmed for so long; the sidecar confirms what BIRD shows. 0s asks for no
        /// confirmation.
        #[serde(default = "undo_timeout")]
        undo_timeout: Period, write "duration, 2s to 10m, or 0s", Value("10s");
        /// How the configuration is loaded: soft lets filters that somebody else has changed hold for new routes alone.
        #[serde(default = "reload")]
        reload: Reload, write "full or soft", Value("full");
        /// Time from one look at what BIRD shows to the next.
        #[serde(default = "retry")]
        look: Period, write "duration, 100ms to 1m", Value("1s");
        /// The first pause after a load that failed; it doubles up to half a minute.
        #[serde(default = "retry")]
        retry: Period, write "duration, 100ms to 1m", Value("1s");
        /// What becomes of the routes when the sidecar dies: lease, that they end with the markers of the lease
        /// announcer; stay, that they stay for good.
        #[serde(default = "death")]
        death: Death, write "lease or stay", Value("lease");
        /// Whether BIRD is told: dry-run shows what it would be told.
        #[serde(default = "acting")]
        mode: SidecarMode, write "announce or dry-run", Value("announce");
    }
}

section! {
    /// Marker addresses on which a routing daemon's routes depend. They are renewed each second while their prefix is
    /// announced; the kernel removes them when the sidecar is dead or frozen.
    LeaseSection at "site.announcers.lease" {
        /// The interface that they are set on; it leads nowhere: `ip link add pharos0 type dummy`, and up.
        #[serde(default = "interface")]
        interface: Label, write "name of an interface", Value("pharos0");
        /// How long they last when nobody renews them.
        #[serde(default = "lifetime")]
        lifetime: Period, write "duration, 2s to 1m, whole seconds", Value("3s");
        /// The markers; each prefix needs one, and so does each anchor.
        markers: Vec<MarkerSection>, write "list of sections", Required;
        /// Whether markers are set: dry-run shows what would be.
        #[serde(default = "acting")]
        mode: SidecarMode, write "announce or dry-run", Value("announce");
    }
}

section! {
    /// One marker address.
    MarkerSection at "site.announcers.lease.markers[]" {
        /// The prefix that it stands for: one of a group, or an anchor.
        prefix: Prefix, write "PREFIX/LENGTH", Required;
        /// The address, and the length of its network, which has room for a next hop; never an address of the service.
        address: Marker, write "ADDRESS/LENGTH", Required;
        /// The levels at which it is there, so that a daemon can hold a route for each. A `bird` that is told has one
        /// route for all of them, which goes by the first marker of its prefix: that one stands for every level.
        #[serde(default = "announced")]
        levels: Vec<LevelName>, write "list of normal, degraded, last-resort, draining",
            Value("[normal, degraded, last-resort, draining]");
    }
}

section! {
    /// A program that is run for each change of a prefix.
    ExecSection at "site.announcers.exec[]" {
        /// A name for logs, metrics and status.
        name: Label, write "1 to 63 letters, digits, - and _", Required;
        /// The program. It gets `arguments`, then the level (normal, degraded, last-resort, draining or withdrawn), the
        /// prefix and the reason; in its environment are PHAROS_LEVEL, PHAROS_PREFIX, PHAROS_FAMILY, PHAROS_REASON,
        /// PHAROS_GROUP, PHAROS_NODE, PHAROS_ATTEMPT, a PATH and LC_ALL, and nothing else. No shell stands between.
        /// Exit code 0 says that it is done; anything else, that it shall be tried again.
        program: PathBuf, write "absolute path", Required;
        /// Its first arguments.
        #[serde(default)]
        arguments: Vec<String>, write "list of texts", Value("[]");
        /// A run that takes longer is killed, with all its children, and has failed. A stop of the sidecar waits for
        /// withdrawals, and for what is tried again: this time and 7 s at most.
        #[serde(default = "timeout")]
        timeout: Period, write "duration, 100ms to 1m", Value("5s");
        /// The first pause after a run that failed; it doubles up to half a minute, for a withdrawal up to two seconds.
        #[serde(default = "retry")]
        retry: Period, write "duration, 100ms to 1m", Value("1s");
        /// A program that says which level a prefix has, by its name in the first line. It gets its arguments and the
        /// prefix. Three looks in a row that fail are an alarm. Without it the last run that succeeded counts.
        #[serde(default)]
        observe: Option<ObserveSection>, write "section", Described("none");
        /// Whether the program is run: dry-run shows what it would be told.
        #[serde(default = "acting")]
        mode: SidecarMode, write "announce or dry-run", Value("announce");
    }
}

section! {
    /// A program that says which level a prefix has.
    ObserveSection at "site.announcers.exec[].observe" {
        /// The program.
        program: PathBuf, write "absolute path", Required;
        /// Its first arguments.
        #[serde(default)]
        arguments: Vec<String>, write "list of texts", Value("[]");
        /// Time from one look to the next.
        #[serde(default = "look")]
        interval: Period, write "duration, 100ms to 1m", Value("10s");
    }
}

/// How BIRD loads its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reload {
    /// With everything that follows from changed filters.
    Full,
    /// Changed filters hold for new routes alone.
    Soft,
}

/// What becomes of routes when the sidecar dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Death {
    /// They end with their markers.
    Lease,
    /// They stay.
    Stay,
}

/// A level at which a prefix is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LevelName {
    /// All is well.
    Normal,
    /// Please prefer others.
    Degraded,
    /// Only if nobody else is left.
    LastResort,
    /// About to leave.
    Draining,
}

impl LevelName {
    /// All of them, from the best on.
    pub const ALL: [Self; 4] = [Self::Normal, Self::Degraded, Self::LastResort, Self::Draining];

    /// The name, as it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Degraded => "degraded",
            Self::LastResort => "last-resort",
            Self::Draining => "draining",
        }
    }
}

fn bird_control() -> PathBuf {
    PathBuf::from("/run/bird/bird.ctl")
}

fn bird_include() -> PathBuf {
    PathBuf::from("/var/lib/pharos/bird.conf")
}

fn undo_timeout() -> Period {
    period_ms(10_000)
}

fn reload() -> Reload {
    Reload::Full
}

fn death() -> Death {
    Death::Lease
}

fn interface() -> Label {
    Label("pharos0".to_owned())
}

fn lifetime() -> Period {
    period_ms(3_000)
}

fn announced() -> Vec<LevelName> {
    LevelName::ALL.to_vec()
}

fn timeout() -> Period {
    period_ms(5_000)
}

fn retry() -> Period {
    period_ms(1_000)
}

fn look() -> Period {
    period_ms(10_000)
}

fn acting() -> SidecarMode {
    SidecarMode::Announce
}
