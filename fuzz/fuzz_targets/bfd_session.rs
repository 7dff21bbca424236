//! Any octets as a script for a BFD session: see `pharos_testkit::fuzz::bfd_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pharos_testkit::fuzz::bfd_session(octets));
