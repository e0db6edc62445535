//! Spans of what is done for a queue: they are left for the messages that wait for it.

use ringmta_events::spans::trail::Trail;
use ringmta_queue::model::Item;
use std::rc::Rc;

/// Messages in front of a queue that are looked at: what is followed is few of them.
const LOOKED_AT_MAX: usize = 64;

/// What was kept on the trail was for those that wait in front.
pub fn claim<'i>(trail: Option<Rc<Trail>>, waiting: impl IntoIterator<Item = &'i Item>) {
    let Some(trail) = trail else { return };
    let loaded = waiting.into_iter().take(LOOKED_AT_MAX).filter_map(|item| item.loaded.as_ref());
    loaded.for_each(|loaded| trail.claim(&loaded.message));
}
