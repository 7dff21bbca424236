//! The responder's status endpoint, as its client: expected serials, readiness, and refused zones.
//!
//! `/status` is fetched over HTTP once an interval, and at once when a probe found another serial than
//! expected or was not answered. What it says about readiness is information, what it says about refused data is an
//! alarm, and when it cannot be read an alarm says so, serials go uncompared, and everything else that it tells is
//! forgotten, save what was wrong with data and a worker that was stuck. What it counts of queries by address is the traffic of the prefixes. What it
//! tells of the threads that answer, of queries that were dropped, and of the data becomes observations of the signals that
//! are named after it. The view of the JSON is `responder/view.rs`.
//!
//! Where the status does not come in time, and where there is none (another name server), what the host counts itself says
//! whether there is overload, and whether anybody is answered in it (`counts.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hickory_proto::rr::Name;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use pharos_policy::load::{Meter, Takers, Verdict};
use pharos_policy::policy::Input;
use pharos_policy::{AlarmId, GroupConfig, Health, Observation, Prefix, SignalId};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use crate::config::{Quiet, StatusConfig, zone_name};
use crate::counts::Look;
use crate::keeper::Keeper;
use crate::probe::reply::{Told, Wanted};

mod answers;
mod data;
mod load;
mod view;
mod wall;

pub(crate) use answers::Answers;
use load::Loads;
use view::{View, ZoneState, ZoneView};
use wall::Wall;

/// The longest status that is read: a thousand zones with long refusals fit many times.
const MOST_OCTETS: usize = 8 * 1024 * 1024;

/// Refused zones that get an alarm of their own; after a push that is refused everywhere, the first names
/// tell enough.
const MOST_ALARMS: usize = 100;

/// A thread that answers turns ten times a second. One that has not turned for so long answers nobody meanwhile, and
/// what is unanswered is no longer put down to overload.
const LATE: Duration = Duration::from_secs(1);

/// A responder ends itself when a thread has been stuck for 10 s; one that has not, and still tells of it, failed to.
const STUCK: Duration = Duration::from_secs(12);

/// From one fetch to the next, whoever asks for it.
const SOONEST: Duration = Duration::from_millis(100);

/// From one judgement to the next of what answers tell.
pub(crate) const JUDGE: Duration = Duration::from_secs(1);

/// What is said where nobody listens.
const REFUSED: &str = "connection refused";

/// Zones that are asked for by name in one request.
const BATCH: usize = 50;

/// What the status says of a zone's serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// This serial is live.
    Serial(u32),
    /// The status cannot be read, or does not tell.
    Unknown,
}

/// One fetch.
#[derive(Debug, Default)]
struct Snapshot {
    /// When the fetch began, in the keeper's time.
    asked: Duration,
    /// Whether it was answered.
    read: bool,
    /// Whether it told of drops, few or many, while all threads run.
    drops: bool,
    /// By absolute name in lower case; empty when the status could not be read.
    serials: HashMap<String, u32>,
}

/// The serials for the probes; clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Serials {
    latest: watch::Receiver<Arc<Snapshot>>,
    refresh: Arc<Notify>,
    patience: Duration,
    /// What answers tell, where no status does.
    answers: Option<Answers>,
}

impl Serials {
    /// A good answer came.
    pub(crate) fn tell(&self, now: Duration, zone: &Name, told: Told) {
        if let Some(answers) = &self.answers {
            answers.tell(now, zone, told);
        }
    }

    /// What is asked for beside the SOA record.
    pub(crate) fn wanted(&self) -> Wanted {
        if self.answers.is_some() { Wanted::AllThatAnswersTell } else { Wanted::Serial }
    }

    /// What the last fetch said.
    pub(crate) fn expected(&self, zone: &Name) -> Expected {
        self.latest
            .borrow()
            .serials
            .get(&zone.to_string())
            .map_or(Expected::Unknown, |s| Expected::Serial(*s))
    }

    /// Asks for a fetch at once.
    pub(crate) fn refresh(&self) {
        self.refresh.notify_one();
    }

    /// Whether the last fetch that has ended was answered, and began after `moment`.
    pub(crate) fn read_after(&self, moment: Duration) -> bool {
        let last = self.latest.borrow();
        last.read && last.asked > moment
    }

    /// Whether it did and told of drops.
    pub(crate) fn told_of_drops_after(&self, moment: Duration) -> bool {
        let last = self.latest.borrow();
        last.drops && last.asked > moment
    }

    /// Waits until a fetch has ended, well or not, that began after `moment`; no longer than `most`.
    pub(crate) async fn heard_after(&mut self, moment: Duration, most: Duration) {
        self.refresh();
        let fresh = self.latest.wait_for(|snapshot| snapshot.asked > moment);
        // Whoever hears nothing has waited long enough.
        let _ = tokio::time::timeout(most.min(self.patience), fresh).await;
    }

