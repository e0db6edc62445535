use std::time::{Duration, Instant};

use serde_json::{json, Value};

use super::{Dialect, Template};

fn render(dialect: Dialect, source: &str, context: &Value) -> Result<String, String> {
    Template::compile(dialect, "t", source)?.render(context)
}

fn jinja(source: &str) -> Result<String, String> {
    render(
        Dialect::Jinja,
        source,
        &json!({"a": {"b": "x"}, "big": "y".repeat(100_000), "l": [1, 2, 3]}),
    )
}

fn refused(what: &str, source: &str) {
    let began = Instant::now();
    let error = jinja(source).expect_err(what);
    assert!(error.len() < 2000, "{what}: {error}");
    // Far more than any of them takes, far less than a shard may stand still for.
    assert!(began.elapsed() < Duration::from_secs(20), "{what}: {:?}", began.elapsed());
}

#[test]
fn what_ordinary_templates_do() {
    for (source, want) in [
        ("Hi {{ a.b }}{{ nothing }}!", "Hi x!"),
        ("{% for i in l %}{{ loop.index }}={{ i * 2 + 1 }} {% endfor %}", "1=3 2=5 3=7 "),
        ("{% if l|length == 3 and 2 in l %}y{% elif 1 %}n{% else %}m{% endif %}", "y"),
        ("{% set x = 'a' ~ 'b' %}{{ x * 3 }}{{ [1] + [2] }}", "ababab[1, 2]"),
        ("{% set x %}in{{ a.b }}{% endset %}{{ x|upper }}", "INX"),
        ("{% macro m(n) %}<{{ n }}>{% endmacro %}{{ m(1) }}{{ m(2) }}", "<1><2>"),
        ("{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}c{% endcall %}", "<c>"),
        ("{{ 'a,b'|split(',')|join('; ') }} {{ 'aXa'|replace('a', 'bc') }}", "a; b bcXbc"),
        ("{{ 1 < 2 < 3 }} {{ 'b' in 'abc' }} {{ {'k': 1}.k }} {{ 2 ** 8 }}", "True True 1 256"),
        ("{% set n = namespace(c=0) %}{% for i in l %}{% set n.c = n.c + i %}{% endfor %}{{ n.c }}", "6"),
        ("{{ l|map('string')|list|tojson }}{{ l|sum }}{{ l|reverse|first }}", "[\"1\",\"2\",\"3\"]63"),
        ("{% for i in l recursive %}{{ i }}{% else %}none{% endfor %}", "123"),
        ("{% filter upper %}abc{% endfilter %}{% with q = 1 %}{{ q }}{% endwith %}", "ABC1"),
        ("{{ 'x' if false else 'z' }}{{ l is defined and l[0] is eq(1) }}", "zTrue"),
        ("{{ '%05.1f|%s'|format(3.14159, 'q') }}", "003.1|q"),
        ("{{ 'ab'.upper() }} {{ 'a b c'.split()|join('-') }} {{ 'x'.replace('x', 'yz') }}", "AB a-b-c yz"),
        ("{{ {'k': 1}.get('k') }}{{ [1, 2, 2].count(2) }}{{ '{}-{}'.format(1, 'b') }}", "121-b"),
        ("{% for i in l %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}", "13"),
        ("{% for i in l %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}", "12"),
        ("item{{ 2|pluralize }} {{ 'hello world and all'|truncate(length=11, leeway=0) }}", "items hello..."),
        ("{{ 1767323045|datetimeformat }}|{{ 1767323045|dateformat }}|{{ 1767323045|timeformat }}", "Jan 2 2026 03:04|Jan 2 2026|03:04"),
        ("{{ 1767323045|dateformat(format='full') }}", "Friday, January 2 2026"),
        ("{% set c = cycler(['a', 'b']) %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ now() > 0 }}", "abaTrue"),
    ] {
        assert_eq!(jinja(source).as_deref(), Ok(want), "{source}");
    }
    assert_eq!(
        render(
            Dialect::Handlebars,
            "{{#each l}}{{this}},{{else}}none{{/each}}",
            &json!({"l": [1, 2]})
        ),
        Ok("1,2,".into())
    );
    let chain = "{{#if a}}A{{else if b}}B{{else}}C{{/if}}";
    for (context, want) in [(json!({"a": 1}), "A"), (json!({"b": 1}), "B"), (json!({}), "C")] {
        assert_eq!(render(Dialect::Handlebars, chain, &context).as_deref(), Ok(want), "{context}");
    }
}

