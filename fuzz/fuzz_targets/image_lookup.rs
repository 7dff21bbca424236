//! Zones and queries made of octets: see `pharos_testkit::fuzz::image_lookup`.
#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| pharos_testkit::fuzz::image_lookup(octets));
