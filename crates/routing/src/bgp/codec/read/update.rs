//! Reading UPDATE, with the care of RFC 7606: what is wrong with an attribute costs the routes of that UPDATE, and
//! only a message in which the prefixes cannot be found costs the session.
//!
//! | what is wrong | what happens | RFC 7606 |
//! |---|---|---|
//! | the lengths of withdrawn routes or attributes exceed the message | session reset | §3 b, §4 |
//! | a prefix that is too long or cut short | session reset | §5.3, §3 j |
//! | MP_REACH_NLRI or MP_UNREACH_NLRI twice, or cut short; next hop of a wrong length | session reset | §3 g, §7.11, §7.12 |
//! | an attribute that runs past the attributes' end | treat as withdraw | §4 |
//! | ORIGIN, AS_PATH, NEXT_HOP, MED, COMMUNITIES, internal LOCAL_PREF: malformed, or with wrong flags | treat as withdraw | §3 c, §7 |
//! | LARGE_COMMUNITY, ONLY_TO_CUSTOMER: malformed | treat as withdraw | RFC 8092 §6, RFC 9234 §5 |
//! | a mandatory attribute missing | treat as withdraw | §3 d |
//! | an unknown attribute that says it is well-known | treat as withdraw | §2, for RFC 4271's reset |
//! | AS4_PATH malformed | attribute discarded | RFC 6793 §6 |
//! | any other attribute twice | the first counts | §3 g |
//! | external LOCAL_PREF; attributes that we do not use | ignored | §7.5 |
//! | a family that was not negotiated | ignored | RFC 4760 §7 |
//! | our own AS in the AS_PATH | treat as withdraw | RFC 4271 §9.1.2 |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netgauze_bgp_pkt::path_attribute::{
    As4PathSegment, AsPath as WirePath, AsPathSegmentType, Origin as WireOrigin, PathAttribute,
    PathAttributeValue,
};
use netgauze_bgp_pkt::wire::deserializer::BgpParsingContext;
use netgauze_parse_utils::reader::SliceReader;
use netgauze_parse_utils::traits::ParseFromWithOneInput;

use super::super::Refusal;
use super::{Width, family, take, taken_by_length};
use crate::bgp::codec::write::Speaker;
use crate::bgp::{
    AsNumbers, AsPath, AsSegment, ExtendedNextHop, Fault, Origin, ReceivedRoute, RouteChange, notification,
};
use crate::{Community, Families, Family, LargeCommunity, Prefix};

const ORIGIN: u8 = 1;
const AS_PATH: u8 = 2;
const NEXT_HOP: u8 = 3;
const MULTI_EXIT_DISC: u8 = 4;
const LOCAL_PREF: u8 = 5;
const ATOMIC_AGGREGATE: u8 = 6;
const COMMUNITIES: u8 = 8;
const MP_REACH_NLRI: u8 = 14;
const MP_UNREACH_NLRI: u8 = 15;
const AS4_PATH: u8 = 17;
const LARGE_COMMUNITY: u8 = 32;
const ONLY_TO_CUSTOMER: u8 = 35;

/// What an UPDATE says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Update {
    /// Withdrawals first, then announcements.
    pub(crate) changes: Vec<RouteChange>,
    pub(crate) end_of_rib: Option<Family>,
    pub(crate) faults: Vec<Fault>,
}

/// The parts of an UPDATE, RFC 4271 §4.3.
pub(crate) struct Parts<'a> {
    withdrawn: &'a [u8],
    attributes: &'a [u8],
    nlri: &'a [u8],
}

/// Cuts an UPDATE's body into its parts. All that is asked of one whose routes nobody wants.
pub(crate) fn split(body: &[u8]) -> Result<Parts<'_>, Refusal> {
    let mut rest = body;
    let parts =
        (|| Some((taken_by_length(&mut rest, Width::Two)?, taken_by_length(&mut rest, Width::Two)?)))();
    let Some((withdrawn, attributes)) = parts else {
        let detail = "the lengths inside an UPDATE exceed the message";
        return Err(Refusal::new(notification::UPDATE, 1, [], detail));
    };
    Ok(Parts { withdrawn, attributes, nlri: rest })
}

