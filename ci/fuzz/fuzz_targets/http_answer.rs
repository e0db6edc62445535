#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("http_answer"), |data: &[u8]| {
    ringmta_ci::fuzz::http_answer::check(data);
});
