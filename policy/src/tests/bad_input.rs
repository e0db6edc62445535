//! Bad input, kind by kind: what a mistaken policy or a hostile message can hand to the host. Each gives an error that names what is
//! wrong, and the VM goes on.

use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::limits::{MAX_ERROR_BYTES, MAX_VM_BYTES};
use crate::testing::*;
use crate::vm::error::PolicyError;

/// Runs a function body with a message, and then another: the VM must be as good as before.
fn error_of(body: &str) -> String {
    let w = world(&format!(
        "kumo.on('test', function(msg) {body} end)
         kumo.on('fine', function() kumo.sleep(0.001) return kumo.serde.json_encode {{ 1 }} end)"
    ));
    let e = w.fire("test", Object(message(b"Subject: x\r\n\r\nbody"))).map(|v| v.to_string());
    assert_eq!(w.fire("fine", ()).unwrap(), json!("[1]"), "after {body}");
    match e {
        Err(PolicyError::Lua(l)) => l.message,
        Err(other) => other.to_string(),
        Ok(v) => panic!("{body} gives {v}"),
    }
}

/// Each body fails with an error that has these words.
fn each_says(cases: &[(&str, &str)]) {
    let wrong = cases.iter().filter_map(|(body, says)| {
        let e = error_of(body);
        let shown: String = e.chars().take(500).collect();
        (!e.contains(says)).then(|| format!("{body}: {shown}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wrong_types() {
    each_says(&[
        ("kumo.make_queue_config { max_age = {} }", "option `max_age`: invalid type"),
        ("kumo.make_queue_config(5)", "kumo.make_queue_config: invalid type: "),
        ("kumo.make_egress_path { connection_limit = 'many' }", "option `connection_limit`"),
        ("kumo.make_egress_pool { name = 'p', entries = 'all' }", "option `entries`"),
        ("kumo.make_egress_source { name = print }", "a function cannot be turned into plain data"),
        ("kumo.serde.json_parse {}", "got table"),
        ("kumo.serde.json_encode(print)", "a function cannot be turned into plain data"),
        ("kumo.reject('no', 1)", "bad argument #1"),
        ("kumo.sleep 'soon'", "soon"),
        ("kumo.on('x', 'not a function')", "expected function, got string"),
        ("kumo.dns.lookup_mx {}", "got table"),
        ("kumo.http.build_client({}):get(nil)", "bad argument"),
        ("kumo.http.build_client { timeout = true }", "option `timeout`"),
        ("require('redis').open { node = 5 }", "option `node`"),
        ("kumo.nats.connect { servers = 5 }", "option `servers`"),
        ("kumo.amqp.basic_publish { routing_key = 'q', payload = 1, connection = {} }", "host"),
        ("kumo.memoize('f', {})", "expected function, got string"),
        ("msg:set_meta({}, 1)", "got table"),
        ("msg:set_meta('k', msg)", "cannot be turned into plain data"),
        ("msg:set_sender(5)", "expected an address, got a integer"),
        ("msg:set_recipient 'nobody'", "nobody"),
        ("msg:set_data {}", "got table"),
        ("msg.get_data(5)", "userdata"),
        ("msg:prepend_header(nil, 'x')", "got nil"),
        ("msg:no_such_method()", "no_such_method"),
    ]);
}

#[test]
fn cycles() {
    const LOOP: &str = "local t = {} t.t = t";
    for body in [
        "kumo.serde.json_encode(t)",
        "kumo.serde.toml_encode(t)",
        "kumo.serde.yaml_encode(t)",
        "msg:set_meta('k', t)",
        "kumo.make_queue_config(t)",
        "kumo.make_egress_path { entries = t }",
        "kumo.mpsc.define('q'):send(t)",
        "kumo.spawn_task { event_name = 'x', args = { t } }",
        "kumo.memoize(function() return t end, { name = 'm', ttl = 1, capacity = 1 })()",
        "kumo.memoize(function() end, { name = 'n', ttl = 1, capacity = 1 })(t)",
        "kumo.string.eval_template('x', 'x', t)",
    ] {
        let e = error_of(&format!("{LOOP} {body}"));
        assert!(e.contains("does it contain itself?"), "{body}: {e}");
    }
}

#[test]
fn a_cycle_as_the_configuration_of_a_queue() {
    let w = world(
        "kumo.on('get_queue_config', function(domain)
           local t = {} t.t = t
           if domain == 'bad' then return t end
           return kumo.make_queue_config { max_age = 5 }
         end)",
    );
    let queue = |d: &str| futures::executor::block_on(w.policy.queue_config(d, None, None, None));
    let e = queue("bad").unwrap_err().to_string();
    assert!(e.contains("get_queue_config") && e.contains("does it contain itself?"), "{e}");
    assert_eq!(queue("good").unwrap().unwrap().max_age.as_secs(), 5);
}

#[test]
fn huge_strings() {
    // Taken as they are.
    let huge = "local s = ('x'):rep(20000000)";
    assert_eq!(
        eval(&format!(
            "{huge} local parts = kumo.string.split(s, 'y')
             return {{ #kumo.serde.json_encode {{ s }}, #kumo.encode.base64_encode(s), #parts[1] }}"
        )),
        json!([20_000_004, 26_666_668, 20_000_000])
    );
    each_says(&[
        ("kumo.make_queue_config { max_age = ('x'):rep(20000000) }", "option `max_age`"),
        ("msg:set_sender(('x'):rep(20000000) .. '@x')", "address"),
        ("kumo.regex.compile(('('):rep(5000000))", "kumo.regex"),
        ("kumo.serde.json_parse(('['):rep(5000000))", "recursion limit"),
        ("kumo.serde.yaml_parse(('['):rep(5000000))", "yaml"),
        ("kumo.serde.toml_parse('a = ' .. ('['):rep(5000000))", "toml"),
        ("kumo.string.eval_template('t', ('{% if a %}'):rep(1000000), {})", "eval_template"),
        ("kumo.dns.lookup_mx(('x'):rep(20000000))", "no such domain"),
        ("load(('('):rep(5000000))()", "nil value"),
    ]);
    // An error does not repeat all of it.
    for body in [
        "kumo.make_queue_config { max_age = ('x'):rep(20000000) }",
        "msg:set_sender(('\u{e4}'):rep(20000000))",
        "error(('x'):rep(20000000))",
    ] {
        let e = error_of(body);
        assert!(e.len() <= MAX_ERROR_BYTES + 10, "{body}: {} bytes", e.len());
    }
}

#[test]
fn bytes_that_are_no_text() {
    let m = message(b"Subject: \xff\xfe\r\nX-\xff: 1\r\nFrom: \xff <a@\xff>\r\n\r\n\xff");
    let w = world(
        "kumo.on('test', function(msg)
           msg:set_meta('k', '\\xff\\xfe')
           msg:import_x_headers()
           local seen = msg:get_first_named_header_value 'Subject'
           return { msg:get_meta 'k', seen, kumo.serde.json_encode { seen, '\\xff' } }
         end)",
    );
    let bad = "\u{fffd}\u{fffd}";
    let got = w.fire("test", Object(m)).unwrap();
    assert_eq!(got, json!([bad, bad, format!("[\"{bad}\",\"\u{fffd}\"]")]));
    each_says(&[
        ("msg:set_meta('\\xff', 1)", "utf-8"),
        ("msg:prepend_header('X-A', '\\xff', true)", "utf-8"),
        ("msg:prepend_header('X-\\xff', 'x')", "utf-8"),
        ("msg:set_sender '\\xff@x'", "utf-8"),
        ("kumo.make_queue_config { ['\\xff'] = 1 }", "as the name of an option"),
        ("kumo.regex.compile '\\xff'", "utf-8"),
    ]);
}

#[test]
fn handlers_that_never_end() {
    for body in [
        "while true do end",
        "while true do pcall(error, 'x') end",
        "local function f() return f() end f()",
        "while true do coroutine.yield() end",
        "while true do coroutine.yield(1, 2) end",
        "while true do pcall(coroutine.yield) end",
        "table.sort({ 3, 2, 1 }, function() while true do end end)",
        "setmetatable({}, { __index = function() while true do end end }).x()",
        "for _ in pairs(setmetatable({}, { __pairs = function() return function() return 1 end end })) do end",
    ] {
        let e = error_of(body);
        assert!(e.contains("ran too long without waiting"), "{body}: {e}");
    }
    let e = error_of("local function f() return 1 + f() end f()");
    assert!(e.contains("stack overflow"), "{e}");
}

#[test]
fn a_yield_is_not_the_end_of_a_handler() {
    assert_eq!(eval("coroutine.yield(1) coroutine.yield() return 'done'"), json!("done"));
    // Nor does it reach another event.
    let w = world(
        "kumo.on('test', function() thread = coroutine.running() coroutine.yield() return 1 end)
         kumo.on('other', function() return coroutine.resume(thread) end)
         kumo.on('wrapped', function() local f = coroutine.wrap(function() coroutine.yield(1) error 'x' end) f() f() end)",
    );
    assert_eq!(w.fire("test", ()).unwrap(), json!(1));
    assert_eq!(w.fire("other", ()).unwrap()[0], json!(false));
    assert!(w.fire("wrapped", ()).unwrap_err().to_string().contains("init.lua:3: x"));
    assert_eq!(w.fire("test", ()).unwrap(), json!(1));
}

#[test]
fn handlers_that_eat_memory() {
    let w = world(
        "kumo.on('double', function() local s = 'x' while true do s = s .. s end end)
         kumo.on('rep', function() return #string.rep('x', 1 << 30) end)
         kumo.on('table', function() local t = {} for i = 1, 1e9 do t[i] = { i } end end)
         kumo.on('caught', function() return pcall(string.rep, 'x', 1 << 30) end)
         kumo.on('fine', function() return #string.rep('x', 1 << 20) end)",
    );
    let lua = &w.policy.vm.lua;
    // The limit is there; a smaller one makes the test small.
    assert_eq!(lua.set_memory_limit(32 * 1024 * 1024).unwrap(), MAX_VM_BYTES);
    for event in ["double", "rep", "table"] {
        let e = w.fire(event, ()).unwrap_err().to_string();
        assert!(e.contains(event) && e.contains("wants more memory than the 2048 MiB"), "{e}");
        assert_eq!(w.fire("fine", ()).unwrap(), json!(1 << 20), "after {event}");
    }
    let caught = w.fire("caught", ()).unwrap();
    assert_eq!(caught, json!([false, "not enough memory"]));
}

#[test]
fn errors_that_are_no_strings() {
    each_says(&[
        ("error({ code = 5 })", "table"),
        ("error()", "nil"),
        ("error(nil)", "nil"),
        ("error(42)", "42"),
        ("error(true)", "true"),
        ("error(print)", "function"),
        ("error(msg)", "Message"),
        ("error(coroutine.create(print))", "thread"),
        ("error('\\xff')", "\u{fffd}"),
        ("error(setmetatable({}, { __tostring = function() return 'mine' end }))", "mine"),
        ("error(setmetatable({}, { __tostring = function() error 'x' end }))", "x"),
        ("error(setmetatable({}, { __tostring = function() while true do end end }))", ""),
    ]);
}

#[test]
fn calls_that_belong_to_init() {
    for call in [
        "start_esmtp_listener { listen = '127.0.0.1:0' }",
        "start_http_listener { listen = '127.0.0.1:0' }",
        "define_spool { name = 'data', path = '/nowhere' }",
        "configure_local_logs { log_dir = '/nowhere' }",
        "configure_log_hook { name = 'h' }",
        "configure_http_log_hook { name = 'h', url = 'http://127.0.0.1/' }",
    ] {
        let name = call.split(' ').next().unwrap();
        let e = error_of(&format!("kumo.{call}"));
        let says = format!("kumo.{name} can only be called while `pre_init` or `init` is handled");
        assert!(e.contains(&says), "{call}: {e}");
    }
}

/// Takes connections and says nothing.
fn mute() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut buf = [0; 4096];
                while stream.read(&mut buf).is_ok_and(|n| n > 0) {}
            });
        }
    });
    port
}

