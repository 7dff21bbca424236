//! The command line: what can be typed, and the help that says so.
//!
//! Only shapes and words stand here; each subcommand's module says what it does. Every subcommand's help ends
//! with examples that work as written.

use clap::{Args, Parser, Subcommand};
use pharos_ops::config::values::Period;
use pharos_ops::logging::Format;
use pharos_responder::AnyPolicy;
use pharos_sidecar::Level;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

/// An anycast authoritative DNS node: a responder that answers, and a sidecar that keeps the route to it
/// announced exactly as far as the answers deserve.
#[derive(Debug, Parser)]
#[command(
    name = "pharos",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
#[command(after_help = "\
Start here:
  pharos demo                                            everything on loopback
  pharos serve --zones ./zones --listen 127.0.0.1:5300   a directory of zone files
  pharos check-config                                    what a configuration would do
  pharos zone check ./zones                              what is wrong with zone files, before a push
  pharos explain www.example.com AAAA                    how an answer comes about

Exit codes: 0 done; 1 it failed; 2 the command line or the configuration is wrong.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How to log.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// Log lines as `text` for people or `json` for collectors; always on stderr.
    #[arg(long, global = true, default_value = "text", value_name = "FORMAT", help_heading = "Logging")]
    pub(crate) log_format: Format,
    /// error, warn, info, debug, trace, or TARGET=LEVEL,...; else $PHAROS_LOG, else info.
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Logging")]
    pub(crate) log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Serve(Serve),
    Announce(Announce),
    Demo(Demo),
    CheckConfig(CheckConfig),
    Simulate(Simulate),
    #[command(subcommand)]
    Zone(Zone),
    Explain(Explain),
    /// Print every configuration option with its meaning, unit and default.
    ///
    /// The same text is docs/configuration.md.
    ConfigReference,
    Status(Status),
    Why(Why),
    Drain(Drain),
    Undrain(Undrain),
    Hold(Hold),
    Force(Force),
    Release(Release),
    Reload(Reload),
    HandOver(HandOver),
}

/// Which configuration files.
#[derive(Debug, Clone, Args)]
pub(crate) struct Files {
    /// pharos.yaml, or a directory with pharos.yaml and site.yaml in it [default: /etc/pharos].
    #[arg(long, short, value_name = "PATH")]
    pub(crate) config: Option<PathBuf>,
    /// site.yaml [default: beside pharos.yaml].
    #[arg(long, short, value_name = "PATH")]
    pub(crate) site: Option<PathBuf>,
}

/// Answer DNS queries from zone files (the responder).
///
/// Reads its zones, takes an exclusive lock on its addresses, and answers by UDP and TCP until SIGTERM. SIGHUP
/// or `pharos reload` reads the zones anew: a zone that does not pass is refused, and its last good data keep
/// answering. Without a configuration file, name a directory and addresses.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos serve                                            /etc/pharos/pharos.yaml and site.yaml
  pharos serve --config lab/                              lab/pharos.yaml and lab/site.yaml
  pharos serve --zones ./zones --listen 127.0.0.1:5300    NAME.zone files; @.zone is the root")]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) files: Files,
    /// A directory of NAME.zone files to serve without a configuration file.
    #[arg(long, value_name = "DIR", requires = "listen", conflicts_with_all = ["config", "site"])]
    pub(crate) zones: Option<PathBuf>,
    /// Address and port to answer on, by UDP and TCP; may be repeated.
    #[arg(long, value_name = "IP:PORT", requires = "zones")]
    pub(crate) listen: Vec<SocketAddr>,
    /// With --zones: who answers, shown to clients that ask for NSID [default: the host's name].
    #[arg(long, value_name = "NODE.SITE", requires = "zones")]
    pub(crate) nsid: Option<String>,
    /// With --zones: where HTTP serves /metrics, /livez, /readyz and /status [default: nowhere].
    #[arg(long, value_name = "IP:PORT", requires = "zones")]
    pub(crate) management: Option<SocketAddr>,
    /// With --zones: a unix socket for `pharos reload --control PATH` [default: none; SIGHUP reloads].
    #[arg(long, value_name = "PATH", requires = "zones")]
    pub(crate) control: Option<PathBuf>,
}

/// Keep the anycast routes announced exactly as far as the responder deserves (the sidecar).
///
/// Probes the responder as a client would, decides for each prefix, and tells the BGP neighbours. Everything
/// starts withdrawn. When this process ends, its sessions end, and its routes are gone; `pharos hand-over`, or SIGHUP,
/// replaces it by its next version without that.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos announce                       /etc/pharos/pharos.yaml and site.yaml
  pharos announce --config lab/         lab/pharos.yaml and lab/site.yaml")]
