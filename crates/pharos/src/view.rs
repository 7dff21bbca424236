//! What the responder says of itself, as a page for a person in a hurry.
//!
//! Read from the JSON of `/status` and of a reload's reply rather than from the responder's own types, so that
//! the command can ask a responder that is a little older or newer: unknown fields are skipped, those that
//! are not needed may be missing.

use serde::Deserialize;
use std::fmt;

/// The responder at a glance.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ResponderView {
    node: String,
    version: String,
    pid: u32,
    started_unix: u64,
    ready: bool,
    generation: u64,
    #[serde(default)]
    listen: Vec<String>,
    #[serde(default)]
    digest: String,
    zones_total: u64,
    zones_live: u64,
    zones_refused: u64,
    #[serde(default)]
    zones_not_loaded: u64,
    #[serde(default)]
    zones_with_findings: u64,
    clock: Option<ClockView>,
    #[serde(default)]
    zones: Vec<ZoneView>,
    #[serde(default)]
    zones_omitted: u64,
    #[serde(default)]
    workers: Vec<WorkerView>,
    #[serde(default)]
    queries: u64,
    #[serde(default)]
    drops: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct ZoneView {
    name: String,
    state: String,
    serial: Option<u32>,
    #[serde(default)]
    records: u64,
    loaded_unix: Option<u64>,
    refusal: Option<String>,
    refused_unix: Option<u64>,
    signed: Option<SignedView>,
    #[serde(default)]
    findings: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct SignedView {
    earliest_expiry_unix: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct ClockView {
    trusted: bool,
    doubt: Option<String>,
    #[serde(default)]
    for_seconds: u64,
}

#[derive(Debug, Clone, Deserialize)]
struct WorkerView {
    id: u64,
    #[serde(default)]
    heartbeat_age_ms: u64,
}

/// A reload's result.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ReloadView {
    /// The report as text.
    pub(crate) summary: String,
    /// How many zones were refused.
    pub(crate) refused: u64,
    /// How many of them never had good data.
    #[serde(default)]
    pub(crate) not_loaded: u64,
}

/// A worker's heart beats many times a second; this long without a beat is worth a line.
const SLOW_HEART_MS: u64 = 1000;

impl fmt::Display for ResponderView {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let now = now_unix();
        let ready = if self.ready { "ready" } else { "NOT READY" };
        let up = age(now, self.started_unix);
        writeln!(
            out,
            "responder {}, pharos {}, pid {}, up {up}, {ready}",
            self.node, self.version, self.pid
        )?;
        let workers = match self.workers.len() {
            1 => "1 worker".to_owned(),
            count => format!("{count} workers"),
        };
        writeln!(
            out,
            "  {} queries, {} dropped, {workers}, data generation {}",
            self.queries, self.drops, self.generation
        )?;
        writeln!(out, "  listens on {}", self.listen.join(", "))?;
        if !self.digest.is_empty() {
            writeln!(out, "  data digest {}", self.digest)?;
        }
        for worker in self.workers.iter().filter(|worker| worker.heartbeat_age_ms > SLOW_HEART_MS) {
            writeln!(out, "  worker {} has not beaten for {} ms", worker.id, worker.heartbeat_age_ms)?;
        }
        if let Some(ClockView { trusted: false, doubt, for_seconds }) = &self.clock {
            let doubt = doubt.as_deref().unwrap_or("it does not say why");
            let length = age(*for_seconds, 0);
            writeln!(out, "  CLOCK NOT BELIEVED for {length}, nothing is refused by it: {doubt}")?;
        }
        let Self { zones_total, zones_live, zones_refused, zones_not_loaded, .. } = self;
        writeln!(
            out,
            "\nzones: {zones_live} live, {zones_refused} refused, {zones_not_loaded} not loaded, {zones_total} in all"
        )?;
        if self.zones_with_findings > 0 {
            writeln!(out, "  {} with findings", self.zones_with_findings)?;
        }
        // Worst first; the responder's order otherwise.
        let is_good = |zone: &&ZoneView| zone.state == "live" && zone.findings.is_empty();
        for zone in self.zones.iter().filter(|zone| !is_good(zone)).chain(self.zones.iter().filter(is_good)) {
            zone.write(out, now)?;
        }
        if self.zones_omitted > 0 {
            writeln!(out, "  and {} more", self.zones_omitted)?;
        }
        Ok(())
    }
}

