//! Where a shard's events go: log files and hooks.

use super::hook::Hook;
use super::record::{Extras, Kind, Record};
use super::segment::{self, Series};
use crate::io::{self, sim};
use crate::limits;
use crate::shard::Shard;
use ringmta_policy::classify::UNCATEGORIZED;
use ringmta_policy::{ClassifierRules, LocalLogs, LogRecordSelect, Message, ShardClassifier};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The event sinks of one shard.
pub struct Events {
    node_id: String,
    logs: Vec<Log>,
    hooks: Vec<Rc<Hook>>,
    /// Sorts failures, when the policy gave rules for it.
    classifier: Option<ShardClassifier>,
}

/// One `configure_local_logs`: a series per folder and suffix.
struct Log {
    select: LogRecordSelect,
    series: Vec<LogSeries>,
    /// Which of the series a record type goes to, by type name; others to the first.
    special: Vec<(String, usize)>,
}

struct LogSeries {
    /// Taken out while it is being written.
    series: RefCell<Option<Series>>,
    pending: RefCell<Vec<u8>>,
    /// The buffer that was written last: the two take turns, for fresh memory has to be cleared by the
    /// kernel, page by page.
    spare: RefCell<Vec<u8>>,
}

impl Events {
    /// Opens the logs and hooks that the policy asked for.
    ///
    /// # Errors
    /// A text naming the folder that cannot be written.
    pub fn new(node_id: &str, logs: &[LocalLogs], hooks: Vec<Rc<Hook>>) -> Result<Events, String> {
        let logs = logs.iter().map(open_log).collect::<Result<Vec<_>, _>>()?;
        Ok(Events { node_id: node_id.to_string(), logs, hooks, classifier: None })
    }

    /// Sorts failures by these rules, when there are some.
    pub fn with_classifier(self, rules: Option<Arc<ClassifierRules>>) -> Events {
        Events { classifier: rules.map(ShardClassifier::new), ..self }
    }

    /// Whether anyone wants events of this type; asked before one is put together.
    pub fn wants(&self, kind: Kind) -> bool {
        self.logs.iter().any(|log| log.select.wants(kind.name()))
            || self.hooks.iter().any(|hook| hook.select.wants(kind.name()))
            || sim::observed()
    }

    /// Tells an event to everyone who wants it. `message` gives metadata and headers.
    pub fn record(&self, shard: &Rc<Shard>, record: &Record<'_>, message: Option<&Message>) {
        sim::tell(&sim::Note::Event { shard: shard.index, record });
        let now = io::unix_nanos();
        let kind = record.kind.name();
        let response = record.response;
        let category = match &self.classifier {
            Some(rules) if record.kind.is_failure() => {
                let enhanced = response.enhanced;
                rules.classify(response.code, enhanced, &response.content)
            }
            _ => UNCATEGORIZED,
        };
        for log in self.logs.iter().filter(|log| log.select.wants(kind)) {
            let at = log.special.iter().find(|(name, _)| name == kind).map_or(0, |(_, at)| *at);
            let mut pending = log.series[at].pending.borrow_mut();
            let extras = Extras { meta: &log.select.meta, headers: &log.select.headers, category };
            record.encode(&mut pending, &self.node_id, now, message, &extras);
            pending.push(b'\n');
        }
        for hook in self.hooks.iter().filter(|hook| hook.select.wants(kind)) {
            let extras =
                Extras { meta: &hook.select.meta, headers: &hook.select.headers, category };
            hook.log.append(|out| record.encode(out, &self.node_id, now, message, &extras));
        }
    }

    /// Makes what hooks have not read yet durable.
    pub async fn flush_hooks(&self) {
        for hook in &self.hooks {
            hook.log.flush().await;
        }
    }

    /// The hooks.
    pub fn hooks(&self) -> &[Rc<Hook>] {
        &self.hooks
    }

    /// Whether lines wait to be written.
    pub fn has_lines(&self) -> bool {
        let mut series = self.logs.iter().flat_map(|log| &log.series);
        series.any(|series| !series.pending.borrow().is_empty())
    }

    /// Writes what waits. With `close` every open segment is ended.
    pub async fn write_logs(&self, close: bool) {
        for series in self.logs.iter().flat_map(|log| &log.series) {
            let Some(taken) = series.series.borrow_mut().take() else { continue };
            let lines = series.pending.replace(series.spare.take());
            let (back, mut lines, result) = segment::off_shard(taken, lines, close).await;
            if let Err(error) = result {
                tracing::error!("log files: {error}");
            }
            *series.series.borrow_mut() = Some(back);
            // Memory of a rush goes back when the rush is over.
            if lines.len() >= lines.capacity() / 8 {
                lines.clear();
                series.spare.replace(lines);
            }
        }
    }
}

fn open_log(options: &LocalLogs) -> Result<Log, String> {
    let select = options.select();
    let age = options.max_segment_duration.unwrap_or(Duration::from_secs(limits::LOG_SEGMENT_SECS));
    let level = match options.compression_level {
        0 => limits::LOG_COMPRESSION_LEVEL,
        level => level as i32,
    };
    let open = |dir: &std::path::Path, suffix: &str, header: &str| {
        segment::finish_leftovers(dir)
            .and_then(|()| Series::new(dir, suffix, level, options.max_file_size, age, header))
            .map(|series| LogSeries {
                series: RefCell::new(Some(series)),
                pending: RefCell::default(),
                spare: RefCell::default(),
            })
            .map_err(|error| format!("log_dir {}: {error}", dir.display()))
    };
    let any = options.per_record.get("Any");
    let suffix = any.and_then(|p| p.suffix.as_deref()).unwrap_or("");
    let dir = any.and_then(|p| p.log_dir.as_deref()).unwrap_or(&options.log_dir);
    let header = any.map_or("", |p| p.segment_header.as_str());
    let mut series = vec![open(dir, suffix, header)?];
    let mut special = Vec::new();
    for (kind, params) in options.per_record.iter().filter(|(kind, _)| *kind != "Any") {
        if params.suffix.is_some() || params.log_dir.is_some() || !params.segment_header.is_empty()
        {
            let dir = params.log_dir.as_deref().unwrap_or(&options.log_dir);
            let suffix = params.suffix.as_deref().unwrap_or("");
            series.push(open(dir, suffix, &params.segment_header)?);
            special.push((kind.clone(), series.len() - 1));
        }
    }
    Ok(Log { select, series, special })
}

/// Writes log files for ever; one task per shard. A quiet shard wakes once a second, to close
/// segments by age.
pub async fn run_logs(shard: Rc<Shard>) {
    const QUIET: Duration = Duration::from_secs(1);
    const BUSY: Duration = Duration::from_millis(250);
    let mut pause = QUIET;
    loop {
        io::sleep(pause).await;
        let busy = shard.events.has_lines();
        shard.events.write_logs(false).await;
        pause = if busy { BUSY } else { QUIET };
    }
}
