//! `kumo.time`.

use mlua::{
    AnyUserData, Error, Lua, MetaMethod, Result, Table, UserData, UserDataFields, UserDataMethods,
    Value,
};

use super::shim::def;
use crate::lua_value::to_plain;
use crate::options::{Notes, OptionValue};
use crate::time::{format_rfc2822, format_rfc3339, parse_rfc3339, Civil};
use crate::vm;

/// An instant, nanoseconds of the Unix epoch.
#[derive(Clone, Copy)]
pub(crate) struct Time(i128);

impl Time {
    fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000) as i64
    }

    fn civil(self) -> Civil {
        Civil::from_unix(self.seconds())
    }
}

/// The Unix time of a time object, in seconds.
pub(crate) fn unix_seconds(u: &AnyUserData) -> Result<f64> {
    let t = u.borrow::<Time>().map_err(|_| Error::runtime("expected a time"))?;
    Ok(t.0 as f64 / 1e9)
}

impl UserData for Time {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("year", |_, t| Ok(t.civil().year));
        fields.add_field_method_get("month", |_, t| Ok(t.civil().month));
        fields.add_field_method_get("day", |_, t| Ok(t.civil().day));
        fields.add_field_method_get("hour", |_, t| Ok(t.civil().hour));
        fields.add_field_method_get("minute", |_, t| Ok(t.civil().minute));
        fields.add_field_method_get("second", |_, t| Ok(t.civil().second));
        fields.add_field_method_get("unix_timestamp", |_, t| Ok(t.seconds()));
        fields.add_field_method_get("unix_timestamp_millis", |_, t| {
            Ok(t.0.div_euclid(1_000_000) as i64)
        });
        fields.add_field_method_get("rfc2822", |_, t| Ok(format_rfc2822(t.seconds())));
        fields.add_field_method_get("rfc3339", |_, t| Ok(format_rfc3339(t.seconds(), None)));
        fields.add_field_method_get("elapsed", |lua, t| {
            let now = vm::ctx(lua)?.host.now_unix_nanos() as i128;
            Ok((now - t.0) as f64 / 1e9)
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, t, ()| {
            Ok(format_rfc3339(t.seconds(), None))
        });
        methods.add_meta_method(MetaMethod::Add, |_, t, secs: f64| {
            Ok(Time(t.0 + (secs * 1e9) as i128))
        });
        methods.add_meta_method(MetaMethod::Sub, |lua, t, v: Value| match &v {
            Value::UserData(u) => Ok(Value::Number(t.0 as f64 / 1e9 - unix_seconds(u)?)),
            other => {
                let secs = lua
                    .coerce_number(other.clone())?
                    .ok_or_else(|| Error::runtime("expected a number of seconds or a time"))?;
                Time(t.0 - (secs * 1e9) as i128).into_lua_value(lua)
            }
        });
        methods.add_meta_method(MetaMethod::Eq, |_, a, b: mlua::UserDataRef<Time>| Ok(a.0 == b.0));
        methods.add_meta_method(MetaMethod::Lt, |_, a, b: mlua::UserDataRef<Time>| Ok(a.0 < b.0));
        methods.add_meta_method(MetaMethod::Le, |_, a, b: mlua::UserDataRef<Time>| Ok(a.0 <= b.0));
    }
}

impl Time {
    fn into_lua_value(self, lua: &Lua) -> Result<Value> {
        mlua::IntoLua::into_lua(self, lua)
    }
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    t.set("sleep", super::tuning::sleep_function(lua)?)?;
    def(lua, &t, "now", |lua, ()| Ok(Time(vm::ctx(lua)?.host.now_unix_nanos() as i128)))?;
    def(lua, &t, "from_unix_timestamp", |_, n: f64| Ok(Time((n * 1e9) as i128)))?;
    def(
        lua,
        &t,
        "with_ymd_hms",
        |_, (year, month, day, hour, minute, second): (i64, u32, u32, u32, u32, u32)| {
            if !(1..=12).contains(&month)
                || !(1..=31).contains(&day)
                || hour > 23
                || minute > 59
                || second > 59
                || !(0..=9999).contains(&year)
            {
                return Err(Error::runtime("kumo.time.with_ymd_hms: there is no such time"));
            }
            Ok(Time(
                Civil { year, month, day, hour, minute, second }.to_unix() as i128 * 1_000_000_000,
            ))
        },
    )?;
    def(lua, &t, "parse_rfc3339", |_, s: String| {
        let nanos = parse_rfc3339(&s)
            .ok_or_else(|| Error::runtime(format!("`{s}` is not an RFC 3339 time")))?;
        Ok(Time(nanos as i128))
    })?;
    def(lua, &t, "parse_duration", |_, v: Value| {
        let d = std::time::Duration::parse(&to_plain(&v)?, &mut Notes::default())
            .map_err(Error::runtime)?;
        Ok(d.as_secs_f64())
    })?;
    kumo.set("time", t)
}
