//! The way by which one process leaves open sockets to another: a pair of connected unix sockets, descriptors in
//! control messages (SCM_RIGHTS, unix(7)), and a clock that both read alike.
//!
//! `pharos announce` calls it at a planned restart: the running process makes a [`pair`], gives one end to its successor
//! as standard input, and sends what it has in a [`Parcel`]. Messages keep their bounds (SOCK_SEQPACKET), and the end of
//! either process is the end of the stream for the other. Every wait has a bound. What is in a parcel is not known here.
//!
//! Standard input is used because nothing else reaches a child without a moment in which programs that other threads
//! start would inherit it too.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use socket2::{Domain, SockRef, Socket, Type};

/// Octets of one message; a parcel goes in as many as it needs.
const MESSAGE_OCTETS: usize = 32 * 1024;
/// Descriptors of one message; the kernel allows 253 (SCM_MAX_FD).
const MESSAGE_DESCRIPTORS: usize = 64;
/// The largest parcel: a node with a hundred thousand zones' signals fits several times.
const PARCEL_OCTETS: usize = 256 << 20;
/// The most descriptors in a parcel, well above the neighbours that a node can have.
const PARCEL_DESCRIPTORS: usize = 8192;

/// One end of the way.
#[derive(Debug)]
pub struct Channel(Socket);

/// Octets with open descriptors.
#[derive(Debug, Default)]
pub struct Parcel {
    /// What the descriptors are, and everything else.
    pub octets: Vec<u8>,
    /// In an order that the octets explain.
    pub descriptors: Vec<OwnedFd>,
}

/// A way: our end, and the end that becomes standard input of a child.
pub fn pair() -> io::Result<(Channel, OwnedFd)> {
    let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    Ok((Channel(ours), theirs.into()))
}

/// This moment by a clock that every process of this host reads alike, and that no one sets (CLOCK_MONOTONIC).
pub fn moment() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

impl Channel {
    /// Claims the end that a predecessor gave this process as standard input, which becomes /dev/null. Anything else on
    /// standard input is an error, and stays there.
    pub fn from_standard_input() -> io::Result<Self> {
        let stdin = io::stdin();
        let is_channel = SockRef::from(&stdin).r#type().is_ok_and(|kind| kind == Type::SEQPACKET);
        if !is_channel {
            let why = "standard input is not a socket of the process before";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let socket = Socket::from(stdin.as_fd().try_clone_to_owned()?);
        let nothing = std::fs::File::open("/dev/null")?;
        rustix::stdio::dup2_stdin(&nothing)?;
        Ok(Self(socket))
    }

    /// Sends a few words: at most 32 KiB.
    pub fn say(&self, words: &str, within: Duration) -> io::Result<()> {
        self.send(words.as_bytes(), &[], within)
    }

    /// Waits for a few words; `None` when the other end is closed.
    pub fn hear(&self, within: Duration) -> io::Result<Option<String>> {
        let Some((octets, _)) = self.receive(within)? else { return Ok(None) };
        String::from_utf8(octets).map(Some).map_err(|error| wrong(&error.to_string()))
    }

    /// Sends a parcel; the descriptors stay open here too. The bound is on all of it.
    pub fn send_parcel(
        &self,
        octets: &[u8],
        descriptors: &[BorrowedFd<'_>],
        within: Duration,
    ) -> io::Result<()> {
        let bound = Bound::new(within);
        self.say(&format!("parcel {} {}", octets.len(), descriptors.len()), within)?;
        for chunk in octets.chunks(MESSAGE_OCTETS) {
            self.send(chunk, &[], bound.left()?)?;
        }
        for some in descriptors.chunks(MESSAGE_DESCRIPTORS) {
            // Control messages travel with at least one octet.
            self.send(b"d", some, bound.left()?)?;
        }
        Ok(())
    }

    /// Waits for a parcel; `None` when the other end is closed before it begins. The bound is on all of it.
    pub fn receive_parcel(&self, within: Duration) -> io::Result<Option<Parcel>> {
        let bound = Bound::new(within);
        let Some(words) = self.hear(within)? else { return Ok(None) };
        let (octets, descriptors) = sizes(&words).ok_or_else(|| wrong(&format!("{words:?}")))?;
        let mut parcel = Parcel::default();
        while parcel.octets.len() < octets {
            let (chunk, _) = self.receive(bound.left()?)?.ok_or_else(cut_off)?;
            parcel.octets.extend_from_slice(&chunk);
        }
        while parcel.descriptors.len() < descriptors {
            let (_, some) = self.receive(bound.left()?)?.ok_or_else(cut_off)?;
            if some.is_empty() {
                return Err(wrong("a message without the descriptors that it should have"));
            }
            parcel.descriptors.extend(some);
        }
        if (parcel.octets.len(), parcel.descriptors.len()) != (octets, descriptors) {
            return Err(wrong("more than was said"));
        }
        Ok(Some(parcel))
    }

    fn send(&self, octets: &[u8], descriptors: &[BorrowedFd<'_>], within: Duration) -> io::Result<()> {
        self.0.set_write_timeout(Some(bounded(within)))?;
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut room);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(wrong("too many descriptors for one message"));
        }
        let sent = sendmsg(&self.0, &[IoSlice::new(octets)], &mut control, SendFlags::NOSIGNAL)?;
        if sent == octets.len() { Ok(()) } else { Err(wrong("a message was cut")) }
    }

    fn receive(&self, within: Duration) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        self.0.set_read_timeout(Some(bounded(within)))?;
        let mut octets = vec![0; MESSAGE_OCTETS];
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut room);
        let received =
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut octets)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(some) = message {
                descriptors.extend(some);
            }
        }
        octets.truncate(received.bytes);
        // No message of ours is empty, and so this is the end.
        Ok((received.bytes > 0).then_some((octets, descriptors)))
    }
}

