//! All that crosses shards, in one enum. Messages never do, on their usual way.

use crate::limits::MESH_INBOX_MAX;
use crate::trace::Viewer;
use crossbeam::queue::ArrayQueue;
use futures::channel::oneshot;
use futures::task::AtomicWaker;
use ringmta_events::history::Sample;
use ringmta_events::metrics::Snapshot;
use ringmta_events::watch::Reader;
use ringmta_io::sockets::Sockets;
use ringmta_io::stream::Accepted;
use ringmta_policy::MessageId;
use ringmta_queue::order_counts::Bounced;
use ringmta_queue::orders::{Order, Selector};
use ringmta_queue::quota::lease;
use ringmta_queue::tasks::Rebind;
use std::sync::{mpsc, Arc};
use std::task::Poll;

/// Something another shard, or the main thread, sends a shard.
pub enum Letter {
    /// A connection lease handed over: free it and take it for a ready queue that waits.
    Lease(Arc<lease::SharedLimit>),
    /// A shard waits for a lease of this limit: idle connections give way to it.
    Wanted(Arc<lease::SharedLimit>),
    /// A fresh socket of a shard that has more sessions than this one.
    Socket {
        /// The socket.
        socket: Accepted,
        /// Which ESMTP listener it came in on.
        listener: usize,
    },
    /// Add up your numbers.
    Metrics(oneshot::Sender<Snapshot>),
    /// Say what you have counted for the history.
    Sample(oneshot::Sender<Box<Sample>>),
    /// An operator's order; the answer is what a bounce has taken, by scheduled queue.
    Order(Box<Order>, oneshot::Sender<Bounced>),
    /// An order ends; the answer says whether there was one.
    Cancel(String, oneshot::Sender<bool>),
    /// Somebody watches sessions.
    Watch(Arc<Viewer>),
    /// Somebody watches records.
    Read(Arc<Reader>),
    /// Something an operator wants done with mail that waits.
    Act(Box<Act>, oneshot::Sender<Acted>),
    /// A question of the control interface, answered in JSON.
    Inspect(Inspect, oneshot::Sender<serde_json::Value>),
    /// Send dead letters of the hook of this name on their way anew, those with these ids or all; the answer is how many.
    Replay(String, Vec<String>, oneshot::Sender<Result<u64, String>>),
    /// Open the listeners, on these sockets: every shard has recovered.
    Open(Sockets, oneshot::Sender<Result<Vec<String>, String>>),
    /// Have the policy taken anew by every shard; the answer is why not. To the first shard, which
    /// does one reload at a time.
    Reload(oneshot::Sender<Result<(), String>>),
    /// Read the listeners' certificates anew. To the first shard.
    Certificates,
    /// Load the policy and keep it aside; the answer is why not.
    Prepare(oneshot::Sender<Result<(), String>>),
    /// Put the policy that was kept aside in force.
    Take(oneshot::Sender<()>),
    /// Forget the policy that was kept aside.
    Drop,
    /// Say that you are alive, to the thread that keeps watch.
    Alive(mpsc::Sender<()>),
    /// Stop.
    Stop,
}

/// What an operator wants done.
#[derive(Debug, Clone)]
pub enum Act {
    /// Have what waits for its time tried now.
    TryNow(Target),
    /// Fail it, for the reason that the order gives.
    Delete(Target, Order),
    /// Move what is meant to the queues that other metadata put it in.
    Rebind(Selector, Rebind),
    /// Write what the journal has not written yet.
    FlushJournal,
    /// End a connection: of the ready queue of this name, with this session id.
    Abort(String, String),
}

/// Which messages are meant.
#[derive(Debug, Clone)]
pub enum Target {
    /// One.
    Message(MessageId),
    /// All of a scheduled queue.
    Queue(String),
    /// All whose header `Message-ID` is this, in the scheduled queues of this domain or in all.
    Header {
        /// The id between `<` and `>`.
        message_id: String,
        /// The domain.
        domain: Option<String>,
    },
}

/// What a shard has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acted {
    /// Messages or connections with which it was done.
    pub done: u64,
    /// Messages that are meant but in work: what is in work is let be.
    pub in_work: u64,
    /// Messages that could not be looked at in time.
    pub unseen: u64,
    /// Messages that an order holds, and so were let be.
    pub held: u64,
}

/// What can be asked of a shard.
#[derive(Debug, Clone)]
pub enum Inspect {
    /// Orders in force.
    Orders,
    /// One scheduled queue: name, messages to skip, most messages, whether with their text.
    Scheduled(String, usize, usize, bool),
    /// One ready queue, with the scheduled queues that feed it or without.
    Ready(String, bool),
    /// States of the ready queues named, or of all.
    ReadyStates(Vec<String>),
    /// What is in memory.
    Memory,
    /// What tasks wait for.
    Tasks,
    /// How mail to a domain would leave, from a source, or from the first of its pool.
    Path(String, Option<String>),
    /// One message by id.
    Message(String, bool),
    /// All queues with their counts.
    Queues,
    /// Queues whose name has this in it: so many of each kind.
    FindQueues(String, usize),
    /// All hooks, and what waits for them.
    Hooks,
    /// Whether everything is where it belongs.
    SelfCheck,
    /// Why something is as it is: of which kind, and its name.
    Why(WhyAbout, String),
}

/// What a question for reasons is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyAbout {
    /// One message by id.
    Message,
    /// One scheduled queue.
    Queue,
    /// All scheduled queues of a domain.
    Domain,
    /// A ready queue, or all ready queues of a site.
    Site,
    /// A source.
    Source,
    /// A pool of sources.
    Pool,
    /// Names of all there is.
    Names,
}

/// A shard's letter box.
pub struct Inbox {
    letters: ArrayQueue<Letter>,
    waker: AtomicWaker,
}

impl Default for Inbox {
    fn default() -> Self {
        Inbox { letters: ArrayQueue::new(MESH_INBOX_MAX), waker: AtomicWaker::new() }
    }
}

impl Inbox {
    /// Puts a letter in; gives it back when the box is full.
    ///
    /// # Errors
    /// The letter.
    pub fn send(&self, letter: Letter) -> Result<(), Letter> {
        self.letters.push(letter)?;
        self.waker.wake();
        Ok(())
    }

    /// The next letter, for the one task that reads this box.
    pub async fn receive(&self) -> Letter {
        std::future::poll_fn(|cx| {
            if let Some(letter) = self.letters.pop() {
                return Poll::Ready(letter);
            }
            self.waker.register(cx.waker());
            match self.letters.pop() {
                Some(letter) => Poll::Ready(letter),
                None => Poll::Pending,
            }
        })
        .await
    }
}
