//! What the world outside knows of every message, and what it may expect of each step.
//!
//! A recipient's story is over with a Delivery, Bounce or Expiration record. It is sealed once
//! that is on stable storage: then nothing may ever begin for it again. Between the two a crash
//! may repeat a delivery, and each repetition is counted.

use crate::engine::names::parse;
use crate::engine::plan::Plan;
use crate::engine::quotes::Quotes;
pub use crate::engine::quotes::Whose;
use ringmta_events::observe::Note;
use ringmta_events::record::{Kind, Record};
use ringmta_io::{mono_nanos, steady_millis};
use ringmta_policy::MessageId;
use ringmta_queue::limits::RETRY_FLOOR_MS;
use ringmta_spool::log::reclaim::AttemptState;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is due, and held up by nothing, is on its way within this time: a handler's deadline is not among what may hold it.
const PROMPT_MS: u64 = 15_000;

/// How far a clock that is led to another can go back while a message is on its way.
const SLEW_MS: u64 = 1000;

/// What the client knows of a message it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It never saw a reply.
    Unknown,
    /// It read a 250.
    Acknowledged,
    /// It read a refusal, in this life.
    Refused(u32),
    /// It read a refusal, which is durable.
    RefusedForGood,
}

/// A message as a client sent it.
#[derive(Debug)]
pub struct Sent {
    /// The life of the engine it was sent to: an answer may arrive when that is over.
    pub life: u32,
    /// Its bytes.
    pub body: Rc<Vec<u8>>,
    /// What became of it.
    pub outcome: Outcome,
    /// Recipients the engine took.
    pub recipients: Vec<String>,
}

/// One recipient of one message.
#[derive(Debug, Default)]
pub struct Recipient {
    /// The message it is in, as the engine names it.
    pub id: Option<MessageId>,
    /// How often a next hop took it.
    pub taken: u32,
    /// Delivery records.
    pub told: u32,
    /// Its last final record, and the life it was told in.
    pub end: Option<(Kind, u32)>,
    /// The end is durable.
    pub sealed: bool,
    /// A hook's receiver heard of an end.
    pub heard: bool,
}

/// Whether a message has left the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It waits.
    No,
    /// The journal was told.
    Noted,
    /// The journal has it.
    Durable,
}

/// One message of the engine.
#[derive(Debug)]
pub struct Mail {
    /// The shard it is on.
    pub shard: usize,
    /// Its recipients, as far as known.
    pub recipients: Vec<String>,
    /// The attempts the journal is known to have.
    pub durable: Option<AttemptState>,
    /// Those noted since, oldest first.
    pub noted: Vec<AttemptState>,
    /// What was noted with records written anew.
    pub rewritten: Vec<Option<AttemptState>>,
    /// Whether it has left.
    pub left: Left,
    /// The last start has let it go: the order that held it was not in force any more.
    pub let_go: bool,
    /// How often it was put off without an attempt.
    put_off: u32,
    /// The client read its id in a 250.
    pub acknowledged: bool,
    /// The life of the engine in which a start last found it, 0 when none did.
    pub found: u32,
    /// The life in which it was last heard of. An order in force takes a message while a start is still under way.
    pub seen: u32,
}

impl Mail {
    fn new(shard: usize) -> Mail {
        Mail {
            shard,
            recipients: Vec::new(),
            durable: None,
            noted: Vec::new(),
            rewritten: Vec::new(),
            left: Left::No,
            let_go: false,
            put_off: 0,
            acknowledged: false,
            found: 0,
            seen: 0,
        }
    }

    /// Its attempts in this life.
    pub fn now(&self) -> AttemptState {
        let none = AttemptState { attempts: 0, due_millis: 0 };
        self.noted.last().copied().or(self.durable).unwrap_or(none)
    }

    /// From when on it may be tried.
    fn due_millis(&self) -> u64 {
        if self.let_go {
            return 0;
        }
        self.now().due_millis
    }
}

/// A suspension that the engine has confirmed.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Its id.
    pub id: String,
    /// The domain.
    pub domain: usize,
    /// From when on everything under way has ended, monotonic nanoseconds.
    pub from: u64,
    /// Its end.
    pub until: u64,
}

