//! Next hops: they take, defer and refuse mail by the seed, misbehave, and look at what they get.

use crate::engine::hop::Hop;
use crate::engine::ledger::Whose;
use crate::engine::names;
use crate::engine::plan::Mood;
use crate::engine::stage::Stage;
use crate::engine::wire::Wire;
use ringmta_io::sim::rng::MILLION;
use ringmta_io::{self as io, mono_nanos, Listener};
use std::rc::Rc;
use std::time::Duration;

/// Longest stall, milliseconds: longer than any deadline of the engine's towards us.
const STALL_MS: u64 = 15_000;

/// Listens for ever.
pub async fn run(stage: Rc<Stage>, hop: Rc<Hop>) {
    let listener = match Listener::bind(hop.addr) {
        Ok(listener) => listener,
        Err(error) => return stage.fail(format!("next hop {}: {error}", hop.addr)),
    };
    while let Ok(accepted) = listener.accept().await {
        let (stage, hop, wire) = (stage.clone(), hop.clone(), Wire::new(accepted.bind()));
        io::spawn(async move {
            let mut session = Session::new(stage, hop, wire);
            if let Err(error) = session.run().await {
                session.stage.world.note(format!("next hop: {error}"));
            }
        });
    }
}

struct Session {
    stage: Rc<Stage>,
    hop: Rc<Hop>,
    wire: Wire,
    /// Recipients taken in this transaction.
    recipients: Vec<String>,
    mail: bool,
    /// The message the last transaction was about.
    message: String,
    counted: bool,
    /// Different messages sent over this connection.
    messages: u64,
    /// What was taken over this connection.
    taken: Vec<String>,
    /// When something was said that belongs to no command: what follows in this transaction may be taken for anything.
    out_of_step: Option<u64>,
    /// Our half of the connection has ended.
    has_ended: bool,
    /// The engine goes on with another transaction, although it must have seen that.
    goes_on: bool,
}

/// What a session does instead of going on.
fn gone() -> std::io::Error {
    std::io::Error::other("the next hop goes away")
}

impl Session {
    fn new(stage: Rc<Stage>, hop: Rc<Hop>, wire: Wire) -> Session {
        Session {
            stage,
            hop,
            wire,
            recipients: Vec::new(),
            mail: false,
            message: String::new(),
            counted: false,
            messages: 0,
            taken: Vec::new(),
            out_of_step: None,
            has_ended: false,
            goes_on: false,
        }
    }

    /// Whether the engine that lives now holds the other end.
    fn is_live(&self) -> bool {
        self.wire.peer().is_some() && self.wire.peer() == self.stage.node.get()
    }

    fn mood(&self) -> Mood {
        self.stage.mood.borrow().clone()
    }

    fn chance(&self, parts: u64) -> bool {
        self.stage.world.rng.chance(parts)
    }

