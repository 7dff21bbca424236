//! NOTIFICATION: why a session ended, in the code's octets and in a person's words.
//!
//! The words cover every code and subcode of RFC 4271, 5492, 4486, 6608, 7313, 8538, 9003, 9234, 9384 and 9687;
//! others are printed by number. [`Notification`] is what the wire carries and nothing else: what exactly was
//! wrong stands beside it, in the event's `detail`.

use std::fmt;

/// A NOTIFICATION message: RFC 4271 §4.5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The error code.
    pub code: u8,
    /// The error subcode; 0 where the code has none.
    pub subcode: u8,
    /// The data, whose meaning depends on code and subcode.
    pub data: Vec<u8>,
}

/// Message Header Error.
pub(crate) const HEADER: u8 = 1;
/// OPEN Message Error.
pub(crate) const OPEN: u8 = 2;
/// UPDATE Message Error.
pub(crate) const UPDATE: u8 = 3;
/// Hold Timer Expired.
pub(crate) const HOLD_TIMER: u8 = 4;
/// Finite State Machine Error.
pub(crate) const FSM: u8 = 5;
/// Cease.
pub(crate) const CEASE: u8 = 6;
/// ROUTE-REFRESH Message Error, RFC 7313.
pub(crate) const REFRESH: u8 = 7;
/// Send Hold Timer Expired, RFC 9687.
pub(crate) const SEND_HOLD_TIMER: u8 = 8;

const ADMINISTRATIVE_SHUTDOWN: u8 = 2;
const ADMINISTRATIVE_RESET: u8 = 4;

impl Notification {
    pub(crate) fn new(code: u8, subcode: u8, data: impl Into<Vec<u8>>) -> Self {
        Self { code, subcode, data: data.into() }
    }

    /// The error code in words.
    pub fn code_name(&self) -> &'static str {
        match self.code {
            HEADER => "Message Header Error",
            OPEN => "OPEN Message Error",
            UPDATE => "UPDATE Message Error",
            HOLD_TIMER => "Hold Timer Expired",
            FSM => "Finite State Machine Error",
            CEASE => "Cease",
            REFRESH => "ROUTE-REFRESH Message Error",
            SEND_HOLD_TIMER => "Send Hold Timer Expired",
            _ => "unknown error",
        }
    }

    /// The subcode in words; nothing for a code that has none, or a subcode that no RFC names.
    pub fn subcode_name(&self) -> Option<&'static str> {
        Some(match (self.code, self.subcode) {
            (HEADER, 1) => "Connection Not Synchronized",
            (HEADER, 2) => "Bad Message Length",
            (HEADER, 3) => "Bad Message Type",
            (OPEN, 1) => "Unsupported Version Number",
            (OPEN, 2) => "Bad Peer AS",
            (OPEN, 3) => "Bad BGP Identifier",
            (OPEN, 4) => "Unsupported Optional Parameter",
            (OPEN, 5) => "Authentication Failure",
            (OPEN, 6) => "Unacceptable Hold Time",
            (OPEN, 7) => "Unsupported Capability",
            (OPEN, 11) => "Role Mismatch",
            (UPDATE, 1) => "Malformed Attribute List",
            (UPDATE, 2) => "Unrecognized Well-known Attribute",
            (UPDATE, 3) => "Missing Well-known Attribute",
            (UPDATE, 4) => "Attribute Flags Error",
            (UPDATE, 5) => "Attribute Length Error",
            (UPDATE, 6) => "Invalid ORIGIN Attribute",
            (UPDATE, 7) => "AS Routing Loop",
            (UPDATE, 8) => "Invalid NEXT_HOP Attribute",
            (UPDATE, 9) => "Optional Attribute Error",
            (UPDATE, 10) => "Invalid Network Field",
            (UPDATE, 11) => "Malformed AS_PATH",
            (FSM, 1) => "Receive Unexpected Message in OpenSent State",
            (FSM, 2) => "Receive Unexpected Message in OpenConfirm State",
            (FSM, 3) => "Receive Unexpected Message in Established State",
            (CEASE, 1) => "Maximum Number of Prefixes Reached",
            (CEASE, 2) => "Administrative Shutdown",
            (CEASE, 3) => "Peer De-configured",
            (CEASE, 4) => "Administrative Reset",
            (CEASE, 5) => "Connection Rejected",
            (CEASE, 6) => "Other Configuration Change",
            (CEASE, 7) => "Connection Collision Resolution",
            (CEASE, 8) => "Out of Resources",
            (CEASE, 9) => "Hard Reset",
            (CEASE, 10) => "BFD Down",
            (REFRESH, 1) => "Invalid Message Length",
            _ => return None,
        })
    }

    /// The text that the people at the other end gave for a shutdown or reset: RFC 9003 §2. Nothing if there is
    /// none; an error in words if there is one that cannot be read.
    pub fn shutdown_text(&self) -> Result<Option<&str>, &'static str> {
        let (CEASE, ADMINISTRATIVE_SHUTDOWN | ADMINISTRATIVE_RESET) = (self.code, self.subcode) else {
            return Ok(None);
        };
        let Some((&len, text)) = self.data.split_first() else { return Ok(None) };
        if usize::from(len) != text.len() {
            return Err("its length is not the one that the message says");
        }
        let text = std::str::from_utf8(text).map_err(|_| "it is not UTF-8")?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// What the data mean, where they mean something to a person.
    fn data_in_words(&self) -> Option<String> {
        let number = match *self.data.as_slice() {
            [a, b] => Some(u16::from_be_bytes([a, b])),
            _ => None,
        };
        match (self.code, self.subcode) {
            (HEADER, 2) => number.map(|n| format!("length {n}")),
            (HEADER, 3) => self.data.first().map(|n| format!("type {n}")),
            (OPEN, 1) => number.map(|n| format!("version {n} is spoken")),
            (OPEN, 7) => self.data.first().map(|&n| capability_name(n)),
            (FSM, 1..=3) => self.data.first().map(|&n| super::codec::type_name(n)),
            (CEASE, ADMINISTRATIVE_SHUTDOWN | ADMINISTRATIVE_RESET) => match self.shutdown_text() {
                // Control characters of a stranger do not belong on a terminal or in a log.
                Ok(text) => text.map(|text| format!("\u{201c}{}\u{201d}", printable(text))),
                Err(why) => Some(format!("text unreadable: {why}")),
            },
            _ => None,
        }
    }
}

