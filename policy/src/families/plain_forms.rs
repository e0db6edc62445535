//! Which objects of a policy are plain data underneath.

use std::sync::Arc;

use mlua::AnyUserData;
use ringmta_mail::EnvelopeAddress;
use ringmta_options::plain::{Plain, Portable};

use super::aaa::objects::{ListObject, MapObject};
use super::dkim::lua::SignerObject;
use super::maps::{AddressMapObject, DomainMapObject};
use super::regex_map::RegexMapObject;
use super::shaping::lua::ShapingObject;
use super::throttle::ThrottleObject;
use super::time::Time;
use crate::vm::lua_value::{self, PlainForm};
use crate::vm::option_objects::OptionObject;

/// Tells the conversions of values of these types; every VM has the same.
pub(crate) fn set_plain_forms() {
    lua_value::set_plain_forms(&FORMS);
}

const FORMS: [PlainForm; 11] = [
    |u| object::<ListObject>(u, |l| l.0.clone()),
    |u| object::<MapObject>(u, |m| m.0.clone()),
    |u| object::<OptionObject>(u, |o| o.0.clone()),
    |u| u.borrow::<EnvelopeAddress>().ok().map(|a| Plain::str(a.email())),
    |u| u.borrow::<Time>().ok().map(|t| Plain::str(t.text())),
    |u| object::<ThrottleObject>(u, |t| t.0.clone()),
    |u| object::<DomainMapObject>(u, |m| m.0.clone()),
    |u| object::<AddressMapObject>(u, |m| m.0.clone()),
    |u| object::<SignerObject>(u, |s| s.0.clone()),
    |u| object::<ShapingObject>(u, |s| s.0.clone()),
    |u| object::<RegexMapObject>(u, |m| m.0.clone()),
];

fn object<T: 'static>(u: &AnyUserData, inner: fn(&T) -> Arc<dyn Portable>) -> Option<Plain> {
    u.borrow::<T>().ok().map(|object| Plain::Object(inner(&object)))
}
