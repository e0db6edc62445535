//! Whom DNS questions of a policy go to.

use std::sync::Arc;

use mlua::{Error, Result, Value};

use super::context::Ctx;
use crate::dns::names::is_name;
use crate::dns::question::{DnsFailure, DnsQuestion, DnsResult};
use crate::dns::resolvers::Source;

/// Who is asked: the default resolver, or one by its name.
pub(crate) struct Asker<'a> {
    pub ctx: &'a Ctx,
    named: Option<Arc<Vec<Source>>>,
}

impl<'a> Asker<'a> {
    /// The default resolver.
    pub fn new(ctx: &'a Ctx) -> Asker<'a> {
        Asker { ctx, named: None }
    }

    /// The resolver an argument of `call` names; nil is the default one.
    pub fn of(ctx: &'a Ctx, call: &str, name: &Value) -> Result<Asker<'a>> {
        let name = match name {
            Value::Nil => return Ok(Asker::new(ctx)),
            Value::String(name) => name.to_string_lossy(),
            other => {
                return Err(Error::runtime(format!(
                    "{call}: expected the name of a resolver, got a {}",
                    other.type_name()
                )))
            }
        };
        let named = ctx.shared.resolvers.get(&name);
        if named.is_none() {
            return Err(Error::runtime(format!(
                "{call}: there is no resolver `{name}`; define it with kumo.dns.define_resolver"
            )));
        }
        Ok(Asker { ctx, named })
    }

    /// Asks. Of several parts the first that knows something answers; a part that fails does not hide the next.
    pub async fn dns(&self, question: DnsQuestion) -> DnsResult {
        // A name may be made of what stands in mail, or in somebody's DNS; one that cannot be is nowhere.
        let name = question.name.trim_end_matches('.');
        if !name.is_empty() && !is_name(name) {
            return Err(DnsFailure::NoSuchName);
        }
        let Some(parts) = &self.named else { return self.ctx.dns(question).await };
        let mut failed = None;
        let mut nothing = DnsFailure::NoSuchName;
        for part in parts.iter() {
            let answer = match part {
                Source::Zones(zones) => zones.answer(&question),
                Source::Servers(servers) => {
                    let servers = Some(servers.clone());
                    self.ctx.ask_host(DnsQuestion { servers, ..question.clone() }).await
                }
            };
            match answer {
                Ok(answer) => return Ok(answer),
                Err(DnsFailure::Failed(why)) => failed = Some(why),
                Err(DnsFailure::NoData) => nothing = DnsFailure::NoData,
                Err(DnsFailure::NoSuchName) => {}
            }
        }
        Err(failed.map_or(nothing, DnsFailure::Failed))
    }
}
