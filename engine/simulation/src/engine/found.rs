//! What a start finds, and whether it is what it should find.

use crate::engine::ledger::Ledger;
use crate::engine::ledger::Left;
use crate::engine::ledger::Mail;
use ringmta_policy::MessageId;
use ringmta_queue::limits::TIMER_TICK_MS;
use ringmta_spool::log::reclaim::AttemptState;

/// A message that a start found.
#[derive(Debug, Clone)]
pub struct Found {
    /// On this shard.
    pub shard: usize,
    /// Which.
    pub id: MessageId,
    /// Its attempts as its queue has them.
    pub attempts: u16,
    /// When it is due, rounded up to a tick.
    pub due_tick: u64,
    /// Its state as the spool has it.
    pub state: Option<AttemptState>,
    /// It was held by an order that is not in force any more: when it was let go, unix milliseconds.
    pub let_go: Option<u64>,
}

/// A shard has started: checks what it found against the history, and takes it as the truth. It
/// may deliver from here on, whatever the other shards do.
pub fn found(ledger: &mut Ledger, found: &[Found]) {
    for one in found {
        let checked = match ledger.mail.get(&one.id) {
            Some(mail) => resumed(one, mail, ledger.life),
            // Stored, and cut off before anything told of it.
            None if one.state.is_none() => Ok(()),
            None => Err(format!("{} was found, and nothing told of it: {one:?}", one.id)),
        };
        if let Err(why) = checked {
            ledger.fail(why);
        }
        let life = ledger.life;
        let mail = ledger.mail(one.id, one.shard);
        mail.left = Left::No;
        mail.durable = one.state;
        mail.let_go = one.let_go.is_some();
        mail.noted.clear();
        mail.rewritten.clear();
        mail.found = life;
    }
}

/// The tick in which a message with this state is due.
pub fn due_tick(state: Option<AttemptState>) -> u64 {
    state.map_or(0, |state| state.due_millis).div_ceil(TIMER_TICK_MS) * TIMER_TICK_MS
}

/// Attempts and due times are resumed exactly: as the journal is known to have them, or as one of
/// those noted since.
fn resumed(found: &Found, mail: &Mail, life: u32) -> Result<(), String> {
    let Found { id, state, .. } = found;
    if mail.found == life {
        return Err(format!("{id} was found on shard {} and on {}", mail.shard, found.shard));
    }
    if mail.left == Left::Durable {
        return Err(format!("{id} came back, it had left durably: {mail:?}"));
    }
    let is_noted = |state| mail.noted.contains(&state);
    let is_rewritten = mail.rewritten.contains(state);
    let fits = *state == mail.durable || is_rewritten || state.is_some_and(is_noted);
    if !fits {
        return Err(format!("{id} came back with {state:?}: {mail:?}"));
    }
    let attempts = state.map_or(0, |state| state.attempts);
    let let_go = found.let_go.map(|millis| millis.div_ceil(TIMER_TICK_MS) * TIMER_TICK_MS);
    let due = let_go.map_or(due_tick(*state), |tick| tick.min(found.due_tick));
    if (found.attempts, found.due_tick) != (attempts, due) {
        return Err(format!("{id} was queued as {found:?}"));
    }
    Ok(())
}
