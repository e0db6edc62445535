//! The sandbox inbox of `ringmta dev` and `ringmta sandbox`.
