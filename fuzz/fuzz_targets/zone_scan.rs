//! Any text as a zone file: see `pharos_testkit::fuzz::zone_scan`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pharos_testkit::fuzz::zone_scan(octets));
