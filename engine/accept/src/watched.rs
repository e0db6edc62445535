//! What those who watch are told of a session in. Commands are told as records tell them, without what may be a secret.

use ringmta_policy::ConnMeta;
use ringmta_shard::state::Shard;
use ringmta_shard::trace::Seen;
use ringmta_smtp::server::redact;
use ringmta_smtp::server::vocabulary::Ask;
use serde_json::json;

/// The policy's event for a question.
pub fn event_of(ask: &Ask) -> &'static str {
    match ask {
        Ask::Connected => "smtp_server_connection_accepted",
        Ask::Ehlo { .. } => "smtp_server_ehlo",
        Ask::Auth { .. } => "smtp_server_auth_plain",
        Ask::Xclient(_) => "smtp_server_get_dynamic_parameters",
        Ask::Mail(_) => "smtp_server_mail_from",
        Ask::Rcpt(_) => "smtp_server_rcpt_to",
        Ask::Data => "smtp_server_data",
        Ask::Message(_) => "smtp_server_message_received",
    }
}

/// A session as those see it who watch.
#[derive(Clone, Copy)]
pub struct Watched<'a> {
    /// Its shard.
    pub shard: &'a Shard,
    /// What is known of it.
    pub meta: &'a ConnMeta,
}

impl Watched<'_> {
    /// Whether somebody watches.
    pub fn is(self) -> bool {
        self.shard.trace.incoming()
    }

    /// Tells those who watch.
    pub fn tell(self, seen: &Seen<'_>) {
        if self.is() {
            self.shard.trace.tell(false, &self.meta.snapshot(), seen);
        }
    }

    /// A command that a reply is for.
    pub fn command(self, command: Option<&str>) {
        if let (true, Some(command)) = (self.is(), command) {
            let kept = match redact::kept(command) {
                "" => "(not a command)",
                kept => kept,
            };
            self.tell(&Seen::Read(&format!("{kept}\r\n")));
        }
    }

    /// A message that was received.
    pub fn message(self, body: &[u8]) {
        if self.is() {
            self.tell(&Seen::Read(&String::from_utf8_lossy(body)));
        }
    }

    /// A reply, a line each.
    pub fn reply(self, reply: &[u8]) {
        if self.is() {
            let text = String::from_utf8_lossy(reply);
            text.split_inclusive('\n').for_each(|line| self.tell(&Seen::Write(line)));
        }
    }

    /// An event of the policy.
    pub fn callback(self, name: &str, error: Option<String>) {
        if self.is() {
            let told = json!({"Callback": {"name": name, "result": null, "error": error}});
            self.tell(&Seen::Told(told));
        }
    }
}
