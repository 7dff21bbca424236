//! The subcommands that talk to running processes: `status`, `why`, `drain`, `undrain`, `reload`, `hand-over`.
//!
//! `status` reads the management pages, the others the control sockets. What the processes say is printed as
//! they say it; when nobody answers, the message says who should, where, and how to look elsewhere.

use crate::cli;
use crate::failure::Failure;
use crate::print::say;
use crate::view::{ReloadView, ResponderView};
use pharos_ops::control::client::{CallError, call};
use pharos_ops::control::{Order, Request};
use pharos_ops::http::client::get;
use pharos_sidecar::{DrainPhase, DrainView, Status as SidecarStatus, WhyStatus};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A decision is made in memory.
const WAIT: Duration = Duration::from_secs(15);
/// A reload reads and compiles every changed zone, which takes seconds for a million records.
const RELOAD_WAIT: Duration = Duration::from_secs(600);
/// The next version reads its configuration, which takes it milliseconds, and has bounds of its own.
const HANDOVER_WAIT: Duration = Duration::from_secs(60);

/// Which process should answer.
#[derive(Debug, Clone, Copy)]
enum Process {
    Responder,
    Sidecar,
}

impl Process {
    fn name(self) -> &'static str {
        match self {
            Self::Responder => "responder",
            Self::Sidecar => "sidecar",
        }
    }

    fn command(self) -> &'static str {
        match self {
            Self::Responder => "pharos serve",
            Self::Sidecar => "pharos announce",
        }
    }
}

/// `pharos status`.
pub(crate) async fn status(args: &cli::Status) -> Result<(), Failure> {
    // Both addresses on the command line need no configuration, and a broken one must not keep us from asking.
    let (responder, sidecar) = match (args.responder, args.sidecar) {
        (Some(responder), Some(sidecar)) => (Some(responder), Some(sidecar)),
        (None, None) => {
            let places = args.files.places()?;
            (places.responder.map(|it| it.management), places.sidecar.map(|it| it.management))
        }
        // Who names one asks for one.
        one => one,
    };
    let responder = match responder {
        Some(address) => Some(fetch(Process::Responder, address).await),
        None => None,
    };
    let sidecar = match sidecar {
        Some(address) => Some(fetch(Process::Sidecar, address).await),
        None => None,
    };
    if args.json {
        let value =
            |it: &Option<Result<Value, Failure>>| it.as_ref().and_then(|it| it.as_ref().ok().cloned());
        say(&format!("{:#}\n", json!({"responder": value(&responder), "sidecar": value(&sidecar)})));
    }
    let mut first = true;
    let mut failures = Vec::new();
    let shown = [
        responder.map(|it| it.and_then(|value| view::<ResponderView>(Process::Responder, value))),
        sidecar.map(|it| it.and_then(|value| view::<SidecarStatus>(Process::Sidecar, value))),
    ];
    for text in shown.into_iter().flatten() {
        match text {
            Ok(text) if !args.json => {
                say(&format!("{}{text}", if first { "" } else { "\n" }));
                first = false;
            }
            Ok(_) => {}
            Err(failure) => failures.push(failure),
        }
    }
    match failures.len() {
        0 => Ok(()),
        _ => {
            let words: Vec<_> = failures.iter().map(ToString::to_string).collect();
            Err(Failure::failed(words.join("\nerror: ")))
        }
    }
}

async fn fetch(process: Process, address: SocketAddr) -> Result<Value, Failure> {
    let (name, command) = (process.name(), process.command());
    let answer = get(address, "/status").await.map_err(|error| {
        Failure::failed(format!("no {name} answers: {error}")).help(format!(
            "is `{command}` running? Its configuration names the address (`management:`): give it with --config, \
             or the address with --{name}"
        ))
    })?;
    let strange = |why: &str| {
        Failure::failed(format!("what answers at http://{address}/status is no {name}: {why}"))
            .help(format!("name the {name}'s own `management:` address with --{name}"))
    };
    if answer.status != 200 {
        return Err(strange(&format!("HTTP status {}", answer.status)));
    }
    serde_json::from_str(&answer.body).map_err(|error| strange(&error.to_string()))
}

