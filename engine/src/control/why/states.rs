//! Every state a message can be in, with its words: the one table that the API, `ringmta ctl why` and the book go by.
//! In the words, `{id}`, `{queue}`, `{ready}` and `{order}` stand for the message, its queues, and the order that holds it.

use serde::Serialize;

/// What a state is called, and what is to be said of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Words {
    /// Its name in answers.
    pub name: &'static str,
    /// What it is.
    pub says: &'static str,
    /// What happens next.
    pub next: &'static str,
    /// Commands with which an operator can change it.
    pub can: &'static [&'static str],
}

macro_rules! states {
    ($( $(#[doc = $doc:literal])+ $state:ident: $name:literal, $says:literal, $next:literal, [$($can:literal),*]; )+) => {
        /// A state of a message.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum State {
            $( $(#[doc = $doc])+ $state, )+
        }

        impl State {
            /// All there are.
            pub const ALL: &'static [State] = &[ $( State::$state, )+ ];

            /// Its words.
            pub const fn words(self) -> Words {
                match self {
                    $( State::$state => Words { name: $name, says: $says, next: $next, can: &[$($can),*] }, )+
                }
            }
        }
    };
}

states! {
    /// An attempt has failed; the next one is due later.
    Deferred: "deferred", "It waits for its next attempt: the last one failed for now.",
        "It is tried again when that time has come.",
        ["try-now {id}", "hold {id} --reason WHY", "delete {id} --reason WHY"];
    /// It was never tried and is not due yet.
    PutOff: "put-off", "It was not tried yet: the policy has put it off.",
        "It is tried when that time has come.",
        ["try-now {id}", "delete {id} --reason WHY"];
    /// The schedule of the message names a first attempt.
    FirstAttemptLater: "first-attempt-later", "Its schedule says that it is not to be tried before a set time.",
        "It is tried when that time has come.",
        ["delete {id} --reason WHY"];
    /// The schedule of the message names hours.
    WindowClosed: "window-closed", "The hours in which it may be delivered have not come.",
        "It is tried when they begin.",
        ["delete {id} --reason WHY"];
    /// An order holds the scheduled queue.
    Suspended: "suspended", "An operator has suspended its scheduled queue.",
        "It goes on when the order ends; no attempt is charged meanwhile.",
        ["cancel {order}"];
    /// An order holds all ready queues of the route.
    ReadySuspended: "ready-suspended", "An operator has suspended every ready queue it may leave by.",
        "It goes on when the order ends; no attempt is charged meanwhile.",
        ["cancel {order}"];
    /// An order holds this message.
    Held: "held", "An operator holds this message.",
        "It goes on when the order ends; no attempt is charged meanwhile.",
        ["release {id}", "delete {id} --reason WHY"];
    /// An order fails its mail.
    Bouncing: "bouncing", "An operator fails all mail of its queue, this message too.",
        "It is failed within moments, with a record of type AdminBounce.",
        ["cancel {order}"];
    /// Taken by a listener with `deferred_queue`; policy has not seen it.
    AwaitingPolicy: "awaiting-policy", "It was accepted before the policy was asked about it, and waits for that.",
        "The policy is asked about it in its turn.",
        ["queue {queue}"];
    /// The route of the queue is looked for.
    FindingRoute: "finding-route", "Its route is being found: the policy is asked, and the DNS.",
        "It moves on when the answer is there.",
        ["why {queue}", "metrics dns"];
    /// No route is known, and none is looked for now.
    NoRoute: "no-route", "There is no route for its queue.",
        "A route is looked for again within a second; without one this counts as a failed attempt.",
        ["why {queue}", "reload"];
    /// The rate of the scheduled queue is used up.
    QueueRate: "queue-rate", "The rate of its scheduled queue is used up.",
        "It moves on in its turn, as the rate lets mail through.",
        ["queue {queue}"];
    /// No ready queue of the route has room.
    ReadyFull: "ready-full", "Every ready queue it may leave by is full.",
        "It moves on in its turn, as messages there are delivered.",
        ["why {ready}"];
    /// No source of the pool may be chosen.
    NoSource: "no-source", "No source of its pool may be chosen now.",
        "It has a turn of its own when a source is free again.",
        ["why {ready}"];
    /// It is its turn soon.
    MovingOn: "moving-on", "It is on its way to a ready queue; others are before it.",
        "It moves on within moments.",
        ["queue {queue}"];
    /// A connection is being opened.
    Connecting: "connecting", "A connection to its site is being opened.",
        "It is sent when a host takes the connection.",
        ["ready {ready}"];
    /// No host takes a connection.
    HostsDown: "hosts-down", "No host of its site has taken a connection lately; the site is left alone for a moment.",
        "A connection is tried again when that is over; a message whose connection fails has had an attempt.",
        ["ready {ready}"];
    /// All leases of a connection limit are out.
    ConnectionLimit: "connection-limit", "All connections that a limit allows are open already.",
        "It is sent over the first connection that is free.",
        ["ready {ready}"];
    /// The rate of connections is used up.
    ConnectionRate: "connection-rate", "The rate of new connections to its site is used up.",
        "A connection is opened when the rate allows one.",
        ["ready {ready}"];
    /// A rate of messages is used up.
    MessageRate: "message-rate", "A rate of messages to its site is used up.",
        "It is sent in its turn, as the rate lets mail through.",
        ["ready {ready}"];
    /// Answers did not fit the commands.
    OutOfStep: "out-of-step", "A host of its site answers out of step; the site is left alone for a moment.",
        "A connection is tried again when that is over; no attempt is charged.",
        ["ready {ready}"];
    /// The receiver of a policy's own connection fails.
    ReceiverPaused: "receiver-paused", "Its receiver takes nothing now, and is left alone for a moment.",
        "It is tried again when that is over.",
        ["ready {ready}"];
    /// Connections are open and busy.
    InLine: "in-line", "It stands in line: the open connections are busy with messages before it.",
        "It is sent in its turn.",
        ["ready {ready}"];
    /// There is no connection yet, and nothing forbids one.
    AboutToConnect: "about-to-connect", "A connection for it is about to be opened.",
        "It is sent when a host takes the connection.",
        ["ready {ready}"];
    /// Over a connection, now.
    Delivering: "delivering", "It is being delivered now.",
        "The answer of the host decides.",
        ["abort {ready} {session}"];
    /// In the hand of a task that is not a connection's delivery.
    InHand: "in-hand", "It is in work: the policy is being asked about it, or what has become of it is being written.",
        "It is in a queue again, or done, within moments.",
        ["message {id}"];
    /// Its life is over.
    Expiring: "expiring", "It has outlived its time, and is about to be failed.",
        "It is failed within moments, with a record of type Expiration.",
        ["queue {queue}"];
    /// A failed attempt is being recorded.
    Failing: "failing", "An attempt has failed before any host saw it, which is about to be recorded.",
        "It is tried again later, or failed when the answer is final.",
        ["message {id}"];
    /// A hold is being recorded.
    BeingHeld: "being-held", "An operator's order holds it, which is about to be recorded.",
        "It waits for the end of the order.",
        ["orders"];
    /// An operator's rebind has it.
    BeingMoved: "being-moved", "An operator moves it to another queue, which is about to be done.",
        "It goes on in the queue it then belongs to.",
        ["message {id}"];
    /// The spool does not give it.
    Unreadable: "unreadable", "It cannot be read from the spool.",
        "It is tried again in its turn: a disk's trouble may pass.",
        ["self-check"];
}

impl State {
    /// It is the state of all that an operator's order is about, from the order on.
    pub fn is_ordered(self) -> bool {
        matches!(self, State::Suspended | State::ReadySuspended | State::Held | State::Bouncing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_state_has_words_of_its_own() {
        let words: Vec<Words> = State::ALL.iter().map(|state| state.words()).collect();
        let names: BTreeSet<&str> = words.iter().map(|words| words.name).collect();
        let says: BTreeSet<&str> = words.iter().map(|words| words.says).collect();
        assert_eq!((names.len(), says.len()), (words.len(), words.len()));
        for words in words {
            assert!(words.says.ends_with('.') && words.next.ends_with('.'), "{words:?}");
            assert!(!words.can.is_empty(), "{words:?}");
        }
    }

    #[test]
    fn the_book_has_the_table() {
        let book = include_str!("../../../../docs/src/why.md");
        for state in State::ALL {
            let Words { name, says, next, .. } = state.words();
            let row = format!("| `{name}` | {says} | {next} |");
            assert!(book.contains(&row), "docs/src/why.md lacks: {row}");
        }
    }

    /// Each state is made to happen by a scenario, or, where it passes within an instant, by a test beside this file.
    #[test]
    fn every_state_is_held_by_a_test() {
        let scenarios = include_str!("../../../tests/scenarios/why.rs");
        let instants = include_str!("tests.rs");
        for state in State::ALL {
            let (name, variant) = (state.words().name, format!("State::{state:?}"));
            assert!(
                scenarios.contains(&format!("\"{name}\"")) || instants.contains(&variant),
                "no test of {name}"
            );
        }
    }
}
