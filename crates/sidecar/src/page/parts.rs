//! The sections of the page, from the top.
//!
//! Every table has a caption and heads, every section a heading that links can name. A list that is empty says so: a
//! section that is missing would leave open whether nothing is wrong or nothing is known.

use std::fmt::Display;
use std::time::Duration;

use pharos_policy::explain::{Age, Effect, ReturnsView, SignalView, Verdict, WaitsFor};
use pharos_policy::{DrainPhase, Level};

use super::Refresh;
use super::html::Html;
use super::time::Utc;
use crate::status::{
    AnnouncerStatus, DriftStatus, NeighbourStatus, PrefixStatus, ResponderStatus, Status, StatusMode,
    ZoneStatus,
};

/// What a session is called while it carries routes.
const ESTABLISHED: &str = "Established";

/// All prefixes in one sentence, the worst first: what is no more than a decision, then what is not normal. A dry run
/// has only decisions, and says so once.
pub(super) fn standing(status: &Status) -> String {
    let all = status.prefixes.len();
    let is_dry = status.mode == StatusMode::DryRun;
    let lacks = |prefix: &&PrefixStatus| !is_dry && lack(prefix).is_some();
    let lacking = [
        (Effect::NobodyTold, "told to nobody"),
        (Effect::StillThere, "not gone everywhere"),
        (Effect::NotKnown, "perhaps not as decided"),
    ];
    let lacking = lacking.into_iter().map(|(effect, words)| {
        let so = |prefix: &&PrefixStatus| lacks(prefix) && prefix.effect == Some(effect);
        (status.prefixes.iter().filter(so).count(), words)
    });
    let count = |level| {
        let so = |prefix: &&PrefixStatus| prefix.level == level && !lacks(prefix);
        status.prefixes.iter().filter(so).count()
    };
    let worse = Level::ALL.into_iter().rev().filter(|level| *level != Level::Normal);
    let worse = worse.map(|level| (count(level), level.name()));
    let parts: Vec<_> = lacking.chain(worse).filter(|(count, _)| *count > 0).collect();
    let mode = if is_dry { "Dry run, nobody is told: " } else { "" };
    let prefixes = if all == 1 { "prefix" } else { "prefixes" };
    match parts.split_first() {
        None if all == 1 => format!("{mode}the one prefix is normal"),
        None if all == 2 => format!("{mode}both prefixes are normal"),
        None => format!("{mode}all {all} {prefixes} are normal"),
        Some(((first, what), rest)) => {
            let mut text = format!("{mode}{first} of {all} {prefixes} {what}");
            for (count, what) in rest {
                text += &format!(", {count} {what}");
            }
            text
        }
    }
}

pub(super) fn node(status: &Status) -> String {
    format!("{}.{}", status.node, status.site)
}

pub(super) fn header(page: &mut Html, status: &Status, standing: &str, refresh: Refresh) {
    page.raw("<header>\n<p class=\"node\"><span>").text(node(status)).raw("</span> Pharos sidecar</p>\n");
    let worst = status.prefixes.iter().map(|prefix| prefix.level).max().unwrap_or(Level::Normal);
    let lacking = status.prefixes.iter().any(|prefix| lack(prefix).is_some());
    let class = if lacking { "bad" } else { class_of_level(worst) };
    page.raw("<h1 class=\"").raw(class).within("\">", standing, "</h1>\n");
    if status.mode == StatusMode::DryRun {
        page.raw("<p class=\"notice\">Dry run: this sidecar decides and reports, and tells no neighbour anything.</p>\n");
    }
    page.raw("<p class=\"meta\">As of ").within(
        "<time>",
        Utc::before(status.taken_unix, 0.0),
        "</time>, up ",
    );
    page.text(age(status.uptime_seconds))
        .raw("; pharos ")
        .text(&status.version)
        .raw(", pid ")
        .text(status.pid);
    match refresh {
        Refresh::ByHand => {
            page.raw(". <a href=\"/?refresh=").text(Refresh::OFFERED).raw("\">Reload every ");
            page.text(Refresh::OFFERED).raw(" seconds</a></p>\n");
        }
        Refresh::EverySeconds(seconds) => {
            page.raw(". This page reloads every ").text(seconds);
            page.raw(" seconds. <a href=\"/\">Let it stand still</a></p>\n");
        }
    }
    page.raw(
        "<nav aria-label=\"On this page\">\n<a href=\"#prefixes\">Prefixes</a>\n<a href=\"#alarms\">Alarms (",
    );
    page.text(status.alarms.len()).raw(")</a>\n<a href=\"#orders\">Orders (").text(orders_in_force(status));
    page.raw(")</a>\n<a href=\"#neighbours\">Neighbours</a>\n<a href=\"#zones\">Zones</a>\n");
    page.raw("<a href=\"#signals\">Signals</a>\n<a href=\"#changes\">Last changes</a>\n</nav>\n</header>\n");
}

