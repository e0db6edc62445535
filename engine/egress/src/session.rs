//! The transactions of one connection.
//!
//! With PIPELINING (RFC 2920) a transaction costs one round trip: the envelope of the next
//! message leaves in the same write as the body and dot of this one, and the answers to all of
//! it come back together. What is said, and what the answers mean, is `conversation`'s; this file moves the
//! bytes, each under its deadline, and hands on what became of whom.

use crate::claimed::claim;
use crate::connect;
use crate::connect::{Opened, Unopened};
use crate::held::Held;
use crate::limits;
use crate::next;
use crate::outcome;
use crate::stage::Egress;
use crate::tap::Tap;
use crate::wire::{Unasked, Wire};
use crate::words;
use ringmta_events::metrics::Step;
use ringmta_events::spans::trail::{along, Trail};
use ringmta_io::mono_nanos;
use ringmta_policy::{EgressPath, EnvelopeAddress};
use ringmta_queue::connections::Phase;
use ringmta_queue::model::{Block, ReadyQueue};
use ringmta_shard::delivery::Delivery;
use ringmta_shard::ending;
use ringmta_shard::retry::{self, Answers};
use ringmta_shard::state::Shard;
use ringmta_smtp::client::broken::Broken;
use ringmta_smtp::client::capabilities as client;
use ringmta_smtp::client::capabilities::{Capabilities, Needs};
use ringmta_smtp::client::conversation::{Action, Ask, Conversation, End, Fate, Group, Manner};
use ringmta_smtp::international;
use ringmta_smtp::response::Response;
use ringmta_smtp::via::Via;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Runs one connection from opening to close.
pub async fn run(egress: &Rc<Egress>, ready: &Rc<ReadyQueue>, held: Held<'_>) {
    let shard = &egress.shard;
    // No message is in hand yet: nothing is lost when it ends here.
    let tap = Tap::new(shard, ready, held.connection);
    let trail = Trail::unclaimed(shard.process.spans.as_ref());
    let opening = along(trail.clone(), connect::open(egress, ready, held.connection, &tap));
    let opening = held.connection.unless_aborted(opening);
    let Ok(opened) = opening.await else {
        if let Some(what) = held.connection.hung() {
            claim(trail, &*ready.items.borrow());
            outcome::connection_failed(shard, ready, words::hung(what));
        }
        return;
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(unopened) => {
            claim(trail, &*ready.items.borrow());
            return match unopened {
                Unopened::NoHost(response) => outcome::no_host(shard, ready, response),
                Unopened::NoneTookUs(response) => {
                    outcome::connection_failed(shard, ready, response);
                }
            };
        }
    };
    let _open = ready.opened();
    shard.metrics.egress_connections.inc();
    shard.metrics.egress_connections_total.inc();
    let mut session = Session::new(shard, ready, (held, tap), opened);
    session.opening.set(trail);
    let result = session.deliver().await;
    session.end(result).await;
    shard.metrics.egress_connections.dec();
}

/// A delivery under way.
struct Transaction {
    delivery: Delivery,
    /// What is said with the peer about the recipients whose turn it is.
    talk: Conversation,
    /// Recipients of later transactions.
    rest: Vec<EnvelopeAddress>,
    /// Recipients to try again later, each with the answer that deferred it.
    deferred: Vec<(EnvelopeAddress, Response)>,
    /// A peer has answered for some of its recipients: it cannot be put back as it was.
    answered: bool,
    needs: Needs,
    /// When its MAIL was ready to leave, monotonic nanoseconds.
    began: u64,
}

struct Session<'a> {
    shard: &'a Rc<Shard>,
    ready: &'a Rc<ReadyQueue>,
    held: Held<'a>,
    tap: Tap,
    path: Rc<EgressPath>,
    wire: Wire,
    offers: Capabilities,
    via: Via,
    deliveries: usize,
    /// Spans of its opening, for the first message that leaves by it.
    opening: Cell<Option<Rc<Trail>>>,
    /// The peer may still hold a transaction of ours.
    needs_reset: bool,
}

impl<'a> Session<'a> {
    fn new(
        shard: &'a Rc<Shard>,
        ready: &'a Rc<ReadyQueue>,
        (held, tap): (Held<'a>, Tap),
        opened: Opened,
    ) -> Session<'a> {
        let via = opened.via(ready, held.connection.session_id.clone());
        Session {
            shard,
            ready,
            held,
            tap,
            path: ready.path(),
            wire: opened.wire,
            offers: opened.offers,
            via,
            deliveries: 0,
            opening: Cell::new(None),
            needs_reset: false,
        }
    }

