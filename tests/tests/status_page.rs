//! The sidecar's page for people, looked at with a browser, and held against everything else that the sidecar says.
//!
//! A POP with a BIRD router and headless Chromium on the node itself, which has no way out: what the page needs, it has.
//! The browser comes through a relay that takes down each request, and to which it takes every other host to be as well,
//! so that whatever the page would fetch is seen. What means harm (zone files, an operator's words, a router's goodbye)
//! must be readable, and be nothing else.
//!
//! `PHAROS_PAGE_SHOTS=DIR` keeps the pictures: wide and narrow, light and dark, of a good day and of a bad one.

use pharos_tests::lab::{
    ANYCAST4, ANYCAST6, Edit, Node, PREFIX4, PREFIX6, Plan, SIDECAR_HTTP, Topology, Workspace, wait_until,
};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;

/// Where the browser goes: the relay.
const RELAY: &str = "127.0.0.1:9980";

/// Domains of the browser's maker, to which it turns by itself.
const MAKERS: [&str; 3] = [".google.com", ".googleapis.com", ".gvt1.com"];

/// So many looks at a node on which something may just be changing.
const LOOKS: usize = 10;

/// What somebody might write who means harm; `NAME` is where it stands. The end of a cell, a script, a picture that is
/// not there, and a character that turns the line around.
const HARM: &str =
    "</td><script>document.title='NAME'</script><img src=http://evil.example/NAME onerror=alert(1)>\u{202e}";

fn harm(name: &str) -> String {
    HARM.replace("NAME", name)
}

/// Takes connections inside the node, keeps the head of each request, and passes them on to the sidecar.
struct Relay {
    kept: Arc<Kept>,
}

#[derive(Default)]
struct Kept {
    heads: Mutex<Vec<String>>,
    /// Whether documents are given with the word that the browser shall run none of their scripts.
    tamed: AtomicBool,
}

impl Relay {
    fn start(node: &Node) -> Self {
        let kept: Arc<Kept> = Arc::default();
        let of_relay = Arc::clone(&kept);
        let namespace = Arc::clone(&node.namespace);
        let listener =
            namespace.enter(|| TcpListener::bind(RELAY)).expect("the port is free in a new namespace");
        // It ends with the process; each namespace has its own.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, namespace) = (Arc::clone(&of_relay), Arc::clone(&namespace));
                thread::spawn(move || namespace.enter(|| relay(stream, &kept)));
            }
        });
        Self { kept }
    }

    /// The heads of the requests since this was last asked, without those of the browser's own errands: what is no GET
    /// (most of it is encrypted) or goes to its maker's hosts.
    fn take(&self) -> Vec<String> {
        let heads: Vec<String> = self.kept.heads.lock().expect("no relay has panicked").drain(..).collect();
        let is_errand =
            |line: &str| line.starts_with("Host: ") && MAKERS.iter().any(|domain| line.ends_with(domain));
        let of_the_page = |head: &String| head.starts_with("GET ") && !head.lines().any(is_errand);
        heads.into_iter().filter(|head| of_the_page(head) || head.contains("evil")).collect()
    }

    /// What `work` finds in a browser that runs no scripts. Chromium's own switch for that is of no use here: what prints
    /// the document is a script of its own, which it would not run either.
    fn without_scripts<T>(&self, work: impl FnOnce() -> T) -> T {
        self.kept.tamed.store(true, Ordering::Relaxed);
        let found = work();
        self.kept.tamed.store(false, Ordering::Relaxed);
        found
    }
}

/// One request, one answer: the browser is told to close.
fn relay(mut stream: TcpStream, kept: &Kept) {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => head.extend(buffer.iter().take(count)),
            _ => break,
        }
        if !head.starts_with(b"GET ") {
            break;
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    kept.heads.lock().expect("no relay has panicked").push(text.clone());
    let Some(path) = text.strip_prefix("GET ").and_then(|rest| rest.split(' ').next()) else { return };
    let Ok(mut sidecar) = TcpStream::connect(SIDECAR_HTTP) else { return };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {SIDECAR_HTTP}\r\nConnection: close\r\n\r\n");
    let mut answer = Vec::new();
    if sidecar.write_all(request.as_bytes()).and_then(|()| sidecar.read_to_end(&mut answer)).is_ok() {
        if kept.tamed.load(Ordering::Relaxed) {
            let end_of_status = answer.windows(2).position(|end| end == b"\r\n").map_or(0, |at| at + 2);
            answer.splice(end_of_status..end_of_status, *b"Content-Security-Policy: sandbox\r\n");
        }
        // A browser that has gone reads nothing.
        let _ = stream.write_all(&answer);
    }
}

