#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("sender_auth"), |data: &[u8]| {
    ringmta_ci::fuzz::sender_auth::check(data);
});
