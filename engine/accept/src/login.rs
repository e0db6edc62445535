//! Credentials that a client gives over SMTP.

use ringmta_policy::{AuthInfo, ConnMeta, Policy, PolicyError};
use ringmta_shard::accounting::Attempt;
use ringmta_shard::state::Shard;
use ringmta_smtp::reply::Refusal;
use ringmta_smtp::server::vocabulary::Answer;
use std::net::IpAddr;

/// What a client says it is by AUTH (RFC 4954), and who it is.
pub struct Login<'s> {
    /// Whom it wants to act for; empty: itself.
    pub authz: &'s str,
    /// Its name.
    pub authc: &'s str,
    /// Its password.
    pub password: &'s str,
    /// Its address.
    pub peer: IpAddr,
}

/// Asks policy about credentials, once it is the peer's turn; notes in `meta` whom they are of. The caller sets the
/// deadline.
///
/// # Errors
/// The policy's own refusal, or its failure.
pub async fn look(
    shard: &Shard,
    policy: &Policy,
    meta: &ConnMeta,
    login: &Login<'_>,
) -> Result<Answer, PolicyError> {
    let Login { authz, authc, password, peer } = *login;
    let Ok(turn) = shard.logins.turn(peer, &[authz, authc, password]).await else {
        shard.metrics.auth_held.inc();
        return Ok(Answer::Refuse(Refusal::TooManyGuesses.reply()));
    };
    let found = policy.auth_plain(authz, authc, password, meta).await;
    let decided = turn.said(&found);
    if decided == Some(false) {
        shard.metrics.auth_failures_smtp.inc();
    }
    if decided.is_some() {
        account(shard, login, found.as_ref().ok().and_then(Option::as_ref));
    }
    let Some(mut info) = found? else {
        return Ok(Answer::Refuse(Refusal::AuthFailed.reply()));
    };
    info.peer_address = Some(peer);
    meta.set_auth_info(info);
    meta.set("authn_id", authc);
    meta.set("authz_id", authz);
    Ok(Answer::Accept)
}

/// Notes in the accounting log what came of credentials.
fn account(shard: &Shard, login: &Login<'_>, found: Option<&AuthInfo>) {
    let Some(accounting) = &shard.accounting else { return };
    let attempt = Attempt { identity: login.authc, context: "SmtpAuthPlainAuthentication" };
    let info = found.cloned().unwrap_or_default();
    let info = AuthInfo { peer_address: Some(login.peer), ..info };
    accounting.authentication(&attempt, found.is_some(), &info);
}
