//! The BFD Control packet: RFC 5880 §4.1, without authentication.
//!
//! ```text
//!  |Vers |  Diag   |Sta|P|F|C|A|D|M|  Detect Mult  |    Length     |
//!  |                       My Discriminator                        |
//!  |                      Your Discriminator                       |
//!  |                    Desired Min TX Interval                    |
//!  |                   Required Min RX Interval                    |
//!  |                 Required Min Echo RX Interval                 |
//! ```
//!
//! [`Packet::read`] refuses what RFC 5880 §6.8.6 discards before it looks for a session, each with its reason. Callers:
//! the session, the driver, which finds the session by the discriminator, and the fuzz target.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A packet without authentication.
pub const PACKET_OCTETS: usize = 24;

/// The state of a session, RFC 5880 §4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// Taken down by a person.
    AdminDown,
    /// Nothing is heard, or the other side hears nothing.
    Down,
    /// The other side is heard; whether it hears us is not known yet.
    Init,
    /// Both hear each other.
    Up,
}

impl State {
    /// The state's name as RFC 5880 writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AdminDown => "AdminDown",
            Self::Down => "Down",
            Self::Init => "Init",
            Self::Up => "Up",
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::AdminDown => 0,
            Self::Down => 1,
            Self::Init => 2,
            Self::Up => 3,
        }
    }

    fn of_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::AdminDown,
            1 => Self::Down,
            2 => Self::Init,
            _ => Self::Up,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a session went down last: a diagnostic code of RFC 5880 §4.1 and RFC 6428.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Diagnostic(u8);

impl Diagnostic {
    /// Nothing happened yet.
    pub const NONE: Self = Self(0);
    /// Nothing was heard for the detection time.
    pub const DETECTION_TIME_EXPIRED: Self = Self(1);
    /// The other side said that it is down.
    pub const NEIGHBOUR_DOWN: Self = Self(3);
    /// A person took it down.
    pub const ADMINISTRATIVELY_DOWN: Self = Self(7);

    /// The code of five bits.
    pub fn code(self) -> u8 {
        self.0
    }

    /// The diagnostic of a code; only the lowest five bits count.
    pub fn of_code(code: u8) -> Self {
        Self(code & 0x1f)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            0 => "no diagnostic",
            1 => "control detection time expired",
            2 => "echo function failed",
            3 => "neighbour signaled session down",
            4 => "forwarding plane reset",
            5 => "path down",
            6 => "concatenated path down",
            7 => "administratively down",
            8 => "reverse concatenated path down",
            code => return write!(f, "diagnostic {code}"),
        };
        f.write_str(words)
    }
}

/// The Poll and Final bits, which never stand together (RFC 5880 §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sequence {
    /// Neither.
    None,
    /// The sender wants an answer with Final at once.
    Poll,
    /// The answer.
    Final,
}

/// Whether the sender wants to hear nothing while both are up, RFC 5880 §6.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Demand {
    /// It does not ask for that; this implementation never does.
    Off,
    /// It does.
    On,
}

/// A control packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// Why the sender's session went down last.
    pub diagnostic: Diagnostic,
    /// The sender's state.
    pub state: State,
    /// Poll or Final.
    pub sequence: Sequence,
    /// Demand mode.
    pub demand: Demand,
    /// How many packets may be missed in a row.
    pub multiplier: u8,
    /// The sender's name for the session.
    pub my_discriminator: NonZeroU32,
    /// The receiver's name for it, as the sender heard it.
    pub your_discriminator: Option<NonZeroU32>,
    /// The shortest interval at which the sender would send.
    pub desired_min_tx: Duration,
    /// The shortest interval at which the sender takes packets; zero asks for none.
    pub required_min_rx: Duration,
    /// The same for Echo packets; zero, since none are spoken here.
    pub required_min_echo_rx: Duration,
}

/// Why octets are no packet for us: RFC 5880 §6.8.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Less than the mandatory section.
    #[error("a packet of {0} octets is too short; 24 are the least")]
    Short(usize),
    /// Another version.
    #[error("version {0} is not spoken; 1 is")]
    Version(u8),
    /// The length field does not fit.
    #[error("the length field says {said} of {octets} octets")]
    Length {
        /// What the field says.
        said: u8,
        /// What arrived.
        octets: usize,
    },
    /// Nothing may be missed.
    #[error("the detection multiplier is 0")]
    Multiplier,
    /// The Multipoint bit, which RFC 5880 reserves.
    #[error("the multipoint bit is set")]
    Multipoint,
    /// The sender has no name for its session.
    #[error("the sender's discriminator is 0")]
    MyDiscriminator,
    /// Only a session that is down may not know our name.
    #[error("our discriminator is 0 in state {0}")]
    YourDiscriminator(State),
    /// Authentication, which is not in use.
    #[error("the packet is authenticated, and no key is in use")]
    Authenticated,
    /// Both bits at once.
    #[error("Poll and Final stand together")]
    PollAndFinal,
}

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTHENTICATED: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

