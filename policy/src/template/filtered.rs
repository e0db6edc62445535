//! Filters whose arguments and results are counted.

use minijinja::{Error, State, Value};

use super::budget::{charge, charge_value, will_make};

/// Calls a filter whose arguments and result are counted.
pub(super) fn filtered(
    state: &State<'_, '_>,
    name: &str,
    f: &Value,
    args: &[Value],
) -> Result<Value, Error> {
    let mut sizes = Vec::with_capacity(args.len());
    for arg in args {
        sizes.push(charge_value(arg)?);
    }
    let size = |at: usize| sizes.get(at).copied().unwrap_or(0);
    match name {
        // Each byte of the text may be one place, and each of a list's entries one gap.
        "replace" => {
            let (text, from) = (args.first().map(text_of), args.get(1).map(text_of));
            let places = match (&text, &from) {
                (Some(text), Some(from)) => text.matches(from.as_str()).count(),
                _ => 0,
            };
            will_make(places.checked_mul(size(2)).and_then(|more| more.checked_add(size(0))))?;
        }
        "join" => {
            let gaps = args.first().and_then(Value::len).unwrap_or(size(0));
            will_make(gaps.checked_mul(size(1)).and_then(|more| more.checked_add(size(0))))?;
        }
        // Numbers that say how wide, how many: of what is padded there may be as many as there are bytes.
        "indent" | "batch" | "slice" | "tojson" | "pprint" | "round" | "format" => {
            let numbers = args.iter().skip(1).filter_map(Value::as_usize);
            let named = args.iter().skip(1).filter(|arg| arg.is_kwargs()).flat_map(|arg| {
                let keys = arg.try_iter().into_iter().flatten();
                keys.filter_map(|key| arg.get_item(&key).ok()?.as_usize()).collect::<Vec<_>>()
            });
            let widest = numbers.chain(named).chain([0]).max().unwrap_or(0);
            let lines = match (name, args.first()) {
                ("indent", Some(text)) => text_of(text).matches('\n').count() + 1,
                ("format", Some(text)) => {
                    widths(&text_of(text))?;
                    1
                }
                ("batch" | "slice", _) => 24,
                ("round", _) => 1,
                _ => size(0) / 24 + 1,
            };
            will_make(widest.checked_mul(lines))?;
        }
        _ => {}
    }
    let result = f.call(state, args)?;
    charge_value(&result)?;
    Ok(result)
}

/// The widths that a text of `format` asks for.
pub(super) fn widths(text: &str) -> Result<(), Error> {
    let mut sum = 0usize;
    for number in text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()) {
        sum = sum.saturating_add(number.parse().unwrap_or(usize::MAX / 2));
    }
    charge(sum)?;
    will_make(Some(sum))
}

pub(super) fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
