//! `policy-extras.*`: helper modules shipped inside the binary.

use mlua::{Function, Lua, Result, Table, Value};

/// Module name and source.
const MODULES: &[(&str, &str)] = &[
    (
        "dkim_sign",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/policy-extras/dkim_sign.lua")),
    ),
    (
        "docker_utils",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/policy-extras/docker_utils.lua")),
    ),
    (
        "listener_domains",
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/lua/policy-extras/listener_domains.lua"
        )),
    ),
    (
        "log_hooks",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/policy-extras/log_hooks.lua")),
    ),
    (
        "mail_auth",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/policy-extras/mail_auth.lua")),
    ),
    (
        "policy_utils",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/policy-extras/policy_utils.lua")),
    ),
    ("queue", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/policy-extras/queue.lua"))),
    ("rollup", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/policy-extras/rollup.lua"))),
    (
        "shaping",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/policy-extras/shaping.lua")),
    ),
    (
        "sources",
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/policy-extras/sources.lua")),
    ),
    ("typing", include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/lua/policy-extras/typing.lua"))),
];

/// Whether a module of this name is in the binary.
pub(crate) fn has(name: &str) -> bool {
    name.strip_prefix("policy-extras.").is_some_and(|n| MODULES.iter().any(|(m, _)| *m == n))
}

/// Where KumoMTA's own helpers lie when it is installed: they are written for its engine.
pub(crate) const SHARE: &str = "/opt/kumomta/share";

/// Adds a searcher in front of the usual ones: a module of the policy's own tree wins over the one in the binary, and
/// that over whatever another program has installed under the same name.
pub(crate) fn register(lua: &Lua) -> Result<()> {
    let search = lua.create_function(move |lua, name: String| {
        let wanted =
            name.strip_prefix("policy-extras.").and_then(|n| MODULES.iter().find(|(m, _)| *m == n));
        let Some((_, source)) = wanted else {
            let text = format!("no module '{name}' in the binary");
            return Ok(Value::String(lua.create_string(text)?));
        };
        let package: Table = lua.globals().get("package")?;
        let path: String = package.get("path")?;
        if in_tree(&path, &name) {
            return Ok(Value::Nil);
        }
        let f: Function = lua.load(*source).set_name(format!("={name}")).into_function()?;
        Ok(Value::Function(f))
    })?;
    // Behind what was loaded or preloaded.
    lua.load("table.insert(package.searchers, 2, ...)").call::<()>(search)
}

/// Whether a module is found in the places of `package.path` that are the policy's own: those before [`SHARE`].
fn in_tree(path: &str, module: &str) -> bool {
    let file = module.replace('.', "/");
    let places = path.split(';').take_while(|place| !place.starts_with(SHARE));
    // The usual places of Lua itself come behind; a path without the share folder is the policy's own doing.
    places
        .map(|place| place.replace('?', &file))
        .any(|place| std::path::Path::new(&place).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tree_itself_stands_in_for_a_module_of_ours() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("policy-extras")).unwrap();
        std::fs::write(dir.path().join("policy-extras/queue.lua"), "return {}").unwrap();
        let tree = format!("{}/?.lua", dir.path().display());
        let share = format!("{SHARE}/?.lua");
        assert!(in_tree(&format!("{tree};{share}"), "policy-extras.queue"));
        assert!(!in_tree(&format!("{tree};{share}"), "policy-extras.shaping"));
        // What lies behind the share folder does not count either.
        assert!(!in_tree(&format!("{share};{tree}"), "policy-extras.queue"));
    }
}
