//! Every path of the HTTP API: what it is for, what it takes, what it answers. Requests are dispatched by this table and
//! the OpenAPI document is made of it, so that neither can know a path that the other does not.

use ringmta_policy::options::suggest::nearest;

/// What a path does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// The first page.
    Home,
    /// The OpenAPI document.
    OpenApi,
    /// A page that shows it.
    ApiPage,
    /// Liveness.
    Liveness,
    /// Injection.
    Inject,
    /// Metrics as text.
    Metrics,
    /// Metrics as JSON.
    MetricsJson,
    /// Facts about the machine.
    MachineInfo,
    /// Orders to hold scheduled queues.
    Suspend,
    /// Orders to hold ready queues.
    SuspendReady,
    /// Orders to fail mail.
    Bounce,
    /// Orders to hold messages.
    Hold,
    /// End a hold.
    Release,
    /// Try now.
    TryNow,
    /// Fail by hand.
    Delete,
    /// Move to other queues.
    Rebind,
    /// End a connection.
    Abort,
    /// Not done by this engine, and why.
    Xfer,
    /// A new configuration epoch.
    BumpEpoch,
    /// The log filter.
    LogFilter,
    /// What operators have set.
    Settings,
    /// Load the policy anew.
    Reload,
    /// Write what is only in memory.
    SpoolCompact,
    /// One message.
    InspectMessage,
    /// One scheduled queue.
    InspectScheduled,
    /// One ready queue.
    InspectReady,
    /// States of ready queues.
    ReadyStates,
    /// How mail would leave.
    ResolvePath,
    /// All queues.
    Queues,
    /// Why something is as it is.
    Why,
    /// Hooks.
    Hooks,
    /// Dead letters of a hook.
    DeadLetters,
    /// Send dead letters again.
    Replay,
    /// Look through everything.
    SelfCheck,
    /// What is in memory.
    Memory,
    /// What tasks wait for.
    TaskDump,
    /// What became of a message.
    Find,
    /// Sessions in, as they happen.
    TraceServer,
    /// Sessions out, as they happen.
    TraceClient,
    /// Records, as they happen.
    Tail,
    /// The engine at this moment, for the console.
    ConsoleNow,
    /// The console's plots.
    ConsoleHistory,
    /// What receivers say.
    ConsoleAnswers,
    /// Queues by a part of their name.
    ConsoleQueues,
    /// A browser's login.
    ConsoleLogIn,
    /// Its end.
    ConsoleLogOut,
}

/// A field of a body, or a parameter of a query.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type: `string`, `name` (a string that is not empty), `id` (of a message), `boolean`, `integer`, `strings`, `map`,
    /// `duration`, `time`, `recipients`, `content`, `object`; or of a few words: `about`, `by`, `dialect`.
    pub kind: &'static str,
    /// Whether it must be given.
    pub given: Given,
    /// What it says.
    pub doc: &'static str,
}

/// Whether a field must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// It must.
    Must,
    /// It may.
    May,
    /// It, or one other that says so too, and not both.
    OneOf,
}

/// One path and method.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// `GET`, `POST`, `DELETE`.
    pub method: &'static str,
    /// The path.
    pub path: &'static str,
    /// What it does.
    pub call: Call,
    /// What it is for.
    pub doc: &'static str,
    /// Parameters of its query.
    pub query: &'static [Field],
    /// Fields of its body; none when it takes no body.
    pub body: &'static [Field],
    /// Content type of its answer.
    pub answers: &'static str,
}

const fn must(name: &'static str, kind: &'static str, doc: &'static str) -> Field {
    Field { name, kind, given: Given::Must, doc }
}

const fn may(name: &'static str, kind: &'static str, doc: &'static str) -> Field {
    Field { name, kind, given: Given::May, doc }
}