fn view<T: DeserializeOwned + ToString>(process: Process, value: Value) -> Result<String, Failure> {
    serde_json::from_value::<T>(value).map(|status| status.to_string()).map_err(|error| {
        Failure::failed(format!("the {}'s status cannot be read: {error}", process.name()))
            .help("is it of another version than this command? --json prints it as it is")
    })
}

/// The responder's page as `pharos status` shows it, asked in this process.
pub(crate) fn responder_page(handle: &pharos_responder::Handle) -> Result<String, Failure> {
    let status = serde_json::to_value(handle.status(&pharos_responder::StatusFilter::default()));
    let value = status.map_err(|error| Failure::from_error(&error))?;
    view::<ResponderView>(Process::Responder, value)
}

/// `pharos why`.
pub(crate) async fn why(args: &cli::Why) -> Result<(), Failure> {
    let request = Request::Why { prefix: args.prefix.clone() };
    let result = ask(Process::Sidecar, &args.socket, &request, WAIT).await?;
    if args.socket.json {
        say(&format!("{result:#}\n"));
    } else {
        say(&view::<WhyStatus>(Process::Sidecar, result)?);
    }
    Ok(())
}

/// `pharos drain`.
pub(crate) async fn drain(args: &cli::Drain) -> Result<(), Failure> {
    let request = Request::Drain {
        within: args.within.map(|time| time.0),
        lasts: args.lasts.map(|time| time.0),
        order: args.order.clone().into(),
    };
    match ask(Process::Sidecar, &args.socket, &request, WAIT).await {
        Ok(result) => {
            let words = "draining: `pharos status` shows how far it is, `pharos undrain` ends it";
            tell(&args.socket, &result, words);
            if args.wait { may_stop(&args.socket).await } else { Ok(()) }
        }
        // A full disk keeps no drain from holding, and whoever is about to stop the node has to wait for it all the same.
        Err(error) if args.wait && is_drained(&args.socket).await => {
            may_stop(&args.socket).await.and(Err(error))
        }
        Err(error) => Err(error),
    }
}

/// Whether the sidecar says that a drain is in force.
async fn is_drained(socket: &cli::Socket) -> bool {
    let status = ask(Process::Sidecar, socket, &Request::Status, WAIT).await;
    status.is_ok_and(|status| status.get("drain").is_some_and(|drain| !drain.is_null()))
}

/// Between two looks at a drain: short beside the seconds that each of its steps takes.
const LOOK: Duration = Duration::from_millis(500);

/// A sidecar that is being replaced, or asked by many, is asked again for so long: a service manager takes an error for the
/// end of the drain.
const ABSENT: Duration = Duration::from_secs(30);

