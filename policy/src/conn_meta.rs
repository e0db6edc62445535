//! What is known of an inbound connection, as handlers see it.

use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use mlua::{AnyUserData, Lua};
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
pub struct ConnMeta {
    values: Rc<RefCell<Inner>>,
    /// What handlers are given: one object for the life of the connection, with the number of the VM it lives in.
    object: Rc<OnceCell<(u64, AnyUserData)>>,
}

impl ConnMeta {
    /// The object of the connection in a VM. It holds the values but not the place of itself, so the two let go of each other
    /// when the connection ends; a policy that kept it can still read it.
    pub(crate) fn object(&self, lua: &Lua, vm: u64) -> mlua::Result<AnyUserData> {
        if let Some((owner, object)) = self.object.get() {
            if *owner == vm {
                return Ok(object.clone());
            }
        }
        let values = self.values.clone();
        let object = lua.create_userdata(ConnMeta { values, object: Rc::default() })?;
        // The object of another VM stays where it is: a connection ends on the policy it began with.
        let _ = self.object.set((vm, object.clone()));
        Ok(object)
    }

    /// An empty set.
    pub fn new() -> ConnMeta {
        ConnMeta::default()
    }

    /// One value.
    pub fn get(&self, key: &str) -> Option<Value> {
        self.values.borrow().meta.get(key).cloned()
    }

    /// Reads one value without copying it.
    pub fn with<R>(&self, key: &str, f: impl FnOnce(Option<&Value>) -> R) -> R {
        f(self.values.borrow().meta.get(key))
    }

    /// Sets one value; `Null` removes it.
    pub fn set(&self, key: impl Into<String>, value: impl Into<Value>) {
        let value = value.into();
        let mut inner = self.values.borrow_mut();
        if value.is_null() {
            inner.meta.remove(&key.into());
        } else {
            inner.meta.insert(key.into(), value);
        }
    }

    /// A copy of all values, as each message of the connection receives it.
    pub fn snapshot(&self) -> Meta {
        self.values.borrow().meta.clone()
    }

    /// Who the peer has proven to be so far.
    pub fn auth_info(&self) -> AuthInfo {
        self.values.borrow().auth.clone()
    }

    /// Records who the peer is.
    pub fn set_auth_info(&self, auth: AuthInfo) {
        self.values.borrow_mut().auth = auth;
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
