//! `kumo.time`.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use mlua::{
    AnyUserData, Error, IntoLua, Lua, MetaMethod, Result, Table, UserData, UserDataFields,
    UserDataMethods, Value,
};
use ringmta_mail::time::{format_rfc2822, parse_rfc3339, timestamp};
use ringmta_options::{format_duration, Notes, OptionValue};

use crate::families::configuration::tuning::sleep_function;
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::to_plain;

/// An instant, nanoseconds of the Unix epoch.
#[derive(Clone, Copy)]
pub(crate) struct Time(i128);

impl Time {
    fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000) as i64
    }

    /// RFC 3339, with what there is of a fraction.
    pub(super) fn text(self) -> String {
        ringmta_mail::strftime::format("%Y-%m-%dT%H:%M:%S%.fZ", self.0)
    }

    fn civil(self) -> DateTime {
        TimeZone::UTC.to_datetime(timestamp(self.0))
    }
}

/// The Unix time of a time object, in seconds.
pub(crate) fn unix_seconds(u: &AnyUserData) -> Result<f64> {
    let t = u.borrow::<Time>().map_err(|_| Error::runtime("expected a time"))?;
    Ok(t.0 as f64 / 1e9)
}

impl UserData for Time {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("year", |_, t| Ok(t.civil().year()));
        fields.add_field_method_get("month", |_, t| Ok(t.civil().month()));
        fields.add_field_method_get("day", |_, t| Ok(t.civil().day()));
        fields.add_field_method_get("hour", |_, t| Ok(t.civil().hour()));
        fields.add_field_method_get("minute", |_, t| Ok(t.civil().minute()));
        fields.add_field_method_get("second", |_, t| Ok(t.civil().second()));
        fields.add_field_method_get("unix_timestamp", |_, t| Ok(t.seconds()));
        fields.add_field_method_get("unix_timestamp_millis", |_, t| {
            Ok(t.0.div_euclid(1_000_000) as i64)
        });
        fields.add_field_method_get("rfc2822", |_, t| Ok(format_rfc2822(t.seconds())));
        fields.add_field_method_get("rfc3339", |_, t| {
            Ok(ringmta_mail::strftime::format("%Y-%m-%dT%H:%M:%S%.f+00:00", t.0))
        });
        fields.add_field_method_get("elapsed", |lua, t| {
            let now = vm::ctx(lua)?.host.now_unix_nanos() as i128;
            Ok(TimeDelta(now - t.0))
        });
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("format", |_, t, pattern: String| {
            Ok(ringmta_mail::strftime::format(&pattern, t.0))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, t, ()| {
            Ok(ringmta_mail::strftime::format("%Y-%m-%d %H:%M:%S%.f UTC", t.0))
        });
        methods.add_meta_method(MetaMethod::Add, |_, t, v: Value| Ok(Time(t.0 + nanos(&v)?)));
        methods.add_meta_method(MetaMethod::Sub, |lua, t, v: Value| match time_of(&v) {
            Some(other) => TimeDelta(t.0 - other.0).into_lua(lua),
            None => Time(t.0 - nanos(&v)?).into_lua(lua),
        });
        methods.add_meta_method(MetaMethod::Eq, |_, a, b: mlua::UserDataRef<Time>| Ok(a.0 == b.0));
        methods.add_meta_method(MetaMethod::Lt, |_, a, b: mlua::UserDataRef<Time>| Ok(a.0 < b.0));
        methods.add_meta_method(MetaMethod::Le, |_, a, b: mlua::UserDataRef<Time>| Ok(a.0 <= b.0));
    }
}

fn time_of(v: &Value) -> Option<Time> {
    v.as_userdata()?.borrow::<Time>().ok().map(|t| *t)
}

/// Nanoseconds of a delta, a number of seconds or a duration text.
fn nanos(v: &Value) -> Result<i128> {
    if let Some(d) = v.as_userdata().and_then(|u| u.borrow::<TimeDelta>().ok()) {
        return Ok(d.0);
    }
    match v {
        Value::Integer(n) => Ok(i128::from(*n) * 1_000_000_000),
        Value::Number(n) if n.is_finite() => Ok((n * 1e9) as i128),
        v => {
            let d = std::time::Duration::parse(&to_plain(v)?, &mut Notes::default());
            d.map(|d| d.as_nanos() as i128).map_err(Error::runtime)
        }
    }
}

/// A span of time, nanoseconds; may be negative.
#[derive(Clone, Copy)]
struct TimeDelta(i128);

impl TimeDelta {
    fn human(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = u64::try_from(self.0.unsigned_abs()).unwrap_or(u64::MAX);
        format!("{sign}{}", format_duration(std::time::Duration::from_nanos(nanos)))
    }
}

