//! `pharos demo`: a whole node on loopback, without privileges or configuration.
//!
//! The same services as `pharos serve` and `pharos announce`, from a configuration in a directory of its own,
//! and a route collector as the BGP neighbour. It shows what the sidecar decides and what the collector is
//! told, takes a few words on stdin to break things and mend them, and leaves nothing behind: routes are
//! withdrawn first, then the responder stops, then the directory goes.

mod collector;
mod stage;
mod voice;

use crate::cli;
use crate::failure::Failure;
use crate::map;
use crate::print::say;
use crate::service::{self, Desk, ResponderService, SidecarService};
use collector::Seen;
use pharos_ops::config::{Loaded, Need};
use pharos_ops::control::Reply;
use pharos_ops::signals::{Signal, Signals};
use stage::{Ports, Stage};
use std::io::{BufRead as _, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use voice::Voice;

/// What a `spoil` appends: an address that is none.
const SPOILED_LINE: &str = "\nbroken IN A 192.0.2.256\n";
/// The collector hears of the end within milliseconds, or never.
const FAREWELL_WAIT: Duration = Duration::from_secs(3);

/// Ports that were free a moment ago may be taken when they are used; more often than this is no accident.
const STARTS_AT_MOST: usize = 5;

pub(crate) async fn run(args: &cli::Demo) -> Result<(), Failure> {
    let mut signals =
        Signals::install().map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    let (listener, address) = stage::collector_listener()?;
    let listener = tokio::net::TcpListener::from_std(listener)
        .map_err(|error| Failure::failed(format!("the collector cannot listen: {error}")))?;
    let (tell, seen) = mpsc::channel(256);
    let (stop_collector, stopped) = watch::channel(false);
    let collector = tokio::spawn(collector::run(listener, stage::NODE_AS, tell, stopped));
    let (stage, running) = start(args, address).await?;
    voice::introduce(&stage);
    let mut demo = Demo::new(stage, running, seen);
    let end = args.duration.map(|period| Instant::now() + period.0);
    demo.play(&mut signals, end).await;
    demo.end().await;
    let _ = stop_collector.send(true);
    match collector.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::from_error(&error)),
        Err(error) => Err(Failure::failed(format!("the collector broke off: {error}"))),
    }
}

/// Both services on a stage whose ports nobody snatched.
async fn start(args: &cli::Demo, collector: SocketAddr) -> Result<(Stage, Running), Failure> {
    let zones = args.zones.as_deref();
    let mut ports = match args.port {
        None => Ports::Usual,
        Some(0) => Ports::Any,
        Some(port) => Ports::Dns(port),
    };
    for _ in 1..STARTS_AT_MOST {
        let stage = Stage::set(zones, collector, ports)?;
        match Running::start(&stage).await {
            // Whoever is just starting on the usual ports may have locked them without being seen.
            Err(_) if ports == Ports::Usual => ports = Ports::Any,
            Err(_) if stage.is_taken() => {}
            other => return other.map(|running| (stage, running)),
        }
    }
    let stage = Stage::set(zones, collector, ports)?;
    Running::start(&stage).await.map(|running| (stage, running))
}

/// Responder and sidecar, started from the stage's configuration.
struct Running {
    loaded: Loaded,
    responder: ResponderService,
    sidecar: SidecarService,
}

impl Running {
    async fn start(stage: &Stage) -> Result<Self, Failure> {
        let files = cli::Files { config: Some(stage.directory().to_owned()), site: None };
        let loaded = files.load(Need::Sidecar)?;
        let responder = start_responder(&loaded).await?;
        match start_sidecar(&loaded).await {
            Ok(sidecar) => Ok(Self { loaded, responder, sidecar }),
            Err(failure) => {
                responder.stop().await;
                Err(failure)
            }
        }
    }
}

