//! The end of a connection whose client may still be sending.

use crate::limits::{LINGERING_MAX, LINGER_MS};
use crate::{deadline, mono_nanos, sim, spawn, Conn};
use futures::FutureExt;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

thread_local! {
    static LINGERING: Rc<Cell<usize>> = Rc::default();
}

/// Connections of this shard that have been left and are still read (in a simulated world, those of all its machines).
pub fn lingering() -> usize {
    counter().get()
}

fn counter() -> Rc<Cell<usize>> {
    match sim::active() {
        true => sim::here().lingering.clone(),
        false => LINGERING.with(Rc::clone),
    }
}

/// Counts a connection while it is read.
struct Counted(Rc<Cell<usize>>);

impl Counted {
    fn new(counter: Rc<Cell<usize>>) -> Counted {
        counter.set(counter.get() + 1);
        Counted(counter)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Ends our half of a connection, and reads what the client still sends until it has ended its own, for [`LINGER_MS`] at
/// the longest. A socket that is closed with bytes unread is reset, and a reset can destroy what was answered last, such
/// as the 250 of a message, which its client would then send again (RFC 9112 section 9.6 tells it of HTTP).
///
/// A task of its own does so: to whoever served the connection it has ended. Where [`LINGERING_MAX`] are read already, it
/// is closed at once.
pub fn leave(mut conn: Conn) {
    if matches!(conn, Conn::Closed) {
        return;
    }
    let counter = counter();
    if counter.get() >= LINGERING_MAX {
        return close(conn);
    }
    let counted = Counted::new(counter);
    spawn(async move {
        let _ = deadline(Duration::from_millis(LINGER_MS), read_on(&mut conn)).await;
        drop(counted);
    });
}

/// Ends a connection from which nothing has come since `since`, in nanoseconds of [`mono_nanos`]. After [`LINGER_MS`] what
/// was answered before has arrived: it is closed at once then, so that a stop waits for nobody who has nothing to say.
pub fn leave_quiet(conn: Conn, since: u64) {
    match mono_nanos().saturating_sub(since) < LINGER_MS * 1_000_000 {
        true => leave(conn),
        false => close(conn),
    }
}

/// What the socket does not take now is not sent.
fn close(mut conn: Conn) {
    let _ = conn.close().now_or_never();
}

async fn read_on(conn: &mut Conn) {
    let mut unheard = [0; 4096];
    if conn.close().await.is_ok() {
        while matches!(conn.read(&mut unheard).await, Ok(1..)) {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::World;
    use crate::{sleep, Listener, Stream};
    use std::cell::RefCell;
    use std::net::SocketAddr;

    const LONG: Duration = Duration::from_secs(60);

    /// A server that answers and leaves at once, and `clients` that send `bytes` before they listen, and end their half
    /// after `stay`; what they heard, and the connections that were read at the most.
    fn talk(clients: usize, bytes: usize, stay: Duration) -> (Vec<std::io::Result<String>>, usize) {
        let world = World::new(7, false);
        let _entered = world.enter();
        let addr = SocketAddr::from(([10, 0, 0, 1], 25));
        let (heard, most) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
        let peak = most.clone();
        world.spawn_on(world.exec.new_node(), async move {
            let listener = Listener::bind(addr).unwrap();
            for _ in 0..clients {
                let mut conn = Conn::Plain(listener.accept().await.unwrap().bind());
                conn.read(&mut [0; 1]).await.unwrap();
                conn.write_all(b"250 taken\r\n").await.unwrap();
                leave(conn);
                peak.set(lingering().max(peak.get()));
            }
        });
        for _ in 0..clients {
            let heard = heard.clone();
            world.spawn_on(world.exec.new_node(), async move {
                sleep(Duration::from_millis(1)).await;
                let mut conn = Conn::Plain(Stream::connect(addr, None).await.unwrap());
                let said = conn.write_all(&vec![b'x'; bytes]).await;
                let answer = match said {
                    Ok(()) => hear(&mut conn).await,
                    Err(error) => Err(error),
                };
                heard.borrow_mut().push(answer);
                sleep(stay).await;
            });
        }
        world.run_for(LONG);
        assert_eq!(lingering(), 0, "all have an end");
        (heard.take(), most.get())
    }

    async fn hear(conn: &mut Conn) -> std::io::Result<String> {
        let (mut all, mut space) = (Vec::new(), [0; 64]);
        loop {
            match conn.read(&mut space).await? {
                0 => return Ok(String::from_utf8_lossy(&all).into_owned()),
                read => all.extend_from_slice(&space[..read]),
            }
        }
    }

    #[test]
    fn a_client_that_sends_more_hears_the_answer_and_the_end() {
        for stay in [Duration::ZERO, 5 * Duration::from_millis(LINGER_MS)] {
            let (heard, most) = talk(3, 20_000, stay);
            for answer in &heard {
                assert_eq!(answer.as_ref().unwrap(), "250 taken\r\n");
            }
            assert_eq!((heard.len(), most), (3, 3));
        }
    }

    #[test]
    fn one_that_was_quiet_is_closed_at_once() {
        let world = World::new(7, false);
        let _entered = world.enter();
        let addr = SocketAddr::from(([10, 0, 0, 1], 25));
        let (read, heard) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(Vec::new())));
        let counts = read.clone();
        world.spawn_on(world.exec.new_node(), async move {
            let listener = Listener::bind(addr).unwrap();
            for quiet in [LINGER_MS / 2, 2 * LINGER_MS] {
                let mut conn = Conn::Plain(listener.accept().await.unwrap().bind());
                let since = mono_nanos();
                sleep(Duration::from_millis(quiet)).await;
                conn.write_all(b"421 bye\r\n").await.unwrap();
                leave_quiet(conn, since);
                counts.borrow_mut().push(lingering());
                sleep(2 * Duration::from_millis(LINGER_MS)).await;
            }
        });
        let all = heard.clone();
        world.spawn_on(world.exec.new_node(), async move {
            sleep(Duration::from_millis(1)).await;
            for _ in 0..2 {
                let mut conn = Conn::Plain(Stream::connect(addr, None).await.unwrap());
                let said = hear(&mut conn).await.unwrap();
                all.borrow_mut().push(said);
            }
        });
        world.run_for(LONG);
        assert_eq!(read.take(), [1, 0]);
        assert_eq!(heard.take(), ["421 bye\r\n"; 2]);
    }

    #[test]
    fn so_many_are_read_and_no_more() {
        let clients = LINGERING_MAX + 50;
        let (heard, most) = talk(clients, 1, Duration::from_millis(LINGER_MS));
        assert_eq!((heard.len(), most), (clients, LINGERING_MAX));
        assert!(heard.iter().all(|answer| answer.as_ref().unwrap() == "250 taken\r\n"));
    }
}
