//! Observations and time in; announce, de-prefer or withdraw, with reasons, out.
#![forbid(unsafe_code)]
