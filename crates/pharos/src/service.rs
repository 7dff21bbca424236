//! Responder and sidecar as services: the thing itself, its management pages, its control socket.
//!
//! `pharos serve`, `pharos announce` and `pharos demo` start the same services, so that the demo shows what is
//! run in earnest. Starting is all or nothing; stopping takes the pages and the socket down last, so that
//! they can be asked until the end.

use crate::failure::Failure;
use pharos_ops::control::server::{ControlServer, Shared};
use pharos_ops::control::{Reply, Request};
use pharos_ops::http::{self, Page, Readiness, Routes};
use pharos_ops::logging;
use pharos_responder::{Handle as ResponderHandle, Responder, StatusFilter};
use pharos_sidecar::page::{self, Refresh};
use pharos_sidecar::{
    Estate, Handle as SidecarHandle, Level, Predecessor, Prepared, Sidecar, UnkeptError, WordError,
};
use prometheus::Registry;
use serde_json::json;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{RwLock, RwLockWriteGuard, mpsc, oneshot, watch};
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
    /// Takes address and socket, from the process before where it has them.
    async fn take(&self, mut before: Option<&mut Predecessor>) -> Result<Doors, Failure> {
        let mut left = |name: String| before.as_mut().and_then(|before| before.take(&name));
        let management = match self.management {
            Some(address) => Some(match left(management_name(address)) {
                Some(socket) => http::resume(socket).map_err(|error| Failure::from_error(&error))?,
                None => http::bind(address).await.map_err(|error| Failure::from_error(&error))?,
            }),
            None => None,
        };
        let control = match self.control {
            Some(path) => {
                let control = match left(control_name(path)) {
                    Some(socket) => ControlServer::resume(path, socket),
                    None => ControlServer::bind(path),
                };
                Some(control.map_err(|error| Failure::from_error(&error))?)
            }
            None => None,
        };
        Ok(Doors { management, control })
    }

    /// Takes address and socket, then answers at both.
    async fn open<F>(
        &self,
        routes: Routes,
        handler: impl Fn(Request) -> F + Send + Sync + 'static,
    ) -> Result<Staff, Failure>
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        Ok(self.take(None).await?.open(routes, handler))
    }
}

/// How the next process finds the address.
fn management_name(address: SocketAddr) -> String {
    format!("management {address}")
}

/// How the next process finds the socket.
fn control_name(path: &Path) -> String {
    format!("control {}", path.display())
}

/// An address and a socket that nobody answers at yet.
struct Doors {
    management: Option<TcpListener>,
    control: Option<ControlServer>,
}

impl Doors {
    /// Answers at both.
    fn open<F>(self, routes: Routes, handler: impl Fn(Request) -> F + Send + Sync + 'static) -> Staff
    where
        F: Future<Output = Reply> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = Vec::new();
        if let Some(listener) = self.management {
            tasks.push(tokio::spawn(http::serve(listener, Arc::new(routes), stopped.clone())));
        }
        if let Some(control) = self.control {
            tasks.push(tokio::spawn(control.serve(handler, stopped)));
        }
        Staff { stop, tasks }
    }

    /// What another process may go on with.
    fn share(&self) -> Result<SharedDoors, Failure> {
        let failed = |error: std::io::Error| Failure::from_error(&error);
        let management = match &self.management {
            Some(listener) => {
                let name = management_name(listener.local_addr().map_err(failed)?);
                Some((name, listener.as_fd().try_clone_to_owned().map_err(failed)?))
            }
            None => None,
        };
        let control = match &self.control {
            Some(control) => Some((control.path().to_owned(), control.share().map_err(failed)?)),
            None => None,
        };
        Ok(SharedDoors { management, control })
    }
}

/// The same for another process.
#[derive(Debug)]
struct SharedDoors {
    management: Option<(String, OwnedFd)>,
    control: Option<(PathBuf, Shared)>,
}