pub(super) fn prefixes(page: &mut Html, status: &Status) {
    page.raw(
        "<section aria-labelledby=\"prefixes\">\n<h2 id=\"prefixes\">Prefixes</h2>\n<div class=\"cards\">\n",
    );
    for prefix in &status.prefixes {
        one_prefix(page, status, prefix);
    }
    page.raw("</div>\n</section>\n");
}

fn one_prefix(page: &mut Html, status: &Status, prefix: &PrefixStatus) {
    let class = if lack(prefix).is_some() { "bad" } else { class_of_level(prefix.level) };
    page.raw("<article class=\"card ").raw(class).raw("\">\n");
    page.within("<h3><span class=\"exact\">", prefix.prefix, "</span> ");
    page.within("<span class=\"pill\">", prefix.level, "</span></h3>\n");
    page.within("<p class=\"verdict\"><strong>", verdict(prefix, status.mode), "</strong> ");
    page.text(prefix.level).raw(" for ").text(age(prefix.level_age_seconds)).raw(", since ");
    page.within("<time>", Utc::before(status.taken_unix, prefix.level_age_seconds), "</time>");
    let mut reasons = prefix.reasons.iter();
    if let Some(first) = reasons.next() {
        page.within(": ", &first.text, ".");
    }
    page.raw("</p>\n<dl>\n");
    list(
        page,
        "<dt>Also</dt>\n",
        reasons.map(|reason| format!("{} (asks for {})", reason.text, reason.asks)),
    );
    list(page, "<dt>Would become</dt>\n", prefix.next_changes.iter());
    page.raw("<dt>Hold-down</dt>\n<dd>").text(age(prefix.hold_down_seconds));
    let capped = prefix.waits_for == Some(WaitsFor::Returns);
    match prefix.hold_down_left_seconds {
        Some(left) if !capped => page.within(", <strong>", age(left), " left</strong>"),
        _ => page.raw(", none running"),
    };
    let ReturnsView { counted, most, within_seconds } = prefix.returns;
    page.raw("; ").text(counted).raw(" of ").text(most).raw(" returns within ").text(age(within_seconds));
    if let Some(left) = prefix.hold_down_left_seconds.filter(|_| capped) {
        page.within(", <strong>the next in ", age(left), "</strong>");
    }
    page.raw("</dd>\n");
    if let Some(left) = prefix.grace_left_seconds {
        page.within("<dt>Grace</dt>\n<dd>", age(left), " left</dd>\n");
    }
    list(page, "<dt>Told</dt>\n", prefix.told.iter());
    if let Some(traffic) = &prefix.traffic {
        page.within("<dt>Traffic</dt>\n<dd>", traffic, "</dd>\n");
    }
    page.within("<dt>Group</dt>\n<dd>", &prefix.group, "</dd>\n</dl>\n</article>\n");
}

