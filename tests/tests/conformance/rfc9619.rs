//! RFC 9619: one question.

use pharos_answer::{Transport, Verdict};
use pharos_testkit::{Ask, Served};
use pharos_wire::{Opcode, Rcode, Rtype};

fn rcode(message: &[u8]) -> Rcode {
    let served = Served::small("example.", "a A 192.0.2.1\n");
    match served.verdict(Transport::Udp, message) {
        Verdict::Reply(reply) => reply.rcode,
        Verdict::Drop(why) => panic!("{why:?}"),
    }
}

fn with_questions(count: u16, ask: &Ask) -> Vec<u8> {
    let mut message = ask.octets();
    message[4..6].copy_from_slice(&count.to_be_bytes());
    message
}

// §4: "A DNS message with OPCODE = 0 and QDCOUNT > 1 MUST be treated as an incorrectly formatted message ... RCODE 1".
#[test]
fn more_than_one_question_is_a_format_error() {
    let ask = Ask::new("a.example.", Rtype::A);
    for count in [2, 3, 255, 256, 65_535] {
        assert_eq!(rcode(&with_questions(count, &ask)), Rcode::FORMERR, "{count}");
    }
    let twice = [&with_questions(2, &ask)[..], &ask.octets()[12..]].concat();
    assert_eq!(rcode(&twice), Rcode::FORMERR);
}

// §4: QDCOUNT "MUST NOT be greater than 1"; none is for cookies (RFC 7873 §5.4), which are not served unless set.
#[test]
fn no_question_is_a_format_error() {
    assert_eq!(rcode(&with_questions(0, &Ask::new("a.example.", Rtype::A))[..12]), Rcode::FORMERR);
}

// §4 is about opcode 0: what we do not implement is said so first.
#[test]
fn other_opcodes_are_not_judged_by_their_questions() {
    let ask = Ask::new("a.example.", Rtype::A).opcode(Opcode::UPDATE);
    assert_eq!(rcode(&with_questions(0, &ask)), Rcode::NOTIMP);
    assert_eq!(rcode(&with_questions(9, &ask)), Rcode::NOTIMP);
}
