//! A message in the hand of a delivery.

use ringmta_policy::Message;
use ringmta_queue::hand::Hand;
use ringmta_queue::model::Item;

/// A message that may be delivered now.
pub struct Delivery {
    /// Its place in the queues.
    pub item: Item,
    /// The message, body in memory.
    pub message: Message,
    /// Says that it is in this delivery's hand.
    pub hand: Hand,
    /// When it was taken into it: unix nanoseconds.
    pub since: u64,
    /// When the rates of its path were charged for it: monotonic nanoseconds.
    pub charged: u64,
}
