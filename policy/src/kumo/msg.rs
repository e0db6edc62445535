//! Methods of the message object.

use mlua::{UserData, UserDataMethods};

use crate::message::Message;

impl UserData for Message {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("id", |_, m, ()| Ok(m.id().to_string()));
    }
}
