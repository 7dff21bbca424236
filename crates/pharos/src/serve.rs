//! `pharos serve`: the responder as a process of its own.

use crate::cli;
use crate::failure::Failure;
use crate::map;
use crate::orders::Orders;
use crate::service::{self, Desk, ResponderService};
use pharos_netio::lock::LockPlace;
use pharos_ops::config::Need;
use pharos_ops::signals::Signals;
use pharos_responder::Config;
use std::net::SocketAddr;
use std::path::PathBuf;

/// What to start, wherever it came from.
struct Plan {
    config: Config,
    management: Option<SocketAddr>,
    control: Option<PathBuf>,
}

pub(crate) async fn run(args: &cli::Serve) -> Result<(), Failure> {
    let plan = plan(args)?;
    // Taken over before the start, so that an early SIGHUP is a reload and not the end.
    let signals =
        Signals::install().map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    let desk = Desk { management: plan.management, control: plan.control.as_deref() };
    let mut orders = Orders::new(signals);
    let Some(service) = orders.until_started(ResponderService::start(plan.config, desk)).await else {
        // Nobody has been told yet that it is there; what loads ends with the process.
        tracing::info!("stopped before its zones were loaded");
        return Ok(());
    };
    let service = service?;
    let listen: Vec<_> = service.handle().listen().iter().map(ToString::to_string).collect();
    tracing::info!(
        listen = listen.join(", "),
        management = plan.management.map(tracing::field::display),
        control = plan.control.as_ref().map(|path| tracing::field::display(path.display())),
        "answering"
    );
    orders.attend(|| service::reload(service.handle())).await;
    tracing::info!("stopping");
    // The second signal does not wait for the drain.
    tokio::select! {
        () = service.stop() => tracing::info!("stopped"),
        () = orders.second_stop() => tracing::warn!("stopped at once by a second signal"),
    }
    Ok(())
}

fn plan(args: &cli::Serve) -> Result<Plan, Failure> {
    if let Some(zones) = &args.zones {
        if !zones.is_dir() {
            return Err(Failure::usage(format!("{} is not a directory", zones.display()))
                .help("name a directory that holds NAME.zone files; @.zone is the root"));
        }
        let mut config =
            Config::new(args.listen.clone(), pharos_responder::ZoneSource::Directory(zones.clone()));
        config.nsid = args.nsid.clone().unwrap_or_else(host_name);
        return Ok(Plan { config, management: args.management, control: args.control.clone() });
    }
    let (pharos, _) = args.files.paths();
    if args.files.config.is_none() && !pharos.exists() {
        return Err(Failure::usage(format!("there is no configuration at {}", pharos.display())).help(
            "name one with --config, or serve a directory: pharos serve --zones DIR --listen IP:PORT",
        ));
    }
    let loaded = args.files.load(Need::Responder)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut config = map::responder(&loaded)?;
    if let Some(cookies) = loaded.pharos.responder.as_ref().and_then(|section| section.cookies.as_ref())
        && let Some(file) = &cookies.secret_file
    {
        let path = loaded.path(file);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Failure::failed(format!("cannot read the cookie secrets in {}: {error}", path.display()))
                .help("let this process read it, or change `secret-file:`")
        })?;
        config.cookies = Some(map::cookies_of_file(cookies, &path, &text)?);
    }
    if let LockPlace::Directory(directory) = &config.lock {
        std::fs::create_dir_all(directory).map_err(|error| {
            Failure::failed(format!("cannot create the lock directory {}: {error}", directory.display()))
                .help("create it for this process, or change `lock-directory:`")
        })?;
    }
    let section = loaded.pharos.responder.as_ref();
    Ok(Plan {
        config,
        management: section.map(|section| section.management.0),
        control: section.map(|section| loaded.path(&section.control)),
    })
}

/// The kernel's name for this host, for want of a configured one.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "pharos".to_owned() } else { name.to_owned() }
}
