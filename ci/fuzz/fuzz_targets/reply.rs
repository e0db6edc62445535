#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_fuzz::seeds::write("reply"), |data: &[u8]| {
    ringmta_fuzz::reply::check(data);
});
