//! A Kafka producer, for helper threads. It is librdkafka, so that the names of properties are those operators know; built in with
//! the cargo feature `kafka`.

#[cfg(feature = "kafka")]
mod client;
#[cfg(all(test, feature = "kafka"))]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits::KAFKA_SEND_TIMEOUT;
use crate::options::*;
use crate::plain::Plain;

#[cfg(feature = "kafka")]
pub(crate) use client::Producer;

option_table! {
    /// One record for `send`, or for the list of `send_batch`.
    pub struct KafkaRecord for "kumo.kafka.send" {
        /// Where to.
        topic: String = String::new(); Support::Required,
        /// Content; none is a record without a value.
        payload: Plain = Plain::Nil,
        /// Key: records with the same one go to the same partition.
        key: Plain = Plain::Nil,
        /// Headers, by name.
        headers: BTreeMap<String, String> = BTreeMap::new(),
        /// The partition, when it is not librdkafka that chooses.
        partition: Option<u32> = None,
        /// How long the broker's confirmation is waited for (duration).
        timeout: Duration = KAFKA_SEND_TIMEOUT,
    }
}