fn capability_name(code: u8) -> String {
    match code {
        1 => "capability Multiprotocol Extensions".to_owned(),
        2 => "capability Route Refresh".to_owned(),
        65 => "capability four-octet AS numbers".to_owned(),
        n => format!("capability {n}"),
    }
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code_name())?;
        match self.subcode_name() {
            Some(name) => write!(f, "/{name}")?,
            None if self.subcode != 0 => write!(f, "/unknown subcode")?,
            None => {}
        }
        write!(f, " ({}/{})", self.code, self.subcode)?;
        match self.data_in_words() {
            Some(words) => write!(f, ": {words}"),
            None => Ok(()),
        }
    }
}

/// The end of a session by our own operator or policy: a Cease of RFC 4486 with the text of RFC 9003.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shutdown {
    kind: ShutdownKind,
    text: String,
}

/// What sort of end it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShutdownKind {
    /// Administrative Shutdown: do not expect us back soon.
    Shutdown,
    /// Administrative Reset: we shall be back.
    Reset,
    /// Peer De-configured: this neighbour is no longer in our configuration. Carries no text on the wire.
    Deconfigured,
}

impl Shutdown {
    /// The longest text, in octets of UTF-8: its length is one octet (RFC 9003 §2).
    pub const MAX_TEXT: usize = 255;

