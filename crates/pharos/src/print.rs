//! Printing without minding that nobody reads.

use std::io::Write as _;

/// Writes and flushes; a closed pipe (`pharos status | head`) is no reason to fail.
pub(crate) fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// The same on stderr: a full log disk must not make a check fail that the service's start waits for.
pub(crate) fn remark(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
