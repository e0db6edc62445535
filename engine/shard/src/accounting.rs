//! The accounting log (`kumo.aaa.configure_acct_log`): who has authenticated, and who was let in where, as JSON lines in
//! segments of their own. No secret is in it: of credentials only the name.

use crate::limits::{ACCOUNTING_PENDING_BYTES, ACCOUNTING_SEGMENT_SECS, ACCOUNTING_WRITE_MS};
use ringmta_events::limits::LOG_KEEP_SECS;
use ringmta_events::log_file::{finish_leftovers, Series, ACCOUNTING};
use ringmta_events::log_keep::{self, Keep};
use ringmta_events::log_series::LogSeries;
use ringmta_io as io;
use ringmta_policy::access::Access;
use ringmta_policy::{AccountingLog, AuthInfo};
use ringmta_smtp::dates::push_rfc3339;
use serde_json::{json, Value};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// The log of one shard.
pub struct Accounting {
    options: AccountingLog,
    lines: LogSeries,
    /// Segments that were removed.
    removed: Cell<u64>,
}

/// Somebody who says who he is.
pub struct Attempt<'a> {
    /// The name he gives; may be empty.
    pub identity: &'a str,
    /// How he shows it.
    pub context: &'static str,
}

impl Accounting {
    /// Opens the log.
    ///
    /// # Errors
    /// Names the folder and the cause.
    pub fn open(options: &AccountingLog) -> Result<Accounting, String> {
        let dir = &options.log_dir;
        let age =
            options.max_segment_duration.unwrap_or(Duration::from_secs(ACCOUNTING_SEGMENT_SECS));
        let level = options.compression_level as i32;
        let series = finish_leftovers(dir)
            .and_then(|()| Series::new(dir, "", level, options.max_file_size, age, ""))
            .map_err(|error| format!("log_dir {}: {error}", dir.display()))?;
        Ok(Accounting {
            options: options.clone(),
            lines: LogSeries::new(series.with_prefix(ACCOUNTING), ACCOUNTING_PENDING_BYTES),
            removed: Cell::new(0),
        })
    }

    /// Somebody has authenticated, or failed to; `info` is what is known of him now.
    pub fn authentication(&self, attempt: &Attempt<'_>, success: bool, info: &AuthInfo) {
        let wanted = if success { self.options.log_authn_ok } else { self.options.log_authn_fail };
        if !wanted {
            return;
        }
        self.add(json!({
            "type": "Authentication",
            "timestamp": now(),
            "attempted_identity": { "identity": attempt.identity, "context": attempt.context },
            "success": success,
            "auth_info": about(info, attempt.context),
        }));
    }

    /// Somebody was let in, or not: `access` says by which rule, `allowed` what came of it.
    pub fn authorization(
        &self,
        target: &str,
        privilege: &str,
        (access, allowed): (&Access, bool),
        (info, context): (&AuthInfo, &'static str),
    ) {
        let wanted =
            if allowed { self.options.log_authz_allow } else { self.options.log_authz_deny };
        if !wanted {
            return;
        }
        let rule = access.rule.as_ref().map(|rule| rule.to_json());
        self.add(json!({
            "type": "Authorization",
            "timestamp": now(),
            "target_resource": target,
            "privilege": privilege,
            "access": if allowed { "Allow" } else { "Deny" },
            "matching_resource": access.resource,
            "rule": rule,
            "auth_info": about(info, context),
            "considered_resources": access.considered,
        }));
    }

    fn add(&self, record: Value) {
        self.lines.add(|out| out.extend_from_slice(record.to_string().as_bytes()));
    }

    /// Removes segments that are not to be kept any more. On one shard: the folder is everybody's.
    async fn remove_old(&self) {
        let keep = Keep::of_accounting(&self.options);
        let count = log_keep::remove_old(&self.lines, &keep).await;
        self.removed.set(self.removed.get() + count);
    }

    /// Segments that were removed since the start.
    pub fn removed(&self) -> u64 {
        self.removed.get()
    }

    /// Writes what waits; with `close` the segment is ended, also one that is being written.
    pub async fn write(&self, close: bool) {
        self.lines.write(close).await;
    }

    /// Does what blocks and has to do with its folder.
    pub fn thread(&self) -> &io::Beside {
        self.lines.thread()
    }

    /// Records that the disk did not take since the start.
    pub fn lost(&self) -> u64 {
        self.lines.lost()
    }
}

/// Writes now and then, for as long as the shard lives; one of the shards ends what is kept no longer.
pub async fn run(accounting: Rc<Accounting>, ends_old: bool) {
    let mut looked = 0;
    loop {
        io::sleep(Duration::from_millis(ACCOUNTING_WRITE_MS)).await;
        accounting.write(false).await;
        let now = io::mono_nanos();
        if ends_old && now >= looked + LOG_KEEP_SECS * 1_000_000_000 {
            looked = now;
            accounting.remove_old().await;
        }
    }
}

fn now() -> String {
    let mut text = Vec::new();
    push_rfc3339(&mut text, io::unix_nanos());
    String::from_utf8(text).unwrap_or_default()
}

fn about(info: &AuthInfo, context: &str) -> Value {
    let identity = |name: &String| json!({ "identity": name, "context": context });
    json!({
        "peer_address": info.peer_address.map(|address| address.to_string()),
        "identities": info.identities.iter().map(identity).collect::<Vec<_>>(),
        "groups": info.groups,
    })
}
