//! A small fixed set of seeds, found ones among them; the program `simulate` runs as many as one
//! likes.

use crate::options::{Kind, Options};
use crate::run;
use ringmta_io::sim::planted::Bug;

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

#[test]
fn damage_seeds() {
    hold(Kind::Damage, 1..=60);
}

#[test]
fn engine_seeds() {
    hold(Kind::Engine, 1..=40);
}

#[test]
fn found_seeds() {
    // What a seed does changes whenever the world draws a number more: these found what is said
    // here in the world as it was then.
    // A message of two transactions, the second over a dying connection: put back whole.
    hold(Kind::Engine, [62, 149, 153, 192]);
    // Folders whose names a crash had left in memory only.
    hold(Kind::Engine, [58, 132]);
    // A hook that was told the same batch again and again.
    hold(Kind::Engine, [161]);
    // A record without the recipients that had been delivered to, durable before their events.
    hold(Kind::Engine, [371]);
    // A message done while compaction copied it: the copy came back.
    hold(Kind::Spool, [245]);
    // A stop on a full disk gave up waiting for the journal, which then took itself for written.
    hold(Kind::Engine, [61018]);
    // A checkpoint that a dying process had left in the disk's cache, taken for what counts.
    hold(Kind::Engine, [17980]);
    // A hole that a failed write had left in an event log, taken over by another shard's log.
    hold(Kind::Engine, [59936]);
}

#[test]
fn an_engine_seed_tells_the_same_story_twice() {
    for seed in 1..=8 {
        let first = run(Kind::Engine, seed, Options::default()).unwrap();
        let second = run(Kind::Engine, seed, Options::default()).unwrap();
        assert_eq!(first, second);
    }
}

#[test]
fn planted_mistakes_are_found() {
    let found = |bug, kind| {
        let options = Options { planted: Some(bug), ..Options::default() };
        (1..=600).any(|seed| run(kind, seed, options).is_err())
    };
    assert!(found(Bug::ReplyBeforeSync, Kind::Spool));
    assert!(found(Bug::TailRewritten, Kind::Spool));
    assert!(found(Bug::CheckpointFirst, Kind::Spool));
    assert!(found(Bug::ReplyBeforeSync, Kind::Engine));
    assert!(found(Bug::TailRewritten, Kind::Engine));
    assert!(found(Bug::DoneBeforeDelivery, Kind::Engine));
    assert!(found(Bug::StaleLookup, Kind::Engine));
    assert!(found(Bug::AnswersForgotten, Kind::Engine));
}