/// Says how far the drain is whenever it goes on, and returns when the node may stop.
async fn may_stop(socket: &cli::Socket) -> Result<(), Failure> {
    let (mut last, mut heard) = (None, Instant::now());
    loop {
        let status = match ask(Process::Sidecar, socket, &Request::Status, WAIT).await {
            Ok(status) => status,
            Err(_) if heard.elapsed() < ABSENT => {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        heard = Instant::now();
        let status: SidecarStatus = serde_json::from_value(status).map_err(|error| {
            Failure::failed(format!("the sidecar's status cannot be read: {error}"))
                .help("is it of another version than this command?")
        })?;
        let drain = status.drain.ok_or_else(|| {
            Failure::failed("the drain was ended before the node could stop")
                .help("somebody has undrained it, or its time was over; `pharos status` shows what holds now")
        })?;
        let step = (drain.phase, drain.remaining);
        if last != Some(step) {
            last = Some(step);
            if !socket.json {
                say(&format!("{}\n", step_of(&drain)));
            }
        }
        if drain.phase == DrainPhase::Done {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One step of a drain, for a person who waits.
fn step_of(drain: &DrainView) -> String {
    let seconds = |left: Option<f64>| left.unwrap_or_default().ceil();
    let remark = drain.remaining.remark();
    match drain.phase {
        DrainPhase::Draining => {
            let left = seconds(drain.withdraw_after_seconds);
            format!("announced as draining; withdrawn in {left} s at the latest")
        }
        DrainPhase::Lingering => {
            let left = seconds(drain.linger_left_seconds);
            format!("withdrawn; answering for {left} s more at least{remark}")
        }
        DrainPhase::Done => format!(
            "withdrawn, and the time for those who have not heard is over: this node may stop{remark}"
        ),
    }
}

/// `pharos undrain`.
pub(crate) async fn undrain(args: &cli::Undrain) -> Result<(), Failure> {
    let request = Request::Undrain(args.order.clone().into());
    let result = ask(Process::Sidecar, &args.socket, &request, WAIT).await?;
    tell(&args.socket, &result, "no longer drained: the routes return as their signals deserve");
    Ok(())
}

/// `pharos hold`.
pub(crate) async fn hold(args: &cli::Hold) -> Result<(), Failure> {
    let target = args.target.clone();
    let request = Request::Hold { target, lasts: args.lasts.0, order: args.order.clone().into() };
    let result = ask(Process::Sidecar, &args.socket, &request, WAIT).await?;
    let words =
        format!("held for {}: only what cannot answer is withdrawn; `pharos release` ends it", args.lasts);
    tell(&args.socket, &result, &words);
    Ok(())
}

/// `pharos force`.
pub(crate) async fn force(args: &cli::Force) -> Result<(), Failure> {
    let (target, level) = (args.target.clone(), args.level.name().to_owned());
    let request = Request::Force { target, level, lasts: args.lasts.0, order: args.order.clone().into() };
    let result = ask(Process::Sidecar, &args.socket, &request, WAIT).await?;
    let words = format!(
        "forced to {} for {}, while it can answer; `pharos release` ends it",
        args.level.name(),
        args.lasts
    );
    tell(&args.socket, &result, &words);
    Ok(())
}

/// `pharos release`.
pub(crate) async fn release(args: &cli::Release) -> Result<(), Failure> {
    let request = Request::Release { target: args.target.clone(), order: args.order.clone().into() };
    let result = ask(Process::Sidecar, &args.socket, &request, WAIT).await?;
    tell(&args.socket, &result, "released: levels are what their signals have earned meanwhile");
    Ok(())
}

/// `pharos reload`.
pub(crate) async fn reload(args: &cli::Reload) -> Result<(), Failure> {
    let result = ask(Process::Responder, &args.socket, &Request::Reload, RELOAD_WAIT).await?;
    let report: ReloadView = serde_json::from_value(result.clone())
        .map_err(|error| Failure::failed(format!("the responder's report cannot be read: {error}")))?;
    tell(&args.socket, &result, report.summary.trim_end());
    match (report.refused, report.not_loaded) {
        (0, _) => Ok(()),
        (refused, not_loaded) => Err(Failure::failed(refusals(refused, not_loaded))),
    }
}

/// `pharos hand-over`.
pub(crate) async fn hand_over(args: &cli::HandOver) -> Result<(), Failure> {
    let result = ask(Process::Sidecar, &args.socket, &Request::HandOver, HANDOVER_WAIT).await?;
    let summary = result.get("summary").and_then(Value::as_str).unwrap_or("handed over").to_owned();
    tell(&args.socket, &result, &summary);
    Ok(())
}

/// What became of zones whose newest data were refused, of which so many never had good data.
fn refusals(refused: u64, not_loaded: u64) -> String {
    let zones = if refused == 1 { "1 zone was" } else { &format!("{refused} zones were") };
    let outcome = match (refused, not_loaded) {
        (1, 0) => "what answered for it before answers still".to_owned(),
        (1, _) => "it never had good data and answers SERVFAIL".to_owned(),
        (_, 0) => "what answered for them before answers still".to_owned(),
        (all, none) if all == none => "they never had good data and answer SERVFAIL".to_owned(),
        (_, none) => format!(
            "{none} of them never had good data: SERVFAIL; what answered for the others before answers still"
        ),
    };
    format!("{zones} refused; {outcome}")
}

fn tell(socket: &cli::Socket, result: &Value, words: &str) {
    if socket.json {
        say(&format!("{result:#}\n"));
    } else {
        say(&format!("{words}\n"));
    }
}

async fn ask(
    process: Process,
    socket: &cli::Socket,
    request: &Request,
    wait: Duration,
) -> Result<Value, Failure> {
    let place = match (&socket.control, process) {
        (Some(path), _) => Some(path.clone()),
        (None, Process::Responder) => socket.files.places()?.responder.map(|it| it.control),
        (None, Process::Sidecar) => socket.files.places()?.sidecar.map(|it| it.control),
    };
    let path: PathBuf = place.ok_or_else(|| {
        let name = process.name();
        Failure::usage(format!("this configuration has no {name}"))
            .help(format!("add `{name}:`, or name its socket"))
    })?;
    call(&path, request, wait).await.map_err(|error| explain(process, &path, error))
}

fn explain(process: Process, path: &Path, error: CallError) -> Failure {
    let (name, command, path) = (process.name(), process.command(), path.display());
    match error {
        CallError::Nobody { source, .. } => Failure::failed(format!("no {name} answers at {path}: {source}")).help(
            format!(
                "is `{command}` running? Its configuration names the socket (`control:`): give it with --config, \
                 or the socket with --control"
            ),
        ),
        CallError::Refused { error, remedy } => Failure::failed(error).help(remedy),
        other => Failure::failed(other.to_string()),
    }
}

impl From<cli::Order> for Order {
    fn from(order: cli::Order) -> Self {
        Self { text: order.text, author: order.author.unwrap_or_else(this_person) }
    }
}

/// The name that the environment gives, else the number that the kernel knows.
fn this_person() -> String {
    let named = ["SUDO_USER", "USER"].iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| {
        let own = std::fs::metadata("/proc/self").map(|data| data.uid());
        own.map_or_else(|_| "somebody".to_owned(), |uid| format!("uid {uid}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pharos_sidecar::Remaining;

    #[test]
    fn whoever_waits_for_a_drain_hears_each_step_with_the_time_that_is_left() {
        let view = |phase, remaining| DrainView {
            phase,
            words: serde_json::from_value(json!({"author": "ada", "text": "new disks"})).unwrap(),
            age_seconds: 1.0,
            withdraw_after_seconds: Some(8.2),
            linger_left_seconds: Some(119.5),
            remaining,
            expires_after_seconds: None,
        };
        let said = |phase, remaining| step_of(&view(phase, remaining));
        assert!(said(DrainPhase::Draining, Remaining::Some).ends_with("withdrawn in 9 s at the latest"));
        assert!(said(DrainPhase::Lingering, Remaining::NextToNone).ends_with("for 120 s more at least"));
        assert!(said(DrainPhase::Lingering, Remaining::Some).ends_with("; queries still come"));
        assert!(said(DrainPhase::Done, Remaining::NextToNone).ends_with("this node may stop"));
        let unknown = said(DrainPhase::Done, Remaining::NotKnown);
        assert!(unknown.ends_with("; whether queries still come is not known"), "{unknown}");
    }

    #[test]
    fn zones_that_never_loaded_are_not_said_to_answer() {
        for (refused, not_loaded, expected) in [
            (1, 0, "1 zone was refused; what answered for it before answers still"),
            (1, 1, "1 zone was refused; it never had good data and answers SERVFAIL"),
            (3, 0, "3 zones were refused; what answered for them before answers still"),
            (2, 2, "2 zones were refused; they never had good data and answer SERVFAIL"),
            (
                3,
                1,
                "3 zones were refused; 1 of them never had good data: SERVFAIL; what answered for the others before answers still",
            ),
        ] {
            assert_eq!(refusals(refused, not_loaded), expected);
        }
    }
}
