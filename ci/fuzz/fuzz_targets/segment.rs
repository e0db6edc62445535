#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_fuzz::seeds::write("segment"), |data: &[u8]| {
    ringmta_fuzz::segment::check(data);
});
