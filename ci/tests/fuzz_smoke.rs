//! The fuzz targets on their seeds, on inputs that were findings once, and on seeds changed by chance.
//!
//! `RINGMTA_FUZZ_INPUTS` names how many changed inputs each target gets, 3,000 unless it does; `ci/fuzz.sh`
//! looks for new ones, led by coverage.
#![allow(clippy::unwrap_used)]

use ringmta_ci::fuzz::{seeds, Check, TARGETS};
use std::path::Path;

/// Numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) % limit.max(1) as u64) as usize
    }
}

/// One small change: a bit, a byte, a part left out, doubled, cut off, or taken from elsewhere.
fn change(input: &mut Vec<u8>, all: &[Vec<u8>], dice: &mut Dice) {
    let at = dice.below(input.len());
    let to = at + dice.below(input.len() - at + 1);
    match dice.below(7) {
        0 if at < input.len() => input[at] ^= 1 << dice.below(8),
        1 if at < input.len() => input[at] = [0, 0xff, b'\r', b'\n', b'.', b'-'][dice.below(6)],
        2 => drop(input.drain(at..to)),
        3 => {
            let part = input[at..to].to_vec();
            input.splice(at..at, part);
        }
        4 => input.truncate(at),
        5 => {
            let other = &all[dice.below(all.len())];
            let from = dice.below(other.len());
            let part = other[from..from + dice.below(other.len() - from + 1)].to_vec();
            input.splice(at..to, part);
        }
        _ => input.push(dice.below(256) as u8),
    }
    input.truncate(20_000);
}

fn inputs() -> usize {
    std::env::var("RINGMTA_FUZZ_INPUTS").map_or(3000, |count| count.parse().unwrap())
}

fn smoke(name: &str, check: Check) {
    let found = seeds::all().into_iter().find(|(target, _)| *target == name);
    let mut inputs_known = found.unwrap().1;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/findings").join(name);
    let findings = std::fs::read_dir(folder).into_iter().flatten();
    inputs_known.extend(findings.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()));
    inputs_known.iter().for_each(|input| check(input));
    let mut dice = Dice(7);
    for _ in 0..inputs() {
        let mut input = inputs_known[dice.below(inputs_known.len())].clone();
        for _ in 0..=dice.below(4) {
            change(&mut input, &inputs_known, &mut dice);
        }
        // The input stands in what a failing test prints.
        let held = std::panic::catch_unwind(|| check(&input));
        assert!(held.is_ok(), "{name} does not hold for {input:?}");
    }
}

#[test]
fn every_target_holds() {
    for (name, check) in TARGETS {
        smoke(name, check);
    }
}
