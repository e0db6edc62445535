//! `kumo.dns.define_resolver`: what a resolver is made of.

use std::sync::Arc;

use ringmta_options::plain::Plain;
use ringmta_options::{suggest, NamedResolverConfig, Notes, OptionTable, OptionValue};

use crate::dns::question::NameServers;
use crate::dns::resolvers::Source;
use crate::dns::zones::Zones;
use crate::vm::Ctx;

const SHAPES: &str =
    "\"HickorySystemConfig\" or a table with one of `Hickory`, `Unbound`, `Test`, `Aggregate`";

/// Reads the parts of the resolver `name` from its configuration.
pub(crate) fn parts(ctx: &Ctx, name: &str, config: &Plain) -> Result<Vec<Source>, String> {
    let wrong = || format!("invalid value: {}, expected {SHAPES}", config.describe());
    if let Some(word) = config.as_str() {
        return match word {
            "HickorySystemConfig" => Ok(vec![servers(ctx, name, &Plain::list(Vec::new()))?]),
            _ => Err(wrong()),
        };
    }
    let Plain::Map(shapes) = config else { return Err(wrong()) };
    let [(shape, inner)] = &shapes[..] else { return Err(wrong()) };
    match shape.as_str() {
        Some("Hickory") => Ok(vec![servers(ctx, name, inner)?]),
        Some("Unbound") => {
            ctx.shared.warn_once(
                "kumo.dns.define_resolver: the name servers of `Unbound` are used, but answers are not validated (DNSSEC)",
            );
            Ok(vec![servers(ctx, name, inner)?])
        }
        Some("Test") => Ok(vec![Source::Zones(Arc::new(zones(inner)?))]),
        Some("Aggregate") => aggregate(ctx, name, inner),
        _ => Err(wrong()),
    }
}

fn servers(ctx: &Ctx, name: &str, config: &Plain) -> Result<Source, String> {
    let mut notes = Notes::default();
    let config = NamedResolverConfig::parse(config, &mut notes);
    notes.warnings.iter().for_each(|w| ctx.shared.warn_once(w));
    let config = config?;
    let servers = config.name_servers.iter().map(|s| s.0).collect();
    let name = name.to_owned();
    Ok(Source::Servers(Arc::new(NameServers { name, servers, options: config.options })))
}

/// The parts of a list, in its order. An item may also stand under the name of its shape; such come first.
fn aggregate(ctx: &Ctx, name: &str, list: &Plain) -> Result<Vec<Source>, String> {
    let items = match list {
        Plain::List(items) => items.to_vec(),
        Plain::Map(pairs) => {
            let (named, mut listed): (Vec<_>, Vec<_>) =
                pairs.iter().cloned().partition(|(key, _)| key.as_str().is_some());
            listed.sort_by_key(|(key, _)| if let Plain::Int(at) = key { *at } else { i64::MAX });
            let named = named.into_iter().map(|pair| Plain::Map(Arc::new(vec![pair])));
            named.chain(listed.into_iter().map(|(_, item)| item)).collect()
        }
        other => return Err(format!("invalid type: {}, expected a list", other.describe())),
    };
    let mut all = Vec::new();
    for item in &items {
        // Lists within lists would let a configuration nest without end.
        if item.get("Aggregate").is_some() {
            return Err("an `Aggregate` cannot hold another".into());
        }
        all.extend(parts(ctx, name, item)?);
    }
    // Each part has a cache of its own.
    let mut number = 0;
    for part in &mut all {
        if let Source::Servers(servers) = part {
            number += 1;
            Arc::make_mut(servers).name = format!("{name}#{number}");
        }
    }
    Ok(all)
}

/// Whether a configuration is one of the shapes, and not the options of `configure_resolver`.
pub(super) fn is_shape(config: &Plain) -> bool {
    const NAMES: [&str; 4] = ["Hickory", "Unbound", "Test", "Aggregate"];
    match config {
        Plain::Map(fields) => {
            matches!(&fields[..], [(name, _)] if NAMES.iter().any(|known| name.is(known)))
        }
        other => other.as_str().is_some(),
    }
}