    async fn deliver(&mut self) -> Result<(), End> {
        let mut next: Option<Transaction> = None;
        loop {
            if next.is_none() {
                self.shard.events.logs().let_follow().await;
            }
            let current = match next.take() {
                Some(transaction) => transaction,
                None if self.is_over() => return Ok(()),
                None => match next::next(self.shard, self.ready).await {
                    Some(delivery) => {
                        let Some(transaction) = self.begin(delivery) else { continue };
                        transaction
                    }
                    None if self.wait().await => continue,
                    None => return Ok(()),
                },
            };
            next = self.transact(current).await?;
        }
    }

    /// Waits for work; `false` when there was none for long.
    async fn wait(&self) -> bool {
        self.held.connection.idle();
        if self.held.leases.gives_way_idle(self.shard, self.ready, self.deliveries) {
            return false;
        }
        let work = self.ready.wait_idle(self.path.idle_timeout);
        let woken = self.held.connection.unless_aborted(work).await == Ok(true);
        woken && !self.shard.context.stopping.get()
    }

    /// Whether this connection has done its share.
    fn is_over(&self) -> bool {
        if self.shard.context.stopping.get() || self.held.connection.is_aborted() {
            return true;
        }
        if self.deliveries >= self.path.max_deliveries_per_connection {
            return true;
        }
        self.held.leases.gives_way_busy(self.shard, self.ready, self.deliveries)
    }

    /// Looks at what the message needs; one the peer cannot take is failed here.
    fn begin(&self, delivery: Delivery) -> Option<Transaction> {
        if let Some(opening) = self.opening.take() {
            opening.claim(&delivery.message);
        }
        let body = delivery.message.body().unwrap_or_default();
        let mut recipients = delivery.message.recipients();
        let needs = Needs {
            eight_bit: !client::is_seven_bit(&body),
            smtputf8: international::needs_smtputf8(&delivery.message),
            size: body.len(),
        };
        if let Some(response) = self.cannot_take(needs) {
            outcome::bounce(self.shard, &self.via, &delivery, &recipients, &response);
            ending::finish(self.shard, delivery.item);
            return None;
        }
        let most = self.path.max_recipients_per_batch.max(1);
        let rest = if recipients.len() > most { recipients.split_off(most) } else { Vec::new() };
        let talk = self.conversation(&delivery, needs, recipients);
        Some(Transaction {
            delivery,
            talk,
            rest,
            deferred: Vec::new(),
            answered: false,
            needs,
            began: mono_nanos(),
        })
    }

    fn conversation(
        &self,
        delivery: &Delivery,
        needs: Needs,
        recipients: Vec<EnvelopeAddress>,
    ) -> Conversation {
        let manner = Manner { pipelining: self.pipelining(), lmtp: self.path.use_lmtp };
        let mut line = Vec::with_capacity(96);
        client::mail_from(&mut line, &delivery.message.sender(), needs, &self.offers);
        Conversation::new(manner, self.needs_reset, line, recipients)
    }

    fn cannot_take(&self, needs: Needs) -> Option<Response> {
        let no = |code, enhanced, text: &str| {
            Some(Response { enhanced: Some(enhanced), ..Response::internal(code, text) })
        };
        if needs.eight_bit && !self.offers.eight_bit && !self.path.ignore_8bit_checks {
            let text = "DATA is 8bit, destination does not support 8BITMIME. \
                        Conversion via msg:check_fix_conformance during reception is required";
            return no(554, (5, 6, 3), text);
        }
        if needs.smtputf8 && !self.offers.smtputf8 && !self.path.ignore_8bit_checks {
            return no(554, (5, 6, 7), "envelope is 8bit, destination does not support SMTPUTF8.");
        }
        let limit = self.offers.size.flatten()?;
        if needs.size as u64 > limit {
            return no(552, (5, 3, 4), "the message is larger than the peer takes");
        }
        None
    }

    fn pipelining(&self) -> bool {
        self.offers.pipelining && self.path.enable_pipelining
    }