struct Demo {
    voice: Voice,
    loaded: Loaded,
    responder: Option<ResponderService>,
    /// A responder that is on its way out.
    leaving: Option<JoinHandle<()>>,
    sidecar: SidecarService,
    events: broadcast::Receiver<pharos_sidecar::Event>,
    seen: mpsc::Receiver<Seen>,
    /// The zone file as it was before the first `spoil`.
    unspoiled: Option<Vec<u8>>,
    /// Last, so that its directory goes when everything that uses it has gone.
    stage: Stage,
}

impl Demo {
    fn new(stage: Stage, running: Running, seen: mpsc::Receiver<Seen>) -> Self {
        let Running { loaded, responder, sidecar } = running;
        Self {
            voice: Voice::new(),
            loaded,
            responder: Some(responder),
            leaving: None,
            events: sidecar.handle().events(),
            sidecar,
            seen,
            unspoiled: None,
            stage,
        }
    }

    /// Until somebody or something ends it.
    async fn play(&mut self, signals: &mut Signals, end: Option<Instant>) {
        let mut words = Some(stdin_lines());
        loop {
            tokio::select! {
                // The reason is told before what follows from it, where both are there.
                biased;
                event = self.events.recv() => match event {
                    Ok(event) => self.voice.sidecar(&event),
                    Err(broadcast::error::RecvError::Lagged(lost)) => {
                        self.voice.line("sidecar", &format!("({lost} events went by too fast to be shown)"));
                    }
                    Err(broadcast::error::RecvError::Closed) => {
                        return self.voice.line("demo", "the sidecar is gone");
                    }
                },
                seen = self.seen.recv() => match seen {
                    Some(seen) => self.voice.collector(&seen),
                    None => return self.voice.line("demo", "the collector is gone"),
                },
                signal = signals.next() => match signal {
                    Signal::Stop => return,
                    Signal::Reload => self.reload().await,
                },
                word = next_word(&mut words) => match word {
                    Some(word) if word == "quit" || word == "q" => return,
                    Some(word) => self.obey(&word).await,
                    // No more input is no reason to end: signals and --for remain.
                    None => words = None,
                },
                () = until(end) => return,
            }
        }
    }

    async fn obey(&mut self, word: &str) {
        match word {
            "" => {}
            "break" => self.break_responder(),
            "mend" => self.mend().await,
            "spoil" => self.spoil().await,
            "reload" => self.reload().await,
            "status" => self.status(),
            other => {
                let known = "type break, mend, spoil, reload, status or quit";
                self.voice.line("demo", &format!("there is no \"{}\" here: {known}", other.escape_debug()));
            }
        }
    }

    fn break_responder(&mut self) {
        match self.responder.take() {
            Some(responder) => {
                self.voice.line("demo", "stopping the responder: nobody answers now");
                self.leaving = Some(tokio::spawn(responder.stop()));
            }
            None => self.voice.line("demo", "the responder is stopped already: type mend"),
        }
    }

    async fn mend(&mut self) {
        let mut had_work = false;
        if let Some(text) = self.unspoiled.take() {
            had_work = true;
            let file = self.stage.zone_file();
            match std::fs::write(&file, text) {
                Ok(()) => self.voice.line("demo", &format!("restored {}", file.display())),
                Err(error) => self.voice.line("demo", &format!("cannot restore {}: {error}", file.display())),
            }
            if self.responder.is_some() {
                self.reload().await;
            }
        }
        if self.responder.is_none() {
            had_work = true;
            if let Some(leaving) = self.leaving.take() {
                let _ = leaving.await;
            }
            match start_responder(&self.loaded).await {
                Ok(responder) => {
                    self.responder = Some(responder);
                    let words = "the responder answers again: its routes return when the probes trust it";
                    self.voice.line("demo", words);
                }
                Err(failure) => self.voice.line("demo", &format!("it does not start: {failure}")),
            }
        }
        if !had_work {
            self.voice.line("demo", "nothing is broken: type break or spoil first");
        }
    }

