//! Who may use a resource: its names are gone through, the most particular first, and the first rule that applies decides.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use mlua::{Lua, Result, Value};
use ringmta_mail::AuthInfo;
use ringmta_options::access::{Access, AccessMap};

use super::objects::{ListObject, Rules};
use crate::vm;

/// The event that is asked for the rules of a resource.
pub(crate) const EVENT: &str = "get_acl_definition";

/// Resources whose rules are remembered: strangers name them, by the paths they ask for.
const KNOWN_MAX: usize = 1024;
/// Names of one resource at most: the paths there are have a few parts.
pub(crate) const NAMES_MAX: usize = 64;

/// What the policy has said of resources, until when: monotonic nanoseconds.
#[derive(Default)]
pub(crate) struct Known(RefCell<HashMap<String, Remembered>>);

type Remembered = (u64, Option<Arc<Rules>>);

/// Decides whether `who` may do `privilege` to what has these names. Where the policy has no rules for a name, and lets the
/// ones hold that are built in, those are asked about `as_built_in`.
pub(crate) async fn decide(
    lua: &Lua,
    names: &[String],
    who: &AuthInfo,
    as_built_in: &AuthInfo,
    privilege: &str,
) -> Result<Access> {
    let ctx = vm::ctx(lua)?;
    let falls_back = ctx.shared.access.falls_back();
    let built_in = AccessMap::built_in();
    let mut considered = Vec::new();
    for name in names.iter().take(NAMES_MAX) {
        let rule = match definition(lua, name).await? {
            Some(list) => list.0.rule_for(who, privilege).cloned(),
            None if falls_back => {
                let list = built_in.get(name);
                list.and_then(|list| list.rule_for(as_built_in, privilege)).cloned()
            }
            None => None,
        };
        if let Some(rule) = rule {
            let (allow, resource) = (rule.allow, Some(name.clone()));
            return Ok(Access { allow, rule: Some(rule), resource, considered });
        }
        considered.push(name.clone());
    }
    Ok(Access { considered, ..Access::default() })
}

/// The rules that the policy gives a resource.
async fn definition(lua: &Lua, name: &str) -> Result<Option<Arc<Rules>>> {
    let ctx = vm::ctx(lua)?;
    if !ctx.handles(EVENT) {
        return Ok(None);
    }
    let now = ctx.host.now_monotonic_nanos();
    if let Some(list) = known(lua, name, now) {
        return Ok(list);
    }
    let mut list = None;
    let mut at = 0;
    while let Some(handler) = ctx.handler(EVENT, at) {
        match handler.call_async::<Value>(name).await? {
            Value::Nil => at += 1,
            Value::UserData(object) => {
                let object =
                    object.borrow::<ListObject>().map_err(|_| expected("another object"))?;
                list = Some(object.0.clone());
                break;
            }
            other => return Err(expected(&format!("a {}", other.type_name()))),
        }
    }
    let until = now.saturating_add(ctx.shared.access.keep_nanos());
    if let Some(known) = lua.app_data_ref::<Known>() {
        let mut known = known.0.borrow_mut();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(name.to_owned(), (until, list.clone()));
    }
    Ok(list)
}

/// What is remembered of a resource; that there are no rules is an answer, too.
fn known(lua: &Lua, name: &str, now: u64) -> Option<Option<Arc<Rules>>> {
    let known = lua.app_data_ref::<Known>()?;
    let known = known.0.borrow();
    let (until, list) = known.get(name)?;
    (now < *until).then(|| list.clone())
}

fn expected(found: &str) -> mlua::Error {
    mlua::Error::runtime(format!(
        "`{EVENT}` returned {found}, expected what kumo.aaa.make_access_control_list gives, or nil"
    ))
}