/// Reads an UPDATE's body. `families` are those that were negotiated.
pub(crate) fn update(body: &[u8], speaker: Speaker, families: Families) -> Result<Update, Refusal> {
    let Parts { withdrawn, attributes: attribute_octets, nlri } = split(body)?;
    let mut update = Update::default();
    let mut attributes = Attributes::default();
    let broken = attributes.read(attribute_octets, speaker, &mut update.faults)?;

    let classic = families.contains(Family::Ipv4);
    let mut gone = prefixes(Family::Ipv4, withdrawn, 10)?;
    let mut announced = prefixes(Family::Ipv4, nlri, 10)?;
    if !(classic || gone.is_empty() && announced.is_empty()) {
        update.faults.push(not_negotiated(Family::Ipv4));
        gone.clear();
        announced.clear();
    }
    if body.len() == 4 {
        update.end_of_rib = Some(Family::Ipv4);
    }
    if let Some((family, prefixes)) = attributes.unreachable.take().flatten() {
        let marker = withdrawn.is_empty() && nlri.is_empty() && attributes.count == 1 && prefixes.is_empty();
        match families.contains(family) {
            true if marker => update.end_of_rib = Some(family),
            true => gone.extend(prefixes),
            false => update.faults.push(not_negotiated(family)),
        }
    }
    let reachable = attributes.reachable.take();
    let mut multiprotocol = None;
    if let Some((next_hop, mp)) = reachable
        && let Some((family, prefixes)) = mp
    {
        match families.contains(family) {
            true => multiprotocol = Some((next_hop, prefixes)),
            false => update.faults.push(not_negotiated(family)),
        }
    }

    let classic_next_hop = attributes.next_hop.map(IpAddr::V4);
    let sets = [(classic_next_hop, announced)]
        .into_iter()
        .chain(multiprotocol.map(|(next_hop, prefixes)| (Some(next_hop), prefixes)));
    let mut routes = Vec::new();
    for (next_hop, prefixes) in sets {
        if prefixes.is_empty() {
            continue;
        }
        match broken.clone().map_or_else(|| attributes.route(next_hop, speaker), Err) {
            Ok(attributes) => {
                routes.extend(
                    prefixes.into_iter().map(|prefix| ReceivedRoute { prefix, ..attributes.clone() }),
                );
            }
            Err(why) => {
                update.faults.push(Fault::TreatedAsWithdraw(why));
                gone.extend(prefixes);
            }
        }
    }
    update.changes.extend(gone.into_iter().map(RouteChange::Withdrawn));
    update.changes.extend(routes.into_iter().map(RouteChange::Announced));
    Ok(update)
}

fn not_negotiated(family: Family) -> Fault {
    Fault::Ignored(format!("routes for {family}, which was not negotiated"))
}

/// A multiprotocol attribute's routes: those of a family that we know, or nothing.
type Multiprotocol = Option<(Family, Vec<Prefix>)>;

#[derive(Debug, Default)]
struct Attributes {
    count: usize,
    seen: Vec<u8>,
    origin: Option<Origin>,
    as_path: Option<AsPath>,
    as4_path: Option<AsPath>,
    next_hop: Option<Ipv4Addr>,
    med: Option<u32>,
    local_pref: Option<u32>,
    communities: Vec<Community>,
    large_communities: Vec<LargeCommunity>,
    only_to_customer: Option<u32>,
    reachable: Option<(IpAddr, Multiprotocol)>,
    unreachable: Option<Multiprotocol>,
}

