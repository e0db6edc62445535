//! A policy made of its files: [`new_vm`] (the VM and its modules, with [`extras`] and [`confined`]), [`policy`] (its life).

mod confined;
pub(crate) mod extras;
mod new_vm;
pub mod policy;
#[cfg(test)]
mod tests;
