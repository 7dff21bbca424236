//! Any octets as a script for a BGP session: see `pharos_testkit::fuzz::bgp_session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pharos_testkit::fuzz::bgp_session(octets));
