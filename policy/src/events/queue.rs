//! Events of the sending side: queues, egress, log records, tasks, Lua connections.

use std::rc::Rc;
use std::time::Duration;

use mlua::{Function, Table, Value};
use ringmta_mail::message::Message;
use ringmta_mail::QueueName;
use ringmta_options::{EgressPath, EgressPool, EgressSource, Placed, QueueConfig};

use crate::loading::policy::Policy;
use crate::vm::error::PolicyError;
use crate::vm::lua_value::from_json;
use crate::vm::machine::Vm;

type Result<T> = std::result::Result<T, PolicyError>;

impl Policy {
    /// `get_queue_config`; `None` = defaults.
    pub async fn queue_config(
        &self,
        domain: &str,
        tenant: Option<&str>,
        campaign: Option<&str>,
        routing_domain: Option<&str>,
    ) -> Result<Option<Placed<QueueConfig>>> {
        const EVENT: &str = "get_queue_config";
        let r = self.vm.chain(EVENT, (domain, tenant, campaign, routing_domain)).await?;
        self.placed(EVENT, Policy::first(r))
    }

    /// The same of a queue by its name.
    ///
    /// # Errors
    /// As [`Policy::queue_config`].
    pub async fn queue_config_of(&self, queue: &QueueName) -> Result<Option<Placed<QueueConfig>>> {
        let (tenant, campaign) = (queue.tenant.as_deref(), queue.campaign.as_deref());
        let routing_domain = queue.routing_domain.as_deref();
        self.queue_config(&queue.domain, tenant, campaign, routing_domain).await
    }

    /// `get_egress_pool`; `None` = no such pool.
    pub async fn egress_pool(&self, name: &str) -> Result<Option<Placed<EgressPool>>> {
        const EVENT: &str = "get_egress_pool";
        let v = self.vm.single::<Value>(EVENT, name).await?;
        self.placed(EVENT, v.unwrap_or(Value::Nil))
    }

    /// `get_egress_source`; `None` = no such source.
    pub async fn egress_source(&self, name: &str) -> Result<Option<Placed<EgressSource>>> {
        const EVENT: &str = "get_egress_source";
        let v = self.vm.single::<Value>(EVENT, name).await?;
        self.placed(EVENT, v.unwrap_or(Value::Nil))
    }

    /// `get_egress_path_config`; `None` = defaults.
    pub async fn egress_path(
        &self,
        routing_domain: &str,
        source: &str,
        site: &str,
    ) -> Result<Option<Placed<EgressPath>>> {
        const EVENT: &str = "get_egress_path_config";
        let v = self.vm.single::<Value>(EVENT, (routing_domain, source, site)).await?;
        self.placed(EVENT, v.unwrap_or(Value::Nil))
    }

    /// `throttle_insert_ready_queue`: may push the due time of the message out.
    pub async fn throttle_insert_ready_queue(&self, msg: &Message) -> Result<()> {
        const EVENT: &str = "throttle_insert_ready_queue";
        // An explicit nil ends the chain, returning nothing does not.
        let lent = self.lend(EVENT, msg)?;
        self.vm.chain_until(EVENT, lent.object(), |r| !r.is_empty()).await.map(drop)
    }

    /// `requeue_message`: may change the message's schedule or queue; a rejection bounces it.
    pub async fn requeue_message(
        &self,
        msg: &Message,
        response: &str,
        context: Vec<String>,
        increment: bool,
        delay: Option<Duration>,
    ) -> Result<()> {
        const EVENT: &str = "requeue_message";
        let delay = delay.map(|d| d.as_secs_f64());
        let lent = self.lend(EVENT, msg)?;
        self.vm
            .chain_until(EVENT, (lent.object(), response, context, increment, delay), |r| {
                !r.is_empty()
            })
            .await
            .map(drop)
    }

