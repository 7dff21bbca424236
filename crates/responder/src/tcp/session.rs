//! One connection as a machine (RFC 7766): octets and time in, octets and a deadline out.
//!
//! It splits what arrives into messages (RFC 1035 §4.2.2), has them answered in their order, and remembers only what
//! could not be finished: the beginning of a query, and replies that the client does not take. It knows no socket: who
//! carries the octets, plain or encrypted, gives what has arrived to [`Session::arrived`] with a way to write, and
//! calls [`Session::writable`] when there is room again.
//!
//! | phase | what happens | next phase |
//! |---|---|---|
//! | any but `Blocked` | octets that end with a whole query, all replies taken | `Idle`, time begins |
//! | any but `Blocked` | octets that end within a query | `Incomplete`, time begins if a query was answered or none had begun |
//! | any but `Blocked` | a reply is not taken whole | `Blocked`, time begins; queries behind it wait |
//! | `Blocked` | the replies are taken, the queries behind them answered | as if they arrived now |
//! | `Blocked` | the replies are taken in part | nothing changes |
//!
//! Everything else changes nothing; in particular single octets extend no deadline. Nobody must read while a session is
//! blocked: so what it remembers is bounded by one read, one reply and [`WRITE_OCTETS`].

use std::io;
use std::time::Duration;

use super::table::Queue;

/// Replies gathered before they are written, so that a client that pipelines gets few segments, and one that does not
/// read makes us keep little.
pub(crate) const WRITE_OCTETS: usize = 16 * 1024;
/// Octets of the largest reply with its length before it.
const REPLY_OCTETS: usize = 2 + 65_535;

/// Replies on their way out: one buffer for all connections of a thread, since nobody else's turn comes before it is
/// written or moved to a session.
pub(crate) struct Outbox {
    octets: Box<[u8]>,
    len: usize,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { octets: vec![0; WRITE_OCTETS + REPLY_OCTETS].into(), len: 0 }
    }

    /// Whether replies should be written before further queries are answered. Until then any reply finds room.
    pub(crate) fn is_full(&self) -> bool {
        self.len >= WRITE_OCTETS
    }

    /// Appends what `write` writes as one message; nothing if it returns 0.
    #[inline]
    pub(crate) fn message(&mut self, write: impl FnOnce(&mut [u8]) -> usize) {
        let Some((length, reply)) = self
            .octets
            .get_mut(self.len..self.len + REPLY_OCTETS)
            .and_then(|room| room.split_first_chunk_mut::<2>())
        else {
            return; // only after `is_full`
        };
        let octets = write(reply);
        if octets > 0 {
            *length = u16::try_from(octets).expect("a reply has 65,535 octets at most").to_be_bytes();
            self.len += 2 + octets;
        }
    }

    fn written(&self) -> &[u8] {
        self.octets.get(..self.len).unwrap_or_default()
    }
}

/// What a connection is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Nothing has begun.
    Idle,
    /// Part of a query has arrived.
    Incomplete,
    /// The client does not take its replies.
    Blocked,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Session {
    phase: Phase,
    since: Duration,
    /// Queries that could not be answered yet: at most one that is not whole, or what a blocked client had sent.
    input: Vec<u8>,
    /// Replies that were not taken; none unless blocked.
    output: Vec<u8>,
}