impl UserData for TimeDelta {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("seconds", |_, d| Ok(d.0 as f64 / 1e9));
        for (name, unit) in
            [("milliseconds", 1_000_000), ("microseconds", 1000), ("nanoseconds", 1)]
        {
            fields.add_field_method_get(name, move |_, d| Ok((d.0 / unit) as i64));
        }
        fields.add_field_method_get("human", |_, d| Ok(d.human()));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::ToString, |_, d, ()| Ok(d.human()));
        methods.add_meta_method(MetaMethod::Add, |lua, d, v: Value| match time_of(&v) {
            Some(t) => Time(t.0 + d.0).into_lua(lua),
            None => TimeDelta(d.0 + nanos(&v)?).into_lua(lua),
        });
        methods.add_meta_method(MetaMethod::Sub, |_, d, v: Value| Ok(TimeDelta(d.0 - nanos(&v)?)));
        methods.add_meta_method(MetaMethod::Unm, |_, d, ()| Ok(TimeDelta(-d.0)));
        methods.add_meta_function(MetaMethod::Eq, |_, (a, b): (Value, Value)| {
            Ok(nanos(&a)? == nanos(&b)?)
        });
        methods.add_meta_function(MetaMethod::Lt, |_, (a, b): (Value, Value)| {
            Ok(nanos(&a)? < nanos(&b)?)
        });
        methods.add_meta_function(MetaMethod::Le, |_, (a, b): (Value, Value)| {
            Ok(nanos(&a)? <= nanos(&b)?)
        });
    }
}

/// Measures how long something takes, for the metric `user_lua_latency`.
struct Timer {
    label: String,
    started: u64,
    done: bool,
}

impl Timer {
    /// Seconds since the start; counted once.
    fn finish(&mut self, lua: &Lua) -> Result<f64> {
        let ctx = vm::ctx(lua)?;
        let seconds = ctx.host.now_unix_nanos().saturating_sub(self.started) as f64 / 1e9;
        if !std::mem::replace(&mut self.done, true) {
            ctx.shared.note_latency(&self.label, seconds);
        }
        Ok(seconds)
    }
}

impl UserData for Timer {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method_mut("done", |lua, t, ()| t.finish(lua));
        methods.add_meta_method_mut(MetaMethod::Close, |lua, t, _: Value| t.finish(lua).map(drop));
    }
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new("kumo.time.now", "", "any", "The time."),
    FnDef::new("kumo.time.from_unix_timestamp", "seconds: number", "any", "A time by seconds of the Unix epoch."),
    FnDef::new("kumo.time.with_ymd_hms", "year: integer, month: integer, day: integer, hour: integer, minute: integer, second: integer", "any", "A time in UTC."),
    FnDef::new("kumo.time.{parse_rfc3339,parse_rfc2822}", "text: string", "any", "The time of a text."),
    FnDef::new("kumo.time.parse_duration", "duration: number|string", "any", "A span of time."),
    FnDef::new("kumo.time.sleep", "time: number|string", "", "Waits."),
    FnDef::new("kumo.time.start_timer", "label: string", "any", "Measures until `done`, for a metric."),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    t.set("sleep", sleep_function(lua)?)?;
    def(lua, &t, "now", |lua, ()| Ok(Time(vm::ctx(lua)?.host.now_unix_nanos() as i128)))?;
    def(lua, &t, "from_unix_timestamp", |_, n: f64| Ok(Time((n * 1e9) as i128)))?;
    def(
        lua,
        &t,
        "with_ymd_hms",
        |_, (year, month, day, hour, minute, second): (i64, i64, i64, i64, i64, i64)| {
            let small = |n: i64| i8::try_from(n).unwrap_or(-1);
            let date = DateTime::new(
                i16::try_from(year).unwrap_or(i16::MAX),
                small(month),
                small(day),
                small(hour),
                small(minute),
                small(second),
                0,
            );
            let at = date.and_then(|date| TimeZone::UTC.to_timestamp(date));
            at.ok()
                .filter(|_| year >= 0)
                .map(|at| Time(at.as_nanosecond()))
                .ok_or_else(|| Error::runtime("kumo.time.with_ymd_hms: there is no such time"))
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
        Ok(TimeDelta(d.as_nanos() as i128))
    })?;
    def(lua, &t, "parse_rfc2822", |_, s: String| {
        let date = mail_parser::DateTime::parse_rfc822(&s).filter(mail_parser::DateTime::is_valid);
        let date = date.ok_or_else(|| Error::runtime(format!("`{s}` is not an RFC 2822 date")))?;
        Ok(Time(i128::from(date.to_timestamp()) * 1_000_000_000))
    })?;
    def(lua, &t, "start_timer", |lua, label: String| {
        let started = vm::ctx(lua)?.host.now_unix_nanos();
        Ok(Timer { label, started, done: false })
    })?;
    kumo.set("time", t)
}
