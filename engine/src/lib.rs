//! The ringmta engine.
