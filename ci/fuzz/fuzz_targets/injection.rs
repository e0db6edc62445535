#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("injection"), |data: &[u8]| {
    ringmta_ci::fuzz::injection::check(data);
});