/// The whole history.
pub struct Ledger {
    plan: Rc<Plan>,
    /// Messages as clients sent them, by number.
    pub sent: BTreeMap<u64, Sent>,
    /// Recipients by address.
    pub recipients: BTreeMap<String, Recipient>,
    /// Messages of the engine.
    pub mail: BTreeMap<MessageId, Mail>,
    /// Which life of the engine this is.
    pub life: u32,
    /// What next hops have said.
    quotes: Quotes,
    /// Suspensions of domains, by the number of the domain.
    pub holds: Vec<Hold>,
    /// An operator has given any order.
    pub ordered: bool,
    /// Since when everything around the engine is well, monotonic nanoseconds.
    pub calm: Option<u64>,
    /// Deliveries repeated.
    pub repeats: u64,
    /// The first promise broken.
    pub broken: Option<String>,
}

impl Ledger {
    /// Nothing has happened.
    pub fn new(plan: Rc<Plan>) -> Ledger {
        Ledger {
            plan,
            sent: BTreeMap::new(),
            recipients: BTreeMap::new(),
            mail: BTreeMap::new(),
            life: 0,
            quotes: Quotes::default(),
            holds: Vec::new(),
            ordered: false,
            calm: None,
            repeats: 0,
            broken: None,
        }
    }

    /// A machine is switched on.
    pub fn new_life(&mut self) {
        self.life += 1;
        self.engine_ends();
    }

    /// The engine is about to end, in whatever it is doing.
    pub fn engine_ends(&mut self) {
        self.quotes.engine_ends();
    }

    /// A next hop says `code`. Gives the number that is to be in the text.
    pub fn said(&mut self, code: u16, whose: Whose) -> u64 {
        self.quotes.said(code, whose)
    }

    /// See [`Quotes::must_be_quoted`].
    pub fn must_be_quoted(&mut self, who: &[String]) {
        self.quotes.must_be_quoted(who);
    }

    /// Whether mail for `domain` is held by an order that has been in force for long enough.
    fn is_held(&self, domain: usize) -> bool {
        let now = mono_nanos();
        self.holds
            .iter()
            .any(|hold| hold.domain == domain && (hold.from..hold.until).contains(&now))
    }

