//! `kumo.configure_local_logs`, `kumo.configure_log_hook` and `kumo.configure_http_log_hook`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ringmta_mail::Meta;

use crate::enums::RecordsBody;
use crate::option_table;
use crate::plain::Plain;
use crate::secret::{SecretText, SecretUrl};
use crate::spool::MinFree;
use crate::table::{Notes, OptionTable, Support};
use crate::value::OptionValue;

/// Free space that log files leave unless a policy says otherwise: new mail is refused long before (`min_free_space`), and
/// what is still to be delivered and told has room to the end.
const KEEP_FREE: MinFree = MinFree::Percent(5.0);

option_table! {
    /// Log files: zstd-compressed JSON lines.
    pub struct LocalLogs for "kumo.configure_local_logs" {
        /// Folder.
        log_dir: PathBuf = PathBuf::new(); Support::Required,
        /// Uncompressed bytes after which a segment is closed.
        max_file_size: u64 = 1_000_000_000,
        /// Age at which a segment is closed, even when nothing is written (duration).
        max_segment_duration: Option<Duration> = None,
        /// zstd level; 0 = its default.
        compression_level: u32 = 0,
        /// Records that may wait to be written.
        back_pressure: usize = 128_000; Support::NoEffect("what waits is bounded by its bytes"),
        /// Metadata to put into records; a trailing `*` matches the rest.
        meta: Vec<String> = Vec::new(),
        /// Headers to put into records; a trailing `*` matches the rest.
        headers: Vec<String> = Vec::new(),
        /// Other settings for single record types, or for `Any` other.
        per_record: BTreeMap<String, RecordParams> = BTreeMap::new(),
        /// Write an index of ids, addresses and Message-IDs with each segment, in the folder `.index`, so that `ringmta ctl find` answers at once. Segments are then rows of zstd frames: readers must read on over their ends, as zstdcat does.
        index: bool = false,
        /// Age at which a finished segment is removed (duration); never unless given.
        keep_for: Option<Duration> = None,
        /// Bytes of all finished segments together; beyond it the oldest are removed.
        keep_bytes: Option<u64> = None,
        /// Free space on the disk of the log; below it the oldest finished segments are removed, however old they are. `0%` removes none for lack of room.
        keep_free_space: MinFree = KEEP_FREE,
        /// Event that decides which records are written: it gets the message and the record, and what it does not answer with `false` is written.
        filter_event: Option<String> = None,
        /// Free space below which new mail is refused.
        min_free_space: MinFree = MinFree::Percent(10.0),
        /// Free inodes below which new mail is refused.
        min_free_inodes: MinFree = MinFree::Percent(10.0),
    }
}

option_table! {
    /// Who has authenticated, and who was let in where: zstd-compressed JSON lines.
    pub struct AccountingLog for "kumo.aaa.configure_acct_log" {
        /// Folder.
        log_dir: PathBuf = PathBuf::new(); Support::Required,
        /// Uncompressed bytes after which a segment is closed.
        max_file_size: u64 = 1_000_000_000,
        /// Age at which a segment is closed, even when nothing is written (duration); a day unless given.
        max_segment_duration: Option<Duration> = None,
        /// zstd level; 0 = its default.
        compression_level: u32 = 0,
        /// Records that may wait to be written.
        back_pressure: usize = 128_000; Support::NoEffect("what waits is bounded by its bytes"),
        /// Age at which a finished segment is removed (duration); never unless given.
        keep_for: Option<Duration> = None,
        /// Bytes of all finished segments together; beyond it the oldest are removed.
        keep_bytes: Option<u64> = None,
        /// Free space on the disk of the log; below it the oldest finished segments are removed, however old they are. `0%` removes none for lack of room.
        keep_free_space: MinFree = KEEP_FREE,
        /// Free space below which new mail is refused.
        min_free_space: MinFree = MinFree::Percent(10.0),
        /// Free inodes below which new mail is refused.
        min_free_inodes: MinFree = MinFree::Percent(10.0),
        /// Log requests that were let in.
        log_authz_allow: bool = true,
        /// Log requests that were not.
        log_authz_deny: bool = true,
        /// Log credentials that were right.
        log_authn_ok: bool = true,
        /// Log credentials that were wrong.
        log_authn_fail: bool = true,
    }
}

