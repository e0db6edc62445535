//! What each letter does.

use super::host::prepare_policy;
use super::stages::Core;
use crate::control::{self, reload};
use futures::channel::oneshot::Sender;
use ringmta_accept::listener;
use ringmta_events::metrics::Snapshot;
use ringmta_io as io;
use ringmta_queue::order_counts::Bounced;
use ringmta_queue::orders::Order;
use ringmta_shard::mesh::{Inspect, Letter};
use ringmta_shard::{certificates, leases, Shard};
use std::rc::Rc;

/// Does what letters say until one says stop.
pub(super) async fn serve(core: &Rc<Core>) {
    let process = core.shard.process.clone();
    while !core.stop_seen.get() {
        let letter = process.inboxes[core.shard.index].receive().await;
        open_letter(core, letter);
    }
}

/// Counts this shard's part of the metrics.
fn snapshot(core: &Core) -> Snapshot {
    let mut sum = core.shard.snapshot();
    core.egress.add_to(&mut sum);
    sum
}

/// Answers a question: how mail would leave is egress' to say.
async fn inspect(core: &Core, question: Inspect) -> serde_json::Value {
    match question {
        Inspect::Path(domain, source) => {
            control::ready_view::path(&core.egress, &domain, source.as_deref()).await
        }
        other => control::inspect::answer(&core.shard, other).await,
    }
}

/// Puts an order in force, at once; what waits is looked through in slices.
async fn place(shard: Rc<Shard>, order: Box<Order>, answer: Sender<Bounced>) {
    let _ = answer.send(control::orders::apply(&shard, *order).await);
}

/// Ends an order, in the same way.
async fn end(shard: Rc<Shard>, id: String, answer: Sender<bool>) {
    let _ = answer.send(control::orders::cancel(&shard, &id).await);
}

fn open_letter(core: &Rc<Core>, letter: Letter) {
    let shard = &core.shard;
    match letter {
        Letter::Lease(limit) => leases::handed_over(shard, limit),
        Letter::Wanted(limit) => leases::wanted(shard, &limit),
        Letter::Socket { socket, listener } => listener::serve_socket(shard, socket, listener),
        Letter::Metrics(answer) => drop(answer.send(snapshot(core))),
        Letter::Sample(answer) => drop(answer.send(Box::new(shard.sample()))),
        Letter::Order(order, answer) => io::spawn(place(shard.clone(), order, answer)),
        Letter::Cancel(id, answer) => io::spawn(end(shard.clone(), id, answer)),
        Letter::Watch(viewer) => shard.trace.watch(viewer),
        Letter::Read(reader) => shard.events.watch(reader),
        Letter::Act(act, answer) => {
            let shard = shard.clone();
            io::spawn(async move {
                let _ = answer.send(control::acts::act(&shard, *act).await);
            });
        }
        Letter::Inspect(question, answer) => {
            let core = core.clone();
            io::spawn(async move {
                let _ = answer.send(inspect(&core, question).await);
            });
        }
        Letter::Replay(name, ids, answer) => {
            let shard = shard.clone();
            io::spawn(async move {
                let _ = answer.send(control::hooks::replay_here(&shard, &name, &ids).await);
            });
        }
        Letter::Open(mut sockets, answer) => {
            let smtp = listener::open_all(shard, &mut sockets);
            let http = smtp.and_then(|mut lines| {
                lines.extend(control::api::open_all(shard, &mut sockets)?);
                Ok(lines)
            });
            let _ = answer.send(http);
            start_policy_tasks(shard);
        }
        Letter::Reload(answer) => {
            let shard = shard.clone();
            io::spawn(async move {
                let _ = answer.send(reload::run(&shard).await);
            });
        }
        Letter::Certificates => {
            let shard = shard.clone();
            io::spawn(async move { certificates::renew(&shard).await });
        }
        Letter::Prepare(answer) => {
            let _ = answer.send(prepare_policy(core).map_err(|error| error.to_string()));
        }
        Letter::Take(answer) => {
            shard.take_policy();
            let _ = answer.send(());
        }
        Letter::Drop => shard.context.policy.prepare(None),
        Letter::Alive(answer) => drop(answer.send(())),
        Letter::Stop => core.stop_seen.set(true),
    }
}

/// Tasks the policy asked for in `init` run once per process, on the first shard.
fn start_policy_tasks(shard: &Rc<Shard>) {
    if shard.index != 0 {
        return;
    }
    for (event, args) in shard.process.init.spawn_tasks.clone() {
        let shard = shard.clone();
        io::spawn(async move {
            if let Err(error) = shard.policy().call_user_event(&event, args).await {
                tracing::error!("task {event} ended: {error}");
            }
        });
    }
}
