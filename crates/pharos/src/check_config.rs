//! `pharos check-config`: what the configuration would do, without doing it.

use crate::cli;
use crate::failure::Failure;
use crate::map;
use crate::print::{remark, say};
use pharos_ops::config::schema::{
    BgpRole, Broken, Mode, NeighbourSection, RequireCookies, SidecarMode, TtlSecurity,
};
use pharos_ops::config::{Loaded, Need};
use std::fmt::{Display, Write as _};

mod ports;
mod vrps;

pub(crate) fn run(args: &cli::CheckConfig) -> Result<(), Failure> {
    let loaded = args.files.load(Need::Present)?;
    if loaded.pharos.responder.is_some() {
        map::responder(&loaded)?;
    }
    if loaded.pharos.sidecar.is_some() {
        let mut config = map::sidecar(&loaded)?;
        map::md5_keys_of_files(&loaded, &mut config, |path| std::fs::read_to_string(path))?;
    }
    for warning in &loaded.warnings {
        remark(&format!("{warning}\n\n"));
    }
    for warning in ports::check(&loaded) {
        remark(&format!("{warning}\n\n"));
    }
    say(&describe(&loaded));
    if let Some(file) = &args.vrps {
        let report = vrps::check(&loaded, file, args.origin_as)?;
        say(&report.text);
        report.conclude(file)?;
    }
    let (pharos, site) = args.files.paths();
    say(&format!("\n{} and {} are good\n", pharos.display(), site.display()));
    Ok(())
}

/// What would be done, in words.
fn describe(loaded: &Loaded) -> String {
    let mut out = format!("node {}\n", loaded.nsid());
    // Writing to a String cannot fail.
    if let Some(responder) = &loaded.pharos.responder {
        let _ = writeln!(out, "\n`pharos serve` would");
        let _ = writeln!(out, "  answer on       {}", list(&responder.listen));
        if !loaded.site.management_dns.is_empty() {
            let _ = writeln!(out, "  operators ask   {}", list(&loaded.site.management_dns));
        }
        match (&responder.zones.directory, &responder.zones.list) {
            (Some(directory), _) => {
                let _ = writeln!(out, "  zones           NAME.zone in {}", loaded.path(directory).display());
            }
            (None, zones) => {
                let names = zones.iter().flatten().map(|zone| &zone.name);
                let _ = writeln!(out, "  zones           {}", list(names));
            }
        }
        let _ = writeln!(
            out,
            "  UDP             {} workers, {} octets",
            responder.workers, responder.udp_payload_size
        );
        for xdp in &loaded.site.xdp {
            let _ = writeln!(out, "  AF_XDP          on {}, queues: {}", xdp.interface, xdp.queues);
        }
        let dnssec = &responder.dnssec;
        let what = match dnssec.broken {
            Broken::Refuse => "refuse",
            Broken::Serve => "serve",
        };
        let _ = writeln!(
            out,
            "  signed zones    verify {}, {what} broken ones, tell of signatures that end within {}",
            dnssec.verify, dnssec.near_expiry
        );
        if let Some(cookies) = &responder.cookies {
            let when = match cookies.require {
                RequireCookies::Never => "never required",
                RequireCookies::UnderPressure => "required under pressure",
                RequireCookies::Always => "always required",
            };
            let from = cookies.secret_file.as_ref().map(|file| loaded.path(file).display().to_string());
            let from = from.map_or(String::new(), |file| format!(", secrets in {file}"));
            let _ = writeln!(out, "  cookies         {when}{from}");
        }
        if let Some(agent) = &responder.error_reporting {
            let _ = writeln!(out, "  error reports   to {agent}");
        }
        let _ = writeln!(out, "  management      http://{}", responder.management);
        let _ = writeln!(out, "  control         {}", loaded.path(&responder.control).display());
    }
    if let Some(sidecar) = &loaded.pharos.sidecar {
        let _ = writeln!(out, "\n`pharos announce` would");
        for group in &sidecar.groups {
            let _ = writeln!(out, "  announce        {}  (group {})", list(&group.prefixes), group.name);
            let probed = group.probed(loaded.pharos.responder.as_ref());
            let _ =
                writeln!(out, "    while         {} is answered on {}", list(&group.required), list(&probed));
        }
        for anchor in &sidecar.anchors {
            let _ = writeln!(out, "  announce        {}  (anchor: whatever its health)", anchor.prefix);
        }
        let alone = map::without_anchor(sidecar);
        if !alone.is_empty() {
            let _ = writeln!(
                out,
                "    hint          no anchor covers {}: a fault common to all nodes leaves them unreachable",
                list(alone)
            );
        }
        let probe = &sidecar.probe;
        let _ = writeln!(
            out,
            "  probe           every {}, withdraw after {} failures, announce after {} successes and {}",
            probe.interval, probe.fall, probe.rise, sidecar.hold_down
        );
        if loaded.pharos.responder.is_none() {
            let _ = writeln!(
                out,
                "    hint          there is no responder: section; floods are told from death by what this host counts, \
                 which is of the server only if it runs in the same network namespace"
            );
        }
        for neighbour in &loaded.site.neighbours {
            let how = match neighbour.mode {
                Mode::Active => "connecting to port",
                Mode::Passive => "waiting on port",
            };
            let _ = writeln!(
                out,
                "  tell            {} AS{}, {}, {how} {}, hold time {}{}",
                neighbour.address,
                neighbour.r#as,
                list(&neighbour.families),
                neighbour.port,
                neighbour.hold_time,
                particulars(neighbour)
            );
        }
        if let Some(announcers) = &loaded.site.announcers {
            let said = map::announcers_in_words(announcers);
            said.iter().for_each(|line| {
                let _ = writeln!(out, "  tell            {line}");
            });
        }
        if sidecar.mode == SidecarMode::DryRun {
            let _ = writeln!(out, "  but tell nobody: mode is dry-run");
        }
        let state = map::state_directory(loaded, sidecar);
        let _ = writeln!(out, "  state           {}", state.display());
        if sidecar.record_megabytes > 0 {
            let path = map::record(loaded, sidecar);
            let size = sidecar.record_megabytes;
            let _ = writeln!(out, "  record          {}, {size} megabytes", path.display());
        }
        let _ = writeln!(out, "  management      http://{}", sidecar.management);
        let _ = writeln!(out, "  control         {}", loaded.path(&sidecar.control).display());
    }
    out
}

/// What is not usual about a neighbour.
fn particulars(neighbour: &NeighbourSection) -> String {
    let mut words = Vec::new();
    let bfd = neighbour.bfd.as_ref().map(|bfd| format!("BFD each {} times {}", bfd.interval, bfd.multiplier));
    if neighbour.next_hop_ipv4.is_some_and(|hop| hop.0.is_ipv6()) {
        words.push("IPv6 next hops for IPv4");
    }
    if neighbour.md5_key.is_some() || neighbour.md5_key_file.is_some() {
        words.push("TCP MD5");
    }
    if neighbour.ttl_security == TtlSecurity::Neighbour {
        words.push("TTL check");
    }
    if let Some(role) = neighbour.bgp_role {
        words.push(match role {
            BgpRole::Provider => "as its provider",
            BgpRole::Customer => "as its customer",
            BgpRole::Peer => "as its peer",
            BgpRole::RouteServer => "as its route server",
            BgpRole::RouteServerClient => "as client of its route server",
        });
    }
    words.into_iter().map(str::to_owned).chain(bfd).map(|word| format!(", {word}")).collect()
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}
