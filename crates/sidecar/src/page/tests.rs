use super::*;

#[test]
fn the_style_is_the_one_that_the_policy_names() {
    let digest = ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes());
    let source = format!("'sha256-{}'", base64(digest.as_ref()));
    assert!(CONTENT_SECURITY_POLICY.contains(&source), "the style has changed: name it by {source}");
}

/// RFC 4648 §4.
fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |chunk: &[u8]| {
        let octet = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        (0..4)
            .map(|place| match place <= chunk.len() {
                true => char::from(ALPHABET[(bits >> (18 - 6 * place) & 63) as usize]),
                false => '=',
            })
            .collect::<String>()
    };
    octets.chunks(3).map(group).collect()
}

/// A node that has everything: each level, alarms, orders, drift, refused zones, and text that means harm.
fn troubled() -> Status {
    serde_json::from_str(include_str!("troubled.json")).unwrap()
}

/// What a reader sees: no tags, no style, entities as characters.
fn shown(page: &str) -> String {
    let (_, body) = page.split_once("<body>").unwrap();
    let texts: String =
        body.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect();
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    plain.iter().fold(texts, |text, (entity, character)| text.replace(entity, character))
}

#[test]
fn everything_that_the_status_says_stands_on_the_page() {
    let status = troubled();
    let text = shown(&html(&status, Refresh::ByHand));
    let mut facts = Vec::new();
    for prefix in &status.prefixes {
        facts.extend([prefix.prefix.to_string(), prefix.level.to_string(), prefix.group.clone()]);
        facts.extend(prefix.reasons.iter().map(|reason| reason.text.clone()));
        facts.extend(prefix.next_changes.iter().map(ToString::to_string));
        facts.extend(prefix.told.iter().map(ToString::to_string));
    }
    for neighbour in &status.neighbours {
        facts.extend([neighbour.name.clone(), format!("AS{}", neighbour.remote_as), neighbour.state.clone()]);
        facts.extend(neighbour.last_down.iter().chain(&neighbour.told).cloned());
        facts.extend(neighbour.bfd.iter().map(|bfd| bfd.text.clone()));
        facts.extend(neighbour.drift.iter().map(ToString::to_string));
    }
    for announcer in &status.announcers {
        facts.extend([announcer.name.clone(), announcer.death.clone(), announcer.state.clone()]);
        facts.extend(announcer.failing.iter().chain(&announcer.said).cloned());
        facts.extend(announcer.prefixes.iter().map(|it| it.observed.clone()));
    }
    facts.extend(status.alarms.iter().flat_map(|alarm| [alarm.subject.clone(), alarm.text.clone()]));
    let words = status.words.iter().map(|word| &word.words);
    let words = words.chain(status.drain.iter().map(|drain| &drain.words));
    facts.extend(words.flat_map(|words| [words.author.clone(), words.text.clone()]));
    for zone in &status.responder.as_ref().unwrap().zones {
        facts.extend([zone.name.clone(), zone.state_in_words().to_owned()]);
        facts.extend(zone.serial.map(|serial| serial.to_string()));
        facts.extend(zone.refusal.iter().chain(&zone.findings).cloned());
    }
    for signal in &status.signals {
        facts.extend([
            signal.name.clone(),
            signal.last.clone(),
            signal.progress.clone(),
            signal.remark.clone(),
        ]);
    }
    for past in &status.transitions {
        facts.extend([past.cause.clone(), format!("{}: {} → {}", past.prefix, past.from, past.to)]);
    }
    let missing: Vec<_> = facts.iter().filter(|fact| !text.contains(fact.as_str())).collect();
    assert!(missing.is_empty(), "{missing:#?} are not in\n{text}");
}

#[test]
fn hostile_text_stays_text() {
    let mut status = troubled();
    let harm =
        "</td><script>fetch('//evil.example')</script><img src=x onerror=alert(1)>\"'&\u{202e}\u{1b}[2J";
    let plain = html(&status, Refresh::ByHand);
    status.node = harm.to_owned();
    status.alarms[0].text = harm.to_owned();
    status.alarms[0].subject = harm.to_owned();
    status.neighbours[0].last_down = Some(harm.to_owned());
    status.neighbours[0].told = vec![harm.to_owned()];
    status.announcers[0].said = vec![harm.to_owned()];
    status.drain.as_mut().unwrap().words.text = harm.to_owned();
    status.words[0].words.author = harm.to_owned();
    status.signals[0].last = harm.to_owned();
    status.transitions[0].cause = harm.to_owned();
    status.prefixes[0].reasons[0].text = harm.to_owned();
    let zone = &mut status.responder.as_mut().unwrap().zones[0];
    (zone.name, zone.refusal, zone.findings) = (harm.into(), Some(harm.into()), vec![harm.into()]);
    let page = html(&status, Refresh::ByHand);
    for part in ["<script", "<img", "evil.example'", "\u{202e}", "\u{1b}"] {
        assert!(!page.contains(part), "{part:?} came through");
    }
    let tags = |page: &str| page.matches("<td").count();
    assert_eq!(tags(&page), tags(&plain), "no cell begins or ends by what is said in it");
    assert!(shown(&page).contains(r"onerror=alert(1)>"), "and all of it can be read");
    assert!(page.contains(r"\u{202e}\u{1b}[2J"));
}

