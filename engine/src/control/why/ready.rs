//! What holds the mail of a ready queue.

use super::answer::Answer;
use super::reasons::{self, wall, wall_ahead};
use super::states::State;
use ringmta_io::steady_millis;
use ringmta_queue::connections::Phase;
use ringmta_queue::model::{Block, ReadyQueue};
use ringmta_shard::state::Shard;

/// The state of the message that is to leave `ready` first.
pub fn state(shard: &Shard, ready: &ReadyQueue) -> Answer {
    let answer = look(shard, ready);
    let trouble = reasons::trouble(&ready.name, &ready.last_trouble.borrow());
    answer.because(trouble).name("ready", &ready.name)
}

fn look(shard: &Shard, ready: &ReadyQueue) -> Answer {
    if ready.is_held() {
        let order = shard.queues.orders.holding_ready(&ready.name, steady_millis());
        let Some(order) = order else { return Answer::of(State::ReadySuspended) };
        return Answer::of(State::ReadySuspended)
            .because([reasons::order(&order)])
            .since(order.placed_millis)
            .next(order.until_millis)
            .name("order", &order.id);
    }
    if ready.is_blocked_now() {
        return blocked(ready)
            .since(wall(ready.blocked_since.get()))
            .next(wall_ahead(ready.blocked_until.get()));
    }
    unblocked(ready)
}

/// Nothing forbids its mail to leave.
pub(super) fn unblocked(ready: &ReadyQueue) -> Answer {
    let open = ready.open.borrow();
    let opening = open.iter().find(|one| one.doing().0 == Phase::Connecting);
    if let (0, Some(opening)) = (ready.established.get(), opening) {
        return Answer::of(State::Connecting)
            .because([reasons::connection(opening)])
            .since(wall(opening.started));
    }
    let used_up = if ready.wants_lease.get() { reasons::used_up(ready) } else { Vec::new() };
    if !used_up.is_empty() {
        return Answer::of(State::ConnectionLimit)
            .because(used_up)
            .since(wall(ready.wants_since.get()));
    }
    match open.is_empty() {
        true => Answer::of(State::AboutToConnect),
        false => {
            Answer::of(State::InLine).because(open.iter().take(3).map(|c| reasons::connection(c)))
        }
    }
}

pub(super) fn blocked(ready: &ReadyQueue) -> Answer {
    let path = ready.path();
    match ready.blocked_by.get() {
        Block::ConnectionRate => {
            let rate = path.max_connection_rate.map(|rate| {
                let made = ready.path_made.borrow();
                reasons::limit("max_connection_rate", &rate.to_string(), &made, "")
            });
            Answer::of(State::ConnectionRate).because(rate)
        }
        Block::MessageRate => Answer::of(State::MessageRate).because(reasons::rates(ready)),
        Block::HostsDown => Answer::of(State::HostsDown),
        Block::OutOfStep => Answer::of(State::OutOfStep),
        Block::Receiver => Answer::of(State::ReceiverPaused),
    }
}
