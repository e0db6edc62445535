//! Limits that hold over all shards: how many connections, how many messages per time.
//!
//! Each limit is a few atomics shared by the shards that use it. A shard that finds all leases
//! taken leaves its mark and tells those who hold them; an idle connection gives way to it at once,
//! a busy one at the end of its turn and only to a shard that has less than its share. Who gives a
//! lease back hands it to a waiting shard instead of freeing it, so that no shard's mail starves,
//! however small the limit. Rates go by the monotonic clock.

use crate::limits::SHARDS_MAX;
use crate::quota::health::Health;
use crossbeam::utils::CachePadded;
use ringmta_io::sim::planted::{is_planted, Bug};
use ringmta_options::{Gcra, Limit, Throttle};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Words of the mask of waiting shards.
const MASK_WORDS: usize = SHARDS_MAX / 64;

/// One named limit.
#[derive(Debug, Default)]
pub struct SharedLimit {
    leases: CachePadded<AtomicU64>,
    waiting: CachePadded<[AtomicU64; MASK_WORDS]>,
    rate: CachePadded<Gcra>,
    /// Leases by shard. Most limits are rates and never have any.
    held: OnceLock<Box<[AtomicU32]>>,
}

impl SharedLimit {
    /// Takes a lease for shard `me` when fewer than `limit` are out.
    pub fn try_lease(&self, me: usize, limit: Limit) -> bool {
        let take = |out: u64| (out < limit.limit).then_some(out + 1);
        let taken = self.leases.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok();
        if taken {
            let none = || (0..SHARDS_MAX).map(|_| AtomicU32::new(0)).collect();
            let held: &[AtomicU32] = self.held.get_or_init(none);
            held[me].fetch_add(1, Ordering::AcqRel);
        }
        taken
    }

    /// Marks `shard` as waiting for a lease. `true` when it was not: then those who hold leases are
    /// to be told.
    pub fn wait(&self, shard: usize) -> bool {
        let bit = 1 << (shard % 64);
        self.waiting[shard / 64].fetch_or(bit, Ordering::AcqRel) & bit == 0
    }

    /// Takes the mark of `shard` away; `true` when there was one.
    pub fn unwait(&self, shard: usize) -> bool {
        let bit = 1 << (shard % 64);
        self.waiting[shard / 64].load(Ordering::Acquire) & bit != 0
            && self.waiting[shard / 64].fetch_and(!bit, Ordering::AcqRel) & bit != 0
    }

    /// Whether any shard waits.
    pub fn is_wanted(&self) -> bool {
        self.waiting.iter().any(|mask| mask.load(Ordering::Acquire) != 0)
    }

    /// Whether `shard` waits.
    pub fn waits(&self, shard: usize) -> bool {
        self.waiting[shard / 64].load(Ordering::Acquire) & (1 << (shard % 64)) != 0
    }

    /// Leases of `shard`.
    pub fn held_by(&self, shard: usize) -> u32 {
        self.held.get().map_or(0, |held| held[shard].load(Ordering::Acquire))
    }