impl ZoneView {
    fn write(&self, out: &mut fmt::Formatter<'_>, now: u64) -> fmt::Result {
        let words = match (self.state.as_str(), self.refused_unix) {
            ("live", _) => "live".to_owned(),
            ("refused", Some(when)) => format!("PUSH REFUSED {} ago, old data answer", age(now, when)),
            ("refused", None) => "PUSH REFUSED, old data answer".to_owned(),
            ("not_loaded", _) => "NOT LOADED, answers SERVFAIL".to_owned(),
            (other, _) => other.to_owned(),
        };
        write!(out, "  {:<28}", self.name)?;
        match (self.serial, self.loaded_unix) {
            (Some(serial), Some(loaded)) => {
                write!(
                    out,
                    " serial {serial:<10} {:>7} records, {:>4} old  ",
                    self.records,
                    age(now, loaded)
                )?;
            }
            (Some(serial), None) => write!(out, " serial {serial:<10} {:>7} records  ", self.records)?,
            (None, _) => write!(out, " ")?,
        }
        match &self.signed {
            Some(SignedView { earliest_expiry_unix: end }) if *end > now => {
                writeln!(out, "{words}, signed for {}", age(*end, now))?;
            }
            Some(_) => writeln!(out, "{words}, SIGNATURES EXPIRED")?,
            None => writeln!(out, "{words}")?,
        }
        for finding in &self.findings {
            writeln!(out, "      {finding}")?;
        }
        for line in self.refusal.iter().flat_map(|text| text.lines()) {
            writeln!(out, "      {line}")?;
        }
        Ok(())
    }
}

fn now_unix() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A length of time in its largest unit: `3s`, `12m`, `5h`, `9d`.
fn age(now: u64, then: u64) -> String {
    match now.saturating_sub(then) {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7199 => format!("{}m", seconds / 60),
        seconds @ 7200..=172_799 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_of_another_version_is_still_shown_with_the_worst_zone_first() {
        let json = r#"{"node":"a.ams","version":"9.9.9","pid":7,"started_unix":0,"ready":true,"generation":3,
            "listen":["192.0.2.53:53"],"zones_total":3,"zones_live":1,"zones_refused":1,"novelty":[1],
            "zones":[
              {"name":"example.com.","state":"live","serial":2026112101,"records":120,"loaded_unix":0,
               "file":"example.com.zone","refusal":null,"refused_unix":null},
              {"name":"example.","state":"refused","serial":1,"records":5,"loaded_unix":0,
               "file":"example.zone","refusal":"example.zone:7:3: no\n  help: yes","refused_unix":0},
              {"name":"example.net.","state":"not_loaded","serial":null,"records":0,"loaded_unix":null,
               "file":"x","refusal":"gone","refused_unix":0}],
            "workers":[{"id":0,"cpu":0,"heartbeat_age_ms":5000,"queries":1}],"queries":12,"drops":1}"#;
        let text = serde_json::from_str::<ResponderView>(json).unwrap().to_string();
        assert!(text.starts_with("responder a.ams, pharos 9.9.9, pid 7, up "), "{text}");
        assert!(text.contains("worker 0 has not beaten for 5000 ms"), "{text}");
        assert!(text.contains("      example.zone:7:3: no\n        help: yes\n"), "{text}");
        assert!(text.contains("NOT LOADED, answers SERVFAIL"), "{text}");
        let order: Vec<_> =
            ["example. ", "example.net.", "example.com."].iter().map(|n| text.find(n)).collect();
        assert!(order.is_sorted() && order.iter().all(Option::is_some), "{text}");
    }

    #[test]
    fn the_digest_of_the_data_is_shown_whole_so_that_nodes_can_be_compared() {
        let digest = "5e".repeat(32);
        let json = format!(
            r#"{{"node":"a.ams","version":"1","pid":7,"started_unix":0,"ready":true,"generation":3,
            "zones_total":0,"zones_live":0,"zones_refused":0,"digest":"{digest}"}}"#
        );
        let text = serde_json::from_str::<ResponderView>(&json).unwrap().to_string();
        assert!(text.contains(&format!("\n  data digest {digest}\n")), "{text}");
    }

    #[test]
    fn findings_and_a_doubted_clock_are_told_beside_the_zones() {
        let end = now_unix() + 3 * 86_400 + 60;
        let json = format!(
            r#"{{"node":"a.ams","version":"1","pid":7,"started_unix":0,"ready":true,"generation":3,
            "zones_total":2,"zones_live":2,"zones_refused":0,"zones_with_findings":1,
            "clock":{{"trusted":false,"doubt":"it stepped","for_seconds":7}},
            "zones":[
              {{"name":"fine.","state":"live","serial":1,"loaded_unix":0,"refusal":null,"refused_unix":null}},
              {{"name":"near.","state":"live","serial":1,"loaded_unix":0,"refusal":null,"refused_unix":null,
               "signed":{{"earliest_expiry_unix":{end}}},"findings":["the signature of near. SOA ends"]}}]}}"#
        );
        let text = serde_json::from_str::<ResponderView>(&json).unwrap().to_string();
        assert!(text.contains("CLOCK NOT BELIEVED for 7s, nothing is refused by it: it stepped"), "{text}");
        assert!(text.contains("\n  1 with findings\n"), "{text}");
        assert!(text.contains("live, signed for 3d\n      the signature of near. SOA ends\n"), "{text}");
        assert!(text.find("  near.") < text.find("  fine."), "{text}");
    }

    #[test]
    fn ages_are_told_in_their_largest_unit() {
        for (seconds, text) in [(3, "3s"), (600, "10m"), (10_000, "2h"), (900_000, "10d")] {
            assert_eq!(age(1_000_000, 1_000_000 - seconds), text);
        }
        assert_eq!(age(0, 10), "0s");
    }
}
