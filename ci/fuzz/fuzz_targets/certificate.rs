#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("certificate"), |data: &[u8]| {
    ringmta_ci::fuzz::certificate::check(data);
});
