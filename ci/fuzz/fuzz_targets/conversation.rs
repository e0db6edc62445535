#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("conversation"), |data: &[u8]| {
    ringmta_ci::fuzz::conversation::check(data);
});
