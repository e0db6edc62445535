//! `kumo.http`: an HTTP client. Only the calling handler waits: requests run on the shard's own sockets, and on the helper
//! threads where that cannot be (see [`super::sending`]).

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use mlua::{AnyUserData, Error, Lua, Result, Table, UserData, UserDataMethods, Value};
use ringmta_options::plain::Plain;
use ringmta_options::*;
use ureq::http;

use super::form::{form, multipart};
use super::params::ClientParams;
use super::sending::Client;
use crate::vm::declared::FnDef;
use crate::vm::functions::def;
use crate::vm::lua_value::to_plain;
use crate::vm::read_options::options;
use crate::vm::{self, Ctx};

/// Lua side of a client; `None` after `close`.
#[derive(Clone)]
struct ClientObject(Rc<RefCell<Option<Rc<Client>>>>);

impl UserData for ClientObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        for (name, method) in [
            ("get", http::Method::GET),
            ("post", http::Method::POST),
            ("put", http::Method::PUT),
            ("delete", http::Method::DELETE),
        ] {
            methods.add_method(name, move |_, c, url: String| {
                let client =
                    c.0.borrow()
                        .clone()
                        .ok_or_else(|| Error::runtime("the HTTP client is closed"))?;
                let mut builder = http::Request::builder().method(method.clone()).uri(&url);
                for (k, v) in client.headers() {
                    builder = builder.header(k, &v.0);
                }
                let request =
                    builder.body(Vec::new()).map_err(|e| Error::runtime(format!("{url}: {e}")))?;
                Ok(RequestObject(Rc::new(RefCell::new(Some(Pending {
                    client,
                    request,
                    timeout: None,
                })))))
            });
        }
        methods.add_method("close", |_, c, ()| {
            c.0.borrow_mut().take();
            Ok(())
        });
    }
}

struct Pending {
    client: Rc<Client>,
    request: http::Request<Vec<u8>>,
    timeout: Option<Duration>,
}

/// Lua side of a request; `None` once it was sent.
#[derive(Clone)]
struct RequestObject(Rc<RefCell<Option<Pending>>>);

impl RequestObject {
    fn edit(&self, f: impl FnOnce(&mut Pending) -> Result<()>) -> Result<()> {
        match self.0.borrow_mut().as_mut() {
            Some(p) => f(p),
            None => Err(Error::runtime("the request was sent already")),
        }
    }
}

/// The value never shows in the error: it may be a key.
fn set_header(p: &mut Pending, name: &str, value: &[u8]) -> Result<()> {
    let key = http::HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| Error::runtime(format!("`{name}` is not a header name")))?;
    let mut value = http::HeaderValue::from_bytes(value).map_err(|_| {
        Error::runtime(format!("the value of header `{name}` has characters that are not allowed"))
    })?;
    value.set_sensitive(true);
    p.request.headers_mut().insert(key, value);
    Ok(())
}

/// Signs the request as it is now, with its own method, path, query, host and body.
async fn sign_for_aws(lua: &Lua, this: &AnyUserData, v: &Value) -> Result<()> {
    let mut fields: Vec<(Plain, Plain)> = match to_plain(v)? {
        Plain::Map(m) => m.to_vec(),
        _ => return Err(Error::runtime("aws_sign_v4: a table is needed")),
    };
    this.borrow::<RequestObject>()?.edit(|p| {
        let uri = p.request.uri();
        let pairs = uri.query().unwrap_or("").split('&').filter(|q| !q.is_empty());
        let pairs = pairs.map(|q| q.split_once('=').unwrap_or((q, "")));
        let query = Plain::map(pairs.map(|(k, v)| (k, Plain::str(v))));
        let host =
            uri.authority().map(|a| a.as_str().rsplit('@').next().unwrap_or("")).unwrap_or("");
        let own = [
            ("method", Plain::str(p.request.method().as_str())),
            ("uri", Plain::str(uri.path())),
            ("query_params", query),
            ("headers", Plain::map([("host", Plain::str(host))])),
            ("payload", Plain::str(p.request.body())),
        ];
        for (name, value) in own {
            if !fields.iter().any(|(k, _)| k.is(name)) {
                fields.push((Plain::str(name), value));
            }
        }
        Ok(())
    })?;
    let ctx = vm::ctx(lua)?;
    let plain = Plain::Map(Arc::new(fields));
    let params: crate::families::crypto::AwsParams = options(&ctx, &plain)?;
    let signed = crate::families::crypto::sign_with(lua, &params).await?;
    this.borrow::<RequestObject>()?.edit(|p| {
        if let Some(token) = &params.session_token {
            set_header(p, "x-amz-security-token", token.0.as_bytes())?;
        }
        set_header(p, "x-amz-date", signed.timestamp.as_bytes())?;
        if let Some(hash) = &signed.content_sha256 {
            set_header(p, "x-amz-content-sha256", hash.as_bytes())?;
        }
        set_header(p, "authorization", signed.authorization.as_bytes())
    })
}

