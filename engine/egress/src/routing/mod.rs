//! Where the mail of a scheduled queue goes: [`mx`] the hosts of a site, [`hooks`] what holds for events, [`find`] its route,
//! [`explain`] the same for people who ask.

pub mod explain;
pub mod find;
pub mod hooks;
pub mod mx;