    /// What a fetch says that began after `moment`.
    pub(crate) async fn expected_after(&mut self, zone: &Name, moment: Duration) -> Expected {
        self.refresh();
        let fresh = self.latest.wait_for(|snapshot| snapshot.asked > moment);
        match tokio::time::timeout(self.patience, fresh).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) | Err(_) => return Expected::Unknown,
        }
        self.expected(zone)
    }
}

/// The fetching side.
pub(crate) struct Client {
    keeper: Arc<Keeper>,
    config: Option<StatusConfig>,
    required: Vec<String>,
    latest: watch::Sender<Arc<Snapshot>>,
    refresh: Arc<Notify>,
    alarmed: BTreeSet<String>,
    meter: Meter,
    /// The process whose counters were read last.
    pid: u32,
    wall: Wall,
    groups: Vec<Group>,
    answers: Answers,
    loads: Loads,
    /// Prefixes whose traffic did not follow.
    unmoved: BTreeSet<Prefix>,
}

/// What a group's data are held to.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Its name.
    pub(crate) name: Arc<str>,
    /// Its required zones, as the configuration names them.
    pub(crate) zones: Vec<String>,
    /// How old they may be.
    pub(crate) most_age: Option<Duration>,
}

/// A client for the responder of `keeper`, and the serials that it will learn.
pub(crate) fn client(
    keeper: Arc<Keeper>,
    config: Option<StatusConfig>,
    mut groups: Vec<Group>,
    (prefixes, quiet): (&[GroupConfig], Quiet),
    answers: Answers,
) -> (Client, Serials) {
    let latest = watch::Sender::new(Arc::default());
    let refresh = Arc::new(Notify::new());
    let patience = config.map_or(Duration::ZERO, |config| config.timeout);
    let serials = Serials {
        latest: latest.subscribe(),
        refresh: Arc::clone(&refresh),
        patience,
        answers: config.is_none().then(|| answers.clone()),
    };
    for group in &mut groups {
        let names = group.zones.iter().filter_map(|zone| zone_name(zone).ok());
        group.zones = names.map(|name| name.to_string()).collect();
    }
    let required: BTreeSet<_> = groups.iter().flat_map(|group| group.zones.iter().cloned()).collect();
    let required = required.into_iter().collect();
    let (alarmed, meter) = (BTreeSet::new(), Meter::new(LATE, STUCK));
    let wall = Wall::doubted_since(keeper.state().policy.ill_since(&SignalId::Clock));
    (
        Client {
            keeper,
            config,
            required,
            latest,
            refresh,
            alarmed,
            meter,
            pid: 0,
            wall,
            groups,
            answers,
            loads: Loads::new(prefixes, quiet.0, config.map_or(Duration::ZERO, |config| config.interval)),
            unmoved: BTreeSet::new(),
        },
        serials,
    )
}

impl Client {
    /// Fetches until it is dropped.
    pub(crate) async fn run(mut self) {
        let Some(config) = self.config else { return self.judge_answers().await };
        loop {
            let began = Instant::now();
            let asked = self.keeper.clock.now();
            let before = Look::now(&self.keeper);
            match tokio::time::timeout(config.timeout, self.fetch(config)).await {
                Ok(Ok(view)) => self.learn(asked, view),
                Ok(Err(why)) => {
                    if why == REFUSED {
                        self.has_ended();
                    }
                    self.fail(asked, Observation::Fail(format!("http://{}/status: {why}", config.address)));
                }
                Err(_) => {
                    let why = format!(
                        "no answer within {:?} from http://{}/status",
                        config.timeout, config.address
                    );
                    // That it is late is a flood's doing only where somebody still takes in what comes. And whatever it
                    // would tell of a flood, the host has to tell now.
                    let look = Look::now(&self.keeper);
                    look.tell_since(&before, &self.keeper);
                    self.fail(
                        asked,
                        match look.takers_since(&before) {
                            Takers::Many => Observation::Unanswered(why),
                            Takers::Few => Observation::Fail(why),
                        },
                    );
                }
            }
            tokio::select! {
                () = sleep_until(began + config.interval) => {}
                () = self.refresh.notified() => sleep_until(began + config.interval.min(SOONEST)).await,
            }
        }
    }

    /// Judges the data by what answers tell, and the load by what the host counts, until it is dropped.
    async fn judge_answers(mut self) {
        let mut before = Look::now(&self.keeper);
        loop {
            let look = Look::now(&self.keeper);
            match look.overload_since(&before) {
                Some(_) => look.tell_since(&before, &self.keeper),
                None => {
                    let nothing = || "no drops that this host counts".to_owned();
                    let seen = Observation::Pass(look.unread().unwrap_or_else(nothing));
                    self.observe(SignalId::Overload, seen);
                }
            }
            before = look;
            let zones = self.answers.zones(self.keeper.clock.now());
            self.judge_data(&View::of_zones(zones));
            tokio::time::sleep(JUDGE).await;
        }
    }

