//! `kumo.spf`, `kumo.dmarc`, and the checks of messages: DKIM and ARC.

use std::net::{IpAddr, SocketAddr};

use mlua::{Error, Lua, Result, Table, UserDataFields, UserDataMethods, UserDataRef, Value};
use ringmta_mail::conn_meta::ConnMeta;
use ringmta_mail::headers::HeaderBlock;
use ringmta_mail::message::Message;
use ringmta_options::plain::Plain;

use super::results::AuthResult;
use super::{arc, dkim, dmarc, results, spf};
use crate::families::dkim::lua::SignerObject;
use crate::families::message::address_header::AddressHeader;
use crate::families::message::body::body_method;
use crate::families::message::body::ensure_body;
use crate::vm;
use crate::vm::asker::Asker;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::{from_plain, to_plain};

/// The peer's address out of `192.0.2.1:25` or a bare address.
fn ip_of(v: Option<serde_json::Value>) -> Result<IpAddr> {
    let text = v.as_ref().and_then(serde_json::Value::as_str).unwrap_or("");
    let parsed = text.parse::<SocketAddr>().map(|a| a.ip()).or_else(|_| text.parse());
    parsed.map_err(|_| {
        Error::runtime(format!("the peer's address is not known: received_from is `{text}`"))
    })
}

fn text_of(v: Option<serde_json::Value>) -> String {
    v.as_ref().and_then(serde_json::Value::as_str).unwrap_or("").to_owned()
}

fn spf_table(o: &spf::Outcome, sender: &str, helo: &str) -> Plain {
    let result = spf::result(o, sender, helo).to_plain();
    Plain::map([("disposition", Plain::str(o.result)), ("result", result)])
}

async fn spf_host(
    lua: Lua,
    (domain, conn, sender, resolver): (String, UserDataRef<ConnMeta>, Option<String>, Value),
) -> Result<Value> {
    let ctx = vm::ctx(&lua)?;
    let dns = Asker::of(&ctx, "kumo.spf.check_host", &resolver)?;
    let (ip, helo) = (ip_of(conn.get("received_from"))?, text_of(conn.get("ehlo_domain")));
    drop(conn);
    let sender = sender.unwrap_or_default();
    let o = spf::check_host(&dns, ip, &domain, &sender, &helo).await;
    let helo = if helo.is_empty() { domain } else { helo };
    from_plain(&lua, &spf_table(&o, &sender, &helo))
}

async fn spf_msg(lua: Lua, (m, resolver): (UserDataRef<Message>, Value)) -> Result<Value> {
    let ctx = vm::ctx(&lua)?;
    let dns = Asker::of(&ctx, "kumo.spf.check_msg", &resolver)?;
    let (ip, helo) = (ip_of(m.get_meta("received_from"))?, text_of(m.get_meta("ehlo_domain")));
    let sender = m.sender().email().to_owned();
    drop(m);
    // An empty sender is checked by the name in EHLO (section 2.4).
    let domain = sender.rsplit_once('@').map_or(helo.as_str(), |(_, d)| d);
    let o = spf::check_host(&dns, ip, domain, &sender, &helo).await;
    from_plain(&lua, &spf_table(&o, &sender, &helo))
}

/// `(message, dkim results, resolver?, spf result?, use_reporting?)`.
async fn dmarc_msg(
    lua: Lua,
    (m, signatures, resolver, spf, _): (UserDataRef<Message>, Value, Value, Value, Value),
) -> Result<Value> {
    let ctx = vm::ctx(&lua)?;
    let dns = Asker::of(&ctx, "kumo.dmarc.check_msg", &resolver)?;
    let m = m.clone();
    ensure_body(&lua, &m).await?;
    let body = m.body().unwrap_or_default();
    let author = AddressHeader::find(&body, "From")?.and_then(|h| h.only_domain());
    let Some(author) = author.filter(|d| !d.is_empty()) else {
        let r = AuthResult::new("dmarc", "permerror", "there is no single author");
        return verdict(&lua, &dmarc::Verdict { result: r, policy: "none".into() });
    };
    let bad = |e: String| Error::runtime(format!("kumo.dmarc.check_msg: {e}"));
    let signatures = results::list_from(&to_plain(&signatures)?).map_err(bad)?;
    // Both the whole answer of an SPF check and its `result` are taken.
    let spf = to_plain(&spf)?;
    let spf =
        results::list_from(spf.get("result").filter(|r| r.get("method").is_some()).unwrap_or(&spf))
            .map_err(bad)?;
    let found = dmarc::check(&dns, &author, &signatures, spf.first()).await;
    verdict(&lua, &found)
}