option_table! {
    /// Records handed to the policy's Lua.
    pub struct LogHook for "kumo.configure_log_hook" check check {
        /// Its name; the policy recognises the hook by it.
        name: String = String::new(); Support::Required,
        /// Records that may wait.
        back_pressure: usize = 128_000; Support::NoEffect("hooks read the durable event log with a cursor"),
        /// Metadata to put into records; a trailing `*` matches the rest.
        meta: Vec<String> = Vec::new(),
        /// Headers to put into records; a trailing `*` matches the rest.
        headers: Vec<String> = Vec::new(),
        /// Other settings for single record types, or for `Any` other.
        per_record: BTreeMap<String, RecordParams> = BTreeMap::new(),
        /// Keep log messages in memory.
        deferred_spool: bool = false; Support::NoEffect("hooks read the durable event log with a cursor"),
        /// Event that makes the connection for records in the hook's own queue, `<name>.log_hook`, whatever protocol that queue's configuration names. Records are put there unless `should_enqueue_log_record` names another queue.
        constructor: Option<String> = None,
        /// Records per `send_batch` of that constructor.
        batch_size: usize = 1,
        /// Fewer are sent only after `max_batch_latency`.
        min_batch_size: usize = 1,
        /// Longest wait for a batch to fill (duration).
        max_batch_latency: Duration = Duration::ZERO,
        /// Bytes of events that may wait for their receivers, over all shards; beyond it the oldest are given up.
        max_backlog_bytes: u64 = BACKLOG_BYTES,
    }
}

option_table! {
    /// Records handed to an event of the policy at once, with the message they are about: `log_disposition_<name>`.
    pub struct LogDispositionHook for "kumo.configure_log_disposition_hook" check check {
        /// Its name; the event is called after it.
        name: String = String::new(); Support::Required,
        /// Which record types: `enable`, by type or for `Any` other.
        per_record: BTreeMap<String, RecordParams> = BTreeMap::new(),
    }
}

impl LogDispositionHook {
    fn check(&mut self, _: &mut Notes) -> Result<(), String> {
        let plain = RecordParams::default();
        for (kind, params) in &self.per_record {
            if (RecordParams { enable: true, ..params.clone() }) != plain {
                return Err(format!(
                    "option `per_record`: {kind}: only `enable` has a meaning for an event"
                ));
            }
        }
        Ok(())
    }

    /// Which records.
    pub fn select(&self) -> LogRecordSelect {
        LogRecordSelect::new(&[], &[], &self.per_record)
    }

    /// The event it fires.
    pub fn event(&self) -> String {
        format!("log_disposition_{}", self.name)
    }
}

option_table! {
    /// Records posted to a web address by the engine itself, as JSON arrays or one by one.
    pub struct HttpLogHook for "kumo.configure_http_log_hook" check check {
        /// Its name.
        name: String = String::new(); Support::Required,
        /// Where batches are posted.
        url: SecretUrl = SecretUrl::default(); Support::Required,
        /// Headers of each request.
        request_headers: BTreeMap<String, SecretText> = BTreeMap::new(),
        /// How records are put into requests: `Array`, as many as `batch_size` says, or `Object`, one per request.
        body: RecordsBody = RecordsBody::Array,
        /// Records per request.
        batch_size: usize = BATCH_SIZE,
        /// Longest wait for a batch to fill (duration).
        max_batch_latency: Duration = Duration::from_secs(1),
        /// Deadline of one request (duration).
        timeout: Duration = Duration::from_secs(60),
        /// `gzip` compresses the bodies of requests; `none` does not.
        compression: String = "none".into(),
        /// Secret that signs requests as Standard Webhooks has it (`webhook-signature`): `whsec_` and base64, or any text. What is signed is the JSON, compressed or not.
        signing_secret: Option<SecretText> = None,
        /// Put `event_id` into each record: the same each time an event is told, over restarts and replays.
        event_ids: bool = false,
        /// Age at which an event that its receiver has not taken is given up (duration).
        max_age: Duration = Duration::from_secs(7 * 86_400),
        /// Bytes of events that may wait for the receiver, over all shards; beyond it the oldest are given up.
        max_backlog_bytes: u64 = BACKLOG_BYTES,
        /// Metadata to put into records; a trailing `*` matches the rest.
        meta: Vec<String> = Vec::new(),
        /// Headers of the message to put into records; a trailing `*` matches the rest.
        headers: Vec<String> = Vec::new(),
        /// Other settings for single record types, or for `Any` other.
        per_record: BTreeMap<String, RecordParams> = BTreeMap::new(),
    }
}

