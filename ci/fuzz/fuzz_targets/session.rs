#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("session"), |data: &[u8]| {
    ringmta_ci::fuzz::session::check(data);
});