pub(super) fn alarms(page: &mut Html, status: &Status) {
    page.raw("<section aria-labelledby=\"alarms\">\n<h2 id=\"alarms\">Alarms</h2>\n");
    if status.alarms.is_empty() {
        page.raw("<p class=\"none\">None in force.</p>\n");
    } else {
        page.raw("<ul class=\"list\">\n");
        for alarm in &status.alarms {
            page.within(
                "<li class=\"warned\"><strong>",
                &alarm.subject,
                "</strong> <span class=\"aside\">for ",
            );
            page.text(age(alarm.age_seconds)).within("</span>\n<p>", &alarm.text, "</p></li>\n");
        }
        page.raw("</ul>\n");
    }
    page.raw("</section>\n");
}

fn orders_in_force(status: &Status) -> usize {
    status.words.len() + usize::from(status.drain.is_some())
}

pub(super) fn orders(page: &mut Html, status: &Status) {
    page.raw("<section aria-labelledby=\"orders\">\n<h2 id=\"orders\">Operator's orders</h2>\n");
    if orders_in_force(status) == 0 {
        page.raw("<p class=\"none\">None in force: levels follow the signals alone.</p>\n</section>\n");
        return;
    }
    page.raw("<ul class=\"list\">\n");
    if let Some(drain) = &status.drain {
        page.within(
            "<li class=\"draining\"><strong>Drained</strong> <span class=\"aside\">",
            drain.phase.name(),
            ", ",
        );
        page.text(age(drain.age_seconds)).raw(" ago</span>\n<p>By ");
        author(page, &drain.words.author, &drain.words.text);
        page.raw("</p>\n<p class=\"aside\">");
        let left = |seconds: Option<f64>| age(seconds.unwrap_or_default());
        match drain.phase {
            DrainPhase::Draining => {
                page.within("Withdrawn in ", left(drain.withdraw_after_seconds), " at the latest")
            }
            DrainPhase::Lingering => {
                page.within("Withdrawn; keep answering for ", left(drain.linger_left_seconds), " at least");
                page.text(drain.remaining.remark())
            }
            DrainPhase::Done => page.raw("Withdrawn; this node may stop").text(drain.remaining.remark()),
        };
        match drain.expires_after_seconds {
            Some(left) => page.within(". Ends by itself in ", age(left), ".</p></li>\n"),
            None => page.raw(". Ends on the operator's word.</p></li>\n"),
        };
    }
    for word in &status.words {
        page.within("<li class=\"draining\"><strong>", &word.target, " ").text(&word.what);
        page.within("</strong> <span class=\"aside\">", age(word.age_seconds), " ago</span>\n<p>By ");
        author(page, &word.words.author, &word.words.text);
        page.within(
            "</p>\n<p class=\"aside\">Ends by itself in ",
            age(word.expires_after_seconds),
            ".</p></li>\n",
        );
    }
    page.raw("</ul>\n</section>\n");
}

fn author(page: &mut Html, author: &str, text: &str) {
    page.within("<strong><bdi>", author, "</bdi></strong>");
    if !text.is_empty() {
        page.within(": <bdi>", text, "</bdi>");
    }
}

pub(super) fn neighbours(page: &mut Html, status: &Status) {
    page.raw("<section aria-labelledby=\"neighbours\">\n<h2 id=\"neighbours\">Neighbours</h2>\n");
    if status.neighbours.is_empty() {
        page.raw("<p class=\"none\">None configured.</p>\n");
    } else {
        page.raw("<div class=\"cards\">\n");
        for neighbour in &status.neighbours {
            one_neighbour(page, neighbour);
        }
        page.raw("</div>\n");
    }
    page.raw("</section>\n");
}

