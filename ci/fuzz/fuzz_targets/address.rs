#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("address"), |data: &[u8]| {
    ringmta_ci::fuzz::address::check(data);
});