/// Makes the default resolver one of the shapes: zones in memory, or name servers.
pub(super) fn make_default(ctx: &Ctx, config: &Plain) -> Result<(), String> {
    let mut known: Option<Zones> = None;
    let mut asked: Option<Vec<_>> = None;
    for part in parts(ctx, "default", config)? {
        match part {
            Source::Zones(zones) => match &mut known {
                Some(all) => all.take_missing(&zones),
                None => known = Some((*zones).clone()),
            },
            Source::Servers(servers) => {
                if servers.options != Default::default() {
                    ctx.shared.warn_once("kumo.dns.configure_resolver: `options` have no effect on the default resolver: deadlines, tries and cache sizes are fixed");
                }
                asked.get_or_insert_default().extend(servers.servers.iter().copied());
            }
        }
    }
    match (known, asked) {
        (Some(_), Some(_)) => Err("the default resolver has either zones or name servers; \
            kumo.dns.define_resolver takes both"
            .into()),
        (Some(zones), None) => {
            ctx.shared.set_zones(zones);
            Ok(())
        }
        (None, servers) => {
            ctx.init.borrow_mut().name_servers = servers.unwrap_or_default();
            Ok(())
        }
    }
}

/// The zones of `configure_test_resolver`: a list of texts, or `{ zones, servfail }`. A zone may also be a table of its text
/// and whether it counts as signed.
pub(super) fn zones(v: &Plain) -> std::result::Result<Zones, String> {
    let texts = |v: &Plain| -> std::result::Result<Vec<String>, String> {
        Vec::parse(v, &mut Notes::default())
    };
    let listed = |v: &Plain| -> std::result::Result<Vec<(String, bool)>, String> {
        match v {
            Plain::List(items) => items.iter().map(zone).collect(),
            other => Err(format!("invalid type: {}, expected a list of zones", other.describe())),
        }
    };
    let (zones, failing) = match v {
        Plain::Map(_) => (
            v.get("zones").map(listed).transpose()?.unwrap_or_default(),
            v.get("servfail").map(texts).transpose()?.unwrap_or_default(),
        ),
        // The pair form: a list of zones followed by a list of names.
        Plain::List(l) if l.len() == 2 && matches!(l[0], Plain::List(_)) => {
            (listed(&l[0])?, texts(&l[1])?)
        }
        other => (listed(other)?, Vec::new()),
    };
    let mut all = Zones::parse([], failing.iter().map(String::as_str))?;
    zones.iter().try_for_each(|(text, secure)| all.add(text, *secure))?;
    Ok(all)
}

