//! `kumo.dns`.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use mlua::{Error, Lua, Result, Table, Value};
use ringmta_options::plain::Plain;
use ringmta_options::*;

use super::named_resolver::{is_shape, make_default, parts, zones};
use crate::dns::names::{ptr_host, reverse_ip, site_name};
use crate::dns::question::{DnsAnswer, DnsFailure, DnsKind, DnsQuestion};
use crate::vm::asker::Asker;
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::to_plain;
use crate::vm::read_options::options;
use crate::vm::{self, Ctx};
use ringmta_options::StsPolicy;

/// Hosts that take the mail of a domain.
pub(crate) struct MxPlan {
    pub domain: String,
    /// By preference, best first.
    pub hosts: Vec<(u16, String)>,
    pub site: String,
    pub literal: bool,
    pub is_mx: bool,
    /// From a zone that counts as signed.
    pub is_secure: bool,
}

/// Finds the hosts of a domain as delivery would. A null MX gives no hosts.
pub(crate) async fn mx_plan(
    dns: &Asker<'_>,
    domain: &str,
) -> std::result::Result<MxPlan, DnsFailure> {
    let domain = domain.trim_end_matches('.').to_ascii_lowercase();
    let alone = |literal, is_mx| MxPlan {
        hosts: vec![(0, domain.clone())],
        site: domain.clone(),
        domain: domain.clone(),
        literal,
        is_mx,
        is_secure: false,
    };
    if domain.starts_with('[') {
        return Ok(alone(true, false));
    }
    match dns.dns(DnsQuestion::new(domain.clone(), DnsKind::Mx)).await {
        Ok(DnsAnswer { mx, secure: is_secure, .. }) => {
            let hosts: Vec<_> =
                mx.into_iter().filter(|(_, name)| !name.is_empty() && name != ".").collect();
            let names: Vec<&str> = hosts.iter().map(|(_, n)| n.as_str()).collect();
            let site = site_name(&names);
            Ok(MxPlan { site, hosts, domain, literal: false, is_mx: true, is_secure })
        }
        Err(DnsFailure::NoData) => Ok(alone(false, false)),
        Err(other) => Err(other),
    }
}

/// Asks for a call of `kumo.dns`, by the resolver it names.
async fn ask(
    lua: &Lua,
    call: &str,
    resolver: &Value,
    name: String,
    kind: DnsKind,
) -> Result<DnsAnswer> {
    let ctx = vm::ctx(lua)?;
    let dns = Asker::of(&ctx, &format!("kumo.dns.{call}"), resolver)?;
    let shown = name.clone();
    match dns.dns(DnsQuestion::new(name, kind)).await {
        Ok(answer) => Ok(answer),
        // No records is an answer: an empty list.
        Err(DnsFailure::NoData | DnsFailure::NoSuchName) => Ok(DnsAnswer::default()),
        Err(e) => Err(Error::runtime(format!("kumo.dns.{call}: {shown}: {e}"))),
    }
}

fn plan_table(lua: &Lua, plan: &MxPlan) -> Result<Table> {
    let t = lua.create_table()?;
    t.set("domain_name", format!("{}.", plan.domain))?;
    // Names of the DNS are told as the DNS has them; an address literal is none.
    let shown = |host: &str| match plan.literal {
        true => host.to_owned(),
        false => absolute(host),
    };
    let mut hosts: Vec<String> = plan.hosts.iter().map(|(_, n)| shown(n)).collect();
    let by_pref = lua.create_table()?;
    // A domain that takes no mail (RFC 7505) is told as the DNS tells it.
    if hosts.is_empty() {
        hosts.push(".".into());
        by_pref.set(0, vec!["."])?;
    }
    t.set("hosts", hosts)?;
    for (pref, host) in &plan.hosts {
        let level = match by_pref.get::<Option<Table>>(*pref)? {
            Some(level) => level,
            None => lua.create_table()?,
        };
        level.push(shown(host))?;
        by_pref.set(*pref, level)?;
    }
    t.set("by_pref", by_pref)?;
    t.set("site_name", plan.site.as_str())?;
    t.set("is_domain_literal", plan.literal)?;
    t.set("is_mx", plan.is_mx)?;
    t.set("is_secure", plan.is_secure)?;
    Ok(t)
}

