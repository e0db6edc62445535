//! Memory freed at once in great amounts.
#![allow(unsafe_code)]

/// Gives the system back what this thread has freed. Else the allocator keeps it for what may come:
/// after a start with a million messages, twice what they need.
pub fn give_back() {
    // SAFETY: no pointers; any thread may ask for it at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
