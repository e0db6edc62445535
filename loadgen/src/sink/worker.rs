//! A sink's event loop: one thread, one poll, its share of the connections.

use super::conn::{After, Conn, Trouble};
use super::desk::Desk;
use crate::limits;
use crate::stop::Stop;
use crate::wire::Wire;
use anyhow::{anyhow, Context, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// What a worker needs besides its [`Desk`].
#[derive(Debug)]
pub struct Post {
    /// Listening sockets, shared with the other workers.
    pub listeners: Vec<TcpListener>,
    /// Connections of this worker at most.
    pub max_connections: usize,
    /// Time between the dot and its reply.
    pub delay: Duration,
    /// Longest silence of a client.
    pub timeout: Duration,
    /// Ends the run.
    pub stop: Stop,
}

struct Worker {
    poll: Poll,
    desk: Desk,
    post: Post,
    conns: Vec<Option<Box<Conn>>>,
    free: Vec<usize>,
    open: usize,
    buffer: Vec<u8>,
    /// Connections with more to read than one turn allows.
    again: Vec<usize>,
    /// Replies held back, oldest first: the delay is the same for all.
    held: VecDeque<(Instant, usize, u64)>,
    serial: u64,
    next_sweep: Instant,
}

/// Runs a worker until it is stopped.
///
/// # Errors
/// When the ledger or a message cannot be written, or polling fails.
pub fn run(desk: Desk, post: Post) -> Result<()> {
    let mut worker = Worker::new(desk, post)?;
    let mut events = Events::with_capacity(limits::EVENTS_PER_TURN);
    while !worker.post.stop.raised() {
        worker.turn(&mut events)?;
    }
    worker.desk.finish().context("cannot write the ledger")
}

impl Worker {
    fn new(desk: Desk, mut post: Post) -> Result<Self> {
        let poll = Poll::new().context("cannot poll")?;
        for (number, listener) in post.listeners.iter_mut().enumerate() {
            poll.registry()
                .register(listener, Token(number), Interest::READABLE)
                .context("cannot poll")?;
        }
        let next_sweep = desk.now;
        Ok(Self {
            poll,
            desk,
            post,
            conns: Vec::new(),
            free: Vec::new(),
            open: 0,
            buffer: vec![0; limits::READ_BUFFER_BYTES],
            again: Vec::new(),
            held: VecDeque::new(),
            serial: 0,
            next_sweep,
        })
    }

    fn turn(&mut self, events: &mut Events) -> Result<()> {
        if let Err(error) = self.poll.poll(events, Some(self.timeout())) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error).context("cannot poll");
            }
        }
        self.desk.now = Instant::now();
        for index in std::mem::take(&mut self.again) {
            self.on_readable(index, false)?;
        }
        let listeners = self.post.listeners.len();
        for event in events.iter() {
            match event.token().0.checked_sub(listeners) {
                None => self.accept(event.token().0)?,
                Some(index) => self.on_event(index, event)?,
            }
        }
        self.release_held()?;
        self.desk.tick().context("cannot write the ledger")?;
        self.sweep();
        Ok(())
    }

    fn timeout(&self) -> Duration {
        if !self.again.is_empty() {
            return Duration::ZERO;
        }
        let tick = Duration::from_millis(if self.desk.is_dirty() {
            limits::TICK_MS / 2
        } else {
            limits::TICK_MS
        });
        match self.held.front() {
            Some((due, ..)) => tick.min(due.saturating_duration_since(Instant::now())),
            None => tick,
        }
    }

    fn accept(&mut self, listener: usize) -> Result<()> {
        loop {
            match self.post.listeners[listener].accept() {
                Ok((tcp, _)) => self.welcome(tcp)?,
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    // Out of descriptors: those waiting are taken when others leave.
                    _ => return Ok(()),
                },
            }
        }
    }

    fn welcome(&mut self, mut tcp: TcpStream) -> Result<()> {
        if self.open >= self.post.max_connections {
            self.desk.counters.turned_away.add(1);
            // It is turned away whether or not it learns why.
            let _ = tcp.write(b"421 4.3.2 Too many connections\r\n");
            return Ok(());
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.conns.push(None);
            self.conns.len() - 1
        });
        let token = Token(self.post.listeners.len() + index);
        self.poll.registry().register(&mut tcp, token, Interest::READABLE | Interest::WRITABLE)?;
        self.serial += 1;
        self.conns[index] = Some(Box::new(Conn::new(Wire::plain(tcp), self.serial, &self.desk)));
        self.open += 1;
        self.desk.counters.connections.add(1);
        self.show_open();
        let result = self.conns[index].as_mut().map_or(Ok(After::Closed), |conn| conn.flush());
        self.settle(index, result)?;
        Ok(())
    }

    fn on_event(&mut self, index: usize, event: &mio::event::Event) -> Result<()> {
        if event.is_writable() {
            let Some(conn) = self.conns[index].as_mut() else {
                return Ok(());
            };
            let was_blocked = !conn.wants_input();
            if was_blocked {
                let result = conn.flush();
                // Its input has been waiting for this: no new event will tell of it.
                if self.settle(index, result)? {
                    return self.on_readable(index, event.is_read_closed());
                }
                return Ok(());
            }
            let result = conn.flush();
            if !self.settle(index, result)? {
                return Ok(());
            }
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            return self.on_readable(index, event.is_read_closed());
        }
        Ok(())
    }

    fn on_readable(&mut self, index: usize, closing: bool) -> Result<()> {
        for _ in 0..limits::READS_PER_TURN {
            let Some(conn) = self.conns.get_mut(index).and_then(Option::as_mut) else {
                return Ok(());
            };
            if !conn.wants_input() {
                return Ok(());
            }
            let result = match conn.wire.read(&mut self.buffer) {
                Ok(0) => {
                    self.ended(index);
                    return Ok(());
                }
                Ok(count) => {
                    let drained = conn.wire.drained(count, self.buffer.len()) && !closing;
                    let result = conn.feed(&self.buffer[..count], &mut self.desk);
                    if !self.settle(index, result)? || drained {
                        return Ok(());
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => Err(Trouble::Connection),
            };
            self.settle(index, result)?;
            return Ok(());
        }
        self.again.push(index);
        Ok(())
    }

    /// Deals with what became of a connection; `true` when it goes on and may be read from.
    fn settle(&mut self, index: usize, result: Result<After, Trouble>) -> Result<bool> {
        match result {
            Ok(After::Open) => return Ok(true),
            Ok(After::Paused) => {
                if let Some(conn) = &self.conns[index] {
                    self.held.push_back((self.desk.now + self.post.delay, index, conn.serial));
                }
            }
            Ok(After::Closed) => self.close(index),
            Err(Trouble::Connection) => {
                self.desk.counters.broken.add(1);
                self.close(index);
            }
            Err(Trouble::Fatal(error)) => {
                return Err(anyhow!(error).context("cannot write ledger or message"))
            }
        }
        Ok(false)
    }

    /// The client closed its side.
    fn ended(&mut self, index: usize) {
        if self.conns[index].as_ref().is_some_and(|conn| conn.is_busy()) {
            self.desk.counters.broken.add(1);
        }
        self.close(index);
    }

    fn close(&mut self, index: usize) {
        if self.conns[index].take().is_some() {
            self.free.push(index);
            self.open -= 1;
            self.show_open();
        }
    }

    fn show_open(&self) {
        let open = &self.desk.counters.open;
        open.add((self.open as u64).wrapping_sub(open.get()));
    }

    fn release_held(&mut self) -> Result<()> {
        while let Some(&(due, index, serial)) = self.held.front() {
            if due > self.desk.now {
                break;
            }
            self.held.pop_front();
            let conn = self.conns[index].as_mut().filter(|conn| conn.serial == serial);
            let Some(conn) = conn else { continue };
            let result = conn.resume(&mut self.desk);
            if self.settle(index, result)? {
                self.on_readable(index, false)?;
            }
        }
        Ok(())
    }

    fn sweep(&mut self) {
        if self.desk.now < self.next_sweep {
            return;
        }
        self.next_sweep = self.desk.now + Duration::from_millis(limits::SWEEP_MS);
        for index in 0..self.conns.len() {
            let silent = self.conns[index].as_ref().is_some_and(|conn| {
                self.desk.now.saturating_duration_since(conn.heard) > self.post.timeout
            });
            if silent {
                self.desk.counters.timeouts.add(1);
                self.close(index);
            }
        }
    }
}
