//! Templates of both dialects: refused or filled within their bounds, the same each time, and what is filled in is not read
//! as a template.

use ringmta_policy::limits::MAX_TEMPLATE_OUTPUT_BYTES;
use ringmta_policy::template::{Dialect, Template};
use serde_json::json;

/// The first byte chooses the dialect; the rest is the template.
pub fn check(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let Ok(source) = std::str::from_utf8(rest) else { return };
    let dialect = [Dialect::Jinja, Dialect::Handlebars, Dialect::Static][usize::from(mode % 3)];
    let name = if mode & 0x80 != 0 { "body.html" } else { "body.txt" };
    let context =
        json!({ "name": "{{ 7 * 7 }}<b>", "list": [1, 2, 3], "deep": { "a": { "b": "c" } } });
    let Ok(template) = Template::compile(dialect, name, source) else { return };
    let made = template.render(&context);
    if let Ok(text) = &made {
        assert!(text.len() <= MAX_TEMPLATE_OUTPUT_BYTES.max(source.len()));
        // Text without tags is left as it is, but for its last line end.
        if !source.contains('{') && !source.contains('\\') {
            assert_eq!(text.trim_end_matches(['\r', '\n']), source.trim_end_matches(['\r', '\n']));
        }
    }
    if dialect == Dialect::Static {
        assert_eq!(made.as_deref(), Ok(source));
    }
    assert_eq!(template.render(&context), made, "not the same twice");
}

/// Templates of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let of = |mode: u8, text: &str| [&[mode][..], text.as_bytes()].concat();
    vec![
        of(0, "Hello {{ name | upper }}{% if list %}, {{ list | length }}{% endif %}"),
        of(0x80, "{% for n in list %}{{ loop.index }}: {{ deep.a.b ~ n }}{% else %}none{% endfor %}"),
        of(0, "{% macro m(x) %}{{ x * 3 }}{% endmacro %}{{ m('ab') }}{# a comment #}{% raw %}{{ x }}{% endraw %}"),
        of(0, "{% set x = [1, -2, not true] %}{{ x[0:2] | join(',') }}{{ '%s' | format(name) }}"),
        of(1, "Hello {{name}} {{{name}}}{{#if list}}, {{#each list}}{{this}}{{@index}}{{/each}}{{else}}x{{/if}}"),
        of(0x81, "{{#with deep}}{{a.b}}{{lookup a \"b\"}}{{/with}}{{! a comment }}\\{{x}}"),
        of(1, "{{#each list as |n i|}}{{~#unless i~}}{{n}}{{/unless}}{{/each}}{{^none}}no{{/none}}"),
        of(2, "{{ as it is }}\r\n"),
    ]
}
