//! What is known of an inbound connection, as handlers see it.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use serde_json::Value;

use crate::message::Meta;

/// Who a peer has proven to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthInfo {
    /// Authenticated names.
    pub identities: Vec<String>,
    /// Groups the names belong to.
    pub groups: Vec<String>,
    /// Address the peer connected from.
    pub peer_address: Option<IpAddr>,
}

#[derive(Default)]
struct Inner {
    meta: Meta,
    auth: AuthInfo,
}

/// Shared handle to a connection's metadata; clones see one another's changes.
#[derive(Clone, Default)]
pub struct ConnMeta(Rc<RefCell<Inner>>);

impl ConnMeta {
    /// An empty set.
    pub fn new() -> ConnMeta {
        ConnMeta::default()
    }

    /// One value.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.0.borrow().meta.get(key).cloned()
    }

    /// Reads one value without copying it.
    pub fn with<R>(&self, key: &str, f: impl FnOnce(Option<&Value>) -> R) -> R {
        f(self.0.borrow().meta.get(key))
    }

    /// Sets one value; `Null` removes it.
    pub fn set(&self, key: impl Into<String>, value: impl Into<Value>) {
        let value = value.into();
        let mut inner = self.0.borrow_mut();
        if value.is_null() {
            inner.meta.remove(&key.into());
        } else {
            inner.meta.insert(key.into(), value);
        }
    }

    /// A copy of all values, as each message of the connection receives it.
    pub fn snapshot(&self) -> Meta {
        self.0.borrow().meta.clone()
    }

    /// Who the peer has proven to be so far.
    pub fn auth_info(&self) -> AuthInfo {
        self.0.borrow().auth.clone()
    }

    /// Records who the peer is.
    pub fn set_auth_info(&self, auth: AuthInfo) {
        self.0.borrow_mut().auth = auth;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_and_null_removes() {
        let a = ConnMeta::new();
        let b = a.clone();
        a.set("hostname", "mx1");
        assert_eq!(b.get("hostname"), Some(Value::from("mx1")));
        b.set("hostname", Value::Null);
        assert_eq!(a.get("hostname"), None);
        assert!(a.snapshot().is_empty());
    }
}
