//! Functions of the contract that this version has no engine for. They exist, so that the error says what is missing and why,
//! instead of "attempt to call a nil value"; `validate` finds them before they are called.

use mlua::{Error, Lua, MultiValue, Result, Table, Value};

/// Path below the module `kumo`, and why.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    (
        "define_egress_source",
        "the event `get_egress_source` gives each source: have its handler return kumo.make_egress_source { name = ... }",
    ),
    (
        "define_egress_pool",
        "the event `get_egress_pool` gives each pool: have its handler return kumo.make_egress_pool { name = ..., entries = ... }",
    ),
    ("xfer.xfer", NO_XFER),
    ("xfer.xfer_in_requeue", NO_XFER),
];

/// As [`REFUSED`], but only in this build: a feature of the crate is off.
const NOT_BUILT_IN: &[(&str, &str)] = &[
    #[cfg(not(feature = "kafka"))]
    ("kafka.build_producer", "it is built in with `cargo build --release --features kafka`"),
];

const NO_XFER: &str = "messages stay on the node that accepted them";

/// Modules of other daemons, with what they have.
const OTHERS: &[(&str, &[&str], &str)] = &[
    ("tsa", &["start_http_listener", "configure_tsa_db_path"], "there is no automation daemon"),
    ("proxy", &["start_proxy_listener", "start_http_listener"], "there is no proxy server"),
];

/// Names of the modules in which everything is refused.
pub(crate) const MODULES: [&str; 2] = ["tsa", "proxy"];

/// One of them: a tree that only loads it still works.
pub(crate) fn module(lua: &Lua, name: &str) -> Result<Table> {
    let t = lua.create_table()?;
    for (module, functions, why) in OTHERS.iter().filter(|(module, ..)| *module == name) {
        for f in *functions {
            t.set(*f, refusal(lua, format!("{module}.{f}"), why)?)?;
        }
    }
    Ok(t)
}

fn refusal(lua: &Lua, path: String, why: &'static str) -> Result<mlua::Function> {
    lua.create_function(move |_, _: MultiValue| -> Result<Value> {
        Err(Error::runtime(format!("{path} is not supported by this version of ringmta: {why}")))
    })
}

/// Why a path such as `kumo.nats.connect` is refused.
pub(crate) fn why(path: &str) -> Option<&'static str> {
    for (module, functions, why) in OTHERS {
        let name = path.strip_prefix(module).and_then(|rest| rest.strip_prefix('.'));
        if name.is_some_and(|n| functions.contains(&n)) {
            return Some(why);
        }
    }
    let below = path.strip_prefix("kumo.")?;
    REFUSED.iter().find(|(name, _)| *name == below).map(|(_, why)| *why)
}

/// As [`why`], and what this build leaves out.
pub(crate) fn why_here(path: &str) -> Option<&'static str> {
    let left_out = || {
        let below = path.strip_prefix("kumo.")?;
        NOT_BUILT_IN.iter().find(|(name, _)| *name == below).map(|(_, why)| *why)
    };
    why(path).or_else(left_out)
}

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    for (path, why) in REFUSED.iter().chain(NOT_BUILT_IN) {
        let mut table = kumo.clone();
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                let f = refusal(lua, format!("kumo.{path}"), why)?;
                table.set(part, f)?;
                break;
            }
            table = match table.get::<Value>(part)? {
                Value::Table(inner) => inner,
                _ => {
                    let inner = lua.create_table()?;
                    table.set(part, &inner)?;
                    inner
                }
            };
        }
    }
    Ok(())
}
