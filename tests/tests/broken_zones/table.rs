//! Every kind of brokenness, and what each judge says of it.

use super::signed::{APEX, DAY, Fields, Keys, Zone, now};

/// How the zone is signed that is spoilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Base {
    Nsec,
    Nsec3,
    OptOut,
    /// NSEC, with keys of two algorithms.
    TwoAlgorithms,
    /// NSEC, with a digest of the zone.
    Zonemd,
}

/// What another judge says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verdict {
    Refuses,
    /// It does not look at this, and why that is so or how we know.
    Accepts(&'static str),
}

/// ldns-verify-zone 1.8: of NSEC and NSEC3 it looks at owners and at what they lead to, and not at types.
const NO_BITMAPS: Verdict = Accepts("it does not look at type bitmaps");
/// ldns-verify-zone 1.8 finds the chain without it.
const NO_NSEC3PARAM: Verdict =
    Accepts("it takes the parameters from NSEC3 records and does not look at NSEC3PARAM");
/// dnssec-verify 9.18.
const NO_ZONEMD: Verdict = Accepts("it does not check ZONEMD");

/// ldns-verify-zone 1.8.
const ANY_KEY: Verdict = Accepts("any key of the RRset is good enough for it");
/// As RFC 4035 §5.3.3 has it.
const ONE_GOOD: Verdict = Accepts("one good signature is enough");

use Base::{Nsec, Nsec3, OptOut, TwoAlgorithms, Zonemd};
use Verdict::{Accepts, Refuses};

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) base: Base,
    pub(crate) spoil: fn(&mut Zone<'_>),
    /// Part of what we say: of the refusal, or of a warning about what is accepted.
    pub(crate) ours: &'static str,
    pub(crate) dnssec_verify: Verdict,
    pub(crate) ldns_verify_zone: Verdict,
}

const MAIL: &str = "mail.signed.test.";
const SECURE: &str = "secure.signed.test.";
const NS: &str = "ns.signed.test.";

const INSECURE: &str = "insecure.signed.test.";
const CDS: &str = "12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn by_zsk<'k>(fields: &mut Fields<'k>, keys: &'k Keys) {
    (fields.key, fields.tag) = (&keys.zsk, keys.zsk.tag);
}

macro_rules! cases {
    ($($name:literal, $base:ident, $ours:literal, $bind:expr, $ldns:expr, $spoil:expr;)*) => {
        &[$(Case {
            name: $name,
            base: $base,
            spoil: $spoil,
            ours: $ours,
            dnssec_verify: $bind,
            ldns_verify_zone: $ldns,
        }),*]
    };
}