fn one_neighbour(page: &mut Html, neighbour: &NeighbourStatus) {
    let class = match neighbour.state.as_str() {
        "dry-run" => "unknown",
        ESTABLISHED if neighbour.drift.is_empty() => "good",
        ESTABLISHED => "warned",
        _ => "bad",
    };
    page.raw("<article class=\"card ").raw(class).raw("\">\n");
    page.within("<h3><span class=\"exact\">", &neighbour.name, "</span> ");
    page.within("<span class=\"aside\">AS", neighbour.remote_as, "</span> ");
    page.within("<span class=\"pill\">", &neighbour.state, "</span></h3>\n<dl>\n");
    page.within("<dt>Session</dt>\n<dd>", &neighbour.state, " for ");
    page.text(age(neighbour.state_age_seconds)).raw(", ").text(lost(neighbour.flaps));
    if let Some(agreed) = &neighbour.agreed {
        page.within("<br><span class=\"aside\">", agreed, "</span>");
    }
    page.raw("</dd>\n");
    if let Some(cause) = &neighbour.last_down {
        page.within("<dt>Last ended</dt>\n<dd>", cause, "</dd>\n");
    }
    if let Some(message) = &neighbour.last_notification {
        page.within("<dt>Last NOTIFICATION</dt>\n<dd>", message, "</dd>\n");
    }
    if neighbour.told.is_empty() {
        page.raw("<dt>Told</dt>\n<dd>nothing</dd>\n");
    }
    list(page, "<dt>Told</dt>\n", neighbour.told.iter());
    if neighbour.waits {
        page.raw("<dt class=\"loud\">Takes no octets</dt>\n<dd>what it is told waits, and it may know something older</dd>\n");
    }
    if let Some(bfd) = &neighbour.bfd {
        page.within("<dt>BFD</dt>\n<dd>", &bfd.text, ", for ");
        page.text(age(bfd.state_age_seconds)).raw(", ").text(lost(bfd.flaps)).raw("</dd>\n");
    }
    drift(page, &neighbour.drift);
    page.raw("</dl>\n</article>\n");
}

fn drift(page: &mut Html, drift: &[DriftStatus]) {
    list(page, "<dt class=\"loud\">Not as decided</dt>\n", drift.iter());
}

pub(super) fn announcers(page: &mut Html, status: &Status) {
    if status.announcers.is_empty() {
        return;
    }
    page.raw("<section aria-labelledby=\"announcers\">\n<h2 id=\"announcers\">Other announcers</h2>\n<div class=\"cards\">\n");
    for announcer in &status.announcers {
        one_announcer(page, announcer);
    }
    page.raw("</div>\n</section>\n");
}

fn one_announcer(page: &mut Html, announcer: &AnnouncerStatus) {
    let trouble = announcer.failing.is_some() || !announcer.drift.is_empty();
    page.raw(if trouble { "<article class=\"card bad\">\n" } else { "<article class=\"card good\">\n" });
    page.within("<h3><span class=\"exact\">", &announcer.name, "</span>");
    if announcer.mode == StatusMode::DryRun {
        page.raw(" <span class=\"pill\">dry run</span>");
    }
    page.within("</h3>\n<dl>\n<dt>State</dt>\n<dd>", &announcer.state, "</dd>\n");
    if let Some(why) = &announcer.failing {
        page.within("<dt class=\"loud\">Failing</dt>\n<dd>", why, "</dd>\n");
    }
    let observed = announcer.prefixes.iter().map(|it| format!("{} {}", it.prefix, it.observed));
    list(page, "<dt>Observed</dt>\n", observed);
    drift(page, &announcer.drift);
    list(page, "<dt>Said last</dt>\n", announcer.said.iter());
    page.within("<dt>When the sidecar dies</dt>\n<dd>", &announcer.death, "</dd>\n</dl>\n</article>\n");
}

pub(super) fn zones(page: &mut Html, status: &Status) {
    page.raw("<section aria-labelledby=\"zones\">\n<h2 id=\"zones\">Zones</h2>\n");
    match &status.responder {
        Some(responder) => zone_table(page, status, responder),
        None => {
            page.raw("<p class=\"none\">Not known: the responder's status has not been read. ");
            page.raw("Required zones are probed all the same, and stand under <a href=\"#signals\">Signals</a>.</p>\n");
        }
    }
    page.raw("</section>\n");
}

