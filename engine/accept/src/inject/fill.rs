//! The templates of a request, compiled once, and what they are for one recipient.

use crate::inject::request::{Content, Injection, Mailbox, Parts, Recipient};
use ringmta_policy::template::{Dialect, Template};
use serde_json::{Map, Value};

/// The templates of a request.
pub struct Filler<'i> {
    injection: &'i Injection,
    content: Option<Template<'i>>,
    subject: Option<Template<'i>>,
    text: Option<Template<'i>>,
    html: Option<Template<'i>>,
    amp: Option<Template<'i>>,
    from: Option<Names<'i>>,
    reply_to: Option<Names<'i>>,
    headers: Vec<(&'i str, Template<'i>)>,
}

/// Display name and address.
type Names<'i> = (Option<Template<'i>>, Template<'i>);

/// The texts of one recipient's message.
pub struct Filled {
    /// Subject.
    pub subject: Option<String>,
    /// Plain text.
    pub text: Option<String>,
    /// HTML.
    pub html: Option<String>,
    /// AMP.
    pub amp: Option<String>,
    /// Display name and address of the author.
    pub from: Option<(Option<String>, String)>,
    /// The same, of who is answered.
    pub reply_to: Option<(Option<String>, String)>,
    /// Further fields.
    pub headers: Vec<(String, String)>,
}

impl<'i> Filler<'i> {
    /// Compiles all templates of `injection`.
    ///
    /// # Errors
    /// Names the field and what is wrong with it.
    pub fn compile(injection: &'i Injection) -> Result<Filler<'i>, String> {
        let dialect = Dialect::from(injection.template_dialect);
        let compile = |field: &str, name: &'i str, source: &'i str| {
            Template::compile(dialect, name, source)
                .map_err(|error| format!("failed parsing field '{field}' as template: {error}"))
        };
        let mut filler = Filler {
            injection,
            content: None,
            subject: None,
            text: None,
            html: None,
            amp: None,
            from: None,
            reply_to: None,
            headers: Vec::new(),
        };
        let parts: &Parts = match &injection.content {
            Content::Raw(text) => {
                filler.content = Some(compile("content", "content", text)?);
                return Ok(filler);
            }
            Content::Parts(parts) => parts,
        };
        let some = |field: &str, name: &'i str, source: &'i Option<String>| {
            source.as_deref().map(|source| compile(field, name, source)).transpose()
        };
        filler.subject = some("content.subject", "subject", &parts.subject)?;
        filler.text = some("content.text_body", "text_body.txt", &parts.text_body)?;
        filler.html = some("content.html_body", "html_body.html", &parts.html_body)?;
        filler.amp = some("content.amp_html_body", "amp_html_body.html", &parts.amp_html_body)?;
        let names = |field: &str, given: &'i Option<Mailbox>| -> Result<_, String> {
            let Some(Mailbox { email, name }) = given else { return Ok(None) };
            let name = some(&format!("content.{field}.name"), "name", name)?;
            Ok(Some((name, compile(&format!("content.{field}.email"), "email", email)?)))
        };
        filler.from = names("from", &parts.from)?;
        filler.reply_to = names("reply_to", &parts.reply_to)?;
        for (name, value) in &parts.headers {
            let source = value.as_str().ok_or_else(|| format!("headers.{name}: not a string"))?;
            let template = compile(&format!("content.headers.{name}"), name, source)?;
            filler.headers.push((name, template));
        }
        Ok(filler)
    }

    fn context(&self, recipient: &Recipient) -> Map<String, Value> {
        let mut context = self.injection.substitutions.clone();
        context.extend(recipient.substitutions.clone());
        context.entry("email").or_insert_with(|| recipient.email.clone().into());
        if let Some(name) = &recipient.name {
            context.entry("name").or_insert_with(|| name.clone().into());
        }
        context
    }

    /// The parts for one recipient.
    ///
    /// # Errors
    /// What cannot be rendered.
    pub fn fill(&self, recipient: &Recipient) -> Result<Filled, String> {
        let context = self.context(recipient);
        let some = |template: &Option<Template<'_>>| -> Result<Option<String>, String> {
            template.as_ref().map(|template| template.render(&context)).transpose()
        };
        let names = |given: &Option<Names<'_>>| -> Result<_, String> {
            let Some((name, email)) = given else { return Ok(None) };
            Ok(Some((some(name)?, email.render(&context)?)))
        };
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, template) in &self.headers {
            headers.push((name.to_string(), template.render(&context)?));
        }
        Ok(Filled {
            subject: some(&self.subject)?,
            text: some(&self.text)?,
            html: some(&self.html)?,
            amp: some(&self.amp)?,
            from: names(&self.from)?,
            reply_to: names(&self.reply_to)?,
            headers,
        })
    }

    /// Raw content for one recipient. No substitution can bring a header field with it: where one holds a line end, the
    /// header is rendered with blanks in their place.
    ///
    /// # Errors
    /// What cannot be rendered.
    pub fn raw(&self, recipient: &Recipient) -> Result<Option<Vec<u8>>, String> {
        let Some(template) = &self.content else { return Ok(None) };
        let context = Value::Object(self.context(recipient));
        let whole = crate::inject::lines::crlf(&template.render(&context)?);
        let is_static = matches!(Dialect::from(self.injection.template_dialect), Dialect::Static);
        let mut flat = context;
        if is_static || !flatten(&mut flat) {
            return Ok(Some(whole));
        }
        let mut head = crate::inject::lines::crlf(&template.render(&flat)?);
        head.truncate(header_bytes(&head));
        head.extend_from_slice(&whole[header_bytes(&whole)..]);
        Ok(Some(head))
    }
}

/// Length of the header with the blank line behind it.
fn header_bytes(message: &[u8]) -> usize {
    if message.starts_with(b"\r\n") {
        return 2;
    }
    memchr::memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 4)
}

/// Puts blanks in place of line ends in all texts. Whether there were any.
fn flatten(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            let found = text.contains(['\r', '\n']);
            if found {
                *text = text.replace(['\r', '\n'], " ");
            }
            found
        }
        Value::Array(items) => items.iter_mut().fold(false, |found, one| flatten(one) | found),
        Value::Object(members) => {
            let keys = members.keys().any(|key| key.contains(['\r', '\n']));
            if keys {
                let old = std::mem::take(members);
                members.extend(old.into_iter().map(|(k, v)| (k.replace(['\r', '\n'], " "), v)));
            }
            members.values_mut().fold(keys, |found, one| flatten(one) | found)
        }
        _ => false,
    }
}
