//! `kumo.kafka`.

use std::cell::RefCell;
use std::sync::Arc;

use mlua::{Error, Lua, Result, Table, UserData, UserDataMethods, UserDataRef, Value};

use super::client::Producer;
use super::record::KafkaRecord;
use crate::process::helpers::target_of;
use crate::vm;
use crate::vm::declared::FnDef;
use crate::vm::lua_value::{display, to_plain};
use crate::vm::read_options::options;

/// `None` after `close`.
struct ProducerObject(RefCell<Option<Arc<Producer>>>);

impl Drop for ProducerObject {
    fn drop(&mut self) {
        // Collected on the shard, which must not wait for librdkafka's threads to end.
        if let Some(producer) = self.0.take() {
            let end = std::thread::Builder::new().name("kafka-close".into());
            if let Err(e) = end.spawn(move || drop(producer)) {
                tracing::warn!("kafka: a producer was closed on its shard: {e}");
            }
        }
    }
}

fn failed(what: &'static str) -> impl Fn(String) -> Error {
    move |e| Error::runtime(format!("kumo.kafka: {what}: {e}"))
}

impl ProducerObject {
    fn get(&self, what: &'static str) -> Result<Arc<Producer>> {
        self.0.borrow().clone().ok_or_else(|| failed(what)("the producer is closed".into()))
    }
}

impl UserData for ProducerObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("send", |lua, p: UserDataRef<Self>, v: Value| async move {
            let ctx = vm::ctx(&lua)?;
            let record: KafkaRecord = options(&ctx, &to_plain(&v)?)?;
            let producer = p.get("send")?;
            drop(p);
            let target = target_of(&producer);
            let sent = ctx.shared.helpers().run_for(&target, move || producer.send(&record));
            sent.await.map_err(failed("send"))
        });
        methods.add_async_method(
            "send_batch",
            |lua, p: UserDataRef<Self>, list: Table| async move {
                let ctx = vm::ctx(&lua)?;
                let records = list
                    .sequence_values::<Value>()
                    .map(|v| options(&ctx, &to_plain(&v?)?))
                    .collect::<Result<Vec<KafkaRecord>>>()?;
                let producer = p.get("send_batch")?;
                drop(p);
                let target = target_of(&producer);
                let sent = move || producer.send_batch(&records);
                let sent = ctx.shared.helpers().run_for(&target, sent).await;
                // Places as Lua counts them.
                let (items, errors): (Vec<usize>, Vec<String>) =
                    sent.into_iter().map(|(i, e)| (i + 1, e)).unzip();
                Ok((items, errors))
            },
        );
        methods.add_async_method("close", |lua, p: UserDataRef<Self>, ()| async move {
            let producer = p.0.take();
            drop(p);
            vm::ctx(&lua)?.shared.clone().helpers().run(move || drop(producer)).await;
            Ok(())
        });
    }
}

/// A property as librdkafka takes it: text.
fn property(key: &str, v: &Value) -> Result<String> {
    match v {
        Value::String(_) | Value::Boolean(_) | Value::Integer(_) | Value::Number(_) => {
            Ok(display(v))
        }
        other => Err(failed("build_producer")(format!(
            "property `{key}`: invalid type: {}, expected a string",
            other.type_name()
        ))),
    }
}

async fn build_producer(lua: Lua, config: Table) -> Result<ProducerObject> {
    let properties = config
        .pairs::<String, Value>()
        .map(|kv| kv.and_then(|(k, v)| Ok((property(&k, &v)?, k))).map(|(v, k)| (k, v)))
        .collect::<Result<Vec<_>>>()?;
    let ctx = vm::ctx(&lua)?;
    // Certificates may be read from files.
    let made = ctx.shared.helpers().run(move || Producer::new(properties)).await;
    let producer = made.map_err(failed("build_producer"))?;
    Ok(ProducerObject(RefCell::new(Some(Arc::new(producer)))))
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.kafka.build_producer",
    "config: table<string, string>",
    "any",
    "A producer with these properties of librdkafka.",
)];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    t.set("build_producer", lua.create_async_function(build_producer)?)?;
    kumo.set("kafka", t)
}