/// A name with the dot that ends it.
fn absolute(name: &str) -> String {
    format!("{}.", name.trim_end_matches('.'))
}

fn address(call: &str, text: &str) -> Result<IpAddr> {
    text.parse()
        .map_err(|_| Error::runtime(format!("kumo.dns.{call}: `{text}` is not an IP address")))
}

fn lookups(lua: &Lua, t: &Table) -> Result<()> {
    t.set(
        "lookup_mx",
        lua.create_async_function(|lua, (domain, resolver): (String, Value)| async move {
            let ctx = vm::ctx(&lua)?;
            let dns = Asker::of(&ctx, "kumo.dns.lookup_mx", &resolver)?;
            let plan = mx_plan(&dns, &domain).await;
            let plan =
                plan.map_err(|e| Error::runtime(format!("kumo.dns.lookup_mx: {domain}: {e}")))?;
            plan_table(&lua, &plan)
        })?,
    )?;
    t.set(
        "lookup_addr",
        lua.create_async_function(
            |lua, (name, resolver, strategy): (String, Value, Value)| async move {
                let strategy = match strategy {
                    Value::Nil => IpLookupStrategy::Ipv4AndIpv6,
                    v => IpLookupStrategy::parse(&to_plain(&v)?, &mut Notes::default())
                        .map_err(Error::runtime)?,
                };
                let kind = DnsKind::Addresses(strategy);
                let found = ask(&lua, "lookup_addr", &resolver, name, kind).await?.addresses;
                Ok(found.iter().map(IpAddr::to_string).collect::<Vec<_>>())
            },
        )?,
    )?;
    t.set(
        "lookup_txt",
        lua.create_async_function(|lua, (name, resolver): (String, Value)| async move {
            Ok(ask(&lua, "lookup_txt", &resolver, name, DnsKind::Txt).await?.texts)
        })?,
    )?;
    t.set(
        "lookup_ptr",
        lua.create_async_function(|lua, (ip, resolver): (String, Value)| async move {
            let name = ptr_host(address("lookup_ptr", &ip)?);
            let names = ask(&lua, "lookup_ptr", &resolver, name, DnsKind::Ptr).await?.texts;
            Ok(names.iter().map(|name| absolute(name)).collect::<Vec<_>>())
        })?,
    )?;
    t.set(
        "rbl_lookup",
        lua.create_async_function(
            |lua, (ip, base, resolver): (String, String, Value)| async move {
                // As metadata has it, with the port of the peer.
                let ip = ip.parse::<SocketAddr>().map_or(ip, |at| at.ip().to_string());
                let name = format!("{}.{base}", reverse_ip(address("rbl_lookup", &ip)?));
                let kind = DnsKind::Addresses(IpLookupStrategy::Ipv4Only);
                let found = ask(&lua, "rbl_lookup", &resolver, name.clone(), kind).await?.addresses;
                let Some(listed) = found.first() else { return Ok((None, None)) };
                let why = ask(&lua, "rbl_lookup", &resolver, name, DnsKind::Txt).await?.texts;
                Ok((Some(listed.to_string()), (!why.is_empty()).then(|| why.join("\n"))))
            },
        )?,
    )
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.dns.configure_unbound_resolver",
        "options: kumo.ResolverOptions",
        "",
        "As `configure_resolver`; answers are not validated.",
    ),
    FnDef::new(
        "kumo.dns.configure_test_resolver",
        "zones: table",
        "",
        "Answers all questions from these zones.",
    ),
    FnDef::new(
        "kumo.dns.configure_test_mta_sts",
        "policies: table<string, string>",
        "",
        "Knows these MTA-STS policies by their domains, and no others.",
    ),
    FnDef::new(
        "kumo.dns.define_resolver",
        "name: string, config: any",
        "",
        "Defines a resolver by its name.",
    ),
    FnDef::new(
        "kumo.dns.load_resolv_conf",
        "path?: string",
        "table",
        "Name servers and search list of a resolv.conf.",
    ),
    FnDef::new(
        "kumo.dns.lookup_addr",
        "name: string, resolver?: string, strategy?: string",
        "string[]",
        "Addresses of a name.",
    ),
    FnDef::new(
        "kumo.dns.lookup_mx",
        "domain: string, resolver?: string",
        "table",
        "The hosts that take the mail of a domain, and the name of their site.",
    ),
    FnDef::new(
        "kumo.dns.lookup_txt",
        "name: string, resolver?: string",
        "string[]",
        "Texts of a name.",
    ),
    FnDef::new(
        "kumo.dns.lookup_ptr",
        "ip: string, resolver?: string",
        "string[]",
        "Names of an address.",
    ),
    FnDef::new(
        "kumo.dns.rbl_lookup",
        "ip: string, zone: string, resolver?: string",
        "string|nil",
        "Whether a list has an address: what it answers, and why as a second result.",
    ),
    FnDef::new(
        "kumo.dns.{ptr_host,reverse_ip}",
        "ip: string",
        "string",
        "The address in reverse order, with or without the domain of PTR records.",
    ),
];

