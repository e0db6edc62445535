#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("http_request"), |data: &[u8]| {
    ringmta_ci::fuzz::http_request::check(data);
});