    async fn spoil(&mut self) {
        let file = self.stage.zone_file();
        let spoiled = std::fs::read(&file).and_then(|text| {
            let worse = [text.as_slice(), SPOILED_LINE.as_bytes()].concat();
            std::fs::write(&file, worse).map(|()| text)
        });
        match spoiled {
            Ok(text) => {
                self.unspoiled.get_or_insert(text);
                let line = SPOILED_LINE.trim();
                self.voice.line("demo", &format!("appended \"{line}\" to {} and reload", file.display()));
                self.reload().await;
            }
            Err(error) => self.voice.line("demo", &format!("cannot spoil {}: {error}", file.display())),
        }
    }

    async fn reload(&mut self) {
        let Some(responder) = &self.responder else {
            return self.voice.line("demo", "the responder is stopped: type mend");
        };
        match service::reload(responder.handle()).await {
            Reply::Done(report) => {
                let summary = report.get("summary").and_then(|text| text.as_str()).unwrap_or("reloaded");
                self.voice.line("responder", summary.trim_end());
            }
            Reply::Refused { error, remedy } => self.voice.line("responder", &format!("{error}; {remedy}")),
        }
    }

    fn status(&self) {
        match &self.responder {
            Some(responder) => match crate::client::responder_page(&responder.handle()) {
                Ok(page) => say(&format!("\n{page}")),
                Err(failure) => say(&format!("\n{failure}\n")),
            },
            None => say("\nresponder: stopped\n"),
        }
        say(&format!("\n{}\n", self.sidecar.handle().status()));
    }

    /// Routes first, then answers, then the directory.
    async fn end(mut self) {
        self.voice.line("demo", "ending: routes first");
        self.sidecar.stop("the demo is over").await;
        let goodbye = async {
            while let Some(seen) = self.seen.recv().await {
                self.voice.collector(&seen);
                if matches!(seen, Seen::Down(_)) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(FAREWELL_WAIT, goodbye).await;
        if let Some(responder) = self.responder.take() {
            responder.stop().await;
        }
        if let Some(leaving) = self.leaving.take() {
            let _ = leaving.await;
        }
        let directory = self.stage.directory().to_owned();
        drop(self.stage);
        self.voice.line("demo", &format!("ended; {} is removed", directory.display()));
    }
}

async fn start_responder(loaded: &Loaded) -> Result<ResponderService, Failure> {
    let section = loaded.pharos.responder.as_ref();
    let control: Option<PathBuf> = section.map(|section| loaded.path(&section.control));
    let desk = Desk { management: section.map(|section| section.management.0), control: control.as_deref() };
    ResponderService::start(map::responder(loaded)?, desk).await
}

async fn start_sidecar(loaded: &Loaded) -> Result<SidecarService, Failure> {
    let section = loaded.pharos.sidecar.as_ref();
    let control: Option<PathBuf> = section.map(|section| loaded.path(&section.control));
    let desk = Desk { management: section.map(|section| section.management.0), control: control.as_deref() };
    SidecarService::start(map::sidecar(loaded)?, desk).await
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => tokio::time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Lines of stdin, from a thread that ends with the process: reading a terminal cannot be called off.
fn stdin_lines() -> mpsc::Receiver<String> {
    /// No word here is as long.
    const LINE_OCTETS_AT_MOST: u64 = 4096;
    let (send, receive) = mpsc::channel(16);
    let reader = move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match stdin.by_ref().take(LINE_OCTETS_AT_MOST).read_until(b'\n', &mut line) {
                Ok(count) if count > 0 => {}
                Ok(_) | Err(_) => return,
            }
            let word = String::from_utf8_lossy(&line).trim().to_owned();
            if send.blocking_send(word).is_err() {
                return;
            }
        }
    };
    // Without the thread there are no words, and the rest works.
    let _ = std::thread::Builder::new().name("pharos-stdin".to_owned()).spawn(reader);
    receive
}

/// Waits for ever when there is nothing to read from.
async fn next_word(words: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    match words {
        Some(words) => words.recv().await,
        None => std::future::pending().await,
    }
}