#[test]
fn the_name_says_what_is_escaped() {
    let context = json!({"v": "a\"<b>"});
    for (name, want) in [
        ("x.html", "a&quot;&lt;b&gt;"),
        ("x.json", "\"a\\\"<b>\""),
        ("x.txt", "a\"<b>"),
        ("html", "a\"<b>"),
    ] {
        let made = Template::compile(Dialect::Jinja, name, "{{ v }}").unwrap().render(&context);
        assert_eq!(made.as_deref(), Ok(want), "{name}");
    }
}

#[test]
fn handlebars_changes_the_case_of_texts() {
    let context = json!({"v": "hello big world"});
    for (helper, want) in [
        ("lowerCamelCase", "helloBigWorld"),
        ("upperCamelCase", "HelloBigWorld"),
        ("snakeCase", "hello_big_world"),
        ("kebabCase", "hello-big-world"),
        ("shoutySnakeCase", "HELLO_BIG_WORLD"),
        ("shoutyKebabCase", "HELLO-BIG-WORLD"),
        ("titleCase", "Hello Big World"),
        ("trainCase", "Hello-Big-World"),
    ] {
        let made = render(Dialect::Handlebars, &format!("{{{{{helper} v}}}}"), &context);
        assert_eq!(made.as_deref(), Ok(want), "{helper}");
    }
}

#[test]
fn an_error_names_its_line() {
    let error = jinja("one\ntwo {{ a|nosuch }}").unwrap_err();
    assert!(error.contains("t:2"), "{error}");
    let error = jinja("one\n\nthree {{ 1 + }}").unwrap_err();
    assert!(error.contains("t:3"), "{error}");
}

/// Each of these recursed once for each repetition, in the parser, the compiler or the release of what they made.
#[test]
fn chains_that_overflowed_the_stack() {
    let chains: [(&str, &str, &str, &str); 17] = [
        ("not", "{{ ", "not ", "1 }}"),
        ("minus", "{{ ", "-", "1 }}"),
        ("filters", "{{ a", "|upper", " }}"),
        ("attributes", "{{ a", ".b", " }}"),
        ("items", "{{ a", "[0]", " }}"),
        ("calls", "{{ a", "()", " }}"),
        ("plus", "{{ 1", "+1", " }}"),
        ("tilde", "{{ 1", "~1", " }}"),
        ("times", "{{ 1", "*1", " }}"),
        ("power", "{{ 1", "**1", " }}"),
        ("and", "{{ 1", " and 1", " }}"),
        ("if", "{{ 1", " if 1 else 1", " }}"),
        ("compare", "{{ 1", "<1", " }}"),
        ("tests", "{{ 1", " is odd", " }}"),
        ("brackets", "{{ ", "(", "1 }}"),
        ("elif", "{% if 1 %}", "{% elif 1 %}", "{% endif %}"),
        ("blocks", "", "{% if 1 %}", ""),
    ];
    for (what, before, link, after) in chains {
        for length in [1_000, 7_000, 300_000] {
            refused(what, &format!("{before}{}{after}", link.repeat(length)));
        }
    }
}

