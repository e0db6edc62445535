//! Resolvers a policy gives a name to: zones in memory, name servers of their own, or several of these in turn.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use mlua::{Error, Result, Value};

use crate::dns::{DnsFailure, DnsQuestion, DnsResult};
use crate::limits::{MAX_NAMED_OBJECTS, MAX_RESOLVER_PARTS};
use crate::options::ResolverOptions;
use crate::vm::Ctx;
use crate::zones::Zones;

/// Name servers of a named resolver. Each shard keeps a cache of its own for them.
#[derive(Clone, Debug, PartialEq)]
pub struct NameServers {
    /// Name of the resolver.
    pub name: String,
    /// Tried in order; those of the system when there are none.
    pub servers: Vec<SocketAddr>,
    /// Deadlines, tries, the cache.
    pub options: ResolverOptions,
}

/// Where one part of a resolver finds answers.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Zones(Arc<Zones>),
    Servers(Arc<NameServers>),
}

/// The named resolvers of a process.
#[derive(Default)]
pub(crate) struct Resolvers(RwLock<HashMap<String, Arc<Vec<Source>>>>);

impl Resolvers {
    /// Defines a resolver, or defines it anew.
    pub fn define(&self, name: &str, parts: Vec<Source>) -> std::result::Result<(), String> {
        if parts.is_empty() || parts.len() > MAX_RESOLVER_PARTS {
            return Err(format!("a resolver has 1 to {MAX_RESOLVER_PARTS} parts"));
        }
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MAX_NAMED_OBJECTS && !all.contains_key(name) {
            return Err(format!("there are already {MAX_NAMED_OBJECTS} resolvers"));
        }
        all.insert(name.to_owned(), Arc::new(parts));
        Ok(())
    }

    fn get(&self, name: &str) -> Option<Arc<Vec<Source>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

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
