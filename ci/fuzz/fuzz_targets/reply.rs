#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("reply"), |data: &[u8]| {
    ringmta_ci::fuzz::reply::check(data);
});
