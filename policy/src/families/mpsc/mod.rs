//! `kumo.mpsc`: queues between the VMs of a process.

pub(crate) mod lua;
pub(crate) mod queue;
