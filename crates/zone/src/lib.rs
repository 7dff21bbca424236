//! Zone files: scan, check, diagnose, and compile to an image.
#![forbid(unsafe_code)]