    /// A promise was broken; the first one counts.
    pub fn fail(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    /// What is known of message `id`, which is on `shard`.
    pub fn mail(&mut self, id: MessageId, shard: usize) -> &mut Mail {
        let mail = self.mail.entry(id).or_insert_with(|| Mail::new(shard));
        mail.shard = shard;
        mail
    }

    /// Something happens to message `id` in this life.
    fn stirs(&mut self, id: MessageId, shard: usize) {
        let life = self.life;
        let mail = self.mail(id, shard);
        if std::mem::replace(&mut mail.seen, life) == life || mail.found == life {
            return;
        }
        if std::mem::replace(&mut mail.left, Left::No) == Left::Durable {
            self.fail(format!("{id} came back, it had left durably"));
        }
    }

    /// A client read the reply to its final dot.
    pub fn answered(&mut self, number: u64, code: u16, text: &str) {
        let Some(sent) = self.sent.get_mut(&number) else { return };
        if code != 250 {
            sent.outcome = Outcome::Refused(sent.life);
            return;
        }
        sent.outcome = Outcome::Acknowledged;
        let ids = text.rsplit_once("ids=").map_or("", |(_, ids)| ids);
        for id in ids.split(' ').filter_map(|id| id.parse().ok()) {
            match self.mail.get_mut(&id) {
                Some(mail) => mail.acknowledged = true,
                None => self.fail(format!("{id} was acknowledged, and no Reception told of it")),
            }
        }
    }

    /// The engine took a step.
    pub fn note(&mut self, note: &Note<'_>) {
        match *note {
            Note::Event { shard, record } => self.event(shard, record),
            Note::Deferred { shard, id, attempts, due_millis } => {
                self.deferred(shard, id, AttemptState { attempts, due_millis });
            }
            Note::Rewritten { shard, id, state } => {
                let state =
                    state.map(|(attempts, due_millis)| AttemptState { attempts, due_millis });
                self.mail(id, shard).rewritten.push(state);
            }
            Note::Finished { shard, id } => self.finished(shard, id),
            Note::Told { events } => events.iter().for_each(|event| self.heard(event)),
        }
    }

    fn event(&mut self, shard: usize, record: &Record<'_>) {
        let Some(id) = record.id else { return };
        self.stirs(id, shard);
        if let Err(why) = self.quotes.check(record) {
            self.fail(format!("{id}: {why}"));
        }
        let addresses: Vec<String> =
            record.recipients.iter().map(|r| r.email().to_string()).collect();
        let mail = self.mail(id, shard);
        let attempts = mail.now().attempts;
        if record.kind == Kind::Reception {
            mail.recipients.clone_from(&addresses);
        }
        for address in &addresses {
            self.recipients.entry(address.clone()).or_default().id = Some(id);
            if !matches!(record.kind, Kind::Reception | Kind::TransientFailure) {
                self.ended(id, address, record.kind);
            }
        }
        match record.kind {
            Kind::Expiration => self.expired(id, &addresses),
            Kind::TransientFailure | Kind::Delivery if record.num_attempts != attempts => {
                let (kind, said) = (record.kind, record.num_attempts);
                self.fail(format!("{kind:?} of {id} after {attempts} attempts says {said}"));
            }
            _ => {}
        }
    }

    /// A hook's receiver took `event`. What a crash has left of one is no JSON, and tells nothing.
    fn heard(&mut self, event: &str) {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(event) else { return };
        if !["Delivery", "Bounce", "AdminBounce", "Expiration"]
            .iter()
            .any(|kind| event["type"] == *kind)
        {
            return;
        }
        let one = std::slice::from_ref(&event["recipient"]);
        let all = event["recipient"].as_array().map_or(one, Vec::as_slice);
        for address in all.iter().filter_map(serde_json::Value::as_str) {
            match self.recipients.get_mut(address) {
                Some(recipient) if recipient.end.is_some() => recipient.heard = true,
                _ => self.fail(format!("a hook was told of {address}, and nothing happened")),
            }
        }
    }

    fn ended(&mut self, id: MessageId, address: &str, kind: Kind) {
        let (life, well) = (self.life, self.plan.disk_is_well());
        let Some(recipient) = self.recipients.get_mut(address) else { return };
        let mut wrong = None;
        if recipient.sealed {
            wrong = Some("was over, durably, before");
        }
        match recipient.end {
            // A change that could not be stored: the old recipients stand.
            Some(_) if !well => {}
            Some((_, before)) if before == life => wrong = Some("was over in this life already"),
            _ => {}
        }
        if recipient.end.is_some() && kind == Kind::Delivery {
            self.repeats += 1;
        }
        recipient.end = Some((kind, life));
        if kind == Kind::Delivery {
            recipient.told += 1;
            if recipient.told > recipient.taken {
                wrong = Some("was never taken by a next hop");
            }
        }
        if let Some(why) = wrong {
            self.fail(format!("{kind:?} of {id} for {address}: it {why}"));
        }
    }

    fn expired(&mut self, id: MessageId, addresses: &[String]) {
        let Some((_, domain)) = addresses.first().and_then(|address| parse(address)) else {
            return;
        };
        let attempts = self.mail.get(&id).map_or(0, |mail| mail.now().attempts);
        let limits = &self.plan.domains[domain];
        let age = steady_millis().saturating_sub(id.created_unix_nanos() / 1_000_000);
        let delay = limits.delay_ms(attempts + 1).max(RETRY_FLOOR_MS);
        let most = limits.age_ms;
        let due = self.mail.get(&id).map_or(0, Mail::due_millis);
        let waited = steady_millis().saturating_sub(due.max(id.created_unix_nanos() / 1_000_000));
        let calm = self.calm.map_or(0, |since| (mono_nanos() - since) / 1_000_000);
        let waited = waited.min(calm);
        if age + delay < most {
            self.fail(format!("{id} expired at {age} ms, {delay} ms before a retry; max {most}"));
        } else if waited > PROMPT_MS && self.plan.goes_at_once(domain) && !self.ordered {
            self.fail(format!("{id} expired, although nothing has held it up for {waited} ms"));
        }
    }

    fn deferred(&mut self, shard: usize, id: MessageId, state: AttemptState) {
        let well = self.plan.disk_is_well();
        self.stirs(id, shard);
        let mail = self.mail(id, shard);
        let before = mail.now();
        mail.noted.push(state);
        mail.let_go = false;
        let address = mail.recipients.first().cloned();
        mail.put_off += u32::from(state.attempts == before.attempts);
        let put_off = mail.put_off;
        if mail.left != Left::No {
            self.fail(format!("{id} was deferred after it had left"));
        }
        if put_off > 0 && well && !self.ordered {
            self.fail(format!("{id} was put off without an attempt, and no operator said so"));
        }
        if state.attempts == before.attempts + 1 {
            let domain = address.and_then(|address| parse(&address)).map(|(_, domain)| domain);
            if domain.is_some_and(|domain| self.is_held(domain)) {
                self.fail(format!("{id} was charged an attempt while an operator held it"));
            }
            let Some(limits) = domain.map(|domain| &self.plan.domains[domain]) else { return };
            let due = steady_millis() + limits.delay_ms(state.attempts).max(RETRY_FLOOR_MS);
            let due = due.next_multiple_of(2);
            if state.due_millis != due {
                self.fail(format!("{id} is due at {}, not at {due}", state.due_millis));
            }
            // What came to its end in this attempt has left the stored envelope too.
            if well {
                let life = self.life;
                self.seal(id, |(_, told)| told == life);
            }
        } else if state.attempts != before.attempts {
            self.fail(format!("{id} went from {before:?} to {state:?}"));
        }
    }

    fn seal(&mut self, id: MessageId, which: impl Fn((Kind, u32)) -> bool) {
        for recipient in self.recipients.values_mut().filter(|r| r.id == Some(id)) {
            recipient.sealed |= recipient.end.is_some_and(&which);
        }
    }

    fn finished(&mut self, shard: usize, id: MessageId) {
        self.stirs(id, shard);
        let mail = self.mail(id, shard);
        if std::mem::replace(&mut mail.left, Left::Noted) != Left::No {
            return self.fail(format!("{id} left twice"));
        }
        for address in mail.recipients.clone() {
            if self.recipients.get(&address).is_none_or(|r| r.end.is_none()) {
                self.fail(format!("{id} left without a word about {address}"));
            }
        }
    }

    /// Everything the journal of `shard` was told is on stable storage.
    pub fn durable(&mut self, shard: usize) {
        let mut over = Vec::new();
        for (id, mail) in self.mail.iter_mut().filter(|(_, mail)| mail.shard == shard) {
            if let Some(state) = mail.noted.drain(..).next_back() {
                mail.durable = Some(state);
            }
            if mail.left == Left::Noted {
                mail.left = Left::Durable;
                over.push(*id);
            }
        }
        for id in over {
            self.seal(id, |_| true);
        }
    }

    /// Everything all journals were told is on stable storage.
    pub fn all_durable(&mut self) {
        let life = self.life;
        for sent in self.sent.values_mut().filter(|sent| sent.outcome == Outcome::Refused(life)) {
            sent.outcome = Outcome::RefusedForGood;
        }
    }

    /// A next hop reads `RCPT TO:<address>` on a connection that the engine still holds.
    pub fn begins(&mut self, address: &str) {
        let (life, now) = (self.life, steady_millis());
        let Some((_, domain)) = parse(address) else {
            return self.fail(format!("a next hop was asked to take {address}"));
        };
        let Some(recipient) = self.recipients.get(address) else { return };
        if self.is_held(domain) {
            return self.fail(format!("a delivery to {address} began while an operator held it"));
        }
        if recipient.sealed {
            return self
                .fail(format!("a delivery to {address} began after it was over: {recipient:?}"));
        }
        let ended_now = recipient.end.is_some_and(|(_, before)| before == life);
        if ended_now && self.plan.disk_is_well() {
            return self
                .fail(format!("a delivery to {address} began after it was over in this life"));
        }
        let Some((id, mail)) = recipient.id.and_then(|id| Some((id, self.mail.get(&id)?))) else {
            return;
        };
        let due = mail.due_millis();
        let age = now.saturating_sub(id.created_unix_nanos() / 1_000_000);
        let limits = &self.plan.domains[domain];
        let most = limits.age_ms + self.plan.flight_ms(limits.hop);
        // The queues' clock may have been led back a little since it was let go.
        let slew = if self.plan.jumps { SLEW_MS } else { 0 };
        if now + slew < due {
            self.fail(format!("{id} was tried at {now}, before it was due at {due}"));
        } else if age > most {
            self.fail(format!("{id} was tried {age} ms old, max_age is {}", limits.age_ms));
        }
    }

    /// A next hop takes `data` for `addresses`.
    pub fn taken(&mut self, addresses: &[String], data: &[u8]) {
        for address in addresses {
            let number = parse(address).map_or(0, |(number, _)| number);
            let Some(sent) = self.sent.get(&number) else {
                return self.fail(format!("{address} was delivered, and nobody sent it"));
            };
            let outcome = sent.outcome;
            if let Err(why) = same_message(&sent.body, data) {
                return self.fail(format!("message {number} for {address}: {why}"));
            }
            if outcome == Outcome::RefusedForGood || outcome == Outcome::Refused(self.life) {
                return self.fail(format!("{address} was delivered, and its message refused"));
            }
            self.recipients.entry(address.clone()).or_default().taken += 1;
        }
    }

    /// The engine read the reply by which a next hop took `addresses`.
    pub fn must_be_told(&mut self, addresses: &[String]) {
        for address in addresses {
            if self.recipients.get(address).is_none_or(|recipient| recipient.told == 0) {
                self.fail(format!("{address} was delivered and answered, and no record says so"));
            }
        }
    }
}

/// A note as the story tells it.
pub struct Shown<'a>(pub &'a Note<'a>);

impl std::fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Note::Event { shard, record } => {
                let id = record.id.map(|id| id.to_string()).unwrap_or_default();
                let to: Vec<_> = record.recipients.iter().map(|r| r.email()).collect();
                let (kind, response) = (record.kind, record.response);
                let attempts = record.num_attempts;
                write!(f, "shard {shard}: {kind:?} {id} {attempts} {to:?}: ")?;
                write!(f, "{} {}", response.code, response.content)
            }
            Note::Deferred { shard, id, attempts, due_millis } => {
                write!(f, "shard {shard}: {id} waits: {attempts} attempts, due {due_millis}")
            }
            Note::Rewritten { shard, id, state } => {
                let (attempts, due) = state.unwrap_or_default();
                write!(f, "shard {shard}: {id} is written anew: {attempts} attempts, due {due}")
            }
            Note::Finished { shard, id } => write!(f, "shard {shard}: {id} leaves"),
            Note::Told { events } => write!(f, "a hook takes {} events", events.len()),
        }
    }
}

/// Whether `data` is `body` behind headers of the engine's own.
fn same_message(body: &[u8], data: &[u8]) -> Result<(), String> {
    let Some(head) = data.strip_suffix(body) else {
        let came = String::from_utf8_lossy(data);
        return Err(format!("its {} bytes came as other {}: {came:?}", body.len(), data.len()));
    };
    let text = String::from_utf8_lossy(head);
    let ours = |line: &str| {
        line.is_empty()
            || line.starts_with(['\t', ' '])
            || line.starts_with("Received:")
            || line.starts_with("X-KumoRef:")
            || line.starts_with("X-Seen:")
    };
    match text.split("\r\n").find(|line| !ours(line)) {
        Some(line) => Err(format!("{line:?} stands in front of it")),
        None => Ok(()),
    }
}