impl Attributes {
    /// Reads all attributes. `Some` is the first reason for which the routes count as withdrawn.
    fn read(
        &mut self,
        mut rest: &[u8],
        speaker: Speaker,
        faults: &mut Vec<Fault>,
    ) -> Result<Option<String>, Refusal> {
        let mut broken = None;
        while !rest.is_empty() {
            let whole = rest;
            let attribute = (|| {
                let [flags, code] = take::<2>(&mut rest)?;
                let width = if flags & 0x10 != 0 { Width::Two } else { Width::One };
                let value = taken_by_length(&mut rest, width)?;
                Some((flags, code, value, whole.get(..whole.len() - rest.len())?))
            })();
            // RFC 7606 §4: what was found before still counts; the prefixes lie behind all attributes.
            let Some((flags, code, value, octets)) = attribute else {
                broken.get_or_insert("an attribute runs past the end of the attributes".to_owned());
                break;
            };
            self.count += 1;
            if self.seen.contains(&code) {
                if matches!(code, MP_REACH_NLRI | MP_UNREACH_NLRI) {
                    let detail = format!("{} stands twice in an UPDATE", attribute_name(code));
                    return Err(Refusal::new(notification::UPDATE, 1, [], detail));
                }
                faults.push(Fault::AttributeDiscarded(format!("{} a second time", attribute_name(code))));
                continue;
            }
            self.seen.push(code);
            match code {
                MP_REACH_NLRI => self.reachable = Some(mp_reach(value, speaker.extended_next_hop)?),
                MP_UNREACH_NLRI => self.unreachable = Some(mp_unreach(value)?),
                AS4_PATH if speaker.as_numbers == AsNumbers::FourOctet => {}
                LOCAL_PREF if !speaker.ibgp => {}
                ORIGIN | AS_PATH | NEXT_HOP | MULTI_EXIT_DISC | LOCAL_PREF | COMMUNITIES | AS4_PATH => {
                    match self.value(octets, value, speaker.as_numbers) {
                        Ok(()) => {}
                        Err(why) if code == AS4_PATH => faults.push(Fault::AttributeDiscarded(why)),
                        Err(why) => {
                            broken.get_or_insert(why);
                        }
                    }
                }
                LARGE_COMMUNITY | ONLY_TO_CUSTOMER => {
                    if let Err(why) = self.plain(code, value) {
                        broken.get_or_insert(why);
                    }
                }
                // The optional bit is clear: the sender holds that every speaker knows this attribute.
                code if flags & 0x80 == 0 && code != ATOMIC_AGGREGATE => {
                    broken.get_or_insert(format!("attribute {code} says that it is well-known, and is not"));
                }
                _ => {}
            }
        }
        Ok(broken)
    }

    /// Reads one attribute through the codec crate. `octets` is the whole attribute and nothing behind it.
    fn value(&mut self, octets: &[u8], value: &[u8], width: AsNumbers) -> Result<(), String> {
        let mut own = octets.to_vec();
        if let Some(flags) = own.first_mut() {
            // RFC 7606 §3 c names only the Optional and Transitive bits.
            *flags &= !0x20;
        }
        let code = own.get(1).copied().unwrap_or_default();
        let malformed = |why: String| format!("{} is malformed: {why}", attribute_name(code));
        // RFC 7606 §7.8.
        if code == COMMUNITIES && (value.is_empty() || !value.len().is_multiple_of(4)) {
            return Err(malformed(format!("{} octets are no whole communities", value.len())));
        }
        let mut context = BgpParsingContext::default();
        context.set_asn4(width == AsNumbers::FourOctet);
        let mut reader = SliceReader::new(&own);
        let parsed = PathAttribute::parse(&mut reader, &mut context).map_err(|e| malformed(e.to_string()))?;
        if !reader.is_empty() {
            return Err(malformed("octets are left over".to_owned()));
        }
        match parsed.value() {
            PathAttributeValue::Origin(origin) => {
                self.origin = Some(match origin {
                    WireOrigin::IGP => Origin::Igp,
                    WireOrigin::EGP => Origin::Egp,
                    WireOrigin::Incomplete => Origin::Incomplete,
                });
            }
            PathAttributeValue::AsPath(path) => self.as_path = Some(as_path(path)),
            PathAttributeValue::As4Path(path) => {
                self.as4_path = Some(AsPath(path.segments().iter().map(wide_segment).collect()));
            }
            PathAttributeValue::NextHop(next_hop) => self.next_hop = Some(next_hop.next_hop()),
            PathAttributeValue::MultiExitDiscriminator(med) => self.med = Some(med.metric()),
            PathAttributeValue::LocalPreference(preference) => self.local_pref = Some(preference.metric()),
            PathAttributeValue::Communities(communities) => {
                self.communities = communities.communities().iter().map(|c| Community(c.value())).collect();
            }
            _ => return Err(malformed("it reads as another attribute".to_owned())),
        }
        Ok(())
    }

