//! `pharos announce`: the sidecar as a process of its own.

use crate::cli;
use crate::failure::Failure;
use crate::map;
use crate::orders::Orders;
use crate::service::{Desk, SidecarService};
use pharos_ops::config::Need;
use pharos_ops::signals::{Signal, Signals};

/// What the neighbours' operators read when this process is told to end (RFC 9003).
const FAREWELL: &str = "pharos sidecar is stopping";

pub(crate) async fn run(args: &cli::Announce) -> Result<(), Failure> {
    let loaded = args.files.load(Need::Sidecar)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut config = map::sidecar(&loaded)?;
    map::md5_keys_of_files(&loaded, &mut config, |path| std::fs::read_to_string(path))?;
    let section = loaded.pharos.sidecar.as_ref();
    let management = section.map(|section| section.management.0);
    let control = section.map(|section| loaded.path(&section.control));
    let mut signals =
        Signals::install().map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    let service = SidecarService::start(config, Desk { management, control: control.as_deref() }).await?;
    tracing::info!(
        node = loaded.nsid(),
        management = management.map(tracing::field::display),
        control = control.as_ref().map(|path| tracing::field::display(path.display())),
        "probing"
    );
    while signals.next().await == Signal::Reload {
        tracing::warn!("SIGHUP changes nothing: the sidecar reads its configuration when it starts");
    }
    tracing::info!("withdrawing every route");
    let mut orders = Orders::new(signals);
    tokio::select! {
        () = service.stop(FAREWELL) => tracing::info!("stopped"),
        () = orders.second_stop() => tracing::warn!("stopped at once by a second signal"),
    }
    Ok(())
}
