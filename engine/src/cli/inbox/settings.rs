//! What the flags mean.

use super::args::{InboxArgs, Intake, Keep, Mailbox, Outgoing, Pages};
use super::values::Metrics;
use regex::Regex;
use ringmta_io::tls;
use ringmta_sandbox::chaos::Triggers;
use ringmta_sandbox::passwords::Passwords;
use ringmta_sandbox::relay::{Forward, Keys, Relay};
use ringmta_sandbox::search::Search;
use ringmta_sandbox::settings::{
    DatabaseFile, Keeping, Pop3, Prometheus, SendLogins, Settings, Smtp, SpamServer, Webhook,
};
use ringmta_sandbox::tags::{expression, spelled, TagRules};
use ringmta_sandbox::{cors, limits};
use rustls::ServerConfig;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

impl InboxArgs {
    /// The settings.
    ///
    /// # Errors
    /// Which flag is wrong, and why.
    pub fn settings(&self) -> Result<Settings, String> {
        let pages = &self.pages;
        let cors = pages.api_cors.as_deref().map(cors::sites).transpose();
        Ok(Settings {
            keeping: keeping(&self.keep)?,
            database: of("database", database(&self.keep))?,
            label: self.keep.label.clone(),
            webroot: webroot(&pages.webroot)?,
            web_logins: of("ui-auth-file", logins(&pages.ui_auth_file, &pages.ui_auth))?,
            web_tls: of("ui-tls-cert", certificate(&pages.ui_tls_cert, &pages.ui_tls_key))?,
            cors: of("api-cors", cors)?.unwrap_or_default(),
            hide_delete_all: pages.hide_delete_all_button,
            block_remote_css_and_fonts: pages.block_remote_css_and_fonts,
            link_check: pages.enable_link_check,
            internal_requests: pages.allow_internal_http_requests,
            untrusted_tls: pages.allow_untrusted_tls,
            spam_server: spam_server(pages.enable_spamassassin.as_deref())?,
            send_logins: send_logins(pages)?,
            smtp: smtp(&self.intake, self.keep.max_message_size)?,
            relay: relay(&self.outgoing)?,
            forward: of("smtp-forward-config", forward(&self.outgoing))?,
            chaos: chaos(&self.intake)?,
            prometheus: match pages.enable_prometheus {
                None | Some(Metrics::Here(false)) => Prometheus::Off,
                Some(Metrics::Here(true)) => Prometheus::Here,
                Some(Metrics::At(address)) => Prometheus::At(address),
            },
            webhook: webhook(pages)?,
            pop3: pop3(&self.mailbox)?,
        })
    }
}

/// Names the flag that something is wrong with.
fn of<T>(flag: &str, result: Result<T, String>) -> Result<T, String> {
    let variable = flag.to_uppercase().replace('-', "_");
    result.map_err(|error| format!("--{flag} (MP_{variable}): {error}"))
}

fn keeping(keep: &Keep) -> Result<Keeping, String> {
    Ok(Keeping {
        max_messages: keep.max,
        max_bytes: limits::SANDBOX_BYTES,
        max_age: keep.max_age.filter(|age| !age.is_zero()),
        use_message_dates: keep.use_message_dates,
        ignore_duplicate_ids: keep.ignore_duplicate_ids,
        tags: tag_rules(keep)?,
    })
}

fn tag_rules(keep: &Keep) -> Result<TagRules, String> {
    let mut filters = of("tag", tag_filters(keep.tag.as_deref().unwrap_or("")))?;
    if let Some(path) = &keep.tags_config {
        filters.extend(of("tags-config", tags_file(path))?);
    }
    let disabled = keep.tags_disable.as_deref().unwrap_or("").to_ascii_lowercase();
    let names: Vec<&str> = disabled.split([',', ' ']).filter(|one| !one.is_empty()).collect();
    let off = |name: &str| names.contains(&name) || names.contains(&"true");
    if let Some(odd) = names.iter().find(|one| !["plus-addresses", "x-tags", "true"].contains(one))
    {
        return of("tags-disable", Err(format!("`{odd}` is neither plus-addresses nor x-tags")));
    }
    Ok(TagRules {
        filters,
        no_plus_addresses: off("plus-addresses"),
        no_header: off("x-tags"),
        username: keep.tags_username,
        title_case: keep.tags_title_case,
    })
}

