//! Printing on stdout without minding that nobody reads.

use std::io::Write as _;

/// Writes and flushes; a closed pipe (`pharos status | head`) is no reason to fail.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
