//! Who may use the HTTP interface, where the policy has rules of its own.

use ringmta_mail::AuthInfo;
use ringmta_options::access::Access;

use crate::families::aaa::walk;
use crate::loading::policy::Policy;
use crate::vm::error::PolicyError;

impl Policy {
    /// Whether the policy has a say in who may use what: by `get_acl_definition`, or because the rules that are built in do
    /// not hold.
    pub fn decides_access(&self) -> bool {
        self.handles(walk::EVENT) || !self.vm.ctx.shared.access.falls_back()
    }

    /// Whether `who` may do `privilege` to what has these names, the most particular first. Rules that are built in are
    /// asked about `as_built_in`.
    ///
    /// # Errors
    /// A handler of `get_acl_definition` has failed, or gave something else than rules.
    pub async fn access(
        &self,
        names: &[String],
        who: &AuthInfo,
        as_built_in: &AuthInfo,
        privilege: &str,
    ) -> Result<Access, PolicyError> {
        let decided = walk::decide(&self.vm.lua, names, who, as_built_in, privilege);
        self.vm.watch(walk::EVENT, decided).await
    }
}
