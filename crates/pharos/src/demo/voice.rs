//! What the demo says: the page at its start, and one line for each thing that happens.

use super::collector::{COLLECTOR_AS, Seen};
use super::stage::{NODE_AS, Stage};
use crate::print::say;
use pharos_routing::bgp::RouteChange;
use pharos_sidecar::Event;
use std::time::Instant;

/// Speaks with the time since the demo's start.
#[derive(Debug)]
pub(super) struct Voice {
    start: Instant,
}

impl Voice {
    pub(super) fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// One line: when, who, what. Further lines of `what` are indented below it.
    pub(super) fn line(&self, who: &str, what: &str) {
        let seconds = self.start.elapsed().as_secs_f64();
        let mut lines = what.lines();
        say(&format!("{seconds:>7.2}s  {who:<9}  {}\n", lines.next().unwrap_or_default()));
        for line in lines {
            say(&format!("{:>21}{line}\n", ""));
        }
    }

    /// What the sidecar decided. Single signals stay for `status` and `why`; what the collector was told it says itself.
    pub(super) fn sidecar(&self, event: &Event) {
        if !matches!(event, Event::Signal { .. } | Event::Told { .. }) {
            // An alarm may quote a whole diagnosis; the responder has shown it already.
            self.line("sidecar", event.to_string().lines().next().unwrap_or_default());
        }
    }

    /// What the collector was told.
    pub(super) fn collector(&self, seen: &Seen) {
        let what = match seen {
            Seen::Up => "the sidecar's BGP session is up".to_owned(),
            Seen::Route(RouteChange::Announced(route)) => format!("+ {route}"),
            Seen::Route(RouteChange::Withdrawn(prefix)) => format!("- {prefix}"),
            Seen::Down(why) => format!("the session is over, its routes are gone: {why}"),
        };
        self.line("collector", &what);
    }
}

/// How this command is called again.
pub(super) fn this_command() -> String {
    // Set by `cargo run` for what it runs.
    if std::env::var_os("CARGO_PKG_NAME").is_some() {
        let profile = if cfg!(debug_assertions) { "" } else { " --release" };
        return format!("cargo run -q{profile} --");
    }
    std::env::args().next().unwrap_or_else(|| "pharos".to_owned())
}

/// The page at the start: what runs where, and what to type.
pub(super) fn introduce(stage: &Stage) {
    let Stage { zone, zone_count, responder_management, sidecar_management, collector, .. } = stage;
    let directory = stage.directory().display();
    let listen: Vec<_> = stage.listen.iter().map(ToString::to_string).collect();
    let (listen, prefixes) = (listen.join(" and "), stage.prefixes.join(" and "));
    let port = stage.listen.first().map_or(0, std::net::SocketAddr::port);
    let name = zone.trim_end_matches('.');
    let file = stage.zone_file();
    let file = file.display();
    let me = this_command();
    let question = match name {
        "" => ". SOA".to_owned(),
        "example.com" => "www.example.com A".to_owned(),
        other => format!("{other} SOA"),
    };
    say(&format!(
        "\
Pharos demo: one anycast node on loopback, with a BGP route collector as its neighbour.

  answers    {listen}, UDP and TCP: {zone_count} zones, copied to {directory}/zones
  announces  {prefixes}, AS{NODE_AS} to the collector, AS{COLLECTOR_AS} at {collector}
  status     http://{responder_management}/status (responder), http://{sidecar_management}/status (sidecar)
  control    {directory}/responder.sock, {directory}/sidecar.sock

Try, in another terminal:
  dig @127.0.0.1 -p {port} {question} +nsid
  {me} status -c {directory}
  {me} why 192.0.2.0/24 -c {directory}
  {me} drain --text 'kernel update' -c {directory}      # undrain ends it
  echo 'broken A 192.0.2.256' >> {file}
  {me} reload -c {directory}      # refused: old data answer, routes stay

Or here, a word and Enter:
  break   stop the responder: its routes go      spoil   push a broken zone: refused, the routes stay
  mend    undo both: the routes return           status, quit

"
    ));
}
