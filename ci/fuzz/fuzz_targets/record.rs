#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_fuzz::seeds::write("record"), |data: &[u8]| {
    ringmta_fuzz::record::check(data);
});
