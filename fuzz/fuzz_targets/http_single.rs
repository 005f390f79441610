#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| stillwire_tests::fuzz::http_single(data));
