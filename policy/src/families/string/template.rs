//! `kumo.string.eval_template` and other texts made or cleaned.

use mlua::{Error, Lua, Result, Table, Value};
use ringmta_mail::headers::fold;
use ringmta_options::classify::normalize;

use crate::template::{Dialect, Template};
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::to_json;

/// Where lines are folded when the policy does not say.
const SOFT_WIDTH: usize = 75;
/// Longest line mail may have (RFC 5322 section 2.1.1).
const HARD_WIDTH: usize = 900;

fn eval(name: &str, source: &str, context: &Value, dialect: Option<&str>) -> Result<String> {
    let failed = |e: String| Error::runtime(format!("kumo.string.eval_template: {name}: {e}"));
    let dialect = match dialect.unwrap_or("Jinja") {
        "Static" => Dialect::Static,
        "Jinja" => Dialect::Jinja,
        "Handlebars" => Dialect::Handlebars,
        other => {
            return Err(failed(ringmta_options::suggest::unknown(
                "variant",
                other,
                ["Jinja", "Static", "Handlebars"].into_iter(),
            )))
        }
    };
    let template = Template::compile(dialect, name, source).map_err(failed)?;
    template.render(&to_json(context)?).map_err(failed)
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.string.eval_template",
        "name: string, template: string, context: any, dialect?: 'Jinja'|'Handlebars'|'Static'",
        "string",
        "Fills a template in.",
    ),
    FnDef::new(
        "kumo.string.normalize_smtp_response",
        "text: string",
        "string",
        "A text without what changes from message to message.",
    ),
    FnDef::new(
        "kumo.string.wrap",
        "text: string, soft_width?: integer, hard_width?: integer",
        "string",
        "Folds a text.",
    ),
];

pub(crate) fn register(lua: &Lua, t: &Table) -> Result<()> {
    def(
        lua,
        t,
        "eval_template",
        |_, (name, source, context, dialect): (String, String, Value, Option<String>)| {
            eval(&name, &source, &context, dialect.as_deref())
        },
    )?;
    def(lua, t, "normalize_smtp_response", |_, s: String| Ok(normalize(&s)))?;
    def(lua, t, "wrap", |_, (s, soft, hard): (String, Option<usize>, Option<usize>)| {
        let hard = hard.unwrap_or(HARD_WIDTH).max(2);
        Ok(fold(&s, soft.unwrap_or(SOFT_WIDTH), hard))
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use serde_json::json;

    #[test]
    fn templates() {
        let run = |args: &str| eval(&format!("return kumo.string.eval_template({args})"));
        assert_eq!(run("'t', 'Hi {{ name }}', {name='A&B'}"), json!("Hi A&B"));
        assert_eq!(run("'t.html', 'Hi {{ name }}', {name='A&B'}"), json!("Hi A&amp;B"));
        assert_eq!(run("'t', 'Hi {{ name }}', {}, 'Static'"), json!("Hi {{ name }}"));
        assert_eq!(
            run("'t', 'Hi {{#each names}}{{this}}{{last}} {{/each}}', {names={'A&B', 'C'}, last='!'}, 'Handlebars'"),
            json!("Hi A&B! C! ")
        );
        assert_eq!(run("'t.html', '{{ name }}', {name='A&B'}, 'Handlebars'"), json!("A&amp;B"));
        assert_eq!(run("'t', '[{{ none }}]', {}, 'Handlebars'"), json!("[]"));
        let e = eval_err("kumo.string.eval_template('t', '{{#if}', {}, 'Handlebars')");
        assert!(e.contains("eval_template: t: "), "{e}");
        let e = eval_err("kumo.string.eval_template('t', '{{#*inline \"a\"}}{{> a}}{{/inline}}{{> a}}', {}, 'Handlebars')");
        assert!(e.contains("partials are not supported"), "{e}");
        for deep in [
            "('{{#if a}}'):rep(N)",
            "'{{#if a}}' .. ('{{else if a}}'):rep(N) .. '{{/if}}'",
            "'{{a ' .. ('('):rep(N)",
        ] {
            let deep = deep.replace('N', "100000");
            let e =
                eval_err(&format!("kumo.string.eval_template('t', {deep}, {{}}, 'Handlebars')"));
            assert!(e.contains("nested deeper than 64"), "{e}");
        }
        let nested = "('{{#if a}}'):rep(60) .. 'x' .. ('{{/if}}'):rep(60)";
        assert_eq!(run(&format!("'t', {nested}, {{a=1}}, 'Handlebars'")), json!("x"));
        assert!(eval_err("kumo.string.eval_template('t', '{% if %}', {})")
            .contains("eval_template: t: "));
        assert!(eval_err("kumo.string.eval_template('t', '', {}, 'Jinga')")
            .contains("did you mean `Jinja`?"));
    }

    #[test]
    fn folding() {
        assert_eq!(eval("return kumo.string.wrap('aa bb cc', 6)"), json!("aa bb\r\n\tcc"));
        assert_eq!(eval("return kumo.string.wrap('abcdef', 3, 3)"), json!("abc\r\n\tdef"));
        assert_eq!(
            eval("return kumo.string.normalize_smtp_response('no <a@b.test> here')"),
            json!("no <{email}> here")
        );
    }
}
