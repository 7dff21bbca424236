//! Responder and sidecar as services: the thing itself, its management pages, its control socket.
//!
//! `pharos serve`, `pharos announce` and `pharos demo` start the same services, so that the demo shows what is
//! run in earnest. Starting is all or nothing; stopping takes the pages and the socket down last, so that
//! they can be asked until the end.

use crate::failure::Failure;
use pharos_ops::control::server::ControlServer;
use pharos_ops::control::{Reply, Request};
use pharos_ops::http::{self, Page, Readiness, Routes};
use pharos_ops::logging;
use pharos_responder::{Handle as ResponderHandle, Responder, StatusFilter};
use pharos_sidecar::page::{self, Refresh};
use pharos_sidecar::{Handle as SidecarHandle, Level, Sidecar, WordError};
use prometheus::Registry;
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where a service can be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Desk<'a> {
    /// Where HTTP serves its pages.
    pub(crate) management: Option<SocketAddr>,
    /// Its control socket.
    pub(crate) control: Option<&'a Path>,
}

/// The tasks behind a desk; they end when this is dropped.
#[derive(Debug)]
struct Staff {
    /// Closing the channel ends them.
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Staff {
    /// Ends the tasks and waits until they have let go of address and socket.
    async fn leave(self) {
        drop(self.stop);
        for task in self.tasks {
            if task.await.is_err() {
                tracing::error!("a management task broke off while it stopped");
            }
        }
    }
}

impl Desk<'_> {
    /// Takes address and socket, then answers at both.
    async fn open<F>(
        &self,
        routes: Routes,
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Result<Staff, Failure>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let listener = match self.management {
            Some(address) => Some(http::bind(address).await.map_err(|error| Failure::from_error(&error))?),
            None => None,
        };
        let control = match self.control {
            Some(path) => Some(ControlServer::bind(path).map_err(|error| Failure::from_error(&error))?),
            None => None,
        };
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        if let Some(listener) = listener {
            tasks.push(tokio::spawn(http::serve(listener, Arc::new(routes), stopped.clone())));
        }
        if let Some(control) = control {
            tasks.push(tokio::spawn(control.serve(handler, stopped)));
        }
        Ok(Staff { stop, tasks })
    }
}

/// A running responder with its desk.
pub(crate) struct ResponderService {
    responder: Responder,
    staff: Staff,
}

impl ResponderService {
    /// Starts the responder first: nobody is told that it is there before it answers.
    pub(crate) async fn start(config: pharos_responder::Config, desk: Desk<'_>) -> Result<Self, Failure> {
        // Loading zones takes as long as it takes, and the runtime has other work.
        let started = tokio::task::spawn_blocking(move || Responder::start(config)).await;
        let responder = started
            .map_err(|error| Failure::failed(format!("the responder's start broke off: {error}")))?
            .map_err(|error| Failure::from_error(&error).maybe_help(error.remedy()))?;
        let handle = responder.handle();
        let staff = match responder_routes(&handle) {
            Ok(routes) => {
                desk.open(routes, move |request| answer_for_responder(handle.clone(), request)).await
            }
            Err(failure) => Err(failure),
        };
        match staff {
            Ok(staff) => Ok(Self { responder, staff }),
            Err(failure) => {
                stop_responder(responder).await;
                Err(failure)
            }
        }
    }

    /// For reloads by signal and for asking which addresses it has.
    pub(crate) fn handle(&self) -> ResponderHandle {
        self.responder.handle()
    }

    /// Answers what has arrived, then ends.
    pub(crate) async fn stop(self) {
        stop_responder(self.responder).await;
        self.staff.leave().await;
    }
}

async fn stop_responder(responder: Responder) {
    // It joins its threads, which wait for nothing but their last batch.
    if tokio::task::spawn_blocking(move || responder.stop()).await.is_err() {
        tracing::error!("the responder broke off while it stopped");
    }
}

fn responder_routes(handle: &ResponderHandle) -> Result<Routes, Failure> {
    let registry = Registry::new();
    handle.register(&registry).map_err(|error| Failure::from_error(&error))?;
    logging::register(&registry).map_err(|error| Failure::from_error(&error))?;
    let (readiness, status) = (handle.clone(), handle.clone());
    Ok(Routes::new("pharos responder")
        .metrics(registry)
        .readiness(move || match readiness.readiness() {
            pharos_responder::Readiness::Ready => Readiness::Ready,
            pharos_responder::Readiness::NotReady(why) => Readiness::NotReady(vec![why]),
        })
        .page("/status", move |query| {
            let zones = query.all("zone").map(str::to_owned).collect();
            Page::json(&status.status(&StatusFilter { zones }))
        }))
}

async fn answer_for_responder(handle: ResponderHandle, request: Request) -> Reply {
    match request {
        Request::Status => {
            let status = move || Reply::done(&handle.status(&StatusFilter::default()));
            tokio::task::spawn_blocking(status).await.unwrap_or_else(|error| broke_off(&error))
        }
        Request::Reload => reload(handle).await,
        Request::Why { .. }
        | Request::Drain { .. }
        | Request::Undrain(_)
        | Request::Hold { .. }
        | Request::Force { .. }
        | Request::Release { .. } => Reply::refused(
            "this is the responder; routes are the sidecar's",
            "ask the sidecar's control socket; the responder knows status and reload",
        ),
    }
}

