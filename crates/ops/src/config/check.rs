//! Checks that need more than one value: between keys, between sections, between the two files.
//!
//! Everything here is a pure function of the parsed files; the sources come along only to say where. Every
//! finding of a run is reported, so that a file is mended in one go.

mod neighbours;

use super::schema::{
    GroupSection, PharosFile, ProbeSection, ResponderSection, SidecarSection, SiteFile, TcpSection, XdpCopy,
    XdpMode,
};
use super::values::{Family, Prefix};
use super::{Diagnostic, Need, Severity, Source};
use crate::yaml::Step::{self, Item, Key};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) fn check(
    sources: &[Source; 2],
    pharos: &PharosFile,
    site: &SiteFile,
    need: Need,
) -> Vec<Diagnostic> {
    let mut checker = Checker { sources, findings: Vec::new() };
    checker.presence(pharos, site, need);
    checker.responder(pharos, site);
    checker.groups(pharos);
    checker.probe(pharos);
    checker.neighbours(pharos, site);
    checker.announcers(pharos, site);
    checker.findings
}

mod announcers;

struct Checker<'a> {
    sources: &'a [Source; 2],
    findings: Vec<Diagnostic>,
}

/// Which of the two files a finding is about.
#[derive(Clone, Copy)]
enum In {
    Pharos,
    Site,
}

