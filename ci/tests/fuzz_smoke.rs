//! The fuzz targets on their seeds, on inputs that were findings once, and on seeds changed by chance.
//!
//! `RINGMTA_FUZZ_INPUTS` names how many changed inputs each target gets, 3,000 unless it does; `ci/fuzz.sh`
//! looks for new ones, led by coverage.
#![allow(clippy::unwrap_used)]

use ringmta::io::sim::rng::Rng;
use ringmta_ci::fuzz::{seeds, Check, TARGETS};
use std::path::Path;

/// A number below `limit`; 0 where there is none.
fn below(dice: &Rng, limit: usize) -> usize {
    dice.below(limit.max(1) as u64) as usize
}

/// One small change: a bit, a byte, a part left out, doubled, cut off, or taken from elsewhere.
fn change(input: &mut Vec<u8>, all: &[Vec<u8>], dice: &Rng) {
    let at = below(dice, input.len());
    let to = at + below(dice, input.len() - at + 1);
    match below(dice, 7) {
        0 if at < input.len() => input[at] ^= 1 << below(dice, 8),
        1 if at < input.len() => input[at] = [0, 0xff, b'\r', b'\n', b'.', b'-'][below(dice, 6)],
        2 => drop(input.drain(at..to)),
        3 => {
            let part = input[at..to].to_vec();
            input.splice(at..at, part);
        }
        4 => input.truncate(at),
        5 => {
            let other = &all[below(dice, all.len())];
            let from = below(dice, other.len());
            let part = other[from..from + below(dice, other.len() - from + 1)].to_vec();
            input.splice(at..to, part);
        }
        _ => input.push(below(dice, 256) as u8),
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
    let dice = Rng::new(7);
    for _ in 0..inputs() {
        let mut input = inputs_known[below(&dice, inputs_known.len())].clone();
        for _ in 0..=below(&dice, 4) {
            change(&mut input, &inputs_known, &dice);
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
