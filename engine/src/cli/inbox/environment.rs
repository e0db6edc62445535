//! Mailpit's environment variables before they are read: older names get their new ones, empty ones count as not given,
//! as Mailpit has it, and names that nobody knows are said.

use super::table::{BESIDE, TABLE};
use std::env;

/// Older names, and those that stand for them now.
const OLDER: [(&str, &str); 13] = [
    ("MP_DATA_FILE", "MP_DATABASE"),
    ("MP_UI_SSL_CERT", "MP_UI_TLS_CERT"),
    ("MP_UI_SSL_KEY", "MP_UI_TLS_KEY"),
    ("MP_SMTP_SSL_CERT", "MP_SMTP_TLS_CERT"),
    ("MP_SMTP_SSL_KEY", "MP_SMTP_TLS_KEY"),
    ("MP_SMTP_TLS_REQUIRED", "MP_SMTP_REQUIRE_STARTTLS"),
    ("MP_STRICT_RFC_HEADERS", "MP_SMTP_STRICT_RFC_HEADERS"),
    ("MP_USE_MESSAGE_DATE", "MP_USE_MESSAGE_DATES"),
    ("MP_SMTP_RELAY_RECIPIENT_ALLOWLIST", "MP_SMTP_RELAY_ALLOWED_RECIPIENTS"),
    ("MP_IGNORE_DUPLICATE_ID", "MP_IGNORE_DUPLICATE_IDS"),
    ("MP_SMTP_RELAY_FORWARD_SMTP_ERRORS", "MP_SMTP_RELAY_FWD_SMTP_ERRORS"),
    ("MP_SMTP_FORWARD_FORWARD_SMTP_ERRORS", "MP_SMTP_FORWARD_FWD_SMTP_ERRORS"),
    ("MP_ENABLE_SPAM_ASSASSIN", "MP_ENABLE_SPAMASSASSIN"),
];

/// Of no effect in Mailpit itself for long.
const WITHOUT_EFFECT: [&str; 1] = ["MP_DISABLE_HTML_CHECK"];

/// Older flags, and those that stand for them now; without one where there is nothing to be told.
const OLDER_FLAGS: [(&str, Option<&str>); 7] = [
    ("--db-file", Some("--database")),
    ("--ui-ssl-cert", Some("--ui-tls-cert")),
    ("--ui-ssl-key", Some("--ui-tls-key")),
    ("--smtp-ssl-cert", Some("--smtp-tls-cert")),
    ("--smtp-ssl-key", Some("--smtp-tls-key")),
    ("--smtp-tls-required", Some("--smtp-require-starttls")),
    ("--disable-html-check", None),
];

/// What is said at start of older names that somebody uses: what is theirs now.
pub fn advice() -> Vec<String> {
    let is_set = |name: &&str| env::var_os(name).is_some();
    let of_flag = |flag: &str| {
        env::args_os().skip(1).any(|word| {
            let word = word.to_string_lossy();
            word == flag || word.strip_prefix(flag).is_some_and(|rest| rest.starts_with('='))
        })
    };
    let newer = |older: &str, newer: &str| format!("{older} still works: its name is {newer} now");
    let nothing = |name: &str| format!("{name} does nothing any more: leave it out");
    let variables = OLDER.iter().filter(|(older, _)| is_set(older));
    let flags = OLDER_FLAGS.iter().filter(|(older, _)| of_flag(older));
    variables
        .map(|(older, name)| newer(older, name))
        .chain(WITHOUT_EFFECT.iter().filter(|name| is_set(name)).map(|name| nothing(name)))
        .chain(flags.map(|(older, name)| match name {
            Some(name) => newer(older, name),
            None => nothing(older),
        }))
        .collect()
}

/// Puts the variables in order. Called before any thread is started.
pub fn prepare() {
    let ours = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    for (name, value) in ours.filter(|(name, _)| name.starts_with("MP_")).collect::<Vec<_>>() {
        if value.is_empty() {
            env::remove_var(&name);
        } else if let Some((_, newer)) = OLDER.iter().find(|(older, _)| *older == name) {
            if env::var_os(newer).is_none_or(|newer| newer.is_empty()) {
                env::set_var(newer, value);
            }
        }
    }
}

/// Names of Mailpit's kind that are none of them.
pub fn unknown() -> Vec<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let is_known = |name: &String| {
        TABLE.iter().any(|one| one.variable == *name)
            || BESIDE.iter().any(|(variable, _)| variable == name)
            || OLDER.iter().any(|(older, _)| older == name)
            || WITHOUT_EFFECT.contains(&name.as_str())
    };
    names.filter(|name| name.starts_with("MP_") && !is_known(name)).collect()
}
