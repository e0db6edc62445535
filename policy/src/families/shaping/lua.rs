//! `kumo.shaping`.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use mlua::{Error, IntoLua, Lua, Result, Table, UserData, UserDataMethods, Value};
use ringmta_options::plain::Portable;
use ringmta_options::{Notes, OptionValue, Severity};
use serde_json::Value as Json;

use super::merge::{Builder, Shaping, Site};
use super::options::{Findings, ShapingOptions, BUILT_IN};
use super::read::{read, ShapingFile};
use crate::families::dns::lua::mx_plan;
use crate::limits::{MAX_HTTP_RESPONSE_BYTES, SHAPING_LOOKUPS};
use crate::vm::asker::Asker;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::{from_json, note_sections, to_json, to_plain, JsonResult, LuaObject};
use crate::vm::read_options::options as read_options;
use crate::vm::{self, Ctx};

/// Customary places of data that is in the binary here, or that there is none of.
const CUSTOMARY: &str = "policy-extras/shaping.toml";
const COMMUNITY: &str = "community/shaping.toml";

/// The Lua side; may be memoized.
#[derive(Clone)]
pub(crate) struct ShapingObject(pub Arc<Shaping>);

impl LuaObject for Shaping {
    fn to_lua(self: Arc<Self>, lua: &Lua) -> Result<Value> {
        ShapingObject(self).into_lua(lua)
    }
}

impl Portable for Shaping {
    fn for_host(self: Arc<Self>) -> Box<dyn Any> {
        Box::new(self as Arc<dyn LuaObject>)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn kind(&self) -> &'static str {
        "kumo.shaping.load"
    }
}

impl UserData for ShapingObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method(
            "get_egress_path_config",
            |lua, s, (domain, source, site): (String, String, String)| {
                let path = from_json(lua, &Json::Object(s.0.path_config(&domain, &source, &site)))?;
                note_sections(lua, &path, &s.0.origins(&domain, &source, &site))?;
                Ok(path)
            },
        );
        methods.add_method("get_errors", |_, s, ()| Ok(s.0.findings.errors.clone()));
        methods.add_method("get_warnings", |_, s, ()| Ok(s.0.findings.warnings.clone()));
        methods.add_method("get_referenced_sources", |lua, s, ()| {
            let t = lua.create_table()?;
            for (source, referrers) in s.0.referenced_sources() {
                t.set(source, referrers.into_iter().collect::<Vec<_>>())?;
            }
            Ok(t)
        });
        methods.add_method("match_rules", |_, s, record: Value| {
            let rules = s.0.match_rules(&to_json(&record)?);
            Ok(JsonResult(Some(Json::Array(rules.iter().map(|r| r.to_json()).collect()))))
        });
        methods.add_method("hash", |_, s, ()| Ok(s.0.hash().to_owned()));
    }
}

/// Fetches one source of data as text; what cannot be had is noted or, when the policy says so, an error.
async fn text(
    lua: &Lua,
    path: &str,
    options: &ShapingOptions,
    findings: &mut Findings,
) -> Result<Option<String>> {
    let remote = path.starts_with("http://") || path.starts_with("https://");
    if remote && options.skip_remote {
        return Ok(None);
    }
    let (found, severity) = match remote {
        true => (fetch(lua, path, options.http_timeout).await, options.remote_load),
        false => {
            let bytes = crate::families::serde::read_file(lua, path.to_owned()).await;
            (bytes.map(|b| String::from_utf8_lossy(&b).into_owned()), options.local_load)
        }
    };
    match found {
        Ok(text) => Ok(Some(text)),
        Err(_) if path.ends_with(CUSTOMARY) => Ok(Some(BUILT_IN.to_owned())),
        Err(_) if path.ends_with(COMMUNITY) => {
            findings
                .warnings
                .push(format!("{path} is not there; ringmta ships no community rules"));
            Ok(None)
        }
        Err(e) if severity == Severity::Error => {
            Err(Error::runtime(format!("kumo.shaping.load: {}", crate::vm::error::message_of(&e))))
        }
        Err(e) => {
            findings.note(severity, crate::vm::error::message_of(&e));
            Ok(None)
        }
    }
}

async fn fetch(lua: &Lua, url: &str, timeout: Duration) -> Result<String> {
    let url = url.to_owned();
    let shown = url.split('?').next().unwrap_or("").to_owned();
    let job = move || -> std::result::Result<String, ureq::Error> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(timeout))
            .tls_config(crate::net::trust::http_tls());
        let mut answer = config.build().new_agent().get(&url).call()?;
        answer.body_mut().with_config().limit(MAX_HTTP_RESPONSE_BYTES).read_to_string()
    };
    let fetched = vm::ctx(lua)?.shared.helpers().run_for(&shown, job);
    fetched.await.map_err(|e| Error::runtime(format!("{shown}: {e}")))
}

/// Looks up where the mail of every rolled-up domain goes.
async fn sites(
    ctx: &Ctx,
    files: &[ShapingFile],
) -> HashMap<String, std::result::Result<Site, String>> {
    let mut domains: Vec<&str> = files
        .iter()
        .flat_map(|f| &f.domains)
        .filter(|(_, section)| section.rollup)
        .map(|(domain, _)| domain.as_str())
        .collect();
    domains.sort_unstable();
    domains.dedup();
    let lookups = stream::iter(domains).map(|domain| async move {
        let plan = mx_plan(&Asker::new(ctx), domain).await;
        let site = plan
            .map(|p| Site { name: p.site, hosts: p.hosts.into_iter().map(|(_, n)| n).collect() });
        (domain.to_owned(), site.map_err(|e| e.to_string()))
    });
    lookups.buffer_unordered(SHAPING_LOOKUPS).collect().await
}

async fn load(lua: Lua, (paths, options): (Value, Value)) -> Result<ShapingObject> {
    let ctx = vm::ctx(&lua)?;
    let paths: Vec<String> = Vec::parse(&to_plain(&paths)?, &mut Notes::default())
        .map_err(|e| Error::runtime(format!("kumo.shaping.load: {e}")))?;
    let options: ShapingOptions = match &options {
        Value::Nil => ShapingOptions::default(),
        v => read_options(&ctx, &to_plain(v)?)?,
    };
    let mut findings = Findings::default();
    let mut files = Vec::new();
    for path in &paths {
        if let Some(text) = text(&lua, path, &options, &mut findings).await? {
            files.push(read(path, &text, &mut findings));
        }
    }
    let sites = sites(&ctx, &files).await;
    let builder = Builder { options: &options, sites: &sites };
    Ok(ShapingObject(Arc::new(builder.build(files, findings))))
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.shaping.load",
    "paths: string[], options?: kumo.ShapingOptions",
    "any",
    "Loads files of limits, and looks up their sites.",
)];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    t.set("load", lua.create_async_function(load)?)?;
    kumo.set("shaping", t)
}