/// `tag1=from:ann, tag2="subject:new order"`.
fn tag_filters(text: &str) -> Result<Vec<(String, Search)>, String> {
    let mut inside = false;
    let mut parts = vec![String::new()];
    for c in text.chars() {
        inside ^= c == '"';
        match parts.last_mut() {
            Some(part) if c != ',' || inside => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let wrong = || format!("`{part}` is not TAG=SEARCH");
            let (tag, search) = part.split_once('=').ok_or_else(wrong)?;
            let search = search.trim();
            let whole = search.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            filter(tag, whole.filter(|rest| !rest.contains('"')).unwrap_or(search))
        })
        .collect()
}

fn filter(tag: &str, search: &str) -> Result<(String, Search), String> {
    let tag = spelled(tag);
    let search = Search::parse(search)?;
    if tag.is_empty() || search.is_empty() {
        return Err("a tag and a search are needed, both not empty".into());
    }
    Ok((tag, search))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagsFile {
    filters: Vec<TagFilter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TagFilter {
    r#match: String,
    tags: String,
}

fn tags_file(path: &Path) -> Result<Vec<(String, Search)>, String> {
    let file: TagsFile =
        serde_yaml_ng::from_str(&read(path)?).map_err(|error| error.to_string())?;
    let filters = file.filters.iter();
    let pairs = filters.flat_map(|one| one.tags.split(',').map(move |tag| (tag, &one.r#match)));
    pairs.map(|(tag, search)| filter(tag, search)).collect()
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// `/`, or a path that begins and ends with one.
fn webroot(text: &str) -> Result<String, String> {
    let inner = text.trim().trim_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~/".contains(c);
    if !inner.chars().all(plain)
        || inner.contains("//")
        || inner.split('/').any(|part| part == "..")
    {
        return of("webroot", Err("write letters, digits and slashes, such as /inbox/".into()));
    }
    Ok(if inner.is_empty() { "/".into() } else { format!("/{inner}/") })
}

fn logins(file: &Option<PathBuf>, text: &Option<String>) -> Result<Option<Passwords>, String> {
    match (file, text) {
        (Some(file), _) => Passwords::read(file).map(Some),
        (None, Some(text)) => Passwords::parse(text).map(Some),
        (None, None) => Ok(None),
    }
}

fn certificate(
    cert: &Option<String>,
    key: &Option<PathBuf>,
) -> Result<Option<Arc<ServerConfig>>, String> {
    let (cert, key) = match (cert, key) {
        (None, None) => return Ok(None),
        (Some(cert), None) => {
            let names = cert.strip_prefix("sans:").ok_or("its key is missing")?;
            let first = names.split(',').next().unwrap_or("").trim();
            tls::self_signed(first)?
        }
        (Some(cert), Some(key)) => (read(Path::new(cert))?, read(key)?),
        (None, Some(_)) => return Err("there is a key without a certificate".into()),
    };
    tls::server_config(cert.as_bytes(), key.as_bytes()).map(Some)
}

/// `true` means where spamd listens unless told otherwise.
fn spam_server(text: Option<&str>) -> Result<Option<SpamServer>, String> {
    let Some(text) = text.filter(|text| !["0", "false", "no"].contains(text)) else {
        return Ok(None);
    };
    if text.starts_with("postmark") {
        let why = "messages are not sent to that service: give HOST:PORT of a spamd of your own";
        return of("enable-spamassassin", Err(why.into()));
    }
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Some(SpamServer::Rspamd(text.trim_end_matches('/').to_string())));
    }
    let port = text
        .rsplit_once(':')
        .and_then(|(host, port)| port.parse::<u16>().ok().filter(|_| !host.is_empty()));
    match port {
        Some(_) => Ok(Some(SpamServer::Spamd(text.to_string()))),
        None => of(
            "enable-spamassassin",
            Err("write HOST:PORT, such as localhost:783, or http://HOST:11333 for rspamd".into()),
        ),
    }
}

fn send_logins(pages: &Pages) -> Result<SendLogins, String> {
    if pages.send_api_auth_accept_any {
        return Ok(SendLogins::Any);
    }
    let file = logins(&pages.send_api_auth_file, &pages.send_api_auth);
    Ok(of("send-api-auth-file", file)?.map_or(SendLogins::AsPage, SendLogins::File))
}

fn smtp(intake: &Intake, megabytes: usize) -> Result<Smtp, String> {
    let file = of("smtp-auth-file", logins(&intake.smtp_auth_file, &intake.smtp_auth))?;
    if file.is_some() && intake.smtp_auth_accept_any {
        return Err("--smtp-auth-file and --smtp-auth-accept-any exclude each other".into());
    }
    if intake.smtp_require_starttls && intake.smtp_require_tls {
        return Err("--smtp-require-starttls and --smtp-require-tls exclude each other".into());
    }
    if intake.smtp_max_recipients == 0 {
        return of("smtp-max-recipients", Err("at least one".into()));
    }
    let allowed = intake.smtp_allowed_recipients.as_deref().map(expression).transpose();
    Ok(Smtp {
        logins: file,
        insecure_logins: intake.smtp_auth_allow_insecure,
        tls: of("smtp-tls-cert", certificate(&intake.smtp_tls_cert, &intake.smtp_tls_key))?,
        require_starttls: intake.smtp_require_starttls,
        implicit_tls: intake.smtp_require_tls,
        max_recipients: Some(intake.smtp_max_recipients.min(limits::SANDBOX_RECIPIENTS)),
        max_message_bytes: (megabytes > 0).then(|| {
            let most = ringmta_smtp::limits::MESSAGE_BYTES_MAX;
            megabytes.saturating_mul(1024 * 1024).min(most)
        }),
        allowed_recipients: of("smtp-allowed-recipients", allowed)?,
        ignore_rejected: intake.smtp_ignore_rejected_recipients,
        strict_headers: intake.smtp_strict_rfc_headers,
    })
}

fn chaos(intake: &Intake) -> Result<Option<Triggers>, String> {
    match &intake.chaos_triggers {
        Some(text) => of("chaos-triggers", Triggers::parse(text)).map(Some),
        None => Ok(intake.enable_chaos.then(Triggers::default)),
    }
}

/// What would go round and round.
const COMES_BACK: &str = "what the engine is given by itself comes back to this inbox: with the host `engine` messages are \
                          released one by one";

fn relay(outgoing: &Outgoing) -> Result<Option<Relay>, String> {
    let matching = outgoing.smtp_relay_matching.as_deref().map(expression).transpose();
    let matching: Option<Regex> = of("smtp-relay-matching", matching)?;
    let keys = match &outgoing.smtp_relay_config {
        Some(path) => of("smtp-relay-config", read(path).and_then(|text| Keys::parse(&text)))?,
        None if outgoing.smtp_relay_host.is_some() => relay_keys(outgoing),
        None if outgoing.smtp_relay_all || matching.is_some() => {
            return Err(
                "--smtp-relay-all and --smtp-relay-matching want a relay: give --smtp-relay-config"
                    .into(),
            );
        }
        None => return Ok(None),
    };
    let relay = of("smtp-relay-config", keys.relay())?;
    if relay.host.engine.is_some() && (outgoing.smtp_relay_all || matching.is_some()) {
        return of("smtp-relay-all", Err(COMES_BACK.into()));
    }
    Ok(Some(Relay { all: outgoing.smtp_relay_all, matching, ..relay }))
}

/// The database's file; a server, as rqlite is one, is refused without a word of its address, which may have a password.
fn database(keep: &Keep) -> Result<Option<DatabaseFile>, String> {
    let Some(path) = keep.database.clone() else { return Ok(None) };
    let is_server = ["http://", "https://"]
        .iter()
        .any(|scheme| path.as_os_str().to_string_lossy().starts_with(scheme));
    if is_server {
        return Err("rqlite is not spoken here, nor do inboxes share a database: give each a file of its own, as in \
                    --database inbox.db"
            .into());
    }
    let (wal, vacuum) = (!keep.disable_wal, !keep.disable_auto_vacuum);
    Ok(Some(DatabaseFile { path, compression: keep.compression, wal, vacuum }))
}

fn text(of: &Option<String>) -> String {
    of.clone().unwrap_or_default()
}

fn relay_keys(from: &Outgoing) -> Keys {
    Keys {
        host: text(&from.smtp_relay_host),
        port: from.smtp_relay_port,
        starttls: from.smtp_relay_starttls,
        tls: from.smtp_relay_tls,
        allow_insecure: from.smtp_relay_allow_insecure,
        auth: text(&from.smtp_relay_auth),
        username: text(&from.smtp_relay_username),
        password: text(&from.smtp_relay_password),
        secret: text(&from.smtp_relay_secret),
        return_path: text(&from.smtp_relay_return_path),
        override_from: text(&from.smtp_relay_override_from),
        allowed_recipients: text(&from.smtp_relay_allowed_recipients),
        blocked_recipients: text(&from.smtp_relay_blocked_recipients),
        preserve_message_ids: from.smtp_relay_preserve_message_ids,
        forward_smtp_errors: from.smtp_relay_fwd_smtp_errors,
        ..Keys::default()
    }
}

fn forward(outgoing: &Outgoing) -> Result<Option<Forward>, String> {
    let keys = match &outgoing.smtp_forward_config {
        Some(path) => Keys::parse(&read(path)?)?,
        None if outgoing.smtp_forward_host.is_some() => Keys {
            host: text(&outgoing.smtp_forward_host),
            to: text(&outgoing.smtp_forward_to),
            port: outgoing.smtp_forward_port,
            starttls: outgoing.smtp_forward_starttls,
            tls: outgoing.smtp_forward_tls,
            allow_insecure: outgoing.smtp_forward_allow_insecure,
            auth: text(&outgoing.smtp_forward_auth),
            username: text(&outgoing.smtp_forward_username),
            password: text(&outgoing.smtp_forward_password),
            secret: text(&outgoing.smtp_forward_secret),
            return_path: text(&outgoing.smtp_forward_return_path),
            override_from: text(&outgoing.smtp_forward_override_from),
            forward_smtp_errors: outgoing.smtp_forward_fwd_smtp_errors,
            ..Keys::default()
        },
        None => return Ok(None),
    };
    let forward = keys.forward()?;
    match forward.host.engine {
        Some(_) => Err(COMES_BACK.into()),
        None => Ok(Some(forward)),
    }
}

fn pop3(mailbox: &Mailbox) -> Result<Option<Pop3>, String> {
    let tls = of("pop3-tls-cert", certificate(&mailbox.pop3_tls_cert, &mailbox.pop3_tls_key))?;
    let file = of("pop3-auth-file", logins(&mailbox.pop3_auth_file, &mailbox.pop3_auth))?;
    Ok(file.map(|logins| Pop3 { address: mailbox.pop3, logins, tls }))
}

fn webhook(pages: &Pages) -> Result<Option<Webhook>, String> {
    let Some(url) = pages.webhook_url.clone() else { return Ok(None) };
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return of("webhook-url", Err("write http:// or https://".into()));
    }
    let seconds = |flag, value: f64| {
        of(flag, Duration::try_from_secs_f64(value).map_err(|error| error.to_string()))
    };
    let pause = if pages.webhook_limit == 0.0 { 0.0 } else { 1.0 / pages.webhook_limit };
    Ok(Some(Webhook {
        url,
        pause: seconds("webhook-limit", pause)?,
        delay: seconds("webhook-delay", pages.webhook_delay)?.min(Duration::from_secs(3600)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_searches() {
        let filters = tag_filters("a=from:ann, b=\"subject:new order\",c=\"x, y\"").unwrap();
        let tags: Vec<&str> = filters.iter().map(|(tag, _)| tag.as_str()).collect();
        assert_eq!(tags, ["a", "b", "c"]);
        assert_eq!(filters[2].1, Search::parse("x, y").unwrap());
        for wrong in ["a", "=x", "a=", "a=is:odd"] {
            assert!(tag_filters(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn roots() {
        for (given, root) in [("/", "/"), ("", "/"), ("inbox", "/inbox/"), ("/a/b/", "/a/b/")] {
            assert_eq!(webroot(given).as_deref(), Ok(root));
        }
        for wrong in ["/a b/", "/../x", "/<x>", "a//b"] {
            assert!(webroot(wrong).is_err(), "{wrong}");
        }
    }
}
