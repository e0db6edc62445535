//! Events of the receiving side: SMTP sessions and HTTP injection.

use mlua::{MultiValue, Value};
use ringmta_mail::address::EnvelopeAddress;
use ringmta_mail::conn_meta::{AuthInfo, ConnMeta};
use ringmta_mail::message::Message;
use ringmta_options::{
    EsmtpListener, ListenerDomain, MadeAt, Notes, OptionTable, OptionValue, Overrides, Placed,
};
use std::sync::Arc;

use crate::families::message::objects::Auth;
use crate::loading::policy::Policy;
use crate::vm::error::PolicyError;
use crate::vm::lua_value::{sections_of, to_plain, Object};
use crate::vm::option_objects::OptionObject;
use crate::vm::read_options::options;

type Result<T> = std::result::Result<T, PolicyError>;

impl Policy {
    /// `smtp_server_get_dynamic_parameters`: the listener's options with the policy's overrides for this connection.
    pub async fn dynamic_parameters(
        &self,
        listener: &EsmtpListener,
        conn: &ConnMeta,
    ) -> Result<Option<EsmtpListener>> {
        const EVENT: &str = "smtp_server_get_dynamic_parameters";
        let Some(v) =
            self.vm.single::<Value>(EVENT, (listener.listen.as_str(), self.vm.conn(conn))).await?
        else {
            return Ok(None);
        };
        if v.is_nil() {
            return Ok(None);
        }
        let plain = to_plain(&v).map_err(|e| self.vm.report(EVENT, &e))?;
        let overrides = Overrides::parse(&plain, &mut Notes::default())
            .map_err(|e| self.vm.bad_result(EVENT, e))?;
        let mut out = listener.clone();
        out.apply_overrides(&overrides);
        Ok(Some(out))
    }

    /// `smtp_server_connection_accepted`.
    pub async fn connection_accepted(&self, conn: &ConnMeta) -> Result<()> {
        self.vm.single::<()>("smtp_server_connection_accepted", self.vm.conn(conn)).await.map(drop)
    }

    /// `smtp_server_ehlo`: the extensions to offer instead. For HELO `extensions` is empty.
    pub async fn ehlo(
        &self,
        domain: &str,
        conn: &ConnMeta,
        extensions: Vec<String>,
    ) -> Result<Option<Vec<String>>> {
        let r = self
            .vm
            .single::<Option<Vec<String>>>(
                "smtp_server_ehlo",
                (domain, self.vm.conn(conn), extensions),
            )
            .await?;
        Ok(r.flatten())
    }

    /// `smtp_server_auth_plain`: who the peer is; `None` = refused, also when the policy has no handler.
    pub async fn auth_plain(
        &self,
        authz: &str,
        authc: &str,
        password: &str,
        conn: &ConnMeta,
    ) -> Result<Option<AuthInfo>> {
        const EVENT: &str = "smtp_server_auth_plain";
        let v =
            self.vm.single::<Value>(EVENT, (authz, authc, password, self.vm.conn(conn))).await?;
        let identity = if authz.is_empty() { authc } else { authz };
        self.auth_result(EVENT, v, identity)
    }

    /// `http_server_validate_auth_basic`; `None` = refused, also when the policy has no handler.
    pub async fn http_auth_basic(&self, user: &str, password: &str) -> Result<Option<AuthInfo>> {
        const EVENT: &str = "http_server_validate_auth_basic";
        let v = self.vm.single::<Value>(EVENT, (user, password)).await?;
        self.auth_result(EVENT, v, user)
    }

    /// `http_server_validate_auth_bearer`; `None` = refused, also when the policy has no handler.
    pub async fn http_auth_bearer(&self, token: &str) -> Result<Option<AuthInfo>> {
        const EVENT: &str = "http_server_validate_auth_bearer";
        let v = self.vm.single::<Value>(EVENT, token).await?;
        self.auth_result(EVENT, v, "bearer")
    }

    fn auth_result(
        &self,
        event: &str,
        v: Option<Value>,
        identity: &str,
    ) -> Result<Option<AuthInfo>> {
        match v {
            None | Some(Value::Nil | Value::Boolean(false)) => Ok(None),
            Some(Value::Boolean(true)) => {
                Ok(Some(AuthInfo { identities: vec![identity.to_owned()], ..AuthInfo::default() }))
            }
            Some(v) => {
                let plain = to_plain(&v).map_err(|e| self.vm.report(event, &e))?;
                let auth = Auth::from_plain(&plain).map_err(|e| self.vm.bad_result(event, e))?;
                Ok(Some(auth))
            }
        }
    }

    /// `get_listener_domain`.
    pub async fn listener_domain(
        &self,
        domain: &str,
        listener: &str,
        conn: &ConnMeta,
    ) -> Result<Option<ListenerDomain>> {
        const EVENT: &str = "get_listener_domain";
        let v = self.vm.single::<Value>(EVENT, (domain, listener, self.vm.conn(conn))).await?;
        self.typed(EVENT, v.unwrap_or(Value::Nil))
    }

    /// `smtp_server_mail_from`.
    pub async fn mail_from(&self, sender: &EnvelopeAddress, conn: &ConnMeta) -> Result<()> {
        self.vm
            .single::<()>("smtp_server_mail_from", (Object(sender.clone()), self.vm.conn(conn)))
            .await
            .map(drop)
    }