/// Calls of clients, with what stands for the port.
const CALLS: [&str; 8] = [
    "kumo.http.build_client({ timeout = 2 }):get('http://127.0.0.1:PORT/'):send()",
    "kumo.http.build_client({}):get('https://127.0.0.1:PORT/'):timeout('2s'):send()",
    "require('redis').open({ node = 'redis://127.0.0.1:PORT/', connect_timeout = 2, response_timeout = 2 }):query('PING')",
    "require('redis').open({ node = 'rediss://127.0.0.1:PORT/', connect_timeout = 2, response_timeout = 2 }):query('PING')",
    "kumo.nats.connect { servers = { '127.0.0.1:PORT' }, connection_timeout = 2 }",
    "kumo.nats.connect { servers = { '127.0.0.1:PORT' }, connection_timeout = 2, tls_first = true }",
    "kumo.amqp.basic_publish { routing_key = 'q', payload = 'x', connection = { host = '127.0.0.1', port = PORT, connect_timeout = 2 } }",
    "kumo.amqp.build_client 'amqp://127.0.0.1:PORT/?connection_timeout=2000'",
];

#[test]
fn services_that_are_down() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for call in CALLS {
        let e = error_of(&call.replace("PORT", &closed.to_string()));
        assert!(e.contains("refused"), "{call}: {e}");
    }
}

