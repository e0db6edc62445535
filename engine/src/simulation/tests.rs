//! A small fixed set of seeds, found ones among them; the program `simulate` runs as many as one
//! likes.

use super::{run, Kind, Options};

fn hold(kind: Kind, seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        if let Err(failure) = run(kind, seed, Options::default()) {
            panic!("{failure}");
        }
    }
}

#[test]
fn spool_seeds() {
    hold(Kind::Spool, 1..=60);
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    for seed in 1..=8 {
        let first = run(Kind::Spool, seed, Options::default()).unwrap();
        let second = run(Kind::Spool, seed, Options::default()).unwrap();
        assert_eq!(first, second);
    }
}
