#![no_main]
libfuzzer_sys::fuzz_target!(init: ringmta_ci::fuzz::seeds::write("dns_answer"), |data: &[u8]| {
    ringmta_ci::fuzz::dns_answer::check(data);
});
