//! Mail that is put into Maildirs on this host (`protocol = { maildir_path = ... }`): [`place`] which one a recipient
//! has, [`write`] how a message gets into it.

mod place;
mod write;

use crate::held::Held;
use crate::maildir::place::Unplaced;
use crate::{limits, next, outcome};
use ringmta_events::metrics::Step;
use ringmta_io::{self as io, deadline, mono_nanos};
use ringmta_policy::{confinement, EnvelopeAddress, MaildirProtocol};
use ringmta_queue::model::ReadyQueue;
use ringmta_shard::delivery::Delivery;
use ringmta_shard::ending;
use ringmta_shard::retry::{self, Answers};
use ringmta_shard::state::Shard;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

/// Stores what waits, one message after the other, until nothing comes any more.
pub async fn run(
    shard: &Rc<Shard>,
    ready: &Rc<ReadyQueue>,
    held: Held<'_>,
    maildir: &MaildirProtocol,
) {
    let Held { leases, connection } = held;
    let _open = ready.opened();
    let mut via = ready.via(connection.session_id.clone());
    via.protocol = "Maildir";
    let most = ready.path().max_deliveries_per_connection;
    let mut stored = 0;
    while stored < most && !shard.context.stopping.get() && !connection.is_aborted() {
        connection.idle();
        if stored > 0 && leases.gives_way_busy(shard, ready, stored) {
            break;
        }
        let Some(delivery) = next::next(shard, ready).await else {
            let stays = !leases.gives_way_idle(shard, ready, stored);
            let work = ready.wait_idle(ready.path().idle_timeout);
            if stays && connection.unless_aborted(work).await == Ok(true) {
                continue;
            }
            break;
        };
        stored += 1;
        connection.deliver(delivery.item.id);
        deliver(shard, &via, delivery, maildir).await;
    }
}

/// Stores a message for each of its recipients. Those whose folder cannot be written wait a minute: it is this host's
/// own disk, which no schedule of retries for others fits.
async fn deliver(shard: &Rc<Shard>, via: &Via, delivery: Delivery, maildir: &MaildirProtocol) {
    let mut waiting: Vec<(EnvelopeAddress, Response)> = Vec::new();
    let (began, mut failed) = (mono_nanos(), None);
    for recipient in delivery.message.recipients() {
        let to = std::slice::from_ref(&recipient);
        match store(shard, &delivery, &recipient, maildir).await {
            Ok(response) => outcome::delivered(shard, via, &delivery, to, &response),
            Err(response) if response.is_permanent() => {
                outcome::bounce(shard, via, &delivery, to, &response);
                failed = Some(response);
            }
            Err(response) => {
                outcome::transient(shard, via, &delivery, to, &response);
                waiting.push((recipient, response));
            }
        }
    }
    let why = failed.as_ref().or_else(|| waiting.first().map(|(_, response)| response));
    outcome::attempted(shard, Step::AttemptMaildir, &delivery, (began, true), why);
    if waiting.is_empty() {
        return ending::finish(shard, delivery.item);
    }
    let wait = Duration::from_secs(limits::MAILDIR_RETRY_SECS);
    let waiting = Answers::all(waiting);
    retry::retry_in(shard, delivery, waiting, retry::AFTER_ATTEMPT, Some(wait)).await;
}

/// Stores a message for one recipient.
///
/// # Errors
/// What its record says: 5xx where the recipient can have no folder.
async fn store(
    shard: &Rc<Shard>,
    delivery: &Delivery,
    recipient: &EnvelopeAddress,
    maildir: &MaildirProtocol,
) -> Result<Response, Response> {
    let queue = &delivery.item.queue;
    let facts = place::Facts { queue: &queue.name, parts: &queue.parts, recipient };
    let folder = place::folder(&maildir.maildir_path, &facts, &delivery.message);
    let folder: PathBuf = folder.map_err(|why| match why {
        Unplaced::Template(why) => Response::internal(400, format!("maildir_path: {why}")),
        Unplaced::Name(why) => {
            Response { enhanced: Some((5, 1, 3)), ..Response::internal(550, why) }
        }
    })?;
    let body = delivery.message.body().unwrap_or_default().to_vec();
    let hostname = shard.process.hostname.clone();
    let work = write::Work {
        folder: folder.clone(),
        name: write::name(delivery.item.id, recipient.email(), &hostname),
        draft: io::random_u64(),
        body,
        dir_mode: maildir.dir_mode,
        file_mode: maildir.file_mode,
    };
    let shown = folder.display().to_string();
    let failed =
        |why: &str| Response::internal(400, format!("failed to write to maildir {shown}: {why}"));
    // One target for all folders: a disk that hangs takes a bounded part of the helper threads.
    let helpers = shard.process.policy_shared.helpers();
    let stored = helpers.run_for("maildir", move || work.run());
    match deadline(Duration::from_secs(limits::MAILDIR_WRITE_SECS), stored).await {
        Ok(Ok(name)) => Ok(Response {
            code: 200,
            content: format!("wrote to maildir with id={name}"),
            ..Response::default()
        }),
        Ok(Err(error)) => Err(failed(&format!("{error}{}", confinement::why_not_written(&folder)))),
        Err(_) => Err(failed("the disk has not answered in time")),
    }
}
