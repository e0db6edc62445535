//! A source's event loop: one thread, one poll, its share of the connections and messages.

use super::slot::{Ending, Shop, Slot};
use super::tally::{Live, Tally};
use crate::clock::Alarm;
use crate::limits;
use crate::stop::Stop;
use crate::wire::Wire;
use anyhow::{anyhow, Context, Result};
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The alarm's token; connections have the number of their slot.
const ALARM: Token = Token(usize::MAX - 1);

/// What a worker needs besides its [`Shop`].
#[derive(Debug)]
pub struct Post {
    /// Servers, taken in turn.
    pub targets: Vec<SocketAddr>,
    /// Connections of this worker.
    pub connections: usize,
    /// Try again after any failure.
    pub keep_going: bool,
    /// Ends the run early.
    pub stop: Stop,
    /// Counters shown while running.
    pub live: Arc<Live>,
}

/// A worker's state.
struct Worker {
    poll: Poll,
    shop: Shop,
    post: Post,
    slots: Vec<Slot>,
    buffer: Vec<u8>,
    /// Connections ready for a message that is not due yet.
    idle: VecDeque<usize>,
    /// Connections with more to read than one turn allows.
    again: Vec<usize>,
    /// Slots to open anew, and when.
    waiting: Vec<(Instant, usize)>,
    open: usize,
    alarm: Option<Alarm>,
    next_sweep: Instant,
    drain_until: Option<Instant>,
}

/// Runs a worker to the end of its share.
///
/// # Errors
/// When the run cannot go on: no file descriptors, or the ledger cannot be written.
pub fn run(shop: Shop, post: Post) -> Result<Tally> {
    let mut worker = Worker::new(shop, post)?;
    for index in 0..worker.slots.len() {
        worker.open(index)?;
    }
    let mut events = Events::with_capacity(limits::EVENTS_PER_TURN);
    while !worker.is_finished() {
        worker.turn(&mut events)?;
    }
    worker.close_all();
    worker.shop.recorder.tick(Instant::now(), &worker.post.live)?;
    worker.shop.recorder.finish().context("cannot write the ledger")
}

impl Worker {
    fn new(shop: Shop, post: Post) -> Result<Self> {
        let poll = Poll::new().context("cannot poll")?;
        let alarm = match shop.pace.is_timed() {
            true => Some(Alarm::new().context("cannot make a timer")?),
            false => None,
        };
        if let Some(alarm) = &alarm {
            poll.registry().register(&mut SourceFd(&alarm.raw_fd()), ALARM, Interest::READABLE)?;
        }
        let slots = std::iter::repeat_with(Slot::default).take(post.connections).collect();
        let next_sweep = shop.now;
        Ok(Self {
            poll,
            shop,
            post,
            slots,
            buffer: vec![0; limits::READ_BUFFER_BYTES],
            idle: VecDeque::new(),
            again: Vec::new(),
            waiting: Vec::new(),
            open: 0,
            alarm,
            next_sweep,
            drain_until: None,
        })
    }

    fn is_finished(&self) -> bool {
        let ended = self.shop.pace.is_over(self.shop.now);
        let late = self.drain_until.is_some_and(|until| self.shop.now >= until);
        (self.open == 0 && (ended || self.waiting.is_empty())) || late
    }

