#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("xclient"), |data: &[u8]| {
    ringmta_ci::fuzz::xclient::check(data);
});