fn verdict(lua: &Lua, v: &dmarc::Verdict) -> Result<Value> {
    from_plain(
        lua,
        &Plain::map([
            ("disposition", Plain::str(&v.result.result)),
            ("policy", Plain::str(&v.policy)),
            ("result", v.result.to_plain()),
        ]),
    )
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.spf.check_host",
        "domain: string, conn_meta: any, sender?: string, resolver?: string",
        "table",
        "Checks a domain for the host of a session (RFC 7208).",
    ),
    FnDef::new(
        "kumo.spf.check_msg",
        "msg: any, resolver?: string",
        "table",
        "Checks the sender of a message.",
    ),
    FnDef::new(
        "kumo.dmarc.check_msg",
        "msg: any, signatures: table, resolver?: string, spf?: table, use_reporting?: boolean",
        "table",
        "Checks the author of a message (RFC 7489) by the results of DKIM and SPF.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let spf = lua.create_table()?;
    spf.set("check_host", lua.create_async_function(spf_host)?)?;
    spf.set("check_msg", lua.create_async_function(spf_msg)?)?;
    kumo.set("spf", spf)?;
    let dmarc = lua.create_table()?;
    dmarc.set("check_msg", lua.create_async_function(dmarc_msg)?)?;
    kumo.set("dmarc", dmarc)
}

/// Methods that ask the DNS.
pub(crate) fn async_methods<M: UserDataMethods<Message>>(methods: &mut M) {
    methods.add_async_method(
        "dkim_verify",
        |lua, m: UserDataRef<Message>, resolver: Value| async move {
            let ctx = vm::ctx(&lua)?;
            let dns = Asker::of(&ctx, "dkim_verify", &resolver)?;
            let m = m.clone();
            ensure_body(&lua, &m).await?;
            let found = dkim::verify(&dns, &m.body().unwrap_or_default()).await;
            from_plain(&lua, &Plain::list(found.iter().map(AuthResult::to_plain).collect()))
        },
    );
    methods.add_async_method(
        "arc_verify",
        |lua, m: UserDataRef<Message>, resolver: Value| async move {
            let ctx = vm::ctx(&lua)?;
            let dns = Asker::of(&ctx, "arc_verify", &resolver)?;
            let m = m.clone();
            ensure_body(&lua, &m).await?;
            let found = arc::verify(&dns, &m.body().unwrap_or_default()).await;
            from_plain(&lua, &found.to_plain())
        },
    );
    type Seal = (UserDataRef<SignerObject>, String, Value, Value);
    methods.add_async_method(
        "arc_seal",
        |lua, m: UserDataRef<Message>, (signer, id, found, resolver): Seal| async move {
            let ctx = vm::ctx(&lua)?;
            let dns = Asker::of(&ctx, "arc_seal", &resolver)?;
            let m = m.clone();
            ensure_body(&lua, &m).await?;
            let bad = |e: String| Error::runtime(format!("arc_seal: {e}"));
            let found = results::list_from(&to_plain(&found)?).map_err(bad)?;
            let body = m.body().unwrap_or_default();
            let sealed = arc::seal(&dns, &body, &signer.0, &id, &found).await;
            if let Some(sealed) = sealed.map_err(bad)? {
                m.set_body(sealed.into());
            }
            Ok(())
        },
    );
}

pub(crate) fn methods<F: UserDataFields<Message>>(fields: &mut F) {
    body_method(
        fields,
        "add_authentication_results",
        |_, m, body, (id, found): (String, Value)| {
            let found = results::list_from(&to_plain(&found)?)
                .map_err(|e| Error::runtime(format!("add_authentication_results: {e}")))?;
            let value = results::format(&id, &found);
            m.set_body(HeaderBlock::new(body).prepend("Authentication-Results", &value).into());
            Ok(())
        },
    );
}
