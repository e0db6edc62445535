//! Hooks: readers of the event log that pass events on, in order, at least once, with backoff.

use super::hook_log::HookLog;
use crate::io;
use crate::limits::{HOOK_READ_BYTES, HOOK_RETRY_MAX_MS, HOOK_RETRY_MIN_MS};
use crate::shard::Shard;
use ringmta_policy::{
    EnvelopeAddress, HttpLogHook, LogHook, LogRecordSelect, LogTemplate, LuaConnection, Message,
    Meta,
};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// One hook on one shard.
pub struct Hook {
    /// Its name.
    pub name: String,
    /// What it wants of which events.
    pub select: LogRecordSelect,
    /// What it has not taken yet.
    pub log: HookLog,
    target: Target,
    /// Templates of the texts its messages carry, by record type or `Any`.
    templates: BTreeMap<String, LogTemplate>,
}

enum Target {
    /// The policy's own `send` or `send_batch`.
    Lua(Box<LogHook>),
    /// Posted by the engine.
    Http(Arc<HttpLogHook>),
}

impl Hook {
    /// A hook of the policy.
    pub fn lua(options: &LogHook, log: HookLog) -> Hook {
        let target = Target::Lua(Box::new(options.clone()));
        let select = options.select();
        let templates = select.templates();
        Hook { name: options.name.clone(), select, log, target, templates }
    }

    /// A hook of the engine.
    pub fn http(options: &HttpLogHook, log: HookLog) -> Hook {
        let target = Target::Http(Arc::new(options.clone()));
        let (name, select) = (options.name.clone(), options.select());
        Hook { name, select, log, target, templates: BTreeMap::new() }
    }

    /// (events per call, fewest before the wait is over, longest wait).
    fn batching(&self) -> (usize, usize, Duration) {
        match &self.target {
            Target::Lua(o) => (o.batch_size.max(1), o.min_batch_size.max(1), o.max_batch_latency),
            Target::Http(o) => (o.batch_size.max(1), o.batch_size.max(1), o.max_batch_latency),
        }
    }
}

