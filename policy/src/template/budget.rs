//! What one rendering may use. Rendering never waits for anything, so the count of the one that runs lies in the thread.

use std::cell::Cell;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};

use crate::limits::{
    MAX_TEMPLATE_VALUE_BYTES, MAX_TEMPLATE_VALUE_DEPTH, MAX_TEMPLATE_WORK_BYTES, TEMPLATE_STEPS,
};

thread_local! {
    static BYTES: Cell<usize> = const { Cell::new(0) };
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

/// What a list or map costs for each entry, bytes.
const ENTRY_BYTES: usize = 24;

/// A rendering begins.
pub(super) fn begin() {
    BYTES.set(MAX_TEMPLATE_WORK_BYTES);
    STEPS.set(TEMPLATE_STEPS);
}

fn failed(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

/// One step of a dialect that does not count its own.
pub(super) fn step() -> Result<(), String> {
    let left = STEPS.get();
    STEPS.set(left.saturating_sub(1));
    if left == 0 {
        return Err(format!("the template takes more than {TEMPLATE_STEPS} steps"));
    }
    Ok(())
}

/// Bytes that are moved or made.
pub(super) fn charge(bytes: usize) -> Result<(), Error> {
    match BYTES.get().checked_sub(bytes) {
        Some(left) => {
            BYTES.set(left);
            Ok(())
        }
        None => {
            Err(failed(format!("the template moves more than {MAX_TEMPLATE_WORK_BYTES} bytes")))
        }
    }
}

/// Counts a value that is about to be used: all of it, since a list may hold itself many times over.
pub(super) fn charge_value(value: &Value) -> Result<usize, Error> {
    let mut bytes = 0;
    weigh(value, 0, &mut bytes)?;
    charge(bytes)?;
    Ok(bytes)
}

fn weigh(value: &Value, depth: usize, bytes: &mut usize) -> Result<(), Error> {
    if depth > MAX_TEMPLATE_VALUE_DEPTH {
        return Err(failed(format!("a value is nested deeper than {MAX_TEMPLATE_VALUE_DEPTH}")));
    }
    let is_map = match value.kind() {
        ValueKind::String => return add(bytes, value.as_str().map_or(0, str::len)),
        ValueKind::Bytes => return add(bytes, value.len().unwrap_or(0)),
        ValueKind::Seq | ValueKind::Iterable => false,
        ValueKind::Map => true,
        _ => return add(bytes, 0),
    };
    let Ok(entries) = value.try_iter() else { return add(bytes, 0) };
    for entry in entries {
        weigh(&entry, depth + 1, bytes)?;
        if is_map {
            weigh(&value.get_item(&entry)?, depth + 1, bytes)?;
        }
    }
    Ok(())
}

fn add(bytes: &mut usize, more: usize) -> Result<(), Error> {
    *bytes += more + ENTRY_BYTES;
    if *bytes > MAX_TEMPLATE_VALUE_BYTES {
        return Err(failed(format!("a value is larger than {MAX_TEMPLATE_VALUE_BYTES} bytes")));
    }
    Ok(())
}

/// A result of so many bytes is about to be made at once.
pub(super) fn will_make(bytes: Option<usize>) -> Result<(), Error> {
    match bytes {
        Some(bytes) => add(&mut 0, bytes),
        None => add(&mut 0, usize::MAX / 2),
    }
}
