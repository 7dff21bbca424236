//! The edge to the wire: the only module (with its two children) that knows octets, and the only one that knows
//! the codec crate, so that replacing that crate touches nothing else.
//!
//! Division of labour. Whatever decides what becomes of the session is ours: the message header, the lengths
//! inside OPEN and UPDATE, OPEN itself (the crate numbers the roles of RFC 9234 otherwise than the RFC), the walk over
//! parameters and attributes, prefixes, and NOTIFICATION. The codec crate writes path attributes, and reads the values
//! of single ones whose extent we have already bounded. Two reasons: RFC 7606 asks to judge attribute by attribute, where the crate fails a message as a
//! whole; and an attribute that is cut out beforehand can neither make it read on nor allocate more than
//! 4096 octets are worth.
//!
//! [`Inbox`] cuts the stream into messages, whatever the transport's chunks are, and never holds more than one.

pub(crate) mod read;
pub(crate) mod write;

use super::notification::{self, Notification};

/// Marker, length and type: RFC 4271 §4.1.
pub(crate) const HEADER_LEN: usize = 19;
/// The longest message; RFC 8654 (64 KiB messages) is not offered.
pub(crate) const MAX_LEN: usize = 4096;

/// The five message types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Open = 1,
    Update = 2,
    Notification = 3,
    Keepalive = 4,
    RouteRefresh = 5,
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Self> {
        Some(match octet {
            1 => Self::Open,
            2 => Self::Update,
            3 => Self::Notification,
            4 => Self::Keepalive,
            5 => Self::RouteRefresh,
            _ => return None,
        })
    }

    /// The possible lengths of a message, header included: RFC 4271 §4.2 to §4.5, RFC 2918 §3.
    fn lengths(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Open => 29..=MAX_LEN,
            Self::Update => 23..=MAX_LEN,
            Self::Notification => 21..=MAX_LEN,
            Self::Keepalive => HEADER_LEN..=HEADER_LEN,
            // Its length is judged with what was agreed: RFC 7313 §5.
            Self::RouteRefresh => HEADER_LEN..=MAX_LEN,
        }
    }
}

/// A message type as the RFCs write it.
pub(crate) fn type_name(octet: u8) -> String {
    match Kind::from_octet(octet) {
        Some(Kind::Open) => "OPEN".to_owned(),
        Some(Kind::Update) => "UPDATE".to_owned(),
        Some(Kind::Notification) => "NOTIFICATION".to_owned(),
        Some(Kind::Keepalive) => "KEEPALIVE".to_owned(),
        Some(Kind::RouteRefresh) => "ROUTE-REFRESH".to_owned(),
        None => format!("message type {octet}"),
    }
}

/// Why a session must end: what the neighbour is told, and what our operator is told beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) notification: Notification,
    pub(crate) detail: String,
}

impl Refusal {
    pub(crate) fn new(code: u8, subcode: u8, data: impl Into<Vec<u8>>, detail: impl Into<String>) -> Self {
        Self { notification: Notification::new(code, subcode, data), detail: detail.into() }
    }
}

/// A message whose header is right; the body is still unread.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) body: Vec<u8>,
}

/// The part of a message that has arrived so far.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    octets: Vec<u8>,
}

impl Inbox {
    /// Forgets a message that will never be completed: its connection is gone.
    pub(crate) fn clear(&mut self) {
        self.octets.clear();
    }

    /// The part of a message that has arrived so far.
    pub(crate) fn partial(&self) -> &[u8] {
        &self.octets
    }

    /// Goes on from such a part.
    pub(crate) fn resume(partial: Vec<u8>) -> Self {
        Self { octets: partial }
    }

    /// Takes octets from the front of `chunk` until one message is whole. `None` when the chunk is used up
    /// before that.
    pub(crate) fn next_frame(&mut self, chunk: &mut &[u8]) -> Result<Option<Frame>, Refusal> {
        if !self.fill(chunk, HEADER_LEN) {
            return Ok(None);
        }
        let (kind, len) = header(&self.octets)?;
        if !self.fill(chunk, len) {
            return Ok(None);
        }
        let body = self.octets.split_off(HEADER_LEN);
        self.octets.clear();
        Ok(Some(Frame { kind, body }))
    }

