//! What the responder tells of its data, as observations: how old they are, and when their signatures end.
//!
//! The age of a zone counts from the moment that its serial names, where it names one: seconds since 1970, or the day of
//! `YYYYMMDDnn` (RFC 1912 §2.2), which counts from its end. No number in use is both. Of other serials only the
//! time is known at which this process loaded them, so that a restart makes them young. Another server than ours does not
//! tell that either: the age of such a zone is not known, which is worth a warning where it has a bound.
//!
//! A group is as old as the oldest of its required zones, and its signatures end with the first that ends.

use std::time::Duration;

use pharos_policy::Observation;

use super::view::ZoneView;

const DAY: u64 = 86_400;
/// Signatures that end within a week are worth an alarm, within a day a change of preference.
const WARNED: u64 = 7 * DAY;
const BAD: u64 = DAY;
/// Serials from 2001 on are taken for times; below are counters.
const FIRST_TIME: u64 = 978_307_200;

/// Whether the zones of a group are fresh enough; `None` when nothing is known of any.
pub(super) fn age(zones: &[&ZoneView], now: u64, most: Option<Duration>) -> Option<Observation> {
    let Some(most) = most else { return Some(Observation::Pass("no bound is set".to_owned())) };
    let dated = zones.iter().filter_map(|zone| Some((since(zone, now)?, zone)));
    let oldest = dated.min_by_key(|((made, _), _)| *made).map(|((made, from), zone)| {
        let bound = Duration::from_secs(now.saturating_sub(made)) <= most;
        let text = |word| format!("{} is {word} {} s old by its {from}", zone.name, most.as_secs());
        if bound { Observation::Pass(text("at most")) } else { Observation::Fail(text("more than")) }
    });
    match (oldest, zones.iter().find(|zone| zone.serial.is_some() && since(zone, now).is_none())) {
        // Of those that are known one is too old: whatever the others are.
        (Some(old @ Observation::Fail(_)), _) => Some(old),
        (_, Some(undated)) => Some(Observation::Warn(ageless(&undated.name))),
        (young, None) => young,
    }
}

/// That a zone's age cannot be told by its serial, and what to do about it.
pub(super) fn ageless(zone: &str) -> String {
    format!(
        "the serial of {zone} is neither a time nor a day, so that its age is not known; \
         make serials seconds since 1970 or YYYYMMDDnn, or leave out `data-age`"
    )
}

/// Whether a serial tells no age.
pub(super) fn is_undated(serial: u32, now: u64) -> bool {
    made(u64::from(serial), now).is_none()
}

/// When the data of a zone were made, in seconds since 1970, and what says so.
fn since(zone: &ZoneView, now: u64) -> Option<(u64, &'static str)> {
    let by_serial = zone.serial.and_then(|serial| made(u64::from(serial), now)).map(|made| (made, "serial"));
    by_serial.or(zone.loaded_unix.map(|loaded| (loaded, "loading")))
}

fn made(serial: u64, now: u64) -> Option<u64> {
    if (FIRST_TIME..=now.saturating_add(DAY)).contains(&serial) {
        return Some(serial);
    }
    let (year, month, day) = (serial / 1_000_000, serial / 10_000 % 100, serial / 100 % 100);
    if !(1990..2100).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some((days(year, month, day)? + 1) * DAY)
}

/// Days from 1970 to a date of the Gregorian calendar; years begin in March, so that the leap day is their last.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let whole = year * 365 + year / 4 - year / 100 + year / 400;
    (whole + (month * 153 + 2) / 5 + day - 1).checked_sub(719_468)
}

