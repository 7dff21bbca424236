//! Signatures, verified by ring (RFC 4034 §3.1.8.1); of a key that made many, [`super::p256`] accepts most before.

use pharos_wire::Rtype;
use ring::signature::{self, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm};

use super::keys::Key;
use super::p256::Verifier;
use super::rrsig::Rrsig;
use crate::print::canonical_rdata;

/// A key in the form that verification takes.
pub(crate) enum PublicKey<'k> {
    Rsa {
        key: RsaPublicKeyComponents<&'k [u8]>,
        parameters: &'static signature::RsaParameters,
    },
    /// With the octet 4 before the coordinates, as SEC 1 §2.3.3 writes points and RFC 6605 §4 does not.
    Curve {
        key: Vec<u8>,
        algorithm: &'static dyn VerificationAlgorithm,
    },
}

/// A key that made many signatures, and what verifies them together; lives as long as the check of one zone.
pub(crate) struct Busy<'k> {
    pub(crate) key: &'k Key<'k>,
    pub(crate) verifier: Verifier,
}

impl<'k> Busy<'k> {
    /// `None` where only ring can verify signatures of the key.
    pub(crate) fn new(key: &'k Key<'k>) -> Option<Self> {
        let Some(PublicKey::Curve { key: octets, .. }) = &key.public else { return None };
        let octets = octets.strip_prefix(&[4]).filter(|_| key.algorithm == 13)?;
        Some(Self { key, verifier: Verifier::new(octets.try_into().ok()?)? })
    }
}

impl<'k> PublicKey<'k> {
    /// The key of a DNSKEY record; `None` where its algorithm or its size is not known to ring.
    pub(crate) fn new(algorithm: u8, key: &'k [u8]) -> Option<Self> {
        match algorithm {
            // RSASHA1, and the same with NSEC3 (RFC 3110, RFC 5155 §2).
            5 | 7 => rsa(key, &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY),
            // RSASHA256 and RSASHA512 (RFC 5702). Keys of 1024 bits, too short for new ones, are still in use.
            8 => rsa(key, &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
            10 => rsa(key, &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
            // RFC 6605 §4.
            13 => curve(&[4], key, 64, &signature::ECDSA_P256_SHA256_FIXED),
            14 => curve(&[4], key, 96, &signature::ECDSA_P384_SHA384_FIXED),
            // RFC 8080 §3.
            15 => curve(&[], key, 32, &signature::ED25519),
            _ => None,
        }
    }

    /// Whether this key made `signature` over `data`.
    pub(crate) fn verify(&self, data: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { key, parameters } => key.verify(parameters, data, signature).is_ok(),
            Self::Curve { key, algorithm } => {
                UnparsedPublicKey::new(*algorithm, key).verify(data, signature).is_ok()
            }
        }
    }
}

fn curve<'k>(
    prefix: &[u8],
    key: &[u8],
    octets: usize,
    algorithm: &'static dyn VerificationAlgorithm,
) -> Option<PublicKey<'k>> {
    (key.len() == octets).then(|| PublicKey::Curve { key: [prefix, key].concat(), algorithm })
}

/// The exponent's length in one octet, or in two behind a zero, the exponent, the modulus (RFC 3110 §2).
fn rsa<'k>(key: &'k [u8], parameters: &'static signature::RsaParameters) -> Option<PublicKey<'k>> {
    let (octets, rest) = match key.split_first()? {
        (0, rest) => {
            let (octets, rest) = rest.split_first_chunk::<2>()?;
            (u16::from_be_bytes(*octets), rest)
        }
        (&octets, rest) => (octets.into(), rest),
    };
    let (exponent, modulus) = rest.split_at_checked(octets.into())?;
    let trimmed = |number: &'k [u8]| {
        let zeros = number.iter().take_while(|&&octet| octet == 0).count();
        &number[zeros..]
    };
    let (e, n) = (trimmed(exponent), trimmed(modulus));
    // What ring takes: moduli of 1024 to 8192 bits, exponents from 3 to 2^33 - 1.
    let fits = (128..=1024).contains(&n.len()) && (1..=5).contains(&e.len());
    fits.then_some(PublicKey::Rsa { key: RsaPublicKeyComponents { n, e }, parameters })
}

/// The records of one RRset in canonical form and order, without duplicates (RFC 4034 §6.3): those that are served.
pub(crate) struct Canonical {
    records: Vec<Vec<u8>>,
}

