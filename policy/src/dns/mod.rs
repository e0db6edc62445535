//! DNS as a policy sees it: [`question`] (questions and answers), [`resolvers`] (by their names), [`zones`] (held in memory, for
//! tests), [`names`] (made of names and addresses).

pub mod names;
pub mod question;
pub(crate) mod resolvers;
pub mod zones;