    /// The shards that have leases.
    pub fn holders(&self) -> impl Iterator<Item = usize> + '_ {
        (0..SHARDS_MAX).filter(|shard| self.held_by(*shard) > 0)
    }

    /// Whether any shard but `me` waits.
    pub fn is_wanted_by_others(&self, me: usize) -> bool {
        self.is_wanted() && in_turn(me).take(SHARDS_MAX - 1).any(|shard| self.waits(shard))
    }

    /// For an idle connection of `me`: the other shard that gets its lease, when one waits. Its mark
    /// is taken, so that one connection gives way and not all.
    pub fn claim_other(&self, me: usize) -> Option<usize> {
        if !self.is_wanted() {
            return None;
        }
        in_turn(me).take(SHARDS_MAX - 1).find(|shard| self.unwait(*shard))
    }

    /// The shard that gets a lease `me` has no use for, when one waits; `me` itself comes last.
    fn claim_any(&self, me: usize) -> Option<usize> {
        self.claim_other(me).or_else(|| self.unwait(me).then_some(me))
    }

    /// For a busy connection of `me` whose turn is over: the shard that gets its lease, when one
    /// waits that has less than its share while `me` has more. Where there are fewer leases than
    /// shards, a share is one lease at a time. Its mark is taken.
    pub fn claim_turn(&self, me: usize, limit: Limit) -> Option<usize> {
        if !self.is_wanted() {
            return None;
        }
        let takes_part = |shard: &usize| self.held_by(*shard) > 0 || self.waits(*shard);
        let shards = (0..SHARDS_MAX).filter(takes_part).count() as u64;
        let share = u32::try_from(limit.limit / shards.max(1)).unwrap_or(u32::MAX);
        let mine = self.held_by(me);
        let too_few = limit.limit < shards;
        in_turn(me).take(SHARDS_MAX - 1).find(|shard| {
            let theirs = self.held_by(*shard);
            let fair = if too_few { theirs == 0 } else { theirs < share && mine > share };
            (fair || is_planted(Bug::TurnsForNothing)) && self.unwait(*shard)
        })
    }

    /// Gives a lease of `me` back. When it is promised to a shard, or one waits, the lease stays out
    /// and that shard's number is returned: it must be told. Shards are taken in turn from `me` on.
    #[must_use]
    pub fn give_back(&self, me: usize, promised: Option<usize>) -> Option<usize> {
        if let Some(held) = self.held.get() {
            held[me].fetch_sub(1, Ordering::AcqRel);
        }
        self.pass_on(me, promised)
    }

    /// The same for a lease that was handed to `me`, which has no use for it.
    #[must_use]
    pub fn pass_on(&self, me: usize, promised: Option<usize>) -> Option<usize> {
        let next = promised.or_else(|| self.claim_any(me));
        if next.is_none() {
            self.free();
        }
        next
    }

    /// Frees a lease that was handed over without handing it to anyone: by the shard it was handed
    /// to, which then takes it at once.
    pub fn free(&self) {
        self.leases.fetch_sub(1, Ordering::AcqRel);
    }

    /// Gives back a lease that `me` took in vain.
    pub fn untake(&self, me: usize) {
        if let Some(held) = self.held.get() {
            held[me].fetch_sub(1, Ordering::AcqRel);
        }
        self.free();
    }

    /// Leases out now.
    pub fn leases(&self) -> u64 {
        self.leases.load(Ordering::Acquire)
    }

    /// Nothing is lost when it is forgotten.
    fn is_unused(&self, now_nanos: u64) -> bool {
        self.leases() == 0 && self.rate.is_unused(now_nanos)
    }

    /// Takes one event of the rate, or says how long to wait.
    pub fn try_rate(&self, rate: &Throttle, now_nanos: u64) -> Result<(), Duration> {
        self.rate.try_acquire(&rate.spec(), clock(now_nanos))
    }

    /// Gives back one event of the rate that was taken at `taken_nanos` and did not come about.
    pub fn untake_rate(&self, rate: &Throttle, taken_nanos: u64, now_nanos: u64) {
        self.rate.give_back(&rate.spec(), clock(taken_nanos), clock(now_nanos));
    }

    /// As [`SharedLimit::try_rate`], but takes nothing.
    pub fn would_pass(&self, rate: &Throttle, now_nanos: u64) -> Result<(), Duration> {
        self.rate.would_pass(&rate.spec(), clock(now_nanos))
    }
}

/// Takes one event of each of these rates, or of none: what one of them holds up costs the others nothing.
///
/// # Errors
/// The wait.
pub fn take_all<'a>(
    rates: impl Iterator<Item = (&'a Throttle, &'a SharedLimit)> + Clone,
    now_nanos: u64,
) -> Result<(), Duration> {
    rates.clone().try_for_each(|(rate, shared)| shared.would_pass(rate, now_nanos))?;
    for (at, (rate, shared)) in rates.clone().enumerate() {
        if let Err(wait) = shared.try_rate(rate, now_nanos) {
            // Another shard has taken it in this instant.
            untake_all(rates.take(at), now_nanos, now_nanos);
            return Err(wait);
        }
    }
    Ok(())
}

/// Gives back what [`take_all`] took at `taken_nanos`.
pub fn untake_all<'a>(
    rates: impl Iterator<Item = (&'a Throttle, &'a SharedLimit)>,
    taken_nanos: u64,
    now_nanos: u64,
) {
    rates.for_each(|(rate, shared)| shared.untake_rate(rate, taken_nanos, now_nanos));
}

/// Every limit of the process, by name. Looked at when a ready queue is made, never per message.
#[derive(Debug, Default)]
pub struct Registry {
    entries: Mutex<HashMap<String, Arc<SharedLimit>>>,
    sources: Mutex<HashMap<String, Arc<Health>>>,
}

