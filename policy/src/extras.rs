//! `policy-extras.*`: helper modules shipped inside the binary.

use mlua::{Function, Lua, Result, Table, Value};

/// Module name and source.
const MODULES: &[(&str, &str)] = &[
    ("dkim_sign", include_str!("../lua/policy-extras/dkim_sign.lua")),
    ("docker_utils", include_str!("../lua/policy-extras/docker_utils.lua")),
    ("listener_domains", include_str!("../lua/policy-extras/listener_domains.lua")),
    ("log_hooks", include_str!("../lua/policy-extras/log_hooks.lua")),
    ("mail_auth", include_str!("../lua/policy-extras/mail_auth.lua")),
    ("policy_utils", include_str!("../lua/policy-extras/policy_utils.lua")),
    ("queue", include_str!("../lua/policy-extras/queue.lua")),
    ("rollup", include_str!("../lua/policy-extras/rollup.lua")),
    ("shaping", include_str!("../lua/policy-extras/shaping.lua")),
    ("sources", include_str!("../lua/policy-extras/sources.lua")),
    ("typing", include_str!("../lua/policy-extras/typing.lua")),
];

/// Whether a module of this name is in the binary.
pub(crate) fn has(name: &str) -> bool {
    name.strip_prefix("policy-extras.").is_some_and(|n| MODULES.iter().any(|(m, _)| *m == n))
}

/// Adds a searcher behind the usual ones: a module on disk wins over the one in the binary.
pub(crate) fn register(lua: &Lua) -> Result<()> {
    let package: Table = lua.globals().get("package")?;
    let searchers: Table = package.get("searchers")?;
    let search = lua.create_function(|lua, name: String| {
        let wanted =
            name.strip_prefix("policy-extras.").and_then(|n| MODULES.iter().find(|(m, _)| *m == n));
        match wanted {
            Some((_, source)) => {
                let f: Function = lua.load(*source).set_name(format!("={name}")).into_function()?;
                Ok(Value::Function(f))
            }
            None => {
                Ok(Value::String(lua.create_string(format!("no module '{name}' in the binary"))?))
            }
        }
    })?;
    searchers.push(search)
}