pub(crate) const CASES: &[Case] = cases! {
    // --- times
    "expired", Nsec, "the RRSIG of mail.signed.test. A expired", Refuses, Refuses, |zone| {
        zone.sign_with(MAIL, "A", |fields, _| {
            (fields.inception, fields.expiration) = (now() - 20 * DAY, now() - 10 * DAY);
        });
    };
    "not yet valid", Nsec, "the RRSIG of mail.signed.test. A begins only in", Refuses, Refuses, |zone| {
        zone.sign_with(MAIL, "A", |fields, _| fields.inception = now() + 10 * DAY);
    };
    "ends before it begins", Nsec, "ends before it begins", Refuses, Refuses, |zone| {
        zone.sign_with(MAIL, "A", |fields, _| fields.expiration = fields.inception - DAY);
    };
    // --- signatures
    "flipped bit in a signature", Nsec, "A RRset of mail.signed.test. does not verify", Refuses, Refuses, |zone| {
        let signature = zone.signature(MAIL, "A");
        let word = signature.word(8);
        let flipped = if word.starts_with('A') { "B" } else { "A" };
        let spoilt = format!("{flipped}{}", &word[1..]);
        signature.set_word(8, &spoilt);
    };
    "missing RRSIG", Nsec, "the A RRset of mail.signed.test. has no RRSIG", Refuses, Refuses, |zone| {
        zone.unsign(MAIL, "A", None);
    };
    "missing RRSIG of one algorithm", TwoAlgorithms, "has no RRSIG of ED25519", Refuses, Accepts("one good signature is enough for it, of whatever algorithm"), |zone| {
        zone.unsign(MAIL, "A", Some(15));
    };
    "missing RRSIG of the SOA", Nsec, "the SOA RRset of signed.test. has no RRSIG", Refuses, Refuses, |zone| {
        zone.unsign(APEX, "SOA", None);
    };
    "missing RRSIG of an NSEC", Nsec, "the NSEC RRset of mail.signed.test. has no RRSIG", Refuses, Refuses, |zone| {
        zone.unsign(MAIL, "NSEC", None);
    };
    "missing RRSIG of an NSEC3", Nsec3, "has no RRSIG of ECDSAP256SHA256", Refuses, Refuses, |zone| {
        let owner = zone.hashed(MAIL);
        zone.unsign(&owner, "NSEC3", None);
    };
    "missing RRSIG of a DS", Nsec, "the DS RRset of secure.signed.test. has no RRSIG", Refuses, Refuses, |zone| {
        zone.unsign(SECURE, "DS", None);
    };
    "wrong key tag", Nsec, "which the zone does not have", Refuses, Refuses, |zone| {
        zone.sign_with(MAIL, "A", |fields, _| fields.tag ^= 1);
    };
    "wrong signer", Nsec, "names the signer test.", Refuses, Accepts("it finds the key by tag and algorithm and does not look at the signer"), |zone| {
        zone.sign_with(MAIL, "A", |fields, _| fields.signer = "test.".to_owned());
    };
    "label count too small", Nsec, "counts 2 labels; the owner has 3", Refuses, Refuses, |zone| {
        zone.sign_with(MAIL, "A", |fields, _| fields.labels -= 1);
    };
    "label count too large", Nsec, "counts 4 labels; the owner has 3", Refuses, Accepts("it compares the labels with the owner only to find a wildcard"), |zone| {
        zone.sign_with(MAIL, "A", |fields, _| fields.labels += 1);
    };
    "data changed after signing", Nsec, "does not verify", Refuses, Refuses, |zone| {
        zone.line(MAIL, "A").rdata = "192.0.2.26".to_owned();
    };
    "record added to a signed RRset", Nsec, "does not verify", Refuses, Refuses, |zone| {
        zone.add(MAIL, 3600, "A", "192.0.2.26");
    };
    "record lost from a signed RRset", Nsec, "does not verify", Refuses, Refuses, |zone| {
        let at = zone.all(MAIL, "TXT")[0];
        zone.lines.remove(at);
    };
    "TTL above the signed one", Nsec, "is of the TTL 3600; the RRset has 7200", Refuses, Accepts("it does not compare TTLs"), |zone| {
        zone.line(MAIL, "A").ttl = 7200;
        zone.signature(MAIL, "A").ttl = 7200;
    };
    "an unsigned RRset that the chain lists", Nsec, "has no RRSIG", Refuses, Refuses, |zone| {
        zone.add(MAIL, 3600, "AAAA", "2001:db8::25");
        let nsec = zone.line(MAIL, "NSEC");
        nsec.rdata = nsec.rdata.replace(" A TXT ", " A TXT AAAA ");
        zone.sign(MAIL, "NSEC");
    };
    "an unsigned name", Nsec, "new.signed.test. has no NSEC record", Refuses, Refuses, |zone| {
        zone.add("new.signed.test.", 3600, "A", "192.0.2.26");
    };
    // --- keys
    "no key", Nsec, "the zone is signed and has no DNSKEY record", Refuses, Refuses, |zone| {
        zone.remove(APEX, "DNSKEY");
        zone.unsign(APEX, "DNSKEY", None);
    };
    "DNSKEY not signed", Nsec, "no key of the zone signs the DNSKEY RRset", Refuses, Refuses, |zone| {
        zone.unsign(APEX, "DNSKEY", None);
    };
    "DNSKEY signed by no secure entry point", Nsec, "no secure entry point signs the DNSKEY RRset", Refuses, ANY_KEY, |zone| {
        zone.sign_with(APEX, "DNSKEY", |fields, keys| (fields.key, fields.tag) = (&keys.zsk, keys.zsk.tag));
    };
    "zone-signing key missing", Nsec, "which the zone does not have", Refuses, Refuses, |zone| {
        let zsk = zone.all(APEX, "DNSKEY").into_iter().find(|&at| zone.lines[at].word(0) == "256").unwrap();
        zone.lines.remove(zsk);
        zone.sign(APEX, "DNSKEY");
    };
    "zone-signing key changed", Nsec, "which the zone does not have", Refuses, Refuses, |zone| {
        let zsk = zone.all(APEX, "DNSKEY").into_iter().find(|&at| zone.lines[at].word(0) == "256").unwrap();
        let key = zone.lines[zsk].word(3).to_owned();
        let flipped = if key.starts_with('A') { "B" } else { "A" };
        zone.lines[zsk].set_word(3, &format!("{flipped}{}", &key[1..]));
        zone.sign(APEX, "DNSKEY");
    };
    "key-signing key revoked", Nsec, "no key of the zone signs the DNSKEY RRset", Refuses, Accepts("it knows nothing of revoked keys (RFC 5011)"), |zone| {
        let ksk = zone.all(APEX, "DNSKEY").into_iter().find(|&at| zone.lines[at].word(0) == "257").unwrap();
        zone.lines[ksk].set_word(0, "385");
        zone.sign_with(APEX, "DNSKEY", |fields, _| fields.tag += 128);
    };
    "KSK's signature over the keys expired beside the ZSK's", Nsec, "the RRSIG of signed.test. DNSKEY expired", Refuses, ANY_KEY, |zone| {
        zone.sign_with(APEX, "DNSKEY", |fields, _| {
            (fields.inception, fields.expiration) = (now() - 20 * DAY, now() - 10 * DAY);
        });
        zone.sign_beside(APEX, "DNSKEY", by_zsk);
    };
    "KSK's signature over the keys not yet valid beside the ZSK's", Nsec, "the RRSIG of signed.test. DNSKEY begins only in", Refuses, ANY_KEY, |zone| {
        zone.sign_with(APEX, "DNSKEY", |fields, _| fields.inception = now() + 10 * DAY);
        zone.sign_beside(APEX, "DNSKEY", by_zsk);
    };
    "KSK's signature over the keys spoilt beside the ZSK's", Nsec, "the RRSIG of the DNSKEY RRset of signed.test. does not verify", Refuses, ANY_KEY, |zone| {
        zone.sign_with(APEX, "DNSKEY", |fields, keys| fields.key = &keys.zsk);
        zone.sign_beside(APEX, "DNSKEY", by_zsk);
    };
    "CDS not signed", Nsec, "the CDS RRset of signed.test. has no RRSIG", Refuses, Refuses, |zone| {
        zone.add(APEX, 3600, "CDS", CDS);
        let nsec = zone.line(APEX, "NSEC");
        nsec.rdata = format!("{} CDS", nsec.rdata);
        zone.sign(APEX, "NSEC");
    };
    // --- NSEC
    "missing NSEC", Nsec, "mail.signed.test. has no NSEC record", Refuses, Refuses, |zone| {
        zone.remove(MAIL, "NSEC");
        zone.unsign(MAIL, "NSEC", None);
    };
    "NSEC chain leads past a name", Nsec, "leads to secure.signed.test.; the next name is ns.signed.test.", Refuses, Refuses, |zone| {
        zone.line(MAIL, "NSEC").set_word(0, SECURE);
        zone.sign(MAIL, "NSEC");
    };
    "NSEC chain leads to a name that is not there", Nsec, "leads to nope.signed.test.; the next name is ns.signed.test.", Refuses, Refuses, |zone| {
        zone.line(MAIL, "NSEC").set_word(0, "nope.signed.test.");
        zone.sign(MAIL, "NSEC");
    };
    "NSEC chain without one of its names", Nsec, "mail.signed.test. has no NSEC record", Refuses, Refuses, |zone| {
        zone.skip(MAIL, "NSEC");
    };
    "NSEC chain not closed", Nsec, "the next name is signed.test.", Refuses, Refuses, |zone| {
        let last = zone.lines.iter().find(|line| line.rtype == "NSEC" && line.word(0) == APEX).unwrap();
        let owner = last.owner.clone();
        zone.line(&owner, "NSEC").set_word(0, "zzz.signed.test.");
        zone.sign(&owner, "NSEC");
    };
    "second NSEC at a name", Nsec, "mail.signed.test. has a second NSEC record", Refuses, Refuses, |zone| {
        zone.add(MAIL, 300, "NSEC", "secure.signed.test. A TXT RRSIG NSEC");
        zone.sign(MAIL, "NSEC");
    };
    "NSEC bitmap lacks a type", Nsec, "the NSEC record of mail.signed.test. lacks TXT", Refuses, NO_BITMAPS, |zone| {
        let nsec = zone.line(MAIL, "NSEC");
        nsec.rdata = nsec.rdata.replace(" TXT ", " ");
        zone.sign(MAIL, "NSEC");
    };
    "NSEC bitmap lists a type too many", Nsec, "the NSEC record of mail.signed.test. lists MX, which is not there", Refuses, NO_BITMAPS, |zone| {
        let nsec = zone.line(MAIL, "NSEC");
        nsec.rdata = nsec.rdata.replace(" TXT ", " MX TXT ");
        zone.sign(MAIL, "NSEC");
    };
    "NSEC denies a DS that is there", Nsec, "the NSEC record of secure.signed.test. lacks DS", Refuses, NO_BITMAPS, |zone| {
        let nsec = zone.line(SECURE, "NSEC");
        nsec.rdata = nsec.rdata.replace(" DS ", " ");
        zone.sign(SECURE, "NSEC");
    };
    "DS lost that the NSEC lists", Nsec, "the NSEC record of secure.signed.test. lists DS, which is not there", Refuses, NO_BITMAPS, |zone| {
        zone.remove(SECURE, "DS");
        zone.unsign(SECURE, "DS", None);
    };
    "no chain", Nsec, "has neither NSEC nor NSEC3 at its apex", Refuses, Refuses, |zone| {
        zone.lines.retain(|line| line.rtype != "NSEC" && !line.rdata.starts_with("NSEC "));
    };
    // --- NSEC3
    "missing NSEC3", Nsec3, "mail.signed.test. has no NSEC3 record", Refuses, Refuses, |zone| {
        let owner = zone.hashed(MAIL);
        zone.remove(&owner, "NSEC3");
        zone.unsign(&owner, "NSEC3", None);
    };
    "NSEC3 chain without one of its names", Nsec3, "mail.signed.test. has no NSEC3 record", Refuses, Refuses, |zone| {
        let owner = zone.hashed(MAIL);
        zone.skip(&owner, "NSEC3");
    };
    "NSEC3 of an empty non-terminal missing", Nsec3, "empty.signed.test. has no NSEC3 record", Refuses, Accepts("it looks for the records of names that have data"), |zone| {
        let owner = zone.hashed("empty.signed.test.");
        zone.skip(&owner, "NSEC3");
    };
    "NSEC3 of an unsigned delegation missing without opt-out", Nsec3, "insecure.signed.test. has no NSEC3 record", Accepts("it lets unsigned delegations be left out anywhere"), Refuses, |zone| {
        let owner = zone.hashed("insecure.signed.test.");
        zone.skip(&owner, "NSEC3");
    };
    "opt-out skips a signed delegation", OptOut, "only unsigned delegations may be opted out", Refuses, Refuses, |zone| {
        let owner = zone.hashed(SECURE);
        zone.skip(&owner, "NSEC3");
    };
    "opt-out skips a host", OptOut, "only unsigned delegations may be opted out", Refuses, Refuses, |zone| {
        let owner = zone.hashed(MAIL);
        zone.skip(&owner, "NSEC3");
    };
    "NSEC3 leads to a wrong hash", Nsec3, "leads to 00000000000000000000000000000001; the next hash is", Refuses, Refuses, |zone| {
        let owner = zone.hashed(MAIL);
        zone.line(&owner, "NSEC3").set_word(4, "00000000000000000000000000000001");
        zone.sign(&owner, "NSEC3");
    };
    "NSEC3 bitmap lacks a type", Nsec3, "the NSEC3 record of mail.signed.test. lacks TXT", Refuses, NO_BITMAPS, |zone| {
        let owner = zone.hashed(MAIL);
        let nsec3 = zone.line(&owner, "NSEC3");
        nsec3.rdata = nsec3.rdata.replace(" TXT ", " ");
        zone.sign(&owner, "NSEC3");
    };
    "NSEC3 bitmap lists a type too many", Nsec3, "the NSEC3 record of mail.signed.test. lists MX, which is not there", Refuses, NO_BITMAPS, |zone| {
        let owner = zone.hashed(MAIL);
        let nsec3 = zone.line(&owner, "NSEC3");
        nsec3.rdata = nsec3.rdata.replace(" TXT ", " MX TXT ");
        zone.sign(&owner, "NSEC3");
    };
    "iterations of NSEC3PARAM and NSEC3 differ", Nsec3, "NSEC3PARAM names a chain of which there is no NSEC3 record", Refuses, NO_NSEC3PARAM, |zone| {
        zone.line(APEX, "NSEC3PARAM").set_word(2, "3");
        zone.sign(APEX, "NSEC3PARAM");
    };
    "salt of NSEC3PARAM and NSEC3 differs", Nsec3, "NSEC3PARAM names a chain of which there is no NSEC3 record", Refuses, NO_NSEC3PARAM, |zone| {
        zone.line(APEX, "NSEC3PARAM").set_word(3, "AABC");
        zone.sign(APEX, "NSEC3PARAM");
    };
    "one NSEC3 with other iterations", Nsec3, "mail.signed.test. has no NSEC3 record", Refuses, Accepts("it takes the parameters of the first NSEC3 record for those of all"), |zone| {
        let owner = zone.hashed(MAIL);
        zone.line(&owner, "NSEC3").set_word(2, "3");
        zone.sign(&owner, "NSEC3");
    };
    "no NSEC3 records", Nsec3, "NSEC3PARAM names a chain of which there is no NSEC3 record", Refuses, Refuses, |zone| {
        zone.lines.retain(|line| line.rtype != "NSEC3" && !line.rdata.starts_with("NSEC3 "));
    };
    "no NSEC3PARAM", Nsec3, "no NSEC3PARAM record at its apex", Refuses, NO_NSEC3PARAM, |zone| {
        zone.remove(APEX, "NSEC3PARAM");
        zone.unsign(APEX, "NSEC3PARAM", None);
    };
    "NSEC3 of a name that is gone", Nsec3, "stands for no name of the zone", Refuses, Refuses, |zone| {
        zone.lines.retain(|line| line.owner != "srv.signed.test.");
    };
    // --- the zone's digest
    "ZONEMD is not the digest", Zonemd, "the zone's digest is not what ZONEMD says", NO_ZONEMD, Refuses, |zone| {
        let zonemd = zone.line(APEX, "ZONEMD");
        let digest = zonemd.word(3).to_owned();
        let flipped = if digest.starts_with('0') { "1" } else { "0" };
        zonemd.set_word(3, &format!("{flipped}{}", &digest[1..]));
        zone.sign(APEX, "ZONEMD");
    };
    "ZONEMD of another serial", Zonemd, "ZONEMD is of serial 7; the zone has 1", NO_ZONEMD, Refuses, |zone| {
        zone.line(APEX, "ZONEMD").set_word(0, "7");
        zone.sign(APEX, "ZONEMD");
    };
    "two ZONEMD of a kind", Zonemd, "a second ZONEMD of scheme 1 and hash 1", NO_ZONEMD, Refuses, |zone| {
        let mut second = zone.line(APEX, "ZONEMD").clone();
        second.set_word(3, &"0".repeat(96));
        zone.lines.push(second);
        zone.sign(APEX, "ZONEMD");
    };
    "glue changed under the digest", Zonemd, "the zone's digest is not what ZONEMD says", NO_ZONEMD, Refuses, |zone| {
        zone.line("ns.insecure.signed.test.", "A").rdata = "192.0.2.99".to_owned();
    };
    "data changed and signed again under the digest", Zonemd, "the zone's digest is not what ZONEMD says", NO_ZONEMD, Refuses, |zone| {
        zone.line(NS, "A").rdata = "192.0.2.54".to_owned();
        zone.sign(NS, "A");
    };
};

