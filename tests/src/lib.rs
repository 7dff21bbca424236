//! What the test suites share. The suites themselves are the files of `tests/tests/`, one for each subject.
#![forbid(unsafe_code)]

pub mod differential;
pub mod dnssec;
pub mod endurance;
pub mod faults;
pub mod lab;
pub mod load;
