//! RFC 7873 and RFC 9018: cookies. The examples of RFC 9018, appendix A, stand beside the code.

use pharos_answer::{Cookies, Pressure, Require, Secret, Transport, Verdict};
use pharos_testkit::{Ask, NOW, Reply, Served};
use pharos_wire::{Opcode, Rcode, Rtype};

const COOKIE: u16 = 10;
const HALF: &[u8; 8] = b"\x01\x02\x03\x04\x05\x06\x07\x08";

fn cookies(require: Require) -> Cookies {
    Cookies { current: Secret::new([7; 16]), previous: None, require }
}

fn plain() -> Served {
    let mut body = String::from("a A 192.0.2.1\n");
    for number in 0..100 {
        body.push_str(&format!("many A 192.0.2.{number}\n"));
    }
    Served::small("example.", &body)
}

fn served(require: Require) -> Served {
    plain().cookies(cookies(require))
}

fn ask() -> Ask {
    Ask::new("a.example.", Rtype::A)
}

fn cookie(reply: &Reply) -> Option<Vec<u8>> {
    reply.opt.as_ref().and_then(|opt| opt.option(COOKIE)).map(<[u8]>::to_vec)
}

/// A cookie that the server knows.
fn known(served: &Served) -> Vec<u8> {
    cookie(&served.ask(&ask().tcp().option(COOKIE, HALF))).expect("a cookie")
}

// §5.2.3 (3): the client's half comes back, the server's half with it. RFC 9018 §4: version 1, zeros, the time.
#[test]
fn a_client_without_a_server_cookie_is_answered_and_gets_one() {
    for ask in [ask().option(COOKIE, HALF), ask().tcp().option(COOKIE, HALF)] {
        let reply = served(Require::Never).ask(&ask);
        assert_eq!((reply.rcode(), reply.sections[0].len()), (Rcode::NOERROR, 1));
        let cookie = cookie(&reply).unwrap();
        assert_eq!((cookie.len(), &cookie[..8], &cookie[8..12]), (24, &HALF[..], &[1, 0, 0, 0][..]));
        assert_eq!(cookie[12..16], (NOW.as_secs() as u32).to_be_bytes());
    }
}

// §5.2.5 (a)
#[test]
fn a_fresh_cookie_comes_back_as_it_was() {
    let served = served(Require::Never);
    let known = known(&served);
    assert_eq!(cookie(&served.ask(&ask().option(COOKIE, &known))), Some(known));
}

// §5.2.3 (2), §5.2.4: BADCOOKIE without an answer but with the right cookie, over UDP, where it is required.
#[test]
fn badcookie_is_for_clients_with_cookies_over_udp_where_they_are_required() {
    let mut wrong = known(&served(Require::Never));
    wrong[20] ^= 1;
    let foreign = [&HALF[..], &[0; 32]].concat();
    for (require, pressure, refused) in [
        (Require::Never, Pressure::High, false),
        (Require::UnderPressure, Pressure::Calm, false),
        (Require::UnderPressure, Pressure::High, true),
        (Require::Always, Pressure::Calm, true),
    ] {
        let served = served(require).pressure(pressure);
        let known = known(&served);
        for sent in [&HALF[..], &wrong, &foreign] {
            let reply = served.ask(&ask().option(COOKIE, sent));
            let (rcode, answers) = if refused { (Rcode::BADCOOKIE, 0) } else { (Rcode::NOERROR, 1) };
            assert_eq!(
                (reply.rcode(), reply.sections[0].len()),
                (rcode, answers),
                "{require:?} {pressure:?}"
            );
            assert_eq!(cookie(&reply), Some(known.clone()));
            // "the server SHOULD take the authentication provided by the use of TCP into account"
            assert_eq!(served.ask(&ask().tcp().option(COOKIE, sent)).rcode(), Rcode::NOERROR);
        }
        assert_eq!(served.ask(&ask().option(COOKIE, &known)).rcode(), Rcode::NOERROR);
        // §5.2.1: who does not speak of cookies is not asked for any.
        assert_eq!(served.ask(&ask().edns(1232)).rcode(), Rcode::NOERROR);
        assert_eq!(served.ask(&ask()).rcode(), Rcode::NOERROR);
    }
}

