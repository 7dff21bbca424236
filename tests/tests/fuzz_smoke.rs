//! The fuzz targets with a fixed seed, so that every run of the tests tries some thousands of inputs without the
//! nightly compiler. `cargo +nightly fuzz run TARGET` in `fuzz/` goes on where this ends.

use pharos_testkit::{Ask, Dice, fuzz, mutate, random};
use pharos_wire::{Opcode, Rtype};

fn noise(dice: &mut Dice<'_>, octets: usize) -> Vec<u8> {
    (0..dice.below(octets)).map(|_| dice.octet()).collect()
}

#[test]
fn stray_octets_and_damaged_queries_get_a_readable_reply_or_none() {
    let mut dice = Dice::of_seed(1);
    for _ in 0..5_000 {
        fuzz::query(&noise(&mut dice, 80));
        let mut message = random::ask(&mut dice).octets();
        if dice.once_in(2) {
            message = with_options(&mut dice).octets();
        }
        // The settings of the server.
        message[0] = dice.octet();
        if dice.once_in(2) {
            fuzz::query(&message);
        }
        mutate(&mut message, &mut dice);
        fuzz::query(&message);
    }
}

/// A query with options of every kind, sound and not.
fn with_options(dice: &mut Dice<'_>) -> Ask {
    let names = [
        "signed.example.",
        "none.signed.example.",
        "x.signed.test.",
        "www.example.",
        "x.broken.example.",
        "test.",
        "example.",
        "many.example.",
    ];
    let types = [Rtype::A, Rtype::SOA, Rtype::ANY, Rtype::DNSKEY, Rtype::TXT, Rtype::AXFR, Rtype::TKEY];
    let mut ask = Ask::new(dice.pick(&names), types[dice.below(types.len())]);
    ask = ask.edns([0, 512, 600, 1232, 4096][dice.below(5)]);
    if dice.once_in(2) {
        ask = ask.dnssec();
    }
    for _ in 0..dice.below(4) {
        let octets = if dice.once_in(3) { dice.below(45) } else { 0 };
        ask = match dice.below(6) {
            0 => ask.nsid(),
            1 => ask.option(10, &vec![dice.octet(); if dice.once_in(3) { octets } else { 8 }]),
            2 => ask.option(10, &[dice.octet(); 24]),
            3 => ask.option(11, &vec![0; octets]),
            4 => ask.option(19, &vec![0; octets]),
            _ => ask.option(dice.below(30) as u16, &vec![0; octets]),
        };
    }
    match dice.below(12) {
        0 => ask.version(1),
        1 => ask.opcode(Opcode(dice.below(16) as u8)),
        2 => ask.edns_flags(0xffff),
        _ => ask,
    }
}

#[test]
fn the_seeds_of_the_fuzzer_get_a_readable_reply_under_all_settings() {
    let seeds = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/query");
    let mut dice = Dice::of_seed(5);
    for seed in std::fs::read_dir(seeds).unwrap() {
        let mut message = std::fs::read(seed.unwrap().path()).unwrap();
        for settings in 0..64 {
            message[0] = settings;
            fuzz::query(&message);
            let mut damaged = message.clone();
            mutate(&mut damaged, &mut dice);
            fuzz::query(&damaged);
        }
    }
}

#[test]
fn a_cookie_without_a_question_and_its_damaged_kin_get_a_readable_reply() {
    let mut dice = Dice::of_seed(4);
    for _ in 0..3_000 {
        let octets = [8, 8, 24, 16, 40, 7, 41][dice.below(7)];
        let mut message = vec![dice.octet(), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        message.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, octets + 4, 0, 10, 0, octets]);
        message.extend((0..octets).map(|_| dice.octet()));
        fuzz::query(&message);
        mutate(&mut message, &mut dice);
        fuzz::query(&message);
    }
}

#[test]
fn damaged_zone_files_are_accepted_or_refused_and_accepted_ones_print_as_they_were_read() {
    let mut dice = Dice::of_seed(2);
    let lines: Vec<&str> = fuzz::VARIED.lines().collect();
    let directives =
        ["$ORIGIN x", "$TTL 1h", "$GENERATE 1-9 a$ A 192.0.2.$", "$INCLUDE y", "( A", ")", "\" A", "\\"];
    for _ in 0..3_000 {
        let mut text = String::new();
        for _ in 0..dice.below(12) {
            let from = if dice.once_in(5) { &directives[..] } else { &lines[..] };
            text.push_str(dice.pick(from));
            text.push(if dice.once_in(10) { ' ' } else { '\n' });
        }
        let mut text = text.into_bytes();
        if dice.below(2) == 1 {
            mutate(&mut text, &mut dice);
        }
        fuzz::zone_scan(&text);
    }
}

#[test]
fn zones_made_of_octets_are_answered_as_the_model_says() {
    let mut dice = Dice::of_seed(3);
    for _ in 0..300 {
        fuzz::image_lookup(&noise(&mut dice, 1000));
    }
}

#[test]
fn whatever_a_bgp_neighbour_does_in_any_state_is_survived() {
    let mut dice = Dice::of_seed(6);
    for _ in 0..3_000 {
        fuzz::bgp_session(&noise(&mut dice, 400));
    }
}

#[test]
fn whatever_a_bfd_neighbour_does_is_survived() {
    let mut dice = Dice::of_seed(7);
    for _ in 0..3_000 {
        fuzz::bfd_session(&noise(&mut dice, 400));
    }
}
