//! What a client hears that has no session, and the end of one that says nothing.

use ringmta_io::linger::leave_quiet;
use ringmta_io::{deadline, leave, stream, Conn};
use ringmta_smtp::reply::Refusal;
use std::time::Duration;

/// Turns a client away without a session.
pub async fn turn_away(mut conn: Conn, refusal: Refusal) {
    let mut out = Vec::new();
    refusal.reply().render(&mut out);
    if matches!(deadline(Duration::from_secs(1), conn.write_all(&out)).await, Ok(Ok(()))) {
        leave(conn);
    }
}

/// Ends the connection of a client that has said nothing since `since`, in nanoseconds of the monotonic clock.
pub fn hang_up(conn: &mut Conn, since: u64) {
    if let Some(conn) = stream::take(conn) {
        leave_quiet(conn, since);
    }
}
