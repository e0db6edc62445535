#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("mime"), |data: &[u8]| {
    ringmta_ci::fuzz::mime::check(data);
});