    async fn run(&mut self) -> std::io::Result<()> {
        if self.is_live() {
            self.complain(self.hop.connected());
        }
        let greeting = self.code(220, false);
        self.say(greeting, Whose::Anyone).await?;
        if greeting != 220 {
            return Ok(());
        }
        loop {
            let line = self.wire.line().await?;
            let verb = line.split([' ', ':']).next().unwrap_or("").to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.ehlo().await?,
                "HELO" | "NOOP" => self.say(250, Whose::Anyone).await?,
                "RSET" => {
                    self.forget();
                    self.say(250, Whose::Anyone).await?;
                }
                "MAIL" => self.mail(&line).await?,
                "RCPT" => self.rcpt(&line).await?,
                "DATA" => self.data().await?,
                "QUIT" => {
                    if self.is_live() {
                        self.stage.ledger.borrow_mut().must_be_told(&self.taken);
                    }
                    return self.say(221, Whose::Anyone).await;
                }
                _ => {
                    self.stage.fail(format!("a next hop was told {line:?}"));
                    self.say(500, Whose::Anyone).await?;
                }
            }
        }
    }

    fn complain(&self, what: Option<String>) {
        if let Some(what) = what {
            self.stage.fail(format!("limit exceeded: {what}"));
        }
    }

    fn forget(&mut self) {
        self.recipients.clear();
        self.mail = false;
    }

    /// `good`, or what the mood makes of it.
    fn code(&self, good: u16, per_recipient: bool) -> u16 {
        let mood = self.mood();
        let parts = if per_recipient { 1 } else { 4 };
        if self.chance(mood.never / parts) {
            550
        } else if self.chance(mood.later / parts) {
            450
        } else {
            good
        }
    }

    async fn ehlo(&mut self) -> std::io::Result<()> {
        let mut text = String::from("250-hop.test\r\n");
        if self.stage.plan.offer_pipelining {
            text.push_str("250-PIPELINING\r\n");
        }
        if self.stage.plan.offer_eight_bit {
            text.push_str("250-8BITMIME\r\n");
        }
        text.push_str("250 SIZE 1000000\r\n");
        self.send(text.as_bytes()).await?;
        // An answer too many before this one shows with the last of these bytes.
        self.shows_lost_step();
        Ok(())
    }

    async fn mail(&mut self, line: &str) -> std::io::Result<()> {
        self.forget();
        // An envelope may have been on its way already.
        let way = 4 * self.stage.plan.net.latency_nanos.1 + 1_000_000;
        self.goes_on |= self.out_of_step.is_some_and(|since| mono_nanos() - since > way);
        if self.is_live() && line != self.message {
            self.message = line.to_string();
            self.counted = false;
            self.complain(self.hop.offered());
        }
        let code = self.code(250, false);
        self.mail = code == 250;
        let number = line.split(".m").nth(1).and_then(|rest| rest.split('@').next());
        let number = number.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        self.say(code, Whose::Message(number)).await
    }

    async fn rcpt(&mut self, line: &str) -> std::io::Result<()> {
        let address = line.split(['<', '>']).nth(1).unwrap_or("").to_string();
        // Once we have ended our half, or answered out of step, it has drawn its conclusions, and this was on its way.
        let is_clear = !self.has_ended && (self.out_of_step.is_none() || self.goes_on);
        if self.is_live() && is_clear {
            self.stage.ledger.borrow_mut().begins(&address);
        }
        let code = if self.mail { self.code(250, true) } else { 503 };
        // Without a sender the refusal of that is what counts.
        let whose = if self.mail { Whose::These(vec![address.clone()]) } else { Whose::Anyone };
        if code == 250 {
            self.recipients.push(address);
            let most = self.hop.limits.batch;
            if self.recipients.len() as u64 > most {
                self.complain(Some(format!("more than {most} recipients in one transaction")));
            }
        }
        self.say(code, whose).await
    }

    async fn data(&mut self) -> std::io::Result<()> {
        let code = if self.recipients.is_empty() { 503 } else { self.code(354, false) };
        // With PIPELINING some say 354 to nobody.
        let code = if code == 503 && self.mail && self.chance(MILLION / 3) { 354 } else { code };
        self.say(code, Whose::These(self.recipients.clone())).await?;
        if code != 354 {
            return Ok(());
        }
        self.count_message();
        let data = self.wire.data().await?;
        let code = if self.recipients.is_empty() { 554 } else { self.code(250, false) };
        let recipients = std::mem::take(&mut self.recipients);
        self.mail = false;
        if code == 250 && !self.chance(self.mood().intermediate) {
            self.check_numbers(&recipients);
            self.stage.world.note(format!("next hop: takes {recipients:?}"));
            self.stage.ledger.borrow_mut().taken(&recipients, &data);
            self.say_just(code, Whose::Dot(recipients.clone())).await?;
            self.taken.extend(recipients);
            return Ok(());
        }
        // A dot that is answered with 3yz is not accepted.
        let code = if code == 250 { 354 } else { code };
        self.say_just(code, Whose::Dot(recipients)).await
    }

    /// A message is sent over this connection; its further transactions are not counted again.
    fn count_message(&mut self) {
        let most = self.hop.limits.per_connection;
        if self.recipients.is_empty() || std::mem::replace(&mut self.counted, true) {
            return;
        }
        self.messages += 1;
        if self.messages > most {
            let what = format!("{} messages on one connection, at most {most}", self.messages);
            self.complain(Some(what));
        }
    }

    fn check_numbers(&self, recipients: &[String]) {
        let mut numbers = recipients.iter().map(|to| names::parse(to).map(|(number, _)| number));
        let first = numbers.next();
        if numbers.any(|number| Some(number) != first) {
            self.stage.fail(format!("one transaction for {recipients:?}"));
        }
    }

    /// Says `code`, or 3yz instead where the mood is so.
    async fn say(&mut self, code: u16, whose: Whose) -> std::io::Result<()> {
        let intermediate = code != 354 && code != 221 && self.chance(self.mood().intermediate);
        let code = if intermediate { 334 } else { code };
        self.say_just(code, whose).await
    }

    async fn say_just(&mut self, code: u16, whose: Whose) -> std::io::Result<()> {
        let mood = self.mood();
        if self.out_of_step.is_some() {
            // It stays, so that the other side can see what its answers are worth.
            return self.answer(code, whose).await;
        }
        if self.chance(mood.stall) {
            let stall = self.stage.world.rng.below(STALL_MS);
            io::sleep(Duration::from_millis(stall)).await;
        }
        if self.chance(mood.leave) {
            return Err(gone());
        }
        if self.chance(mood.nonsense) {
            let noise = ["hello\r\n", "99 what\r\n", "250-a\r\n354 b\r\n", "\r\n", "2x0 no\r\n"];
            let noise = self.stage.world.rng.pick(&noise).copied().unwrap_or("");
            self.send(noise.as_bytes()).await?;
            return Err(gone());
        }
        if self.chance(mood.closing) {
            return self.say_and_close(421, whose).await;
        }
        if code >= 400 && self.chance(mood.answer_and_close) {
            return self.say_and_close(code, whose).await;
        }
        self.answer(code, whose).await?;
        // Behind 354 it could not be told from the answer to the dot.
        if code != 354 && self.chance(mood.extra) {
            self.loses_step();
            self.send(b"250 one more\r\n").await?;
            self.shows_lost_step();
        }
        if self.chance(mood.half_close) {
            self.has_ended = true;
            self.wire.end_half().await?;
        }
        Ok(())
    }

    /// Says a refusal and closes. Where nothing is lost on the way the record must quote it.
    async fn say_and_close(&mut self, code: u16, whose: Whose) -> std::io::Result<()> {
        if self.chance(MILLION / 4) {
            // What is still unread makes a reset of it, which may destroy the answer on its way.
            self.answer(code, whose).await?;
            return Err(gone());
        }
        let heard = self.is_live()
            && !self.has_ended
            && self.out_of_step.is_none()
            && self.stage.plan.peers_are_heard();
        if let (true, Whose::These(who) | Whose::Dot(who)) = (heard, &whose) {
            self.stage.ledger.borrow_mut().must_be_quoted(who);
        }
        self.answer(code, whose).await?;
        self.has_ended = true;
        self.wire.end_half().await?;
        while self.wire.line().await.is_ok() {}
        Err(gone())
    }

    fn loses_step(&mut self) {
        self.out_of_step.get_or_insert(mono_nanos());
    }

    /// What belongs to no command is on its way whole only now: its bytes may have come one by one, which takes longer
    /// than the engine needs to send its next envelope.
    fn shows_lost_step(&mut self) {
        if let (Some(since), false) = (&mut self.out_of_step, self.goes_on) {
            *since = mono_nanos();
        }
    }

    /// Sends an answer that says by a number which one it is.
    async fn answer(&mut self, code: u16, whose: Whose) -> std::io::Result<()> {
        let loses_step =
            (300..400).contains(&code) && (code != 354 || matches!(whose, Whose::Dot(_)));
        if loses_step {
            self.loses_step();
        }
        let is_clear = self.out_of_step.is_none() || self.goes_on;
        let whose = if is_clear { whose } else { Whose::Unclear };
        let told = format!("next hop: answers {code} of {whose:?}");
        let number = self.stage.ledger.borrow_mut().said(code, whose);
        self.stage.world.note(format!("{told}: #{number}"));
        self.send(format!("{code} answer #{number}\r\n").as_bytes()).await?;
        if loses_step {
            self.shows_lost_step();
        }
        Ok(())
    }

    async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if !self.chance(self.mood().trickle) {
            return self.wire.send(bytes).await;
        }
        for byte in bytes {
            self.wire.send(&[*byte]).await?;
            let pause = self.stage.world.rng.below(1 << 26);
            io::sleep(Duration::from_nanos(pause)).await;
        }
        Ok(())
    }
}