    /// `rebind_message`: an operator moves the message; the handler says where to by its metadata.
    pub async fn rebind_message(&self, msg: &Message, data: &[(String, String)]) -> Result<()> {
        const EVENT: &str = "rebind_message";
        let lent = self.lend(EVENT, msg)?;
        let table = self.vm.lua.create_table().map_err(|e| self.vm.report(EVENT, &e))?;
        for (name, value) in data {
            let set = table.raw_set(name.as_str(), value.as_str());
            set.map_err(|e| self.vm.report(EVENT, &e))?;
        }
        self.vm.single::<()>(EVENT, (lent.object(), table)).await.map(drop)
    }

    /// `smtp_client_rewrite_delivery_status`: the code to act on instead.
    pub async fn rewrite_delivery_status(
        &self,
        response: &str,
        domain: &str,
        tenant: Option<&str>,
        campaign: Option<&str>,
        routing_domain: Option<&str>,
    ) -> Result<Option<u16>> {
        const EVENT: &str = "smtp_client_rewrite_delivery_status";
        let r = self
            .vm
            .single::<Option<u16>>(EVENT, (response, domain, tenant, campaign, routing_domain))
            .await?;
        Ok(r.flatten())
    }

    /// `spool_message_enumerated`.
    pub async fn spool_message_enumerated(&self, msg: &Message) -> Result<()> {
        const EVENT: &str = "spool_message_enumerated";
        let lent = self.lend(EVENT, msg)?;
        self.vm.single::<()>(EVENT, lent.object()).await.map(drop)
    }

    /// `shutdown_logging`.
    pub async fn shutdown_logging(&self) -> Result<()> {
        self.vm.single::<()>("shutdown_logging", ()).await.map(drop)
    }

    /// The `filter_event` of log files: whether a record about `msg` is written; yes when the event has no handler.
    pub async fn wants_log_line(
        &self,
        event: &str,
        msg: &Message,
        record: &serde_json::Value,
    ) -> Result<bool> {
        let lent = self.lend(event, msg)?;
        let record = from_json(&self.vm.lua, record).map_err(|e| self.vm.report(event, &e))?;
        let answer = self.vm.single::<Value>(event, (lent.object(), record)).await?;
        Ok(!matches!(answer, Some(Value::Boolean(false))))
    }

    /// `log_disposition_<name>`: a record was made of `msg`. A failure is logged, and nothing else.
    pub async fn log_disposition(
        &self,
        event: &str,
        msg: &Message,
        record: &serde_json::Value,
    ) -> Result<()> {
        let lent = self.lend(event, msg)?;
        let record = from_json(&self.vm.lua, record).map_err(|e| self.vm.report(event, &e))?;
        self.vm.single::<Value>(event, (lent.object(), record)).await.map(drop)
    }

    /// `should_enqueue_log_record`: whether a hook gets the record in `msg`; `None` when no handler has a say. `msg` carries
    /// the record as metadata `log_record`, its JSON as the body, and `LogRecord` as `reception_protocol`.
    pub async fn should_enqueue_log_record(
        &self,
        msg: &Message,
        hook: &str,
    ) -> Result<Option<bool>> {
        const EVENT: &str = "should_enqueue_log_record";
        let lent = self.lend(EVENT, msg)?;
        let r = self.vm.chain(EVENT, (lent.object(), hook)).await?;
        Ok(match Policy::first(r) {
            Value::Nil => None,
            answer => Some(!matches!(answer, Value::Boolean(false))),
        })
    }

    /// The filter event of a log file: whether it gets the record in `msg`; yes when there is no such handler.
    pub async fn log_filter(&self, event: &str, msg: &Message) -> Result<bool> {
        let lent = self.lend(event, msg)?;
        let r = self.vm.single::<Value>(event, lent.object()).await?;
        Ok(!matches!(r, Some(Value::Boolean(false))))
    }

