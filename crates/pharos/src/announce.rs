//! `pharos announce`: the sidecar as a process of its own.
//!
//! SIGHUP and `pharos hand-over` replace it by its next version, which goes on with its sessions ([`successor`]).

use crate::cli;
use crate::failure::Failure;
use crate::map;
use crate::orders::Orders;
use crate::service::{Desk, PreparedSidecar, SidecarService, Wish};
use crate::successor::{self, Legacy, Successor, Taken};
use pharos_ops::config::{Loaded, Need};
use pharos_ops::control::Reply;
use pharos_ops::signals::{Signal, Signals};
use pharos_sidecar::Predecessor;
use serde_json::json;

/// What the neighbours' operators read when this process is told to end (RFC 9003).
const FAREWELL: &str = "pharos sidecar is stopping";

pub(crate) async fn run(args: &cli::Announce) -> Result<(), Failure> {
    let successor = Successor::of_this_process()?;
    let legacy = if args.take_over { Some(Legacy::claim()?) } else { None };
    let started = start(args, legacy.as_ref()).await;
    let (mut service, mut signals) = match (started, &legacy) {
        (Ok(started), _) => started,
        (Err(failure), Some(legacy)) => {
            legacy.refuse(&failure);
            return Err(failure);
        }
        (Err(failure), None) => return Err(failure),
    };
    if let Some(legacy) = legacy {
        legacy.outlive(service.handle().clone());
    }
    loop {
        let wish = tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => None,
                Signal::Stop => break,
            },
            wish = service.next_wish() => Some(wish),
        };
        match successor.take_over(&service).await {
            Ok(taken) => {
                // What was asked of this process meanwhile is meant for the sidecar.
                let told_to_end = tokio::select! {
                    biased;
                    signal = signals.next() => signal == Signal::Stop,
                    () = std::future::ready(()) => false,
                };
                if told_to_end && let Err(error) = pharos_netio::process::ask_to_end(taken.pid) {
                    tracing::warn!(%error, "process {} cannot be told to end", taken.pid);
                }
                return give_way(service, taken, wish).await;
            }
            Err(failure) => {
                tracing::warn!(why = %failure, "nothing is handed over, and everything goes on as it was");
                if let Some(wish) = wish {
                    // Who has gone meanwhile finds it in the log.
                    let _ = wish.send(Reply::refused(failure.to_string(), "everything goes on as it was"));
                }
            }
        }
    }
    tracing::info!("withdrawing every route");
    let mut orders = Orders::new(signals);
    tokio::select! {
        () = service.stop(FAREWELL) => tracing::info!("stopped"),
        () = orders.second_stop() => tracing::warn!("stopped at once by a second signal"),
    }
    Ok(())
}

/// Starts the sidecar, in the place of the process before if there is one.
async fn start(args: &cli::Announce, legacy: Option<&Legacy>) -> Result<(SidecarService, Signals), Failure> {
    let loaded = args.files.load(Need::Sidecar)?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut config = map::sidecar(&loaded)?;
    map::md5_keys_of_files(&loaded, &mut config, |path| std::fs::read_to_string(path))?;
    let signals =
        Signals::install().map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    let before = match legacy {
        Some(legacy) => {
            config.check().map_err(|error| Failure::from_error(&error))?;
            Some(tokio::task::block_in_place(|| legacy.receive())?)
        }
        None => None,
    };
    let service = open(&loaded, config, before, legacy).await?;
    Ok((service, signals))
}

async fn open(
    loaded: &Loaded,
    config: pharos_sidecar::Config,
    before: Option<Predecessor>,
    legacy: Option<&Legacy>,
) -> Result<SidecarService, Failure> {
    let section = loaded.pharos.sidecar.as_ref();
    let management = section.map(|section| section.management.0);
    let control = section.map(|section| loaded.path(&section.control));
    let desk = Desk { management, control: control.as_deref() };
    let prepared = PreparedSidecar::new(config, desk, before).await?;
    if let Some(legacy) = legacy {
        tokio::task::block_in_place(|| legacy.confirm())?;
    }
    let service = prepared.begin()?;
    tracing::info!(
        node = loaded.nsid(),
        management = management.map(tracing::field::display),
        control = control.as_ref().map(|path| tracing::field::display(path.display())),
        "probing"
    );
    Ok(service)
}

/// Ends without a word to the neighbours: the sessions are the next process's.
async fn give_way(service: SidecarService, taken: Taken, wish: Option<Wish>) -> Result<(), Failure> {
    let Taken { pid, sessions, held, channel } = taken;
    let (own, milliseconds) = (std::process::id(), held.as_millis());
    tracing::info!(
        pid,
        sessions,
        held_ms = milliseconds,
        "the next version has taken over; this process ends"
    );
    successor::tell_service_manager(pid);
    let summary = format!("process {own} has left {sessions} sessions to process {pid}");
    let reply = Reply::done(&json!({"summary": summary, "pid": pid, "sessions": sessions}));
    service.give_way(wish.into_iter().collect(), &reply).await;
    // Not before everything is written: the next process waits for it.
    drop(channel);
    Ok(())
}
