//! Numbers in rdata that have mnemonics.

/// The mnemonics of a registry, and how its numbers are printed.
pub(crate) struct Codes {
    pub(crate) names: &'static [(&'static str, u16)],
    pub(crate) printed: Printed,
}

/// What the canonical text shows; both are always read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Printed {
    Number,
    Mnemonic,
}

impl Codes {
    /// The number of a mnemonic, whatever its case.
    pub(crate) fn number(&self, text: &[u8]) -> Option<u16> {
        self.names
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text))
            .map(|&(_, number)| number)
    }

    /// The mnemonic that the canonical text shows for `number`.
    pub(crate) fn printed_name(&self, number: u16) -> Option<&'static str> {
        if self.printed == Printed::Mnemonic { self.name(number) } else { None }
    }

    /// The first mnemonic of `number`, for messages.
    pub(crate) fn name(&self, number: u16) -> Option<&'static str> {
        self.names.iter().find(|&&(_, known)| known == number).map(|&(name, _)| name)
    }
}

/// DNSSEC algorithms. RFC 4034 §2.2 prefers the number in text.
pub(crate) static ALGORITHMS: Codes = Codes {
    names: &[
        ("RSAMD5", 1),
        ("DH", 2),
        ("DSA", 3),
        ("RSASHA1", 5),
        ("DSA-NSEC3-SHA1", 6),
        ("NSEC3DSA", 6),
        ("RSASHA1-NSEC3-SHA1", 7),
        ("NSEC3RSASHA1", 7),
        ("RSASHA256", 8),
        ("RSASHA512", 10),
        ("ECC-GOST", 12),
        ("ECCGOST", 12),
        ("ECDSAP256SHA256", 13),
        ("ECDSAP384SHA384", 14),
        ("ED25519", 15),
        ("ED448", 16),
        ("INDIRECT", 252),
        ("PRIVATEDNS", 253),
        ("PRIVATEOID", 254),
    ],
    printed: Printed::Number,
};

/// Digest types of DS.
pub(crate) static DIGESTS: Codes = Codes {
    names: &[
        ("SHA-1", 1),
        ("SHA1", 1),
        ("SHA-256", 2),
        ("SHA256", 2),
        ("GOST", 3),
        ("SHA-384", 4),
        ("SHA384", 4),
    ],
    printed: Printed::Number,
};

/// Certificate types (RFC 4398 §2.1).
pub(crate) static CERT_TYPES: Codes = Codes {
    names: &[
        ("PKIX", 1),
        ("SPKI", 2),
        ("PGP", 3),
        ("IPKIX", 4),
        ("ISPKI", 5),
        ("IPGP", 6),
        ("ACPKIX", 7),
        ("IACPKIX", 8),
        ("URI", 253),
        ("OID", 254),
    ],
    printed: Printed::Mnemonic,
};

/// Schemes of DSYNC (RFC 9859 §2.1).
pub(crate) static DSYNC_SCHEMES: Codes = Codes { names: &[("NOTIFY", 1)], printed: Printed::Mnemonic };

/// Protocols of WKS that have a name here (RFC 1010).
pub(crate) static PROTOCOLS: Codes =
    Codes { names: &[("ICMP", 1), ("TCP", 6), ("UDP", 17)], printed: Printed::Number };

/// Services of WKS that have a name here: those that old zones name.
pub(crate) static SERVICES: Codes = Codes {
    names: &[
        ("ECHO", 7),
        ("DISCARD", 9),
        ("DAYTIME", 13),
        ("FTP-DATA", 20),
        ("FTP", 21),
        ("SSH", 22),
        ("TELNET", 23),
        ("SMTP", 25),
        ("TIME", 37),
        ("WHOIS", 43),
        ("DOMAIN", 53),
        ("TFTP", 69),
        ("GOPHER", 70),
        ("FINGER", 79),
        ("HTTP", 80),
        ("WWW", 80),
        ("POP3", 110),
        ("SUNRPC", 111),
        ("NNTP", 119),
        ("NTP", 123),
        ("IMAP", 143),
        ("SNMP", 161),
        ("HTTPS", 443),
    ],
    printed: Printed::Number,
};
