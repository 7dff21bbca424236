//! Checks of `announcers` in site.yaml.

use super::{Checker, In};
use crate::config::schema::{
    BirdSection, Death, ExecSection, LeaseSection, LevelName, MarkerSection, PharosFile, SidecarMode,
    SiteFile,
};
use crate::config::values::{Period, Prefix};
use crate::yaml::Step::{self, Item, Key};
use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

/// What a node announces.
struct Announced {
    of_groups: Vec<Prefix>,
    anchors: Vec<Prefix>,
}

impl Announced {
    fn of(pharos: &PharosFile) -> Self {
        let groups = pharos.sidecar.iter().flat_map(|sidecar| &sidecar.groups);
        let anchors = pharos.sidecar.iter().flat_map(|sidecar| &sidecar.anchors);
        Self {
            of_groups: groups.flat_map(|group| group.prefixes.iter().copied()).collect(),
            anchors: anchors.map(|anchor| anchor.prefix).collect(),
        }
    }

    /// Each prefix with what it is called.
    fn all(&self) -> impl Iterator<Item = (&'static str, Prefix)> {
        let of_groups = self.of_groups.iter().map(|prefix| ("prefix", *prefix));
        of_groups.chain(self.anchors.iter().map(|prefix| ("anchor", *prefix)))
    }
}