    /// Reads the attributes that are nothing but numbers of 32 bits.
    fn plain(&mut self, code: u8, value: &[u8]) -> Result<(), String> {
        let (numbers, rest) = value.as_chunks::<4>();
        let numbers: Vec<u32> = numbers.iter().map(|&octets| u32::from_be_bytes(octets)).collect();
        let (triples, over) = numbers.as_chunks::<3>();
        match (code, numbers.as_slice()) {
            (ONLY_TO_CUSTOMER, &[asn]) if rest.is_empty() => self.only_to_customer = Some(asn),
            (LARGE_COMMUNITY, [_, ..]) if over.is_empty() && rest.is_empty() => {
                self.large_communities =
                    triples.iter().map(|&[a, b, c]| LargeCommunity::new(a, b, c)).collect();
            }
            _ => return Err(format!("{} is malformed: {} octets", attribute_name(code), value.len())),
        }
        Ok(())
    }

    /// The attributes as a route whose prefix is still to be set; or why they make none.
    fn route(&self, next_hop: Option<IpAddr>, speaker: Speaker) -> Result<ReceivedRoute, String> {
        let missing = |code| format!("{} is missing", attribute_name(code));
        let origin = self.origin.ok_or_else(|| missing(ORIGIN))?;
        let narrow = self.as_path.as_ref().ok_or_else(|| missing(AS_PATH))?;
        let next_hop = next_hop.ok_or_else(|| missing(NEXT_HOP))?;
        if speaker.ibgp && self.local_pref.is_none() {
            return Err(missing(LOCAL_PREF));
        }
        if next_hop.is_unspecified() || next_hop.is_multicast() {
            return Err(format!("{next_hop} cannot be a next hop"));
        }
        let as_path = merged(narrow, self.as4_path.as_ref());
        if as_path.numbers().any(|number| number == speaker.local_as) {
            return Err(format!("our own AS {} stands in the AS path {as_path}", speaker.local_as));
        }
        Ok(ReceivedRoute {
            prefix: Prefix::masked(next_hop, 0).map_err(|e| e.to_string())?,
            next_hop,
            origin,
            as_path,
            med: self.med,
            local_pref: self.local_pref,
            communities: self.communities.clone(),
            large_communities: self.large_communities.clone(),
            only_to_customer: self.only_to_customer,
        })
    }
}

fn as_path(path: &WirePath) -> AsPath {
    AsPath(match path {
        WirePath::As4PathSegments(segments) => segments.iter().map(wide_segment).collect(),
        WirePath::As2PathSegments(segments) => segments
            .iter()
            .map(|s| segment(s.segment_type(), s.as_numbers().iter().map(|&n| u32::from(n)).collect()))
            .collect(),
    })
}

fn wide_segment(wire: &As4PathSegment) -> AsSegment {
    segment(wire.segment_type(), wire.as_numbers().to_vec())
}

fn segment(kind: AsPathSegmentType, numbers: Vec<u32>) -> AsSegment {
    match kind {
        AsPathSegmentType::AsSequence => AsSegment::Sequence(numbers),
        AsPathSegmentType::AsSet => AsSegment::Set(numbers),
    }
}

/// The true path behind an old speaker, RFC 6793 §4.2.3: the last part of AS_PATH replaced by AS4_PATH, unless that
/// is the longer one.
fn merged(narrow: &AsPath, wide: Option<&AsPath>) -> AsPath {
    let Some(wide) = wide else { return narrow.clone() };
    let (have, known) = (narrow.numbers().count(), wide.numbers().count());
    let Some(leading) = have.checked_sub(known) else { return narrow.clone() };
    let mut path: Vec<AsSegment> = Vec::new();
    let kept: Vec<u32> = narrow.numbers().take(leading).collect();
    if !kept.is_empty() {
        path.push(AsSegment::Sequence(kept));
    }
    for segment in &wide.0 {
        match (path.last_mut(), segment) {
            (Some(AsSegment::Sequence(last)), AsSegment::Sequence(more)) => last.extend(more),
            _ => path.push(segment.clone()),
        }
    }
    AsPath(path)
}

