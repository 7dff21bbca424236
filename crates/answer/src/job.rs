//! One query from its octets to its reply, in passes.

use std::net::IpAddr;

use pharos_wire::edns::Asked;
use pharos_wire::hash::HashedName;
use pharos_wire::{Class, Malformed, Opcode, Query, Rcode, Rtype};
use pharos_zonedb::{Approach, Foresight, Glimpse, ZoneImage, ZoneSet, ZoneState};

use crate::chaos::chaos;
use crate::context::Context;
use crate::cookie::Judged;
use crate::observe::{Observer, Step};
use crate::options::Extras;
use crate::reply::Reply;
use crate::resolve::{Resolver, zone_of};
use crate::verdict::{DropReason, Kind, Replied, Verdict};

/// What a query needs between its passes; kept and reused, one for each slot of a batch.
#[derive(Clone, Default)]
pub struct Job {
    query: Query,
    shape: Option<Malformed>,
    /// Whether zones are to be asked: the name is hashed then.
    asks_zones: bool,
    /// Index of the enclosing zone and the label at which its apex starts.
    zone: Option<(usize, usize)>,
    /// What that zone's table says of the name, once somebody has looked.
    glimpse: Glimpse,
    /// What was found in that zone before the last pass; for queries that may need a denial's proof.
    foresight: Option<Foresight>,
}

/// All passes but the last over the messages of a batch, one for each job: what one look-up waits for in memory is
/// loaded while others go on. [`Job::write`] then finds it near.
///
/// Among many zones the way to a name is long: slot, zone, image, bucket, node, each known only from the one before.
/// There each gets a pass of its own; among few all but the last two are in the nearest cache anyway.
#[inline]
pub fn look_up<'m>(jobs: &mut [Job], zones: &ZoneSet, message: impl Fn(usize) -> &'m [u8]) {
    if let [job] = jobs {
        job.read(zones, message(0));
        return;
    }
    if zones.is_wide() {
        for (index, job) in jobs.iter_mut().enumerate() {
            job.parse(zones, message(index));
            if job.asks_zones {
                zones.warm_slot(&job.query.qname);
            }
        }
        for job in jobs.iter().filter(|job| job.asks_zones) {
            zones.warm_zone(&job.query.qname);
        }
        for job in jobs.iter_mut().filter(|job| job.asks_zones) {
            job.find(zones, |image, _| image.warm());
        }
    } else {
        for (index, job) in jobs.iter_mut().enumerate() {
            job.parse(zones, message(index));
            if job.asks_zones {
                job.find(zones, |_, _| ());
            }
        }
    }
    // By themselves, so that nothing stands between the loads that the CPU waits for, and many are under way at once.
    jobs.iter().for_each(|job| job.with_image(zones, ZoneImage::warm_table));
    jobs.iter_mut().for_each(|job| job.glimpse(zones));
    foresee(jobs, zones);
}

/// Finds the names of those who want proofs, and has the searches for what denies missing ones go on together.
#[inline]
fn foresee(jobs: &mut [Job], zones: &ZoneSet) {
    let mut denies = false;
    for job in jobs.iter_mut().filter(|job| job.query.wants_dnssec()) {
        job.foresee(zones);
        denies |= job.foresight.is_some_and(|foresight| foresight.denies());
    }
    if denies {
        for step in Approach::ALL {
            for job in jobs.iter() {
                if let Some(foresight) = &job.foresight {
                    job.with_image(zones, |image, _| image.approach(foresight, step));
                }
            }
        }
    }
}

/// Answers one message, which came from `client`: all passes in one call.
#[inline]
pub fn answer<O: Observer>(
    job: &mut Job,
    zones: &ZoneSet,
    context: &Context,
    client: IpAddr,
    message: &[u8],
    out: &mut [u8],
    observer: &mut O,
) -> Verdict {
    job.read(zones, message);
    job.write(zones, context, client, message, out, observer)
}

impl Job {
    /// Reads the message, finds its zone, and asks for the first line of memory that the look-up needs.
    #[inline]
    pub fn read(&mut self, zones: &ZoneSet, message: &[u8]) {
        self.parse(zones, message);
        if self.asks_zones {
            self.find(zones, ZoneImage::warm_table);
        }
    }

