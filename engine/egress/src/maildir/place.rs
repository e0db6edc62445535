//! Which folder a recipient has: the template of `maildir_path`, filled in. What goes into it comes from strangers, so no
//! value may name another folder than the one its place in the template gives it.

use ringmta_policy::template::{Dialect, Template};
use ringmta_policy::{EnvelopeAddress, Message, QueueName};
use serde_json::{json, Map, Value};
use std::path::PathBuf;

/// Stands for what no name of a folder may hold.
const FORBIDDEN: char = '\u{1}';

/// What a template is filled with, besides the message's own.
pub(super) struct Facts<'a> {
    pub(super) queue: &'a str,
    pub(super) parts: &'a QueueName,
    pub(super) recipient: &'a EnvelopeAddress,
}

/// Why there is no folder.
#[derive(Debug, PartialEq)]
pub(super) enum Unplaced {
    /// The template fails.
    Template(String),
    /// What it is filled with cannot be a folder's name.
    Name(String),
}

/// The folder of a recipient.
pub(super) fn folder(
    template: &str,
    facts: &Facts<'_>,
    message: &Message,
) -> Result<PathBuf, Unplaced> {
    let compiled = Template::compile(Dialect::Jinja, "maildir_path", template);
    let compiled = compiled.map_err(Unplaced::Template)?;
    let path = compiled.render(&context(facts, message)).map_err(Unplaced::Template)?;
    let is_name = |part: &str| part != "." && part != ".." && !part.contains(FORBIDDEN);
    if !path.split('/').all(is_name) {
        let who = facts.recipient.email();
        return Err(Unplaced::Name(format!("{who} cannot be the name of a maildir")));
    }
    if !path.starts_with('/') {
        return Err(Unplaced::Template(format!("{path:?} is not an absolute path")));
    }
    Ok(PathBuf::from(path))
}

fn context(facts: &Facts<'_>, message: &Message) -> Value {
    let Facts { queue, parts, recipient } = facts;
    let sender = message.sender();
    let meta = message.meta(|meta| Value::Object(meta.clone().into_iter().collect::<Map<_, _>>()));
    let mut context = json!({
        "meta": meta,
        "queue": queue,
        "campaign": parts.campaign,
        "tenant": parts.tenant,
        "domain": parts.domain,
        "routing_domain": parts.routing_domain,
        "local_part": recipient.user(),
        "domain_part": recipient.domain(),
        "email": recipient.email(),
        "sender_local_part": sender.user(),
        "sender_domain_part": sender.domain(),
        "sender_email": sender.email(),
    });
    mark(&mut context);
    context
}

/// Marks what would lead elsewhere, in all texts.
fn mark(value: &mut Value) {
    match value {
        Value::String(text) if text.contains(|c: char| c == '/' || c.is_control()) => {
            *text = text.replace(|c: char| c == '/' || c.is_control(), &FORBIDDEN.to_string());
        }
        Value::Array(items) => items.iter_mut().for_each(mark),
        Value::Object(members) => members.values_mut().for_each(mark),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringmta_policy::{MessageId, Meta};
    use std::rc::Rc;

    fn placed(template: &str, recipient: &str) -> Result<PathBuf, Unplaced> {
        let mut meta = Meta::new();
        meta.insert("tenant".into(), "acme".into());
        meta.insert("evil".into(), "../../etc".into());
        let to = EnvelopeAddress::parse(recipient).unwrap();
        let sender = EnvelopeAddress::parse("a@src.test").unwrap();
        let id: MessageId = "c855f055e68511f1bf981a5608a41765".parse().unwrap();
        let message = Message::new(id, sender, vec![to.clone()], meta, Rc::new(Vec::new()));
        let parts = QueueName::parse("acme@box.test");
        folder(template, &Facts { queue: "acme@box.test", parts: &parts, recipient: &to }, &message)
    }

    #[test]
    fn what_a_template_is_filled_with() {
        let path = placed(
            "/m/{{ queue }}/{{ tenant }}/{{ domain_part }}/{{ local_part }}/{{ sender_email }}/{{ meta.tenant }}",
            "u@box.test",
        );
        let wanted = "/m/acme@box.test/acme/box.test/u/a@src.test/acme";
        assert_eq!(path, Ok(PathBuf::from(wanted)));
    }

    #[test]
    fn nobody_chooses_another_folder() {
        // Without the quotes that make it a local part.
        let template = "/m/{{ domain_part }}/{{ local_part | replace('\"', '') }}";
        for evil in [
            "\"../../etc\"@box.test",
            "\"..\"@box.test",
            "\".\"@box.test",
            "\"a/b\"@box.test",
            "\"/etc\"@box.test",
        ] {
            let refused = placed(template, evil);
            assert!(matches!(refused, Err(Unplaced::Name(_))), "{evil}: {refused:?}");
        }
        assert!(matches!(placed("/m/{{ meta.evil }}", "u@box.test"), Err(Unplaced::Name(_))));
        assert!(matches!(placed("{{ local_part }}", "u@box.test"), Err(Unplaced::Template(_))));
        assert!(matches!(placed("/m/{{ 1 // 0 }}", "u@box.test"), Err(Unplaced::Template(_))));
    }
}
