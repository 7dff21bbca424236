//! The fuzz targets with a fixed seed, so that every run of the tests tries some thousands of inputs without the
//! nightly compiler. `cargo +nightly fuzz run TARGET` in `fuzz/` goes on where this ends.

use pharos_testkit::{Ask, Dice, fuzz, mutate, random};

fn noise(dice: &mut Dice<'_>, octets: usize) -> Vec<u8> {
    (0..dice.below(octets)).map(|_| dice.octet()).collect()
}

#[test]
fn stray_octets_and_damaged_queries_get_a_readable_reply_or_none() {
    let mut dice = Dice::of_seed(1);
    for _ in 0..5_000 {
        fuzz::query(&noise(&mut dice, 80));
        let mut message = random::ask(&mut dice).octets();
        if dice.once_in(3) {
            message = Ask::of_wire(random::ask(&mut dice).qname(), pharos_wire::Rtype::A).nsid().octets();
        }
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
