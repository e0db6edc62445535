//! Resolvers a policy gives a name to: zones in memory, name servers of their own, or several of these in turn.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::dns::question::NameServers;
use crate::dns::zones::Zones;
use crate::limits::{MAX_NAMED_OBJECTS, MAX_RESOLVER_PARTS};

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

    /// The parts of a resolver.
    pub fn get(&self, name: &str) -> Option<Arc<Vec<Source>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}