    async fn fetch(&self, config: StatusConfig) -> Result<View, String> {
        let mut view = get(config, "/status").await?;
        if view.zones_omitted == 0 {
            return Ok(view);
        }
        let listed: BTreeSet<&str> = view.zones.iter().map(|zone| zone.name.as_str()).collect();
        let missing: Vec<_> = self.required.iter().filter(|zone| !listed.contains(zone.as_str())).collect();
        let mut found = Vec::new();
        for batch in missing.chunks(BATCH) {
            let names: Vec<_> = batch.iter().map(|zone| format!("zone={}", escaped(zone))).collect();
            found.extend(get(config, &format!("/status?{}", names.join("&"))).await?.zones);
        }
        view.zones.extend(found);
        Ok(view)
    }

    fn learn(&mut self, asked: Duration, view: View) {
        let drops = self.measure(&view);
        self.count_traffic(&view);
        self.judge_data(&view);
        self.keeper.served(view.told(asked));
        let View { ready, zones_total, zones_live, zones, .. } = view;
        let text = format!("{zones_live} of {zones_total} zones live");
        self.observe(SignalId::Status, Observation::Pass(text.clone()));
        let readiness =
            if ready { Observation::Pass(text) } else { Observation::Fail(format!("not ready: {text}")) };
        self.observe(SignalId::Ready, readiness);
        let mut serials = HashMap::new();
        let mut troubled = BTreeMap::new();
        for zone in zones {
            if let (ZoneState::Live | ZoneState::Refused, Some(serial)) = (zone.state, zone.serial) {
                serials.insert(zone.name.to_ascii_lowercase(), serial);
            }
            if let Some(text) = trouble(&zone) {
                troubled.insert(zone.name, text);
            }
        }
        self.latest.send_replace(Arc::new(Snapshot { asked, read: true, drops, serials }));
        self.alarm(troubled);
    }

    /// Whether all threads run, and whether queries are dropped; says the latter.
    fn measure(&mut self, view: &View) -> bool {
        if self.pid != view.pid {
            (self.pid, self.meter) = (view.pid, Meter::new(LATE, STUCK));
        }
        let verdict = self.meter.read(self.keeper.clock.now(), view.reading());
        let Some(Verdict { heartbeats, overload }) = verdict else { return false };
        let drops = !matches!(overload, Observation::Pass(_));
        self.observe(SignalId::Heartbeats, heartbeats);
        self.observe(SignalId::Overload, overload);
        drops
    }

    /// How many real queries come, and whether they went where they were asked to go.
    fn count_traffic(&mut self, view: &View) {
        for load in self.loads.read(self.keeper.clock.now(), view.pid, &view.traffic) {
            let prefix = load.prefix;
            self.keeper.measured(prefix, load.per_second);
            self.observe(SignalId::Traffic { prefix }, load.observation);
            let id = AlarmId::PreferenceIgnored { prefix };
            if let Some(level) = self.keeper.unheeded(prefix) {
                if self.unmoved.insert(prefix) {
                    let text =
                        format!("{level} past `patience`, and queries come as if nobody had been told");
                    self.keeper.take(Input::Raise { alarm: id, text });
                }
            } else if self.unmoved.remove(&prefix) {
                self.keeper.take(Input::Clear { alarm: id });
            }
        }
    }

    /// Whether the clock can be believed, and by it whether data are fresh and signatures valid.
    fn judge_data(&mut self, view: &View) {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = self.wall.look(self.keeper.clock.now(), wall, view.clock.doubt.as_deref());
        // First, so that what it makes worthless is not believed for a moment.
        self.observe(SignalId::Clock, clock);
        let zones: HashMap<_, _> =
            view.zones.iter().map(|zone| (zone.name.to_ascii_lowercase(), zone)).collect();
        for Group { name, zones: required, most_age } in &self.groups {
            let served: Vec<_> = required.iter().filter_map(|zone| zones.get(zone).copied()).collect();
            let group = || Arc::clone(name);
            if let Some(observation) = data::age(&served, wall.as_secs(), *most_age) {
                self.observe(SignalId::DataAge { group: group() }, observation);
            }
            if let Some(observation) = data::signatures(&served, wall.as_secs()) {
                self.observe(SignalId::Signatures { group: group() }, observation);
            }
        }
    }