/// Headless Chromium on the node.
struct Browser<'a> {
    node: &'a Node,
    workspace: &'a Workspace,
}

impl Browser<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.node.namespace.command("chromium");
        let profile = self.workspace.join("profile");
        command.env("HOME", self.workspace.path()).arg(format!("--user-data-dir={}", profile.display()));
        command.arg(format!("--host-resolver-rules=MAP * {RELAY}"));
        // Without a sandbox: it does not work for root, and here everything that is shown is ours.
        let common = "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run \
                      --disable-background-networking --disable-component-update --disable-sync \
                      --enable-logging=stderr --log-level=0 --hide-scrollbars";
        command.args(common.split_whitespace()).args(arguments).arg(format!("http://{RELAY}/"));
        command.stdin(Stdio::null()).output().expect("chromium can be started")
    }

    /// The document after everything that could run has run, and what the browser complained of.
    fn document(&self) -> (String, Vec<String>) {
        let output = self.run(&["--dump-dom"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let page = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(page.contains("</html>"), "no document from the browser: {page}\n{said}");
        (page, said.lines().filter(|line| line.contains("CONSOLE")).map(str::to_owned).collect())
    }

    fn picture(&self, name: &str, width: u32, height: u32, theme: Theme) -> Vec<u8> {
        let path = shots(self.workspace).join(format!("{name}.png"));
        let (shot, size) =
            (format!("--screenshot={}", path.display()), format!("--window-size={width},{height}"));
        let output = self.run(&[&shot, &size, theme.argument()]);
        std::fs::read(&path)
            .unwrap_or_else(|_| panic!("no picture: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

#[derive(Clone, Copy)]
enum Theme {
    Light,
    Dark,
}

impl Theme {
    const fn argument(self) -> &'static str {
        match self {
            Self::Light => "--blink-settings=preferredColorScheme=1",
            Self::Dark => "--blink-settings=preferredColorScheme=0",
        }
    }
}

fn shots(workspace: &Workspace) -> PathBuf {
    std::env::var_os("PHAROS_PAGE_SHOTS").map_or_else(|| workspace.path().to_owned(), PathBuf::from)
}

/// What a reader sees: the body without tags, with entities as characters.
fn shown(page: &str) -> String {
    let (_, body) = page.split_once("<body>").expect("a document has a body");
    let texts: String =
        body.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
    let plain = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&nbsp;", "\u{a0}"),
        ("&amp;", "&"),
    ];
    plain.iter().fold(texts, |text, (entity, character)| text.replace(entity, character))
}

/// As the page shows it: characters that hide are spelled out.
fn spelled_out(text: &str) -> String {
    text.replace('\u{202e}', "\\u{202e}")
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// What the status says of what is there; not how long ago, which each reader hears at another moment. What a signal
/// saw last is there for those that are not good: the others see something else each time.
fn facts(status: &Value) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for prefix in list(status, "prefixes") {
        facts.extend([text(prefix, "prefix"), text(prefix, "level")].map(str::to_owned));
        facts.extend(list(prefix, "reasons").map(|reason| text(reason, "text").to_owned()));
        facts.extend(list(prefix, "next_changes").map(|change| text(change, "when").to_owned()));
        facts.extend(list(prefix, "told").map(|told| text(told, "text").to_owned()));
    }
    for neighbour in list(status, "neighbours") {
        facts.extend(["name", "state", "last_down", "agreed"].map(|key| text(neighbour, key).to_owned()));
        facts.extend(list(neighbour, "told").filter_map(Value::as_str).map(str::to_owned));
    }
    facts.extend(
        list(status, "alarms").flat_map(|it| [text(it, "subject"), text(it, "text")]).map(str::to_owned),
    );
    let drain = status.get("drain").into_iter();
    for word in list(status, "words").chain(drain).filter_map(|word| word.get("words")) {
        facts.extend([text(word, "author"), text(word, "text")].map(str::to_owned));
    }
    for zone in status.get("responder").into_iter().flat_map(|responder| list(responder, "zones")) {
        facts.extend(["name", "refusal"].map(|key| text(zone, key).to_owned()));
        facts.extend(zone.get("serial").and_then(Value::as_u64).map(|serial| serial.to_string()));
    }
    for signal in list(status, "signals") {
        facts.extend(["name", "health"].map(|key| text(signal, key).to_owned()));
        if text(signal, "health") != "good" {
            facts.insert(text(signal, "last").to_owned());
        }
    }
    for past in list(status, "transitions") {
        facts.insert(text(past, "cause").to_owned());
    }
    // A sentence with a time in it is another one a moment later.
    facts.into_iter().filter(|fact| !has_time(fact)).collect()
}

/// Whether one of its words is an age.
fn has_time(fact: &str) -> bool {
    let is_age = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let digits = word.trim_end_matches(['m', 's', 'h', 'd']);
        digits.len() < word.len()
            && !digits.is_empty()
            && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
    };
    fact.split_whitespace().any(is_age) && !fact.contains("hold time")
}

/// Patience for which a machine that is busy with browsers is no fault: what is said is looked at here, not how fast.
const PATIENT: [Edit; 5] = [
    ("interval: 250ms", "interval: 1s"),
    ("timeout: 200ms", "timeout: 1s"),
    ("fall: 2", "slow: 1m\n    fall: 6"),
    ("rise: 3", "rise: 1"),
    ("hold-down: 10s", "hold-down: 1s"),
];

/// One POP whose router has both routes.
fn lit() -> (Topology, Node) {
    let topology = Topology::build(Plan { pharos: PATIENT.to_vec(), ..Plan::default() });
    let mut node = topology.make_node(&topology.ams);
    node.start_responder();
    node.start_sidecar();
    for prefix in [PREFIX4, PREFIX6] {
        wait_until("the router has the route", || {
            node.responder().assert_running();
            node.sidecar().assert_running();
            topology.ams.has_route(prefix)
        });
    }
    (topology, node)
}

/// Words, zones and a goodbye that mean harm, a refused push and a withdrawn prefix.
fn spoil(topology: &Topology, node: &mut Node) {
    let zone = node.zone_text("example.com.zone");
    node.push_zone("example.com.zone", &format!("{zone}\nbroken 60 IN A {}\n", harm("zone")));
    // A refusal is this command's exit code.
    let _ = node.pharos(&["reload"]);
    let said = node.pharos(&[
        "drain",
        "--text",
        &harm("drain"),
        "--author",
        "eve <eve@evil.example>",
        "--within",
        "1h",
    ]);
    assert!(said.status.success(), "{said:?}");
    let said = node.pharos(&["hold", PREFIX4, "--for", "50m", "--text", &harm("hold")]);
    assert!(said.status.success(), "{said:?}");
    wait_until("the responder has refused the zone and the sidecar knows", || {
        node.sidecar_status().is_some_and(|status| {
            let mut zones = status.get("responder").into_iter().flat_map(|it| list(it, "zones"));
            zones.any(|zone| text(zone, "refusal").contains("<script>"))
        })
    });
    let bird = topology.ams.router().bird().expect("its router is BIRD");
    bird.ask("disable pharos_node \"</td><script>document.title=4</script>\"");
    node.responder().kill();
    for prefix in [PREFIX4, PREFIX6] {
        wait_until("the prefix is withdrawn", || node.level(prefix).as_deref() == Some("withdrawn"));
    }
}

#[test]
#[ignore = "needs network namespaces, BIRD and chromium"]
fn the_page_says_in_a_browser_what_the_status_says_and_asks_for_nothing_else() {
    let (topology, mut node) = lit();
    let workspace = Workspace::new("page");
    let relay = Relay::start(&node);
    let look = |node: &Node, day: &str| {
        let browser = Browser { node, workspace: &workspace };
        // Everything that was so before and after the browser looked must be on the page, whether it runs scripts or not.
        let (page, complaints) = wait_for_agreement(node, &browser);
        assert_eq!(complaints, Vec::<String>::new(), "the browser found something to complain of");
        let (_, complaints) = relay.without_scripts(|| wait_for_agreement(node, &browser));
        assert_eq!(complaints, Vec::<String>::new(), "there was a script to complain of");
        for part in ["<script", "<img", "onerror=\"", "<link", "<iframe"] {
            assert!(!page.contains(part), "{part} in\n{page}");
        }
        assert!(page.contains("<style>") && page.contains("<h1 "), "{page}");
        let requests = relay.take();
        let strange = requests.iter().find(|head| !head.starts_with("GET / HTTP/1.1\r\n"));
        assert_eq!(strange, None, "the page fetched something");
        assert!(!requests.is_empty() && requests.iter().all(|head| head.contains(&format!("Host: {RELAY}"))));
        for (name, width) in [("wide", 1280), ("narrow", 400)] {
            for (tone, theme) in [("light", Theme::Light), ("dark", Theme::Dark)] {
                let picture = browser.picture(&format!("{day}-{name}-{tone}"), width, 2400, theme);
                // The header of a PNG: signature, length, IHDR, width, height.
                assert_eq!(
                    picture.get(16..20),
                    Some(&width.to_be_bytes()[..]),
                    "a picture of {width} pixels"
                );
            }
        }
        page
    };
    let good = look(&node, "good");
    assert!(shown(&good).contains("both prefixes are normal"), "{}", shown(&good));

    spoil(&topology, &mut node);
    let bad = shown(&look(&node, "bad"));
    assert!(bad.contains("2 of 2 prefixes withdrawn"), "{bad}");
    for name in ["drain", "hold"] {
        assert!(bad.contains(&spelled_out(&harm(name))), "what is said in `{name}` can be read in\n{bad}");
    }
    assert!(bad.contains("<script>document.title='zone'</script>"), "the refused line can be read in\n{bad}");
    assert!(bad.contains("eve <eve@evil.example>"), "{bad}");
    assert!(
        bad.contains("</td><script>document.title=4</script>"),
        "the router's goodbye can be read in\n{bad}"
    );
}

/// The document once it has all that the status says before it and after it.
fn wait_for_agreement(node: &Node, browser: &Browser<'_>) -> (String, Vec<String>) {
    let mut missing: Vec<String> = Vec::new();
    let sent = || {
        let page = node.http(SIDECAR_HTTP, "/").expect("the sidecar answers");
        (title(&page).to_owned(), facts(&node.sidecar_status().expect("the sidecar answers")))
    };
    for _ in 0..LOOKS {
        let (title_before, before) = sent();
        let (page, complaints) = browser.document();
        let (title_after, after) = sent();
        assert!(before.len() > 20, "a status of a node that runs has many facts: {before:?}");
        let text = shown(&page);
        let both = before.intersection(&after).map(|fact| spelled_out(fact));
        missing = both.filter(|fact| !text.contains(fact.as_str())).collect();
        if title_before == title_after && title(&page) != title_before {
            missing.push(format!("{title_before}, but {} as the title", title(&page)));
        }
        if missing.is_empty() {
            return (page, complaints);
        }
    }
    panic!("never on the page: {missing:#?}");
}

/// What the page is called: what a script would change first.
fn title(page: &str) -> &str {
    let (_, rest) = page.split_once("<title>").expect("a document has a title");
    rest.split("</title>").next().unwrap_or_default()
}

#[test]
#[ignore = "needs network namespaces, BIRD and chromium"]
fn status_why_json_metrics_log_and_page_agree() {
    let start = Instant::now();
    let (topology, mut node) = lit();
    let until_all_are = |node: &Node, level: &str| {
        for prefix in [PREFIX4, PREFIX6] {
            wait_until(&format!("{prefix} is {level}"), || node.level(prefix).as_deref() == Some(level));
        }
    };
    node.responder().kill();
    until_all_are(&node, "withdrawn");
    all_agree(&node, start);
    node.start_responder();
    until_all_are(&node, "normal");
    let client = topology.client();
    let asking = [ANYCAST4, ANYCAST6].map(|address| client.watch(address, "example.com."));
    wait_until("the sidecar knows that somebody asks for each prefix", || {
        let status = node.sidecar_status().unwrap_or_default();
        let busy = list(&status, "signals")
            .filter(|it| text(it, "name").starts_with("real traffic") && text(it, "health") == "good");
        busy.count() == 2
    });
    all_agree(&node, start);
    let said = node.pharos(&["drain", "--text", "new disks", "--within", "1h"]);
    assert!(said.status.success(), "{said:?}");
    for prefix in [PREFIX4, PREFIX6] {
        wait_until("the router knows", || topology.ams.local_preference(prefix) == Some(0));
    }
    all_agree(&node, start);
    // What is drained leaves when nobody asks any more.
    drop(asking);
    until_all_are(&node, "withdrawn");
    all_agree(&node, start);
}

/// All of it must hold at one moment; where something changes under a look, it is repeated.
fn all_agree(node: &Node, since: Instant) {
    let mut found = Vec::new();
    for _ in 0..LOOKS {
        let status = node.sidecar_status().expect("the sidecar answers");
        found = disagreements(node, since, &status);
        if found.is_empty() {
            return;
        }
    }
    panic!("{found:#?}");
}

/// What a scrape took later than the status may count that much more, or less.
const BETWEEN_LOOKS: f64 = 3.0;

/// The value of one metric, with its labels.
fn scraped(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Where something that `/status` says is said otherwise elsewhere.
fn disagreements(node: &Node, since: Instant, status: &Value) -> Vec<String> {
    let wrong = RefCell::new(Vec::new());
    let refute = |place: &str, said: &str, fact: &str| {
        wrong.borrow_mut().push(format!("{place} does not say {fact:?}:\n{said}"));
    };
    let check = |place: &str, said: &str, fact: &str| {
        if !fact.is_empty() && !has_time(fact) && !said.contains(fact) {
            refute(place, said, fact);
        }
    };
    let printed = |arguments: &[&str]| String::from_utf8_lossy(&node.pharos(arguments).stdout).into_owned();
    let page = shown(&node.http(SIDECAR_HTTP, "/").unwrap_or_default());
    let (command, metrics) = (printed(&["status"]), node.http(SIDECAR_HTTP, "/metrics").unwrap_or_default());
    let log = logged(node, since);
    for prefix in list(status, "prefixes") {
        let (name, level, group) = (text(prefix, "prefix"), text(prefix, "level"), text(prefix, "group"));
        let why = printed(&["why", name]);
        let rank =
            ["normal", "degraded", "last-resort", "draining", "withdrawn"].iter().position(|it| *it == level);
        let gauge =
            format!("pharos_sidecar_level{{group=\"{group}\",prefix=\"{name}\"}} {}", rank.unwrap_or(9));
        check("metrics", &metrics, &gauge);
        for family in ["level_age", "hold_down_left"] {
            let told = prefix.get(format!("{family}_seconds")).and_then(Value::as_f64).unwrap_or(0.0);
            let metric = format!("pharos_sidecar_{family}_seconds{{prefix=\"{name}\"}}");
            let is_near = |value: f64| (value - told).abs() < BETWEEN_LOOKS;
            if !scraped(&metrics, &metric).is_some_and(is_near) {
                refute("metrics", &metrics, &format!("{metric} {told}"));
            }
        }
        let traffic = prefix.get("traffic").unwrap_or(&Value::Null);
        let followed = format!("pharos_sidecar_traffic_followed{{prefix=\"{name}\"}}");
        let (value, words) = match text(traffic, "followed") {
            "yes" => (Some(1.0), "they followed it"),
            "not-yet" => (Some(0.0), "they have not followed it yet"),
            "no" => (Some(-1.0), "they have not followed it"),
            _ => (None, ""),
        };
        if scraped(&metrics, &followed) != value {
            refute("metrics", &metrics, &format!("{followed} {value:?}"));
        }
        let (announced, verdict) = match text(prefix, "effect") {
            "announced" => (1, "Announced"),
            "not-announced" => (0, "Not announced"),
            "nobody-told" => (0, "but nobody is told"),
            "still-there" => (1, "but somebody still has the route"),
            _ => (-1, "but who has the route is not known"),
        };
        check("metrics", &metrics, &format!("pharos_sidecar_announced{{prefix=\"{name}\"}} {announced}\n"));
        check("the page", &page, verdict);
        check("why", &why, &format!("{name} is {level}"));
        check("why", &why, "hold-down ");
        for said in [&command, &why, &page] {
            check("a text", said, words);
        }
        for said in [&command, &why, &page] {
            check("a text", said, level);
            for reason in list(prefix, "reasons").take(1) {
                check("a text", said, text(reason, "text"));
            }
            for change in list(prefix, "next_changes") {
                check("a text", said, text(change, "when"));
            }
        }
        for told in list(prefix, "told") {
            [&why, &page].iter().for_each(|said| check("a text", said, text(told, "text")));
        }
    }
    for neighbour in list(status, "neighbours") {
        let (name, asn) =
            (text(neighbour, "name"), neighbour.get("remote_as").and_then(Value::as_u64).unwrap_or(0));
        let up = u8::from(text(neighbour, "state") == "Established");
        let labels = format!("neighbour=\"{name}\"");
        check(
            "metrics",
            &metrics,
            &format!("pharos_sidecar_session_established{{{labels},remote_as=\"{asn}\"}} {up}"),
        );
        if list(neighbour, "told").next().is_none() {
            check("status", &command, "told nothing");
            check("the page", &page, "nothing");
        }
        for line in list(neighbour, "told").filter_map(Value::as_str) {
            let prefix = line.split(' ').next().unwrap_or_default();
            check(
                "metrics",
                &metrics,
                &format!("pharos_sidecar_told{{{labels},prefix=\"{prefix}\",remote_as=\"{asn}\"}} 1"),
            );
            [&command, &page, &log].iter().for_each(|said| check("a text", said, line));
        }
    }
    for signal in list(status, "signals") {
        let (name, health) = (text(signal, "name"), text(signal, "health"));
        [&command, &page].iter().for_each(|said| check("a text", said, name));
        if !name.contains("zone ") {
            let health = if health == "quiet" { "good" } else { health };
            let rank = ["good", "warned", "bad", "expired"].iter().position(|it| *it == health);
            let value = rank.map_or("-1".to_owned(), |rank| rank.to_string());
            check("metrics", &metrics, &format!("signal=\"{name}\"}} {value}\n"));
        }
    }
    for past in list(status, "transitions") {
        let (prefix, from, to, cause) =
            (text(past, "prefix"), text(past, "from"), text(past, "to"), text(past, "cause"));
        check("status", &command, &format!("{prefix}: {from} -> {to}: {cause}"));
        check("the page", &page, &format!("{prefix}: {from} → {to}"));
        check("the page", &page, cause);
        check("why", &printed(&["why", prefix]), &format!("{from} -> {to}: {cause}"));
        check("the log", &log, &format!("route {prefix} {from} {to} {cause}\n"));
    }
    let kinds = metrics.lines().filter(|line| line.starts_with("pharos_sidecar_alarms{"));
    let counted: f64 = kinds.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
    let alarms = list(status, "alarms").count();
    if counted != alarms as f64 {
        refute("metrics", &metrics, &format!("{alarms} alarms, but {counted}"));
    }
    check("the page", &page, &format!("Alarms ({alarms})"));
    for alarm in list(status, "alarms") {
        [&command, &page, &log].iter().for_each(|said| {
            check("a text", said, text(alarm, "subject"));
            check("a text", said, text(alarm, "text"));
        });
    }
    wrong.into_inner()
}

/// What the sidecar has logged, one line an event.
fn logged(node: &Node, since: Instant) -> String {
    let line = |event: &pharos_tests::lab::NodeEvent| match event.message.as_str() {
        "route" => ["prefix", "from", "to", "cause"].map(|key| event.text(key)).join(" "),
        _ => ["neighbour", "subject", "text", "cause"].map(|key| event.text(key)).join(" "),
    };
    node.events(since).iter().map(|event| format!("{} {}\n", event.message, line(event))).collect()
}
