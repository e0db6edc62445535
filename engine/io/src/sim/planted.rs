//! Whether a mistake is made on purpose in this world.

pub use crate::sim::bug::Bug;

/// Whether this build can make mistakes on purpose.
pub const CAN_PLANT: bool = cfg!(any(test, feature = "planted-bugs"));

/// Whether `bug` is planted in this world. Always false, at no cost, outside of tests.
#[inline]
pub fn is_planted(bug: Bug) -> bool {
    #[cfg(any(test, feature = "planted-bugs"))]
    {
        crate::sim::world::active()
            && crate::sim::world::current().is_some_and(|world| world.planted.get() == Some(bug))
    }
    #[cfg(not(any(test, feature = "planted-bugs")))]
    {
        let _ = bug;
        false
    }
}
