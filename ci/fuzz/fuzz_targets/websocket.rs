#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("websocket"), |data: &[u8]| {
    ringmta_ci::fuzz::websocket::check(data);
});
