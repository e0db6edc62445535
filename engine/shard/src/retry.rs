//! A message is tried again after an attempt, or given up: policy hears each answer.

use crate::delivery::Delivery;
use crate::ending::fail_some;
use crate::ending::{self, finish, rewrite};
use crate::flow;
use crate::limits::DELIVERY_HANDLER_SECS;
use crate::places;
use crate::state::Shard;
use ringmta_events::record::Kind;
use ringmta_events::spans::trail::{along, Trail};
use ringmta_io::{self as io, steady_millis};
use ringmta_policy::{EnvelopeAddress, Message, QueueConfig};
use ringmta_queue::model::Item;
use ringmta_queue::retry::{after_failure, Next};
use ringmta_smtp::response::Response;
use std::rc::Rc;
use std::time::Duration;

/// An answer to a recipient.
pub type Answer = (EnvelopeAddress, Response);

/// What a message's remaining recipients were answered.
pub struct Answers {
    /// Those who were answered.
    pub each: Vec<Answer>,
    /// Those who had no turn: the peer has said nothing of them.
    pub unasked: Vec<EnvelopeAddress>,
}

impl Answers {
    /// Everybody was answered.
    pub fn all(each: Vec<Answer>) -> Answers {
        Answers { each, unasked: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.each.is_empty() && self.unasked.is_empty()
    }
}

/// The recipients of each answer, in the order the answers came.
pub fn by_answer(answers: &[Answer]) -> Vec<(&Response, Vec<EnvelopeAddress>)> {
    let mut groups: Vec<(&Response, Vec<EnvelopeAddress>)> = Vec::new();
    for (recipient, response) in answers {
        match groups.iter_mut().find(|(known, _)| *known == response) {
            Some((_, recipients)) => recipients.push(recipient.clone()),
            None => groups.push((response, vec![recipient.clone()])),
        }
    }
    groups
}

/// `remaining` recipients are tried again later, or expire; all of them for the same reason.
pub async fn retry(
    shard: &Rc<Shard>,
    delivery: Delivery,
    remaining: Vec<EnvelopeAddress>,
    response: &Response,
) {
    retry_after(shard, delivery, remaining, response, None).await;
}

/// The same, after the time that the receiver has asked for, if it has.
pub async fn retry_after(
    shard: &Rc<Shard>,
    delivery: Delivery,
    remaining: Vec<EnvelopeAddress>,
    response: &Response,
    asked: Option<Duration>,
) {
    let answers = Answers::all(remaining.into_iter().map(|to| (to, response.clone())).collect());
    retry_in(shard, delivery, answers, AFTER_ATTEMPT, asked).await;
}

/// What `requeue_message` is told of a message whose failed attempt has its record.
pub const AFTER_ATTEMPT: &[&str] = &["LoggedTransientFailure"];

/// The recipients are tried again later, or expire. Policy hears each answer, and may say when the
/// next attempt is due, or that those who got this answer are given up.
pub async fn retry_each(shard: &Rc<Shard>, delivery: Delivery, answers: Answers, context: &[&str]) {
    retry_in(shard, delivery, answers, context, None).await;
}

/// The same; where `wait` is given it counts in place of the queue's schedule, unless policy says otherwise.
pub async fn retry_in(
    shard: &Rc<Shard>,
    delivery: Delivery,
    mut answers: Answers,
    context: &[&str],
    wait: Option<Duration>,
) {
    let Delivery { mut item, message, hand: _hand, .. } = delivery;
    item.attempts = item.attempts.saturating_add(1);
    message.set_num_attempts(item.attempts);
    narrow(&message, &answers);
    let delay;
    (answers.each, delay) = requeue(shard, &item, &message, answers.each, context).await;
    if answers.is_empty() {
        return finish(shard, item);
    }
    narrow(&message, &answers);
    if message.changes().of_record() {
        rewrite(shard, &mut item, &message).await;
    }
    let config = item.queue.config();
    let windows = &shard.queues.windows;
    let (scheduling, end) = (windows.get(item.id), windows.end_of_life(&item));
    let now = steady_millis();
    let orders = &shard.queues.orders;
    if let Some(order) = orders.bounced(&item.queue.name, &item.queue.parts, now) {
        orders.count_bounced(&order.id, &item.queue.name);
        return ending::admin_bounce(shard, item, &message, &order);
    }
    let delay = delay.or_else(|| match item.is_event() {
        true => Some(event_delay(&item, &config, wait)),
        false => wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
    });
    match after_failure(&config, scheduling.as_deref(), end, item.attempts, now, delay) {
        Next::Retry(due) => {
            if let Some(item) = ending::unless_moved_back(shard, item) {
                places::defer(shard, item, due);
            }
        }
        Next::Expire(due) => {
            let text = ending::too_late(shard, &item, due);
            ending::expired(shard, item, &message, text);
        }
    }
}

/// Milliseconds until an event of a hook is tried again, unless policy has a word on it: as its queue or its receiver
/// says, and up to a quarter more, so that those that failed together do not come back together.
fn event_delay(item: &Item, config: &QueueConfig, asked: Option<Duration>) -> u64 {
    let delay = asked.unwrap_or_else(|| config.delay_for_attempt(u32::from(item.attempts)));
    let millis = delay.as_millis() as u64;
    millis + io::random_u64() % (millis / 4 + 1)
}

/// Leaves the message only those recipients.
fn narrow(message: &Message, answers: &Answers) {
    let Answers { each, unasked } = answers;
    if each.len() + unasked.len() < message.with_recipients(<[EnvelopeAddress]>::len) {
        let left = each.iter().map(|(recipient, _)| recipient).chain(unasked);
        message.set_recipients(left.cloned().collect());
    }
}

/// `left` had no turn before the connection ended, and nobody else is left: the message goes on its way again, and no attempt
/// is counted. That the others are done is durable first.
pub async fn go_on_with(shard: &Rc<Shard>, delivery: Delivery, left: Vec<EnvelopeAddress>) {
    let Delivery { mut item, message, hand, .. } = delivery;
    narrow(&message, &Answers { each: Vec::new(), unasked: left });
    if message.changes().of_record() {
        rewrite(shard, &mut item, &message).await;
    }
    drop(hand);
    flow::submit(shard, item);
}

/// Tells policy of each answer. Gives back what is tried again, and when, milliseconds from now, if
/// policy has a word on that.
async fn requeue(
    shard: &Rc<Shard>,
    item: &Item,
    message: &Message,
    mut answers: Vec<Answer>,
    context: &[&str],
) -> (Vec<Answer>, Option<u64>) {
    let policy = shard.policy();
    if !policy.handles("requeue_message") {
        return (answers, None);
    }
    let limit = Duration::from_secs(DELIVERY_HANDLER_SECS);
    let groups: Vec<_> =
        by_answer(&answers).into_iter().map(|(said, to)| (said.clone(), to)).collect();
    let mut due: Option<u64> = None;
    for (said, recipients) in groups {
        message.set_due(None);
        let text = said.to_text();
        let context = context.iter().map(|word| (*word).to_string()).collect();
        let trail = Trail::of(shard.process.spans.as_ref(), message);
        let asked = along(trail, policy.requeue_message(message, &text, context, true, None));
        match io::deadline(limit, asked).await {
            Ok(Ok(())) => due = due.into_iter().chain(message.due()).min(),
            Ok(Err(error)) => {
                // A failure was logged where it happened; the message is tried again then.
                let Some(rejection) = error.rejection() else { continue };
                let response = Response::internal(rejection.code, &rejection.text);
                fail_some(shard, Kind::Bounce, item, message, &recipients, &response, None);
                ending::set_aside(shard, item, &response);
                answers.retain(|(_, answer)| *answer != said);
            }
            Err(_) => tracing::error!("requeue_message took longer than {limit:?}"),
        }
    }
    (answers, due.map(|due| due.saturating_sub(steady_millis())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_grouped_by_their_answer() {
        let to = |name: &str| EnvelopeAddress::parse(&format!("{name}@d.test")).unwrap();
        let said =
            |code, text: &str| Response { code, content: text.into(), ..Response::default() };
        let answers = [
            (to("a"), said(450, "busy")),
            (to("b"), said(452, "full")),
            (to("c"), said(450, "busy")),
            (to("d"), said(450, "greylisted")),
        ];
        let groups = by_answer(&answers);
        let names = |at: usize| -> Vec<String> {
            groups[at].1.iter().map(|to| to.email().to_string()).collect()
        };
        assert_eq!(groups.len(), 3);
        assert_eq!(names(0), ["a@d.test", "c@d.test"]);
        assert_eq!((groups[1].0.code, names(1)), (452, vec!["b@d.test".to_string()]));
        assert_eq!(groups[2].0.content, "greylisted");
    }
}