impl SharedDoors {
    fn add_to(&self, estate: &mut Estate) -> std::io::Result<()> {
        if let Some((name, socket)) = &self.management {
            estate.add(name, socket.try_clone()?);
        }
        if let Some((path, control)) = &self.control {
            estate.add(&control_name(path), control.socket()?);
        }
        Ok(())
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
        | Request::Release { .. }
        | Request::HandOver => Reply::refused(
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

/// Whose the sidecar is.
#[derive(Debug, Clone, Copy)]
enum Owner {
    /// This process's.
    This,
    /// The next one's, of this number.
    Next(u32),
}

/// Held for reading while a command is carried out, and for writing while the sidecar changes hands: no word of the
/// operator's may fall in between.
type Gate = Arc<RwLock<Owner>>;

/// Somebody asks for the next version of this process, and waits for what becomes of it.
pub(crate) type Wish = oneshot::Sender<Reply>;

/// A running sidecar with its desk.
#[derive(Debug)]
pub(crate) struct SidecarService {
    handle: SidecarHandle,
    staff: Staff,
    doors: SharedDoors,
    gate: Gate,
    wishes: mpsc::Receiver<Wish>,
}

/// A sidecar and its desk that stand ready and touch nothing yet.
pub(crate) struct PreparedSidecar {
    prepared: Prepared,
    doors: Doors,
    shared: SharedDoors,
}

impl PreparedSidecar {
    /// Opens what can fail, or takes it from the process before.
    pub(crate) async fn new(
        config: pharos_sidecar::Config,
        desk: Desk<'_>,
        mut before: Option<Predecessor>,
    ) -> Result<Self, Failure> {
        let doors = desk.take(before.as_mut()).await?;
        let shared = doors.share()?;
        let prepared = Sidecar::prepare(config, before).map_err(|error| Failure::from_error(&error))?;
        Ok(Self { prepared, doors, shared })
    }

    /// Lets it run. Opens the desk last: nobody is told that it is there before it probes.
    pub(crate) fn begin(self) -> Result<SidecarService, Failure> {
        let handle = self.prepared.begin();
        let gate = Gate::new(RwLock::new(Owner::This));
        // Whoever asks while one is under way has the next place; more need not wait.
        let (wish, wishes) = mpsc::channel(1);
        let (asked, entry) = (handle.clone(), Arc::clone(&gate));
        let handler = move |request| at_gate(asked.clone(), Arc::clone(&entry), wish.clone(), request);
        let staff = self.doors.open(sidecar_routes(&handle)?, handler);
        Ok(SidecarService { handle, staff, doors: self.shared, gate, wishes })
    }
}

/// What is handed over, while no command is carried out here.
pub(crate) struct Offer<'a> {
    service: &'a SidecarService,
    gate: RwLockWriteGuard<'a, Owner>,
    pub(crate) estate: Estate,
}

impl Offer<'_> {
    /// Everything goes on here after all.
    pub(crate) fn recall(self) {
        self.service.handle.recall();
    }

    /// It is that process's from here on.
    pub(crate) fn given_to(mut self, pid: u32) {
        *self.gate = Owner::Next(pid);
        if let Some((_, control)) = &self.service.doors.control {
            control.leave();
        }
    }
}

/// How long those who are spoken with may take to hear the end of it.
const GOODBYE: Duration = Duration::from_secs(1);

impl SidecarService {
    /// Starts in nobody's place, for a process that nobody is to take the place of.
    pub(crate) async fn start(config: pharos_sidecar::Config, desk: Desk<'_>) -> Result<Self, Failure> {
        let mut service = PreparedSidecar::new(config, desk, None).await?.begin()?;
        service.wishes.close();
        Ok(service)
    }

    /// For events.
    pub(crate) fn handle(&self) -> &SidecarHandle {
        &self.handle
    }

    /// The next one who asks for the next version of this process.
    pub(crate) async fn next_wish(&mut self) -> Wish {
        match self.wishes.recv().await {
            Some(wish) => wish,
            // The desk is closed.
            None => std::future::pending().await,
        }
    }

    /// Lets go of everything that the next process needs.
    pub(crate) async fn offer(&self) -> Result<Offer<'_>, Failure> {
        let gate = self.gate.write().await;
        let mut estate = self.handle.offer().await.map_err(|error| Failure::from_error(&error))?;
        if let Err(error) = self.doors.add_to(&mut estate) {
            self.handle.recall();
            return Err(Failure::from_error(&error));
        }
        Ok(Offer { service: self, gate, estate })
    }

