//! What Jinja templates have from Python: methods of texts, maps and lists, and the filters and functions that come with
//! them. All of it goes by the budget of the rendering.

use minijinja::value::Rest;
use minijinja::{Environment, Error, State, Value};
use minijinja_contrib::{filters, globals, pycompat};

use super::budget::{charge_value, will_make};
use super::filtered::{filtered, text_of, widths};

/// Adds them to the environment of templates that strangers may have written.
pub(super) fn add_bounded(env: &mut Environment<'static>) {
    macro_rules! wrap {
        ($($name:literal $f:path),* $(,)?) => { $({
            let inner = Value::from_function($f);
            env.add_filter($name, move |state: &State<'_, '_>, args: Rest<Value>| {
                filtered(state, $name, &inner, &args)
            });
        })* };
    }
    wrap! {
        "pluralize" filters::pluralize, "truncate" filters::truncate,
        "filesizeformat" filters::filesizeformat, "striptags" filters::striptags,
        "datetimeformat" filters::datetimeformat, "dateformat" filters::dateformat,
        "timeformat" filters::timeformat,
    }
    env.add_function("now", globals::now);
    env.add_function("cycler", globals::cycler);
    env.add_function("joiner", globals::joiner);
    env.set_unknown_method_callback(method);
}

/// Adds them for templates that the operator has written.
pub(crate) fn add(env: &mut Environment<'static>) {
    minijinja_contrib::add_to_environment(env);
    env.set_unknown_method_callback(pycompat::unknown_method_callback);
}

/// Calls a method whose arguments and result are counted.
fn method(
    state: &State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let own = charge_value(value)?;
    let mut sizes = Vec::with_capacity(args.len());
    for arg in args {
        sizes.push(charge_value(arg)?);
    }
    let size = |at: usize| sizes.get(at).copied().unwrap_or(0);
    match name {
        // Each byte of the text may be one place, and each of a list's entries one gap.
        "replace" => {
            let from = args.first().map(text_of).unwrap_or_default();
            let places = text_of(value).matches(from.as_str()).count();
            will_make(places.checked_mul(size(1)).and_then(|more| more.checked_add(own)))?;
        }
        "join" => {
            let gaps = args.first().and_then(Value::len).unwrap_or(size(0));
            will_make(gaps.checked_mul(own).and_then(|more| more.checked_add(size(0))))?;
        }
        "format" => {
            let text = text_of(value);
            widths(&text)?;
            // A place may name an argument again and again.
            let places = text.matches('{').count();
            let all = sizes.iter().sum::<usize>();
            will_make(places.checked_mul(all).and_then(|more| more.checked_add(own)))?;
        }
        _ => {}
    }
    let result = pycompat::unknown_method_callback(state, value, name, args)?;
    charge_value(&result)?;
    Ok(result)
}