/// Reads the zones anew and reports; shared by the control socket, SIGHUP and the demo.
pub(crate) async fn reload(handle: ResponderHandle) -> Reply {
    match tokio::task::spawn_blocking(move || handle.reload()).await {
        Ok(Ok(report)) => Reply::done(&json!({
            "summary": report.to_string(),
            "refused": report.refused.len(),
            "not_loaded": report.refused.iter().filter(|zone| zone.keeps_serial.is_none()).count(),
            "report": report,
        })),
        Ok(Err(error)) => Reply::refused(error.to_string(), error.remedy().unwrap_or_default()),
        Err(error) => broke_off(&error),
    }
}

pub(crate) fn broke_off(error: &tokio::task::JoinError) -> Reply {
    Reply::refused(format!("it broke off: {error}"), "see the process's log")
}

/// A running sidecar with its desk.
#[derive(Debug)]
pub(crate) struct SidecarService {
    handle: SidecarHandle,
    staff: Staff,
}

impl SidecarService {
    /// Opens the desk last: nobody is told that it is there before it probes.
    pub(crate) async fn start(config: pharos_sidecar::Config, desk: Desk<'_>) -> Result<Self, Failure> {
        let handle = Sidecar::start(config).map_err(|error| Failure::from_error(&error))?;
        let asked = handle.clone();
        let staff = match sidecar_routes(&handle) {
            Ok(routes) => desk.open(routes, move |request| answer_for_sidecar(asked.clone(), request)).await,
            Err(failure) => Err(failure),
        };
        match staff {
            Ok(staff) => Ok(Self { handle, staff }),
            Err(failure) => {
                handle.stop("could not start").await;
                Err(failure)
            }
        }
    }

    /// For events.
    pub(crate) fn handle(&self) -> &SidecarHandle {
        &self.handle
    }

    /// Withdraws every route, ends the sessions with `text` for the neighbours' operators, then ends.
    pub(crate) async fn stop(self, text: &str) {
        self.handle.stop(text).await;
        self.staff.leave().await;
    }
}

fn sidecar_routes(handle: &SidecarHandle) -> Result<Routes, Failure> {
    let registry = Registry::new();
    handle.register(&registry).map_err(|error| Failure::from_error(&error))?;
    logging::register(&registry).map_err(|error| Failure::from_error(&error))?;
    let (live, ready, status, shown) = (handle.clone(), handle.clone(), handle.clone(), handle.clone());
    Ok(Routes::new("pharos sidecar")
        .metrics(registry)
        .page("/livez", move |_| match live.live() {
            Ok(()) => Page::text(200, "alive\n"),
            Err(why) => Page::text(503, format!("stuck: {why}\n")),
        })
        .readiness(move || match ready.ready() {
            Ok(()) => Readiness::Ready,
            Err(why) => Readiness::NotReady(vec![why]),
        })
        .page("/", move |query| {
            let refresh = Refresh::of_query(query.all("refresh").next());
            Page::html(page::html(&shown.status(), refresh), page::CONTENT_SECURITY_POLICY)
        })
        .page("/status", move |_| Page::json(&status.status())))
}

async fn answer_for_sidecar(handle: SidecarHandle, request: Request) -> Reply {
    match request {
        Request::Status => Reply::done(&handle.status()),
        Request::Why { prefix } => match handle.why(&prefix) {
            Ok(explanation) => Reply::done(&explanation),
            Err(error) => {
                Reply::refused(error.to_string(), "name a configured prefix; `pharos status` lists them")
            }
        },
        Request::Drain { within, lasts, order } => {
            taken(handle.drain(&order.text, &order.author, within, lasts), || json!({"draining": true}))
        }
        Request::Undrain(order) => {
            handle.undrain(&order.text, &order.author);
            Reply::done(&json!({"draining": false}))
        }
        Request::Hold { target, lasts, order } => {
            let outcome = handle.hold(&target, lasts, &order.text, &order.author);
            taken(outcome, || json!({"held": target}))
        }
        Request::Force { target, level, lasts, order } => {
            let Some(level) = Level::ALL.into_iter().find(|known| known.name() == level) else {
                let levels = Level::ALL.map(Level::name).join(", ");
                return Reply::refused("there is no such level", format!("the levels are {levels}"));
            };
            let outcome = handle.force(&target, level, lasts, &order.text, &order.author);
            taken(outcome, || json!({"forced": target, "level": level}))
        }
        Request::Release { target, order } => {
            let outcome = handle.release(&target, &order.text, &order.author);
            taken(outcome, || json!({"released": target}))
        }
        Request::Reload => Reply::refused(
            "this is the sidecar; zones are the responder's",
            "ask the responder's control socket; the sidecar reads its configuration when it starts",
        ),
    }
}

/// The reply to an operator's word.
fn taken(outcome: Result<(), WordError>, done: impl FnOnce() -> serde_json::Value) -> Reply {
    let remedy = match &outcome {
        Ok(()) => return Reply::done(&done()),
        Err(WordError::Syntax(_) | WordError::NotConfigured { .. }) => {
            "name `all`, a configured group or a configured prefix; `pharos status` lists them"
        }
        Err(WordError::TooLong { .. }) => {
            "name a shorter time; what should last longer belongs into the configuration"
        }
        Err(WordError::NothingToRelease { .. }) => "`pharos status` lists what is in force",
    };
    Reply::refused(outcome.err().map(|error| error.to_string()).unwrap_or_default(), remedy)
}
