//! Every record type: its number, its mnemonic, and the fields of its data.
//!
//! This is the one definition that text to wire ([`super::text`]), wire to text ([`super::show`]) and the
//! check of wire data ([`super::wire`]) share. A new type is a line here; a new kind of field is a variant of
//! [`Form`] and an arm in each of the three.

use super::codes::{ALGORITHMS, CERT_TYPES, Codes, DIGESTS, DSYNC_SCHEMES};

/// What is known about a record type.
pub(crate) struct Type {
    pub(crate) number: u16,
    pub(crate) mnemonic: &'static str,
    pub(crate) kind: Kind,
}

/// What a type number is used for.
pub(crate) enum Kind {
    /// Records of this form.
    Data(&'static [Field], Check),
    /// Records whose data are written in the generic form of RFC 3597 only: obsolete, or never specified.
    Opaque,
    /// Only queries or messages carry it; a zone cannot (RFC 6895 §3.1).
    NotInZones,
}

/// A condition on a whole rdata, beyond the form of its fields.
pub(crate) type Check = Option<fn(&[u8]) -> Result<(), &'static str>>;

/// One field, and what messages call it.
pub(crate) struct Field {
    pub(crate) label: &'static str,
    pub(crate) form: Form,
}

/// How a domain name inside rdata is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameUse {
    /// May be compressed in messages (RFC 3597 §4: types of RFC 1035) and is lower case in the canonical form.
    Compressible,
    /// Is never compressed, and is lower case in the canonical form (RFC 4034 §6.2, RFC 6840 §5.1).
    Folded,
    /// Is never compressed, and keeps its case in the canonical form.
    Verbatim,
}