impl Session {
    /// A connection that was opened `now`: time since an origin of the caller's choice.
    pub(crate) fn new(now: Duration) -> Self {
        Self { phase: Phase::Idle, since: now, input: Vec::new(), output: Vec::new() }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// When the time of the present phase began. A phase never changes without it.
    pub(crate) fn since(&self) -> Duration {
        self.since
    }

    /// The queue in which the connection waits.
    pub(crate) fn queue(&self) -> Queue {
        match self.phase {
            Phase::Idle => Queue::Idle,
            Phase::Incomplete | Phase::Blocked => Queue::Busy,
        }
    }

    /// Octets of memory that it takes besides itself.
    pub(crate) fn held(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Takes octets that have arrived. `answer` appends replies to the queries at the begin of a stream until the outbox
    /// is full or no query is whole, and says how many octets it has answered; `write` says how many it could write.
    ///
    /// # Errors
    /// Those of `write`; the connection is of no use then.
    #[inline]
    pub(crate) fn arrived(
        &mut self,
        now: Duration,
        octets: &[u8],
        outbox: &mut Outbox,
        mut answer: impl FnMut(&[u8], &mut Outbox) -> usize,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let was = self.phase;
        let answered = if self.input.is_empty() {
            let answered = self.exchange(octets, outbox, &mut answer, &mut write)?;
            self.input.extend_from_slice(octets.get(answered..).unwrap_or_default());
            answered
        } else {
            self.input.extend_from_slice(octets);
            let mut input = std::mem::take(&mut self.input);
            let answered = self.exchange(&input, outbox, &mut answer, &mut write)?;
            if answered < input.len() {
                input.drain(..answered);
                self.input = input;
            }
            answered
        };
        self.phase = match (self.output.is_empty(), self.input.is_empty()) {
            (false, _) => Phase::Blocked,
            (true, false) => Phase::Incomplete,
            (true, true) => Phase::Idle,
        };
        if answered > 0 || self.phase != was {
            self.since = now;
        }
        Ok(())
    }

    /// Goes on after [`Phase::Blocked`], when there is room to write.
    ///
    /// # Errors
    /// Those of `write`; the connection is of no use then.
    pub(crate) fn writable(
        &mut self,
        now: Duration,
        outbox: &mut Outbox,
        answer: impl FnMut(&[u8], &mut Outbox) -> usize,
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let taken = write(&self.output)?;
        if taken < self.output.len() {
            self.output.drain(..taken);
            return Ok(());
        }
        self.output = Vec::new();
        self.arrived(now, &[], outbox, answer, write)
    }

    /// Answers what is whole in a stream, as far as the replies are taken; says how many octets were answered.
    #[inline]
    fn exchange(
        &mut self,
        stream: &[u8],
        outbox: &mut Outbox,
        answer: &mut impl FnMut(&[u8], &mut Outbox) -> usize,
        write: &mut impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let mut answered = 0;
        loop {
            outbox.len = 0;
            answered += answer(stream.get(answered..).unwrap_or_default(), outbox);
            if outbox.len == 0 {
                return Ok(answered);
            }
            let replies = outbox.written();
            let taken = write(replies)?;
            if taken < replies.len() {
                self.output.extend_from_slice(replies.get(taken..).unwrap_or_default());
                return Ok(answered);
            }
            if !outbox.is_full() {
                return Ok(answered);
            }
        }
    }
}

/// The first whole message and what follows it (RFC 1035 §4.2.2).
#[inline]
pub(crate) fn split_message(stream: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = stream.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A session, a client that takes what it has room for, and an answer that repeats each query so many times.
    struct Bench {
        session: Session,
        outbox: Outbox,
        room: usize,
        got: Vec<u8>,
        writes: usize,
        times: usize,
    }

    impl Bench {
        fn new() -> Self {
            Self {
                session: Session::new(Duration::ZERO),
                outbox: Outbox::new(),
                room: usize::MAX,
                got: Vec::new(),
                writes: 0,
                times: 1,
            }
        }

        fn step(&mut self, now: Duration, octets: Option<&[u8]>) -> (Phase, Duration) {
            let Self { session, outbox, room, got, writes, times } = self;
            let answer = |stream: &[u8], outbox: &mut Outbox| {
                let mut rest = stream;
                while !outbox.is_full() {
                    let Some((query, after)) = split_message(rest) else { break };
                    rest = after;
                    let reply = query.repeat(*times);
                    outbox.message(|room| {
                        room[..reply.len()].copy_from_slice(&reply);
                        reply.len()
                    });
                }
                stream.len() - rest.len()
            };
            let write = |octets: &[u8]| {
                let taken = octets.len().min(*room);
                *room -= taken;
                *writes += 1;
                got.extend(&octets[..taken]);
                Ok(taken)
            };
            match octets {
                Some(octets) => session.arrived(now, octets, outbox, answer, write).unwrap(),
                None => session.writable(now, outbox, answer, write).unwrap(),
            }
            (session.phase(), session.since())
        }
    }

    fn framed(messages: &[&[u8]]) -> Vec<u8> {
        let framed = |message: &&[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
        messages.iter().flat_map(framed).collect()
    }

    #[test]
    fn messages_are_split_by_their_length() {
        assert_eq!(split_message(b"\0\x02abc"), Some((&b"ab"[..], &b"c"[..])));
        assert_eq!(split_message(b"\0\x02a"), None);
        assert_eq!(split_message(b"\0"), None);
        assert_eq!(split_message(b"\0\0"), Some((&b""[..], &b""[..])));
    }

    #[test]
    fn queries_that_come_together_are_answered_with_one_write() {
        let mut bench = Bench::new();
        let queries = framed(&[b"one", b"two", b"three"]);
        assert_eq!(bench.step(SECOND, Some(&queries)), (Phase::Idle, SECOND));
        assert_eq!((bench.got, bench.writes), (queries, 1));
    }

    #[test]
    fn however_a_stream_is_cut_the_replies_are_the_same() {
        let queries = framed(&[b"", b"a", b"longer than a few octets", b"b", b""]);
        let expected = framed(&[b"a", b"longer than a few octets", b"b"]);
        for size in 1..=queries.len() {
            let mut bench = Bench::new();
            for octets in queries.chunks(size) {
                bench.step(SECOND, Some(octets));
            }
            assert_eq!((bench.session.phase(), bench.session.held()), (Phase::Idle, 0), "{size}");
            assert_eq!(bench.got, expected, "{size}");
        }
    }

    #[test]
    fn single_octets_do_not_extend_the_time_of_a_query() {
        let mut bench = Bench::new();
        for (second, octet) in (1..).zip(framed(&[b"query"])) {
            let (phase, since) = bench.step(second * SECOND, Some(&[octet]));
            let expected = if second < 7 { (Phase::Incomplete, SECOND) } else { (Phase::Idle, 7 * SECOND) };
            assert_eq!((phase, since), expected);
        }
    }

    #[test]
    fn a_query_that_begins_behind_a_whole_one_has_time_of_its_own() {
        let mut bench = Bench::new();
        let queries = framed(&[b"one", b"two"]);
        assert_eq!(bench.step(SECOND, Some(&queries[..3])), (Phase::Incomplete, SECOND));
        assert_eq!(bench.step(2 * SECOND, Some(&queries[3..8])), (Phase::Incomplete, 2 * SECOND));
        assert_eq!(bench.step(3 * SECOND, Some(&queries[8..])), (Phase::Idle, 3 * SECOND));
    }

    #[test]
    fn a_client_that_does_not_read_is_answered_no_further_and_has_no_time_for_single_octets() {
        let mut bench = Bench { times: 100, room: 1000, ..Bench::new() };
        let query = [7; 100];
        let queries = framed(&[&query[..]; 100]);
        assert_eq!(bench.step(SECOND, Some(&queries)), (Phase::Blocked, SECOND));
        // Two replies reach the bound; the queries behind them wait.
        assert!(bench.session.output.len() <= WRITE_OCTETS + REPLY_OCTETS);
        assert_eq!(bench.session.output.len(), 2 * 10_002 - 1000);
        assert_eq!(bench.session.input.len(), 98 * 102);
        for second in 2..10 {
            bench.room = 1;
            assert_eq!(bench.step(second * SECOND, None), (Phase::Blocked, SECOND));
        }
        // What was due is taken: for the next replies time begins anew.
        bench.room = 20_000;
        assert_eq!(bench.step(10 * SECOND, None), (Phase::Blocked, 10 * SECOND));
        bench.room = usize::MAX;
        assert_eq!(bench.step(11 * SECOND, None), (Phase::Idle, 11 * SECOND));
        assert_eq!(bench.session.held(), 0);
        assert_eq!(bench.got, framed(&[&query.repeat(100)[..]; 100]));
    }

    #[test]
    fn a_query_that_is_not_whole_behind_replies_that_were_blocked_has_time_from_then_on() {
        let mut bench = Bench { room: 0, ..Bench::new() };
        let queries = framed(&[b"one", b"two"]);
        assert_eq!(bench.step(SECOND, Some(&queries[..8])), (Phase::Blocked, SECOND));
        bench.room = usize::MAX;
        assert_eq!(bench.step(2 * SECOND, None), (Phase::Incomplete, 2 * SECOND));
    }

    #[test]
    fn the_longest_query_and_the_longest_reply_pass() {
        let mut bench = Bench::new();
        let query = vec![3; 65_535];
        for octets in framed(&[&query]).chunks(4096) {
            bench.step(SECOND, Some(octets));
        }
        assert_eq!(bench.got, framed(&[&query]));
    }
}
