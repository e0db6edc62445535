#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("header"), |data: &[u8]| {
    ringmta_ci::fuzz::header::check(data);
});
