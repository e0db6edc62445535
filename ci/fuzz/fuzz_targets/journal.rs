#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_fuzz::seeds::write("journal"), |data: &[u8]| {
    ringmta_fuzz::journal::check(data);
});
