//! The transactions of one connection.
//!
//! With PIPELINING (RFC 2920) a transaction costs one round trip: the envelope of the next
//! message leaves in the same write as the body and dot of this one, and the answers to all of
//! it come back together.

use super::client::{self, Capabilities, Needs};
use super::connect::{self, Opened};
use super::dispatch::{self, Delivery};
use super::leases::Leases;
use super::outcome::{self, Via};
use super::reply::Response;
use super::wire::{Broken, Wire};
use crate::queue::ReadyQueue;
use crate::shard::Shard;
use ringmta_policy::{EgressPath, EnvelopeAddress};
use std::rc::Rc;
use std::time::Duration;

/// Runs one connection from opening to close.
pub async fn run(shard: &Rc<Shard>, ready: &Rc<ReadyQueue>, leases: &Leases) {
    let opened = match connect::open(shard, ready).await {
        Ok(opened) => opened,
        Err(response) => return outcome::connection_failed(shard, ready, response).await,
    };
    let _open = ready.opened();
    shard.metrics.egress_connections.inc();
    let mut session = Session::new(shard, ready, leases, opened);
    let result = session.deliver().await;
    session.end(result).await;
    shard.metrics.egress_connections.dec();
}

/// A delivery under way: the recipients of this transaction and of later ones.
struct Transaction {
    delivery: Delivery,
    recipients: Vec<EnvelopeAddress>,
    rest: Vec<EnvelopeAddress>,
    /// Recipients to try again later.
    deferred: Vec<EnvelopeAddress>,
    /// The answer that deferred them.
    deferral: Option<Response>,
    /// A peer has answered for some of its recipients: it cannot be put back as it was.
    answered: bool,
    needs: Needs,
}

/// What the peer said to an envelope.
struct EnvelopeAnswer {
    accepted: Vec<EnvelopeAddress>,
    refused: Vec<(EnvelopeAddress, Response)>,
    /// 354 has come.
    go_ahead: bool,
}

struct Session<'a> {
    shard: &'a Rc<Shard>,
    ready: &'a Rc<ReadyQueue>,
    leases: &'a Leases,
    path: Rc<EgressPath>,
    wire: Wire,
    offers: Capabilities,
    via: Via,
    deliveries: usize,
    /// The peer may still hold a transaction of ours.
    needs_reset: bool,
    /// The peer said it is closing.
    closing: bool,
}