/// Records of one request, unless the policy says otherwise.
const BATCH_SIZE: usize = 100;
/// Bytes of events that wait for their receiver, unless the policy says otherwise.
const BACKLOG_BYTES: u64 = 8 * 1024 * 1024 * 1024;
/// Fewest that make sense: a few seconds of a busy engine.
const BACKLOG_BYTES_MIN: u64 = 1024 * 1024;

fn backlog(bytes: u64) -> Result<(), String> {
    match bytes < BACKLOG_BYTES_MIN {
        true => Err(format!(
            "option `max_backlog_bytes`: {bytes} is too few, expected at least {BACKLOG_BYTES_MIN}"
        )),
        false => Ok(()),
    }
}

impl LogHook {
    fn check(&mut self, _: &mut Notes) -> Result<(), String> {
        backlog(self.max_backlog_bytes)
    }
}

impl HttpLogHook {
    fn check(&mut self, _: &mut Notes) -> Result<(), String> {
        if self.body == RecordsBody::Object {
            if self.batch_size > 1 && self.batch_size != BATCH_SIZE {
                return Err(format!(
                    "option `batch_size`: {} records do not fit where `body` is 'Object': each request holds one",
                    self.batch_size
                ));
            }
            self.batch_size = 1;
        }
        if self.per_record.values().any(|p| p.template.is_some()) {
            return Err("option `per_record`: records are posted as JSON, `template` is for configure_log_hook".into());
        }
        if !["none", "gzip"].contains(&self.compression.as_str()) {
            let given = &self.compression;
            return Err(format!(
                "option `compression`: invalid value: string {given:?}, expected `gzip` or `none`"
            ));
        }
        backlog(self.max_backlog_bytes)
    }

    /// Whether bodies are compressed.
    pub fn is_compressed(&self) -> bool {
        self.compression == "gzip"
    }
}

option_table! {
    /// Settings for one type of record.
    pub struct RecordParams for "per_record" check compile {
        /// Write records of this type.
        enable: bool = true,
        /// Appended to segment names.
        suffix: Option<String> = None,
        /// Folder, when it differs.
        log_dir: Option<PathBuf> = None,
        /// Template (Jinja) of the text to write instead of JSON. It sees the fields of the record, the names of `headers` in lower case, and `log_record`, the whole record.
        template: Option<String> = None,
        /// First line of each segment.
        segment_header: String = String::new(),
    }
}

impl RecordParams {
    fn compile(&mut self, notes: &mut Notes) -> Result<(), String> {
        match (&self.template, notes.check_template) {
            (Some(text), Some(check)) => check(text).map_err(|e| format!("option `template`: {e}")),
            _ => Ok(()),
        }
    }
}

/// The record types there are.
pub const RECORD_TYPES: [&str; 14] = [
    "Reception",
    "Delivery",
    "Bounce",
    "TransientFailure",
    "Expiration",
    "AdminBounce",
    "OOB",
    "Feedback",
    "Rejection",
    "AdminRebind",
    "DeferredInjectionRebind",
    "Delayed",
    "XferOut",
    "XferIn",
];

impl OptionValue for RecordParams {
    const TYPE: &'static str = "a table of record settings";
    fn parse(v: &Plain, notes: &mut Notes) -> Result<RecordParams, String> {
        <RecordParams as OptionTable>::parse(v, notes)
    }
    fn to_plain(&self) -> Plain {
        self.fields()
    }
}

/// Names with an optional trailing `*`; header names match in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patterns(Vec<(String, bool)>);

impl Patterns {
    /// Reads the patterns.
    pub fn new<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Patterns {
        let split = |s: S| match s.as_ref().strip_suffix('*') {
            Some(prefix) => (prefix.to_owned(), true),
            None => (s.as_ref().to_owned(), false),
        };
        Patterns(items.into_iter().map(split).collect())
    }

