//! Whether new data may come into force.

use std::net::Ipv4Addr;
use std::sync::Arc;

use pharos_answer::{AnyPolicy, Context, Job, Silent, Transport, Verdict, answer};
use pharos_wire::hash::HashKey;
use pharos_wire::{Name, Rcode, Rtype};
use pharos_zonedb::{ZoneImage, ZoneSet, ZoneState};

/// Lets the new image answer for its own apex before anybody else asks it.
pub(super) fn self_test(name: &Name, image: &Arc<ZoneImage>, key: HashKey) -> Result<(), String> {
    let zones = ZoneSet::new(key, vec![(*name, ZoneState::Live(image.clone()))]);
    let context = Context::new(Transport::Tcp, 1232, "", AnyPolicy::Minimal);
    let (mut job, mut out) = (Job::default(), vec![0; 65_535]);
    for rtype in [Rtype::SOA, Rtype::NS] {
        let mut query = vec![0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        query.extend(name.as_wire());
        query.extend(rtype.0.to_be_bytes());
        query.extend([0, 1]);
        let verdict =
            answer(&mut job, &zones, &context, Ipv4Addr::LOCALHOST.into(), &query, &mut out, &mut Silent);
        let good = match verdict {
            Verdict::Reply(reply) => reply.rcode == Rcode::NOERROR && out[2] & 4 != 0 && out[7] != 0,
            Verdict::Drop(_) => false,
        };
        if !good {
            return Err(format!(
                "{name}: the compiled zone does not answer {rtype} at its apex ({verdict:?})\n help: this is a defect of the program: report it with the zone file"
            ));
        }
    }
    Ok(())
}
