//! The wait for a client: for its next command, or for more of its message.

use crate::data_clock::DataClock;
use crate::limits;
use futures::future::{select, Either};
use ringmta_io::stopping::Wait;
use ringmta_io::{deadline, mono_nanos, receiving, Conn, TimedOut};
use ringmta_smtp::server::buffer::RecvBuf;
use ringmta_smtp::server::session::Session;
use std::pin::pin;
use std::time::Duration;

/// What a socket gave in time; `None` when the stop came first.
pub type Received = Result<Option<std::io::Result<usize>>, TimedOut>;

/// Waits for a command. A session that goes quiet first gives its buffer back, then waits out its time.
pub async fn read_command(
    session: &Session,
    conn: &mut Conn,
    input: &mut RecvBuf,
    limit: Duration,
    stop: &mut Wait<'_>,
) -> Received {
    let first = limit.min(Duration::from_secs(limits::SESSION_QUIET_SECS));
    let space = input.space(session.read_size());
    let received = deadline(first, read_until(conn, space, stop)).await;
    if received.is_ok() || first == limit {
        return received;
    }
    deadline(limit - first, read_until(conn, input.quiet_space(), stop)).await
}

/// Waits for more of a message, which may come to its end though we are stopping. One that holds a part of the memory for
/// what is being received gives it up when it comes too slowly and others have need of it.
pub async fn read_data(
    session: &mut Session,
    conn: &mut Conn,
    input: &mut RecvBuf,
    clock: &mut DataClock,
    limit: Duration,
) -> Received {
    let number = session.messages();
    let start = mono_nanos();
    let limit = limit.min(clock.left(number, start));
    let mut now = start;
    loop {
        let left = limit.saturating_sub(Duration::from_nanos(now - start));
        let mut look = left;
        if let Some(received) = session.received() {
            look = look.min(receiving::LOOK);
            if clock.is_too_slow(number, received, now) {
                session.give_up_message();
            }
        }
        let space = input.space(session.read_size());
        let received = deadline(look, conn.read(space)).await;
        if received.is_ok() || look == left {
            return received.map(Some);
        }
        now = mono_nanos();
    }
}

/// Receives; `None` when the stop comes first.
async fn read_until(
    conn: &mut Conn,
    space: &mut [u8],
    stop: &mut Wait<'_>,
) -> Option<std::io::Result<usize>> {
    let read = pin!(conn.read(space));
    match select(read, stop).await {
        Either::Left((received, _)) => Some(received),
        Either::Right(_) => None,
    }
}
