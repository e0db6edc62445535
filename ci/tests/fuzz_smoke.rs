//! The fuzz targets on their seeds, on inputs that were findings once, and on seeds changed by chance.
//!
//! `RINGMTA_FUZZ_INPUTS` names how many changed inputs each target gets, 3,000 unless it does; `ci/fuzz.sh`
//! looks for new ones, led by coverage.
#![allow(clippy::unwrap_used)]

use ringmta_ci::fuzz::{seeds, Check, TARGETS};
use ringmta_io::sim::rng::Rng;
use std::path::Path;

/// A number below `limit`; 0 where there is none.
fn below(dice: &Rng, limit: usize) -> usize {
    dice.below(limit.max(1) as u64) as usize
}

/// What a target may allocate in all for an input of so many bytes. A check does its work some dozen times over; what
/// grows with the square of the input passes this at a few thousand bytes. A template's work is bounded by its own budget,
/// whatever its length.
fn work(name: &str, bytes: usize) -> u64 {
    let (base, each) = match name {
        "template" | "injection" => (4 << 30, 0),
        // Every prefix is looked at, or every byte is a piece.
        "segment" | "journal" => (64 << 20, 20_000),
        _ => (8 << 20, 2000),
    };
    base + each * bytes as u64
}

/// The words of a target's dictionary, as libFuzzer reads it; none where there is no dictionary.
fn words(name: &str) -> Vec<Vec<u8>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/dictionaries/{name}.dict"));
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .map(|line| word(line.strip_prefix('"').unwrap().strip_suffix('"').unwrap()))
        .collect()
}

fn word(quoted: &str) -> Vec<u8> {
    let mut pieces = quoted.split("\\x");
    let mut out = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        out.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        out.extend_from_slice(&piece.as_bytes()[2..]);
    }
    out
}

/// One small change: a bit, a byte, a part left out, doubled, cut off, or taken from elsewhere, a word of the dictionary.
fn change(input: &mut Vec<u8>, all: &[Vec<u8>], words: &[Vec<u8>], dice: &Rng) {
    let at = below(dice, input.len());
    let to = at + below(dice, input.len() - at + 1);
    match below(dice, 9) {
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
        6 | 7 if !words.is_empty() => {
            input.splice(at..at, words[below(dice, words.len())].iter().copied());
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
    let words = words(name);
    inputs_known.iter().for_each(|input| hold(name, check, input));
    let dice = Rng::new(7);
    for _ in 0..inputs() {
        let mut input = inputs_known[below(&dice, inputs_known.len())].clone();
        for _ in 0..=below(&dice, 4) {
            change(&mut input, &inputs_known, &words, &dice);
        }
        hold(name, check, &input);
    }
}

fn hold(name: &str, check: Check, input: &[u8]) {
    let mut held = Ok(());
    let made = allocation_counter::measure(|| {
        held = std::panic::catch_unwind(|| check(input));
    });
    // The input stands in what a failing test prints.
    let text = input.escape_ascii();
    assert!(held.is_ok(), "{name} does not hold for \"{text}\"");
    let (bytes, most) = (made.bytes_total, work(name, input.len()));
    assert!(
        bytes <= most,
        "{name} allocates {bytes} bytes, at most {most} are right, for \"{text}\""
    );
}

#[test]
fn every_target_holds() {
    // All of them, whatever one finds.
    let holds = |(name, check): (&'static str, Check)| {
        std::panic::catch_unwind(|| smoke(name, check)).is_err().then_some(name)
    };
    let broken: Vec<&str> = TARGETS.into_iter().filter_map(holds).collect();
    assert!(broken.is_empty(), "{broken:?} do not hold, see above");
}

/// What costs more the longer it is: a header of one kind of thing, many times over.
#[test]
fn long_inputs_cost_what_they_are_worth() {
    let check = |target: &str| TARGETS.iter().find(|(name, _)| *name == target).unwrap().1;
    let many = |n: usize, make: &dyn Fn(usize) -> String| (0..n).map(make).collect::<String>();
    let fields = many(8000, &|n| format!("f{n}: x\r\n"));
    let parameters = many(8000, &|n| format!("; p{n}=x"));
    for (target, input) in [
        ("header", format!("Content-Type: text/plain{parameters}\r\n\r\n")),
        ("header", fields),
        ("sender_auth", format!("v=spf1 exists:{} -all\0", "%{s}.".repeat(4000))),
        ("sender_auth", format!("v=spf1 {}-all\0", "a ".repeat(8000))),
    ] {
        hold(target, check(target), input.as_bytes());
    }
}