/// How near the end of the first signature of a group is; `None` when nothing is known of any of its zones.
pub(super) fn signatures(zones: &[&ZoneView], now: u64) -> Option<Observation> {
    let loaded = zones.iter().filter(|zone| zone.serial.is_some());
    let signed = loaded.clone().filter_map(|zone| Some((zone.signed.as_ref()?, zone)));
    let Some((first, zone)) = signed.min_by_key(|(signed, _)| signed.earliest_expiry_unix) else {
        return (loaded.count() > 0).then(|| Observation::Pass("no zone is signed".to_owned()));
    };
    let what = match first.earliest_expiry_record.as_str() {
        "" => zone.name.clone(),
        record => record.to_owned(),
    };
    Some(match first.earliest_expiry_unix.saturating_sub(now) {
        0 => Observation::Expired(format!("the signature of {what} has expired")),
        left if left <= BAD => Observation::Fail(format!("the signature of {what} expires within a day")),
        left if left <= WARNED => Observation::Warn(format!("the signature of {what} expires within 7 days")),
        _ => Observation::Pass(format!("the signature of {what} expires first, in more than 7 days")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 28 November 2026, noon.
    const NOW: u64 = 1_795_867_200;

    fn zone(serial: u32, loaded: u64, expiry: Option<u64>) -> ZoneView {
        let signed = expiry.map_or("null".to_owned(), |at| format!(r#"{{"earliest_expiry_unix":{at}}}"#));
        let text = format!(
            r#"{{"name":"a.","state":"live","serial":{serial},"loaded_unix":{loaded},"signed":{signed}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn judged(serial: u32, hours: u64) -> Observation {
        age(&[&zone(serial, NOW - 60, None)], NOW, Some(Duration::from_secs(hours * 3600))).unwrap()
    }

    #[test]
    fn a_serial_that_is_a_time_or_a_date_tells_the_age_and_another_the_time_of_loading() {
        let two_hours_ago = u32::try_from(NOW - 7200).unwrap();
        assert_eq!(
            judged(two_hours_ago, 1),
            Observation::Fail("a. is more than 3600 s old by its serial".into())
        );
        assert!(matches!(judged(two_hours_ago, 3), Observation::Pass(_)));
        assert!(
            matches!(judged(2_026_112_703, 11), Observation::Fail(_)),
            "twelve hours since its day ended"
        );
        assert!(matches!(judged(2_026_112_703, 13), Observation::Pass(_)));
        assert!(matches!(judged(2_026_112_803, 1), Observation::Pass(_)), "today");
        assert_eq!(judged(7, 1), Observation::Pass("a. is at most 3600 s old by its loading".into()));
        let old = [&zone(7, NOW - 7200, None), &zone(8, NOW, None)];
        assert!(matches!(age(&old, NOW, Some(Duration::from_secs(3600))), Some(Observation::Fail(_))));
    }

    #[test]
    fn a_zone_that_tells_its_age_neither_by_serial_nor_by_loading_is_a_warning_where_it_has_a_bound() {
        let foreign = |serial| {
            let mut zone = zone(serial, NOW, None);
            zone.loaded_unix = None;
            zone
        };
        let hour = Some(Duration::from_secs(3600));
        let (counter, fresh) = (foreign(7), foreign(u32::try_from(NOW - 60).unwrap()));
        let warned = Some(Observation::Warn(ageless("a.")));
        assert_eq!(age(&[&counter], NOW, hour), warned);
        assert_eq!(age(&[&fresh, &counter], NOW, hour), warned);
        assert!(matches!(age(&[&fresh], NOW, hour), Some(Observation::Pass(_))));
        let old = foreign(u32::try_from(NOW - 7200).unwrap());
        assert!(matches!(age(&[&counter, &old], NOW, hour), Some(Observation::Fail(_))));
        assert!(matches!(age(&[&counter], NOW, None), Some(Observation::Pass(_))), "no bound is set");
        let mut unread = foreign(7);
        unread.serial = None;
        assert_eq!(age(&[&unread], NOW, hour), None, "nothing was answered");
        assert!(is_undated(7, NOW) && !is_undated(2_026_112_803, NOW));
    }

    #[test]
    fn days_are_counted_as_calendars_do() {
        assert_eq!(days(1970, 1, 1), Some(0));
        assert_eq!(days(2000, 2, 29), Some(11_016));
        assert_eq!(days(2026, 11, 28), Some(NOW / DAY));
    }

    #[test]
    fn signatures_are_warned_of_then_bad_then_expired() {
        let at = |left: i64| signatures(&[&zone(7, NOW, Some(NOW.strict_add_signed(left)))], NOW).unwrap();
        let days = |days: i64| at(days * 86_400 + 60);
        assert!(matches!(days(8), Observation::Pass(_)));
        assert_eq!(days(6), Observation::Warn("the signature of a. expires within 7 days".into()));
        assert_eq!(days(0), Observation::Fail("the signature of a. expires within a day".into()));
        assert_eq!(at(-1), Observation::Expired("the signature of a. has expired".into()));
        let unsigned = signatures(&[&zone(7, NOW, None)], NOW);
        assert_eq!(unsigned, Some(Observation::Pass("no zone is signed".into())));
        assert_eq!(signatures(&[], NOW), None);
    }
}