    /// Ends in favour of the process that has everything by now: answers whoever waits, and writes what is to be written.
    pub(crate) async fn give_way(self, wishes: Vec<Wish>, reply: &Reply) {
        let Self { handle, staff, doors, wishes: mut more, .. } = self;
        staff.leave().await;
        more.close();
        let mut late = Vec::new();
        while let Some(wish) = more.recv().await {
            late.push(wish);
        }
        for wish in wishes.into_iter().chain(late) {
            // Who has gone meanwhile does not hear it.
            let _ = wish.send(reply.clone());
        }
        if let Some((_, control)) = &doors.control {
            control.conversations_over(GOODBYE).await;
        }
        handle.give_way().await;
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
        Request::Why { prefix } => match handle.why_in_full(&prefix) {
            Ok(explanation) => Reply::done(&explanation),
            Err(error) => {
                Reply::refused(error.to_string(), "name a configured prefix; `pharos status` lists them")
            }
        },
        Request::Drain { within, lasts, order } => {
            let outcome = handle.drain(&order.text, &order.author, within, lasts);
            taken(&handle, outcome, || json!({"draining": true})).await
        }
        Request::Undrain(order) => {
            handle.undrain(&order.text, &order.author);
            taken(&handle, Ok(()), || json!({"draining": false})).await
        }
        Request::Hold { target, lasts, order } => {
            let outcome = handle.hold(&target, lasts, &order.text, &order.author);
            taken(&handle, outcome, || json!({"held": target})).await
        }
        Request::Force { target, level, lasts, order } => {
            let Some(level) = Level::ALL.into_iter().find(|known| known.name() == level) else {
                let levels = Level::ALL.map(Level::name).join(", ");
                return Reply::refused("there is no such level", format!("the levels are {levels}"));
            };
            let outcome = handle.force(&target, level, lasts, &order.text, &order.author);
            taken(&handle, outcome, || json!({"forced": target, "level": level})).await
        }
        Request::Release { target, order } => {
            let outcome = handle.release(&target, &order.text, &order.author);
            taken(&handle, outcome, || json!({"released": target})).await
        }
        Request::Reload => Reply::refused(
            "this is the sidecar; zones are the responder's",
            "ask the responder's control socket; `pharos hand-over` has the sidecar read its configuration",
        ),
        Request::HandOver => Reply::refused("nobody here can be handed over to", "restart this process"),
    }
}

/// Carries a request out unless the sidecar changes hands.
async fn at_gate(handle: SidecarHandle, gate: Gate, wishes: mpsc::Sender<Wish>, request: Request) -> Reply {
    if request == Request::HandOver {
        let (wish, outcome) = oneshot::channel();
        return match wishes.try_send(wish) {
            Ok(()) => outcome.await.unwrap_or_else(|_| {
                Reply::refused("this process is ending, and hands nothing over", "see its log")
            }),
            Err(mpsc::error::TrySendError::Full(_)) => {
                Reply::refused("a handover is under way", "wait for its end; `pharos status` shows the pid")
            }
            Err(mpsc::error::TrySendError::Closed(_)) => answer_for_sidecar(handle, request).await,
        };
    }
    let owner = gate.read().await;
    match *owner {
        Owner::This => answer_for_sidecar(handle, request).await,
        Owner::Next(pid) => Reply::refused(
            format!("this process has just left everything to process {pid}, and did nothing"),
            "say it again: the other one answers at the same socket",
        ),
    }
}

/// The reply to an operator's word: yes when it holds and is on the disk.
async fn taken(
    handle: &SidecarHandle,
    outcome: Result<(), WordError>,
    done: impl FnOnce() -> serde_json::Value,
) -> Reply {
    match outcome {
        Ok(()) => match handle.words_kept().await {
            Ok(()) => Reply::done(&done()),
            Err(error) => not_kept(&error),
        },
        Err(error) => Reply::refused(error.to_string(), remedy(&error)),
    }
}

/// A word that holds, and that a restart would forget, is none to rely on.
fn not_kept(error: &UnkeptError) -> Reply {
    Reply::refused(
        error.to_string(),
        "mend what is named: the sidecar writes it as soon as it can, and the alarm words-not-saved ends then",
    )
}

fn remedy(error: &WordError) -> &'static str {
    match error {
        WordError::Syntax(_) | WordError::NotConfigured { .. } => {
            "name `all`, a configured group or a configured prefix; `pharos status` lists them"
        }
        WordError::TooLong { .. } => {
            "name a shorter time; what should last longer belongs into the configuration"
        }
        WordError::NothingToRelease { .. } => "`pharos status` lists what is in force",
    }
}