    /// Reads the message, and hashes the name for which zones will be asked.
    #[inline]
    fn parse(&mut self, zones: &ZoneSet, message: &[u8]) {
        (self.zone, self.glimpse, self.foresight) = (None, Glimpse::NotTaken, None);
        self.shape = self.query.read(message).err();
        // What no zone will be asked for is not worth the hashing: other opcodes, other versions of EDNS.
        self.asks_zones = self.shape.is_none()
            && self.query.qclass == Class::IN
            && self.query.opcode() == Opcode::QUERY
            && self.query.edns.is_none_or(|edns| edns.version == 0);
        if self.asks_zones {
            self.query.qname.hash(zones.key());
        }
    }

    /// Finds the zone that encloses the name, and shows its image if it has one.
    #[inline]
    fn find(&mut self, zones: &ZoneSet, show: impl FnOnce(&ZoneImage, &HashedName)) {
        if let Some(found) = zone_of(zones, &self.query.qname, self.query.qtype) {
            self.zone = Some((found.zone, found.apex_label));
            if let ZoneState::Live(image) = found.state {
                show(image, &self.query.qname);
            }
        }
    }

    /// Shows the image of the zone that was found.
    #[inline]
    fn with_image(&self, zones: &ZoneSet, show: impl FnOnce(&ZoneImage, &HashedName)) {
        if let Some((zone, _)) = self.zone
            && let Some(ZoneState::Live(image)) = zones.state(zone)
        {
            show(image, &self.query.qname);
        }
    }

    /// Looks where the name should stand in the zone that was found.
    #[inline]
    fn glimpse(&mut self, zones: &ZoneSet) {
        let mut glimpse = Glimpse::NotTaken;
        self.with_image(zones, |image, name| glimpse = image.glimpse(name));
        self.glimpse = glimpse;
    }

    /// Finds the name in the zone that was found.
    #[inline]
    fn foresee(&mut self, zones: &ZoneSet) {
        if let Some((zone, apex_label)) = self.zone
            && let Some(ZoneState::Live(image)) = zones.state(zone)
        {
            self.foresight = Some(image.foresee(&self.query.qname, apex_label, self.glimpse));
        }
    }

    /// Last pass: decides and writes the reply to the message that was read, and that came from `client`, into `out`.
    #[inline]
    pub fn write<O: Observer>(
        &mut self,
        zones: &ZoneSet,
        context: &Context,
        client: IpAddr,
        message: &[u8],
        out: &mut [u8],
        observer: &mut O,
    ) -> Verdict {
        match self.shape {
            Some(Malformed::ShortHeader) => return Verdict::Drop(DropReason::Short),
            Some(Malformed::Response) => return Verdict::Drop(DropReason::Response),
            _ => {}
        }
        let mut reply = Reply::begin(&self.query, context, message, out);
        let (rcode, kind) = match self.objection(context, client, message, &mut reply) {
            Some(rcode) => (rcode, Kind::Error),
            None if self.query.qclass == Class::CH => chaos(&self.query, zones, context, &mut reply),
            None => self.resolve(zones, context, &mut reply, observer),
        };
        let truncation = reply.truncation;
        let mut len = reply.finish(rcode);
        if reply.has_options(kind) {
            len = self.add_options(zones, context, rcode, &mut reply);
        }
        Verdict::Reply(Replied {
            len,
            rcode,
            kind,
            truncation,
            opcode: self.query.opcode(),
            qtype: (self.query.question_end > pharos_wire::header::OCTETS).then_some(self.query.qtype),
            zone: self.zone.map(|(zone, _)| zone),
        })
    }

