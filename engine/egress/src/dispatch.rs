//! The one place that decides that a connection to a next hop is opened.

use crate::held::Held;
use crate::limits;
use crate::next;
use crate::stage::Egress;
use crate::{lua, maildir, session};
use ringmta_io::{self as io, mono_nanos};
use ringmta_queue::carrier::Carrier;
use ringmta_queue::model::{Block, ReadyQueue};
use ringmta_shard::flow;
use ringmta_shard::leases::{self, Leases};
use ringmta_shard::state::Shard;
use std::rc::Rc;

/// Serves the list of ready queues for which a connection may help, for as long as the shard lives.
pub async fn run(egress: Rc<Egress>) {
    loop {
        egress.shard.queues.to_dispatch.pushed().await;
        while let Some(ready) = egress.shard.queues.to_dispatch.pop() {
            for _ in 0..ready.kicks.replace(0) {
                open(&egress, &ready);
            }
        }
    }
}

/// Opens another connection of `ready` where that helps and every limit allows it.
fn open(egress: &Rc<Egress>, ready: &Rc<ReadyQueue>) {
    let shard = &egress.shard;
    let waiting = ready.len();
    let is_shut = shard.context.stopping.get() || ready.is_blocked_now() || ready.is_held();
    if waiting == 0 || is_shut {
        return;
    }
    let aggressive = ready.path.borrow().aggressive_connection_opening;
    let connections = ready.connections.get();
    // A new connection is opened for every few waiting messages, up to the limit: fewer, busier ones measured fastest.
    let per_connection = limits::READY_PER_CONNECTION.max(ready.sends.batch.get());
    let wanted = if aggressive { waiting } else { waiting.div_ceil(per_connection) };
    let wanted = match *ready.carrier.borrow() {
        Carrier::Lua(_) => wanted.min(ready.sends.allowed()),
        Carrier::Smtp | Carrier::Maildir(_) => wanted,
    };
    if connections >= wanted || (connections > 0 && ready.connect_after.get() > mono_nanos()) {
        return;
    }
    // The rate is charged only for a connection that can be made.
    if let Err(wait) = ready.may_connect() {
        if connections == 0 {
            next::block(shard, ready, wait, Block::ConnectionRate);
        }
        return;
    }
    let leases = match ready.try_lease(shard.index) {
        Ok(taken) => Leases::new(shard.index, taken),
        Err(limit) => return limit.iter().for_each(|limit| leases::ask_for(shard, limit)),
    };
    if let Err(wait) = ready.try_connection_rate() {
        // Another shard has made one in this instant.
        leases.give_back(shard);
        if connections == 0 {
            next::block(shard, ready, wait, Block::ConnectionRate);
        }
        return;
    }
    ready.connections.set(connections + 1);
    let connection = ready.begin(ringmta_smtp::ids::random_uuid());
    let (egress, ready) = (egress.clone(), ready.clone());
    io::spawn(async move {
        let carrier = ready.carrier.borrow().clone();
        let held = Held { leases: &leases, connection: &connection };
        match &carrier {
            Carrier::Smtp => session::run(&egress, &ready, held).await,
            Carrier::Lua(constructor) => lua::run(&egress.shard, &ready, held, constructor).await,
            Carrier::Maildir(maildir) => maildir::run(&egress.shard, &ready, held, maildir).await,
        }
        ready.over(&connection);
        closed(&egress.shard, &ready, leases);
    });
}

/// A connection has ended: its leases go back, and what still waits moves on.
fn closed(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, leases: Leases) {
    ready.connections.set(ready.connections.get().saturating_sub(1));
    leases.give_back(shard);
    // A connection that had done its share asked for no further message: what waits for room has it now.
    if ready.is_empty() {
        flow::refill(shard, ready);
    }
    if !ready.is_empty() {
        shard.queues.kick(ready);
    }
}