/// One zone: its text, and whether it counts as signed.
fn zone(v: &Plain) -> std::result::Result<(String, bool), String> {
    if let Some(text) = v.as_str() {
        return Ok((text.to_owned(), false));
    }
    let wrong = || format!("invalid type: {}, expected a zone", v.describe());
    let Plain::Map(fields) = v else { return Err(wrong()) };
    const KNOWN: [&str; 2] = ["zone", "secure"];
    if let Some((name, _)) = fields.iter().find(|(k, _)| !KNOWN.iter().any(|known| k.is(known))) {
        return Err(suggest::unknown("field", &name.key_text(), KNOWN.into_iter()));
    }
    let text = v.get("zone").and_then(Plain::as_str).ok_or("missing field `zone` (a text)")?;
    let secure = v.get("secure").map(|v| bool::parse(v, &mut Notes::default())).transpose()?;
    Ok((text.to_owned(), secure.unwrap_or(false)))
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use serde_json::json;

    const RBL: &str = r#"kumo.dns.configure_test_resolver { 'a.test. TXT "of the default"\na.test. MX 1 mx.a.test.\n' }
        kumo.dns.define_resolver('rbl', { Test = { zones = { '$ORIGIN rbl.test.\n1.0.0.10 A 127.0.0.2\n1.0.0.10 TXT "listed"\n',
          'a.test. TXT "of the list"\na.test. MX 1 mx.rbl.test.\n' }, servfail = { 'broken.test' } } }) "#;

    #[test]
    fn zones_by_name() {
        let run = |body: &str| eval(&format!("{RBL} {body}"));
        assert_eq!(
            run("return kumo.dns.rbl_lookup('10.0.0.1', 'rbl.test', 'rbl')"),
            json!(["127.0.0.2", "listed"])
        );
        assert_eq!(run("return kumo.dns.rbl_lookup('10.0.0.1', 'rbl.test') == nil"), json!(true));
        assert_eq!(
            run("return kumo.dns.lookup_txt('a.test', 'rbl'), kumo.dns.lookup_txt 'a.test'"),
            json!([["of the list"], ["of the default"]])
        );
        assert_eq!(
            run("return kumo.dns.lookup_mx('a.test', 'rbl').hosts"),
            json!(["mx.rbl.test."])
        );
        let error = |body: &str| eval_err(&format!("{RBL} {body}"));
        assert!(error("kumo.dns.lookup_txt('broken.test', 'rbl')").contains("SERVFAIL"));
        let e = error("kumo.dns.lookup_addr('a.test', 'blr')");
        assert!(e.contains("kumo.dns.lookup_addr: there is no resolver `blr`"), "{e}");
        let e = error("kumo.dns.lookup_ptr('10.0.0.1', {})");
        assert!(e.contains("expected the name of a resolver, got a table"), "{e}");
    }

    #[test]
    fn the_first_part_that_knows_answers() {
        let made = r#"kumo.dns.define_resolver('both', { Aggregate = {
            { Test = { zones = { 'a.test. TXT "one"\nb.test. A 192.0.2.1\n' }, servfail = { 'c.test' } } },
            { Test = { zones = { 'a.test. TXT "two"\nb.test. TXT "b"\nc.test. TXT "c"\n' } } } } })
            local function txt(n) return kumo.dns.lookup_txt(n, 'both')[1] end "#;
        let run = |body: &str| eval(&format!("{made} {body}"));
        assert_eq!(
            run("return txt 'a.test', txt 'b.test', txt 'c.test'"),
            json!(["one", "b", "c"])
        );
        assert_eq!(run("return txt 'none.test' == nil"), json!(true));
        // The form with a name for an item.
        let mixed = r#"kumo.dns.define_resolver('m', { Aggregate = { Test = { zones = { 'a.test. TXT "x"\n' } }, 'HickorySystemConfig' } })
            return kumo.dns.lookup_txt('a.test', 'm')"#;
        assert_eq!(eval(mixed), json!(["x"]));
    }

    #[test]
    fn wrong_configurations_are_told() {
        for (config, why) in [
            ("'System'", "HickorySystemConfig"),
            ("{}", "Aggregate"),
            ("{ Hickory = {}, Test = {} }", "Aggregate"),
            ("{ Hickory = { name_servers = { 'x' } } }", "expected a name server"),
            ("{ Hickory = { name_server = {} } }", "did you mean `name_servers`?"),
            ("{ Hickory = { options = { atempts = 1 } } }", "did you mean `attempts`?"),
            ("{ Hickory = { options = { attempts = 0 } } }", "from 1 to 10"),
            ("{ Hickory = { options = { timeout = '2 hours' } } }", "at most 60 seconds"),
            ("{ Hickory = { options = { validate = true } } }", "`validate` is not supported"),
            ("{ Test = { zones = { 'x' } } }", "no record type"),
            ("{ Aggregate = { { Aggregate = {} } } }", "cannot hold another"),
            ("{ Aggregate = {} }", "1 to 16 parts"),
        ] {
            let e = eval_err(&format!("kumo.dns.define_resolver('r', {config})"));
            assert!(e.contains("kumo.dns.define_resolver: ") && e.contains(why), "{config}: {e}");
        }
    }
}
