//! Large zones on huge pages.
//!
//! A query of a large zone waits for memory two or three times, and on pages of 4 KiB as often again for the tables
//! that say where those pages are: a zone of a million records has 14,000 of them, and 28 huge ones. Moving it takes
//! some milliseconds, so it happens once the zone answers, on a thread for which nobody waits. Where its size is known
//! before anything is there, as with a stored image, its first pages are huge ones: they take less time than small ones.

use std::ops::Range;

use pharos_netio::memory::{expect_huge_pages, use_huge_pages};
use pharos_wire::name::Text;
use pharos_zonedb::{ZoneSet, ZoneState};

/// Zones of fewer octets lie in the second-level cache anyway.
const LARGE: usize = 4 << 20;

/// A part of a zone is about to be put here.
pub(crate) fn expect(place: Range<usize>) {
    if place.len() >= LARGE
        && let Err(error) = expect_huge_pages(place)
    {
        tracing::debug!(%error, "a large zone will not be on huge pages at once");
    }
}

/// Moves what is large, as far as the kernel has huge pages; what has been moved before stays where it is.
pub(crate) fn make_huge(zones: &ZoneSet) {
    for (name, state) in zones.zones() {
        let ZoneState::Live(image) = state else { continue };
        for place in image.places().into_iter().filter(|place| place.len() >= LARGE) {
            if let Err(error) = use_huge_pages(place) {
                tracing::debug!(zone = %Text(name), %error, "not all of a large zone is on huge pages");
            }
        }
    }
}
