#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| stillwire_tests::fuzz::ws_handshake(data));
