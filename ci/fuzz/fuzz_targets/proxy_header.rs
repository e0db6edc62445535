#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("proxy_header"), |data: &[u8]| {
    ringmta_ci::fuzz::proxy_header::check(data);
});