/// Feeds one hook for ever; one task per hook and shard.
pub async fn run(shard: Rc<Shard>, hook: Rc<Hook>) {
    const IDLE: Duration = Duration::from_millis(20);
    let (most, fewest, patience) = hook.batching();
    let mut connection = None;
    let mut waited = Duration::ZERO;
    loop {
        hook.log.wait().await;
        // Events come in herds: a short wait makes one flush and one batch of them.
        io::sleep(IDLE).await;
        hook.log.flush().await;
        let backlog = hook.log.backlog.get() as usize;
        if backlog < fewest && waited < patience {
            waited += IDLE;
            continue;
        }
        waited = Duration::ZERO;
        let (lines, position) = match hook.log.read(most, HOOK_READ_BYTES).await {
            Ok(read) => read,
            Err(error) => {
                tracing::error!("hook {}: event log cannot be read: {error}", hook.name);
                io::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        if lines.is_empty() {
            io::sleep(IDLE).await;
            continue;
        }
        let count = lines.len();
        deliver(&shard, &hook, lines, &mut connection).await;
        if let Err(error) = hook.log.commit(position, count).await {
            tracing::error!("hook {}: cursor cannot be kept: {error}", hook.name);
        }
    }
}

/// Passes one batch on; returns when the receiver has it, however long that takes.
async fn deliver(
    shard: &Rc<Shard>,
    hook: &Hook,
    lines: Vec<String>,
    connection: &mut Option<LuaConnection>,
) {
    let mut pause = HOOK_RETRY_MIN_MS;
    let lines = Arc::new(lines);
    let messages = match &hook.target {
        Target::Lua(_) => wanted(shard, hook, &lines).await,
        Target::Http(_) => Vec::new(),
    };
    let mut sent = 0;
    loop {
        let result = match &hook.target {
            Target::Http(options) => post(shard, options.clone(), lines.clone()).await,
            Target::Lua(options) => {
                send_lua(shard, options, &messages, &mut sent, connection).await
            }
        };
        let Err(why) = result else {
            return io::sim::tell(&io::sim::Note::Told { events: &lines });
        };
        tracing::warn!("hook {}: {why}; trying again in {pause} ms", hook.name);
        *connection = None;
        io::sleep(Duration::from_millis(pause + io::random_u64() % (pause / 4 + 1))).await;
        pause = (pause * 2).min(HOOK_RETRY_MAX_MS);
    }
}

/// The events the policy wants for this hook, as the messages its handlers expect.
async fn wanted(shard: &Rc<Shard>, hook: &Hook, lines: &[String]) -> Vec<Message> {
    let policy = shard.policy();
    let ask = policy.handles("should_enqueue_log_record");
    let mut messages = Vec::with_capacity(lines.len());
    for line in lines {
        let message = as_message(shard, hook, line);
        // A filter that fails must not lose events: it is asked again with the next version of
        // the policy only if the event is passed on, so it is.
        let wanted =
            !ask || policy.should_enqueue_log_record(&message, &hook.name).await.unwrap_or(true);
        if wanted {
            messages.push(message);
        }
    }
    messages
}

fn as_message(shard: &Shard, hook: &Hook, line: &str) -> Message {
    let (id, _) = shard.ids.next();
    let mut meta = Meta::new();
    let record: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let key = hook.select.key_of(record["type"].as_str().unwrap_or_default());
    let text = match hook.templates.get(key).map(|template| template.render(line.as_bytes())) {
        Some(Ok(text)) => text,
        Some(Err(why)) => {
            tracing::error!("hook {}: log template: {why}", hook.name);
            line.to_string()
        }
        None => line.to_string(),
    };
    meta.insert("log_record".into(), record);
    meta.insert("reception_protocol".into(), "LogRecord".into());
    meta.insert("queue".into(), format!("{}.log_hook", hook.name).into());
    let recipient = EnvelopeAddress::parse(&format!("record@{}.log_hook", hook.name));
    let recipients = recipient.into_iter().collect();
    let body = Rc::new(text.into_bytes());
    Message::new(id, EnvelopeAddress::null(), recipients, meta, body)
}

async fn send_lua(
    shard: &Rc<Shard>,
    options: &LogHook,
    messages: &[Message],
    sent: &mut usize,
    connection: &mut Option<LuaConnection>,
) -> Result<(), String> {
    if connection.is_none() {
        let constructor = options
            .constructor
            .clone()
            .unwrap_or_else(|| format!("make.{}.log_hook", options.name));
        let domain = format!("{}.log_hook", options.name);
        let opened = shard.policy().open_connection(&constructor, &domain, None, None).await;
        *connection = Some(opened.map_err(|error| error.to_string())?);
    }
    let Some(open) = connection else { return Ok(()) };
    if open.has_batch() && options.batch_size > 1 {
        if !messages.is_empty() {
            open.send_batch(messages).await.map_err(|error| error.to_string())?;
        }
        return Ok(());
    }
    while let Some(message) = messages.get(*sent) {
        match open.send(message).await {
            Ok(_) => {}
            Err(error) => match error.rejection() {
                // The policy refuses this event for good: it is dropped, loudly.
                Some(rejection) if rejection.code >= 500 => {
                    tracing::error!("hook {}: event dropped by policy: {rejection}", options.name);
                }
                _ => return Err(error.to_string()),
            },
        }
        *sent += 1;
    }
    Ok(())
}

/// Posts a batch as a JSON array from the helper pool.
async fn post(
    shard: &Rc<Shard>,
    options: Arc<HttpLogHook>,
    lines: Arc<Vec<String>>,
) -> Result<(), String> {
    let agent = shard.process.http_agent.clone();
    shard
        .process
        .policy_shared
        .helpers()
        .run(move || {
            let mut body =
                String::with_capacity(lines.iter().map(|l| l.len() + 1).sum::<usize>() + 2);
            body.push('[');
            body.push_str(&lines.join(","));
            body.push(']');
            let mut request = agent
                .post(&options.url)
                .config()
                .timeout_global(Some(options.timeout))
                .http_status_as_error(false)
                .build()
                .header("content-type", "application/json");
            for (name, value) in &options.request_headers {
                request = request.header(name, &value.0);
            }
            match request.send(body.as_bytes()) {
                Ok(response) if response.status().is_success() => Ok(()),
                Ok(response) => Err(format!("{} answered {}", options.url, response.status())),
                Err(error) => Err(format!("{}: {error}", options.url)),
            }
        })
        .await
}