    /// Whether `len` octets are there, after taking what is missing from `chunk`.
    fn fill(&mut self, chunk: &mut &[u8], len: usize) -> bool {
        let missing = len.saturating_sub(self.octets.len());
        let (taken, rest) = chunk.split_at_checked(missing).unwrap_or((chunk, &[]));
        self.octets.extend_from_slice(taken);
        *chunk = rest;
        self.octets.len() >= len
    }
}

/// Checks a message header, RFC 4271 §6.1.
fn header(octets: &[u8]) -> Result<(Kind, usize), Refusal> {
    let Some((marker, &[a, b, kind])) = octets.get(..HEADER_LEN).and_then(<[u8]>::split_last_chunk::<3>)
    else {
        return Err(Refusal::new(notification::HEADER, 2, [], "a message without a header"));
    };
    if marker.iter().any(|&octet| octet != 0xff) {
        let detail = "a message does not begin with sixteen octets of ones; is the peer a BGP speaker?";
        return Err(Refusal::new(notification::HEADER, 1, [], detail));
    }
    let len = usize::from(u16::from_be_bytes([a, b]));
    let bad_length = |what: &str| {
        let detail = format!("{what} cannot be {len} octets long");
        Refusal::new(notification::HEADER, 2, [a, b], detail)
    };
    if !(HEADER_LEN..=MAX_LEN).contains(&len) {
        return Err(bad_length("a message"));
    }
    let Some(known) = Kind::from_octet(kind) else {
        let detail = format!("there is no message type {kind}");
        return Err(Refusal::new(notification::HEADER, 3, [kind], detail));
    };
    if !known.lengths().contains(&len) {
        return Err(bad_length(&type_name(kind)));
    }
    Ok((known, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(chunks: &[&[u8]]) -> Result<Vec<Frame>, Refusal> {
        let mut inbox = Inbox::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            let mut chunk = *chunk;
            while let Some(frame) = inbox.next_frame(&mut chunk)? {
                frames.push(frame);
            }
            assert!(chunk.is_empty());
        }
        Ok(frames)
    }

    fn message(kind: u8, len: u16) -> Vec<u8> {
        let mut octets = vec![0xff; 16];
        octets.extend(len.to_be_bytes());
        octets.push(kind);
        octets.resize(usize::from(len).max(HEADER_LEN), 7);
        octets
    }

    #[test]
    fn messages_are_the_same_however_the_transport_cuts_them() {
        let stream = [write::keepalive(), message(2, 30), message(3, 21), write::keepalive()].concat();
        let whole = frames(&[&stream]).unwrap();
        assert_eq!(
            whole.iter().map(|f| (f.kind, f.body.len())).collect::<Vec<_>>(),
            [(Kind::Keepalive, 0), (Kind::Update, 11), (Kind::Notification, 2), (Kind::Keepalive, 0)]
        );
        for size in 1..stream.len() {
            let chunks: Vec<&[u8]> = stream.chunks(size).collect();
            assert_eq!(frames(&chunks).unwrap(), whole, "chunks of {size}");
        }
    }

    #[test]
    fn a_bad_header_is_refused_with_the_code_and_data_of_the_rfc() {
        let mut unsynchronized = message(4, 19);
        unsynchronized[15] = 0xfe;
        let cases: [(Vec<u8>, u8, &[u8], &str); 8] = [
            (
                unsynchronized,
                1,
                &[],
                "a message does not begin with sixteen octets of ones; is the peer a BGP speaker?",
            ),
            (message(4, 18), 2, &[0, 18], "a message cannot be 18 octets long"),
            (message(2, 4097), 2, &[0x10, 1], "a message cannot be 4097 octets long"),
            (message(1, 28), 2, &[0, 28], "OPEN cannot be 28 octets long"),
            (message(2, 22), 2, &[0, 22], "UPDATE cannot be 22 octets long"),
            (message(3, 20), 2, &[0, 20], "NOTIFICATION cannot be 20 octets long"),
            (message(4, 20), 2, &[0, 20], "KEEPALIVE cannot be 20 octets long"),
            (message(6, 19), 3, &[6], "there is no message type 6"),
        ];
        for (octets, subcode, data, detail) in cases {
            assert_eq!(frames(&[&octets]), Err(Refusal::new(1, subcode, data, detail)));
        }
    }
}
