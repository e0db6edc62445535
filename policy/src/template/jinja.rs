//! The Jinja dialect.
//!
//! minijinja counts instructions, not what they move: with forty of them a text doubles to a terabyte. So the compiled
//! template is written anew with a check around each operation that can make something larger out of what it is given, and
//! the filters and tests are wrapped alike.

use std::sync::Arc;

use minijinja::machinery::{
    make_string_output, CompiledTemplate, Instruction, Instructions, TemplateConfig, Vm,
    WhitespaceConfig,
};
use minijinja::value::Rest;
use minijinja::{escape_formatter, filters, tests, AutoEscape, Environment, Error, State, Value};
use ringmta_options::classify::normalize;
use serde::Serialize;

use super::budget::{begin, charge_value, will_make};
use super::filtered::filtered;
use super::{pythonic, shape};
use crate::limits::{
    MAX_TEMPLATE_OUTPUT_BYTES, MAX_TEMPLATE_RECURSION, MAX_TEMPLATE_REPEATED_BYTES, TEMPLATE_STEPS,
};

/// A compiled template.
pub(super) struct Jinja<'s> {
    env: Environment<'s>,
    compiled: CompiledTemplate<'s>,
}

/// Names of the filters that check operands; no template can write them.
const CHECK: &str = "(check)";
const CHECK_TWO: &str = "(check-two)";
const CHECK_PRODUCT: &str = "(check-product)";
/// "Not remembered": the place of a filter in the machine's own table.
const NO_SLOT: u8 = u8::MAX;

impl<'s> Jinja<'s> {
    pub fn compile(name: &'s str, source: &'s str) -> Result<Jinja<'s>, String> {
        let found = shape::jinja(name, source)?;
        let config = TemplateConfig {
            syntax_config: Default::default(),
            // A message that ends with an empty line keeps it.
            ws_config: WhitespaceConfig { keep_trailing_newline: true, ..Default::default() },
            default_auto_escape: Arc::new(escape_by_name),
        };
        let mut compiled =
            CompiledTemplate::new(name, source, &config).map_err(|e| e.to_string())?;
        compiled.instructions = checked(&compiled.instructions);
        for block in compiled.blocks.values_mut() {
            *block = checked(block);
        }
        let mut env = BASE.with(Environment::clone);
        // Text between tags is written by an instruction of its own, whatever its length.
        let turns = MAX_TEMPLATE_REPEATED_BYTES / found.repeated_text.max(1);
        env.set_fuel(Some(TEMPLATE_STEPS.min(turns as u64)));
        Ok(Jinja { env, compiled })
    }

    pub fn render(&self, context: &impl Serialize) -> Result<String, String> {
        begin();
        let root = Value::from_serialize(context);
        let CompiledTemplate { instructions, blocks, initial_auto_escape, .. } = &self.compiled;
        let mut out = String::with_capacity(self.compiled.buffer_size_hint.min(64 * 1024));
        let mut output = make_string_output(&mut out);
        Vm::new(&self.env)
            .eval(instructions, root, blocks, &mut output, *initial_auto_escape)
            .map_err(|error| error.to_string())?;
        if out.len() > MAX_TEMPLATE_OUTPUT_BYTES {
            return Err(format!("the template makes more than {MAX_TEMPLATE_OUTPUT_BYTES} bytes"));
        }
        Ok(out)
    }
}

fn escape_by_name(name: &str) -> AutoEscape {
    match name.rsplit_once('.') {
        Some((_, "html")) => AutoEscape::Html,
        Some((_, "json")) => AutoEscape::Json,
        _ => AutoEscape::None,
    }
}

/// The same instructions with checks around those that can make much.
fn checked<'s>(old: &Instructions<'s>) -> Instructions<'s> {
    let check = |name, args| Instruction::ApplyFilter(name, Some(args), NO_SLOT);
    let mut parts = Vec::with_capacity(old.len());
    for at in 0..old.len() as u32 {
        let Some(one) = old.get(at) else { break };
        use Instruction as I;
        let operands = match one {
            I::Mul => Some(CHECK_PRODUCT),
            I::Add | I::StringConcat | I::In | I::CompareAndPreserve(_) => Some(CHECK_TWO),
            I::Eq | I::Ne | I::Gt | I::Gte | I::Lt | I::Lte => Some(CHECK_TWO),
            _ => None,
        };
        let result = matches!(
            one,
            I::Mul | I::Add | I::StringConcat | I::BuildList(_) | I::BuildMap(_) | I::EndCapture
        );
        let before = operands.map(|name| [check(name, 2), I::UnpackList(2)]);
        let mut new: Vec<Instruction<'s>> = before.into_iter().flatten().collect();
        new.push(one.clone());
        if result {
            new.push(check(CHECK, 1));
        }
        parts.push(new);
    }
    let mut places = Vec::with_capacity(parts.len() + 1);
    let mut next = 0u32;
    for part in &parts {
        places.push(next);
        next += part.len() as u32;
    }
    places.push(next);
    let mut out = Instructions::new(old.name(), old.source());
    for (at, part) in parts.into_iter().enumerate() {
        let (line, span) = (old.get_line(at as u32), old.get_span(at as u32));
        for mut one in part {
            moved(&mut one, &places);
            match (span, line) {
                (Some(span), _) => out.add_with_span(one, span),
                (None, Some(line)) => out.add_with_line(one, line as u16),
                (None, None) => out.add(one),
            };
        }
    }
    out
}

