#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("mta_sts"), |data: &[u8]| {
    ringmta_ci::fuzz::mta_sts::check(data);
});