    /// Carries one transaction through. Gives the next one, its envelope already sent.
    async fn transact(&mut self, mut t: Transaction) -> Result<Option<Transaction>, End> {
        let mut next = None;
        let mut out = Vec::new();
        self.held.connection.deliver(t.delivery.item.id);
        self.tap.message(&t.delivery);
        // What is unread before anything of this transaction was said cannot be an answer to it.
        if t.talk.is_fresh() {
            if let Some(end) = self.said_before().await {
                t.talk.never_begun(end);
            }
        }
        loop {
            out.clear();
            match t.talk.next(&mut out) {
                Action::Send => {
                    let (limit, phase) = self.limit_of(t.talk.awaited());
                    if let Err(why) = self.wire.send(&out, limit, phase).await {
                        self.last_words(&mut t, why).await;
                    }
                }
                Action::Await(ask) => {
                    let (limit, phase) = self.limit_of(ask);
                    self.held.connection.step(phase);
                    let reply = self.wire.reply(limit);
                    let reply = match ask {
                        Ask::Dot => self.held.connection.last_answer(reply).await,
                        _ => self.held.connection.unless_aborted(reply).await,
                    };
                    match reply {
                        Ok(Ok(response)) => t.talk.answer(response),
                        Ok(Err(why)) => self.broke(&mut t, why, limit),
                        Err(_) => self.broke(&mut t, Broken::Lost(words::ABORTED.into()), limit),
                    }
                }
                Action::Body => next = self.send_body(&mut t, &mut out).await,
                Action::Over => break,
            }
        }
        // With nothing more to be answered the peer has nothing more to say: if it has, its answers were not to what
        // they seemed to be.
        if next.is_none() && t.talk.is_complete() {
            self.said_between(&mut t, "").await;
        }
        self.conclude(t, next).await
    }

    /// How long an answer may take, and what is said meanwhile, for the words of an error.
    fn limit_of(&self, ask: Ask) -> (Duration, &'static str) {
        let path = &self.path;
        match ask {
            Ask::Reset => (path.rset_timeout, "RSET"),
            Ask::Mail => (path.mail_from_timeout, "MAIL FROM"),
            Ask::Rcpt(_) => (path.rcpt_to_timeout, "RCPT TO"),
            Ask::Data => (path.data_timeout, "DATA"),
            Ask::Dot => (path.data_dot_timeout, "message data"),
        }
    }

    /// The connection took no more of what was sent. The peer may have said why before it closed: that is read,
    /// and counts.
    async fn last_words(&mut self, t: &mut Transaction, why: Broken) {
        let limit = Duration::from_secs(limits::LAST_WORDS_SECONDS);
        if t.talk.awaited() == Ask::Dot {
            t.talk.body_sent();
        }
        let mut nothing = Vec::new();
        while let Action::Await(_) = t.talk.next(&mut nothing) {
            match self.wire.reply(limit).await {
                Ok(response) => t.talk.answer(response),
                Err(_) => self.broke(t, why.clone(), limit),
            }
        }
        if !t.talk.is_over() {
            self.broke(t, why.clone(), limit);
        }
        t.talk.lost(why);
    }

    /// The connection broke while an answer was waited for: the records get the reference's words.
    fn broke(&self, t: &mut Transaction, why: Broken, limit: Duration) {
        let ask = t.talk.awaited();
        let command = t.talk.command(ask);
        let response = if let Some(what) = self.held.connection.hung() {
            words::hung(what)
        } else if matches!(why, Broken::Late(_)) {
            let peer = self.via.peer.map(|peer| words::resolved_address(&self.via.host, peer.ip()));
            let peer = peer.map_or_else(|| "None".to_string(), |peer| format!("Some({peer})"));
            let words = why.words(limit, &words::command(&command));
            let text = format!("failed to send message to {} {peer}: {words}", self.ready.name);
            Response { enhanced: Some((4, 4, 2)), ..Response::internal(421, text) }
        } else {
            let words = why.words(limit, &format!("cmd={}", command.trim_end()));
            Response::internal(400, format!("failed to send message: {words}"))
        };
        t.talk.broken(why, response);
    }

    /// What the peer has said unasked within a transaction, or right behind its last answer. That it has closed is met by
    /// what is sent next.
    async fn said_between(&mut self, t: &mut Transaction, before: &str) {
        match self.wire.unasked().await {
            Some(Unasked::Said(what)) => t.talk.unread(&format!("{before}{what}")),
            Some(Unasked::Closing(reply)) => {
                self.told_of_closing(&reply);
                t.talk.closes(reply);
            }
            Some(Unasked::Closed) | None => {}
        }
    }

    /// What a peer says as it closes is often why it takes no more mail: no record tells of it where it answers nothing.
    fn told_of_closing(&self, reply: &Response) {
        let said = reply.to_text().replace('\n', " ");
        tracing::info!("{}: {} closes the connection: {said}", self.ready.name, self.via.host);
    }