/// How long all of something may take.
#[derive(Clone, Copy, Debug)]
struct Bound {
    begun: Instant,
    within: Duration,
}

impl Bound {
    fn new(within: Duration) -> Self {
        Self { begun: Instant::now(), within }
    }

    /// What is left of it for the next part.
    fn left(self) -> io::Result<Duration> {
        let left = self.within.checked_sub(self.begun.elapsed()).filter(|left| !left.is_zero());
        left.ok_or_else(|| {
            let why = format!("the other process took longer than {:?} for all of it", self.within);
            io::Error::new(io::ErrorKind::TimedOut, why)
        })
    }
}

/// Zero would mean for ever.
fn bounded(within: Duration) -> Duration {
    within.max(Duration::from_millis(1))
}

fn sizes(words: &str) -> Option<(usize, usize)> {
    let (octets, descriptors) = words.strip_prefix("parcel ")?.split_once(' ')?;
    let (octets, descriptors) = (octets.parse().ok()?, descriptors.parse().ok()?);
    (octets <= PARCEL_OCTETS && descriptors <= PARCEL_DESCRIPTORS).then_some((octets, descriptors))
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a message that makes no sense: {what}"))
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the other process ended in the middle of it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    /// Against a hang only.
    const LONG: Duration = Duration::from_secs(60);

    fn both() -> (Channel, Channel) {
        let (ours, theirs) = pair().unwrap();
        (ours, Channel(Socket::from(theirs)))
    }

    #[test]
    fn a_parcel_of_any_size_arrives_whole_with_its_descriptors_in_order() {
        let (ours, theirs) = both();
        let pairs: Vec<_> = (0..150).map(|_| UnixStream::pair().unwrap()).collect();
        let octets: Vec<u8> = (0..1_000_003_u32).map(|n| n as u8).collect();
        let sender = std::thread::spawn({
            let octets = octets.clone();
            let near: Vec<_> = pairs.iter().map(|(near, _)| near.try_clone().unwrap()).collect();
            move || {
                let near: Vec<_> = near.iter().map(AsFd::as_fd).collect();
                ours.send_parcel(&octets, &near, LONG).unwrap();
                ours
            }
        });
        let parcel = theirs.receive_parcel(LONG).unwrap().unwrap();
        assert!(parcel.octets == octets);
        assert_eq!(parcel.descriptors.len(), 150);
        for (n, (descriptor, (_, far))) in parcel.descriptors.into_iter().zip(&pairs).enumerate() {
            UnixStream::from(descriptor).write_all(&[n as u8]).unwrap();
            let mut heard = [0];
            (&*far).read_exact(&mut heard).unwrap();
            assert_eq!(heard, [n as u8]);
        }
        let ours = sender.join().unwrap();
        theirs.say("mine", LONG).unwrap();
        assert_eq!(ours.hear(LONG).unwrap().as_deref(), Some("mine"));
        drop(theirs);
        assert_eq!(ours.hear(LONG).unwrap(), None, "the end of the other process is the end of the stream");
        assert!(ours.say("yours", LONG).is_err());
    }

    #[test]
    fn a_parcel_that_breaks_off_or_lies_about_its_size_is_an_error() {
        for (words, octets) in [
            ("parcel 10 0", &b"short"[..]),
            ("parcel 3 0", b"longer"),
            ("parcel 1 1", b"x"),
            ("parcel 999999999999 0", b"x"),
            ("letter", b"x"),
        ] {
            let (ours, theirs) = both();
            ours.say(words, LONG).unwrap();
            ours.send(octets, &[], LONG).unwrap();
            drop(ours);
            assert!(theirs.receive_parcel(LONG).is_err(), "{words}");
        }
    }

    #[test]
    fn who_sends_a_parcel_octet_by_octet_does_not_get_the_whole_bound_for_each() {
        let (ours, theirs) = both();
        let sender = std::thread::spawn(move || {
            ours.say(&format!("parcel {PARCEL_OCTETS} 0"), LONG).unwrap();
            // Until nobody listens any more.
            while ours.send(b"x", &[], LONG).is_ok() {}
        });
        let error = theirs.receive_parcel(Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        sender.join().unwrap();
    }

    #[test]
    fn who_takes_a_parcel_message_by_message_does_not_get_the_whole_bound_for_each() {
        let (ours, theirs) = both();
        let taker = std::thread::spawn(move || while let Ok(Some(_)) = theirs.receive(LONG) {});
        // No machine moves so much in this time; each message alone would fit.
        let error = ours.send_parcel(&vec![0; 128 << 20], &[], Duration::from_millis(2)).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{error}");
        drop(ours);
        taker.join().unwrap();
    }

    #[test]
    fn who_says_nothing_is_not_waited_for() {
        let (_ours, theirs) = both();
        assert!(theirs.hear(Duration::from_millis(1)).is_err());
    }
}