pub(crate) struct Announce {
    #[command(flatten)]
    pub(crate) files: Files,
    /// Take the place of the process that starts this one, which leaves its sessions on standard input.
    #[arg(long, hide = true)]
    pub(crate) take_over: bool,
}

/// Replace the running sidecar by the program and the configuration as they are now; no neighbour notices.
///
/// The running process starts its next version, which reads the configuration and then goes on with its BGP and BFD
/// sessions, its decisions and your words; no UPDATE is sent for it. If the next version does not come up, nothing has
/// changed, and this command says why. A session whose own settings have changed begins anew.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos hand-over                       after an upgrade, or a change of the configuration
  pharos check-config && pharos hand-over")]
pub(crate) struct HandOver {
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// See a whole node work on this machine: no privileges, no configuration, nothing left behind.
///
/// Runs a responder with sample zones, a sidecar, and a small BGP route collector on loopback, prints what to
/// try, and shows each route change with its reason. Type `break` and Enter to stop the responder and watch its
/// routes go, `mend` to bring both back, `quit` or Ctrl-C to end.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos demo
  pharos demo --for 20s        ends by itself; works without a terminal
  pharos demo --zones DIR      serves copies of your own NAME.zone files")]
pub(crate) struct Demo {
    /// End after this time, like 20s or 2m.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) duration: Option<Period>,
    /// Port to answer on; 0 takes any that is free [default: 5300, or any when that is taken].
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Zone files to serve copies of [default: ./zones if it exists, else built-in samples].
    #[arg(long, value_name = "DIR")]
    pub(crate) zones: Option<PathBuf>,
}

/// Check the configuration, say what it would do, and start nothing.
///
/// Every finding names file, line, column and what to do. Warnings do not change the exit code.
///
/// With --vrps it also says of each prefix and anchor whether the route would be valid, invalid or not found under these
/// RPKI data (RFC 6811). An invalid one is an error, exit code 2, because networks that validate drop it. A prefix that no
/// ROA covers is a warning, and so is a ROA that allows more than is announced (RFC 9319).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos check-config                   /etc/pharos/pharos.yaml and site.yaml
  pharos check-config --config lab/     lab/pharos.yaml and lab/site.yaml
  routinator vrps -f json -o vrps.json && pharos check-config --vrps vrps.json")]
pub(crate) struct CheckConfig {
    #[command(flatten)]
    pub(crate) files: Files,
    /// RPKI data as routinator and rpki-client export them, JSON or CSV.
    #[arg(long, value_name = "FILE")]
    pub(crate) vrps: Option<PathBuf>,
    /// The AS that the world sees as the origin [default: `local-as` of site.yaml].
    #[arg(long, value_name = "AS", requires = "vrps")]
    pub(crate) origin_as: Option<u32>,
}

/// Say what this configuration would have done with signals that sidecars recorded.
///
/// Each trace is one node's. Prints every change of level with its cause; for the traces of several nodes also whether
/// there was any moment at which none of them is known to have announced a prefix, which makes the exit code 1. A sidecar
/// that died announces nothing from its last line on until the next one has earned its routes; a node whose trace ends
/// more than 10 s before the others' is unknown from there on and counts as one that announces nothing. Traces without a
/// common time make the exit code 1, too. Asks no running process.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos simulate /var/lib/pharos                              what happened here
  pharos simulate signals.jsonl --config lab/                  and with other settings?
  pharos simulate ams.jsonl fra.jsonl lhr.jsonl --json         would it have emptied the world?")]
pub(crate) struct Simulate {
    /// Files of recorded signals, or state directories that hold one; FILE.1 is read before FILE.
    #[arg(value_name = "TRACE", required = true)]
    pub(crate) traces: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check zone files, or print them in canonical form, without serving them.
#[derive(Debug, Subcommand)]
pub(crate) enum Zone {
    Check(ZoneCheck),
    Print(ZonePrint),
}

/// Say all that is wrong with zone files, as the responder would judge them.
///
/// Each finding names file, line and column, shows the line, and says what to do; all findings of a file come
/// in one run, on stderr. Each zone has a line on stdout: accepted, with its serial, or refused. Warnings
/// do not change the exit code; any refused zone makes it 1.
///
/// Of a signed zone all that validators would look at is checked: signatures and their times, the NSEC or NSEC3 chain,
/// the zone's digest. Of zones that are given together, DS records are held against the keys of the zone below.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos zone check example.com.zone                    the file's name says which zone it is
  pharos zone check zones/                              every NAME.zone in it; @.zone is the root
  pharos zone check --origin example.com db.example     a file with another name
  pharos zone check --at 20301231000000 example.com.zone    would its signatures still hold then?")]
pub(crate) struct ZoneCheck {
    /// Zone files, or directories of NAME.zone files.
    #[arg(value_name = "FILE|DIR", required = true)]
    pub(crate) paths: Vec<PathBuf>,
    /// The zone's name, for one file [default: the file's name without `.zone`].
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
    /// Verify no signature; their times, chains and digests are checked all the same.
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Verify one in N signatures only, always the same ones, and those of the apex [default: all].
    #[arg(long, value_name = "N", conflicts_with = "no_verify")]
    pub(crate) sample: Option<NonZeroU32>,
    /// Judge times by this one: YYYYMMDDHHmmSS in UTC, or seconds since 1970 [default: now].
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// Print a zone in canonical form: one record on a line, absolute names, canonical order.
///
/// The order is that of RFC 4034 section 6, with the SOA first; owner, TTL, class, type and data are separated by tabs.
/// Two files that hold the same records print the same. A zone that would be refused is not printed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos zone print example.com.zone
  diff <(pharos zone print old/example.com.zone) <(pharos zone print new/example.com.zone)")]
pub(crate) struct ZonePrint {
    /// The zone file.
    #[arg(value_name = "FILE")]
    pub(crate) path: PathBuf,
    /// The zone's name [default: the file's name without `.zone`].
    #[arg(long, value_name = "NAME")]
    pub(crate) origin: Option<String>,
}

/// What clients and servers commonly take over UDP, in octets: beyond it packets may be fragmented.
pub(crate) const PAYLOAD: u16 = 1232;

/// Explain how the answer to one query comes about, step by step, and show it.
///
/// The zones are loaded as the responder would load them, and the query takes the responder's own path; no running
/// process is asked. Without options the configured zones answer, or those in ./zones where nothing is configured.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos explain www.example.com AAAA
  pharos explain nope.signed.example --do --zones ./zones       each proof, and why it is there
  pharos explain id.server --chaos
  pharos explain www.example.com --file db.example --origin example.com
  pharos explain example.com ANY --payload 0                    a client without EDNS: 512 octets")]
pub(crate) struct Explain {
    /// The name asked for.
    #[arg(value_name = "QNAME")]
    pub(crate) qname: String,
    /// The type asked for: a mnemonic, or TYPE and a number [default: A, with --chaos TXT].
    #[arg(value_name = "QTYPE")]
    pub(crate) qtype: Option<String>,
    /// Ask the server about itself, in class CH, as a client may: id.server, version.bind.
    #[arg(long)]
    pub(crate) chaos: bool,
    /// The client wants signatures and proofs (the DO bit).
    #[arg(long = "do")]
    pub(crate) dnssec: bool,
    #[command(flatten)]
    pub(crate) files: Files,
    /// A directory of NAME.zone files, instead of the configured zones.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "site", "file"])]
    pub(crate) zones: Option<PathBuf>,
    /// One zone file, instead of the configured zones.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["config", "site"])]
    pub(crate) file: Option<PathBuf>,
    /// The zone in --file [default: the file's name without `.zone`].
    #[arg(long, value_name = "NAME", requires = "file")]
    pub(crate) origin: Option<String>,
    /// The query comes by TCP.
    #[arg(long)]
    pub(crate) tcp: bool,
    /// Octets that the client takes over UDP; 0 is a client without EDNS.
    #[arg(long, value_name = "OCTETS", default_value_t = PAYLOAD)]
    pub(crate) payload: u16,
    /// What ANY gets: `minimal` or `full` [default: as configured, else minimal].
    #[arg(long, value_name = "POLICY", value_parser = any_policy)]
    pub(crate) any: Option<AnyPolicy>,
}

fn any_policy(text: &str) -> Result<AnyPolicy, String> {
    match text {
        "minimal" => Ok(AnyPolicy::Minimal),
        "full" => Ok(AnyPolicy::Full),
        _ => Err("write `minimal` or `full`".to_owned()),
    }
}

/// Show the state of responder and sidecar: zones, routes, signals, neighbours, alarms.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos status
  pharos status --json | jq '.responder.zones[] | select(.state != \"live\")'
  pharos status --responder 127.0.0.1:9153 --sidecar 127.0.0.1:9154")]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) files: Files,
    /// The responder's management address, instead of the configuration's.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) responder: Option<SocketAddr>,
    /// The sidecar's management address, instead of the configuration's.
    #[arg(long, value_name = "IP:PORT")]
    pub(crate) sidecar: Option<SocketAddr>,
    /// Print JSON: {"responder": ..., "sidecar": ...}.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Which control socket.
#[derive(Debug, Args)]
pub(crate) struct Socket {
    #[command(flatten)]
    pub(crate) files: Files,
    /// The process's control socket, instead of the configuration's.
    #[arg(long, value_name = "PATH")]
    pub(crate) control: Option<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Explain one prefix: announced how, since when, why, and what would change it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos why 192.0.2.0/24
  pharos why 2001:db8:53::/48 --json")]
pub(crate) struct Why {
    /// The prefix as the configuration has it.
    #[arg(value_name = "PREFIX")]
    pub(crate) prefix: String,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// Who wants it, and why.
#[derive(Debug, Clone, Args)]
pub(crate) struct Order {
    /// Why; shown wherever the state is explained.
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub(crate) text: String,
    /// Who [default: $SUDO_USER, $USER or the user's number].
    #[arg(long, value_name = "NAME")]
    pub(crate) author: Option<String>,
}

/// Take this node out of service gently: ask for less traffic, then withdraw; queries are still answered.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos drain --text 'kernel update'
  pharos drain --wait --text 'new kernel' && systemctl reboot
  pharos drain --within 1m --for 4h --text 'new disks'
  pharos undrain --text 'done'")]
pub(crate) struct Drain {
    /// How long it stays announced, asking for no traffic [default: `drain-time` of the configuration].
    #[arg(long, value_name = "TIME")]
    pub(crate) within: Option<Period>,
    /// End the drain after this time [default: when `pharos undrain` says so].
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) lasts: Option<Period>,
    /// Print how far it is, and return when the node may stop; fails if the drain is ended before.
    #[arg(long)]
    pub(crate) wait: bool,
    #[command(flatten)]
    pub(crate) order: Order,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// End a drain: the routes return as soon as the signals deserve it.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  pharos undrain --text 'done'")]
pub(crate) struct Undrain {
    #[command(flatten)]
    pub(crate) order: Order,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// Keep levels as they are: neither better nor worse, save that what cannot answer is withdrawn.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos hold --for 2h --text 'upstream is flapping'
  pharos hold 192.0.2.0/24 --for 30m
  pharos release")]
pub(crate) struct Hold {
    /// `all`, a group or a prefix.
    #[arg(value_name = "TARGET", default_value = "all")]
    pub(crate) target: String,
    /// When it ends by itself, after 31 days at most.
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    pub(crate) lasts: Period,
    #[command(flatten)]
    pub(crate) order: Order,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// Give prefixes a level, as long as this node can answer.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos force 192.0.2.0/24 degraded --for 1h --text 'congested uplink'
  pharos force all withdrawn --for 10m
  pharos release")]
pub(crate) struct Force {
    /// `all`, a group or a prefix.
    #[arg(value_name = "TARGET")]
    pub(crate) target: String,
    /// normal, degraded, last-resort, draining or withdrawn.
    #[arg(value_name = "LEVEL", value_parser = level)]
    pub(crate) level: Level,
    /// When it ends by itself, after 31 days at most.
    #[arg(long = "for", value_name = "TIME", default_value = "1h")]
    pub(crate) lasts: Period,
    #[command(flatten)]
    pub(crate) order: Order,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

fn level(text: &str) -> Result<Level, String> {
    let levels = || format!("write one of: {}", Level::ALL.map(Level::name).join(", "));
    Level::ALL.into_iter().find(|level| level.name() == text).ok_or_else(levels)
}

/// Take back what was held or forced.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos release --text 'stable again'
  pharos release 192.0.2.0/24")]
pub(crate) struct Release {
    /// `all`, a group or a prefix; with it goes what is narrower.
    #[arg(value_name = "TARGET", default_value = "all")]
    pub(crate) target: String,
    #[command(flatten)]
    pub(crate) order: Order,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// Have the responder read its zones anew.
///
/// Zones that do not pass are refused, with file, line, column and what to do; their last good data keep
/// answering. Exit code 1 when any was refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  pharos reload
  pharos reload --control /run/pharos/responder.sock")]
pub(crate) struct Reload {
    #[command(flatten)]
    pub(crate) socket: Socket,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_subcommand_says_what_it_does() {
        for command in Cli::command().get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(about.len() > 20, "{}: {about}", command.get_name());
        }
    }
}
