#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_fuzz::seeds::write("dot_reader"), |data: &[u8]| {
    ringmta_fuzz::dot_reader::check(data);
});