pub(crate) fn register(lua: &Lua, dns: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    lookups(lua, dns)?;
    def(lua, dns, "ptr_host", |_, ip: String| Ok(ptr_host(address("ptr_host", &ip)?)))?;
    def(lua, dns, "reverse_ip", |_, ip: String| Ok(reverse_ip(address("reverse_ip", &ip)?)))?;
    let c = ctx.clone();
    def(lua, dns, "configure_resolver", move |_, v: Value| {
        let config = to_plain(&v)?;
        if is_shape(&config) {
            return make_default(&c, &config)
                .map_err(|e| Error::runtime(format!("kumo.dns.configure_resolver: {e}")));
        }
        let config: ResolverConfig = options(&c, &config)?;
        c.init.borrow_mut().name_servers = config.name_servers.iter().map(|s| s.0).collect();
        Ok(())
    })?;
    let c = ctx.clone();
    def(lua, dns, "define_resolver", move |_, (name, config): (String, Value)| {
        parts(&c, &name, &to_plain(&config)?)
            .and_then(|parts| c.shared.resolvers.define(&name, parts))
            .map_err(|e| Error::runtime(format!("kumo.dns.define_resolver: {e}")))
    })?;
    let c = ctx.clone();
    def(lua, dns, "configure_unbound_resolver", move |_, v: Value| {
        let config: ResolverConfig = options(&c, &to_plain(&v)?)?;
        c.shared.warn_once(
            "kumo.dns.configure_unbound_resolver: the name servers are used, but answers are not validated (DNSSEC)",
        );
        c.init.borrow_mut().name_servers = config.name_servers.iter().map(|s| s.0).collect();
        Ok(())
    })?;
    let c = ctx.clone();
    def(lua, dns, "configure_test_resolver", move |_, v: Value| {
        let zones = zones(&to_plain(&v)?)
            .map_err(|e| Error::runtime(format!("kumo.dns.configure_test_resolver: {e}")))?;
        c.shared.set_zones(zones);
        Ok(())
    })?;
    let c = ctx.clone();
    def(lua, dns, "configure_test_mta_sts", move |_, texts: BTreeMap<String, String>| {
        let mut policies = HashMap::new();
        for (domain, text) in texts {
            let policy = StsPolicy::parse(&text).map_err(|why| {
                Error::runtime(format!("kumo.dns.configure_test_mta_sts: {domain}: {why}"))
            })?;
            policies.insert(domain.trim_end_matches('.').to_ascii_lowercase(), policy);
        }
        c.shared.set_sts_policies(policies);
        Ok(())
    })?;
    dns.set(
        "load_resolv_conf",
        lua.create_async_function(|lua, path: Option<String>| async move {
            let path = path.unwrap_or_else(|| "/etc/resolv.conf".into());
            let text = crate::families::serde::read_file(&lua, path).await?;
            crate::vm::lua_value::from_plain(&lua, &resolv_conf(&String::from_utf8_lossy(&text)))
        })?,
    )
}