/// MP_REACH_NLRI, RFC 4760 §3; the next hop of an IPv4 prefix may be an IPv6 address where that was agreed on (RFC
/// 8950 §3).
fn mp_reach(value: &[u8], extended: ExtendedNextHop) -> Result<(IpAddr, Multiprotocol), Refusal> {
    let mut rest = value;
    let cut = || Refusal::new(notification::UPDATE, 9, [], "MP_REACH_NLRI is cut short");
    let head =
        (|| Some((take::<3>(&mut rest)?, taken_by_length(&mut rest, Width::One)?, take::<1>(&mut rest)?)))();
    let Some(([a, b, safi], next_hop, _reserved)) = head else { return Err(cut()) };
    let Some(family) = family(u16::from_be_bytes([a, b]), safi) else {
        return Ok((IpAddr::V4(Ipv4Addr::UNSPECIFIED), None));
    };
    let address = match family {
        Family::Ipv4 if extended == ExtendedNextHop::NotOffered || next_hop.len() == 4 => {
            <[u8; 4]>::try_from(next_hop).ok().map(|o| IpAddr::V4(Ipv4Addr::from(o)))
        }
        // RFC 2545 §3: a link-local address may follow the global one.
        Family::Ipv4 | Family::Ipv6 => match next_hop.len() {
            16 | 32 => next_hop.first_chunk::<16>().map(|&o| IpAddr::V6(Ipv6Addr::from(o))),
            _ => None,
        },
    };
    let Some(address) = address else {
        let detail = format!("MP_REACH_NLRI for {family} has a next hop of {} octets", next_hop.len());
        return Err(Refusal::new(notification::UPDATE, 9, [], detail));
    };
    Ok((address, Some((family, prefixes(family, rest, 9)?))))
}

/// MP_UNREACH_NLRI, RFC 4760 §4.
fn mp_unreach(value: &[u8]) -> Result<Multiprotocol, Refusal> {
    let mut rest = value;
    let Some([a, b, safi]) = take::<3>(&mut rest) else {
        return Err(Refusal::new(notification::UPDATE, 9, [], "MP_UNREACH_NLRI is cut short"));
    };
    match family(u16::from_be_bytes([a, b]), safi) {
        Some(family) => Ok(Some((family, prefixes(family, rest, 9)?))),
        None => Ok(None),
    }
}

/// A list of prefixes, RFC 4271 §4.3. What cannot be read ends the session with this subcode (RFC 7606 §5.3).
fn prefixes(family: Family, mut rest: &[u8], subcode: u8) -> Result<Vec<Prefix>, Refusal> {
    let mut out = Vec::new();
    while let Some([len]) = take::<1>(&mut rest) {
        let prefix = match family {
            Family::Ipv4 => padded::<4>(&mut rest, len).map(|o| IpAddr::V4(Ipv4Addr::from(o))),
            Family::Ipv6 => padded::<16>(&mut rest, len).map(|o| IpAddr::V6(Ipv6Addr::from(o))),
        };
        let Some(prefix) = prefix.and_then(|addr| Prefix::masked(addr, len).ok()) else {
            let detail = format!("an {family} prefix of {len} bits is too long or cut short");
            return Err(Refusal::new(notification::UPDATE, subcode, [], detail));
        };
        out.push(prefix);
    }
    Ok(out)
}

/// An address of `N` octets of which only those that `bits` needs are written.
fn padded<const N: usize>(rest: &mut &[u8], bits: u8) -> Option<[u8; N]> {
    let (octets, remaining) = rest.split_at_checked(usize::from(bits.div_ceil(8)))?;
    let mut address = [0; N];
    address.get_mut(..octets.len())?.copy_from_slice(octets);
    *rest = remaining;
    Some(address)
}

fn attribute_name(code: u8) -> String {
    match code {
        ORIGIN => "ORIGIN",
        AS_PATH => "AS_PATH",
        NEXT_HOP => "NEXT_HOP",
        MULTI_EXIT_DISC => "MULTI_EXIT_DISC",
        LOCAL_PREF => "LOCAL_PREF",
        COMMUNITIES => "COMMUNITIES",
        MP_REACH_NLRI => "MP_REACH_NLRI",
        MP_UNREACH_NLRI => "MP_UNREACH_NLRI",
        AS4_PATH => "AS4_PATH",
        LARGE_COMMUNITY => "LARGE_COMMUNITY",
        ONLY_TO_CUSTOMER => "ONLY_TO_CUSTOMER",
        code => return format!("attribute {code}"),
    }
    .to_owned()
}

#[cfg(test)]
mod tests;