/// A chainable method: changes the request and returns it.
fn chain<M, A>(methods: &mut M, name: &str, f: impl Fn(&mut Pending, A) -> Result<()> + 'static)
where
    M: UserDataMethods<RequestObject>,
    A: mlua::FromLuaMulti,
{
    methods.add_function(name, move |lua, (this, args): (AnyUserData, mlua::MultiValue)| {
        let args = A::from_lua_multi(args, lua)?;
        this.borrow::<RequestObject>()?.edit(|p| f(p, args))?;
        Ok(this)
    });
}

impl UserData for RequestObject {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        chain(methods, "header", |p, (name, value): (String, mlua::String)| {
            set_header(p, &name, &value.as_bytes())
        });
        chain(methods, "headers", |p, map: Table| {
            map.pairs::<String, mlua::String>()
                .try_for_each(|kv| kv.and_then(|(k, v)| set_header(p, &k, &v.as_bytes())))
        });
        chain(methods, "timeout", |p, v: Value| {
            p.timeout = Some(
                Duration::parse(&to_plain(&v)?, &mut Notes::default()).map_err(Error::runtime)?,
            );
            Ok(())
        });
        chain(methods, "basic_auth", |p, (user, password): (String, Option<String>)| {
            let token = data_encoding::BASE64
                .encode(format!("{user}:{}", password.unwrap_or_default()).as_bytes());
            set_header(p, "authorization", format!("Basic {token}").as_bytes())
        });
        chain(methods, "bearer_auth", |p, token: String| {
            set_header(p, "authorization", format!("Bearer {token}").as_bytes())
        });
        chain(methods, "body", |p, body: mlua::String| {
            *p.request.body_mut() = body.as_bytes().to_vec();
            Ok(())
        });
        chain(methods, "form_url_encoded", |p, map: Table| {
            set_header(p, "content-type", b"application/x-www-form-urlencoded")?;
            *p.request.body_mut() = form(&map)?.into_bytes();
            Ok(())
        });
        chain(methods, "form_multipart_data", |p, map: Table| {
            let boundary = crate::families::uuid::text();
            let kind = format!("multipart/form-data; boundary={boundary}");
            set_header(p, "content-type", kind.as_bytes())?;
            *p.request.body_mut() = multipart(&map, &boundary)?;
            Ok(())
        });
        methods.add_async_function(
            "aws_sign_v4",
            |lua, (this, v): (AnyUserData, Value)| async move {
                sign_for_aws(&lua, &this, &v).await?;
                Ok(this)
            },
        );
        methods.add_async_method("send", |lua, r, ()| async move {
            let pending =
                r.0.borrow_mut()
                    .take()
                    .ok_or_else(|| Error::runtime("the request was sent already"))?;
            drop(r);
            let Pending { client, request, timeout } = pending;
            let ctx = vm::ctx(&lua)?;
            client.send(&ctx, request, timeout).await.map_err(Error::runtime)
        });
    }
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[FnDef::new(
    "kumo.http.build_url",
    "base: string, params: table",
    "string",
    "A URL with a query.",
)];

pub(crate) fn register(lua: &Lua, kumo: &Table, ctx: &Rc<Ctx>) -> Result<()> {
    let t = lua.create_table()?;
    let c = ctx.clone();
    def(lua, &t, "build_client", move |_, v: Value| {
        let params = match &v {
            Value::Nil => ClientParams::default(),
            v => options(&c, &to_plain(v)?)?,
        };
        Ok(ClientObject(Rc::new(RefCell::new(Some(Rc::new(Client::new(params)))))))
    })?;
    def(lua, &t, "build_url", |_, (base, params): (String, Table)| {
        let separator = if base.contains('?') { '&' } else { '?' };
        Ok(format!("{base}{separator}{}", form(&params)?))
    })?;
    super::websocket::register(lua, &t)?;
    kumo.set("http", t)
}