// §5.2.2: lengths other than 8 and 16 to 40 are FORMERR.
#[test]
fn a_cookie_of_a_wrong_length_is_a_format_error() {
    for octets in 0..60 {
        let reply = served(Require::Never).ask(&ask().option(COOKIE, &vec![1; octets]));
        let sound = octets == 8 || (16..=40).contains(&octets);
        assert_eq!(reply.rcode(), if sound { Rcode::NOERROR } else { Rcode::FORMERR }, "{octets}");
        assert_eq!(cookie(&reply).is_some(), sound, "{octets}");
    }
}

// §5.2: "all but the first ... are ignored".
#[test]
fn of_several_cookies_the_first_counts() {
    let reply = served(Require::Never).ask(&ask().option(COOKIE, HALF).option(COOKIE, b"x"));
    assert_eq!((reply.rcode(), cookie(&reply).unwrap().len()), (Rcode::NOERROR, 24));
}

// RFC 6891 §6.1.2: where cookies are not served the option is one of the unknown.
#[test]
fn without_a_secret_the_option_is_passed_over() {
    for data in [&HALF[..], &[1; 24], b"x"] {
        let reply = plain().ask(&ask().option(COOKIE, data));
        assert_eq!((reply.rcode(), cookie(&reply)), (Rcode::NOERROR, None));
    }
}

// §5.3: a client that sent a cookie throws away replies without one, errors too.
#[test]
fn errors_have_the_cookie_too() {
    let served = served(Require::Never);
    for (ask, rcode) in [
        (Ask::new("none.example.", Rtype::A), Rcode::NXDOMAIN),
        (Ask::new("a.other.", Rtype::A), Rcode::REFUSED),
        (ask().opcode(Opcode::NOTIFY), Rcode::NOTIMP),
        (ask().version(1), Rcode::BADVERS),
        (Ask::new("a.example.", Rtype::OPT), Rcode::FORMERR),
    ] {
        let reply = served.ask(&ask.option(COOKIE, HALF));
        assert_eq!((reply.rcode(), cookie(&reply)), (rcode, Some(known(&served))));
    }
}

// The cookie must be there whatever does not fit.
#[test]
fn a_truncated_reply_keeps_its_cookie() {
    let reply =
        served(Require::Never).ask(&Ask::new("many.example.", Rtype::A).edns(512).option(COOKIE, HALF));
    assert!(reply.is_truncated() && reply.octets.len() <= 512);
    assert_eq!(cookie(&reply).map(|cookie| cookie.len()), Some(24));
}

/// A message without a question, with these options.
fn without_question(flags: u16, options: &[u8]) -> Vec<u8> {
    let mut message = vec![0xbe, 0xef];
    message.extend(flags.to_be_bytes());
    message.extend([0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, options.len() as u8]);
    message.extend(options);
    message
}

fn answered(served: &Served, message: &[u8]) -> (Rcode, usize) {
    match served.verdict(Transport::Udp, message) {
        Verdict::Reply(replied) => (replied.rcode, replied.len),
        Verdict::Drop(why) => panic!("{why:?}"),
    }
}

// §5.4
#[test]
fn a_query_without_a_question_gets_a_cookie_or_confirms_one() {
    let served = served(Require::Always);
    let option = |data: &[u8]| [&[0, 10, 0, data.len() as u8], data].concat();
    let ask = |data: &[u8]| answered(&served, &without_question(0, &option(data)));
    let octets = 12 + 11 + 4 + 24;
    assert_eq!(ask(HALF), (Rcode::NOERROR, octets));
    let mut known = known(&served);
    assert_eq!(ask(&known), (Rcode::NOERROR, octets));
    known[9] ^= 1;
    assert_eq!(ask(&known), (Rcode::BADCOOKIE, octets));
    assert_eq!(ask(b"x").0, Rcode::FORMERR);
    // Without a cookie, or where none are served, it is the format error that it always was (RFC 9619).
    assert_eq!(answered(&served, &without_question(0, b"")).0, Rcode::FORMERR);
    assert_eq!(answered(&plain(), &without_question(0, &option(HALF))).0, Rcode::FORMERR);
}