#[test]
fn texts_and_lists_that_double() {
    let doublings: [(&str, &str); 17] = [
        ("replace, as a method", "{% set x = x.replace('', x) %}"),
        ("join, as a method", "{% set x = x.join(x|list) %}"),
        ("format, as a method", "{% set x = '{0}{0}'.format(x) %}"),
        ("set", "{% set x = x ~ x %}"),
        ("capture", "{% set x %}{{ x }}{{ x }}{% endset %}"),
        ("plus", "{% set x = x + x %}"),
        ("times", "{% set x = x * 1000 %}"),
        ("list", "{% set x = [x, x] %}"),
        ("map", "{% set x = {1: x, 2: x} %}"),
        ("chain", "{% set x = (x|list)|chain(x|list) %}"),
        ("replace", "{% set x = x|replace('', x) %}"),
        ("join", "{% set x = (x|list)|join(x) %}"),
        ("json", "{% set x = (x ~ '\"\\\\')|tojson|string %}"),
        ("indent", "{% set x = x|indent(9999999999, true) %}"),
        ("batch", "{% set x = l|batch(9999999999, 1)|list %}"),
        ("slice", "{% set x = l|slice(9999999999)|list %}"),
        ("format", "{% set x = '%9999999999d'|format(1) %}"),
    ];
    for (what, doubling) in doublings {
        refused(what, &format!("{{% set x = 'xyxyxyxy' %}}{}{{{{ x }}}}", doubling.repeat(60)));
    }
    refused(
        "macro",
        "{% macro f(x, n) %}{{ f(x ~ x, n - 1) if n else x }}{% endmacro %}{{ f('xxxxxxxx', 90) }}",
    );
    refused("itself", "{% set n = namespace() %}{% set n.n = n %}{{ n }}");
    refused("selves", "{% set n = namespace() %}{% set n.n = n %}{% set m = namespace() %}{% set m.n = m %}{{ n == m }}");
    refused("selves, tested", "{% set n = namespace() %}{% set n.n = n %}{% set m = namespace() %}{% set m.n = m %}{{ n is eq(m) }}");
}

#[test]
fn loops_that_do_not_end_in_time() {
    let range = "{% for i in range(100000) %}";
    refused("empty", &format!("{}{}", range.repeat(3), "{% endfor %}".repeat(3)));
    refused("output", &format!("{range}{{{{ big }}}}{{% endfor %}}"));
    refused("captured", &format!("{{% set x %}}{range}{{{{ big }}}}{{% endfor %}}{{% endset %}}"));
    let text = "z".repeat(1_000_000);
    refused("text", &format!("{{% set x %}}{range}{text}{{% endfor %}}{{% endset %}}"));
    refused(
        "macro text",
        &format!("{{% macro m() %}}{text}{{% endmacro %}}{range}{{{{ m() }}}}{{% endfor %}}"),
    );
    refused("recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
    refused("self", "{% block b %}{{ self.b() }}{% endblock %}");
}

#[test]
fn handlebars_that_do_not_end_in_time() {
    let context = json!({"l": vec![1; 1000], "big": "y".repeat(1_000_000)});
    let each = |depth: usize, inner: &str| {
        format!("{}{inner}{}", "{{#each @root.l}}".repeat(depth), "{{/each}}".repeat(depth))
    };
    for source in [each(6, ""), each(6, "{{#if 0}}{{/if}}"), each(1, "{{@root.big}}")] {
        let error = render(Dialect::Handlebars, &source, &context).unwrap_err();
        assert!(error.contains("more than"), "{error}");
    }
    for (before, link, after) in [
        ("{{a ", "(", ""),
        ("{{a ", "(b ", "}}"),
        ("", "{{#if a}}", ""),
        ("{{", "../", "a}}"),
        ("{{a", ".a", "}}"),
        ("{{a", ".[a]", "}}"),
        ("{{a", " a", "}}"),
        ("{{a", " a=1", "}}"),
        ("{{", "{", ""),
        ("{{a ", "[", "}}"),
        ("", "{{{{raw}}}}", ""),
        ("", "{{!-- ", ""),
        ("{{#a}}", "{{^}}", "{{/a}}"),
    ] {
        // Whether they are refused or harmless: they end, and the process lives.
        let began = Instant::now();
        let _ =
            render(Dialect::Handlebars, &format!("{before}{}{after}", link.repeat(7000)), &context);
        assert!(began.elapsed() < Duration::from_secs(20), "{link}: {:?}", began.elapsed());
    }
}
