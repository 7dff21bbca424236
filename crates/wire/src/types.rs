//! Numbers of the DNS with their names: record types, classes, opcodes and response codes.
//!
//! Only what the query path branches on has a constant here; the full table of mnemonics, with their text
//! forms, belongs to `pharos-zone`.

use core::fmt;

/// A record type or query type (RFC 1035 §3.2.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rtype(pub u16);

/// Declares the constants and their mnemonics in one place.
macro_rules! rtypes {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl Rtype {
            $($(#[$doc])* pub const $name: Self = Self($value);)*
            /// The mnemonic, where this crate knows the type.
            pub const fn mnemonic(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

rtypes! {
    /// IPv4 address (RFC 1035 §3.4.1).
    A = 1;
    /// Authoritative name server (RFC 1035 §3.3.11).
    NS = 2;
    /// Mail destination, obsolete (RFC 1035 §3.3.4).
    MD = 3;
    /// Mail forwarder, obsolete (RFC 1035 §3.3.5).
    MF = 4;
    /// Canonical name of an alias (RFC 1035 §3.3.1).
    CNAME = 5;
    /// Start of a zone of authority (RFC 1035 §3.3.13).
    SOA = 6;
    /// Mailbox domain name, experimental (RFC 1035 §3.3.3).
    MB = 7;
    /// Mail group member, experimental (RFC 1035 §3.3.6).
    MG = 8;
    /// Mail rename domain name, experimental (RFC 1035 §3.3.8).
    MR = 9;
    /// Pointer to a name (RFC 1035 §3.3.12).
    PTR = 12;
    /// Host information; also the minimal answer to ANY (RFC 8482 §4.2).
    HINFO = 13;
    /// Mailbox information, experimental (RFC 1035 §3.3.7).
    MINFO = 14;
    /// Mail exchange (RFC 1035 §3.3.9).
    MX = 15;
    /// Text strings (RFC 1035 §3.3.14).
    TXT = 16;
    /// Location of services (RFC 1183 §1).
    AFSDB = 18;
    /// Signature of the experimental SIG(0) era (RFC 2931).
    SIG = 24;
    /// IPv6 address (RFC 3596 §2.1).
    AAAA = 28;
    /// Location of a service (RFC 2782).
    SRV = 33;
    /// Naming authority pointer (RFC 3403 §4).
    NAPTR = 35;
    /// Key exchanger (RFC 2230).
    KX = 36;
    /// Redirection of a subtree (RFC 6672).
    DNAME = 39;
    /// EDNS pseudo record (RFC 6891 §6.1).
    OPT = 41;
    /// Delegation signer (RFC 4034 §5).
    DS = 43;
    /// Signature over an RRset (RFC 4034 §3).
    RRSIG = 46;
    /// Next secure name (RFC 4034 §4).
    NSEC = 47;
    /// Public key of a zone (RFC 4034 §2).
    DNSKEY = 48;
    /// Hashed next secure name (RFC 5155 §3).
    NSEC3 = 50;
    /// Parameters of the NSEC3 chain (RFC 5155 §4).
    NSEC3PARAM = 51;
    /// Service binding (RFC 9460).
    SVCB = 64;
    /// Service binding for HTTPS (RFC 9460 §9).
    HTTPS = 65;
    /// Key agreement, not served (RFC 2930).
    TKEY = 249;
    /// Transaction signature, not served (RFC 8945).
    TSIG = 250;
    /// Incremental zone transfer (RFC 1995).
    IXFR = 251;
    /// Zone transfer (RFC 5936).
    AXFR = 252;
    /// Mailbox-related records, obsolete query type (RFC 1035 §3.2.3).
    MAILB = 253;
    /// Mail agent records, obsolete query type (RFC 1035 §3.2.3).
    MAILA = 254;
    /// Every type at once (RFC 1035 §3.2.3, RFC 8482).
    ANY = 255;
}

impl fmt::Display for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mnemonic() {
            Some(name) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0), // RFC 3597 §5
        }
    }
}

impl fmt::Debug for Rtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A record class or query class (RFC 1035 §3.2.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Class(pub u16);

impl Class {
    /// The Internet: the only class that zones here have.
    pub const IN: Self = Self(1);
    /// Chaosnet, kept for questions about the server itself (RFC 4892).
    pub const CH: Self = Self(3);
    /// Query class "none" of dynamic updates (RFC 2136 §2.4).
    pub const NONE: Self = Self(254);
    /// Query class "any" (RFC 1035 §3.2.5).
    pub const ANY: Self = Self(255);
}

/// The kind of a request, four bits of the header (RFC 1035 §4.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Opcode(pub u8);

impl Opcode {
    /// A standard query.
    pub const QUERY: Self = Self(0);
    /// A notice that a zone has changed (RFC 1996).
    pub const NOTIFY: Self = Self(4);
    /// A dynamic update (RFC 2136).
    pub const UPDATE: Self = Self(5);

    /// The name used in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self.0 {
            0 => "query",
            1 => "iquery",
            2 => "status",
            4 => "notify",
            5 => "update",
            6 => "dso",
            _ => "other",
        }
    }
}

/// A response code: four bits in the header and, with EDNS, eight more in the OPT record (RFC 6891 §6.1.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rcode(pub u16);

impl Rcode {
    /// No error.
    pub const NOERROR: Self = Self(0);
    /// The query could not be understood.
    pub const FORMERR: Self = Self(1);
    /// The server failed: here, a configured zone that is not loaded.
    pub const SERVFAIL: Self = Self(2);
    /// The name does not exist; the field's usual name is NXDOMAIN.
    pub const NXDOMAIN: Self = Self(3);
    /// The opcode is not served.
    pub const NOTIMP: Self = Self(4);
    /// Policy forbids an answer: here, a name outside our zones.
    pub const REFUSED: Self = Self(5);
    /// A name that would grow too long by a DNAME (RFC 6672 §2.2).
    pub const YXDOMAIN: Self = Self(6);
    /// The server is not authoritative (RFC 2136 §2.2).
    pub const NOTAUTH: Self = Self(9);
    /// An EDNS version that is not served (RFC 6891 §9).
    pub const BADVERS: Self = Self(16);
    /// A cookie without a server's half that is valid, where one is required (RFC 7873 §5.2.3).
    pub const BADCOOKIE: Self = Self(23);

    /// The name used in logs and metrics.
    pub const fn label(self) -> &'static str {
        match self.0 {
            0 => "noerror",
            1 => "formerr",
            2 => "servfail",
            3 => "nxdomain",
            4 => "notimp",
            5 => "refused",
            6 => "yxdomain",
            9 => "notauth",
            16 => "badvers",
            23 => "badcookie",
            _ => "other",
        }
    }
}