/// The form of a field, in text and on the wire.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    U8,
    U16,
    U32,
    /// Seconds in 32 bits; text may use units (1h30m).
    Period,
    /// A point in time in 32 bits; text is YYYYMMDDHHmmSS or seconds (RFC 4034 §3.2).
    Time,
    /// A number that has mnemonics, in one octet.
    Code8(&'static Codes),
    /// A number that has mnemonics, in two octets.
    Code16(&'static Codes),
    /// A record type.
    TypeCode,
    Ipv4,
    Ipv6,
    Name(NameUse),
    /// One character-string (RFC 1035 §3.3).
    String,
    /// One character-string or none.
    OptionalString,
    /// Character-strings to the end, one at least.
    Strings,
    /// Octets to the end, written as one string without its limit of 255 octets.
    LongString,
    /// A property name: letters and digits behind a length (RFC 8659 §4.1).
    Tag,
    /// Octets to the end in base 16, one at least.
    Hex,
    /// Octets behind a length in base 16, `-` for none (RFC 5155 §3.3).
    Salt,
    /// Octets behind a length in base 32 (RFC 5155 §3.3).
    Hash,
    /// Octets to the end in base 64, one at least.
    Base64,
    /// Octets to the end in base 64, perhaps none.
    OptionalBase64,
    /// A set of types (RFC 4034 §4.1.2).
    Types,
    /// An EUI of so many octets, with hyphens (RFC 7043).
    Eui(usize),
    /// 64 bits as four groups of base 16 (RFC 6742 §2.1.1).
    Locator,
    /// `0x` and base 16 with dots anywhere (RFC 1706 §5).
    Nsap,
    /// A protocol and a set of ports (RFC 1035 §3.4.2).
    Services,
    /// The whole of a LOC (RFC 1876).
    Location,
    /// Address prefixes to the end (RFC 3123).
    Prefixes,
    /// The whole of a HIP (RFC 8005 §5).
    HostIdentity,
    /// Gateway type, algorithm, gateway and key (RFC 4025 §2).
    Gateway,
    /// Discovery bit, relay type and relay (RFC 8777 §4).
    Relay,
    /// Parameters to the end (RFC 9460 §2).
    Params,
}

const fn f(label: &'static str, form: Form) -> Field {
    Field { label, form }
}

const fn data(number: u16, mnemonic: &'static str, fields: &'static [Field]) -> Type {
    Type { number, mnemonic, kind: Kind::Data(fields, None) }
}

const fn checked(
    number: u16,
    mnemonic: &'static str,
    fields: &'static [Field],
    check: fn(&[u8]) -> Result<(), &'static str>,
) -> Type {
    Type { number, mnemonic, kind: Kind::Data(fields, Some(check)) }
}

const fn opaque(number: u16, mnemonic: &'static str) -> Type {
    Type { number, mnemonic, kind: Kind::Opaque }
}

const fn not_in_zones(number: u16, mnemonic: &'static str) -> Type {
    Type { number, mnemonic, kind: Kind::NotInZones }
}

const OLD_NAME: Form = Form::Name(NameUse::Compressible);
const FOLDED_NAME: Form = Form::Name(NameUse::Folded);
const NAME: Form = Form::Name(NameUse::Verbatim);

const HOST: &[Field] = &[f("host", OLD_NAME)];
const MAILBOX: &[Field] = &[f("mailbox", OLD_NAME)];
const STRINGS: &[Field] = &[f("text", Form::Strings)];
const DIGEST: &[Field] = &[
    f("key tag", Form::U16),
    f("algorithm", Form::Code8(&ALGORITHMS)),
    f("digest type", Form::Code8(&DIGESTS)),
    f("digest", Form::Hex),
];
const KEY: &[Field] = &[
    f("flags", Form::U16),
    f("protocol", Form::U8),
    f("algorithm", Form::Code8(&ALGORITHMS)),
    f("public key", Form::Base64),
];
/// A KEY may say "no key" in its flags (RFC 2535 §3.1.2).
const OLD_KEY: &[Field] = &[
    f("flags", Form::U16),
    f("protocol", Form::U8),
    f("algorithm", Form::Code8(&ALGORITHMS)),
    f("public key", Form::OptionalBase64),
];
const SIGNATURE: &[Field] = &[
    f("type covered", Form::TypeCode),
    f("algorithm", Form::Code8(&ALGORITHMS)),
    f("labels", Form::U8),
    f("original TTL", Form::U32),
    f("expiration", Form::Time),
    f("inception", Form::Time),
    f("key tag", Form::U16),
    f("signer", FOLDED_NAME),
    f("signature", Form::Base64),
];
const CERTIFICATE_USE: &[Field] = &[
    f("usage", Form::U8),
    f("selector", Form::U8),
    f("matching type", Form::U8),
    f("association data", Form::Hex),
];
const SERVICE: &[Field] = &[f("priority", Form::U16), f("target", NAME), f("parameters", Form::Params)];

/// All types that have a mnemonic, by number.
pub(crate) static TYPES: [Type; 97] = [
    data(1, "A", &[f("address", Form::Ipv4)]),
    data(2, "NS", HOST),
    data(3, "MD", HOST),
    data(4, "MF", HOST),
    data(5, "CNAME", &[f("target", OLD_NAME)]),
    data(
        6,
        "SOA",
        &[
            f("primary server", OLD_NAME),
            f("responsible mailbox", OLD_NAME),
            f("serial", Form::U32),
            f("refresh", Form::Period),
            f("retry", Form::Period),
            f("expire", Form::Period),
            f("minimum", Form::Period),
        ],
    ),
    data(7, "MB", HOST),
    data(8, "MG", MAILBOX),
    data(9, "MR", MAILBOX),
    opaque(10, "NULL"),
    data(11, "WKS", &[f("address", Form::Ipv4), f("services", Form::Services)]),
    data(12, "PTR", &[f("target", OLD_NAME)]),
    data(13, "HINFO", &[f("CPU", Form::String), f("operating system", Form::String)]),
    data(14, "MINFO", &[f("responsible mailbox", OLD_NAME), f("error mailbox", OLD_NAME)]),
    data(15, "MX", &[f("preference", Form::U16), f("exchange", OLD_NAME)]),
    data(16, "TXT", STRINGS),
    data(17, "RP", &[f("mailbox", FOLDED_NAME), f("text name", FOLDED_NAME)]),
    data(18, "AFSDB", &[f("subtype", Form::U16), f("host", FOLDED_NAME)]),
    data(19, "X25", &[f("address", Form::String)]),
    data(20, "ISDN", &[f("address", Form::String), f("subaddress", Form::OptionalString)]),
    data(21, "RT", &[f("preference", Form::U16), f("host", FOLDED_NAME)]),
    data(22, "NSAP", &[f("address", Form::Nsap)]),
    data(23, "NSAP-PTR", &[f("target", NAME)]),
    data(24, "SIG", SIGNATURE),
    checked(25, "KEY", OLD_KEY, key_presence),
    data(
        26,
        "PX",
        &[f("preference", Form::U16), f("RFC 822 domain", FOLDED_NAME), f("X.400 domain", FOLDED_NAME)],
    ),
    data(
        27,
        "GPOS",
        &[f("longitude", Form::String), f("latitude", Form::String), f("altitude", Form::String)],
    ),
    data(28, "AAAA", &[f("address", Form::Ipv6)]),
    data(29, "LOC", &[f("location", Form::Location)]),
    opaque(30, "NXT"),
    opaque(31, "EID"),
    opaque(32, "NIMLOC"),
    data(
        33,
        "SRV",
        &[f("priority", Form::U16), f("weight", Form::U16), f("port", Form::U16), f("target", FOLDED_NAME)],
    ),
    opaque(34, "ATMA"),
    data(
        35,
        "NAPTR",
        &[
            f("order", Form::U16),
            f("preference", Form::U16),
            f("flags", Form::String),
            f("services", Form::String),
            f("regular expression", Form::String),
            f("replacement", FOLDED_NAME),
        ],
    ),
    data(36, "KX", &[f("preference", Form::U16), f("exchanger", FOLDED_NAME)]),
    data(
        37,
        "CERT",
        &[
            f("type", Form::Code16(&CERT_TYPES)),
            f("key tag", Form::U16),
            f("algorithm", Form::Code8(&ALGORITHMS)),
            f("certificate", Form::Base64),
        ],
    ),
    opaque(38, "A6"),
    data(39, "DNAME", &[f("target", FOLDED_NAME)]),
    opaque(40, "SINK"),
    not_in_zones(41, "OPT"),
    data(42, "APL", &[f("prefixes", Form::Prefixes)]),
    checked(43, "DS", DIGEST, digest_length),
    checked(
        44,
        "SSHFP",
        &[f("algorithm", Form::U8), f("fingerprint type", Form::U8), f("fingerprint", Form::Hex)],
        fingerprint_length,
    ),
    data(45, "IPSECKEY", &[f("precedence", Form::U8), f("gateway", Form::Gateway)]),
    data(46, "RRSIG", SIGNATURE),
    data(47, "NSEC", &[f("next name", NAME), f("types", Form::Types)]),
    data(48, "DNSKEY", KEY),
    data(49, "DHCID", &[f("digest", Form::Base64)]),
    data(
        50,
        "NSEC3",
        &[
            f("hash algorithm", Form::U8),
            f("flags", Form::U8),
            f("iterations", Form::U16),
            f("salt", Form::Salt),
            f("next hash", Form::Hash),
            f("types", Form::Types),
        ],
    ),
    data(
        51,
        "NSEC3PARAM",
        &[
            f("hash algorithm", Form::U8),
            f("flags", Form::U8),
            f("iterations", Form::U16),
            f("salt", Form::Salt),
        ],
    ),
    data(52, "TLSA", CERTIFICATE_USE),
    data(53, "SMIMEA", CERTIFICATE_USE),
    data(55, "HIP", &[f("identity", Form::HostIdentity)]),
    data(56, "NINFO", STRINGS),
    data(57, "RKEY", KEY),
    data(58, "TALINK", &[f("previous", NAME), f("next", NAME)]),
    checked(59, "CDS", DIGEST, digest_length),
    data(60, "CDNSKEY", KEY),
    data(61, "OPENPGPKEY", &[f("key", Form::Base64)]),
    data(62, "CSYNC", &[f("serial", Form::U32), f("flags", Form::U16), f("types", Form::Types)]),
    checked(
        63,
        "ZONEMD",
        &[
            f("serial", Form::U32),
            f("scheme", Form::U8),
            f("hash algorithm", Form::U8),
            f("digest", Form::Hex),
        ],
        zone_digest_length,
    ),
    data(64, "SVCB", SERVICE),
    data(65, "HTTPS", SERVICE),
    data(
        66,
        "DSYNC",
        &[
            f("type", Form::TypeCode),
            f("scheme", Form::Code8(&DSYNC_SCHEMES)),
            f("port", Form::U16),
            f("target", NAME),
        ],
    ),
    data(67, "HHIT", &[f("data", Form::Base64)]),
    data(68, "BRID", &[f("data", Form::Base64)]),
    data(99, "SPF", STRINGS),
    opaque(100, "UINFO"),
    opaque(101, "UID"),
    opaque(102, "GID"),
    opaque(103, "UNSPEC"),
    data(104, "NID", &[f("preference", Form::U16), f("node identifier", Form::Locator)]),
    data(105, "L32", &[f("preference", Form::U16), f("locator", Form::Ipv4)]),
    data(106, "L64", &[f("preference", Form::U16), f("locator", Form::Locator)]),
    data(107, "LP", &[f("preference", Form::U16), f("pointer", NAME)]),
    data(108, "EUI48", &[f("address", Form::Eui(6))]),
    data(109, "EUI64", &[f("address", Form::Eui(8))]),
    not_in_zones(128, "NXNAME"),
    not_in_zones(249, "TKEY"),
    not_in_zones(250, "TSIG"),
    not_in_zones(251, "IXFR"),
    not_in_zones(252, "AXFR"),
    not_in_zones(253, "MAILB"),
    not_in_zones(254, "MAILA"),
    not_in_zones(255, "ANY"),
    data(256, "URI", &[f("priority", Form::U16), f("weight", Form::U16), f("target", Form::LongString)]),
    data(257, "CAA", &[f("flags", Form::U8), f("tag", Form::Tag), f("value", Form::LongString)]),
    data(258, "AVC", STRINGS),
    data(
        259,
        "DOA",
        &[
            f("enterprise", Form::U32),
            f("type", Form::U32),
            f("location", Form::U8),
            f("media type", Form::String),
            f("data", Form::OptionalBase64),
        ],
    ),
    data(260, "AMTRELAY", &[f("precedence", Form::U8), f("relay", Form::Relay)]),
    data(261, "RESINFO", STRINGS),
    data(262, "WALLET", STRINGS),
    data(263, "CLA", STRINGS),
    opaque(264, "IPN"),
    checked(32768, "TA", DIGEST, digest_length),
    checked(32769, "DLV", DIGEST, digest_length),
];

/// RFC 2535 §3.1.2: two bits of the flags say that there is no key.
fn key_presence(rdata: &[u8]) -> Result<(), &'static str> {
    match rdata {
        [flags, _, _, _] if flags & 0xc0 != 0xc0 => Err("the public key is missing"),
        _ => Ok(()),
    }
}

