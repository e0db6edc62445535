#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_fuzz::seeds::write("command"), |data: &[u8]| {
    ringmta_fuzz::command::check(data);
});