const fn one_of(name: &'static str, kind: &'static str, doc: &'static str) -> Field {
    Field { name, kind, given: Given::OneOf, doc }
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";
const HTML: &str = "text/html";

const REASON: Field = must("reason", "string", "Why, in the operator's words.");
const DURATION: Field =
    may("duration", "duration", "How long it holds, such as `10m`, or a number of seconds.");
const EXPIRES: Field = may("expires", "time", "Until when it holds, in place of a duration.");
const CAMPAIGN: Field = may("campaign", "string", "Only queues of this campaign.");
const TENANT: Field = may("tenant", "string", "Only queues of this tenant.");
const DOMAIN: Field = may("domain", "string", "Only queues of this domain.");
const ROUTING: Field = may("routing_domain", "string", "Only queues with this routing domain.");
const NAMES: Field = may("queue_names", "strings", "Only the queues with these names.");
const QUIET: Field = may("suppress_logging", "boolean", "Make no records of it.");
const ID: Field = must("id", "string", "Its id.");
const QUEUE: Field = must("queue_name", "name", "Name of the queue.");
const MESSAGE: Field = must("id", "name", "The message's id.");
const HOOK: Field = must("hook", "name", "The hook.");
const PREFIX: Field = may("prefix", "string", "Only metrics whose name begins so.");
const MEANT: [Field; 2] = [
    one_of("id", "id", "A message."),
    one_of("queue_name", "string", "A scheduled queue, in place of a message."),
];

const NONE: &[Field] = &[];

macro_rules! endpoints {
    ($( $method:literal $path:literal => $call:ident, $answers:expr, query $query:expr, body $body:expr, $doc:literal; )+) => {
        /// All there are.
        pub const ENDPOINTS: &[Endpoint] = &[ $( Endpoint {
            method: $method, path: $path, call: Call::$call, doc: $doc, query: $query, body: $body, answers: $answers,
        }, )+ ];
    };
}

endpoints! {
    "GET" "/" => Home, TEXT, query NONE, body NONE, "Says what answers here.";
    "GET" "/openapi.json" => OpenApi, JSON, query NONE, body NONE, "This document.";
    "GET" "/api-docs" => ApiPage, HTML, query NONE, body NONE, "A page that shows this document.";
    "GET" "/api-docs/openapi.json" => OpenApi, JSON, query NONE, body NONE, "This document, where KumoMTA has it.";
    "GET" "/api/check-liveness/v1" => Liveness, TEXT, query NONE, body NONE, "200 when the engine takes mail, 503 with the reason when it does not.";
    "POST" "/api/inject/v1" => Inject, JSON, query NONE, body &[
        must("envelope_sender", "string", "The envelope's sender; empty for the null sender."),
        must("recipients", "recipients", "A list of `{email, name, substitutions, metadata}`."),
        must("content", "content", "The whole message as a string, or the parts it is built of."),
        may("substitutions", "object", "Values for templates, for all recipients."),
        may("template_dialect", "dialect", "`Jinja`, `Handlebars` or `Static`."),
        may("deferred_spool", "boolean", "Taken without effect: the answer comes when the message is on stable storage."),
        may("deferred_generation", "boolean", "Taken without effect: the messages are made before the answer."),
        may("trace_headers", "object", "Which trace headers are added.")
    ], "Takes mail.";
    "GET" "/metrics" => Metrics, TEXT, query &[PREFIX], body NONE, "Metrics in Prometheus' text form.";
    "GET" "/metrics.json" => MetricsJson, JSON, query &[PREFIX], body NONE, "Metrics as JSON.";
    "GET" "/api/machine-info" => MachineInfo, JSON, query NONE, body NONE, "Facts about the machine and the process.";
    "GET" "/api/admin/suspend/v1" => Suspend, JSON, query NONE, body NONE, "Suspensions of scheduled queues in force.";
    "POST" "/api/admin/suspend/v1" => Suspend, JSON, query NONE, body &[REASON, CAMPAIGN, TENANT, DOMAIN, ROUTING, NAMES, DURATION, EXPIRES], "Holds scheduled queues. One about the same queues takes the place of the one before.";
    "DELETE" "/api/admin/suspend/v1" => Suspend, TEXT, query NONE, body &[ID], "Ends a suspension.";
    "GET" "/api/admin/suspend-ready-q/v1" => SuspendReady, JSON, query NONE, body NONE, "Suspensions of ready queues in force.";
    "POST" "/api/admin/suspend-ready-q/v1" => SuspendReady, JSON, query NONE, body &[must("name", "string", "The ready queue, source->site@protocol."), REASON, DURATION, EXPIRES], "Holds one ready queue.";
    "DELETE" "/api/admin/suspend-ready-q/v1" => SuspendReady, TEXT, query NONE, body &[ID], "Ends the suspension of a ready queue.";
    "GET" "/api/admin/bounce/v1" => Bounce, JSON, query NONE, body NONE, "Bounces in force, with what each has failed.";
    "POST" "/api/admin/bounce/v1" => Bounce, JSON, query NONE, body &[REASON, CAMPAIGN, TENANT, DOMAIN, ROUTING, NAMES, DURATION, EXPIRES, QUIET], "Fails all mail of scheduled queues: what waits, and what comes while it is in force.";
    "DELETE" "/api/admin/bounce/v1" => Bounce, TEXT, query NONE, body &[ID], "Ends a bounce.";
    "GET" "/api/admin/hold/v1" => Hold, JSON, query NONE, body NONE, "Messages that are held one by one.";
    "POST" "/api/admin/hold/v1" => Hold, JSON, query NONE, body &[must("message", "id", "The message's id."), REASON, DURATION, EXPIRES], "Holds one message: for a day unless it says otherwise.";
    "DELETE" "/api/admin/hold/v1" => Hold, TEXT, query NONE, body &[ID], "Ends the hold with this order id.";
    "POST" "/api/admin/release/v1" => Release, JSON, query NONE, body &MEANT, "Ends the hold of a message, or the suspensions that name just this queue.";
    "POST" "/api/admin/try-now/v1" => TryNow, JSON, query NONE, body &MEANT, "What waits for its time is due now. What is held stays held.";
    "POST" "/api/admin/delete/v1" => Delete, JSON, query NONE, body &[
        MEANT[0], MEANT[1],
        one_of("message_id", "string", "All messages with this header Message-ID, in place of a message."),
        may("domain", "string", "Look for the header among the mail to this domain only."),
        REASON, QUIET
    ], "Fails what waits now, each message with its record.";
    "POST" "/api/admin/rebind/v1" => Rebind, JSON, query NONE, body &[
        REASON, must("data", "map", "Metadata to set, by name; or what the event is told."),
        CAMPAIGN, TENANT, DOMAIN, ROUTING, NAMES,
        may("always_flush", "boolean", "What stays in its queue is tried now as well."), QUIET,
        may("trigger_rebind_event", "boolean", "The policy's `rebind_message` decides, in place of the metadata.")
    ], "Moves messages to the queues that other metadata puts them in.";
    "POST" "/api/admin/abort-ready-q-conn/v1" => Abort, TEXT, query NONE, body &[QUEUE, must("session_id", "string", "The connection's session id.")], "Ends a connection of a ready queue. What it has in work is tried again.";
    "POST" "/api/admin/xfer/v1" => Xfer, TEXT, query NONE, body &[may("target", "string", "The other node."), may("reason", "string", "Why.")], "Refused: messages stay on the node that accepted them.";
    "POST" "/api/admin/xfer/cancel/v1" => Xfer, TEXT, query NONE, body &[may("queue_name", "string", "The queue."), may("reason", "string", "Why.")], "Refused, as xfer is.";
    "POST" "/api/xfer/inject/v1" => Xfer, TEXT, query NONE, body &[may("message", "string", "The message.")], "Refused, as xfer is.";
    "POST" "/api/admin/bump-config-epoch" => BumpEpoch, TEXT, query NONE, body NONE, "Begins a configuration epoch: every queue asks the policy for its configuration again.";
    "POST" "/api/admin/set_diagnostic_log_filter/v1" => LogFilter, TEXT, query NONE, body &[must("filter", "string", "Levels by target, such as `info,ringmta_egress=debug`.")], "Sets what the engine says on stderr, over restarts too.";
    "DELETE" "/api/admin/set_diagnostic_log_filter/v1" => LogFilter, TEXT, query NONE, body NONE, "Goes back to what the policy or the environment says.";
    "GET" "/api/admin/settings/v1" => Settings, JSON, query NONE, body NONE, "What operators have set over restarts: log filter and configuration epoch, with who and when.";
    "POST" "/api/admin/reload/v1" => Reload, TEXT, query NONE, body NONE, "Loads the policy anew on every shard, or on none.";
    "POST" "/api/admin/spool-compact/v1" => SpoolCompact, TEXT, query NONE, body &[must("name", "string", "Name of the spool.")], "Writes what is only in memory yet; segments are compacted by themselves.";
    "GET" "/api/admin/inspect-message/v1" => InspectMessage, JSON, query &[MESSAGE, may("want_body", "boolean", "With the message itself.")], body NONE, "One message.";
    "GET" "/api/admin/inspect-sched-q/v1" => InspectScheduled, JSON, query &[QUEUE, may("want_body", "boolean", "With the messages themselves."), may("limit", "integer", "Messages at the most."), may("skip", "integer", "Messages to leave out: those of the pages before.")], body NONE, "A scheduled queue and some of its messages.";
    "GET" "/api/admin/inspect-ready-q/v1" => InspectReady, JSON, query &[QUEUE, may("include_scheduled_queues", "boolean", "With the queues that feed it.")], body NONE, "A ready queue: hosts, state, connections, limits.";
    "GET" "/api/admin/ready-q-states/v1" => ReadyStates, JSON, query &[may("queues[]", "strings", "Only these ready queues.")], body NONE, "Which limits hold ready queues up.";
    "GET" "/api/admin/resolve-egress-path/v1" => ResolvePath, JSON, query &[must("domain", "name", "The recipients' domain, or a queue's name."), may("source", "string", "The source; the first of the queue's pool unless given.")], body NONE, "How mail to a domain would leave from a source.";
    "GET" "/api/admin/queues/v1" => Queues, JSON, query NONE, body NONE, "All queues with what waits in them, by shard.";
    "GET" "/api/admin/why/v1" => Why, JSON, query &[must("name", "name", "A message's id, or the name of a queue, domain, site, source or pool."), may("about", "about", "`message`, `queue`, `domain`, `site`, `source` or `pool`.")], body NONE, "Why something is as it is, in words and as fields.";
    "GET" "/api/admin/find/v1" => Find, JSON, query &[must("what", "name", "A message's id, an address, or a Message-ID in brackets."), may("since", "duration", "How far back, such as `1d`."), may("limit", "integer", "Records at the most.")], body NONE, "Where a message is and what became of it: the queues' word, and the records in the log files.";
    "GET" "/api/admin/hooks/v1" => Hooks, JSON, query NONE, body NONE, "Hooks, and what waits for them.";
    "GET" "/api/admin/hooks/dead-letters/v1" => DeadLetters, JSON, query &[HOOK, may("limit", "integer", "Letters at the most.")], body NONE, "Dead letters of a hook, each with the reason.";
    "POST" "/api/admin/hooks/replay/v1" => Replay, JSON, query NONE, body &[HOOK, may("ids", "strings", "Only these.")], "Sends dead letters again.";
    "GET" "/api/admin/self-check/v1" => SelfCheck, JSON, query NONE, body NONE, "Is each message in exactly one place, and every limit and route as it should be?";
    "GET" "/api/admin/memory/stats" => Memory, TEXT, query NONE, body NONE, "What is in memory, and against which budgets it counts.";
    "GET" "/api/admin/trace-smtp-server/v1" => TraceServer, JSON, query NONE, body NONE, "A websocket: after a first frame with a filter, sessions in as they happen.";
    "GET" "/api/admin/trace-smtp-client/v1" => TraceClient, JSON, query NONE, body NONE, "A websocket: after a first frame with a filter, sessions out as they happen.";
    "GET" "/api/admin/tail/v1" => Tail, JSON, query NONE, body NONE, "A websocket: after a first frame with a filter (`type` a list; `id`, `sender`, `recipient`, `domain`, `queue`, `source`), records of events as they happen.";
    "GET" "/api/console/now/v1" => ConsoleNow, JSON, query NONE, body NONE, "The engine at this moment, as the console shows it.";
    "GET" "/api/console/history/v1" => ConsoleHistory, JSON, query &[may("seconds", "integer", "How far back."), may("points", "integer", "Points at the most."), may("by", "by", "Whose numbers are told one by one: `provider`, `domain`, `tenant` or `source`.")], body NONE, "What happened in the last hours, in steps of ten seconds or more.";
    "GET" "/api/console/answers/v1" => ConsoleAnswers, JSON, query NONE, body NONE, "What receivers have said lately, like answers together, with counts.";
    "GET" "/api/console/queues/v1" => ConsoleQueues, JSON, query &[may("search", "string", "A part of the name, in any case."), may("limit", "integer", "Queues of each kind at the most.")], body NONE, "Queues by a part of their name, those with the most mail first.";
    "POST" "/api/console/session/v1" => ConsoleLogIn, JSON, query NONE, body NONE, "A session for whoever the credentials of this request are of: a browser has it as a cookie.";
    "DELETE" "/api/console/session/v1" => ConsoleLogOut, JSON, query NONE, body NONE, "Ends the session of the cookie.";
    "GET" "/api/admin/task-dump" => TaskDump, TEXT, query NONE, body NONE, "What the tasks of each shard wait for.";
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// This.
    Call(Call),
    /// There is such a path, for these methods only.
    Methods(Vec<&'static str>),
    /// There is none; the nearest that there is.
    Unknown(Option<&'static str>),
}

/// Finds the call of a method and a path without its last slash.
pub fn find(method: &str, path: &str) -> Asked {
    let path = if path.is_empty() { "/" } else { path };
    let of_path: Vec<&Endpoint> = ENDPOINTS.iter().filter(|known| known.path == path).collect();
    if of_path.is_empty() {
        return Asked::Unknown(nearest(path, ENDPOINTS.iter().map(|known| known.path)));
    }
    match of_path.iter().find(|known| known.method == method) {
        Some(found) => Asked::Call(found.call),
        None => Asked::Methods(of_path.iter().map(|known| known.method).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_and_the_nearest_offered() {
        assert_eq!(find("GET", ""), Asked::Call(Call::Home));
        assert_eq!(find("POST", "/api/admin/suspend/v1"), Asked::Call(Call::Suspend));
        assert_eq!(find("PUT", "/metrics"), Asked::Methods(vec!["GET"]));
        assert_eq!(
            find("POST", "/api/admin/suspnd/v1"),
            Asked::Unknown(Some("/api/admin/suspend/v1"))
        );
    }

    #[test]
    fn each_method_of_a_path_stands_once() {
        for (at, one) in ENDPOINTS.iter().enumerate() {
            let same = |other: &&Endpoint| other.path == one.path && other.method == one.method;
            assert!(
                !ENDPOINTS[at + 1..].iter().any(|other| same(&other)),
                "{} {}",
                one.method,
                one.path
            );
            assert!(one.doc.ends_with('.') || one.doc.ends_with('?'), "{}", one.doc);
        }
    }

    /// The page has a row for each path, none for one that there is not, and names tests that exist.
    #[test]
    fn the_page_has_every_path_with_its_test() {
        let page = include_str!("../../../policy/src/document/api.md");
        for Endpoint { method, path, .. } in ENDPOINTS {
            assert!(page.contains(&format!("| `{method} {path}` |")), "no row of {method} {path}");
        }
        let rows: Vec<Vec<&str>> = page
            .lines()
            .filter(|line| line.starts_with('|'))
            .skip(2)
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows.len(), ENDPOINTS.len());
        let scenarios = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");
        for row in rows {
            assert!(["same", "differs", "refused", "ours"].contains(&row[4]), "{row:?}");
            for test in row[5].split(", ").map(|test| test.trim_matches('`')) {
                let (module, name) = test.split_once("::").unwrap();
                let text = std::fs::read_to_string(format!("{scenarios}/{module}.rs")).unwrap();
                assert!(text.contains(&format!("#[test]\nfn {name}(")), "{test}");
            }
        }
    }
}