impl Checker<'_> {
    fn report(&mut self, severity: Severity, file: In, path: &[Step<'_>], what: String, remedy: String) {
        let [pharos, site] = self.sources;
        let source = match file {
            In::Pharos => pharos,
            In::Site => site,
        };
        self.findings.push(source.finding(severity, path, what, remedy));
    }

    fn error(&mut self, file: In, path: &[Step<'_>], what: impl Into<String>, remedy: impl Into<String>) {
        self.report(Severity::Error, file, path, what.into(), remedy.into());
    }

    fn warning(&mut self, file: In, path: &[Step<'_>], what: impl Into<String>, remedy: impl Into<String>) {
        self.report(Severity::Warning, file, path, what.into(), remedy.into());
    }

    fn presence(&mut self, pharos: &PharosFile, site: &SiteFile, need: Need) {
        let lacks = |section: &str| (format!("lacks the section `{section}`"), format!("add `{section}:`"));
        if need == Need::Responder && pharos.responder.is_none() {
            let (what, remedy) = lacks("responder");
            self.error(In::Pharos, &[], what, format!("{remedy}; `pharos serve` needs it"));
        }
        if need == Need::Sidecar && pharos.sidecar.is_none() {
            let (what, remedy) = lacks("sidecar");
            self.error(In::Pharos, &[], what, format!("{remedy}; `pharos announce` needs it"));
        }
        if pharos.responder.is_none() && pharos.sidecar.is_none() && need == Need::Present {
            self.error(In::Pharos, &[], "has neither `responder` nor `sidecar`", "add one of them");
        }
        if pharos.sidecar.is_none() || need == Need::Responder {
            return;
        }
        if site.router_id.is_none() {
            self.error(
                In::Site,
                &[],
                "lacks the key `router-id`, which the sidecar needs",
                "add `router-id:` with one of this node's IPv4 addresses",
            );
        }
        match site.local_as {
            None => self.error(
                In::Site,
                &[],
                "lacks the key `local-as`, which the sidecar needs",
                "add `local-as:` with the AS number that this node speaks for",
            ),
            // RFC 7607: AS 0 is reserved, and a session with it is refused.
            Some(0) => self.error(
                In::Site,
                &[Key("local-as")],
                "`local-as` is 0, which RFC 7607 reserves",
                "write the AS number that this node speaks for, 1 to 4294967295",
            ),
            Some(_) => {}
        }
        let others = site.announcers.as_ref().is_some_and(|announcers| {
            !announcers.exec.is_empty() || announcers.bird.is_some() || announcers.lease.is_some()
        });
        if site.neighbours.is_empty() && !others {
            self.error(
                In::Site,
                &[Key("neighbours")],
                "there is no neighbour and no announcer, so no route can be announced",
                "add a router to `neighbours:` with its `address` and `as`",
            );
        }
    }

    fn responder(&mut self, pharos: &PharosFile, site: &SiteFile) {
        let Some(responder) = &pharos.responder else { return };
        let at = |key| [Key("responder"), Key(key)];
        if responder.listen.is_empty() {
            self.error(In::Pharos, &at("listen"), "`listen` is empty", "name at least one ADDRESS:PORT");
        }
        let mut seen = HashSet::new();
        for (index, endpoint) in responder.listen.iter().enumerate() {
            if !seen.insert(endpoint) {
                let path = [Key("responder"), Key("listen"), Item(index)];
                self.error(In::Pharos, &path, format!("{endpoint} is listed twice"), "keep one of them");
            }
        }
        for (index, endpoint) in site.management_dns.iter().enumerate() {
            if !seen.insert(endpoint) {
                let what = format!("{endpoint} is listed twice, or as an address of the service");
                let remedy = "give operators an address or a port of their own";
                self.error(In::Site, &[Key("management-dns"), Item(index)], what, remedy);
            }
        }
        self.xdp(site);
        self.wire(site);
        if !(512..=4096).contains(&responder.udp_payload_size) {
            self.error(
                In::Pharos,
                &at("udp-payload-size"),
                format!("`udp-payload-size` is {}", responder.udp_payload_size),
                "write 512 to 4096 octets; 1232 fits every path without fragments",
            );
        }
        self.tcp(&responder.tcp);
        let near = responder.dnssec.near_expiry;
        if near.0 > Duration::from_secs(365 * 86_400) {
            let path = [Key("responder"), Key("dnssec"), Key("near-expiry")];
            let what = format!("`near-expiry` is {near}");
            self.error(In::Pharos, &path, what, "write at most 365d; the default is 7d");
        }
        self.cookies(responder);
        // RFC 9567 §4: an agent domain at the root is none.
        if responder.error_reporting.as_ref().is_some_and(|agent| agent.0 == ".") {
            let what = "`error-reporting` is the root, which stands for no agent";
            self.error(
                In::Pharos,
                &at("error-reporting"),
                what,
                "name the agent's domain, or leave the key out",
            );
        }
        match (&responder.zones.directory, &responder.zones.list) {
            (Some(_), None) => {}
            (None, Some(list)) => {
                if list.is_empty() {
                    let path = [Key("responder"), Key("zones"), Key("list")];
                    self.error(In::Pharos, &path, "no zone is listed", "add a `name` and a `file`");
                }
                let mut names = HashSet::new();
                for (index, entry) in list.iter().enumerate() {
                    if !names.insert(&entry.name) {
                        let path = [Key("responder"), Key("zones"), Key("list"), Item(index), Key("name")];
                        self.error(
                            In::Pharos,
                            &path,
                            format!("zone {} is listed twice", entry.name),
                            "keep one of them",
                        );
                    }
                }
            }
            (Some(_), Some(_)) => self.error(
                In::Pharos,
                &[Key("responder"), Key("zones"), Key("list")],
                "`zones` has both `directory` and `list`",
                "keep one of them",
            ),
            (None, None) => self.error(
                In::Pharos,
                &at("zones"),
                "`zones` names no zones",
                "add `directory:` with a path, or `list:` with names and files",
            ),
        }
    }

    fn xdp(&mut self, site: &SiteFile) {
        let mut seen = HashSet::new();
        for (index, entry) in site.xdp.iter().enumerate() {
            let at = |key| [Key("xdp"), Item(index), Key(key)];
            if !seen.insert(&entry.interface) {
                let what = format!("{} is listed twice", entry.interface);
                self.error(In::Site, &at("interface"), what, "keep one of them");
            }
            if entry.interface.0 == "lo" {
                let what = "`interface` is lo, by which only this host itself comes";
                let remedy = "name the interface by which clients come; on lo the kernel's sockets answer";
                self.error(In::Site, &at("interface"), what, remedy);
            }
            if !entry.ring.is_power_of_two() || !(64..=65_536).contains(&entry.ring) {
                let what = format!("`ring` is {}", entry.ring);
                let remedy = "write a power of two from 64 to 65536; the default is 4096";
                self.error(In::Site, &at("ring"), what, remedy);
            }
            if entry.mode == XdpMode::Generic && entry.copy == XdpCopy::ZeroCopy {
                let what = "behind the driver every packet is copied";
                self.error(In::Site, &at("copy"), what, "write `mode: native`, or `copy: auto`");
            }
        }
    }

    fn wire(&mut self, site: &SiteFile) {
        let Some(wire) = &site.wire else { return };
        let at = |key| [Key("wire"), Key(key)];
        let (interval, timeout) = (wire.interval, wire.timeout);
        if !(Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&interval.0) {
            let what = format!("`interval` is {interval}");
            self.error(In::Site, &at("interval"), what, "write 100ms to 1h; the default is 1s");
        } else if !(Duration::from_millis(10)..=interval.0).contains(&timeout.0) {
            let what = format!("`timeout` is {timeout}, the interval {interval}");
            self.error(In::Site, &at("timeout"), what, "write 10ms to the interval; the default is 500ms");
        }
        if wire.siblings.contains(&site.node) {
            let what = format!("`siblings` names this node, {}", site.node);
            self.error(In::Site, &at("siblings"), what, "name the other nodes of this site alone");
        }
    }

    fn cookies(&mut self, responder: &ResponderSection) {
        let Some(cookies) = &responder.cookies else { return };
        let at = |key| [Key("responder"), Key("cookies"), Key(key)];
        const GIVE: &str = "give `secret` with 32 hexadecimal digits, or `secret-file` with a path";
        match (&cookies.secret, &cookies.secret_file) {
            (None, None) => {
                let path = [Key("responder"), Key("cookies")];
                self.error(In::Pharos, &path, "`cookies` has no secret", GIVE);
            }
            (Some(_), Some(_)) => {
                let what = "`cookies` has both `secret` and `secret-file`";
                self.error(In::Pharos, &at("secret-file"), what, "keep one of them");
            }
            (None, Some(_)) if cookies.previous.is_some() => {
                let what = "`previous` stands beside `secret-file`";
                self.error(In::Pharos, &at("previous"), what, "write it into the file's second line");
            }
            _ => {}
        }
    }

    fn groups(&mut self, pharos: &PharosFile) {
        let Some(sidecar) = &pharos.sidecar else { return };
        if sidecar.groups.is_empty() {
            let path = [Key("sidecar"), Key("groups")];
            self.error(In::Pharos, &path, "there is no group, so nothing is announced", "add a group");
        }
        let mut names = HashSet::new();
        let mut owners: HashMap<Prefix, &str> = HashMap::new();
        for (index, group) in sidecar.groups.iter().enumerate() {
            if !names.insert(&group.name) {
                let path = group_path(index, Key("name"));
                self.error(
                    In::Pharos,
                    &path,
                    format!("two groups are named `{}`", group.name),
                    "give each its own name",
                );
            }
            for (number, prefix) in group.prefixes.iter().enumerate() {
                if let Some(owner) = owners.insert(*prefix, &group.name.0) {
                    let path = [group_path(index, Key("prefixes")).as_slice(), &[Item(number)]].concat();
                    let what = format!("{prefix} is already in group `{owner}`");
                    self.error(In::Pharos, &path, what, "a prefix belongs to one group: keep one of them");
                }
            }
            self.group(index, group, pharos);
        }
        self.listen_outside_groups(pharos);
        // The longest waits double up to sixteen times this, and a route that is gone for days is no hold-down.
        if sidecar.hold_down.0 > Duration::from_secs(3600) {
            let what = format!("`hold-down` is {}", sidecar.hold_down);
            self.error(
                In::Pharos,
                &[Key("sidecar"), Key("hold-down")],
                what,
                "write at most 1h; the default is 10s",
            );
        }
        for (key, time, remedy) in [
            ("drain-time", &sidecar.drain_time, "write at most 24h; the default is 10s"),
            ("linger", &sidecar.linger, "write at most 24h; the default is 2m"),
            ("patience", &sidecar.patience, "write at most 24h; the default is 5m"),
            ("data-grace", &sidecar.data_grace, "write at most 24h; the default is 15m"),
        ] {
            if time.0 > Duration::from_secs(86_400) {
                self.error(In::Pharos, &[Key("sidecar"), Key(key)], format!("`{key}` is {time}"), remedy);
            }
        }
        for (key, number, least, most) in [
            ("returns-per-hour", sidecar.returns_per_hour, 1, 1000),
            ("record-megabytes", sidecar.record_megabytes, 0, 10_000),
        ] {
            if !(least..=most).contains(&number) {
                let remedy = format!("write {least} to {most}");
                self.error(In::Pharos, &[Key("sidecar"), Key(key)], format!("`{key}` is {number}"), remedy);
            }
        }
        self.anchors(sidecar);
    }

    fn anchors(&mut self, sidecar: &SidecarSection) {
        let mut seen = HashSet::new();
        for (index, anchor) in sidecar.anchors.iter().enumerate() {
            let path = [Key("sidecar"), Key("anchors"), Item(index), Key("prefix")];
            let prefix = anchor.prefix;
            if let Some(group) = sidecar.groups.iter().find(|group| group.prefixes.contains(&prefix)) {
                let what = format!("{prefix} is already in group `{}`", group.name);
                let remedy = "an anchor is a less-specific prefix, which covers those of groups";
                self.error(In::Pharos, &path, what, remedy);
            } else if !seen.insert(prefix) {
                self.error(In::Pharos, &path, format!("anchor {prefix} is listed twice"), "keep one of them");
            } else if !sidecar.groups.iter().flat_map(|group| &group.prefixes).any(|it| prefix.covers(it)) {
                let what = format!("anchor {prefix} covers no group's prefix");
                let remedy =
                    "it draws traffic that nobody here answers: name one that covers a group's prefix";
                self.warning(In::Pharos, &path, what, remedy);
            }
        }
    }

    fn tcp(&mut self, tcp: &TcpSection) {
        let path = |key| [Key("responder"), Key("tcp"), Key(key)];
        for (key, bound) in [
            ("connections", tcp.connections),
            ("connections-per-address", tcp.connections_per_address),
            ("connections-per-network", tcp.connections_per_network),
        ] {
            if !(1..=1_000_000).contains(&bound) {
                self.error(In::Pharos, &path(key), format!("`{key}` is {bound}"), "write 1 to 1000000");
            }
        }
        for (key, time) in [("idle", &tcp.idle), ("deadline", &tcp.deadline)] {
            if time.0 < Duration::from_millis(100) || time.0 > Duration::from_secs(3600) {
                self.error(In::Pharos, &path(key), format!("`{key}` is {time}"), "write 100ms to 1h");
            }
        }
    }

    fn group(&mut self, index: usize, group: &GroupSection, pharos: &PharosFile) {
        if group.prefixes.is_empty() {
            let path = group_path(index, Key("prefixes"));
            self.error(In::Pharos, &path, "the group has no prefix", "name at least one PREFIX/LENGTH");
        }
        if group.required.is_empty() {
            self.error(
                In::Pharos,
                &group_path(index, Key("required")),
                "the group requires no zone, so nothing tells whether it is well",
                "name at least one zone that every probe asks for",
            );
        }
        let listed = pharos.responder.as_ref().and_then(|responder| responder.zones.list.as_ref());
        for (number, zone) in group.required.iter().enumerate() {
            if listed.is_some_and(|list| list.iter().all(|entry| entry.name != *zone)) {
                self.error(
                    In::Pharos,
                    &[group_path(index, Key("required")).as_slice(), &[Item(number)]].concat(),
                    format!("zone {zone} is required, but the responder does not list it"),
                    "add it to `responder.zones.list`, or require a zone that is there",
                );
            }
        }
        let probed: Vec<_> = group.probed(pharos.responder.as_ref()).iter().map(SocketAddr::ip).collect();
        for (number, prefix) in group.prefixes.iter().enumerate() {
            let family = prefix.family();
            let mut of_family = probed.iter().filter(|address| Family::of(**address) == family);
            let what = if of_family.clone().next().is_none() {
                format!(
                    "no {family} address of group `{}` can be probed, so it would stay withdrawn",
                    group.name
                )
            } else if probed.iter().all(|address| !prefix.contains(*address))
                && of_family.any(|at| group.holds(*at))
            {
                format!(
                    "no address inside {prefix} is probed: that another prefix answers says nothing of it"
                )
            } else {
                continue;
            };
            self.error(
                In::Pharos,
                &[group_path(index, Key("prefixes")).as_slice(), &[Item(number)]].concat(),
                what,
                "listen on an address inside it, or name what to probe in `addresses:`",
            );
        }
    }

    fn listen_outside_groups(&mut self, pharos: &PharosFile) {
        let (Some(responder), Some(sidecar)) = (&pharos.responder, &pharos.sidecar) else { return };
        for (index, endpoint) in responder.listen.iter().enumerate() {
            let covered =
                sidecar.groups.iter().any(|group| group.probed(Some(responder)).contains(&endpoint.0));
            if !covered {
                self.warning(
                    In::Pharos,
                    &[Key("responder"), Key("listen"), Item(index)],
                    format!("no probe watches {endpoint}: no group has it"),
                    "add its prefix to a group, or name it in the group's `addresses:`; a unicast address may stay",
                );
            }
        }
    }

    fn probe(&mut self, pharos: &PharosFile) {
        let Some(ProbeSection { interval, timeout, fall, rise, slow }) =
            pharos.sidecar.as_ref().map(|s| &s.probe)
        else {
            return;
        };
        let at = |key| [Key("sidecar"), Key("probe"), Key(key)];
        if !(Duration::from_millis(10)..=Duration::from_secs(60)).contains(&interval.0) {
            let what = format!("`interval` is {interval}");
            self.error(In::Pharos, &at("interval"), what, "write 10ms to 1m; the default is 250ms");
        } else if timeout.0.is_zero() || timeout.0 > interval.0 {
            self.error(
                In::Pharos,
                &at("timeout"),
                format!("`timeout` is {timeout}, the interval {interval}"),
                "write a time above 0s and at most the interval: an answer must not outlive its probe",
            );
        }
        if slow.0 < Duration::from_millis(1) {
            let what = format!("`slow` is {slow}");
            self.error(In::Pharos, &at("slow"), what, "write at least 1ms; the default is 100ms");
        }
        for (index, group) in pharos.sidecar.iter().flat_map(|sidecar| sidecar.groups.iter().enumerate()) {
            if let Some(most) = group.data_age.filter(|most| most.0 < Duration::from_secs(60)) {
                let what = format!("`data-age` is {most}");
                self.error(In::Pharos, &group_path(index, Key("data-age")), what, "write at least 1m");
            }
        }
        for (key, count) in [("fall", fall), ("rise", rise)] {
            if !(1..=1000).contains(count) {
                self.error(
                    In::Pharos,
                    &at(key),
                    format!("`{key}` is {count}"),
                    "write how many probes in a row decide, 1 to 1000",
                );
            }
        }
    }
}

fn group_path(index: usize, key: Step<'_>) -> [Step<'_>; 4] {
    [Key("sidecar"), Key("groups"), Item(index), key]
}
