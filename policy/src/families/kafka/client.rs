//! The producer itself. A thread of librdkafka's owns the connections; a record's fate comes back through a channel.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam::channel::{bounded, Receiver, RecvTimeoutError, Sender};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use rdkafka::ClientContext;
use ringmta_options::plain::Plain;

use super::record::KafkaRecord;
use crate::limits::{KAFKA_QUEUE_RETRY, KAFKA_SEND_TIMEOUT, MAX_KAFKA_PRODUCERS};

/// Where a record lies: partition and offset.
type Fate = Result<(i32, i64), String>;

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// A place among the producers of the process; free again when dropped.
struct Counted;

impl Counted {
    fn take() -> Result<Counted, String> {
        if OPEN.fetch_add(1, Ordering::AcqRel) >= MAX_KAFKA_PRODUCERS {
            OPEN.fetch_sub(1, Ordering::AcqRel);
            return Err(format!("{MAX_KAFKA_PRODUCERS} producers are open already"));
        }
        Ok(Counted)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::AcqRel);
    }
}

/// What librdkafka calls back. Keeps its last trouble, which says more than "timed out".
#[derive(Default)]
struct Reports {
    trouble: Mutex<Option<String>>,
}

impl Reports {
    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// `what`, with the last trouble when there was some.
    fn explain(&self, what: &str) -> String {
        match &*self.trouble.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(trouble) => format!("{what} ({trouble})"),
            None => what.to_owned(),
        }
    }
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        use RDKafkaLogLevel as L;
        match level {
            L::Emerg | L::Alert | L::Critical | L::Error => tracing::error!(facility, "{text}"),
            L::Warning => tracing::warn!(facility, "{text}"),
            L::Notice | L::Info => tracing::info!(facility, "{text}"),
            L::Debug => tracing::debug!(facility, "{text}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!("kafka: {}: {reason}", text(&error));
        // That all are down says less than why one is.
        if !matches!(error, KafkaError::Global(RDKafkaErrorCode::AllBrokersDown)) {
            self.set_trouble(Some(reason.to_owned()));
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        tracing::debug!("kafka: {}", String::from_utf8_lossy(statistics));
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Sender<Fate>>;

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Box<Sender<Fate>>) {
        let fate = match result {
            Ok(m) => {
                self.set_trouble(None);
                Ok((m.partition(), m.offset()))
            }
            Err((e, _)) => Err(self.explain(&text(e))),
        };
        // Nobody waits any more when the time was up.
        let _ = waiting.send(fate);
    }
}

/// librdkafka's own words.
fn text(e: &KafkaError) -> String {
    match e {
        KafkaError::ClientConfig(_, said, ..) => said.clone(),
        KafkaError::MessageProduction(code) | KafkaError::Global(code) => code.to_string(),
        other => other.to_string(),
    }
}

/// One producer. Dropping it ends its threads, which takes a moment: not on a shard.
pub(crate) struct Producer {
    inner: ThreadedProducer<Reports>,
    _place: Counted,
}

impl Producer {
    /// A producer with librdkafka's properties; it connects by and by.
    ///
    /// # Errors
    /// What librdkafka says of the properties.
    pub fn new(properties: Vec<(String, String)>) -> Result<Producer, String> {
        let place = Counted::take()?;
        let mut config = ClientConfig::new();
        let limits_time = |(k, _): &(String, String)| {
            matches!(k.as_str(), "message.timeout.ms" | "delivery.timeout.ms")
        };
        // librdkafka goes on for five minutes, and a record that nobody waits for would still go out.
        if !properties.iter().any(limits_time) {
            config.set("message.timeout.ms", KAFKA_SEND_TIMEOUT.as_millis().to_string());
        }
        for (key, value) in properties {
            config.set(key, value);
        }
        let inner = config.create_with_context(Reports::default()).map_err(|e| text(&e))?;
        Ok(Producer { inner, _place: place })
    }

    /// Sends a record and waits until the broker has it. Blocks: for helper threads.
    ///
    /// # Errors
    /// What librdkafka says, or that the time was up: then it may still be delivered.
    pub fn send(&self, record: &KafkaRecord) -> Fate {
        let until = Instant::now() + record.timeout;
        let fate = self.enqueue(record, until)?;
        self.wait(&fate, record, until)
    }

    /// Sends all records at once; the places and errors of those that failed.
    pub fn send_batch(&self, records: &[KafkaRecord]) -> Vec<(usize, String)> {
        let started = Instant::now();
        let sent: Vec<_> = records.iter().map(|r| self.enqueue(r, started + r.timeout)).collect();
        let fates = records.iter().zip(sent).map(|(record, sent)| {
            sent.and_then(|fate| self.wait(&fate, record, started + record.timeout))
        });
        fates.enumerate().filter_map(|(i, fate)| Some((i, fate.err()?))).collect()
    }

    fn enqueue(&self, r: &KafkaRecord, until: Instant) -> Result<Receiver<Fate>, String> {
        let (payload, key) = (bytes("payload", &r.payload)?, bytes("key", &r.key)?);
        let partition = r.partition.map(i32::try_from).transpose();
        let partition = partition.map_err(|_| "`partition` is too large".to_owned())?;
        let add = |all: OwnedHeaders, (key, value): (&String, &String)| {
            all.insert(Header { key, value: Some(value) })
        };
        loop {
            let (waiting, fate) = bounded(1);
            let headers =
                (!r.headers.is_empty()).then(|| r.headers.iter().fold(OwnedHeaders::new(), add));
            let mut record = BaseRecord::with_opaque_to(&r.topic, Box::new(waiting));
            record.payload = payload;
            record.key = key;
            record.partition = partition;
            record.headers = headers;
            match self.inner.send(record) {
                Ok(()) => return Ok(fate),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                    if Instant::now() < until =>
                {
                    std::thread::sleep(KAFKA_QUEUE_RETRY);
                }
                Err((e, _)) => return Err(self.reports().explain(&text(&e))),
            }
        }
    }

    fn wait(&self, fate: &Receiver<Fate>, r: &KafkaRecord, until: Instant) -> Fate {
        match fate.recv_deadline(until) {
            Ok(fate) => fate,
            Err(RecvTimeoutError::Timeout) => {
                let within: Duration = r.timeout;
                let what = format!("not confirmed within {within:?}, it may still be delivered");
                Err(self.reports().explain(&what))
            }
            Err(RecvTimeoutError::Disconnected) => Err("the producer was closed".into()),
        }
    }

    fn reports(&self) -> &Reports {
        self.inner.client().context()
    }
}

fn bytes<'a>(name: &str, v: &'a Plain) -> Result<Option<&'a [u8]>, String> {
    match v {
        Plain::Nil => Ok(None),
        Plain::Str(s) => Ok(Some(s)),
        other => Err(format!("`{name}`: invalid type: {}, expected a string", other.describe())),
    }
}