/// What is odd and believed by validators: ours accepts it, and says so in a warning.
pub(crate) const ODD: &[Case] = cases! {
    "a signature that does not verify beside a good one", Nsec, "an RRSIG of the A RRset of mail.signed.test. does not verify", ONE_GOOD, ONE_GOOD, |zone| {
        zone.sign_beside(MAIL, "A", |fields, keys| fields.key = &keys.ksk);
    };
    "a signature of a wrong signer beside a good one", Nsec, "names the signer test.", ONE_GOOD, ONE_GOOD, |zone| {
        zone.sign_beside(MAIL, "A", |fields, _| fields.signer = "test.".to_owned());
    };
    "an expired signature beside a good one", Nsec, "", ONE_GOOD, ONE_GOOD, |zone| {
        zone.sign_beside(MAIL, "A", |fields, _| {
            (fields.inception, fields.expiration) = (now() - 20 * DAY, now() - 10 * DAY);
        });
    };
    "ZSK's signature over the keys expired beside the KSK's", Nsec, "", ONE_GOOD, ONE_GOOD, |zone| {
        zone.sign(APEX, "DNSKEY");
        zone.sign_beside(APEX, "DNSKEY", |fields, keys| {
            by_zsk(fields, keys);
            (fields.inception, fields.expiration) = (now() - 20 * DAY, now() - 10 * DAY);
        });
    };
    "an expired signature of the KSK beside a good one of it", Nsec, "", ONE_GOOD, ONE_GOOD, |zone| {
        zone.sign_beside(APEX, "DNSKEY", |fields, _| {
            (fields.inception, fields.expiration) = (now() - 20 * DAY, now() - 10 * DAY);
        });
    };
    "an NSEC chain begun or nearly gone beside NSEC3, as BIND changes them", Nsec3, "2 NSEC3 records do not list the NSEC record", Refuses, Refuses, |zone| {
        for (owner, rdata) in [(MAIL, "ns.signed.test. A TXT RRSIG NSEC"), (INSECURE, "leaf.empty.signed.test. NS RRSIG NSEC")] {
            zone.add(owner, 300, "NSEC", rdata);
            zone.sign(owner, "NSEC");
        }
    };
    "iterations and salt", Nsec3, "NSEC3 with 2 iterations and 2 octets of salt", Accepts("it leaves that to the operator"), Accepts("it leaves that to the operator"), |_| ();
};