fn zone_table(page: &mut Html, status: &Status, responder: &ResponderStatus) {
    let ready = if responder.ready { "ready" } else { "not ready" };
    page.within("<p>The responder, ", ready, ", told ").text(age(responder.age_seconds)).raw(" ago of ");
    page.text(responder.zones_total).raw(if responder.zones_total == 1 { " zone: " } else { " zones: " });
    page.text(responder.zones_live).raw(" live, ").text(responder.zones_refused).raw(" refused, ");
    page.text(responder.zones_not_loaded).raw(" not loaded.</p>\n");
    if responder.zones.is_empty() {
        return;
    }
    page.raw("<table>\n<caption>Zones, the worst first</caption>\n<thead><tr><th scope=\"col\">Zone, and what answers</th>");
    page.raw("<th scope=\"col\" class=\"number\">Serial</th>");
    page.raw("<th scope=\"col\" class=\"number\">Loaded</th></tr></thead>\n<tbody>\n");
    for zone in &responder.zones {
        one_zone(page, status, zone);
    }
    page.raw("</tbody>\n</table>\n");
    if responder.zones_omitted > 0 {
        page.within("<p class=\"aside\">And ", responder.zones_omitted, " more.</p>\n");
    }
}

fn one_zone(page: &mut Html, status: &Status, zone: &ZoneStatus) {
    let class = match zone.severity() {
        0 => "bad",
        1 | 2 => "warned",
        3 => "unknown",
        _ => "good",
    };
    let ago = |unix: u64| age(status.taken_unix - Duration::from_secs(unix).as_secs_f64());
    page.raw("<tr class=\"").raw(class).within(
        "\"><th scope=\"row\"><bdi class=\"exact\">",
        &zone.name,
        "</bdi>",
    );
    page.within(" <span class=\"state\">", zone.state_in_words(), "</span></th><td class=\"number\">");
    match zone.serial {
        Some(serial) => page.text(serial),
        None => page.raw("none"),
    };
    page.raw("</td><td class=\"number\">");
    match zone.loaded_unix {
        Some(loaded) => page.text(ago(loaded)).raw(" ago"),
        None => page.raw("never"),
    };
    page.raw("</td></tr>\n");
    let ends = zone.signatures_end_unix.map(|end| (Utc(end), Utc::before(status.taken_unix, 0.0).0 >= end));
    if zone.refusal.is_none() && zone.findings.is_empty() && ends.is_none() {
        return;
    }
    page.raw("<tr class=\"more\"><td colspan=\"3\">");
    if let Some(refusal) = &zone.refusal {
        page.raw("Refused");
        if let Some(since) = zone.refused_unix {
            page.raw(" ").text(ago(since)).raw(" ago");
        }
        page.within(":\n<pre>", refusal, "</pre>");
    }
    for finding in &zone.findings {
        page.within("<p>", finding, "</p>");
    }
    match ends {
        Some((end, true)) => page.within("<p class=\"loud\">Signatures ended ", end, "</p>"),
        Some((end, false)) => page.within("<p>Signatures end from ", end, "</p>"),
        None => page,
    };
    page.raw("</td></tr>\n");
}

pub(super) fn signals(page: &mut Html, status: &Status) {
    page.raw("<section aria-labelledby=\"signals\">\n<h2 id=\"signals\">Signals</h2>\n<table>\n");
    page.raw(
        "<caption>What is watched, the worst first</caption>\n<thead><tr><th scope=\"col\">Verdict</th>",
    );
    page.raw("<th scope=\"col\">Signal, and what was seen last</th><th scope=\"col\" class=\"number\">Seen</th></tr></thead>\n<tbody>\n");
    for signal in &status.signals {
        one_signal(page, signal);
    }
    page.raw("</tbody>\n</table>\n");
    if status.signals_omitted > 0 {
        page.within("<p class=\"aside\">And ", status.signals_omitted, " more.</p>\n");
    }
    for lacking in &status.sources.lacks {
        page.within("<p class=\"aside\">Not there: ", &lacking.signal, " (")
            .text(&lacking.text)
            .raw(").</p>\n");
    }
    page.raw("</section>\n");
}

