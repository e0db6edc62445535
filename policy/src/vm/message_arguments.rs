//! Messages as arguments of handlers.

use mlua::AnyUserData;
use ringmta_mail::message::Message;

/// A message handed to a handler for the time of one call. The collector does not see how much memory a message holds, and
/// would let bodies pile up; so the object lets go of its message as soon as the call is over.
#[derive(Default)]
pub(crate) struct Lent(Option<AnyUserData>);

impl Lent {
    /// Takes charge of the object of a message.
    pub fn new(object: AnyUserData) -> Lent {
        Lent(Some(object))
    }

    /// The object to pass to the handler.
    pub fn object(&self) -> Option<AnyUserData> {
        self.0.clone()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(object) = &self.0 {
            // A method still at work on it (a cancelled call) keeps it until the collector comes by.
            drop(object.take::<Message>());
        }
    }
}
