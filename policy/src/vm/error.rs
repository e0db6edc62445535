//! What can come out of a handler besides a result.

use std::fmt;

use ringmta_options::plain::Plain;
use ringmta_options::{Notes, OptionValue};

use crate::limits::{MAX_ERROR_BYTES, MAX_VM_BYTES};

/// How strongly a rejection wants the session to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnect {
    /// Close when the code is 421.
    If421,
    /// Answer, then send 421 and close.
    FollowWith421,
    /// Close without further words.
    ForceDisconnect,
}

impl OptionValue for Disconnect {
    const TYPE: &'static str = "one of 'If421', 'FollowWith421', 'ForceDisconnect'";
    fn parse(v: &Plain, _: &mut Notes) -> Result<Disconnect, String> {
        const WORDS: [&str; 3] = ["If421", "FollowWith421", "ForceDisconnect"];
        match v.as_str() {
            Some("If421") => Ok(Disconnect::If421),
            Some("FollowWith421") => Ok(Disconnect::FollowWith421),
            Some("ForceDisconnect") => Ok(Disconnect::ForceDisconnect),
            Some(other) => {
                Err(ringmta_options::suggest::unknown("variant", other, WORDS.into_iter()))
            }
            None => Err(format!("invalid type: {}, expected {}", v.describe(), Self::TYPE)),
        }
    }
    fn to_plain(&self) -> Plain {
        Plain::str(format!("{self:?}"))
    }
}

/// A refusal the policy chose: `kumo.reject` or `kumo.disconnect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// SMTP reply code, 400..=599.
    pub code: u16,
    /// Reply text, usually starting with an enhanced code.
    pub text: String,
    /// Set by `kumo.disconnect`.
    pub disconnect: Option<Disconnect>,
}

impl Rejection {
    /// Whether the session ends with this reply: 421 always does.
    pub fn closes_session(&self) -> bool {
        self.code == 421
            || matches!(
                self.disconnect,
                Some(Disconnect::FollowWith421 | Disconnect::ForceDisconnect)
            )
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.text)
    }
}

impl std::error::Error for Rejection {}

/// A handler that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LuaFailure {
    /// Event being handled, or `load`.
    pub event: String,
    /// What went wrong, with file and line where known.
    pub message: String,
}

/// Why a policy call gave no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyError {
    /// The policy refuses: the reply to send.
    Reject(Rejection),
    /// The policy is broken: already logged; answer 451.
    Lua(LuaFailure),
    /// A handler ran too long and was stopped: already logged; answer 451.
    Timeout,
}

impl PolicyError {
    /// A failure with a message.
    pub(crate) fn lua(event: &str, message: impl fmt::Display) -> PolicyError {
        PolicyError::Lua(LuaFailure { event: event.to_owned(), message: message.to_string() })
    }

    /// The rejection, when the policy chose one.
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            PolicyError::Reject(r) => Some(r),
            _ => None,
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyError::Reject(r) => write!(f, "rejected by policy: {r}"),
            PolicyError::Lua(l) if l.event.is_empty() => f.write_str(&l.message),
            PolicyError::Lua(l) => write!(f, "{}: {}", l.event, l.message),
            PolicyError::Timeout => {
                f.write_str("a policy handler ran too long without waiting and was stopped")
            }
        }
    }
}

impl std::error::Error for PolicyError {}

/// The error of a Lua call, made ours: a rejection anywhere in its chain of causes is a rejection.
pub(crate) fn from_lua(event: &str, e: &mlua::Error) -> PolicyError {
    for cause in e.chain() {
        if let Some(r) = cause.downcast_ref::<Rejection>() {
            return PolicyError::Reject(r.clone());
        }
    }
    PolicyError::lua(event, shortened(message_of(e)))
}

/// The beginning and the end of a text that is too long: one says where, the other what.
fn shortened(text: String) -> String {
    if text.len() <= MAX_ERROR_BYTES {
        return text;
    }
    let (mut head, mut tail) = (MAX_ERROR_BYTES / 2, text.len() - MAX_ERROR_BYTES / 2);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{} ... {}", &text[..head], &text[tail..])
}

/// One line with file and line number: Lua's own message, or a native error with the line of its caller.
pub(crate) fn message_of(e: &mlua::Error) -> String {
    use mlua::Error as E;
    match e {
        E::RuntimeError(text) => match text.split_once("\nstack traceback:") {
            Some((first, trace)) => with_location(first, trace),
            None => text.clone(),
        },
        E::SyntaxError { message, .. } => message.clone(),
        E::CallbackError { cause, traceback } => {
            let mut root = cause;
            let mut trace = traceback;
            while let E::CallbackError { cause, traceback } = &**root {
                root = cause;
                trace = traceback;
            }
            with_location(&message_of(root), trace)
        }
        E::MemoryError(_) => format!(
            "the policy wants more memory than the {} MiB a shard's VM may take",
            MAX_VM_BYTES / (1024 * 1024)
        ),
        E::WithContext { context, cause } => format!("{context}: {}", message_of(cause)),
        E::ExternalError(inner) => inner.to_string(),
        E::BadArgument { to, pos, name, cause } => {
            let to = to.as_deref().map(|t| format!(" to `{t}`")).unwrap_or_default();
            let name = name.as_deref().map(|n| format!(" ({n})")).unwrap_or_default();
            format!("bad argument #{pos}{name}{to}: {}", message_of(cause))
        }
        E::FromLuaConversionError { from, to, message } => {
            let why = message.as_deref().map(|m| format!(" ({m})")).unwrap_or_default();
            format!("expected {to}, got {from}{why}")
        }
        other => other.to_string(),
    }
}

fn with_location(message: &str, traceback: &str) -> String {
    if has_location(message) {
        return message.to_owned();
    }
    // Frames of the glue under functions that wait say nothing to a policy's author.
    let glue =
        |l: &str| ["[C]", "[string \"?\"]", "kumo:", "__mlua"].iter().any(|g| l.starts_with(g));
    let frame = traceback.lines().map(str::trim).find(|l| has_location(l) && !glue(l));
    match frame.and_then(|l| l.split_once(": in ").map(|(at, _)| at)) {
        Some(at) => format!("{at}: {message}"),
        None => message.to_owned(),
    }
}

/// Whether a line starts with `file:123:`.
fn has_location(text: &str) -> bool {
    let mut parts = text.splitn(3, ':');
    let (file, line) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    !file.is_empty()
        && !line.is_empty()
        && line.bytes().all(|c| c.is_ascii_digit())
        && parts.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_well() {
        let r = Rejection { code: 550, text: "5.7.1 no".into(), disconnect: None };
        assert_eq!(PolicyError::Reject(r.clone()).to_string(), "rejected by policy: 550 5.7.1 no");
        assert!(!r.closes_session());
        assert!(Rejection { code: 421, ..r }.closes_session());
        assert_eq!(PolicyError::lua("init", "x.lua:3: bad").to_string(), "init: x.lua:3: bad");
    }

    #[test]
    fn location_comes_from_the_traceback() {
        let trace = "stack traceback:\n\t[C]: in ?\n\tinit.lua:12: in function <init.lua:10>";
        assert_eq!(with_location("bad", trace), "init.lua:12: bad");
        assert_eq!(with_location("a.lua:1: bad", trace), "a.lua:1: bad");
        assert_eq!(with_location("bad", ""), "bad");
        let trace = "stack traceback:\n\t[string \"?\"]:28: in method 'send'\n\ta.lua:3: in x";
        assert_eq!(with_location("bad", trace), "a.lua:3: bad");
    }
}
