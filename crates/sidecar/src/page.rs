//! The status page: what `/status` says, for a person at 3 a.m. with a phone.
//!
//! One HTML document, made of a [`Status`] and of nothing else, so that it cannot disagree with the JSON. It has no
//! script, fetches nothing, and its one style stands in it; [`CONTENT_SECURITY_POLICY`] holds a browser to that. It does
//! not reload by itself, which would take the page from under somebody who reads it; `?refresh=SECONDS`, a link on the
//! page, asks for that.
//!
//! From the top: what is wrong in one sentence; each prefix with its reasons and what would change it; alarms; the
//! operator's orders; neighbours and what they were told; zones; signals; the last changes. What all of it says in
//! colour it says in words as well.
//!
//! `page/html.rs` keeps text from becoming markup, `page/parts.rs` has the sections.

mod html;
mod parts;
mod time;

use std::num::NonZeroU32;

use self::html::Html;
use crate::status::Status;

/// The page's style, as it stands in the page.
const STYLE: &str = include_str!("page/style.css");

/// Sent with the page: nothing may be fetched or run, no frame may hold it, and the one style is known by its digest.
/// A browser that finds another style shows the page without any.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; \
     style-src 'sha256-DInS9K4ZKL4gZ7BDJSiX2ym6hnskyFXI1TZTwacniKc='; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Whether the browser is asked to load the page again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// When the reader says so.
    ByHand,
    /// Each time that so many seconds have passed.
    EverySeconds(NonZeroU32),
}

impl Refresh {
    /// What the page's link asks for: a glance at every sentence, and few enough for a management address.
    const OFFERED: u32 = 10;

    /// By the value of `refresh` in the address; what is no number of seconds up to an hour is by hand.
    pub fn of_query(value: Option<&str>) -> Self {
        let seconds = value.and_then(|text| text.parse::<NonZeroU32>().ok());
        seconds.filter(|seconds| seconds.get() <= 3_600).map_or(Self::ByHand, Self::EverySeconds)
    }
}

/// The page.
pub fn html(status: &Status, refresh: Refresh) -> String {
    let mut page = Html::default();
    page.raw("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.raw("<meta name=\"color-scheme\" content=\"light dark\">\n");
    if let Refresh::EverySeconds(seconds) = refresh {
        page.within("<meta http-equiv=\"refresh\" content=\"", seconds, "\">\n");
    }
    let (standing, node) = (parts::standing(status), parts::node(status));
    page.raw("<title>").text(&standing).text(" · ").text(&node).raw("</title>\n");
    page.raw("<style>").raw(STYLE).raw("</style>\n</head>\n<body>\n");
    parts::header(&mut page, status, &standing, refresh);
    page.raw("<main>\n");
    parts::prefixes(&mut page, status);
    parts::alarms(&mut page, status);
    parts::orders(&mut page, status);
    parts::neighbours(&mut page, status);
    parts::announcers(&mut page, status);
    parts::zones(&mut page, status);
    parts::signals(&mut page, status);
    parts::timeline(&mut page, status);
    page.raw("</main>\n");
    parts::footer(&mut page);
    page.raw("</body>\n</html>\n");
    page.finish()
}

#[cfg(test)]
mod tests;
