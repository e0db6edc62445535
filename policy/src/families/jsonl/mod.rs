//! `kumo.jsonl`: zstd-compressed files of JSON lines, read in batches and written in segments.

pub(crate) mod lua;
pub(crate) mod params;
mod read;
mod tail;
mod write;
