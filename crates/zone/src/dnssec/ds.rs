//! Whether a DS record of a parent speaks of a key of its child (RFC 4034 §5.1.4).

use ring::digest::{self, Algorithm};

/// What a DS record says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DsVerdict {
    /// It is the digest of this key.
    Matches,
    /// It is of another key.
    Differs,
    /// Its digest type is not known here, so nothing can be said.
    UnknownDigest,
}

/// Compares a DS record of the parent with a DNSKEY record of the child `owner`, a name in wire form. The digest types
/// are SHA-1 (RFC 4034), SHA-256 (RFC 4509) and SHA-384 (RFC 6605).
#[must_use]
pub fn ds_matches(owner: &[u8], ds_rdata: &[u8], dnskey_rdata: &[u8]) -> DsVerdict {
    let Some((&[tag0, tag1, algorithm, digest_type], stated)) = ds_rdata.split_first_chunk::<4>() else {
        return DsVerdict::Differs;
    };
    if dnskey_rdata.get(3) != Some(&algorithm)
        || key_tag(dnskey_rdata) != u16::from_be_bytes([tag0, tag1])
        // Only zone keys that are not revoked are entry points (RFC 4034 §5.2, RFC 5011 §2.1).
        || !is_zone_key(dnskey_rdata)
    {
        return DsVerdict::Differs;
    }
    let Some(algorithm) = digest_algorithm(digest_type) else { return DsVerdict::UnknownDigest };
    let mut digest = digest::Context::new(algorithm);
    digest.update(&owner.to_ascii_lowercase());
    digest.update(dnskey_rdata);
    if digest.finish().as_ref() == stated { DsVerdict::Matches } else { DsVerdict::Differs }
}

fn digest_algorithm(digest_type: u8) -> Option<&'static Algorithm> {
    match digest_type {
        1 => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        2 => Some(&digest::SHA256),
        4 => Some(&digest::SHA384),
        _ => None,
    }
}

/// Whether a key may sign the zone: the flag ZONE (RFC 4034 §2.1.1), not REVOKE (RFC 5011 §2.1), and protocol 3
/// (RFC 4034 §2.1.2).
pub(crate) fn is_zone_key(dnskey_rdata: &[u8]) -> bool {
    of_zone(dnskey_rdata) == Some(0)
}

/// Whether a key is one of the zone and revoked (RFC 5011 §2.1).
pub(crate) fn is_revoked(dnskey_rdata: &[u8]) -> bool {
    of_zone(dnskey_rdata) == Some(REVOKE)
}

const REVOKE: u16 = 0x0080;

/// What the flag REVOKE of a zone key is.
fn of_zone(dnskey_rdata: &[u8]) -> Option<u16> {
    const ZONE: u16 = 0x0100;
    let &[high, low, protocol] = dnskey_rdata.first_chunk()?;
    let flags = u16::from_be_bytes([high, low]);
    (flags & ZONE != 0 && protocol == 3).then_some(flags & REVOKE)
}

/// The key tag of a DNSKEY (RFC 4034 appendix B); algorithm 1 (RSAMD5), which must not be used (RFC 8624 §3.1), is
/// counted like the others.
pub(crate) fn key_tag(dnskey_rdata: &[u8]) -> u16 {
    let sum: u32 = dnskey_rdata
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low)))
        .sum();
    (sum + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and the digests of RFC 4034 §5.4 and RFC 4509 §2.3: dskey.example.com., 60485.
    const KEY: &[u8] = &[
        0x01, 0x00, 0x03, 0x05, 0x01, 0x03, 0xa0, 0x8a, 0xa5, 0x36, 0x9b, 0x06, 0xb2, 0x5d, 0xcb, 0xd7, 0x36,
        0x33, 0x8a, 0x53,
    ];

    fn ds(owner: &[u8], key: &[u8], digest_type: u8) -> Vec<u8> {
        let mut content = owner.to_ascii_lowercase();
        content.extend(key);
        let digest = digest::digest(digest_algorithm(digest_type).unwrap(), &content);
        let mut ds = key_tag(key).to_be_bytes().to_vec();
        ds.extend([key[3], digest_type]);
        ds.extend(digest.as_ref());
        ds
    }

    #[test]
    fn each_known_digest_of_the_key_matches_in_any_case_of_the_owner() {
        for digest_type in [1, 2, 4] {
            let ds = ds(b"\x05child\0", KEY, digest_type);
            assert_eq!(ds_matches(b"\x05CHILD\0", &ds, KEY), DsVerdict::Matches);
            assert_eq!(ds_matches(b"\x05other\0", &ds, KEY), DsVerdict::Differs);
        }
    }

    #[test]
    fn another_key_a_cut_digest_and_an_empty_record_do_not_match() {
        let whole = ds(b"\0", KEY, 2);
        let mut other = KEY.to_vec();
        other[19] ^= 1;
        assert_eq!(ds_matches(b"\0", &whole, &other), DsVerdict::Differs);
        assert_eq!(ds_matches(b"\0", &whole[..20], KEY), DsVerdict::Differs);
        assert_eq!(ds_matches(b"\0", &[], KEY), DsVerdict::Differs);
        assert_eq!(ds_matches(b"\0", &whole, &[]), DsVerdict::Differs);
    }

    #[test]
    fn a_revoked_key_is_no_entry_point() {
        let mut revoked = KEY.to_vec();
        revoked[1] |= 0x80;
        let ds = ds(b"\0", &revoked, 2);
        assert_eq!(ds_matches(b"\0", &ds, &revoked), DsVerdict::Differs);
    }

    #[test]
    fn of_an_unknown_digest_type_nothing_is_said() {
        let mut unknown = ds(b"\0", KEY, 2);
        unknown[3] = 3;
        assert_eq!(ds_matches(b"\0", &unknown, KEY), DsVerdict::UnknownDigest);
    }
}