impl Canonical {
    pub(crate) fn new<'r>(rtype: Rtype, rdata: impl Iterator<Item = &'r [u8]>) -> Self {
        let mut records: Vec<_> = rdata.map(|rdata| canonical_rdata(rtype.0, rdata)).collect();
        records.sort_unstable();
        records.dedup();
        Self { records }
    }

    /// Writes what was signed (RFC 4034 §3.1.8.1) into `out`. The owner is in lower case and, since zones hold
    /// wildcards and not what they expand to, as it is signed.
    pub(crate) fn signed_data(&self, owner: &[u8], rtype: Rtype, rrsig: &Rrsig<'_>, out: &mut Vec<u8>) {
        out.clear();
        out.extend(rrsig.head);
        out.extend(rrsig.signer.iter().map(u8::to_ascii_lowercase));
        for rdata in &self.records {
            out.extend(owner);
            out.extend(rtype.0.to_be_bytes());
            out.extend(1u16.to_be_bytes()); // IN
            out.extend(rrsig.original_ttl.to_be_bytes());
            out.extend((rdata.len() as u16).to_be_bytes());
            out.extend(rdata);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_sorted_without_duplicates_and_names_are_in_lower_case() {
        let rdata: [&[u8]; 4] = [b"\x01b\0", b"\x01A\0", b"\x01a\0", b"\x01b\0"];
        let canonical = Canonical::new(Rtype::NS, rdata.into_iter());
        assert_eq!(canonical.records, [b"\x01a\0", b"\x01b\0"]);
    }

    #[test]
    fn keys_that_cannot_be_used_are_no_keys() {
        for (algorithm, key) in [
            (13, &[1u8; 63][..]),
            (15, &[1; 33]),
            (16, &[1; 57]),
            (1, &[1; 130]),
            (8, &[]),
            (8, &[0, 1]),
            (8, &[200, 1, 2]),
            (8, &[1, 3, 1, 1]), // a modulus of 16 bits
        ] {
            assert!(PublicKey::new(algorithm, key).is_none(), "{algorithm} {}", key.len());
        }
        assert!(PublicKey::new(15, &[1; 32]).is_some());
        let mut rsa = vec![3, 1, 0, 1];
        rsa.extend([0xc1; 256]);
        assert!(PublicKey::new(8, &rsa).is_some());
        // A key that is no number of the kind verifies nothing, and nothing breaks.
        assert!(!PublicKey::new(8, &rsa).unwrap().verify(b"data", &[1; 256]));
        assert!(!PublicKey::new(13, &[1; 64]).unwrap().verify(b"data", &[1; 64]));
    }

    #[test]
    fn the_example_of_rfc_8080_verifies() {
        // RFC 8080 §6.1: example.com. MX 10 mail.example.com., signed with Ed25519.
        let key = base64("l02Woi0iS8Aa25FQkUd9RMzZHJpBoRQwAQEX1SxZJA4=");
        let signature = base64(
            "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg==",
        );
        let signer = b"\x07example\x03com\0";
        let rdata = [
            &[0, 15, 15, 2][..],
            &3600u32.to_be_bytes(),
            &1_440_021_600u32.to_be_bytes(),
            &1_438_207_200u32.to_be_bytes(),
            &3613u16.to_be_bytes(),
            signer,
            &signature,
        ]
        .concat();
        let rrsig = Rrsig::parse(&rdata).unwrap();
        let mut data = Vec::new();
        let mx: &[u8] = b"\0\x0a\x04mail\x07example\x03com\0";
        Canonical::new(Rtype::MX, [mx].into_iter()).signed_data(signer, Rtype::MX, &rrsig, &mut data);
        assert!(PublicKey::new(15, &key).unwrap().verify(&data, rrsig.signature));
        data[5] ^= 1;
        assert!(!PublicKey::new(15, &key).unwrap().verify(&data, rrsig.signature));
    }

    fn base64(text: &str) -> Vec<u8> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let value = |digit: u8| alphabet.iter().position(|&known| known == digit).unwrap_or(0) as u32;
        let digits: Vec<u8> = text.bytes().filter(|&octet| octet != b'=').collect();
        let octets = digits.chunks(4).flat_map(|four| {
            let bits =
                four.iter().enumerate().fold(0, |bits, (at, &digit)| bits | value(digit) << (18 - 6 * at));
            bits.to_be_bytes()[1..four.len()].to_vec()
        });
        octets.collect()
    }
}