/// Lets a jump lead to where its target is now.
fn moved(one: &mut Instruction<'_>, places: &[u32]) {
    use Instruction as I;
    if let I::Iterate(to)
    | I::Jump(to)
    | I::JumpIfFalse(to)
    | I::JumpIfFalseOrPop(to)
    | I::JumpIfTrueOrPop(to)
    | I::BuildMacro(_, to, _) = one
    {
        *to = places.get(*to as usize).copied().unwrap_or(u32::MAX);
    }
}

thread_local! {
    static BASE: Environment<'static> = environment();
}

fn environment() -> Environment<'static> {
    let mut env = Environment::new();
    env.set_auto_escape_callback(escape_by_name);
    env.set_recursion_limit(MAX_TEMPLATE_RECURSION);
    env.set_formatter(|out, state, value| {
        charge_value(value)?;
        escape_formatter(out, state, value)
    });
    env.add_filter(CHECK, |value: Value| charge_value(&value).map(|_| value));
    env.add_filter(CHECK_TWO, |a: Value, b: Value| {
        charge_value(&a)?;
        charge_value(&b)?;
        // Unpacked, the first comes to lie on top.
        Ok::<_, Error>(vec![b, a])
    });
    env.add_filter(CHECK_PRODUCT, |a: Value, b: Value| {
        for (value, times) in [(&a, &b), (&b, &a)] {
            if let (false, Some(times)) = (value.is_number(), times.as_usize()) {
                will_make(charge_value(value)?.checked_mul(times))?;
            }
        }
        Ok::<_, Error>(vec![b, a])
    });
    wrap_filters(&mut env);
    wrap_tests(&mut env);
    pythonic::add_bounded(&mut env);
    env.add_filter("normalize_smtp_response", |s: String| normalize(&s));
    env
}

fn wrap_filters(env: &mut Environment<'static>) {
    macro_rules! wrap {
        ($($name:literal $f:path),* $(,)?) => { $({
            let inner = Value::from_function($f);
            env.add_filter($name, move |state: &State<'_, '_>, args: Rest<Value>| {
                filtered(state, $name, &inner, &args)
            });
        })* };
    }
    wrap! {
        "escape" filters::escape, "e" filters::escape, "lower" filters::lower, "upper" filters::upper,
        "title" filters::title, "capitalize" filters::capitalize, "replace" filters::replace,
        "length" filters::length, "count" filters::length, "dictsort" filters::dictsort,
        "items" filters::items, "reverse" filters::reverse, "trim" filters::trim, "join" filters::join,
        "split" filters::split, "lines" filters::lines, "round" filters::round,
        "first" filters::first, "last" filters::last, "min" filters::min, "max" filters::max,
        "sort" filters::sort, "list" filters::list, "string" filters::string,
        "batch" filters::batch, "slice" filters::slice, "sum" filters::sum, "indent" filters::indent,
        "select" filters::select, "reject" filters::reject, "selectattr" filters::selectattr,
        "rejectattr" filters::rejectattr, "map" filters::map, "groupby" filters::groupby,
        "unique" filters::unique, "chain" filters::chain, "zip" filters::zip,
        "pprint" filters::pprint, "tojson" filters::tojson, "format" filters::format,
    }
}

fn wrap_tests(env: &mut Environment<'static>) {
    macro_rules! wrap {
        ($($name:literal $f:path),* $(,)?) => { $({
            let inner = Value::from_function($f);
            env.add_test($name, move |state: &State<'_, '_>, args: Rest<Value>| {
                for arg in args.iter() {
                    charge_value(arg)?;
                }
                inner.call(state, &args).map(|answer| answer.is_true())
            });
        })* };
    }
    wrap! {
        "eq" tests::is_eq, "equalto" tests::is_eq, "==" tests::is_eq,
        "ne" tests::is_ne, "!=" tests::is_ne,
        "lt" tests::is_lt, "lessthan" tests::is_lt, "<" tests::is_lt,
        "le" tests::is_le, "<=" tests::is_le,
        "gt" tests::is_gt, "greaterthan" tests::is_gt, ">" tests::is_gt,
        "ge" tests::is_ge, ">=" tests::is_ge, "in" tests::is_in,
    }
}
