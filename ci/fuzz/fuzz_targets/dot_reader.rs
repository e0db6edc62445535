#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("dot_reader"), |data: &[u8]| {
    ringmta_ci::fuzz::dot_reader::check(data);
});
