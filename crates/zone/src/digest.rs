//! What tells the content of one zone from that of another: a digest over its records as they come.
//!
//! It proves that two nodes were given the same zone, whatever the files are called, how the text is laid out and
//! what comments say: equal records in equal order have equal digests. It is made while the file is read, at the cost
//! of a few percent of the load. What a signer puts into a zone to prove its content to others is ZONEMD
//! ([`crate::dnssec`]).

use ring::digest::{Context, SHA256};

use crate::scan::Record;

/// Octets of a digest (SHA-256).
pub const DIGEST_OCTETS: usize = 32;

/// Octets that are gathered before they are hashed: hashing a few at a time costs more than the hash.
const GATHERED: usize = 4096;

/// A digest in the making.
pub(crate) struct Digester {
    context: Context,
    gathered: Vec<u8>,
}

impl Digester {
    pub(crate) fn new() -> Self {
        Self { context: Context::new(&SHA256), gathered: Vec::with_capacity(2 * GATHERED) }
    }

    /// Takes the next record: owner, type, TTL, and the length of its rdata before them.
    #[inline]
    pub(crate) fn push(&mut self, record: &Record<'_>) {
        let gathered = &mut self.gathered;
        let ([t0, t1], [l0, l1]) = (record.rtype.to_be_bytes(), (record.rdata.len() as u16).to_be_bytes());
        let [s0, s1, s2, s3] = record.ttl.to_be_bytes();
        gathered.extend_from_slice(record.owner);
        gathered.extend_from_slice(&[t0, t1, s0, s1, s2, s3, l0, l1]);
        gathered.extend_from_slice(record.rdata);
        if gathered.len() >= GATHERED {
            self.context.update(gathered);
            gathered.clear();
        }
    }

    pub(crate) fn finish(mut self) -> [u8; DIGEST_OCTETS] {
        self.context.update(&self.gathered);
        let mut digest = [0; DIGEST_OCTETS];
        digest.copy_from_slice(self.context.finish().as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pharos_wire::Name;
    use pharos_wire::hash::HashKey;

    use super::*;
    use crate::dnssec::Checks;
    use crate::load::load;
    use crate::scan::{Includes, Source};

    fn digest(key: u64, text: &str) -> [u8; DIGEST_OCTETS] {
        let apex = Name::from_text("example.").unwrap();
        let source =
            Source { path: Path::new("x.zone"), octets: text.as_bytes(), includes: Includes::Refused };
        load(&apex, source, HashKey::new([key, 2]), &Checks::STRICT, &mut |_| {}).unwrap().digest
    }

    const ZONE: &str = "@ 60 SOA ns host 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n";

    #[test]
    fn the_same_records_have_one_digest_however_they_are_written_and_whoever_reads_them() {
        let other =
            "$ORIGIN example.\n$TTL 1m\n@ SOA ( ns host ; who\n 1 2 3 4 5 )\n NS ns.example.\nns A 192.0.2.1";
        assert_eq!(digest(1, ZONE), digest(9, other));
    }

    #[test]
    fn another_address_ttl_owner_or_one_more_record_is_another_digest() {
        let first = digest(1, ZONE);
        let more = format!("{ZONE}ns 60 A 192.0.2.3\n");
        for text in [
            ZONE.replace("2.1\n", "2.2\n"),
            ZONE.replace("ns 60 A", "ns 61 A"),
            ZONE.replace("ns 60 A", "NS 60 A"),
            more,
        ] {
            assert_ne!(digest(1, &text), first, "{text}");
        }
    }

    #[test]
    fn a_zone_longer_than_what_is_gathered_is_hashed_to_its_end() {
        use std::fmt::Write as _;
        let mut text = ZONE.to_owned();
        (0..2000).for_each(|n| writeln!(text, "h{n} 60 A 192.0.2.1").unwrap());
        let changed = text.replace("h1999 60 A 192.0.2.1", "h1999 60 A 192.0.2.9");
        assert_ne!(digest(1, &text), digest(1, &changed));
    }
}
