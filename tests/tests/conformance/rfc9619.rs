//! RFC 9619: one question.

use pharos_answer::{Job, Silent, Transport, Verdict, answer};
use pharos_testkit::{Ask, CLIENT, Opt, Reply, Served};
use pharos_wire::{Opcode, Rcode, Rtype};

fn reply(message: &[u8]) -> Reply {
    let served = Served::small("example.", "a A 192.0.2.1\n");
    let (context, mut out) = (served.context(Transport::Udp), vec![0; 4096]);
    match answer(&mut Job::default(), served.set(), &context, CLIENT, message, &mut out, &mut Silent) {
        Verdict::Reply(replied) => Reply::read(&out[..replied.len], replied).unwrap(),
        Verdict::Drop(why) => panic!("{why:?}"),
    }
}

fn rcode(message: &[u8]) -> Rcode {
    reply(message).rcode()
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

// RFC 6891 §6.1.1: a reply to OPT has OPT, whatever is wrong with the questions, and says whether DO was set.
#[test]
fn an_error_for_the_number_of_questions_has_opt_where_the_query_had_it() {
    let opt = b"\0\0\x29\x04\xd0\0\0\x80\0\0\0";
    let question = &Ask::new("b.example.", Rtype::AAAA).octets()[12..];
    for (opcode, expected) in [(Opcode::QUERY, Rcode::FORMERR), (Opcode::NOTIFY, Rcode::NOTIMP)] {
        for questions in [0, 2, 3, 100] {
            let mut message = Ask::new("a.example.", Rtype::A).opcode(opcode).octets()[..12].to_vec();
            message[4..6].copy_from_slice(&u16::to_be_bytes(questions));
            message[11] = 1;
            message.extend(question.repeat(questions.into()));
            message.extend(opt);
            let reply = reply(&message);
            assert_eq!(reply.rcode(), expected, "{questions}");
            assert!(reply.opt.as_ref().is_some_and(Opt::wants_dnssec), "{questions}");
            assert_eq!(reply.octets[4..6], [0, 0], "no question is repeated");
        }
    }
    // Where the records cannot be found there is nothing to go by.
    assert!(reply(&with_questions(2, &Ask::new("a.example.", Rtype::A).dnssec())).opt.is_none());
}

// §4 is about opcode 0: what we do not implement is said so first.
#[test]
fn other_opcodes_are_not_judged_by_their_questions() {
    let ask = Ask::new("a.example.", Rtype::A).opcode(Opcode::UPDATE);
    assert_eq!(rcode(&with_questions(0, &ask)), Rcode::NOTIMP);
    assert_eq!(rcode(&with_questions(9, &ask)), Rcode::NOTIMP);
}
