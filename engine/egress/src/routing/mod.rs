//! Where the mail of a scheduled queue goes: [`mx`] the hosts of a site, [`find`] its route.

pub mod find;
pub mod mx;
