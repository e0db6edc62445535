//! Values without a VM: what option parsing, memoized results and task arguments are made of.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A Lua value turned into plain data. Strings are bytes, as in Lua. Cloning is cheap and crosses threads.
#[derive(Clone, Default)]
pub enum Plain {
    /// `nil`.
    #[default]
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Num(f64),
    /// A string of bytes.
    Str(Arc<[u8]>),
    /// A table with keys 1..n.
    List(Arc<Vec<Plain>>),
    /// Any other table, in the order it was walked.
    Map(Arc<Vec<(Plain, Plain)>>),
    /// An object of the host that can be handed to another VM.
    Object(Arc<dyn Portable>),
}

/// An object that may move between VMs (option objects, signers, maps).
pub trait Portable: Any + Send + Sync {
    /// The object as the host of scripts knows it, which makes a value of it in a VM. Plain data only carries it.
    fn for_host(self: Arc<Self>) -> Box<dyn Any>;
    /// For downcasts.
    fn as_any(&self) -> &dyn Any;
    /// What to call it in errors.
    fn kind(&self) -> &'static str;
    /// Its options as a map, when it has some: lets an object stand where a table is expected.
    fn fields(&self) -> Option<Plain> {
        None
    }
}

impl Plain {
    /// A string value.
    pub fn str(s: impl AsRef<[u8]>) -> Plain {
        Plain::Str(Arc::from(s.as_ref()))
    }

    /// A list value.
    pub fn list(items: Vec<Plain>) -> Plain {
        Plain::List(Arc::new(items))
    }

    /// A table with text keys.
    pub fn map<K: AsRef<[u8]>>(items: impl IntoIterator<Item = (K, Plain)>) -> Plain {
        Plain::Map(Arc::new(items.into_iter().map(|(k, v)| (Plain::str(k), v)).collect()))
    }

    /// The text, when this is a string of valid UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Plain::Str(s) => std::str::from_utf8(s).ok(),
            _ => None,
        }
    }

    /// The value under a text key of a map.
    pub fn get(&self, key: &str) -> Option<&Plain> {
        match self {
            Plain::Map(m) => m.iter().find(|(k, _)| k.is(key)).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Whether this is exactly the given text.
    pub fn is(&self, text: &str) -> bool {
        matches!(self, Plain::Str(s) if **s == *text.as_bytes())
    }

    /// `true` for nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Plain::Nil)
    }

    /// What the value is, with its text, for error messages: `string "10x"`, `table`, ...
    pub fn describe(&self) -> String {
        match self {
            Plain::Nil => "nil".into(),
            Plain::Bool(b) => format!("boolean `{b}`"),
            Plain::Int(i) => format!("integer `{i}`"),
            Plain::Num(n) => format!("floating point `{n}`"),
            Plain::Str(s) => {
                let mut text = String::from_utf8_lossy(s).into_owned();
                if text.len() > 80 {
                    text = text.chars().take(77).collect::<String>() + "...";
                }
                format!("string {text:?}")
            }
            Plain::List(l) if l.is_empty() => "empty table".into(),
            Plain::List(_) => "sequence".into(),
            Plain::Map(_) => "map".into(),
            Plain::Object(o) => o.kind().into(),
        }
    }

    /// JSON of the value; bytes that are not UTF-8 are replaced. Keys become texts.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value;
        match self {
            Plain::Nil => Value::Null,
            Plain::Bool(b) => Value::Bool(*b),
            Plain::Int(i) => Value::from(*i),
            Plain::Num(n) => Value::from(*n),
            Plain::Str(s) => Value::String(String::from_utf8_lossy(s).into_owned()),
            Plain::List(l) if l.is_empty() => Value::Object(Default::default()),
            Plain::List(l) => Value::Array(l.iter().map(Plain::to_json).collect()),
            Plain::Map(m) => {
                Value::Object(m.iter().map(|(k, v)| (k.key_text(), v.to_json())).collect())
            }
            Plain::Object(o) => o.fields().map(|f| f.to_json()).unwrap_or(Value::Null),
        }
    }

    /// Plain data of a JSON value.
    pub fn from_json(v: &serde_json::Value) -> Plain {
        use serde_json::Value;
        match v {
            Value::Null => Plain::Nil,
            Value::Bool(b) => Plain::Bool(*b),
            Value::Number(n) => {
                n.as_i64().map(Plain::Int).unwrap_or_else(|| Plain::Num(n.as_f64().unwrap_or(0.0)))
            }
            Value::String(s) => Plain::str(s),
            Value::Array(a) => Plain::list(a.iter().map(Plain::from_json).collect()),
            Value::Object(m) => Plain::map(m.iter().map(|(k, v)| (k, Plain::from_json(v)))),
        }
    }

    /// The value as the text of a map key.
    pub fn key_text(&self) -> String {
        match self {
            Plain::Str(s) => String::from_utf8_lossy(s).into_owned(),
            Plain::Int(i) => i.to_string(),
            Plain::Num(n) => n.to_string(),
            Plain::Bool(b) => b.to_string(),
            other => other.describe(),
        }
    }

    /// Appends an unambiguous byte form, for cache keys. Objects have none: returns false.
    pub fn write_key(&self, out: &mut Vec<u8>) -> bool {
        let mut tagged = |tag: u8, bytes: &[u8]| {
            out.push(tag);
            out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            out.extend_from_slice(bytes);
        };
        match self {
            Plain::Nil => out.push(b'n'),
            Plain::Bool(b) => out.push(if *b { b't' } else { b'f' }),
            Plain::Int(i) => tagged(b'i', &i.to_le_bytes()),
            Plain::Num(n) => tagged(b'd', &n.to_bits().to_le_bytes()),
            Plain::Str(s) => tagged(b's', s),
            Plain::List(l) => {
                tagged(b'l', &(l.len() as u64).to_le_bytes());
                return l.iter().all(|v| v.write_key(out));
            }
            Plain::Map(m) => {
                tagged(b'm', &(m.len() as u64).to_le_bytes());
                let mut parts = Vec::with_capacity(m.len());
                for (k, v) in m.iter() {
                    let mut part = Vec::new();
                    if !(k.write_key(&mut part) && v.write_key(&mut part)) {
                        return false;
                    }
                    parts.push(part);
                }
                parts.sort();
                parts.iter().for_each(|p| out.extend_from_slice(p));
            }
            Plain::Object(_) => return false,
        }
        true
    }
}

