//! The messages of one sandbox, in memory or in a database, and who is told of what happens to them.

use crate::captured::{Stored, Unopened};
use crate::choice::{Added, Change, Failed, Outcome, Page, Which};
use crate::database::Database;
use crate::events::{Event, Hub};
use crate::limits::SANDBOX_READS;
use crate::message::{Envelope, SessionInfo};
use crate::offload::{is_long, Helpers};
use crate::ring::Ring;
use crate::search::Search;
use crate::settings::Keeping;
use crate::tags;
use ringmta_http::Bytes;
use ringmta_io as io;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// What has happened since the start.
#[derive(Debug, Default, Clone)]
pub struct Counters {
    /// Messages taken.
    pub accepted: u64,
    /// Their bytes.
    pub accepted_bytes: u64,
    /// Messages deleted by a request.
    pub deleted: u64,
    /// Messages that gave way to newer ones.
    pub evicted: u64,
    /// Messages and recipients refused.
    pub rejected: u64,
    /// Messages taken and not kept, for one with their Message-ID is there.
    pub ignored: u64,
}

enum Backend {
    Memory(RefCell<Ring>),
    Database(Database),
}

/// The messages of one sandbox. Single-threaded: its shard owns it.
pub struct Store {
    backend: Backend,
    keeping: Keeping,
    counters: RefCell<Counters>,
    /// Threads on which long messages are taken apart.
    reads: Helpers,
    /// Who is told of changes.
    pub hub: Rc<Hub>,
}

impl Store {
    /// A store that keeps messages as it is told, in memory.
    pub fn in_memory(keeping: Keeping) -> Store {
        let ring = Ring::new(keeping.most(), keeping.max_bytes);
        Store::over(Backend::Memory(RefCell::new(ring)), keeping)
    }

    /// The same in a database.
    pub fn in_database(database: Database, keeping: Keeping) -> Store {
        Store::over(Backend::Database(database), keeping)
    }

    fn over(backend: Backend, keeping: Keeping) -> Store {
        let (reads, hub) = (Helpers::patient(SANDBOX_READS), Rc::new(Hub::default()));
        Store { backend, keeping, counters: RefCell::default(), reads, hub }
    }

    /// Takes a message apart: beside the shard, which serves others meanwhile, where that takes long. How many wait for it is
    /// bounded by the sessions and requests there may be.
    async fn taken_apart(&self, message: Unopened) -> Outcome<Stored> {
        let (mail, read, tags) = match is_long(message.source.len()) {
            true => self.reads.run(move || message.taken_apart()).await.map_err(Failed)?,
            false => message.taken_apart(),
        };
        Ok(Stored { mail: Arc::new(mail), read: Cell::new(read), tags: RefCell::new(tags) })
    }

    /// Keeps a message and gives back its id; older messages make room.
    ///
    /// # Errors
    /// When the database does not take it.
    pub async fn add(
        &self,
        envelope: Envelope,
        session: SessionInfo,
        source: impl Into<Bytes>,
    ) -> Outcome<String> {
        let (source, id, tags) = (source.into(), Store::new_id(), Vec::new());
        let message = Unopened { id, created_ms: 0, source, envelope, session, read: false, tags };
        let mut message = self.taken_apart(message).await?;
        let dated = message.parsed.date_ms.filter(|_| self.keeping.use_message_dates);
        if let Some(mail) = Arc::get_mut(&mut message.mail) {
            mail.created_ms = dated.unwrap_or(io::unix_nanos() / 1_000_000);
        }
        self.tag(&message);
        let message = Rc::new(message);
        let once = self.keeping.ignore_duplicate_ids && !message.parsed.message_id.is_empty();
        let added = match &self.backend {
            Backend::Memory(ring) => {
                let mut ring = ring.borrow_mut();
                if once && ring.knows(&message.parsed.message_id) {
                    Added { duplicate: true, evicted: 0 }
                } else {
                    ring.add(message.clone())
                }
            }
            Backend::Database(database) => database.add(&message, once).await?,
        };
        self.tell_of_new(&message, &added);
        Ok(message.id.clone())
    }

    /// Gives a message the tags it brings along, and those of the filters it matches.
    fn tag(&self, message: &Stored) {
        let rules = &self.keeping.tags;
        let user = message.session.auth_user.as_deref();
        let own = tags::of_message(&message.parsed, user, rules);
        let found = rules.filters.iter().filter(|(_, search)| search.matches(message));
        let all = own.into_iter().chain(found.map(|(tag, _)| tag.clone()));
        *message.tags.borrow_mut() = tags::tidy(all);
    }

    fn tell_of_new(&self, message: &Stored, added: &Added) {
        {
            let mut counters = self.counters.borrow_mut();
            if added.duplicate {
                counters.ignored += 1;
                return;
            }
            counters.accepted += 1;
            counters.accepted_bytes += message.source.len() as u64;
            counters.evicted += added.evicted as u64;
        }
        let (from, subject) = (&message.parsed.from.address, &message.parsed.subject);
        tracing::debug!(id = message.id, from, subject, size = message.source.len(), "message");
        self.hub.publish(Event::New(message));
        if added.evicted > 0 {
            self.hub.publish(Event::Prune);
        }
    }