/// The parts of a resolv.conf that `configure_resolver` takes, with the C library's values where it says nothing.
fn resolv_conf(text: &str) -> Plain {
    let conf = ResolvConf::parse(text, ringmta_options::interface_number);
    let options = Plain::map([
        ("ndots", Plain::Int(conf.ndots.unwrap_or(1))),
        ("timeout", Plain::str(format!("{}s", conf.timeout_secs.unwrap_or(5)))),
        ("attempts", Plain::Int(conf.attempts.unwrap_or(2) as i64)),
        ("edns0", Plain::Bool(conf.edns0)),
    ]);
    let servers = conf.servers.iter().map(|server| Plain::str(server.to_string()));
    Plain::map([
        ("name_servers", Plain::list(servers.collect())),
        ("search", Plain::list(conf.search.into_iter().map(Plain::str).collect())),
        ("options", options),
    ])
}

#[cfg(test)]
mod tests {
    use crate::testing::*;
    use serde_json::json;

    const ZONES: &str = r#"
        kumo.dns.configure_test_resolver {
          '$ORIGIN big.test.\n@ MX 5 mx2\n@ MX 5 mx1\n@ MX 10 mx3\nmx1 A 192.0.2.1\n@ TXT "hello"\n',
          '$ORIGIN alone.test.\n@ A 192.0.2.9\n',
          '7.2.0.192.in-addr.arpa. PTR host.big.test.\n',
          '9.2.0.192.rbl.test. A 127.0.0.2\n9.2.0.192.rbl.test. TXT "bad host"\n',
        }"#;

    fn run(body: &str) -> serde_json::Value {
        eval(&format!("{ZONES} {body}"))
    }

    #[test]
    fn mx_plans() {
        assert_eq!(
            run("local m = kumo.dns.lookup_mx 'big.test' m.by_pref = #m.by_pref[5] return m"),
            json!({"domain_name": "big.test.", "hosts": ["mx1.big.test.", "mx2.big.test.", "mx3.big.test."],
                   "by_pref": 2, "site_name": "(mx1|mx2|mx3).big.test", "is_domain_literal": false,
                   "is_mx": true, "is_secure": false})
        );
        assert_eq!(run("return kumo.dns.lookup_mx('alone.test').is_mx"), json!(false));
        let hosts = |of: &str| run(&format!("return kumo.dns.lookup_mx('{of}').hosts"));
        assert_eq!(hosts("alone.test"), json!(["alone.test."]));
        assert_eq!(hosts("[192.0.2.1]"), json!(["[192.0.2.1]"]));
        let e = eval_err(&format!("{ZONES} kumo.dns.lookup_mx 'nope.test'"));
        assert!(e.contains("nope.test: no such domain"), "{e}");
    }

    #[test]
    fn other_lookups() {
        assert_eq!(run("return kumo.dns.lookup_addr 'mx1.big.test'"), json!(["192.0.2.1"]));
        assert_eq!(run("return kumo.dns.lookup_txt 'big.test'"), json!(["hello"]));
        assert_eq!(run("return kumo.dns.lookup_ptr '192.0.2.7'"), json!(["host.big.test."]));
        assert_eq!(
            run("return kumo.dns.rbl_lookup('192.0.2.9', 'rbl.test')"),
            json!(["127.0.0.2", "bad host"])
        );
        assert_eq!(run("return kumo.dns.reverse_ip '192.0.2.1'"), json!("1.2.0.192"));
    }

    #[test]
    fn servers_reach_init() {
        let w = world("kumo.on('init', function() kumo.dns.configure_resolver { name_servers = {'192.0.2.53', '[2001:db8::1]:54'} } end)");
        let init = futures::executor::block_on(w.policy.run_init()).unwrap();
        let got: Vec<_> = init.name_servers.iter().map(|s| s.to_string()).collect();
        assert_eq!(got, ["192.0.2.53:53", "[2001:db8::1]:54"]);
        assert!(eval_err("kumo.dns.configure_resolver { name_servers = {'nonsense'} }")
            .contains("expected a name server"));
    }
}
