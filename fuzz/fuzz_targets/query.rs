//! Any octets as a query: see `pharos_testkit::fuzz::query`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pharos_testkit::fuzz::query(octets));