fn one_signal(page: &mut Html, signal: &SignalView) {
    page.raw("<tr class=\"").raw(class_of_verdict(signal.health)).raw("\"><td><span class=\"state\">");
    page.text(signal.health).within(
        "</span> <span class=\"aside\">for ",
        Age(signal.health_age),
        "</span></td>",
    );
    page.within("<th scope=\"row\"><bdi>", &signal.name, "</bdi><span class=\"seen\">");
    match signal.last_age {
        Some(_) => page.text(&signal.last),
        None => page.raw("nothing seen yet"),
    };
    if !signal.progress.is_empty() {
        page.within(" (", &signal.progress, ")");
    }
    if !signal.remark.is_empty() {
        page.raw("; ").text(&signal.remark);
    }
    page.raw("</span></th><td class=\"number\">");
    match signal.last_age {
        Some(last) => page.text(Age(last)).raw(" ago"),
        None => page.raw("never"),
    };
    page.raw("</td></tr>\n");
}

pub(super) fn timeline(page: &mut Html, status: &Status) {
    page.raw("<section aria-labelledby=\"changes\">\n<h2 id=\"changes\">Last changes</h2>\n");
    if status.transitions.is_empty() {
        page.raw("<p class=\"none\">None since the start.</p>\n</section>\n");
        return;
    }
    page.raw("<ol class=\"timeline\">\n");
    for past in &status.transitions {
        page.raw("<li class=\"").raw(class_of_level(past.to)).raw("\">");
        page.within("<p class=\"when\"><time>", Utc::before(status.taken_unix, past.age_seconds), "</time> ");
        page.within("<span class=\"aside\">", age(past.age_seconds), " ago</span></p>");
        page.within("<p class=\"what\"><span class=\"exact\">", past.prefix, "</span>: ");
        page.text(past.from).within(" → <strong>", past.to, "</strong></p>");
        page.within("<p>", &past.cause, "</p></li>\n");
    }
    page.raw("</ol>\n</section>\n");
}

pub(super) fn footer(page: &mut Html) {
    page.raw("<footer>\n<p>The same as JSON: <a href=\"/status\">/status</a>. For Prometheus: ");
    page.raw("<a href=\"/metrics\">/metrics</a>. On the node: <code>pharos status</code>, ");
    page.raw("<code>pharos why PREFIX</code>. Times are those of this host's clock.</p>\n</footer>\n");
}

/// A term and its descriptions; nothing where there are none.
fn list<T: Display>(page: &mut Html, term: &'static str, entries: impl Iterator<Item = T>) {
    let mut entries = entries.peekable();
    if entries.peek().is_some() {
        page.raw(term);
    }
    for entry in entries {
        page.within("<dd>", entry, "</dd>\n");
    }
}

/// Why a level is no more than a decision.
fn lack(prefix: &PrefixStatus) -> Option<&'static str> {
    prefix.effect.and_then(Effect::lack)
}

/// What neighbours make of the prefix, which is not what was decided as long as they do not know that.
fn verdict(prefix: &PrefixStatus, mode: StatusMode) -> String {
    let level = prefix.level;
    if let Some(lack) = lack(prefix) {
        let why = if mode == StatusMode::DryRun { ", in a dry run" } else { "" };
        return format!("Decided: {level}, but {lack}{why};");
    }
    match level {
        Level::Withdrawn => "Not announced;",
        Level::Normal => "Announced;",
        Level::Degraded => "Announced, and asking for less traffic;",
        Level::LastResort => "Announced as a last resort;",
        Level::Draining => "Announced, and asking for no traffic;",
    }
    .to_owned()
}

const fn class_of_level(level: Level) -> &'static str {
    match level {
        Level::Normal => "good",
        Level::Degraded | Level::LastResort => "warned",
        Level::Draining => "draining",
        Level::Withdrawn => "bad",
    }
}

const fn class_of_verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Warned => "warned",
        Verdict::Bad | Verdict::Expired => "bad",
        Verdict::Quiet | Verdict::Unknown => "unknown",
    }
}

fn lost(times: u64) -> String {
    match times {
        0 => "never lost".to_owned(),
        1 => "lost once".to_owned(),
        more => format!("lost {more} times"),
    }
}

fn age(seconds: f64) -> Age {
    Age(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}
