#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("command"), |data: &[u8]| {
    ringmta_ci::fuzz::command::check(data);
});
