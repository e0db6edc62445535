//! `kumo.counter_series`: counts over a window of time.

pub(crate) mod lua;
mod series;
