//! Shaping data as a policy sees it.

use serde_json::json;

use futures::executor::block_on;

use crate::testing::*;

const ZONES: &str = r#"kumo.dns.configure_test_resolver {
  'big.test. MX 5 mx1.host.test.\nbig.test. MX 5 mx2.host.test.\nalias.test. MX 1 mx1.host.test.\n',
  'null.test. MX 0 .\n',
}"#;

/// Loads files given as (name, text) and runs a body with `s` the data.
fn with(files: &[(&str, &str)], options: &str, body: &str) -> serde_json::Value {
    let dir = tempfile::tempdir().unwrap();
    let mut list = String::new();
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        list.push_str(&format!("{:?},", path.display().to_string()));
    }
    eval(&format!("{ZONES} local s = kumo.shaping.load({{ {list} }}, {options}) {body}"))
}

const BASE: (&str, &str) = (
    "base.toml",
    r#"
[default]
connection_limit = 10
idle_timeout = '60s'
[default.sources.slow]
max_message_rate = '1/s'

['big.test']
connection_limit = 3
['big.test'.sources.fast]
connection_limit = 30

['only.test']
mx_rollup = false
max_ready = 7

[provider.host]
match = [{ MXSuffix = '.host.test' }]
provider_connection_limit = 20
max_deliveries_per_connection = 5

[['big.test'.automation]]
regex = 'slow down'
action = 'Suspend'
duration = '1h'
"#,
);
const SITE: &str = "(mx1|mx2).host.test";

#[test]
fn layers() {
    let get = |d: &str, s: &str, site: &str| {
        with(&[BASE], "nil", &format!("return s:get_egress_path_config('{d}', '{s}', '{site}')"))
    };
    assert_eq!(
        get("x.test", "s", "mx.x.test"),
        json!({"connection_limit": 10, "idle_timeout": "60s"})
    );
    let limits = json!({"shaping-provider-host-s-connection_limit": 20});
    assert_eq!(
        // Another domain of the same site gets the site's limits.
        get("friend.test", "s", SITE),
        json!({"connection_limit": 3, "idle_timeout": "60s", "max_deliveries_per_connection": 5,
               "provider_name": "host", "additional_connection_limits": limits})
    );
    assert_eq!(get("big.test", "fast", SITE)["connection_limit"], json!(30));
    assert_eq!(get("only.test", "slow", "a.test")["max_message_rate"], json!("1/s"));
    assert_eq!(get("only.test", "s", "a.test")["max_ready"], json!(7));
}

#[test]
fn later_files_win_and_may_replace() {
    let more = (
        "more.json",
        r#"{"big.test": {"replace_base": true, "max_ready": 9}, "default": {"connection_limit": 11}}"#,
    );
    let got = with(
        &[BASE, more],
        "nil",
        &format!("return s:get_egress_path_config('big.test', 'fast', '{SITE}')"),
    );
    assert_eq!(got["connection_limit"], json!(11));
    assert_eq!(got["max_ready"], json!(9));
}

#[test]
fn findings() {
    let bad = (
        "bad.toml",
        r#"
['x.test']
mx_rollup = false
connection_limitt = 3
max_ready = 'many'
max_deliveries_per_connection = 4
[['x.test'.automation]]
regex = '('
action = 'Suspend'
duration = '1h'
['gone.test']
max_ready = 3
['null.test']
max_ready = 3
['alias.test']
max_ready = 3
"#,
    );
    let got = with(
        &[BASE, bad],
        "{ dns_fail = 'Warn', null_mx = 'Error', aliased_site = 'Warn' }",
        "return { e = s:get_errors(), w = s:get_warnings(), ok = s:get_egress_path_config('x.test', 's', 'mx.x') }",
    );
    let text = got.to_string();
    for wanted in [
        "did you mean `connection_limit`?",
        "option `max_ready`: invalid type: string",
        "automation rule 1: regex: ",
        "`gone.test`: MX: no such domain",
        "`null.test` takes no mail",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // What is right beside what is wrong still holds.
    assert_eq!(got["ok"]["max_deliveries_per_connection"], json!(4));
    assert!(eval_err("kumo.shaping.load({'/no/such.toml'})").contains("/no/such.toml"));
    assert!(
        eval_err("kumo.shaping.load({}, {dns_fial='Warn'})").contains("did you mean `dns_fail`?")
    );
}

#[test]
fn rules_match_records() {
    let record = |domain: &str, site: &str, content: &str| {
        format!(
            "{{ recipient = 'u@{domain}', site = 's->{site}@smtp_client',
                response = {{ code = 421, content = '{content}' }} }}"
        )
    };
    let n = |r: String| with(&[BASE], "nil", &format!("return #s:match_rules({r})"));
    assert_eq!(n(record("friend.test", SITE, "please slow down")), json!(1));
    assert_eq!(n(record("friend.test", "mx.other.test", "please slow down")), json!(0));
    assert_eq!(n(record("big.test", SITE, "KumoMTA internal: slow down")), json!(0));
    let rule = with(
        &[BASE],
        "nil",
        &format!("return s:match_rules({})[1]", record("big.test", SITE, "slow down")),
    );
    assert_eq!(
        rule,
        json!({"regex": ["slow down"], "action": ["Suspend"], "trigger": "Immediate", "duration": 3600.0,
               "match_internal": false, "owner": "big.test"})
    );
}

