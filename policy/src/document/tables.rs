//! The option tables there are.

use ringmta_options::*;

/// One option table: the function that takes it, and its options.
pub struct TableDef {
    /// `kumo.make_queue_config`.
    pub call: &'static str,
    /// Name of the class in annotations.
    pub class: &'static str,
    /// Its options.
    pub options: &'static [OptionDef],
}

fn table<T: OptionTable>(class: &'static str) -> TableDef {
    TableDef { call: T::CALL, class, options: T::OPTIONS }
}

/// All option tables.
pub fn tables() -> Vec<TableDef> {
    vec![
        table::<EsmtpListener>("EsmtpListenerOptions"),
        table::<HttpListener>("HttpListenerOptions"),
        table::<Spool>("SpoolOptions"),
        table::<LocalLogs>("LocalLogsOptions"),
        table::<AccountingLog>("AccountingLogOptions"),
        table::<RecordParams>("RecordOptions"),
        table::<LogHook>("LogHookOptions"),
        table::<LogDispositionHook>("LogDispositionHookOptions"),
        table::<HttpLogHook>("HttpLogHookOptions"),
        table::<QueueConfig>("QueueOptions"),
        table::<EgressPath>("EgressPathOptions"),
        table::<EgressSource>("EgressSourceOptions"),
        table::<EgressPool>("EgressPoolOptions"),
        table::<PoolEntry>("PoolEntryOptions"),
        table::<LuaProtocol>("LuaProtocolOptions"),
        table::<MaildirProtocol>("MaildirProtocolOptions"),
        table::<TraceHeaders>("TraceHeaderOptions"),
        table::<PeerLimits>("PeerLimitOptions"),
        table::<ListenerDomain>("ListenerDomainOptions"),
        table::<DkimSigner>("DkimSignerOptions"),
        table::<crate::families::classifier::BounceClassifier>("BounceClassifierOptions"),
        table::<ringmta_options::ResolverConfig>("ResolverOptions"),
        table::<ringmta_options::NamedResolverConfig>("NamedResolverOptions"),
        table::<ringmta_options::ResolverOptions>("ResolverTuning"),
        table::<crate::families::memoize::MemoizeParams>("MemoizeOptions"),
        table::<crate::families::http::params::ClientParams>("HttpClientOptions"),
        table::<crate::families::shaping::options::ShapingOptions>("ShapingOptions"),
        table::<crate::families::mime::delivery_status::DsnParams>("DsnOptions"),
        table::<crate::families::amqp::options::AmqpMessage>("AmqpPublishOptions"),
        table::<crate::families::amqp::options::AmqpConnection>("AmqpConnectionOptions"),
        table::<crate::families::kafka::record::KafkaRecord>("KafkaRecordOptions"),
        table::<crate::families::nats::client::NatsParams>("NatsOptions"),
        table::<crate::families::redis::client::RedisParams>("RedisOptions"),
        table::<crate::families::jsonl::params::TailerParams>("JsonlTailerOptions"),
        table::<crate::families::jsonl::params::MultiTailerParams>("JsonlMultiTailerOptions"),
        table::<crate::families::jsonl::params::ConsumerParams>("JsonlConsumerOptions"),
        table::<crate::families::jsonl::params::WriterParams>("JsonlWriterOptions"),
        table::<crate::families::counter_series::lua::SeriesParams>("CounterSeriesOptions"),
        table::<crate::families::crypto::AwsParams>("AwsSignOptions"),
    ]
}

/// Default of an option as a policy would write it; nothing when there is none.
pub(super) fn default_text(def: &OptionDef) -> String {
    let json = (def.default)();
    match &json {
        ringmta_options::plain::Plain::Nil => String::new(),
        ringmta_options::plain::Plain::List(l) if l.is_empty() => "{}".into(),
        other => match other.to_json() {
            serde_json::Value::String(s) if s.is_empty() => String::new(),
            v => v.to_string(),
        },
    }
}

/// One line of documentation.
pub(super) fn one_line(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}