    /// Whether nothing can match.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a name matches one of them.
    pub fn matches(&self, name: impl AsRef<[u8]>) -> bool {
        let name = name.as_ref();
        self.0.iter().any(|(p, prefix)| match prefix {
            true => name.get(..p.len()).is_some_and(|head| head.eq_ignore_ascii_case(p.as_bytes())),
            false => name.eq_ignore_ascii_case(p.as_bytes()),
        })
    }
}

/// Which records, and what of each message they carry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogRecordSelect {
    /// Metadata names.
    pub meta: Patterns,
    /// Header names.
    pub headers: Patterns,
    /// Settings by record type.
    pub per_record: BTreeMap<String, RecordParams>,
}

impl LogRecordSelect {
    fn new(
        meta: &[String],
        headers: &[String],
        per_record: &BTreeMap<String, RecordParams>,
    ) -> LogRecordSelect {
        LogRecordSelect {
            meta: Patterns::new(meta),
            headers: Patterns::new(headers),
            per_record: per_record.clone(),
        }
    }

    /// The settings of a record type: its own, else those of `Any`.
    pub fn params(&self, record_type: &str) -> Option<&RecordParams> {
        self.per_record.get(record_type).or_else(|| self.per_record.get("Any"))
    }

    /// The key of `per_record` that a record type follows.
    pub fn key_of<'a>(&self, record_type: &'a str) -> &'a str {
        match self.per_record.contains_key(record_type) {
            true => record_type,
            false => "Any",
        }
    }

    /// Whether records of this type are wanted.
    pub fn wants(&self, record_type: &str) -> bool {
        self.params(record_type).is_none_or(|p| p.enable)
    }

    /// The metadata a record carries; null values are left out.
    pub fn pick_meta(&self, meta: &Meta) -> Meta {
        let wanted = |(k, v): &(&String, &serde_json::Value)| !v.is_null() && self.meta.matches(k);
        meta.iter().filter(wanted).map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// The decoded headers a record carries; of several with one name the first.
    pub fn pick_headers(&self, body: &[u8]) -> Meta {
        let mut out = Meta::new();
        if self.headers.is_empty() {
            return out;
        }
        for field in ringmta_mail::headers::HeaderBlock::new(body).fields() {
            if !self.headers.matches(field.name) {
                continue;
            }
            let name = String::from_utf8_lossy(field.name);
            if !out.contains_key(&*name) {
                out.insert(name.into_owned(), field.decoded().into());
            }
        }
        out
    }
}

macro_rules! selecting {
    ($($ty:ty),+) => { $(
        impl $ty {
            /// Which records, and what of each message they carry.
            pub fn select(&self) -> LogRecordSelect {
                LogRecordSelect::new(&self.meta, &self.headers, &self.per_record)
            }
        }
    )+ };
}
selecting!(LocalLogs, LogHook, HttpLogHook);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selection() {
        let logs = LocalLogs {
            meta: vec!["tenant".into(), "x_*".into()],
            headers: vec!["Subject".into(), "X-*".into()],
            ..Default::default()
        };
        let s = logs.select();
        let meta = serde_json::json!({"tenant": "t", "x_a": 1, "other": 2, "x_null": null});
        assert_eq!(
            serde_json::Value::from(s.pick_meta(meta.as_object().unwrap())),
            serde_json::json!({"tenant": "t", "x_a": 1})
        );
        let got =
            s.pick_headers(b"subject: =?utf-8?q?h=C3=A9?=\r\nX-A: 1\r\n 2\r\nTo: x\r\n\r\nX-B: no");
        assert_eq!(
            serde_json::Value::from(got),
            serde_json::json!({"subject": "hé", "X-A": "1 2"})
        );
    }

    #[test]
    fn any_stands_for_the_rest() {
        let off = RecordParams { enable: false, ..Default::default() };
        let logs = LocalLogs {
            per_record: [("Any".to_string(), off), ("Bounce".to_string(), RecordParams::default())]
                .into(),
            ..Default::default()
        };
        assert!(logs.select().wants("Bounce"));
        assert!(!logs.select().wants("Delivery"));
        assert!(LocalLogs::default().select().wants("Delivery"));
    }
}
