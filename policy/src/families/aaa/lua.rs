//! What a policy sees of `kumo.aaa`.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::{AnyUserData, Error, Lua, Result, Table, UserData, Value};
use ringmta_options::access::{http_resources, AccessList, AccessMap};
use ringmta_options::{KeySource, Notes, OptionValue};

use super::objects::{ListObject, MapObject, RuleMap, Rules};
use super::walk;
use crate::families::keys;
use crate::families::message::objects::Auth;
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::{from_json, to_json, to_plain};
use crate::vm::Ctx;

/// The names of something that is accessed, the most particular first.
struct ResourceObject(Vec<String>);

impl UserData for ResourceObject {}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.aaa.make_access_control_list",
        "rules: table[]",
        "any",
        "Rules for one resource, for `get_acl_definition`: `{ criteria = ..., privilege = 'GET', access = 'Allow' }` each.",
    ),
    FnDef::new(
        "kumo.aaa.load_acl_map",
        "source: any",
        "any",
        "Rules for many resources, of a TOML file or another key source; `map:get(resource)` gives a resource's list or nil.",
    ),
    FnDef::new(
        "kumo.aaa.make_http_url_resource",
        "local_addr: string, url: string",
        "any",
        "What `query_resource_access` is asked about: a URL of the listener at this address.",
    ),
    FnDef::new(
        "kumo.aaa.query_resource_access",
        "resource: any, auth_info: any, privilege: string",
        "table",
        "Whether somebody may do something: `{ allow, rule, resource }`.",
    ),
    FnDef::new(
        "kumo.aaa.set_acl_cache_ttl",
        "ttl: any",
        "",
        "How long the answers of `get_acl_definition` are remembered; 5 minutes unless set.",
    ),
    FnDef::new(
        "kumo.aaa.set_fall_back_to_acl_map",
        "falls_back: boolean",
        "",
        "Whether the rules that are built in hold where `get_acl_definition` gives none.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    let aaa: Table = kumo.get("aaa")?;
    def(lua, &aaa, "make_access_control_list", |_, rules: Value| {
        let list = AccessList::read(&to_json(&rules)?);
        let failed = |why| Error::runtime(format!("kumo.aaa.make_access_control_list: {why}"));
        list.map(|list| ListObject(Arc::new(Rules(list)))).map_err(failed)
    })?;
    aaa.set("load_acl_map", lua.create_async_function(load_map)?)?;
    def(lua, &aaa, "make_http_url_resource", |_, (local, url): (String, String)| {
        resource(&local, &url)
    })?;
    aaa.set("query_resource_access", lua.create_async_function(query)?)?;
    let c = ctx.clone();
    def(lua, &aaa, "set_acl_cache_ttl", move |_, ttl: Value| {
        let ttl = Duration::parse(&to_plain(&ttl)?, &mut Notes::default());
        let failed = |why| Error::runtime(format!("kumo.aaa.set_acl_cache_ttl: {why}"));
        c.shared.access.keep(ttl.map_err(failed)?);
        Ok(())
    })?;
    let c = ctx.clone();
    def(lua, &aaa, "set_fall_back_to_acl_map", move |_, falls_back: bool| {
        c.shared.access.fall_back(falls_back);
        Ok(())
    })?;
    lua.set_app_data(walk::Known::default());
    Ok(())
}

async fn load_map(lua: Lua, source: Value) -> Result<MapObject> {
    let failed = |why: String| Error::runtime(format!("kumo.aaa.load_acl_map: {why}"));
    let source = KeySource::parse(&to_plain(&source)?, &mut Notes::default()).map_err(failed)?;
    let text = keys::load(&lua, &source).await?;
    let text = String::from_utf8(text).map_err(|_| failed("the map is not UTF-8".into()))?;
    AccessMap::parse(&text).map(|map| MapObject(Arc::new(RuleMap(map)))).map_err(failed)
}

fn resource(local: &str, url: &str) -> Result<ResourceObject> {
    let failed = |why: &str| Error::runtime(format!("kumo.aaa.make_http_url_resource: {why}"));
    let local: std::net::SocketAddr =
        local.parse().map_err(|_| failed(&format!("{local:?} is not an address with a port")))?;
    let (_, rest) =
        url.split_once("://").ok_or_else(|| failed(&format!("{url:?} is not a URL")))?;
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    let path = path.split(['?', '#']).next().unwrap_or("");
    Ok(ResourceObject(http_resources(&local.to_string(), path)))
}

async fn query(
    lua: Lua,
    (resource, who, privilege): (AnyUserData, Value, String),
) -> Result<Value> {
    let failed = |why: String| Error::runtime(format!("kumo.aaa.query_resource_access: {why}"));
    let names = match resource.borrow::<ResourceObject>() {
        Ok(resource) => resource.0.clone(),
        Err(_) => return Err(failed("expected a resource".into())),
    };
    let who = match &who {
        Value::UserData(object) => match object.borrow::<Auth>() {
            Ok(auth) => auth.0.clone(),
            Err(_) => return Err(failed("expected an auth_info".into())),
        },
        table => Auth::from_plain(&to_plain(table)?).map_err(failed)?,
    };
    let access = walk::decide(&lua, &names, &who, &who, &privilege).await?;
    let answer = serde_json::json!({
        "allow": access.allow,
        "rule": access.rule.map(|rule| rule.to_json()),
        "resource": access.resource,
    });
    from_json(&lua, &answer)
}
