#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("journal"), |data: &[u8]| {
    ringmta_ci::fuzz::journal::check(data);
});
