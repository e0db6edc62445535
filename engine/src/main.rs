//! The ringmta engine.
fn main() {}
