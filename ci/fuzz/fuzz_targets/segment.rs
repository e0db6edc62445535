#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("segment"), |data: &[u8]| {
    ringmta_ci::fuzz::segment::check(data);
});
