//! Functions of the contract that this version has no engine for. They exist, so that the error says what is missing and why,
//! instead of "attempt to call a nil value"; `validate` finds them before they are called.

use mlua::{Error, Lua, MultiValue, Result, Table, Value};

/// Path below the module `kumo`, and why.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    (
        "configure_log_disposition_hook",
        "records are told after they are durable; use configure_log_hook",
    ),
    ("configure_redis_throttles", "limits are shared by all shards of one node, not between nodes"),
    (
        "set_httpinject_recipient_rate_limit",
        "limit recipients with kumo.make_throttle in http_message_generated",
    ),
    ("dns.configure_unbound_resolver", "DNSSEC is not validated; use configure_resolver"),
    ("dns.define_resolver", "there is one resolver; use configure_resolver"),
    ("dns.configure_test_mta_sts", "MTA-STS policies cannot be made up"),
    ("http.connect_websocket", "there is no websocket client"),
    ("amqp.basic_publish", NO_CLIENT),
    ("amqp.build_client", NO_CLIENT),
    ("kafka.build_producer", NO_CLIENT),
    ("nats.connect", NO_CLIENT),
    ("xfer.xfer", NO_XFER),
    ("xfer.xfer_in_requeue", NO_XFER),
    ("api.inject.build_v1", "use kumo.api.inject.inject_v1"),
];

const NO_CLIENT: &str = "records are handed on by a log hook over HTTP";
const NO_XFER: &str = "messages stay on the node that accepted them";

/// Why a path such as `kumo.nats.connect` is refused.
pub(crate) fn why(path: &str) -> Option<&'static str> {
    let below = path.strip_prefix("kumo.")?;
    REFUSED.iter().find(|(name, _)| *name == below).map(|(_, why)| *why)
}

pub(super) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    for (path, why) in REFUSED {
        let mut table = kumo.clone();
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                let f = lua.create_function(move |_, _: MultiValue| -> Result<Value> {
                    Err(Error::runtime(format!(
                        "kumo.{path} is not supported by this version of ringmta: {why}"
                    )))
                })?;
                table.set(part, f)?;
                break;
            }
            table = match table.get::<Value>(part)? {
                Value::Table(inner) => inner,
                _ => {
                    let inner = lua.create_table()?;
                    table.set(part, &inner)?;
                    inner
                }
            };
        }
    }
    Ok(())
}
