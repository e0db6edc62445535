//! The events there are.

use ringmta_options::suggest;

/// One event a policy can handle.
pub struct EventDef {
    /// Its name.
    pub name: &'static str,
    /// Several handlers run in order of registration until one gives a result; otherwise the last registered is used.
    pub multi: bool,
    /// Arguments, for annotations.
    pub args: &'static str,
    /// When it is fired.
    pub doc: &'static str,
}

const fn e(name: &'static str, multi: bool, args: &'static str, doc: &'static str) -> EventDef {
    EventDef { name, multi, args, doc }
}

/// All events with a fixed name that ringmta fires.
pub const EVENTS: &[EventDef] = &[
    e("pre_init", true, "", "once per process, before `init`"),
    e("init", false, "", "once per process: the place for listeners, spools and loggers"),
    e("validate_config", true, "", "only while validating"),
    e("main", false, "...", "only in script mode"),
    e("spool_message_enumerated", false, "msg", "per message found in the spool at start"),
    e("shutdown_logging", false, "", "before loggers close"),
    e(
        "smtp_server_get_dynamic_parameters",
        false,
        "listener, conn_meta",
        "per connection, before it is accepted",
    ),
    e("smtp_server_connection_accepted", false, "conn_meta", "before the greeting"),
    e("smtp_server_ehlo", false, "domain, conn_meta, extensions", "EHLO and HELO"),
    e("smtp_server_auth_plain", false, "authz, authc, password, conn_meta", "AUTH PLAIN"),
    e(
        "get_listener_domain",
        false,
        "domain, listener, conn_meta",
        "who may relay to or from a domain",
    ),
    e("smtp_server_mail_from", false, "sender, conn_meta", "MAIL FROM"),
    e("smtp_server_rcpt_to", false, "recipient, conn_meta", "RCPT TO"),
    e("smtp_server_data", false, "msg, conn_meta", "once per transaction, after DATA"),
    e(
        "smtp_server_split_transaction",
        false,
        "msg, conn_meta",
        "how recipients are grouped into messages",
    ),
    e("smtp_server_message_received", false, "msg, conn_meta", "per resulting message"),
    e(
        "smtp_server_message_deferred_inject",
        false,
        "msg, conn_meta",
        "instead of the former with deferred_queue",
    ),
    e(
        "smtp_server_rewrite_response",
        false,
        "status, text, command, conn_meta",
        "before every reply",
    ),
    e("http_server_validate_auth_basic", false, "user, password", "HTTP Basic credentials"),
    e("http_server_validate_auth_bearer", false, "token", "HTTP bearer credentials"),
    e("http_message_generated", false, "msg, auth_info", "per message made by the injection API"),
    e("get_acl_definition", true, "resource", "authorisation checks"),
    e(
        "get_queue_config",
        true,
        "domain, tenant, campaign, routing_domain",
        "how a scheduled queue behaves",
    ),
    e("get_egress_pool", false, "name", "the sources of a pool"),
    e("get_egress_source", false, "name", "one source"),
    e(
        "get_egress_path_config",
        false,
        "routing_domain, source, site",
        "how connections to a site behave",
    ),
    e("throttle_insert_ready_queue", true, "msg", "a message is about to become ready"),
    e(
        "requeue_message",
        true,
        "msg, response, context, increment_attempts, delay",
        "a message goes back to its queue",
    ),
    e("rebind_message", false, "msg, data", "a message is moved by an operator"),
    e(
        "smtp_client_rewrite_delivery_status",
        false,
        "response, domain, tenant, campaign, routing_domain",
        "a response came from the next hop",
    ),
    e("xfer_message_received", false, "msg, auth_info", "a message came from another node"),
    e("should_enqueue_log_record", true, "msg, hook", "whether a log hook gets a record"),
];

/// The definition of an event.
pub fn find(name: &str) -> Option<&'static EventDef> {
    EVENTS.iter().find(|e| e.name == name)
}

/// What names of the engine's events begin with, and names of a policy's own seldom do.
const FORMS: [&str; 9] = [
    "smtp_server_",
    "smtp_client_",
    "http_server_",
    "http_message_",
    "spool_message_",
    "get_queue_",
    "get_egress_",
    "get_listener_",
    "should_enqueue_",
];

/// A warning for a name that looks like a misspelt event, or like one of an engine that has more of them. Names of the
/// policy's own (constructors, tasks, filters) are everywhere, so only these are worth a word.
pub(crate) fn advice(name: &str) -> Option<String> {
    if find(name).is_some() || name.contains(['.', ':', '/']) {
        return None;
    }
    let near = EVENTS.iter().map(|e| (suggest::distance(name, e.name), e.name)).min()?;
    if near.0 <= 3 {
        let hint = near.1;
        return Some(format!(
            "kumo.on: `{name}` is not an event of ringmta; did you mean `{hint}`?"
        ));
    }
    let has_form = FORMS.iter().any(|form| name.starts_with(form));
    has_form.then(|| format!("kumo.on: `{name}` is not an event of ringmta: nothing fires it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_misses_only() {
        assert!(advice("get_queue_confg").unwrap().ends_with("did you mean `get_queue_config`?"));
        assert_eq!(advice("get_queue_config"), None);
        assert_eq!(advice("make.webhook.log_hook"), None);
        assert_eq!(advice("my_own_task"), None);
        let strange = advice("smtp_server_something_of_its_own").unwrap();
        assert!(strange.ends_with("nothing fires it"), "{strange}");
    }
}
