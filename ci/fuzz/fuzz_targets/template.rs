#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("template"), |data: &[u8]| {
    ringmta_ci::fuzz::template::check(data);
});