    /// `smtp_server_rcpt_to`.
    pub async fn rcpt_to(&self, recipient: &EnvelopeAddress, conn: &ConnMeta) -> Result<()> {
        self.vm
            .single::<()>("smtp_server_rcpt_to", (Object(recipient.clone()), self.vm.conn(conn)))
            .await
            .map(drop)
    }

    /// `smtp_server_data`.
    pub async fn data(&self, msg: &Message, conn: &ConnMeta) -> Result<()> {
        const EVENT: &str = "smtp_server_data";
        let lent = self.lend(EVENT, msg)?;
        self.vm.single::<()>(EVENT, (lent.object(), self.vm.conn(conn))).await.map(drop)
    }

    /// `smtp_server_message_received`.
    pub async fn message_received(&self, msg: &Message, conn: &ConnMeta) -> Result<()> {
        const EVENT: &str = "smtp_server_message_received";
        let lent = self.lend(EVENT, msg)?;
        self.vm.single::<()>(EVENT, (lent.object(), self.vm.conn(conn))).await.map(drop)
    }

    /// `smtp_server_message_deferred_inject`.
    pub async fn message_deferred_inject(&self, msg: &Message, conn: &ConnMeta) -> Result<()> {
        const EVENT: &str = "smtp_server_message_deferred_inject";
        let lent = self.lend(EVENT, msg)?;
        self.vm.single::<()>(EVENT, (lent.object(), self.vm.conn(conn))).await.map(drop)
    }

    /// `smtp_server_split_transaction`: groups of recipients, one message each; `None` = the listener's `batch_handling`.
    pub async fn split_transaction(
        &self,
        msg: &Message,
        conn: &ConnMeta,
    ) -> Result<Option<Vec<Vec<String>>>> {
        const EVENT: &str = "smtp_server_split_transaction";
        let lent = self.lend(EVENT, msg)?;
        let args = (lent.object(), self.vm.conn(conn));
        let Some(v) = self.vm.single::<Value>(EVENT, args).await? else {
            return Ok(None);
        };
        if v.is_nil() {
            return Ok(None);
        }
        let plain = to_plain(&v).map_err(|e| self.vm.report(EVENT, &e))?;
        Vec::<Vec<String>>::parse(&plain, &mut Notes::default())
            .map(Some)
            .map_err(|e| self.vm.bad_result(EVENT, e))
    }

    /// `smtp_server_rewrite_response`: status and text to answer instead. Errors are logged and otherwise ignored.
    pub async fn rewrite_response(
        &self,
        status: u16,
        text: &str,
        command: Option<&str>,
        conn: &ConnMeta,
    ) -> Option<(u16, String)> {
        const EVENT: &str = "smtp_server_rewrite_response";
        let r = self
            .vm
            .single::<(Option<u16>, Option<String>)>(
                EVENT,
                (status, text, command, self.vm.conn(conn)),
            )
            .await;
        match r {
            Ok(Some((None, None))) | Ok(None) | Err(_) => None,
            Ok(Some((new_status, new_text))) => {
                let new_status = new_status.filter(|s| (200..=599).contains(s)).unwrap_or(status);
                Some((new_status, new_text.unwrap_or_else(|| text.to_owned())))
            }
        }
    }

    /// `http_message_generated`.
    pub async fn http_message_generated(&self, msg: &Message, auth: &AuthInfo) -> Result<()> {
        const EVENT: &str = "http_message_generated";
        let lent = self.lend(EVENT, msg)?;
        self.vm.single::<()>(EVENT, (lent.object(), Auth(auth.clone()))).await.map(drop)
    }

    /// The typed options in what a handler returned: an object of `make_*`, or a bare table of the same options.
    pub(crate) fn typed<T: OptionTable>(&self, event: &str, v: Value) -> Result<Option<T>> {
        Ok(self.placed(event, v)?.map(|placed| placed.options))
    }

    /// The same, with where the options were made.
    pub(crate) fn placed<T: OptionTable>(
        &self,
        event: &str,
        v: Value,
    ) -> Result<Option<Placed<T>>> {
        match &v {
            Value::Nil => return Ok(None),
            Value::UserData(u) => {
                let object = u.borrow::<OptionObject>().ok();
                if let Some(made) = object.as_ref().and_then(|o| o.made::<T>()) {
                    let (options, at) = (made.typed.clone(), made.at.clone());
                    return Ok(Some(Placed { options, at }));
                }
            }
            Value::Table(_) => {
                let plain = to_plain(&v).map_err(|e| self.vm.report(event, &e))?;
                let options = options(&self.vm.ctx, &plain);
                let options = options.map_err(|e| self.vm.report(event, &e))?;
                let at = MadeAt { call: T::CALL, place: None, sections: sections_of(&v) };
                return Ok(Some(Placed { options, at: Arc::new(at) }));
            }
            _ => {}
        }
        Err(self.vm.bad_result(
            event,
            format!("the handler returned a {}, expected the result of {}", v.type_name(), T::CALL),
        ))
    }

    /// The first value of a handler's results.
    pub(crate) fn first(r: MultiValue) -> Value {
        r.into_iter().next().unwrap_or(Value::Nil)
    }
}