impl<'a> Session<'a> {
    fn new(
        shard: &'a Rc<Shard>,
        ready: &'a Rc<ReadyQueue>,
        leases: &'a Leases,
        opened: Opened,
    ) -> Session<'a> {
        let via = Via::new(ready, &opened, shard.new_uuid());
        Session {
            shard,
            ready,
            leases,
            path: ready.path(),
            wire: opened.wire,
            offers: opened.offers,
            via,
            deliveries: 0,
            needs_reset: false,
            closing: false,
        }
    }

    async fn deliver(&mut self) -> Result<(), Broken> {
        let mut next: Option<Transaction> = None;
        loop {
            let current = match next.take() {
                Some(transaction) => transaction,
                None if self.is_over() => return Ok(()),
                None => match dispatch::next(self.shard, self.ready).await {
                    Some(delivery) => {
                        let Some(transaction) = self.begin(delivery) else { continue };
                        self.open_envelope(transaction).await?
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
        if self.leases.gives_way_idle(self.shard, self.ready, self.deliveries) {
            return false;
        }
        if self.wire.unasked() {
            return false;
        }
        self.ready.wait_idle(self.path.idle_timeout).await && !self.shard.stopping.get()
    }

    /// Whether this connection has done its share.
    fn is_over(&self) -> bool {
        if self.closing || self.shard.stopping.get() {
            return true;
        }
        if self.deliveries >= self.path.max_deliveries_per_connection {
            return true;
        }
        self.leases.gives_way_busy(self.shard, self.ready, self.deliveries)
    }

    /// Looks at what the message needs; one the peer cannot take is failed here.
    fn begin(&self, delivery: Delivery) -> Option<Transaction> {
        let body = delivery.message.body().unwrap_or_default();
        let mut recipients = delivery.message.recipients();
        let sender = delivery.message.sender();
        let ascii = |address: &EnvelopeAddress| address.email().is_ascii();
        let needs = Needs {
            eight_bit: !client::is_seven_bit(&body),
            smtputf8: !ascii(&sender) || !recipients.iter().all(ascii),
            size: body.len(),
        };
        if let Some(response) = self.cannot_take(needs) {
            outcome::bounce(self.shard, &self.via, &delivery, &recipients, &response);
            outcome::finish(self.shard, delivery.item);
            return None;
        }
        let most = self.path.max_recipients_per_batch.max(1);
        let rest = if recipients.len() > most { recipients.split_off(most) } else { Vec::new() };
        Some(Transaction {
            delivery,
            recipients,
            rest,
            deferred: Vec::new(),
            deferral: None,
            answered: false,
            needs,
        })
    }

    fn cannot_take(&self, needs: Needs) -> Option<Response> {
        let no = |code, enhanced, text: &str| {
            Some(Response { enhanced: Some(enhanced), ..Response::internal(code, text) })
        };
        if needs.eight_bit && !self.offers.eight_bit && !self.path.ignore_8bit_checks {
            return no(554, (5, 6, 3), "the message is 8-bit and the peer offers no 8BITMIME");
        }
        if needs.smtputf8 && !self.offers.smtputf8 {
            return no(553, (5, 6, 7), "an address is not ASCII and the peer offers no SMTPUTF8");
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

    /// Sends a transaction's envelope; without pipelining it is sent step by step later.
    async fn open_envelope(&mut self, transaction: Transaction) -> Result<Transaction, Broken> {
        if !self.pipelining() {
            return Ok(transaction);
        }
        let mut out = Vec::with_capacity(256);
        self.render_envelope(&transaction, &mut out);
        let sent = self.wire.send(&out, self.path.mail_from_timeout, "MAIL FROM").await;
        match sent {
            Ok(()) => Ok(transaction),
            Err(why) => {
                self.broke(transaction, &why).await;
                Err(why)
            }
        }
    }

    fn render_envelope(&self, transaction: &Transaction, out: &mut Vec<u8>) {
        if self.needs_reset && self.path.enable_rset {
            out.extend_from_slice(b"RSET\r\n");
        }
        let sender = transaction.delivery.message.sender();
        client::mail_from(out, &sender, transaction.needs, &self.offers);
        for recipient in &transaction.recipients {
            client::rcpt_to(out, recipient);
        }
        out.extend_from_slice(b"DATA\r\n");
    }

    /// Carries one transaction through. Gives the next one, its envelope already sent.
    async fn transact(
        &mut self,
        mut transaction: Transaction,
    ) -> Result<Option<Transaction>, Broken> {
        let answer = if self.pipelining() {
            self.envelope_answers(&transaction).await
        } else {
            self.envelope_step_by_step(&transaction).await
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) => {
                self.broke(transaction, &why).await;
                return Err(why);
            }
        };
        transaction.answered = true;
        self.note_refused(&mut transaction, answer.refused).await;
        if !answer.go_ahead || answer.accepted.is_empty() {
            return self.without_data(transaction, answer.go_ahead).await;
        }
        self.send_body(transaction, answer.accepted).await
    }

    /// Reads the answers to a pipelined envelope.
    async fn envelope_answers(&mut self, t: &Transaction) -> Result<EnvelopeAnswer, Broken> {
        let path = self.path.clone();
        if std::mem::take(&mut self.needs_reset) && path.enable_rset {
            self.wire.reply(path.mail_from_timeout, "RSET").await?;
        }
        let mut mail = self.wire.reply(path.mail_from_timeout, "MAIL FROM").await?;
        self.note_closing(&mail);
        let mut answer =
            EnvelopeAnswer { accepted: Vec::new(), refused: Vec::new(), go_ahead: false };
        for recipient in &t.recipients {
            let mut response = self.wire.reply(path.rcpt_to_timeout, "RCPT TO").await?;
            self.note_closing(&response);
            if mail.is_positive() && response.is_positive() {
                answer.accepted.push(recipient.clone());
            } else if mail.is_positive() {
                response.command = Some(format!("RCPT TO:<{}>\r\n", recipient.email()));
                answer.refused.push((recipient.clone(), response));
            } else {
                mail.command = Some(format!("MAIL FROM:<{}>\r\n", t.delivery.message.sender()));
                answer.refused.push((recipient.clone(), mail.clone()));
            }
        }
        let mut data = self.wire.reply(path.data_timeout, "DATA").await?;
        self.note_closing(&data);
        answer.go_ahead = data.code == 354;
        if !answer.go_ahead {
            self.needs_reset = !answer.accepted.is_empty() || mail.is_positive();
            data.command = Some("DATA\r\n".into());
            for recipient in answer.accepted.drain(..) {
                answer.refused.push((recipient, data.clone()));
            }
        }
        Ok(answer)
    }

    async fn envelope_step_by_step(&mut self, t: &Transaction) -> Result<EnvelopeAnswer, Broken> {
        let path = self.path.clone();
        if std::mem::take(&mut self.needs_reset) && path.enable_rset {
            self.wire.command("RSET\r\n", path.rset_timeout).await?;
        }
        let mut answer =
            EnvelopeAnswer { accepted: Vec::new(), refused: Vec::new(), go_ahead: false };
        let mut line = Vec::new();
        client::mail_from(&mut line, &t.delivery.message.sender(), t.needs, &self.offers);
        let mail = self.step(&line, path.mail_from_timeout).await?;
        if !mail.is_positive() {
            answer.refused = t.recipients.iter().map(|r| (r.clone(), mail.clone())).collect();
            return Ok(answer);
        }
        for recipient in &t.recipients {
            line.clear();
            client::rcpt_to(&mut line, recipient);
            let response = self.step(&line, path.rcpt_to_timeout).await?;
            if response.is_positive() {
                answer.accepted.push(recipient.clone());
            } else {
                answer.refused.push((recipient.clone(), response));
            }
        }
        self.needs_reset = true;
        if answer.accepted.is_empty() {
            return Ok(answer);
        }
        let data = self.step(b"DATA\r\n", path.data_timeout).await?;
        answer.go_ahead = data.code == 354;
        if !answer.go_ahead {
            for recipient in answer.accepted.drain(..) {
                answer.refused.push((recipient, data.clone()));
            }
        }
        Ok(answer)
    }

    async fn step(&mut self, line: &[u8], limit: Duration) -> Result<Response, Broken> {
        let command = String::from_utf8_lossy(line).into_owned();
        let response = self.wire.command(&command, limit).await?;
        self.note_closing(&response);
        Ok(response)
    }

    fn note_closing(&mut self, response: &Response) {
        self.closing |= response.code == 421;
    }

    /// Makes records of refused recipients: 5xx ends their delivery, 4xx defers it. 552 to a
    /// recipient is often a full mailbox: transient (RFC 5321 section 4.5.3.1.10).
    async fn note_refused(&self, t: &mut Transaction, refused: Vec<(EnvelopeAddress, Response)>) {
        let mut deferred: Vec<(EnvelopeAddress, Response)> = Vec::new();
        for (recipient, mut response) in refused {
            let is_rcpt = response.command.as_deref().is_some_and(|c| c.starts_with("RCPT"));
            if response.code == 552 && is_rcpt {
                response.code = 452;
            }
            let response = self.rewritten(t, response).await;
            if response.is_permanent() {
                let one = std::slice::from_ref(&recipient);
                outcome::bounce(self.shard, &self.via, &t.delivery, one, &response);
            } else {
                deferred.push((recipient, response));
            }
        }
        if let Some((_, response)) = deferred.first() {
            let response = response.clone();
            let recipients: Vec<EnvelopeAddress> = deferred.into_iter().map(|(r, _)| r).collect();
            outcome::transient(self.shard, &self.via, &t.delivery, &recipients, &response);
            t.deferred.extend(recipients);
            t.deferral = Some(response);
        }
    }

    /// A transaction none of whose recipients was taken.
    async fn without_data(
        &mut self,
        transaction: Transaction,
        go_ahead: bool,
    ) -> Result<Option<Transaction>, Broken> {
        if go_ahead {
            // The peer waits for data for nobody: it gets none (RFC 2920 section 3.1).
            let limit = self.path.data_dot_timeout;
            let sent = self.wire.send(b".\r\n", limit, "final dot").await;
            let answered = match sent {
                Ok(()) => self.wire.reply(limit, "final dot").await,
                Err(why) => Err(why),
            };
            if let Err(why) = answered {
                self.settle(transaction).await;
                return Err(why);
            }
        }
        self.after(transaction, None).await
    }

    async fn send_body(
        &mut self,
        mut transaction: Transaction,
        accepted: Vec<EnvelopeAddress>,
    ) -> Result<Option<Transaction>, Broken> {
        let body = transaction.delivery.message.body().unwrap_or_default();
        let mut out = Vec::with_capacity(body.len() + body.len() / 32 + 512);
        client::data(&mut out, &body);
        drop(body);
        self.deliveries += 1;
        let next = self.next_envelope(&transaction, &mut out).await;
        let limit = self.path.data_dot_timeout;
        let sent = self.wire.send(&out, limit, "message data").await;
        drop(out);
        let replies = if self.path.use_lmtp { accepted.len() } else { 1 };
        let mut settled = 0;
        let mut result = sent;
        while result.is_ok() && settled < replies {
            match self.wire.reply(limit, "final dot").await {
                Ok(response) => {
                    self.note_closing(&response);
                    let who =
                        if replies == 1 { &accepted[..] } else { &accepted[settled..=settled] };
                    self.settle_data(&mut transaction, who, response).await;
                    settled += 1;
                }
                Err(why) => result = Err(why),
            }
        }
        if let Err(why) = result {
            let open = if replies == 1 { &accepted[..] } else { &accepted[settled..] };
            let response = Response::internal(400, &why);
            outcome::transient(self.shard, &self.via, &transaction.delivery, open, &response);
            transaction.deferred.extend_from_slice(open);
            transaction.deferral = Some(response);
            self.settle(transaction).await;
            if let Some(next) = next {
                self.untouched(next);
            }
            return Err(why);
        }
        self.after(transaction, next).await
    }

    /// The envelope that may leave with this body, appended to `out`.
    async fn next_envelope(&mut self, t: &Transaction, out: &mut Vec<u8>) -> Option<Transaction> {
        if !self.pipelining() || self.is_over() || !t.rest.is_empty() {
            return None;
        }
        let delivery = dispatch::next(self.shard, self.ready).await?;
        let next = self.begin(delivery)?;
        self.render_envelope(&next, out);
        Some(next)
    }

    /// The answer to the final dot.
    async fn settle_data(
        &self,
        t: &mut Transaction,
        who: &[EnvelopeAddress],
        mut response: Response,
    ) {
        response.command = Some(".\r\n".into());
        let response = self.rewritten(t, response).await;
        if response.is_positive() {
            outcome::delivered(self.shard, &self.via, &t.delivery, who, &response);
        } else if response.is_permanent() {
            outcome::bounce(self.shard, &self.via, &t.delivery, who, &response);
        } else {
            outcome::transient(self.shard, &self.via, &t.delivery, who, &response);
            t.deferred.extend_from_slice(who);
            t.deferral = Some(response);
        }
    }

    /// The peer's answer as policy wants it read.
    async fn rewritten(&self, t: &Transaction, mut response: Response) -> Response {
        let policy = self.shard.policy();
        if policy.handles("smtp_client_rewrite_delivery_status") {
            let text = format!("{} {}", response.code, response.content);
            let parts = &t.delivery.item.queue.parts;
            let code = policy.rewrite_delivery_status(
                &text,
                &parts.domain,
                parts.tenant.as_deref(),
                parts.campaign.as_deref(),
                parts.routing_domain.as_deref(),
            );
            // A failure was logged where it happened; the peer's own word then stands.
            if let Ok(Some(code)) = code.await {
                response.code = code;
            }
        }
        response
    }

    /// What comes behind a transaction: its remaining recipients, or the next message.
    async fn after(
        &mut self,
        mut transaction: Transaction,
        next: Option<Transaction>,
    ) -> Result<Option<Transaction>, Broken> {
        if !transaction.rest.is_empty() && !self.closing {
            let most = self.path.max_recipients_per_batch.max(1).min(transaction.rest.len());
            let later = transaction.rest.split_off(most);
            transaction.recipients = std::mem::replace(&mut transaction.rest, later);
            return Ok(Some(self.open_envelope(transaction).await?));
        }
        self.settle(transaction).await;
        if self.closing {
            if let Some(next) = next {
                self.untouched(next);
            }
            return Err(Broken::Wrong("the peer is closing".into()));
        }
        Ok(next)
    }

    /// A transaction is over: the message is done, or waits for what is left of it.
    async fn settle(&self, mut t: Transaction) {
        // Recipients that never had their turn wait with those that were deferred.
        t.deferred.append(&mut t.rest);
        match t.deferral {
            _ if t.deferred.is_empty() => outcome::finish(self.shard, t.delivery.item),
            Some(response) => {
                outcome::retry(self.shard, t.delivery, t.deferred, &response).await;
            }
            None => {
                let response = Response::internal(400, "connection closed before all recipients");
                outcome::retry(self.shard, t.delivery, t.deferred, &response).await;
            }
        }
    }

    /// The connection broke before the peer took any of the envelope. Other recipients of the
    /// message may have had their answer in a transaction before: only a message nobody has
    /// answered for goes back as it was.
    async fn broke(&self, mut t: Transaction, why: &Broken) {
        if self.deliveries > 0 && !t.answered && matches!(why, Broken::Lost(_)) {
            // A connection kept open may have died while idle: that is no attempt.
            return self.untouched(t);
        }
        let response = Response::internal(400, why);
        outcome::transient(self.shard, &self.via, &t.delivery, &t.recipients, &response);
        t.deferred.append(&mut t.recipients);
        t.deferral = Some(response);
        self.settle(t).await;
    }

    fn untouched(&self, t: Transaction) {
        self.ready.push_front(t.delivery.item);
    }

    async fn end(mut self, result: Result<(), Broken>) {
        match result {
            Ok(()) => {
                let limit = self.path.rset_timeout.min(Duration::from_secs(5));
                let _ = self.wire.command("QUIT\r\n", limit).await;
                let _ = crate::io::deadline(limit, self.wire.conn.close()).await;
            }
            Err(why) => {
                tracing::debug!("{}: {}: {why}", self.ready.name, self.via.host);
                *self.ready.last_trouble.borrow_mut() = why.to_string();
            }
        }
    }
}
