//! Messages in a database, SQLite's, as the shard sees it: questions to a thread of its own, which alone touches the file.
//!
//! [`schema`] the tables · [`rows`] what is done to them · [`find`] searches.

mod find;
mod rows;
mod schema;

use crate::captured::{Stored, Unopened};
use crate::choice::{Added, Change, Failed, Outcome, Page, Which};
use crate::json::summary;
use crate::limits::{SANDBOX_ADD_BATCH, SANDBOX_DATABASE_SECS, SANDBOX_INDEX_MS};
use crate::message::Address;
use crate::search::Search;
use crate::settings::DatabaseFile;
use futures::channel::oneshot;
use ringmta_io::deadline;
use rows::{Record, Rows};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// What the thread is to do. How many wait is bounded by the sessions and connections there may be, each of which waits
/// for one.
enum Job {
    /// Keep a message. Those that come at once are written at once.
    Add(Box<(Record, bool)>, oneshot::Sender<(Outcome<Added>, Totals)>),
    /// Anything else.
    Ask(Box<dyn FnOnce(&mut Rows) + Send>),
}

/// The counts that are told without a question.
#[derive(Debug, Default, Clone, Copy)]
struct Totals {
    messages: usize,
    unread: usize,
    bytes: u64,
}

impl Totals {
    fn of(rows: &Rows) -> Totals {
        let (messages, unread) = rows.totals();
        Totals { messages, unread, bytes: rows.file_bytes() }
    }
}

/// A database that is open. Dropping it ends its thread when what it was asked for is done.
pub struct Database {
    jobs: mpsc::Sender<Job>,
    totals: Cell<Totals>,
    path: String,
}

impl Database {
    /// Opens the file, or makes it, keeping so many messages. Blocks.
    ///
    /// # Errors
    /// What is wrong with the file, and what to do.
    pub fn open(file: &DatabaseFile, max_messages: usize) -> Result<Database, String> {
        let mut rows = Rows::open(file, max_messages)?;
        let totals = Cell::new(Totals::of(&rows));
        let (jobs, asked) = mpsc::channel::<Job>();
        let work = move || serve(&mut rows, &asked);
        let thread = std::thread::Builder::new().name("inbox database".into()).spawn(work);
        thread.map_err(|error| format!("the database's thread does not start: {error}"))?;
        Ok(Database { jobs, totals, path: file.path.display().to_string() })
    }

    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Rows) -> rusqlite::Result<T> + Send + 'static,
    ) -> Outcome<T> {
        let (tell, told) = oneshot::channel();
        let job = move |rows: &mut Rows| {
            let answer = work(rows).map_err(|error| Failed(error.to_string()));
            // Whoever asked may have gone.
            let _ = tell.send((answer, Totals::of(rows)));
        };
        self.wait(Job::Ask(Box::new(job)), told).await
    }

    async fn wait<T>(&self, job: Job, told: oneshot::Receiver<(Outcome<T>, Totals)>) -> Outcome<T> {
        let gone = || Failed("the database's thread has ended".into());
        self.jobs.send(job).map_err(|_| gone())?;
        let limit = Duration::from_secs(SANDBOX_DATABASE_SECS);
        let late = |_| Failed(format!("the database has not answered for {limit:?}"));
        let (answer, totals) = deadline(limit, told).await.map_err(late)?.map_err(|_| gone())?;
        self.totals.set(totals);
        answer
    }

    /// The file.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its size, as of the last question.
    pub fn file_bytes(&self) -> u64 {
        self.totals.get().bytes
    }

    /// (messages, unread ones), as of the last question.
    pub fn totals(&self) -> (usize, usize) {
        let totals = self.totals.get();
        (totals.messages, totals.unread)
    }

    /// Keeps a message; with `once` not when one with its Message-ID is there.
    pub async fn add(&self, message: &Stored, once: bool) -> Outcome<Added> {
        let (tell, told) = oneshot::channel();
        self.wait(Job::Add(Box::new((record(message)?, once)), tell), told).await
    }

    /// Drops what came before this moment.
    pub async fn expire(&self, before_ms: u64) -> Outcome<usize> {
        self.ask(move |rows| rows.expire(before_ms)).await
    }

    /// The message of that id.
    pub async fn get(&self, id: &str) -> Outcome<Option<Unopened>> {
        let id = id.to_string();
        self.ask(move |rows| rows.get(&id)).await
    }

    /// The newest message that matches.
    pub async fn newest(&self, search: &Search) -> Outcome<Option<Unopened>> {
        let search = search.clone();
        self.ask(move |rows| rows.newest(&search)).await
    }

    /// Some of those that match, newest first.
    pub async fn page(&self, search: &Search, start: usize, limit: usize) -> Outcome<Page> {
        let search = search.clone();
        self.ask(move |rows| rows.page(&search, start, limit)).await
    }

    /// Forgets messages; gives back their ids.
    pub async fn delete(&self, which: &Which) -> Outcome<Vec<String>> {
        let which = which.clone();
        self.ask(move |rows| rows.delete(&which)).await
    }

    /// Sets the read state; gives back whose has changed.
    pub async fn set_read(&self, which: &Which, read: bool) -> Outcome<Vec<String>> {
        let which = which.clone();
        self.ask(move |rows| rows.set_read(&which, read)).await
    }

    /// Changes tags; gives back whose, and to what.
    pub async fn retag(&self, change: &Change) -> Outcome<Vec<(String, Vec<String>)>> {
        let change = change.clone();
        self.ask(move |rows| rows.retag(&change)).await
    }

    /// Every tag in use and how many messages have it.
    pub async fn tags(&self) -> Outcome<BTreeMap<String, usize>> {
        self.ask(|rows| rows.tags()).await
    }
}