#[test]
fn hashes_and_sources() {
    let hash = |files: &[(&str, &str)]| with(files, "nil", "return s:hash()");
    assert_eq!(hash(&[("a.toml", BASE.1)]), hash(&[("a.toml", BASE.1)]));
    assert_ne!(hash(&[("a.toml", BASE.1)]), hash(&[("a.toml", "[default]\nmax_ready = 1")]));
    assert_eq!(
        with(&[BASE], "nil", "return s:get_referenced_sources()"),
        json!({"slow": ["default"], "fast": [SITE]})
    );
}

#[test]
fn the_shipped_data_is_clean() {
    let got = eval(
        "local s = kumo.shaping.load { '/opt/kumomta/share/policy-extras/shaping.toml' }
         return { e = s:get_errors(), p = s:get_egress_path_config('gmail.com', 'ip1', '(alt1|alt2)?.gmail-smtp-in.l.google.com') }",
    );
    assert_eq!(got["e"], json!({}), "{got}");
    assert_eq!(got["p"]["provider_name"], json!("gmail"));
}

#[test]
fn the_helper_answers() {
    let w = world(
        "local shaping = require 'policy-extras.shaping'
         local h = shaping:setup()
         kumo.on('test', function()
           local c = kumo.invoke_get_egress_path_config('x.yahoo.com', 'ip1', 'mta5.am0.yahoodns.net')
           return c.max_deliveries_per_connection, c.provider_name, h.load_shaping_data():hash() ~= ''
         end)",
    );
    assert_eq!(w.fire("test", ()).unwrap(), json!([20, "yahoo", true]));
    assert!(futures::executor::block_on(w.policy.run_validate()).unwrap());
    // Trees that name an automation daemon go by the files.
    let limit = eval(
        "local shaping = require 'policy-extras.shaping'
         shaping:setup_publish { publish = { 'http://tsa.invalid:8008' } }
         local h = shaping:setup_with_automation {
           publish = { 'http://tsa.invalid:8008' }, subscribe = { 'http://tsa.invalid:8008' } }
         h.setup_publish()
         return h.load_shaping_data():get_egress_path_config('x.yahoo.com', 'ip1', 'mta5.am0.yahoodns.net')
           .max_deliveries_per_connection",
    );
    assert_eq!(limit, json!(20));
}

#[test]
fn rules_that_cannot_be_fetched_are_left_out() {
    // Nobody listens on the discard port.
    let load = "kumo.shaping.load({ 'http://127.0.0.1:9/shaping.toml' }";
    let warnings = eval(&format!("return {load}):get_warnings()"));
    assert!(
        warnings[0].as_str().unwrap().contains("http://127.0.0.1:9/shaping.toml"),
        "{warnings}"
    );
    let e = eval_err(&format!("{load}, {{ remote_load = 'Error' }})"));
    assert!(e.contains("127.0.0.1:9"), "{e}");
}

#[test]
fn each_option_says_which_section_has_set_it() {
    let more = ("more.toml", "['big.test']\nmax_ready = 9\n");
    let sections = |d: &str, s: &str, site: &str| {
        let body = format!(
            "local p = s:get_egress_path_config('{d}', '{s}', '{site}') return getmetatable(p).ringmta_sections"
        );
        with(&[BASE, more], "nil", &body)
    };
    let told = sections("big.test", "fast", SITE);
    let said = |name: &str, end: &str| {
        let text = told[name].as_str().unwrap();
        assert!(text.ends_with(end), "{name}: {text}");
    };
    said("idle_timeout", "base.toml: `default`");
    said("connection_limit", "base.toml: `big.test`: source `fast`");
    said("max_ready", "more.toml: `big.test`");
    said("max_deliveries_per_connection", "base.toml: provider `host`");
    said("shaping-provider-host-fast-connection_limit", "base.toml: provider `host`");
    // What a helper makes of it tells the section before the call.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("limits.toml");
    std::fs::write(&file, "[default]\nconnection_limit = 7\n").unwrap();
    let w = world(&format!(
        "{ZONES} local s = require('policy-extras.shaping'):setup_with_automation {{ no_default_files = true, extra_files = {{ {:?} }} }}
         kumo.on('get_egress_path_config', s.get_egress_path_config)",
        file.display().to_string()
    ));
    let path = block_on(w.policy.egress_path("x.test", "s", "mx.x.test")).unwrap().unwrap();
    let set_by = path.at.of("connection_limit");
    assert!(set_by.contains("limits.toml: `default` (by kumo.make_egress_path at "), "{set_by}");
    assert_eq!(path.connection_limit.limit, 7);
}