/// RFC 4509 §2.1, RFC 6605 §2, RFC 5933 §4: each digest type has one length.
pub(crate) fn digest_length(rdata: &[u8]) -> Result<(), &'static str> {
    let digest = rdata.get(4..).unwrap_or_default().len();
    match rdata.get(3) {
        Some(1) if digest != 20 => Err("a SHA-1 digest has 20 octets, 40 hexadecimal digits"),
        Some(2) if digest != 32 => Err("a SHA-256 digest has 32 octets, 64 hexadecimal digits"),
        Some(3) if digest != 32 => Err("a GOST digest has 32 octets, 64 hexadecimal digits"),
        Some(4) if digest != 48 => Err("a SHA-384 digest has 48 octets, 96 hexadecimal digits"),
        _ => Ok(()),
    }
}

/// RFC 4255 §3.1.2, RFC 6594 §4.
fn fingerprint_length(rdata: &[u8]) -> Result<(), &'static str> {
    let fingerprint = rdata.get(2..).unwrap_or_default().len();
    match rdata.get(1) {
        Some(1) if fingerprint != 20 => Err("a SHA-1 fingerprint has 20 octets, 40 hexadecimal digits"),
        Some(2) if fingerprint != 32 => Err("a SHA-256 fingerprint has 32 octets, 64 hexadecimal digits"),
        _ => Ok(()),
    }
}

/// RFC 8976 §2.2.3 and §2.2.4.
fn zone_digest_length(rdata: &[u8]) -> Result<(), &'static str> {
    let digest = rdata.get(6..).unwrap_or_default().len();
    match rdata.get(5) {
        Some(1) if digest != 48 => Err("a SHA-384 digest has 48 octets, 96 hexadecimal digits"),
        Some(2) if digest != 64 => Err("a SHA-512 digest has 64 octets, 128 hexadecimal digits"),
        _ if digest < 12 => Err("a zone digest has at least 12 octets, 24 hexadecimal digits"),
        _ => Ok(()),
    }
}
