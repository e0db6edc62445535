//! Option tables: one declaration per option is the truth for its type, default, validation and documentation.

use crate::plain::Plain;
use crate::suggest;

/// What the engine does with an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does what it says.
    Honoured,
    /// As `Honoured`, and it must be given.
    Required,
    /// Taken for the sake of existing policies; the text says why it has no effect here. One warning.
    NoEffect(&'static str),
    /// Any value but the default is refused: the engine cannot do it yet.
    Refused,
}

/// One option, for validation, annotations and the reference pages.
#[derive(Clone, Copy)]
pub struct OptionDef {
    /// Name in the policy.
    pub name: &'static str,
    /// Accepted values in words.
    pub type_name: &'static str,
    /// Accepted values as a type of annotations for editors.
    pub lua_type: &'static str,
    /// Default value; `nil` when there is none.
    pub default: fn() -> Plain,
    /// What it does.
    pub doc: &'static str,
    /// Whether the engine honours it.
    pub support: Support,
}

/// Says what is wrong with the text of a template.
pub type CheckTemplate = fn(&str) -> Result<(), String>;

/// Findings made while reading options, next to the values; and what the reader has to ask somebody else for.
#[derive(Default, Debug)]
pub struct Notes {
    /// Things that work differently from what was written.
    pub warnings: Vec<String>,
    /// Options do not know the language of templates: whoever reads options that hold some says how they are checked. `None`
    /// takes every text.
    pub check_template: Option<CheckTemplate>,
}

/// A table of options that can be read from plain data.
pub trait OptionTable: Sized + Clone + Default + Send + Sync + std::fmt::Debug + 'static {
    /// The function that takes it, e.g. `make_queue_config`.
    const CALL: &'static str;
    /// Its options.
    const OPTIONS: &'static [OptionDef];
    /// Reads one option into the struct.
    fn set(&mut self, name: &str, value: &Plain, notes: &mut Notes) -> Result<(), String>;
    /// One option; nil for a name that is none.
    fn field(&self, name: &str) -> Plain;
    /// All options as a table, defaults included.
    fn fields(&self) -> Plain;
    /// The same for operators: secrets show as their length.
    fn shown(&self) -> Plain;
    /// Checks that need more than one option.
    fn check(&mut self, _notes: &mut Notes) -> Result<(), String> {
        Ok(())
    }

    /// Reads a whole table. The error names the option, the expected type and the nearest known name.
    fn parse(value: &Plain, notes: &mut Notes) -> Result<Self, String> {
        let mut out = Self::default();
        out.apply(value, notes)?;
        for def in Self::OPTIONS.iter().filter(|d| d.support == Support::Required) {
            if value.get(def.name).is_none_or(Plain::is_nil) {
                return Err(format!("missing field `{}` ({})", def.name, def.type_name));
            }
        }
        out.check(notes)?;
        Ok(out)
    }

    /// Everything that is wrong with a table, where [`OptionTable::parse`] stops at the first. `notes` makes the notes each
    /// option is read with; the warnings among them are dropped.
    fn problems(value: &Plain, notes: fn() -> Notes) -> Vec<String> {
        let fields = match value {
            Plain::Object(o) => o.fields(),
            _ => None,
        };
        let mut out = Vec::new();
        if let Plain::Map(items) = fields.as_ref().unwrap_or(value) {
            for item in items.iter() {
                let one = Plain::Map(std::sync::Arc::new(vec![item.clone()]));
                out.extend(Self::default().apply(&one, &mut notes()).err());
            }
            for def in Self::OPTIONS.iter().filter(|d| d.support == Support::Required) {
                if value.get(def.name).is_none_or(Plain::is_nil) {
                    out.push(format!("missing field `{}` ({})", def.name, def.type_name));
                }
            }
        }
        if out.is_empty() {
            out.extend(Self::parse(value, &mut notes()).err());
        }
        out
    }

    /// Reads the options present in `value` over the current ones.
    fn apply(&mut self, value: &Plain, notes: &mut Notes) -> Result<(), String> {
        let object_fields = match value {
            Plain::Object(o) => o.fields(),
            _ => None,
        };
        let items = match object_fields.as_ref().unwrap_or(value) {
            Plain::Map(m) => m.clone(),
            Plain::List(l) if l.is_empty() => return Ok(()),
            other => {
                return Err(format!(
                    "invalid type: {}, expected a table of options",
                    other.describe()
                ))
            }
        };
        for (k, v) in items.iter() {
            let Some(name) = k.as_str() else {
                return Err(format!(
                    "invalid type: {} as the name of an option, expected a string",
                    k.describe()
                ));
            };
            let Some(def) = Self::OPTIONS.iter().find(|d| d.name == name) else {
                return Err(unknown_field(name, Self::OPTIONS));
            };
            if v.is_nil() {
                continue;
            }
            self.set(name, v, notes).map_err(|e| format!("option `{name}`: {e}"))?;
            match def.support {
                Support::NoEffect(why) => notes
                    .warnings
                    .push(format!("{}: option `{name}` has no effect: {why}", Self::CALL)),
                Support::Refused if self.field(name) != (def.default)() => {
                    return Err(format!(
                        "option `{name}` is not supported by this version of ringmta"
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn unknown_field(name: &str, options: &[OptionDef]) -> String {
    suggest::unknown("field", name, options.iter().map(|d| d.name))
}

/// Declares the struct of an option table, its default, its reader and its reflection.
///
/// `field: Type = default; support,` and the support may be left out when the option is honoured.
#[macro_export]
macro_rules! option_table {
    (
        $(#[$meta:meta])*
        pub struct $name:ident for $call:literal $(check $check:ident)? {
            $( $(#[doc = $doc:literal])+ $field:ident : $ty:ty = $default:expr $(; $support:expr)? , )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $field: $ty, )+
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $( $field: $default, )+ }
            }
        }

        impl $crate::OptionTable for $name {
            const CALL: &'static str = $call;
            const OPTIONS: &'static [$crate::OptionDef] = &[
                $( $crate::OptionDef {
                    name: stringify!($field),
                    type_name: <$ty as $crate::OptionValue>::TYPE,
                    lua_type: <$ty as $crate::OptionValue>::LUA_TYPE,
                    default: || <$ty as $crate::OptionValue>::to_plain(&$default),
                    doc: concat!($($doc),+),
                    support: $crate::option_table!(@support $($support)?),
                }, )+
            ];

            fn set(&mut self, name: &str, value: &$crate::Plain, notes: &mut $crate::Notes) -> ::std::result::Result<(), String> {
                match name {
                    $( stringify!($field) => self.$field = <$ty as $crate::OptionValue>::parse(value, notes)?, )+
                    _ => return Err(format!("unknown field `{name}`")),
                }
                Ok(())
            }

            fn field(&self, name: &str) -> $crate::Plain {
                match name {
                    $( stringify!($field) => <$ty as $crate::OptionValue>::to_plain(&self.$field), )+
                    _ => $crate::Plain::Nil,
                }
            }

            fn fields(&self) -> $crate::Plain {
                $crate::Plain::map([
                    $( (stringify!($field), <$ty as $crate::OptionValue>::to_plain(&self.$field)), )+
                ])
            }

            fn shown(&self) -> $crate::Plain {
                $crate::Plain::map([
                    $( (stringify!($field), <$ty as $crate::OptionValue>::to_shown(&self.$field)), )+
                ])
            }

            $( fn check(&mut self, notes: &mut $crate::Notes) -> ::std::result::Result<(), String> { self.$check(notes) } )?
        }
    };
    (@support) => { $crate::Support::Honoured };
    (@support $s:expr) => { $s };
}