    /// What the peer has said or done before a transaction begins.
    async fn said_before(&mut self) -> Option<End> {
        Some(match self.wire.unasked().await? {
            Unasked::Closed => End::Broken(Broken::Lost("connection closed by the peer".into())),
            // An idle connection is closed so: it is nobody's answer.
            Unasked::Closing(reply) => {
                self.told_of_closing(&reply);
                End::Closing
            }
            Unasked::Said(what) => End::OutOfStep(format!("the peer says unasked: {what}")),
        })
    }

    /// Sends the message, its dot, and with pipelining the envelope of the next one, which is given back.
    async fn send_body(&mut self, t: &mut Transaction, out: &mut Vec<u8>) -> Option<Transaction> {
        self.said_between(t, "before the message: ").await;
        if t.talk.is_over() {
            return None;
        }
        let body = t.delivery.message.body().unwrap_or_default();
        out.reserve(body.len() + body.len() / 32 + 512);
        client::data(out, &body);
        drop(body);
        self.deliveries += 1;
        let next = self.next_envelope(t, out).await;
        let (limit, phase) = self.limit_of(Ask::Dot);
        match self.wire.send(out, limit, phase).await {
            Ok(()) => t.talk.body_sent(),
            Err(why) => self.last_words(t, why).await,
        }
        next
    }

    /// The envelope that may leave with this body, appended to `out`.
    async fn next_envelope(&mut self, t: &Transaction, out: &mut Vec<u8>) -> Option<Transaction> {
        let is_behind = self.shard.events.logs().are_behind();
        if is_behind
            || !self.pipelining()
            || self.is_over()
            || !t.rest.is_empty()
            || t.talk.is_crowded()
        {
            return None;
        }
        // The dot ends what the peer holds.
        self.needs_reset = false;
        let delivery = next::next(self.shard, self.ready).await?;
        let mut next = self.begin(delivery)?;
        next.talk.next(out);
        Some(next)
    }

    /// A transaction is over: each group of recipients gets its record, and the message goes on.
    async fn conclude(
        &mut self,
        mut t: Transaction,
        next: Option<Transaction>,
    ) -> Result<Option<Transaction>, End> {
        let talk = std::mem::replace(&mut t.talk, Conversation::empty());
        let was_sent = talk.has_left();
        let verdict = talk.verdict();
        self.needs_reset = verdict.needs_reset;
        let mut end = verdict.end;
        if self.needs_reset && !self.path.enable_rset && end.is_none() {
            end = Some(End::Closing);
        }
        let died_idle = matches!(end, Some(End::Broken(Broken::Lost(_)))) && self.deliveries > 0;
        let mut groups = verdict.groups;
        if verdict.unanswered && died_idle {
            // A connection kept open may have died while idle, also between two transactions of one message: that is
            // no attempt, nor is what was not offered.
            groups.iter_mut().for_each(|group| group.fate = Fate::Unoffered);
        }
        let nobody = groups.iter().all(|group| group.fate == Fate::Unoffered);
        if verdict.unanswered && !t.answered && nobody {
            self.untouched(t, was_sent);
        } else {
            let failed = groups.iter().find(|group| group.fate != Fate::Delivered);
            let why = failed.map(|group| &group.response);
            let begun = (t.began, !t.answered);
            outcome::attempted(self.shard, Step::AttemptSmtp, &t.delivery, begun, why);
            t.answered = true;
            let again = self.note(&mut t, groups).await;
            t.rest.splice(0..0, again);
            if end.is_none() && !t.rest.is_empty() {
                // (No next envelope has left then.)
                return Ok(Some(self.further(t)));
            }
            self.settle(t).await;
        }
        match end {
            None => Ok(next),
            Some(end) => {
                if let Some(next) = next {
                    let was_sent = next.talk.has_left();
                    self.untouched(next, was_sent);
                }
                Err(end)
            }
        }
    }

    /// The same message for those of its recipients that had no turn yet.
    fn further(&self, mut t: Transaction) -> Transaction {
        let most = self.path.max_recipients_per_batch.max(1).min(t.rest.len());
        let later = t.rest.split_off(most);
        let now = std::mem::replace(&mut t.rest, later);
        t.talk = self.conversation(&t.delivery, t.needs, now);
        t.began = mono_nanos();
        t
    }

