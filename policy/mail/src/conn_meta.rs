//! What is known of an inbound connection, as handlers see it.

use std::any::Any;
use std::cell::{OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use serde_json::Value;

use crate::meta::Meta;

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
    /// The object of a script host that stands for the connection, with the number of the host it belongs to.
    object: Rc<OnceCell<(u64, Box<dyn Any>)>>,
}

impl ConnMeta {
    /// The object that stands for the connection in the script host `owner`: made once by `make` and kept for the life of the
    /// connection. It is made of a handle that has the values but not the object, so the two do not keep each other alive; a
    /// script that kept the object can still read the values.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn object<T: Clone + 'static, E>(
        &self,
        owner: u64,
        make: impl FnOnce(ConnMeta) -> Result<T, E>,
    ) -> Result<T, E> {
        if let Some((known, object)) = self.object.get() {
            if let Some(object) = object.downcast_ref::<T>().filter(|_| *known == owner) {
                return Ok(object.clone());
            }
        }
        let object = make(ConnMeta { values: self.values.clone(), object: Rc::default() })?;
        // The object of another host stays where it is: a connection ends on the policy it began with.
        let _ = self.object.set((owner, Box::new(object.clone())));
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
