//! States that pass within an instant.

use super::message::{routed, unrouted, work, Place};
use super::ready::{blocked, unblocked};
use super::states::State;
use ringmta_policy::{EgressPath, EgressSource};
use ringmta_queue::carrier::Carrier;
use ringmta_queue::model::{Block, ReadyQueue, Route, ScheduledQueue};
use ringmta_queue::orders::{About, Order, Selector};
use ringmta_queue::plan::Plan;
use ringmta_queue::quota::lease::Registry;
use ringmta_queue::tasks::{Failed, Held, Task};
use ringmta_smtp::response::Response;
use std::rc::Rc;

fn ready(registry: &Registry) -> ReadyQueue {
    let plan = Plan { site: "d.test".into(), hosts: Vec::new(), fixed: true, sts: None };
    let source = EgressSource { name: "s".into(), ..EgressSource::default() };
    ReadyQueue::new(
        "s->d.test@smtp_client".into(),
        "site",
        "pool",
        "d.test",
        Carrier::Smtp,
        Rc::new(source),
        Rc::new(plan),
        Rc::new(EgressPath::default()),
        registry,
    )
}

#[test]
fn the_list_of_work() {
    let about = About::Bounce { selector: Selector::default(), suppress_logging: false };
    let (id, reason, by) = ("o".to_string(), "r".to_string(), String::new());
    let order = Order { id, reason, until_millis: 1, placed_millis: 0, by, marks: true, about };
    let response = Response::internal(451, "text");
    let held = Held { response: response.clone(), via: None, ready: None };
    let failed = Failed { response, via: None, was_ready: false, context: &[] };
    let state = |task: &Task| match work(task) {
        Place::Work(state, order) => (state, order.is_some()),
        _ => panic!("not in the list of work"),
    };
    assert_eq!(state(&Task::Expire), (State::Expiring, false));
    assert_eq!(state(&Task::ExpireUnsent(1)), (State::Expiring, false));
    assert_eq!(state(&Task::Bounce(Rc::new(order))), (State::Bouncing, true));
    assert_eq!(state(&Task::Hold(Rc::new(held))), (State::BeingHeld, false));
    assert_eq!(state(&Task::Rebind(Rc::default(), 1)), (State::BeingMoved, false));
    assert_eq!(state(&Task::Fail(Rc::new(failed))), (State::Failing, false));
}

#[test]
fn scheduled_queues() {
    let registry = Registry::default();
    let queue = ScheduledQueue::new("d.test", registry.get("queue:d.test"));
    *queue.last_trouble.borrow_mut() = "MX of d.test: SERVFAIL".into();
    let answer = unrouted(&queue).unwrap();
    assert_eq!(answer.state, State::NoRoute);
    assert!(answer.because[0]["text"].as_str().unwrap().contains("SERVFAIL"));
    *queue.route.borrow_mut() = Some(Rc::new(Route::new(vec![(1, Rc::new(ready(&registry)))])));
    assert!(unrouted(&queue).is_none());
    assert_eq!(routed(&queue).state, State::MovingOn);
}

#[test]
fn ready_queues() {
    let registry = Registry::default();
    let ready = ready(&registry);
    assert_eq!(unblocked(&ready).state, State::AboutToConnect);
    for (block, state) in [
        (Block::ConnectionRate, State::ConnectionRate),
        (Block::MessageRate, State::MessageRate),
        (Block::HostsDown, State::HostsDown),
        (Block::OutOfStep, State::OutOfStep),
        (Block::Receiver, State::ReceiverPaused),
    ] {
        ready.blocked_by.set(block);
        assert_eq!(blocked(&ready).state, state);
    }
}