/// Does what is asked for until nobody can ask any more.
fn serve(rows: &mut Rows, asked: &mpsc::Receiver<Job>) {
    let rest = Duration::from_millis(SANDBOX_INDEX_MS);
    loop {
        let mut next = match asked.recv_timeout(rest) {
            Ok(job) => Some(job),
            // Nobody asks for anything: time for the index.
            Err(RecvTimeoutError::Timeout) => {
                index(rows);
                None
            }
            Err(RecvTimeoutError::Disconnected) => return index(rows),
        };
        while let Some(job) = next.take() {
            match job {
                Job::Ask(work) => work(rows),
                Job::Add(first, tell) => next = add(rows, asked, *first, tell),
            }
        }
    }
}

/// Keeps a message and those that wait behind it; gives back the job that is none of that kind.
fn add(
    rows: &mut Rows,
    asked: &mpsc::Receiver<Job>,
    first: (Record, bool),
    tell: oneshot::Sender<(Outcome<Added>, Totals)>,
) -> Option<Job> {
    let (mut records, mut tells, mut other) = (vec![first], vec![tell], None);
    while records.len() < SANDBOX_ADD_BATCH {
        match asked.try_recv() {
            Ok(Job::Add(record, tell)) => {
                records.push(*record);
                tells.push(tell);
            }
            Ok(job) => {
                other = Some(job);
                break;
            }
            Err(_) => break,
        }
    }
    let answers = match rows.add(&records) {
        Ok(added) => added.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(Failed(error.to_string())); tells.len()],
    };
    let totals = Totals::of(rows);
    for (tell, answer) in tells.into_iter().zip(answers) {
        let _ = tell.send((answer, totals));
    }
    other
}

fn index(rows: &mut Rows) {
    if let Err(error) = rows.index() {
        tracing::error!(%error, "the index of the inbox's database");
    }
}

/// A message as the database keeps it.
fn record(message: &Stored) -> Outcome<Record> {
    let mail = &message.parsed;
    let mut words =
        [&mail.to, &mail.cc, &mail.bcc, &mail.reply_to].map(|list| people(list)).to_vec();
    words.insert(0, people(std::slice::from_ref(&mail.from)));
    words.push(mail.subject.to_lowercase());
    words.push(mail.message_id.to_lowercase());
    words.push(mail.search_text.clone());
    Ok(Record {
        id: message.id.clone(),
        created_ms: message.created_ms,
        size: message.source.len(),
        attachments: mail.attachments.len(),
        inline: mail.inline.len(),
        message_id: mail.message_id.clone(),
        summary: summary(message).to_string(),
        envelope: json(&message.envelope)?,
        session: json(&message.session)?,
        source: message.source.clone(),
        tags: message.tags.borrow().clone(),
        words,
    })
}

fn json(value: &impl serde::Serialize) -> Outcome<String> {
    serde_json::to_string(value).map_err(|error| Failed(error.to_string()))
}

/// Names and addresses on lines of their own, so that no search term spans two of them.
fn people(list: &[Address]) -> String {
    let lines = list.iter().map(|one| format!("{}\n{}\n", one.name, one.address));
    lines.collect::<String>().to_lowercase()
}