    fn alarm(&mut self, troubled: BTreeMap<String, String>) {
        for zone in self.alarmed.iter().filter(|zone| !troubled.contains_key(*zone)) {
            self.keeper.take(Input::Clear { alarm: AlarmId::ZoneRefused { zone: zone.clone() } });
        }
        self.alarmed.retain(|zone| troubled.contains_key(zone));
        for (zone, text) in troubled {
            if self.alarmed.len() < MOST_ALARMS || self.alarmed.contains(&zone) {
                self.alarmed.insert(zone.clone());
                self.keeper.take(Input::Raise { alarm: AlarmId::ZoneRefused { zone }, text });
            }
        }
    }

    /// Nobody listens there any more. What the process that did told of its threads says nothing of the next one, whose
    /// status may not come.
    fn has_ended(&self) {
        let heartbeats = self.keeper.state().policy.health(&SignalId::Heartbeats);
        if heartbeats.is_some_and(Health::is_bad) {
            let text = "the responder whose thread was stuck has ended".to_owned();
            self.observe(SignalId::Heartbeats, Observation::Pass(text));
        }
    }

    /// The verdict first: whoever waits for the end of a fetch goes by it.
    fn fail(&self, asked: Duration, seen: Observation) {
        self.observe(SignalId::Status, seen);
        self.latest.send_replace(Arc::new(Snapshot { asked, ..Snapshot::default() }));
    }

    fn observe(&self, signal: SignalId, observation: Observation) {
        self.keeper.take(Input::Observe { signal, observation });
    }
}

/// What a person should know about a zone, if anything.
fn trouble(zone: &ZoneView) -> Option<String> {
    let refusal = zone.refusal.as_deref();
    match zone.state {
        ZoneState::Refused => {
            let serving =
                zone.serial.map_or_else(|| "older data".to_owned(), |serial| format!("serial {serial}"));
            Some(format!(
                "new data refused, {serving} still served: {}",
                refusal.unwrap_or("no reason given")
            ))
        }
        ZoneState::NotLoaded => {
            Some(format!("not loaded, answers SERVFAIL: {}", refusal.unwrap_or("no reason given")))
        }
        ZoneState::Live | ZoneState::Other => None,
    }
}

async fn get(config: StatusConfig, path: &str) -> Result<View, String> {
    let in_words = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => REFUSED.to_owned(),
        _ => error.to_string(),
    };
    let stream = TcpStream::connect(config.address).await.map_err(in_words)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let request = Request::get(path)
        .header(hyper::header::HOST, config.address.to_string())
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if !response.status().is_success() {
            return Err(format!("HTTP status {}", response.status()));
        }
        let body = Limited::new(response.into_body(), MOST_OCTETS).collect().await;
        let octets = body.map_err(|error| error.to_string())?.to_bytes();
        serde_json::from_slice(&octets).map_err(|error| format!("not the status of a responder: {error}"))
    };
    // The connection only moves while somebody polls it; it ends after the exchange.
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => match ended {
            // All octets are here; what is left to do is reading them.
            Ok(()) => exchange.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

/// A zone's name for a URL's query (RFC 3986 §2.1): whatever is not unreserved becomes %XX.
fn escaped(zone: &str) -> String {
    zone.bytes()
        .map(|octet| match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => {
                char::from(octet).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_and_states_are_passed_over() {
        let text = r#"{"node":"a.ams","ready":true,"zones_total":2,"zones_live":1,"later":{"x":1},"zones":[
            {"name":"a.example.","state":"live","serial":7,"records":3},
            {"name":"b.example.","state":"half-baked"}]}"#;
        let view: View = serde_json::from_str(text).unwrap();
        assert_eq!(view.zones[0].serial, Some(7));
        assert_eq!(view.zones[1].state, ZoneState::Other);
        assert_eq!(trouble(&view.zones[1]), None);
    }

    #[test]
    fn trouble_names_the_refusal_and_what_is_still_served() {
        let zone = |state, serial| ZoneView {
            name: "a.example.".into(),
            state,
            serial,
            refusal: Some("a.zone:3:7: no such type".into()),
            refused_unix: None,
            findings: Vec::new(),
            records: 0,
            loaded_unix: None,
            signed: None,
        };
        assert_eq!(
            trouble(&zone(ZoneState::Refused, Some(7))).unwrap(),
            "new data refused, serial 7 still served: a.zone:3:7: no such type"
        );
        assert_eq!(
            trouble(&zone(ZoneState::NotLoaded, None)).unwrap(),
            "not loaded, answers SERVFAIL: a.zone:3:7: no such type"
        );
    }

    #[test]
    fn names_are_escaped_for_the_url() {
        assert_eq!(escaped("a-b.example."), "a-b.example.");
        assert_eq!(escaped("a&b\\032.example."), "a%26b%5C032.example.");
    }
}