    /// Makes the records of a transaction. Gives the recipients that a further one is for.
    async fn note(&self, t: &mut Transaction, groups: Vec<Group>) -> Vec<EnvelopeAddress> {
        let mut again = Vec::new();
        for Group { mut fate, mut response, recipients } in groups {
            response.content = response.joined();
            if matches!(fate, Fate::Delivered | Fate::Failed | Fate::Deferred) {
                (fate, response) = self.rewritten(t, fate, response).await;
            }
            let (shard, via, delivery) = (self.shard, &self.via, &t.delivery);
            match fate {
                Fate::Delivered => {
                    count(&self.held.connection.delivered);
                    self.ready.out_of_step.set(0);
                    outcome::delivered(shard, via, delivery, &recipients, &response);
                }
                Fate::Failed => {
                    count(&self.held.connection.failed);
                    outcome::bounce(shard, via, delivery, &recipients, &response);
                }
                Fate::Deferred => {
                    count(&self.held.connection.transfailed);
                    outcome::transient(shard, via, delivery, &recipients, &response);
                    let each = recipients.into_iter().map(|who| (who, response.clone()));
                    t.deferred.extend(each);
                }
                Fate::Again | Fate::Unoffered => again.extend(recipients),
            }
        }
        again
    }

    /// The peer's answer as policy wants it read.
    async fn rewritten(
        &self,
        t: &Transaction,
        fate: Fate,
        mut response: Response,
    ) -> (Fate, Response) {
        let policy = self.shard.policy();
        if !policy.handles("smtp_client_rewrite_delivery_status") {
            return (fate, response);
        }
        let text = format!("{} {}", response.code, response.content);
        let parts = &t.delivery.item.queue.parts;
        let code = policy.rewrite_delivery_status(
            &text,
            &parts.domain,
            parts.tenant.as_deref(),
            parts.campaign.as_deref(),
            parts.routing_domain.as_deref(),
        );
        let trail = Trail::of(self.shard.process.spans.as_ref(), &t.delivery.message);
        let code = along(trail, code);
        // A failure was logged where it happened, one that takes for ever is left; the peer's own word
        // then stands.
        let limit = Duration::from_secs(ringmta_shard::limits::DELIVERY_HANDLER_SECS);
        let Ok(Ok(Some(code))) = ringmta_io::deadline(limit, code).await else {
            return (fate, response);
        };
        let after_data = response.command.as_deref() == Some(".\r\n");
        response.code = code;
        let fate = match code {
            500.. => Fate::Failed,
            200..=299 if after_data => Fate::Delivered,
            _ => Fate::Deferred,
        };
        (fate, response)
    }

    /// The message is done, or goes on with what is left of it. Recipients that never had their turn were not offered to
    /// the peer: they are charged nothing unless the message is for the sake of others.
    async fn settle(&self, t: Transaction) {
        let Transaction { delivery, deferred: each, rest: unasked, .. } = t;
        match (each.is_empty(), unasked.is_empty()) {
            (true, true) => ending::finish(self.shard, delivery.item),
            (true, false) => retry::go_on_with(self.shard, delivery, unasked).await,
            (false, _) => {
                let answers = Answers { each, unasked };
                retry::retry_each(self.shard, delivery, answers, retry::AFTER_ATTEMPT).await;
            }
        }
    }

    /// It goes back as if it had never been taken: it was not offered to the peer. One whose MAIL was sent counts towards
    /// the rate all the same, for the peer may have counted it.
    fn untouched(&self, t: Transaction, was_sent: bool) {
        if !was_sent {
            self.ready.untake_message_rate(t.delivery.charged);
        }
        self.ready.push_front(t.delivery.item);
    }

    /// The peer's answers cannot be told apart: what waits is charged nothing, and waits a little.
    fn pause(&self, why: &str) {
        let times = self.ready.out_of_step.get();
        self.ready.out_of_step.set(times.saturating_add(1));
        let seconds = (1 << times.min(6)).min(limits::OUT_OF_STEP_PAUSE_SECONDS_MAX);
        tracing::warn!("{}: {}: {why}", self.ready.name, self.via.host);
        next::block(self.shard, self.ready, Duration::from_secs(seconds), Block::OutOfStep);
    }

    async fn end(mut self, result: Result<(), End>) {
        self.held.connection.enter(Phase::Closing, "QUIT");
        let why = match result {
            Ok(()) => {
                let limit = self.path.rset_timeout.min(Duration::from_secs(5));
                let _ = self.wire.command("QUIT\r\n", limit).await;
                let _ = ringmta_io::deadline(limit, self.wire.conn.close()).await;
                return;
            }
            Err(End::Closing) => "the peer is closing".to_string(),
            Err(End::Broken(why)) => why.to_string(),
            Err(End::OutOfStep(why)) => {
                self.pause(&why);
                why
            }
        };
        self.tap.remark("ERROR", || why.clone());
        tracing::debug!("{}: {}: {why}", self.ready.name, self.via.host);
        *self.ready.last_trouble.borrow_mut() = why;
    }
}

fn count(number: &std::cell::Cell<u64>) {
    number.set(number.get() + 1);
}
