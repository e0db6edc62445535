//! `kumo.domain_map` and `kumo.cidr`: tables looked up by domain or address.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use mlua::{Error, IntoLua, Lua, MetaMethod, Result, Table, UserData, UserDataMethods, Value};
use ringmta_options::plain::{Plain, Portable};
use ringmta_options::CidrMap;

use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::{from_plain, to_plain, LuaObject};

/// Values by domain. `example.com` stands for itself, `*.example.com` for everything below, `*` for the rest.
#[derive(Default)]
pub(crate) struct DomainMap(RwLock<BTreeMap<String, Plain>>);

/// Values by network.
#[derive(Default)]
pub(crate) struct AddressMap(RwLock<CidrMap<Plain>>);

impl DomainMap {
    fn insert(&self, key: &str, value: Plain) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(normal(key), value);
    }

    fn get(&self, domain: &str) -> Option<Plain> {
        let map = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let domain = normal(domain);
        if let Some(v) = map.get(&domain) {
            return Some(v.clone());
        }
        let mut rest = domain.as_str();
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(v) = map.get(&format!("*.{parent}")) {
                return Some(v.clone());
            }
            rest = parent;
        }
        map.get("*").cloned()
    }
}

fn normal(domain: &str) -> String {
    domain.trim_end_matches('.').to_lowercase()
}

impl AddressMap {
    fn insert(&self, key: &str, value: Plain) -> Result<()> {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, value)
            .map_err(Error::runtime)
    }

    /// The address may carry a port, as connection metadata does.
    fn get(&self, text: &str) -> Option<Plain> {
        let addr = text
            .parse::<IpAddr>()
            .ok()
            .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|s| s.ip()))?;
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(addr).cloned()
    }
}

macro_rules! portable_map {
    ($map:ident, $object:ident, $kind:literal, |$m:ident, $k:ident, $v:ident| $insert:expr) => {
        #[derive(Clone)]
        pub(crate) struct $object(pub Arc<$map>);

        impl LuaObject for $map {
            fn to_lua(self: Arc<Self>, lua: &Lua) -> Result<Value> {
                $object(self).into_lua(lua)
            }
        }

        impl Portable for $map {
            fn for_host(self: Arc<Self>) -> Box<dyn Any> {
                Box::new(self as Arc<dyn LuaObject>)
            }
            fn as_any(&self) -> &dyn Any {
                self
            }
            fn kind(&self) -> &'static str {
                $kind
            }
        }

        impl UserData for $object {
            fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
                methods.add_meta_method(MetaMethod::Index, |lua, this, key: mlua::String| {
                    from_plain(lua, &this.0.get(&key.to_str()?).unwrap_or_default())
                });
                methods.add_meta_method(
                    MetaMethod::NewIndex,
                    |_, this, (key, value): (String, Value)| {
                        let ($m, $k, $v) = (&this.0, key.as_str(), to_plain(&value)?);
                        $insert
                    },
                );
            }
        }

        impl $object {
            fn build(init: Option<Table>) -> Result<$object> {
                let map = Arc::new($map::default());
                for pair in init.iter().flat_map(|t| t.pairs::<String, Value>()) {
                    let (key, value) = pair?;
                    let ($m, $k, $v) = (&map, key.as_str(), to_plain(&value)?);
                    $insert?;
                }
                Ok($object(map))
            }
        }
    };
}

portable_map!(DomainMap, DomainMapObject, "kumo.domain_map", |m, k, v| {
    m.insert(k, v);
    Ok::<(), Error>(())
});
portable_map!(AddressMap, AddressMapObject, "kumo.cidr map", |m, k, v| m.insert(k, v));

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.domain_map.new",
        "values?: table",
        "any",
        "A table looked up by domain: `*.example.com` stands for all below.",
    ),
    FnDef::new(
        "kumo.cidr.make_map",
        "values?: table",
        "any",
        "A table looked up by address: the longest network wins.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let domains = lua.create_table()?;
    def(lua, &domains, "new", |_, init: Option<Table>| DomainMapObject::build(init))?;
    kumo.set("domain_map", domains)?;
    let cidr = lua.create_table()?;
    def(lua, &cidr, "make_map", |_, init: Option<Table>| AddressMapObject::build(init))?;
    kumo.set("cidr", cidr)
}