    /// Drops what is older than was asked for.
    ///
    /// # Errors
    /// The database's, as all that follow.
    pub async fn expire(&self) -> Outcome<()> {
        let Some(age) = self.keeping.max_age else { return Ok(()) };
        let now = io::unix_nanos() / 1_000_000;
        let before = now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let gone = match &self.backend {
            Backend::Memory(ring) => ring.borrow_mut().expire(before),
            Backend::Database(database) => database.expire(before).await?,
        };
        if gone > 0 {
            self.counters.borrow_mut().evicted += gone as u64;
            self.hub.publish(Event::Prune);
        }
        Ok(())
    }

    /// The message of that id.
    ///
    /// # Errors
    /// The database's.
    pub async fn get(&self, id: &str) -> Outcome<Option<Rc<Stored>>> {
        match &self.backend {
            Backend::Memory(ring) => Ok(ring.borrow().get(id)),
            Backend::Database(database) => match database.get(id).await? {
                Some(message) => Ok(Some(Rc::new(self.taken_apart(message).await?))),
                None => Ok(None),
            },
        }
    }

    /// The newest message that matches.
    ///
    /// # Errors
    /// The database's.
    pub async fn newest(&self, search: &Search) -> Outcome<Option<Rc<Stored>>> {
        match &self.backend {
            Backend::Memory(ring) => Ok(ring.borrow().newest(search)),
            Backend::Database(database) => match database.newest(search).await? {
                Some(message) => Ok(Some(Rc::new(self.taken_apart(message).await?))),
                None => Ok(None),
            },
        }
    }

    /// Some of those that match, newest first, and how many there are.
    ///
    /// # Errors
    /// The database's.
    pub async fn page(&self, search: &Search, start: usize, limit: usize) -> Outcome<Page> {
        match &self.backend {
            Backend::Memory(ring) => Ok(ring.borrow().page(search, start, limit)),
            Backend::Database(database) => database.page(search, start, limit).await,
        }
    }

    /// (messages, unread ones).
    pub fn totals(&self) -> (usize, usize) {
        match &self.backend {
            Backend::Memory(ring) => {
                let (messages, unread, _) = ring.borrow().totals();
                (messages, unread)
            }
            Backend::Database(database) => database.totals(),
        }
    }

    /// Bytes kept: of memory, or of the database's file.
    pub fn bytes(&self) -> u64 {
        match &self.backend {
            Backend::Memory(ring) => ring.borrow().totals().2 as u64,
            Backend::Database(database) => database.file_bytes(),
        }
    }

    /// Where messages are: `memory`, or the database's file.
    pub fn place(&self) -> String {
        match &self.backend {
            Backend::Memory(_) => "memory".into(),
            Backend::Database(database) => database.path().to_string(),
        }
    }

    /// What has happened since the start.
    pub fn counters(&self) -> Counters {
        self.counters.borrow().clone()
    }

    /// Counts a refusal.
    pub fn count_rejected(&self) {
        self.counters.borrow_mut().rejected += 1;
    }

    /// Sets the read state.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_read(&self, which: &Which, read: bool) -> Outcome<()> {
        let changed = match &self.backend {
            Backend::Memory(ring) => ring.borrow_mut().set_read(which, read),
            Backend::Database(database) => database.set_read(which, read).await?,
        };
        for id in changed {
            self.hub.publish(Event::Read(&id, read));
        }
        Ok(())
    }

    /// Changes tags.
    ///
    /// # Errors
    /// The database's.
    pub async fn retag(&self, change: &Change) -> Outcome<()> {
        let changed = match &self.backend {
            Backend::Memory(ring) => ring.borrow_mut().retag(change),
            Backend::Database(database) => database.retag(change).await?,
        };
        for (id, tags) in &changed {
            self.hub.publish(Event::Tags(id, tags));
        }
        Ok(())
    }

    /// Every tag in use and how many messages have it.
    ///
    /// # Errors
    /// The database's.
    pub async fn tags(&self) -> Outcome<BTreeMap<String, usize>> {
        match &self.backend {
            Backend::Memory(ring) => Ok(ring.borrow().tags()),
            Backend::Database(database) => database.tags().await,
        }
    }

    /// Forgets messages.
    ///
    /// # Errors
    /// The database's.
    pub async fn delete(&self, which: &Which) -> Outcome<()> {
        let all = matches!(which, Which::Matching(search) if search.is_empty());
        let gone = match &self.backend {
            Backend::Memory(ring) => ring.borrow_mut().delete(which),
            Backend::Database(database) => database.delete(which).await?,
        };
        self.counters.borrow_mut().deleted += gone.len() as u64;
        if all {
            self.hub.publish(Event::Truncate);
            return Ok(());
        }
        for id in &gone {
            self.hub.publish(Event::Delete(id));
        }
        Ok(())
    }

    /// A new id: 22 characters that cannot be mistaken for one another, the shape clients know.
    fn new_id() -> String {
        const ALPHABET: &[u8] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
        let digits = |mut number: u64| {
            (0..11).map(move |_| {
                let digit = ALPHABET[(number % ALPHABET.len() as u64) as usize];
                number /= ALPHABET.len() as u64;
                char::from(digit)
            })
        };
        digits(io::random_u64()).chain(digits(io::random_u64())).collect()
    }
}
