//! Connections to Redis, used on helper threads only.

use std::time::Duration;

use redis::cluster::{ClusterClient, ClusterConnection};
use redis::cluster_read_routing::RandomReplicaStrategy;
use redis::{Client, ClientTlsConfig, Cmd, Connection, TlsCertificates, Value};
use ringmta_options::gcra::GcraSpec;
use ringmta_options::plain::Plain;
use ringmta_options::*;

use crate::limits::{CLIENT_TIMEOUT, REDIS_POOL_SIZE};
use crate::net::connection_slots::Places;
use crate::net::wire::read_pem;

option_table! {
    /// How Redis is reached.
    pub struct RedisParams for "redis.open" {
        /// URL of the server, or a list of URLs of a cluster.
        node: RedisNodes = RedisNodes::default(); Support::Required,
        /// Connections kept open.
        pool_size: usize = REDIS_POOL_SIZE,
        /// The servers are a cluster; by default so when there are several.
        cluster: Option<bool> = None,
        /// In a cluster, read from replicas.
        read_from_replicas: bool = false,
        /// User of all servers of a cluster.
        username: Option<String> = None,
        /// Password of all servers of a cluster.
        password: Option<SecretText> = None,
        /// PEM file with the authorities that are believed of `rediss://` servers; the public ones when none is named.
        root_ca_cert: Option<String> = None,
        /// PEM file with the client's certificate.
        client_cert: Option<String> = None,
        /// PEM file with its key.
        client_private_key: Option<String> = None,
        /// How long a connection may take to be made (duration).
        connect_timeout: Duration = CLIENT_TIMEOUT,
        /// How long a free connection is waited for (duration).
        wait_timeout: Duration = CLIENT_TIMEOUT,
        /// How long an answer is waited for (duration).
        response_timeout: Duration = CLIENT_TIMEOUT,
        /// How long a kept connection may take to prove that it lives (duration).
        recycle_timeout: Duration = CLIENT_TIMEOUT; Support::NoEffect("a kept connection that fails is replaced and the command sent once more"),
    }
}

/// One URL or several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RedisNodes(pub Vec<String>);

impl OptionValue for RedisNodes {
    const TYPE: &'static str = "a string or a sequence of strings";
    const LUA_TYPE: &'static str = "string|string[]";

    fn parse(v: &Plain, notes: &mut Notes) -> Result<RedisNodes, String> {
        match v {
            Plain::Str(_) => String::parse(v, notes).map(|one| RedisNodes(vec![one])),
            _ => Vec::parse(v, notes).map(RedisNodes),
        }
    }

    fn to_plain(&self) -> Plain {
        self.0.to_plain()
    }
}

enum Conn {
    One(Box<Connection>),
    Cluster(Box<ClusterConnection>),
}

impl Conn {
    fn query(&mut self, cmd: &Cmd) -> redis::RedisResult<Value> {
        match self {
            Conn::One(c) => cmd.query(c.as_mut()),
            Conn::Cluster(c) => cmd.query(c.as_mut()),
        }
    }
}

/// The connections that throttles are shared through, when the policy configured some.
pub(crate) struct SharedThrottles(pub std::sync::Arc<Pool>);

/// Connections to one server or cluster.
pub struct Pool {
    params: RedisParams,
    places: Places<Conn>,
}

impl Pool {
    /// Looks at the parameters; nothing is connected yet.
    ///
    /// # Errors
    /// A URL that is none, or no URL at all.
    pub fn new(params: RedisParams) -> Result<Pool, String> {
        if params.node.0.is_empty() {
            return Err("`node` names no server".into());
        }
        for url in &params.node.0 {
            Client::open(url.as_str()).map_err(|e| format!("a URL in `node`: {e}"))?;
        }
        Ok(Pool { places: Places::new(params.pool_size), params })
    }

    fn connect(&self) -> Result<Conn, String> {
        let p = &self.params;
        let tls = certificates(p)?;
        if p.cluster.unwrap_or(p.node.0.len() > 1) {
            let mut builder = ClusterClient::builder(p.node.0.iter().map(String::as_str))
                .connection_timeout(p.connect_timeout)
                .response_timeout(p.response_timeout);
            if let Some(user) = &p.username {
                builder = builder.username(user.as_str());
            }
            if let Some(password) = &p.password {
                builder = builder.password(password.0.as_str());
            }
            if let Some(tls) = tls {
                builder = builder.certs(tls);
            }
            if p.read_from_replicas {
                builder = builder.read_routing_strategy(RandomReplicaStrategy);
            }
            let made = builder.build().and_then(|c| c.get_connection());
            return made.map(|c| Conn::Cluster(Box::new(c))).map_err(|e| e.to_string());
        }
        let client = match tls {
            Some(tls) => Client::build_with_tls(p.node.0[0].as_str(), tls),
            None => Client::open(p.node.0[0].as_str()),
        };
        let client = client.map_err(|e| e.to_string())?;
        let conn = client.get_connection_with_timeout(p.connect_timeout);
        let conn = conn.map_err(|e| e.to_string())?;
        conn.set_read_timeout(Some(p.response_timeout)).map_err(|e| e.to_string())?;
        conn.set_write_timeout(Some(p.response_timeout)).map_err(|e| e.to_string())?;
        Ok(Conn::One(Box::new(conn)))
    }