    /// An end with a text for the people at the other end; a longer text than [`Shutdown::MAX_TEXT`] is cut
    /// between two characters. The text may be empty.
    pub fn new(kind: ShutdownKind, text: &str) -> Self {
        let mut end = text.len().min(Self::MAX_TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self { kind, text: text.get(..end).unwrap_or_default().to_owned() }
    }

    /// What sort of end it is.
    pub fn kind(&self) -> ShutdownKind {
        self.kind
    }

    /// The text, as it is sent.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn notification(&self) -> Notification {
        let subcode = match self.kind {
            ShutdownKind::Shutdown => ADMINISTRATIVE_SHUTDOWN,
            ShutdownKind::Reset => ADMINISTRATIVE_RESET,
            ShutdownKind::Deconfigured => return Notification::new(CEASE, 3, []),
        };
        let mut data = Vec::with_capacity(1 + self.text.len());
        if !self.text.is_empty() {
            data.push(u8::try_from(self.text.len()).unwrap_or(u8::MAX));
            data.extend_from_slice(self.text.as_bytes());
        }
        Notification::new(CEASE, subcode, data)
    }
}

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.notification())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notification_reads_as_the_rfc_names_it() {
        let cases: &[(u8, u8, &[u8], &str)] = &[
            (1, 0, &[], "Message Header Error (1/0)"),
            (1, 1, &[], "Message Header Error/Connection Not Synchronized (1/1)"),
            (1, 2, &[0, 18], "Message Header Error/Bad Message Length (1/2): length 18"),
            (1, 3, &[9], "Message Header Error/Bad Message Type (1/3): type 9"),
            (2, 0, &[], "OPEN Message Error (2/0)"),
            (2, 1, &[0, 4], "OPEN Message Error/Unsupported Version Number (2/1): version 4 is spoken"),
            (2, 2, &[], "OPEN Message Error/Bad Peer AS (2/2)"),
            (2, 3, &[], "OPEN Message Error/Bad BGP Identifier (2/3)"),
            (2, 4, &[], "OPEN Message Error/Unsupported Optional Parameter (2/4)"),
            (2, 5, &[], "OPEN Message Error/Authentication Failure (2/5)"),
            (2, 6, &[], "OPEN Message Error/Unacceptable Hold Time (2/6)"),
            (
                2,
                7,
                &[1, 4, 0, 2, 0, 1],
                "OPEN Message Error/Unsupported Capability (2/7): capability Multiprotocol Extensions",
            ),
            (2, 11, &[], "OPEN Message Error/Role Mismatch (2/11)"),
            (3, 1, &[], "UPDATE Message Error/Malformed Attribute List (3/1)"),
            (3, 2, &[], "UPDATE Message Error/Unrecognized Well-known Attribute (3/2)"),
            (3, 3, &[], "UPDATE Message Error/Missing Well-known Attribute (3/3)"),
            (3, 4, &[], "UPDATE Message Error/Attribute Flags Error (3/4)"),
            (3, 5, &[], "UPDATE Message Error/Attribute Length Error (3/5)"),
            (3, 6, &[], "UPDATE Message Error/Invalid ORIGIN Attribute (3/6)"),
            (3, 7, &[], "UPDATE Message Error/AS Routing Loop (3/7)"),
            (3, 8, &[], "UPDATE Message Error/Invalid NEXT_HOP Attribute (3/8)"),
            (3, 9, &[], "UPDATE Message Error/Optional Attribute Error (3/9)"),
            (3, 10, &[], "UPDATE Message Error/Invalid Network Field (3/10)"),
            (3, 11, &[], "UPDATE Message Error/Malformed AS_PATH (3/11)"),
            (4, 0, &[], "Hold Timer Expired (4/0)"),
            (5, 0, &[], "Finite State Machine Error (5/0)"),
            (
                5,
                1,
                &[2],
                "Finite State Machine Error/Receive Unexpected Message in OpenSent State (5/1): UPDATE",
            ),
            (
                5,
                2,
                &[1],
                "Finite State Machine Error/Receive Unexpected Message in OpenConfirm State (5/2): OPEN",
            ),
            (5, 3, &[], "Finite State Machine Error/Receive Unexpected Message in Established State (5/3)"),
            (6, 1, &[0, 1, 1], "Cease/Maximum Number of Prefixes Reached (6/1)"),
            (6, 2, b"\x05hello", "Cease/Administrative Shutdown (6/2): \u{201c}hello\u{201d}"),
            (
                6,
                2,
                b"\x09hello",
                "Cease/Administrative Shutdown (6/2): text unreadable: its length is not the one that the message says",
            ),
            (6, 2, b"\x02\xff\xfe", "Cease/Administrative Shutdown (6/2): text unreadable: it is not UTF-8"),
            (6, 2, b"\x04a\x1b[m", "Cease/Administrative Shutdown (6/2): \u{201c}a\u{fffd}[m\u{201d}"),
            (6, 2, b"\x00", "Cease/Administrative Shutdown (6/2)"),
            (6, 3, &[], "Cease/Peer De-configured (6/3)"),
            (6, 4, b"\x02ok", "Cease/Administrative Reset (6/4): \u{201c}ok\u{201d}"),
            (6, 5, &[], "Cease/Connection Rejected (6/5)"),
            (6, 6, &[], "Cease/Other Configuration Change (6/6)"),
            (6, 7, &[], "Cease/Connection Collision Resolution (6/7)"),
            (6, 8, &[], "Cease/Out of Resources (6/8)"),
            (6, 9, &[6, 2], "Cease/Hard Reset (6/9)"),
            (6, 10, &[], "Cease/BFD Down (6/10)"),
            (6, 99, &[], "Cease/unknown subcode (6/99)"),
            (7, 1, &[], "ROUTE-REFRESH Message Error/Invalid Message Length (7/1)"),
            (8, 0, &[], "Send Hold Timer Expired (8/0)"),
            (77, 7, &[1], "unknown error/unknown subcode (77/7)"),
        ];
        for (code, subcode, data, words) in cases {
            assert_eq!(Notification::new(*code, *subcode, *data).to_string(), *words);
        }
    }

    #[test]
    fn a_shutdown_text_is_cut_between_characters() {
        let long = "\u{e4}".repeat(200);
        let shutdown = Shutdown::new(ShutdownKind::Shutdown, &long);
        assert_eq!(shutdown.text(), "\u{e4}".repeat(127));
        let notification = shutdown.notification();
        assert_eq!(notification.data.first(), Some(&254));
        assert_eq!(notification.shutdown_text(), Ok(Some(shutdown.text())));
    }

    #[test]
    fn an_empty_shutdown_text_is_not_sent() {
        assert_eq!(Shutdown::new(ShutdownKind::Reset, "").notification(), Notification::new(6, 4, []));
        assert_eq!(
            Shutdown::new(ShutdownKind::Deconfigured, "moved").notification(),
            Notification::new(6, 3, [])
        );
    }
}
