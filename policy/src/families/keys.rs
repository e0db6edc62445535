//! Fetching what a key source points to, and `kumo.secrets`.

use mlua::{Error, Lua, Result, Table, Value};
use ringmta_mail::redact;
use ringmta_options::{KeySource, Notes, OptionValue};

use crate::limits::HTTP_TIMEOUT;
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::{from_plain, to_plain};

/// The bytes of a key or password. Never logged.
pub(crate) async fn load(lua: &Lua, source: &KeySource) -> Result<Vec<u8>> {
    match source {
        KeySource::Data(data) => Ok(data.clone()),
        KeySource::File(path) => {
            crate::families::serde::read_file(lua, path.to_string_lossy().into_owned()).await
        }
        KeySource::Event { name, args } => {
            let f = vm::ctx(lua)?.last_handler(name);
            let f = f.ok_or_else(|| {
                Error::runtime(format!("the policy has no handler for the key event `{name}`"))
            })?;
            let args =
                args.iter().map(|a| from_plain(lua, a)).collect::<Result<mlua::MultiValue>>()?;
            let v: Value = f.call_async(args).await?;
            match v {
                Value::String(s) => Ok(s.as_bytes().to_vec()),
                other => Err(Error::runtime(format!(
                    "the key event `{name}` returned a {}, expected bytes",
                    other.type_name()
                ))),
            }
        }
        KeySource::Vault { .. } => vault(lua, source).await,
    }
}

/// Reads one field of a secret over HTTP (KV version 2). Neither token nor secret shows in errors.
async fn vault(lua: &Lua, source: &KeySource) -> Result<Vec<u8>> {
    let KeySource::Vault { mount, path, key, address, token } = source.clone() else {
        return Err(Error::runtime("not a vault key source"));
    };
    let from_env = |given: Option<String>, name: &str| {
        given.or_else(|| std::env::var(name).ok()).ok_or_else(|| {
            Error::runtime(format!(
                "vault {mount}/{path}: {name} is not set, nor given in the key source"
            ))
        })
    };
    let address = from_env(address, "VAULT_ADDR")?;
    let token = from_env(token.map(|token| token.0), "VAULT_TOKEN")?;
    let url = format!("{}/v1/{mount}/data/{path}", address.trim_end_matches('/'));
    let ask = move || -> std::result::Result<serde_json::Value, String> {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(HTTP_TIMEOUT))
            .tls_config(crate::net::trust::http_tls())
            .build();
        let answer = config.new_agent().get(&url).header("X-Vault-Token", &token).call();
        let mut answer = answer.map_err(|e| redact::urls(&e.to_string()).into_owned())?;
        let text = answer.body_mut().read_to_string().map_err(|e| e.to_string())?;
        serde_json::from_str(&text).map_err(|_| "the answer is not JSON".to_owned())
    };
    let found = vm::ctx(lua)?.shared.clone().helpers().run_for(&address, ask).await;
    let failed = |e: String| Error::runtime(format!("vault {mount}/{path}: {e}"));
    let found = found.map_err(failed)?;
    let value = found.pointer("/data/data").and_then(|d| d.get(&key));
    let text = value.and_then(|v| v.as_str());
    text.map(|t| t.as_bytes().to_vec())
        .ok_or_else(|| failed(format!("the secret has no text field `{key}`")))
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] =
    &[FnDef::new("kumo.secrets.load", "source: any", "string", "What a key source holds.")];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let secrets = lua.create_table()?;
    let f = lua.create_async_function(|lua, v: Value| async move {
        let source = KeySource::parse(&to_plain(&v)?, &mut Notes::default())
            .map_err(|e| Error::runtime(format!("kumo.secrets.load: {e}")))?;
        let bytes = load(&lua, &source).await?;
        lua.create_string(bytes)
    })?;
    secrets.set("load", f)?;
    kumo.set("secrets", secrets)
}