    /// Why the query gets an error whatever the zones hold, if it does.
    #[inline]
    fn objection(
        &self,
        context: &Context,
        client: IpAddr,
        message: &[u8],
        reply: &mut Reply<'_, '_>,
    ) -> Option<Rcode> {
        let query = &self.query;
        let unusual = query.opcode() != Opcode::QUERY
            || self.shape.is_some()
            || query.edns.is_some_and(|edns| edns.version != 0 || !edns.asked.is_empty());
        if unusual && let Some(rcode) = self.objection_to_message(context, client, message, reply) {
            return Some(rcode);
        }
        match (query.qclass, query.qtype) {
            // Not types of data: OPT and TSIG only ever stand in additional sections.
            (_, Rtype(0) | Rtype::OPT | Rtype::TSIG) => Some(Rcode::FORMERR),
            (_, Rtype::TKEY) => Some(Rcode::NOTIMP), // RFC 2930 is not implemented
            (Class::IN, Rtype::AXFR | Rtype::IXFR) => Some(Rcode::REFUSED), // RFC 5936 §2.2.1: by policy
            (Class::IN | Class::CH, _) => None,
            _ => Some(Rcode::REFUSED), // no zone here has another class
        }
    }

    /// Adds the options of the OPT record to a finished reply.
    #[cold]
    #[inline(never)]
    fn add_options(
        &self,
        zones: &ZoneSet,
        context: &Context,
        rcode: Rcode,
        reply: &mut Reply<'_, '_>,
    ) -> usize {
        let zone = self.zone.and_then(|(zone, _)| Some((zones.apex(zone)?, zones.state(zone)?)));
        reply.add_options(&Extras::of(rcode, zone, context, reply.asked()))
    }

    /// Why it gets an error, or a cookie alone, for the sake of its header, its shape or its options, if it does. Here
    /// the reply learns of the options.
    #[cold]
    #[inline(never)]
    fn objection_to_message(
        &self,
        context: &Context,
        client: IpAddr,
        message: &[u8],
        reply: &mut Reply<'_, '_>,
    ) -> Option<Rcode> {
        let query = &self.query;
        if let Some(edns) = query.edns
            && !edns.asked.is_empty()
        {
            reply.plan(edns, client, message);
        }
        if query.opcode() != Opcode::QUERY {
            return Some(Rcode::NOTIMP);
        }
        if self.shape.is_some_and(|shape| shape != Malformed::NoQuestion) {
            return Some(Rcode::FORMERR);
        }
        if query.edns.is_some_and(|edns| edns.version != 0) {
            return Some(Rcode::BADVERS); // RFC 6891 §6.1.3
        }
        let faulty = query.edns.is_some_and(|edns| edns.asked.has(Asked::FAULTY));
        match (self.shape, &reply.cookie) {
            // RFC 9660 §3.2.1, RFC 7873 §5.2.2
            (_, Judged::Malformed) => Some(Rcode::FORMERR),
            _ if faulty => Some(Rcode::FORMERR),
            // RFC 7873 §5.4: without a question the client learns or confirms its cookie.
            (Some(_), Judged::First(_) | Judged::Valid(_)) => Some(Rcode::NOERROR),
            (Some(_), Judged::Invalid(_)) => Some(Rcode::BADCOOKIE),
            (Some(_), Judged::None) => Some(Rcode::FORMERR),
            // RFC 7873 §5.2.3
            (None, Judged::First(_) | Judged::Invalid(_)) => {
                context.demands_cookies().then_some(Rcode::BADCOOKIE)
            }
            (None, Judged::None | Judged::Valid(_)) => None,
        }
    }

    fn resolve<O: Observer>(
        &mut self,
        zones: &ZoneSet,
        context: &Context,
        reply: &mut Reply<'_, '_>,
        observer: &mut O,
    ) -> (Rcode, Kind) {
        let found = self.zone.and_then(|(zone, apex_label)| {
            let state = zones.state(zone)?;
            Some(pharos_zonedb::Enclosing { zone, apex_label, state })
        });
        let Some(zone) = found else {
            observer.note(&self.query.qname, Step::NoZone);
            return (Rcode::REFUSED, Kind::Error);
        };
        let (qtype, any) = (self.query.qtype, context.any());
        let (glimpse, foresight) = (self.glimpse, self.foresight.as_ref());
        Resolver { name: &mut self.query.qname, glimpse, foresight, qtype, any, zones, reply, observer }
            .run(zone)
    }
}
