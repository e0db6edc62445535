//! Things of the policy that all VMs find: by a type and a name (queues, counters, connection pools), or by their type alone.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::limits::MAX_NAMED_OBJECTS;

type Object = Arc<dyn Any + Send + Sync>;

/// All named things of a process. It knows none of their types, so that whoever has a new kind of thing needs no place here.
#[derive(Default)]
pub(crate) struct NamedObjects {
    shelves: Mutex<HashMap<TypeId, HashMap<String, Object>>>,
    only: RwLock<HashMap<TypeId, Object>>,
}

impl NamedObjects {
    /// The thing of that type and name, unless `fits` finds it of another shape; else what `make` makes.
    ///
    /// # Errors
    /// Those of `make`, or there are too many of the type.
    pub fn find<T: Any + Send + Sync>(
        &self,
        name: String,
        fits: impl FnOnce(&T) -> bool,
        make: impl FnOnce() -> Result<T, String>,
    ) -> Result<Arc<T>, String> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let shelf = shelves.entry(TypeId::of::<T>()).or_default();
        let known = shelf.get(&name).and_then(|object| object.clone().downcast::<T>().ok());
        if let Some(found) = known.filter(|found| fits(found)) {
            return Ok(found);
        }
        if shelf.len() >= MAX_NAMED_OBJECTS && !shelf.contains_key(&name) {
            return Err(format!("there are {MAX_NAMED_OBJECTS} of them already"));
        }
        let made = Arc::new(make()?);
        shelf.insert(name, made.clone());
        Ok(made)
    }

    /// The one thing of a type that was put here.
    pub fn only<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        let only = self.only.read().unwrap_or_else(PoisonError::into_inner);
        only.get(&TypeId::of::<T>()).and_then(|object| object.clone().downcast().ok())
    }

    /// Puts the one thing of a type here, in the place of the last.
    pub fn set_only<T: Any + Send + Sync>(&self, object: Arc<T>) {
        self.only.write().unwrap_or_else(PoisonError::into_inner).insert(TypeId::of::<T>(), object);
    }
}
