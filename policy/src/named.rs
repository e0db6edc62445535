//! Things of the policy that all VMs find by a name: queues, counters, connection pools.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::counter::Series;
use crate::limits::MAX_NAMED_OBJECTS;
use crate::mpsc::Queue;
use crate::redis::Pool;

type Shelf<T> = Mutex<HashMap<String, Arc<T>>>;

/// All named things of a process.
#[derive(Default)]
pub struct Named {
    queues: Shelf<Queue>,
    series: Shelf<Series>,
    redis: Shelf<Pool>,
    amqp: Shelf<crate::amqp::Pool>,
}

/// The thing of that name, unless `fits` finds it of another shape; else what `make` makes.
fn find<T>(
    shelf: &Shelf<T>,
    name: String,
    fits: impl FnOnce(&T) -> bool,
    make: impl FnOnce() -> Result<T, String>,
) -> Result<Arc<T>, String> {
    let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = shelf.get(&name).filter(|t| fits(t)) {
        return Ok(found.clone());
    }
    if shelf.len() >= MAX_NAMED_OBJECTS && !shelf.contains_key(&name) {
        return Err(format!("there are {MAX_NAMED_OBJECTS} of them already"));
    }
    let made = Arc::new(make()?);
    shelf.insert(name, made.clone());
    Ok(made)
}

impl Named {
    pub(crate) fn queue(&self, name: String, limit: Option<usize>) -> Result<Arc<Queue>, String> {
        find(&self.queues, name, |_| true, || Ok(Queue::new(limit)))
    }

    pub(crate) fn series(
        &self,
        name: String,
        fits: impl FnOnce(&Series) -> bool,
        make: impl FnOnce() -> Result<Series, String>,
    ) -> Result<Arc<Series>, String> {
        find(&self.series, name, fits, make)
    }

    pub(crate) fn amqp(
        &self,
        key: String,
        make: impl FnOnce() -> Result<crate::amqp::Pool, String>,
    ) -> Result<Arc<crate::amqp::Pool>, String> {
        find(&self.amqp, key, |_| true, make)
    }

    pub(crate) fn redis(
        &self,
        key: String,
        make: impl FnOnce() -> Result<Pool, String>,
    ) -> Result<Arc<Pool>, String> {
        find(&self.redis, key, |_| true, make)
    }
}
