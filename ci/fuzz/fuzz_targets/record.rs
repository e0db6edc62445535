#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("record"), |data: &[u8]| {
    ringmta_ci::fuzz::record::check(data);
});