impl PartialEq for Plain {
    fn eq(&self, other: &Plain) -> bool {
        match (self, other) {
            (Plain::Nil, Plain::Nil) => true,
            (Plain::Bool(a), Plain::Bool(b)) => a == b,
            (Plain::Int(a), Plain::Int(b)) => a == b,
            (Plain::Num(a), Plain::Num(b)) => a == b,
            (Plain::Str(a), Plain::Str(b)) => a == b,
            (Plain::List(a), Plain::List(b)) => a == b,
            (Plain::Map(a), Plain::Map(b)) => a == b,
            (Plain::Object(a), Plain::Object(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// Shows the shape, never the text of strings: plain data may hold keys and passwords.
impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Plain::Str(s) => write!(f, "string of {} bytes", s.len()),
            Plain::List(l) => f.debug_list().entries(l.iter()).finish(),
            Plain::Map(m) => {
                f.debug_map().entries(m.iter().map(|(k, v)| (k.key_text(), v))).finish()
            }
            other => f.write_str(&other.describe()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(p: &Plain) -> Vec<u8> {
        let mut out = Vec::new();
        assert!(p.write_key(&mut out));
        out
    }

    #[test]
    fn keys_are_unambiguous_and_ignore_map_order() {
        let ab = Plain::list(vec![Plain::str("a"), Plain::str("b")]);
        let joined = Plain::list(vec![Plain::str("ab")]);
        assert_ne!(key(&ab), key(&joined));
        let one = Plain::map([("x", Plain::Int(1)), ("y", Plain::Int(2))]);
        let two = Plain::map([("y", Plain::Int(2)), ("x", Plain::Int(1))]);
        assert_eq!(key(&one), key(&two));
        assert_ne!(key(&Plain::Int(1)), key(&Plain::Num(1.0)));
    }

    #[test]
    fn debug_hides_texts() {
        let secret = Plain::map([("key_data", Plain::str("hunter2"))]);
        assert!(!format!("{secret:?}").contains("hunter2"));
    }

    #[test]
    fn json_round_trip() {
        let j = serde_json::json!({"a": [1, 2.5, "x", true], "b": {"c": "d"}});
        assert_eq!(Plain::from_json(&j).to_json(), j);
        assert_eq!(Plain::list(vec![]).to_json(), serde_json::json!({}));
    }
}