impl Checker<'_> {
    pub(super) fn announcers(&mut self, pharos: &PharosFile, site: &SiteFile) {
        let Some(announcers) = &site.announcers else { return };
        let announced = Announced::of(pharos);
        if let Some(bird) = &announcers.bird {
            self.bird(bird, announcers.lease.as_ref(), &announced);
        }
        if let Some(lease) = &announcers.lease {
            self.lease(lease, &announced, pharos);
        }
        let mut names = HashSet::new();
        for (index, exec) in announcers.exec.iter().enumerate() {
            let at = |key| [Key("announcers"), Key("exec"), Item(index), Key(key)];
            if !names.insert(&exec.name) {
                let what = format!("two programs are named `{}`", exec.name);
                self.error(In::Site, &at("name"), what, "give each its own name");
            }
            self.exec(exec, at);
        }
    }

    fn exec<'a>(&mut self, exec: &ExecSection, at: impl Fn(&'a str) -> [Step<'a>; 4]) {
        self.program(&at("program"), &exec.program);
        self.short(&at("timeout"), "timeout", exec.timeout);
        self.short(&at("retry"), "retry", exec.retry);
        let Some(observe) = &exec.observe else { return };
        let within = |key| [at("observe").as_slice(), &[Key(key)]].concat();
        self.program(&within("program"), &observe.program);
        self.short(&within("interval"), "interval", observe.interval);
    }

    fn bird(&mut self, bird: &BirdSection, lease: Option<&LeaseSection>, announced: &Announced) {
        let at = |key| [Key("announcers"), Key("bird"), Key(key)];
        for (key, path) in [("control", &bird.control), ("include", &bird.include)] {
            if !path.is_absolute() {
                let what = format!("`{key}` is {}, which is not an absolute path", path.display());
                self.error(In::Site, &at(key), what, "write the whole path, as BIRD knows it");
            }
        }
        self.short(&at("look"), "look", bird.look);
        self.short(&at("retry"), "retry", bird.retry);
        let undo = bird.undo_timeout;
        if !undo.0.is_zero() && !(Duration::from_secs(2)..=Duration::from_secs(600)).contains(&undo.0) {
            let what = format!("`undo-timeout` is {undo}");
            self.error(In::Site, &at("undo-timeout"), what, "write 2s to 10m, or 0s for none");
        }
        let markers = lease.map(|lease| lease.markers.as_slice()).unwrap_or_default();
        if bird.death == Death::Lease {
            let has_marker = |prefix: Prefix| markers.iter().any(|marker| marker.prefix == prefix);
            if let Some((_, free)) = announced.all().find(|(_, prefix)| !has_marker(*prefix)) {
                self.error(
                    In::Site,
                    &at("death"),
                    format!("nothing would end BIRD's route of {free} when the sidecar dies"),
                    "give it a marker under `lease:`, or write `death: stay` if the route shall stay for good",
                );
            }
            for (_, prefix) in announced.all() {
                // BIRD's route goes by the first alone.
                let first = markers.iter().enumerate().find(|(_, marker)| marker.prefix == prefix);
                if let Some((index, marker)) = first {
                    self.every_level(index, marker);
                }
            }
            let runs_dry = |lease: &LeaseSection| lease.mode == SidecarMode::DryRun;
            if bird.mode == SidecarMode::Announce && lease.is_some_and(runs_dry) {
                let what =
                    "BIRD's routes go by markers that nobody sets: `lease` is a dry run, and `bird` is none";
                self.error(In::Site, &at("mode"), what, "write the same `mode` for both, or `death: stay`");
            }
        }
        if bird.death == Death::Stay {
            let what = "BIRD's routes would stay when the sidecar dies, whatever becomes of the responder";
            self.warning(In::Site, &at("death"), what, "write `death: lease`, with markers under `lease:`");
        }
    }

    /// Whether a marker that BIRD's route goes by is there as long as the route shall be.
    fn every_level(&mut self, index: usize, marker: &MarkerSection) {
        let lacks = LevelName::ALL.into_iter().filter(|level| !marker.levels.contains(level));
        let lacks: Vec<_> = lacks.map(LevelName::name).collect();
        // An empty list has an error of its own.
        if lacks.is_empty() || marker.levels.is_empty() {
            return;
        }
        let at = [Key("announcers"), Key("lease"), Key("markers"), Item(index), Key("levels")];
        let what = format!(
            "marker {} is not there at level {}, where BIRD would withdraw {}, whose route goes by it",
            marker.address.address,
            lacks.join(", "),
            marker.prefix
        );
        let remedy = "leave `levels` out: what a level means is told to BIRD by communities";
        self.error(In::Site, &at, what, remedy);
    }

    fn lease(&mut self, lease: &LeaseSection, announced: &Announced, pharos: &PharosFile) {
        let at = |key| [Key("announcers"), Key("lease"), Key(key)];
        let lifetime = lease.lifetime;
        let whole = lifetime.0.subsec_nanos() == 0 && (2..=60).contains(&lifetime.0.as_secs());
        if !whole {
            let what = format!("`lifetime` is {lifetime}");
            self.error(
                In::Site,
                &at("lifetime"),
                what,
                "write 2s to 60s in whole seconds; the default is 3s",
            );
        }
        let listen =
            pharos.responder.iter().flat_map(|responder| &responder.listen).map(|endpoint| endpoint.0.ip());
        let listen: Vec<_> = listen.collect();
        for (index, MarkerSection { prefix, address: marker, levels }) in lease.markers.iter().enumerate() {
            let within = |key| [at("markers").as_slice(), &[Item(index), Key(key)]].concat();
            if announced.all().all(|(_, other)| other != *prefix) {
                let what = format!("{prefix} is neither a group's prefix nor an anchor");
                let remedy = "write a prefix of a group in pharos.yaml, or an anchor";
                self.error(In::Site, &within("prefix"), what, remedy);
            }
            // Addresses below an anchor alone are nobody's of the service.
            let is_service = announced.of_groups.iter().any(|prefix| prefix.contains(marker.address));
            if is_service || listen.contains(&marker.address) {
                self.error(
                    In::Site,
                    &within("address"),
                    format!("{} is an address of the service, which must never go away", marker.address),
                    "write an address that nobody else uses, like 169.254.77.1/30",
                );
            }
            let most = if marker.address.is_ipv4() { 31 } else { 127 };
            if !(8..=most).contains(&marker.length_bits) {
                let what = format!("{marker} has no room for a next hop in its network");
                self.error(In::Site, &within("address"), what, "write a length like /30, or /126 for IPv6");
            }
            if levels.is_empty() {
                self.error(In::Site, &within("levels"), "`levels` is empty", "leave it out for all of them");
            }
            if lease.markers.iter().take(index).any(|other| other.address.address == marker.address) {
                let what = format!("marker {} is listed twice", marker.address);
                self.error(In::Site, &within("address"), what, "give each its own address");
            }
        }
        let has_none = |prefix: Prefix| lease.markers.iter().all(|it| it.prefix != prefix);
        for (what, prefix) in announced.all().filter(|(_, prefix)| has_none(*prefix)) {
            let what = format!("{what} {prefix} has no marker, so that no daemon would announce it");
            self.error(In::Site, &at("markers"), what, "add one with an address of its own");
        }
    }

    fn program(&mut self, path: &[Step<'_>], program: &Path) {
        if !program.is_absolute() {
            let what = format!("program `{}` is not an absolute path", program.display());
            self.error(In::Site, path, what, "write the whole path; no shell and no PATH is asked for it");
        }
    }

    /// The bound of whatever routes may have to wait for.
    fn short(&mut self, path: &[Step<'_>], key: &str, time: Period) {
        if !(Duration::from_millis(100)..=Duration::from_secs(60)).contains(&time.0) {
            self.error(In::Site, path, format!("`{key}` is {time}"), "write 100ms to 1m");
        }
    }
}