#[test]
fn services_that_take_a_connection_and_never_answer() {
    let port = mute().to_string();
    let mut code = String::from("done = {}");
    for (n, call) in CALLS.iter().enumerate() {
        let call = call.replace("PORT", &port);
        code.push_str(&format!(
            " kumo.on('hang{n}', function()
                local ok, e = pcall(function() return {call} end)
                done[#done + 1] = 'hang'
                return ok, tostring(e)
              end)"
        ));
    }
    code.push_str(
        " kumo.on('quick', function() kumo.sleep(0.001) done[#done + 1] = 'quick' end)
          kumo.on('order', function() return table.concat(done, ' ') end)",
    );
    let w = world(&code);
    let call = |event: &str| {
        let f = w.policy.vm.ctx.last_handler(event).unwrap();
        let vm = w.policy.vm.clone();
        async move { vm.call::<mlua::MultiValue>("test", f, ()).await.unwrap() }
    };
    for (n, text) in CALLS.iter().enumerate() {
        let started = Instant::now();
        let (hung, _) = futures::executor::block_on(async {
            futures::join!(call(&format!("hang{n}")), call("quick"))
        });
        assert_eq!(hung[0], mlua::Value::Boolean(false), "{text}");
        let e = hung[1].to_string().unwrap();
        let late = ["time", "Resource temporarily unavailable"].iter().any(|w| e.contains(w));
        assert!(late, "{text}: {e}");
        let took = started.elapsed();
        assert!(
            took > Duration::from_secs(1) && took < Duration::from_secs(180),
            "{text}: {took:?}"
        );
    }
    let order = ["quick hang"; CALLS.len()].join(" ");
    assert_eq!(w.fire("order", ()).unwrap(), json!(order), "the other event never waits");
}