impl Packet {
    /// Reads a packet that came in a datagram of its own.
    pub fn read(octets: &[u8]) -> Result<Self, Malformed> {
        let Some((&[first, second, multiplier, said], rest)) = octets.split_first_chunk::<4>() else {
            return Err(Malformed::Short(octets.len()));
        };
        let (words, _) = rest.as_chunks::<4>();
        let [mine, yours, tx, rx, echo, ..] = *words else { return Err(Malformed::Short(octets.len())) };
        let version = first >> 5;
        if version != 1 {
            return Err(Malformed::Version(version));
        }
        if usize::from(said) < PACKET_OCTETS || usize::from(said) > octets.len() {
            return Err(Malformed::Length { said, octets: octets.len() });
        }
        let state = State::of_bits(second >> 6);
        let sequence = match (second & POLL != 0, second & FINAL != 0) {
            (false, false) => Sequence::None,
            (true, false) => Sequence::Poll,
            (false, true) => Sequence::Final,
            (true, true) => return Err(Malformed::PollAndFinal),
        };
        if multiplier == 0 {
            return Err(Malformed::Multiplier);
        }
        if second & MULTIPOINT != 0 {
            return Err(Malformed::Multipoint);
        }
        let my_discriminator = NonZeroU32::new(u32::from_be_bytes(mine)).ok_or(Malformed::MyDiscriminator)?;
        let your_discriminator = NonZeroU32::new(u32::from_be_bytes(yours));
        if your_discriminator.is_none() && !matches!(state, State::Down | State::AdminDown) {
            return Err(Malformed::YourDiscriminator(state));
        }
        if second & AUTHENTICATED != 0 {
            return Err(Malformed::Authenticated);
        }
        let interval = |octets| Duration::from_micros(u64::from(u32::from_be_bytes(octets)));
        Ok(Self {
            diagnostic: Diagnostic::of_code(first),
            state,
            sequence,
            demand: if second & DEMAND != 0 { Demand::On } else { Demand::Off },
            multiplier,
            my_discriminator,
            your_discriminator,
            desired_min_tx: interval(tx),
            required_min_rx: interval(rx),
            required_min_echo_rx: interval(echo),
        })
    }

    /// The packet's octets.
    pub fn octets(&self) -> [u8; PACKET_OCTETS] {
        let mut out = [0; PACKET_OCTETS];
        let sequence = match self.sequence {
            Sequence::None => 0,
            Sequence::Poll => POLL,
            Sequence::Final => FINAL,
        };
        let demand = match self.demand {
            Demand::Off => 0,
            Demand::On => DEMAND,
        };
        let head = [
            1 << 5 | self.diagnostic.code(),
            self.state.bits() << 6 | sequence | demand,
            self.multiplier,
            24, // PACKET_OCTETS
        ];
        let interval = |time: Duration| u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        let words = [
            self.my_discriminator.get(),
            self.your_discriminator.map_or(0, NonZeroU32::get),
            interval(self.desired_min_tx),
            interval(self.required_min_rx),
            interval(self.required_min_echo_rx),
        ];
        for (place, octet) in
            out.iter_mut().zip(head.into_iter().chain(words.into_iter().flat_map(u32::to_be_bytes)))
        {
            *place = octet;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet() -> Packet {
        Packet {
            diagnostic: Diagnostic::DETECTION_TIME_EXPIRED,
            state: State::Init,
            sequence: Sequence::Poll,
            demand: Demand::Off,
            multiplier: 3,
            my_discriminator: NonZeroU32::new(0x0102_0304).unwrap(),
            your_discriminator: NonZeroU32::new(0x0a0b_0c0d),
            desired_min_tx: Duration::from_millis(300),
            required_min_rx: Duration::from_secs(1),
            required_min_echo_rx: Duration::ZERO,
        }
    }

    #[test]
    fn a_packet_is_written_as_rfc_5880_draws_it_and_reads_back() {
        let expected = [
            0x21, 0xa0, 3, 24, // version 1, diagnostic 1; Init, Poll
            1, 2, 3, 4, 0xa, 0xb, 0xc, 0xd, // discriminators
            0, 4, 0x93, 0xe0, // 300000 microseconds
            0, 0xf, 0x42, 0x40, // 1000000 microseconds
            0, 0, 0, 0,
        ];
        assert_eq!(packet().octets(), expected);
        assert_eq!(Packet::read(&expected), Ok(packet()));
    }

    #[test]
    fn what_rfc_5880_discards_is_refused_with_its_reason() {
        let good = packet().octets();
        let with = |place: usize, octet: u8| {
            let mut octets = good;
            octets[place] = octet;
            Packet::read(&octets)
        };
        assert_eq!(Packet::read(&good[..23]), Err(Malformed::Short(23)));
        assert_eq!(Packet::read(&[]), Err(Malformed::Short(0)));
        assert_eq!(with(0, 0x41), Err(Malformed::Version(2)));
        assert_eq!(with(3, 23), Err(Malformed::Length { said: 23, octets: 24 }));
        assert_eq!(with(3, 25), Err(Malformed::Length { said: 25, octets: 24 }));
        assert_eq!(with(2, 0), Err(Malformed::Multiplier));
        assert_eq!(with(1, 0xa1), Err(Malformed::Multipoint));
        assert_eq!(with(1, 0xa4), Err(Malformed::Authenticated));
        assert_eq!(with(1, 0xb0), Err(Malformed::PollAndFinal));
        let mut nameless = good;
        nameless[4..8].fill(0);
        assert_eq!(Packet::read(&nameless), Err(Malformed::MyDiscriminator));
        let mut strange = good;
        strange[8..12].fill(0);
        assert_eq!(Packet::read(&strange), Err(Malformed::YourDiscriminator(State::Init)));
        strange[1] = 0x40;
        assert_eq!(
            Packet::read(&strange).unwrap().your_discriminator,
            None,
            "a session that is down may say none"
        );
    }

    #[test]
    fn octets_behind_the_packet_mean_nothing() {
        let longer = [&packet().octets()[..], &[9; 8]].concat();
        assert_eq!(Packet::read(&longer), Ok(packet()));
    }
}