#[test]
fn a_page_has_no_script_and_fetches_nothing() {
    let page = html(&troubled(), Refresh::ByHand);
    for part in
        ["<script", "<link", "<img", "<iframe", "src=", "url(", "@import", "style=", " on", "http-equiv"]
    {
        let markup = page.split('<').filter_map(|tag| tag.split_once('>')).map(|(tag, _)| format!("<{tag}"));
        let mut found = markup.filter(|tag| tag.contains(part));
        assert_eq!(found.next(), None, "{part}");
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn a_page_reloads_only_when_it_was_asked_to() {
    let page = |value| html(&troubled(), Refresh::of_query(value));
    assert!(page(Some("10")).contains("<meta http-equiv=\"refresh\" content=\"10\">"));
    for wrong in [None, Some(""), Some("0"), Some("-1"), Some("99999"), Some("1;url=//evil.example")] {
        assert!(!page(wrong).contains("http-equiv"), "{wrong:?}");
    }
}

#[test]
fn the_title_says_the_worst_first() {
    let mut status = troubled();
    assert_eq!(parts::standing(&status), "1 of 4 prefixes withdrawn, 1 draining, 1 degraded");
    status.prefixes.retain(|prefix| prefix.level == pharos_policy::Level::Normal);
    assert_eq!(parts::standing(&status), "the one prefix is normal");
    status.mode = crate::status::StatusMode::DryRun;
    assert!(html(&status, Refresh::ByHand).contains("tells no neighbour anything"));
}

/// The card of a prefix: its class, and what a reader sees of it.
fn card(page: &str, prefix: &str) -> (String, String) {
    let mut cards = page.split("<article class=\"card ").filter(|card| card.contains("class=\"verdict\""));
    let card = cards.find(|card| card.contains(&format!("<span class=\"exact\">{prefix}</span>"))).unwrap();
    let (class, rest) = card.split_once('"').unwrap();
    (class.to_owned(), shown(&format!("<body>{rest}")))
}

#[test]
fn a_level_that_nobody_is_told_is_called_decided_and_is_marked_as_bad() {
    use pharos_policy::explain::Effect;
    let mut status = troubled();
    let (class, text) = card(&html(&status, Refresh::ByHand), "198.51.0.0/16");
    assert_eq!(class, "good");
    assert!(text.contains("Announced; normal for 2d 04h, since"), "{text}");

    status.prefixes[3].effect = Some(Effect::NobodyTold);
    let page = html(&status, Refresh::ByHand);
    let (class, text) = card(&page, "198.51.0.0/16");
    assert_eq!(class, "bad");
    assert!(text.contains("Decided: normal, but nobody is told; normal for 2d 04h, since"), "{text}");
    assert_eq!(
        parts::standing(&status),
        "1 of 4 prefixes told to nobody, 1 withdrawn, 1 draining, 1 degraded"
    );
    assert!(page.contains("<h1 class=\"bad\">"), "{page}");

    status.prefixes[0].effect = Some(Effect::StillThere);
    status.prefixes[1].effect = Some(Effect::NotKnown);
    let page = html(&status, Refresh::ByHand);
    let (class, text) = card(&page, "192.0.2.0/24");
    assert_eq!(class, "bad");
    assert!(text.contains("Decided: withdrawn, but somebody still has the route;"), "{text}");
    let (class, text) = card(&page, "2001:db8:53::/48");
    assert_eq!(class, "bad");
    assert!(text.contains("Decided: degraded, but who has the route is not known;"), "{text}");
    assert_eq!(
        parts::standing(&status),
        "1 of 4 prefixes told to nobody, 1 not gone everywhere, 1 perhaps not as decided, 1 draining"
    );
    let text = status.to_string();
    for lack in ["nobody is told", "somebody still has the route", "who has the route is not known"] {
        assert!(text.contains(&format!("    that is decided only: {lack}\n")), "{lack}: {text}");
    }
}

#[test]
fn in_a_dry_run_nothing_is_called_announced() {
    use pharos_policy::explain::Effect;
    let mut status = troubled();
    status.mode = crate::status::StatusMode::DryRun;
    for prefix in status.prefixes.iter_mut().skip(1) {
        prefix.effect = Some(Effect::NobodyTold);
    }
    assert_eq!(
        parts::standing(&status),
        "Dry run, nobody is told: 1 of 4 prefixes withdrawn, 1 draining, 1 degraded"
    );
    let page = html(&status, Refresh::ByHand);
    let (class, text) = card(&page, "2001:db8:53::/48");
    assert_eq!(class, "bad");
    assert!(text.contains("Decided: degraded, but nobody is told, in a dry run;"), "{text}");
    assert!(!shown(&page).contains("Announced"), "{page}");
}

#[test]
fn a_sidecar_that_says_nothing_of_it_is_taken_at_its_level() {
    let mut status = troubled();
    for prefix in &mut status.prefixes {
        prefix.effect = None;
    }
    assert_eq!(parts::standing(&status), "1 of 4 prefixes withdrawn, 1 draining, 1 degraded");
    let (_, text) = card(&html(&status, Refresh::ByHand), "198.51.0.0/16");
    assert!(text.contains("Announced; normal for"), "{text}");
}

#[test]
fn a_node_of_which_nothing_is_known_yet_says_so() {
    let mut status = troubled();
    (status.responder, status.drain) = (None, None);
    (status.words, status.alarms, status.transitions) = (Vec::new(), Vec::new(), Vec::new());
    (status.neighbours, status.announcers) = (Vec::new(), Vec::new());
    let text = shown(&html(&status, Refresh::ByHand));
    for part in ["Not known: the responder", "None in force", "None since the start", "None configured"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
