//! One record of Kafka.

use std::collections::BTreeMap;
use std::time::Duration;

use ringmta_options::plain::Plain;
use ringmta_options::*;

use crate::limits::KAFKA_SEND_TIMEOUT;

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
