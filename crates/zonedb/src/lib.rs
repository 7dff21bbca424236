//! The immutable zone image, its look-ups and the atomic swap.
#![forbid(unsafe_code)]