impl Registry {
    /// The limit called `name`.
    pub fn get(&self, name: &str) -> Arc<SharedLimit> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.entry(name.to_string()).or_default().clone()
    }

    /// How the source called `name` does.
    pub fn source(&self, name: &str) -> Arc<Health> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.entry(name.to_string()).or_default().clone()
    }

    /// Shows how each source does.
    pub fn each_source(&self, mut see: impl FnMut(&str, &Health)) {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.iter().for_each(|(source, health)| see(source, health));
    }

    /// Forgets limits and sources that nobody uses and that would start as they are.
    pub fn sweep(&self, now_nanos: u64) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let now_millis = now_nanos / 1_000_000;
        sources.retain(|_, health| {
            Arc::strong_count(health) > 1 || health.suspended_for(now_millis).is_some()
        });
        drop(sources);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, shared| Arc::strong_count(shared) > 1 || !shared.is_unused(now_nanos));
    }

    /// How many limits are known.
    pub fn len(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// None is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The time rates go by: the monotonic clock's.
fn clock(mono_nanos: u64) -> u64 {
    if is_planted(Bug::WallClockRates) {
        return ringmta_io::unix_nanos();
    }
    mono_nanos
}

/// All shards, the one after `me` first and `me` last.
fn in_turn(me: usize) -> impl Iterator<Item = usize> {
    (1..=SHARDS_MAX).map(move |step| (me + step) % SHARDS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_limit_and_handed_to_who_waits() {
        let shared = SharedLimit::default();
        let limit = Limit::new(2);
        assert!(shared.try_lease(0, limit) && shared.try_lease(0, limit));
        assert!(!shared.try_lease(3, limit));
        assert!(shared.wait(3) && !shared.wait(3), "told once");
        assert!(shared.is_wanted() && shared.waits(3));
        assert_eq!(shared.give_back(0, None), Some(3));
        assert_eq!((shared.leases(), shared.held_by(0)), (2, 1), "handed over, it stays out");
        shared.free();
        assert!(shared.try_lease(3, limit));
        assert_eq!(shared.give_back(3, None), None);
        assert_eq!(shared.leases(), 1);
    }

    /// What passes when a backlog asks again each time it was told to, which is never sooner, and up to `late` later: when
    /// each of them passed, nanoseconds.
    fn passed(rate: &Throttle, late: Duration, over: Duration) -> Vec<u64> {
        let shared = SharedLimit::default();
        let start = 1_000_000_000_000;
        let (mut now, mut times, mut wakes) = (start, Vec::new(), 0u64);
        while now < start + over.as_nanos() as u64 {
            match shared.would_pass(rate, now) {
                Ok(()) => {
                    shared.try_rate(rate, now).unwrap();
                    times.push(now);
                }
                Err(wait) => {
                    wakes += 1;
                    now += wait.as_nanos() as u64 + wakes % 5 * late.as_nanos() as u64 / 4;
                }
            }
        }
        times
    }

    #[test]
    fn a_backlog_gets_its_rate_and_never_more_than_its_burst_beside_it() {
        // A shard looks at its timers every 4 ms while it is busy.
        let late = Duration::from_millis(4);
        let over = Duration::from_secs(20);
        for text in ["100/s", "10/s", "10/s,max_burst=1", "25/s,max_burst=2", "600/min,max_burst=5"]
        {
            let rate = Throttle::parse(text).unwrap();
            let spec = rate.spec();
            let interval = spec.period.as_nanos() as u64 / spec.limit;
            let times = passed(&rate, late, over);
            let due = over.as_nanos() as u64 / interval;
            assert!(times.len() as u64 >= due * 9 / 10, "{text}: {} of {due}", times.len());
            for (at, from) in times.iter().enumerate() {
                for (count, to) in times[at..].iter().enumerate() {
                    let most = spec.burst + (to - from) / interval;
                    assert!((count as u64) < most, "{text}: {count} from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn of_several_rates_all_are_taken_or_none_however_many_ask_at_once() {
        let of = |text: &str| Throttle::parse(text).unwrap();
        let (wide, narrow) = (of("100000/h,max_burst=100000"), of("1/h,max_burst=50"));
        for _ in 0..50 {
            let shared = [SharedLimit::default(), SharedLimit::default()];
            let now = 1_000_000_000_000_000;
            let rates = || [(&wide, &shared[0]), (&narrow, &shared[1])].into_iter();
            let take = || (0..1000).filter(|_| take_all(rates(), now).is_ok()).count();
            let taken: usize = std::thread::scope(|scope| {
                let all: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
                all.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(taken, 50);
            // The wide one has lost what went, and nothing else.
            let left = (0..200_000).filter(|_| shared[0].try_rate(&wide, now).is_ok()).count();
            assert_eq!(left, 100_000 - taken);
        }
    }

    #[test]
    fn waiting_shards_take_turns() {
        let shared = SharedLimit::default();
        assert!(shared.try_lease(0, Limit::new(1)));
        for shard in [0, 1, 70] {
            shared.wait(shard);
        }
        assert_eq!(shared.give_back(0, None), Some(1));
        assert_eq!(shared.pass_on(1, None), Some(70));
        assert_eq!(shared.pass_on(70, None), Some(0));
        assert_eq!(shared.pass_on(0, None), None);
        assert_eq!(shared.leases(), 0);
    }

    fn with_leases(limit: u64, held: &[u32]) -> SharedLimit {
        let shared = SharedLimit::default();
        for (shard, count) in held.iter().enumerate() {
            (0..*count).for_each(|_| assert!(shared.try_lease(shard, Limit::new(limit))));
        }
        shared
    }

    /// Saturated shards that all want more, by the turns of their connections: how often a connection ended although
    /// every shard had its share.
    fn torn_down(seed: u64, planted: Option<Bug>) -> u32 {
        let world = ringmta_io::sim::World::new(seed, false);
        world.planted.set(planted);
        let _entered = world.enter();
        let shards = world.rng.between(2, 4) as usize;
        let limit = Limit::new(world.rng.between(shards as u64, 12));
        let shared = SharedLimit::default();
        let share = (limit.limit / shards as u64) as u32;
        let mut torn_down = 0;
        for _ in 0..200 {
            let me = world.rng.below(shards as u64) as usize;
            if shared.try_lease(me, limit) {
                continue;
            }
            shared.wait(me);
            let other = world.rng.below(shards as u64) as usize;
            let are_served = (0..shards).all(|shard| shared.held_by(shard) >= share);
            let Some(to) = (shared.held_by(other) > 0).then(|| shared.claim_turn(other, limit))
            else {
                continue;
            };
            let Some(to) = to else { continue };
            torn_down += u32::from(are_served);
            assert_eq!(shared.give_back(other, Some(to)), Some(to));
            shared.free();
            assert!(shared.try_lease(to, limit));
        }
        let are_served = (0..shards).all(|shard| shared.held_by(shard) >= share);
        assert!(are_served || planted.is_some(), "each gets its share");
        torn_down
    }

    #[test]
    fn no_connection_ends_where_every_shard_has_its_share() {
        let sum = |planted| (1..=50).map(|seed| torn_down(seed, planted)).sum::<u32>();
        assert_eq!(sum(None), 0);
        assert!(sum(Some(Bug::TurnsForNothing)) > 0, "the mistake is found");
    }

    #[test]
    fn a_shard_that_has_its_share_gets_no_more() {
        // Two saturated shards: both want more, each has half.
        let limit = Limit::new(4);
        let shared = with_leases(4, &[2, 2]);
        shared.wait(0);
        shared.wait(1);
        assert_eq!(shared.claim_turn(0, limit), None);
        assert_eq!(shared.claim_turn(1, limit), None);
        // One came first and has all: it gives up to half, one for each time the other waits.
        let shared = with_leases(4, &[4, 0]);
        for _ in 0..2 {
            shared.wait(1);
            assert_eq!(shared.claim_turn(0, limit), Some(1));
            assert_eq!(shared.claim_turn(0, limit), None, "one connection gives way, not all");
            assert_eq!(shared.give_back(0, Some(1)), Some(1));
            shared.free();
            assert!(shared.try_lease(1, limit));
        }
        shared.wait(1);
        assert_eq!(shared.claim_turn(0, limit), None);
        // Of an odd number the one too many stays where it is.
        let shared = with_leases(5, &[3, 2]);
        shared.wait(1);
        assert_eq!(shared.claim_turn(0, Limit::new(5)), None);
    }

    #[test]
    fn fewer_leases_than_shards_go_round() {
        let shared = with_leases(1, &[1, 0, 0]);
        shared.wait(1);
        shared.wait(2);
        assert_eq!(shared.claim_turn(0, Limit::new(1)), Some(1));
        assert_eq!(shared.claim_turn(0, Limit::new(1)), Some(2));
        assert_eq!(shared.claim_turn(0, Limit::new(1)), None);
    }

    #[test]
    fn an_idle_connection_gives_way_to_whoever_waits_once() {
        let shared = with_leases(4, &[2, 2]);
        shared.wait(1);
        assert!(shared.is_wanted_by_others(0));
        assert_eq!(shared.claim_other(0), Some(1));
        assert_eq!(shared.claim_other(0), None);
        shared.wait(0);
        assert!(!shared.is_wanted_by_others(0));
        assert_eq!(shared.claim_other(0), None, "its own mark is its own affair");
    }

    #[test]
    fn limits_are_forgotten_when_nothing_is_lost_by_it() {
        let registry = Registry::default();
        let hourly = Throttle::parse("1/h").unwrap();
        assert!(registry.get("used up").try_rate(&hourly, 1_000).is_ok());
        let held = registry.get("held");
        registry.get("unused");
        registry.sweep(2_000);
        assert_eq!(registry.len(), 2, "one is held, one would let through too early");
        registry.sweep(7_200_000_000_000);
        assert_eq!(registry.len(), 1);
        drop(held);
        registry.sweep(7_200_000_000_000);
        assert!(registry.is_empty());
    }
}