    /// Runs a command. Blocks: for helper threads.
    ///
    /// # Errors
    /// What Redis or the network said.
    pub fn query(&self, cmd: &Cmd) -> Result<Plain, String> {
        let kept = self.places.take(self.params.wait_timeout)?;
        if let Some(mut conn) = kept {
            match conn.query(cmd) {
                Ok(v) => {
                    self.places.give_back(Some(conn));
                    return to_plain(v);
                }
                Err(e) if !broken(&e) => {
                    self.places.give_back(Some(conn));
                    return Err(e.to_string());
                }
                // The server closed it while it was kept: a new one, and only a timeout is final.
                Err(e) if e.is_timeout() => {
                    self.places.give_back(None);
                    return Err(e.to_string());
                }
                Err(_) => {}
            }
        }
        let mut conn = match self.connect() {
            Ok(conn) => conn,
            Err(e) => {
                self.places.give_back(None);
                return Err(e);
            }
        };
        let answer = conn.query(cmd);
        let keep = !answer.as_ref().is_err_and(broken);
        self.places.give_back(keep.then_some(conn));
        answer.map_err(|e| e.to_string()).and_then(to_plain)
    }
}

/// The files for TLS, when some are named.
fn certificates(p: &RedisParams) -> Result<Option<TlsCertificates>, String> {
    let pem = |path: &Option<String>| path.as_deref().map(read_pem).transpose();
    let client_tls = match (pem(&p.client_cert)?, pem(&p.client_private_key)?) {
        (None, None) => None,
        (Some(client_cert), Some(client_key)) => Some(ClientTlsConfig { client_cert, client_key }),
        _ => return Err("a client's certificate and its key must be given together".into()),
    };
    let mut root_cert = pem(&p.root_ca_cert)?;
    if root_cert.is_none() && p.node.0.iter().any(|url| url.starts_with("rediss:")) {
        root_cert = crate::net::trust::pem()?.map(<[u8]>::to_vec);
    }
    let some = client_tls.is_some() || root_cert.is_some();
    Ok(some.then_some(TlsCertificates { client_tls, root_cert }))
}

fn broken(e: &redis::RedisError) -> bool {
    e.is_io_error() || e.is_connection_dropped() || e.is_timeout() || e.is_unrecoverable_error()
}

fn to_plain(v: Value) -> Result<Plain, String> {
    let list = |items: Vec<Value>| -> Result<Plain, String> {
        Ok(Plain::list(items.into_iter().map(to_plain).collect::<Result<_, _>>()?))
    };
    Ok(match v {
        Value::Nil => Plain::Nil,
        Value::Int(n) => Plain::Int(n),
        Value::BulkString(b) => Plain::str(b),
        Value::SimpleString(s) => Plain::str(s),
        Value::Okay => Plain::str("OK"),
        Value::Double(n) => Plain::Num(n),
        Value::Boolean(b) => Plain::Bool(b),
        Value::VerbatimString { text, .. } => Plain::str(text),
        Value::Array(items) | Value::Set(items) => return list(items),
        Value::Map(items) => {
            let pairs = items.into_iter().map(|(k, v)| Ok((to_plain(k)?, to_plain(v)?)));
            Plain::Map(std::sync::Arc::new(pairs.collect::<Result<Vec<_>, String>>()?))
        }
        Value::Attribute { data, .. } => return to_plain(*data),
        Value::ServerError(e) => return Err(e.to_string()),
        other => return Err(format!("an answer of a kind that is not known: {other:?}")),
    })
}

/// The generic cell rate algorithm on the server, by the server's clock, in microseconds. Numbers are written without an
/// exponent: they are larger than Lua's usual text form of a number keeps exactly.
const GCRA: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local tat = tonumber(redis.call('GET', KEYS[1]) or '0')
if tat < now then tat = now end
local new = tat + interval
local from = new - tolerance
if from > now then return {1, from - now, tat - now} end
redis.call('SET', KEYS[1], string.format('%.0f', new), 'PX', math.ceil((new - now) / 1000) + 1)
return {0, 0, new - now}
";

/// What a shared throttle said.
pub struct Verdict {
    /// How long to wait before asking again, when throttled.
    pub wait: Option<Duration>,
    /// Until it is as if unused.
    pub reset: Duration,
}

/// Takes one event of a throttle that all nodes share. Blocks: for helper threads.
///
/// # Errors
/// What Redis or the network said.
pub fn acquire(pool: &Pool, name: &str, spec: &GcraSpec) -> Result<Verdict, String> {
    if spec.limit == 0 {
        return Ok(Verdict { wait: Some(spec.period), reset: spec.period });
    }
    let interval = (spec.period.as_micros() / u128::from(spec.limit)).max(1) as u64;
    let tolerance = interval.saturating_mul(spec.burst.max(1));
    let mut cmd = redis::cmd("EVAL");
    cmd.arg(GCRA).arg(1).arg(format!("ringmta:throttle:{name}")).arg(interval).arg(tolerance);
    let Plain::List(parts) = pool.query(&cmd)? else {
        return Err("the script gave no list".into());
    };
    let [Plain::Int(held), Plain::Int(wait), Plain::Int(reset)] = parts[..] else {
        return Err("the script gave something unexpected".into());
    };
    let micros = |n: i64| Duration::from_micros(n.max(0) as u64);
    Ok(Verdict { wait: (held != 0).then(|| micros(wait)), reset: micros(reset) })
}