    fn turn(&mut self, events: &mut Events) -> Result<()> {
        let timeout = self.timeout()?;
        if let Err(error) = self.poll.poll(events, Some(timeout)) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error).context("cannot poll");
            }
        }
        self.shop.now = Instant::now();
        self.shop.date.refresh();
        for index in std::mem::take(&mut self.again) {
            self.on_readable(index, false)?;
        }
        for event in events.iter().filter(|event| event.token() != ALARM) {
            let index = event.token().0;
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                self.on_readable(index, event.is_read_closed())?;
            } else {
                self.send(index)?;
            }
        }
        self.start_due()?;
        self.reopen()?;
        self.housekeeping()
    }

    /// How long the poll may sleep. A message due within the next tick is left to the alarm, whose grain is finer.
    fn timeout(&mut self) -> Result<Duration> {
        if !self.again.is_empty() {
            return Ok(Duration::ZERO);
        }
        let now = Instant::now();
        let mut sleep = Duration::from_millis(limits::TICK_MS / 2);
        for &(due, _) in &self.waiting {
            sleep = sleep.min(due.saturating_duration_since(now));
        }
        if let (Some(alarm), false) = (&self.alarm, self.idle.is_empty()) {
            let due = self.shop.pace.next_due().saturating_duration_since(now);
            match due {
                Duration::ZERO => sleep = due,
                due if due < sleep => alarm.set(due).context("cannot set a timer")?,
                _ => {}
            }
        }
        Ok(sleep)
    }

    fn on_readable(&mut self, index: usize, closing: bool) -> Result<()> {
        // A turn can be long; a latency must not be off by it.
        self.shop.now = Instant::now();
        for _ in 0..limits::READS_PER_TURN {
            let slot = &mut self.slots[index];
            let Some(wire) = &mut slot.wire else {
                return Ok(());
            };
            let ending = match wire.read(&mut self.buffer) {
                Ok(0) => slot.on_end(None),
                Ok(count) => {
                    let drained = wire.drained(count, self.buffer.len()) && !closing;
                    match slot.on_input(&self.buffer[..count], &mut self.shop) {
                        Ok(()) if drained => return self.send(index),
                        Ok(()) => continue,
                        Err(ending) => ending,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.send(index),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => slot.on_end(Some(&error)),
            };
            return self.close(index, ending);
        }
        self.again.push(index);
        self.send(index)
    }

    /// Sends what the slot has to say, and notes when it is waiting for a message.
    fn send(&mut self, index: usize) -> Result<()> {
        let slot = &mut self.slots[index];
        if let Err(ending) = slot.send() {
            return self.close(index, ending);
        }
        if slot.idle {
            self.idle.push_back(index);
        }
        Ok(())
    }

    /// Gives messages that are due to idle connections; at the end of the run, lets all of those go.
    fn start_due(&mut self) -> Result<()> {
        let over = self.shop.pace.is_over(self.shop.now);
        while let Some(index) = self.idle.pop_front() {
            let slot = &mut self.slots[index];
            if !slot.idle {
                continue;
            }
            slot.proceed(&mut self.shop);
            if slot.idle && !over {
                self.idle.push_front(index);
                break;
            }
            self.send(index)?;
        }
        Ok(())
    }

    fn open(&mut self, index: usize) -> Result<()> {
        let target = self.post.targets[index % self.post.targets.len()];
        let registry = self.poll.registry();
        let opened = TcpStream::connect(target).and_then(|mut tcp| {
            registry.register(&mut tcp, Token(index), Interest::READABLE | Interest::WRITABLE)?;
            Ok(tcp)
        });
        match opened {
            Ok(tcp) => {
                // A late last packet must not wait for the acknowledgement of the one before; failure does no harm.
                let _ = tcp.set_nodelay(true);
                self.open += 1;
                self.slots[index].open(Wire::plain(tcp), &self.shop);
                Ok(())
            }
            Err(error) => {
                self.shop.recorder.fault(false, format!("{error} while connecting"));
                self.plan_reopen(index, false);
                Ok(())
            }
        }
    }

    fn close(&mut self, index: usize, ending: Ending) -> Result<()> {
        let slot = &mut self.slots[index];
        let greeted = slot.greeted;
        slot.close(&mut self.shop);
        self.open -= 1;
        let regular = matches!(ending, Ending::Regular);
        match ending {
            Ending::Regular => {}
            Ending::Fault(why) => self.shop.recorder.fault(greeted, why),
            Ending::Fatal(error) => return Err(anyhow!(error).context("cannot write the ledger")),
        }
        self.plan_reopen(index, regular);
        Ok(())
    }

    /// A connection that served is replaced at once. One that achieved nothing is tried again after a pause if it
    /// ended regularly or the run is to survive failures, and given up otherwise.
    fn plan_reopen(&mut self, index: usize, regular: bool) {
        if self.shop.pace.is_over(self.shop.now) {
            return;
        }
        let slot = &mut self.slots[index];
        if std::mem::take(&mut slot.finished) > 0 {
            self.waiting.push((self.shop.now, index));
        } else if regular || self.post.keep_going {
            let pause = limits::BACKOFF_MIN_MS << slot.failures.min(10);
            slot.failures += 1;
            let pause = Duration::from_millis(pause.min(limits::BACKOFF_MAX_MS));
            self.waiting.push((self.shop.now + pause, index));
        }
    }

    fn reopen(&mut self) -> Result<()> {
        if self.shop.pace.is_over(self.shop.now) {
            self.waiting.clear();
            return Ok(());
        }
        let mut position = 0;
        while position < self.waiting.len() {
            let (due, index) = self.waiting[position];
            if due > self.shop.now {
                position += 1;
                continue;
            }
            self.waiting.swap_remove(position);
            self.open(index)?;
        }
        Ok(())
    }

    fn housekeeping(&mut self) -> Result<()> {
        let now = self.shop.now;
        self.shop.recorder.tick(now, &self.post.live).context("cannot write the ledger")?;
        if self.post.stop.raised() {
            self.shop.pace.stop();
        }
        // At the end of a count every message keeps the patience that was asked for; otherwise the end is soon.
        let cut_short =
            self.post.stop.raised() || (self.shop.pace.is_over(now) && !self.shop.pace.ran_out());
        if self.drain_until.is_none() && cut_short {
            self.drain_until =
                now.checked_add(Duration::from_millis(limits::DRAIN_MS).min(self.shop.timeout));
        }
        if now < self.next_sweep {
            return Ok(());
        }
        self.next_sweep = now + Duration::from_millis(limits::SWEEP_MS);
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot.wire.is_some() && slot.deadline.is_some_and(|deadline| now >= deadline) {
                let why = format!("timeout while waiting for {}", slot.phase());
                self.close(index, Ending::Fault(why))?;
            }
        }
        Ok(())
    }

    fn close_all(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| slot.wire.is_some()) {
            slot.close(&mut self.shop);
        }
    }
}