    /// Fires an event of the policy's own with one argument (`kumo.spawn_task`).
    pub async fn call_user_event(&self, name: &str, args: serde_json::Value) -> Result<()> {
        let Some(f) = self.vm.ctx.last_handler(name) else {
            return Err(self.vm.bad_result(name, "the policy has no handler for this event"));
        };
        let arg = from_json(&self.vm.lua, &args).map_err(|e| self.vm.report(name, &e))?;
        self.vm.call::<()>(name, f, arg).await
    }

    /// Fires a constructor event: the connection log records or messages are sent over.
    pub async fn open_connection(
        &self,
        constructor: &str,
        domain: &str,
        tenant: Option<&str>,
        campaign: Option<&str>,
    ) -> Result<LuaConnection> {
        let Some(f) = self.vm.ctx.last_handler(constructor) else {
            return Err(self
                .vm
                .bad_result(constructor, "the policy has no handler for this constructor"));
        };
        let v: Value = self.vm.call(constructor, f, (domain, tenant, campaign)).await?;
        let Value::Table(object) = v else {
            return Err(self.vm.bad_result(
                constructor,
                format!(
                    "the constructor returned a {}, expected a table with `send` or `send_batch`",
                    v.type_name()
                ),
            ));
        };
        let get = |name: &str| {
            object.get::<Option<Function>>(name).map_err(|e| self.vm.report(constructor, &e))
        };
        let (send, send_batch, close) = (get("send")?, get("send_batch")?, get("close")?);
        if send.is_none() && send_batch.is_none() {
            return Err(self.vm.bad_result(
                constructor,
                "the constructor returned a table without `send` or `send_batch`",
            ));
        }
        Ok(LuaConnection {
            vm: self.vm.clone(),
            name: constructor.to_owned(),
            object,
            send,
            send_batch,
            close,
        })
    }
}

/// A connection object made by the policy.
pub struct LuaConnection {
    vm: Rc<Vm>,
    name: String,
    object: Table,
    send: Option<Function>,
    send_batch: Option<Function>,
    close: Option<Function>,
}

impl LuaConnection {
    /// Sends one message; the text is the response of the far side. A rejection is its refusal.
    pub async fn send(&self, msg: &Message) -> Result<String> {
        let lent = self.vm.lend(&self.name, msg)?;
        match (&self.send, &self.send_batch) {
            (Some(f), _) => self.call(f, lent.object()).await,
            (None, Some(f)) => self.call(f, vec![lent.object()]).await,
            (None, None) => Err(self.vm.bad_result(&self.name, "the connection has no `send`")),
        }
    }

    /// Whether [`LuaConnection::send_batch`] can take more than one message.
    pub fn has_batch(&self) -> bool {
        self.send_batch.is_some()
    }

    /// Sends several messages; one response for all.
    pub async fn send_batch(&self, msgs: &[Message]) -> Result<String> {
        let Some(f) = &self.send_batch else {
            return match msgs {
                [one] => self.send(one).await,
                _ => Err(self.vm.bad_result(&self.name, "the connection has no `send_batch`")),
            };
        };
        let lent = msgs.iter().map(|m| self.vm.lend(&self.name, m)).collect::<Result<Vec<_>>>()?;
        self.call(f, lent.iter().map(|l| l.object()).collect::<Vec<_>>()).await
    }

    async fn call(&self, f: &Function, arg: impl mlua::IntoLua) -> Result<String> {
        let r: Value = self.vm.call(&self.name, f.clone(), (self.object.clone(), arg)).await?;
        match &r {
            Value::String(s) => Ok(s.to_string_lossy()),
            Value::Integer(n) => Ok(n.to_string()),
            Value::Number(n) => Ok(n.to_string()),
            // Of one that returns nothing nobody can say that it has delivered anything.
            other => Err(self.vm.bad_result(
                &self.name,
                format!(
                    "error converting Lua {} to String (expected string or number)",
                    other.type_name()
                ),
            )),
        }
    }

    /// Ends the connection; errors are logged.
    pub async fn close(&self) {
        if let Some(f) = &self.close {
            let _ = self.vm.call::<()>(&self.name, f.clone(), self.object.clone()).await;
        }
    }
}
