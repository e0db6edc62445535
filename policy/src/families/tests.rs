//! The `kumo` module as a policy sees it.

use serde_json::json;

use crate::testing::*;

#[test]
fn json_shapes() {
    assert_eq!(eval("return kumo.serde.json_encode({})"), json!("{}"));
    assert_eq!(eval("return kumo.serde.json_encode({b={}})"), json!("{\"b\":{}}"));
    assert_eq!(eval("return kumo.serde.json_encode(1.0)"), json!("1.0"));
    assert_eq!(eval("return kumo.json_encode({1, 2, nil})"), json!("[1,2]"));
    assert_eq!(
        eval("return kumo.serde.json_parse('{\"a\":[1,null,{\"b\":1.5}]}')"),
        json!({"a": {"1": 1, "3": {"b": 1.5}}})
    );
    let e = eval_err("return kumo.serde.json_parse('{')");
    assert!(e.contains("parsing { as json: ") && e.contains("line 1 column 1"), "{e}");
    assert!(eval_err("local t = {} t.t = t return kumo.serde.json_encode(t)")
        .contains("does it contain itself?"));
}

#[test]
fn toml_and_files() {
    assert_eq!(
        eval("return kumo.toml_parse('a = 1\\n[b]\\nc = [\"x\"]')"),
        json!({"a": 1, "b": {"c": ["x"]}})
    );
    assert_eq!(eval("return kumo.serde.toml_encode({a={b=1}})"), json!("[a]\nb = 1\n"));
    let w = world("kumo.on('test', function(p) return kumo.serde.json_load(p .. '/x.json'), kumo.serde.toml_load(p .. '/x.toml') end)");
    std::fs::write(w.dir.path().join("x.json"), "[1]").unwrap();
    std::fs::write(w.dir.path().join("x.toml"), "k = 'v'").unwrap();
    assert_eq!(w.fire("test", w.dir.path().to_str().unwrap()).unwrap(), json!([[1], {"k": "v"}]));
    assert!(
        eval_err("return kumo.json_load('/nowhere')").contains("reading /nowhere: No such file")
    );
}

#[test]
fn encodings() {
    assert_eq!(eval("return kumo.encode.base64url_nopad_encode('a?b')"), json!("YT9i"));
    for family in [
        "base64",
        "base64_nopad",
        "base64url",
        "base64url_nopad",
        "base32",
        "base32_nopad",
        "base32hex",
        "base32hex_nopad",
        "hex",
    ] {
        let code = format!("return kumo.encode.{family}_decode(kumo.encode.{family}_encode('\\x00\\xffabc')) == '\\x00\\xffabc'");
        assert_eq!(eval(&code), json!(true), "{family}");
    }
    assert_eq!(eval("return kumo.encode.hex_decode('4A6f')"), json!("Jo"));
    assert!(
        eval_err("return kumo.encode.base64_decode('!')").contains("kumo.encode.base64_decode: ")
    );
}

#[test]
fn digests() {
    assert_eq!(
        eval("return kumo.digest.sha256('a', 'bc').hex"),
        json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    assert_eq!(
        eval("return kumo.digest.sha1('abc').hex"),
        json!("a9993e364706816aba3e25717850c26c9cd0d89d")
    );
    assert_eq!(eval("return kumo.digest.crc32('123456789').hex"), json!("cbf43926"));
    // RFC 4231, test case 2.
    assert_eq!(
        eval(
            "return kumo.digest.hmac_sha256({key_data='Jefe'}, 'what do ya want for nothing?').hex"
        ),
        json!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
    assert_eq!(eval("return #kumo.digest.sha512('').bytes"), json!(64));
    assert!(
        eval_err("return kumo.digest.hmac_sha256('/nowhere/key', 'x')")
            .contains("reading /nowhere/key"),
        "a plain string is a file name"
    );
}

#[test]
fn absent_functions_fail_as_lua_says() {
    let e = eval_err("kumo.make_egress_path_config {}");
    assert!(e.contains("attempt to call a nil value (field 'make_egress_path_config')"), "{e}");
    assert!(e.contains("init.lua:1"), "{e}");
}

#[test]
fn option_objects() {
    assert_eq!(eval("local q = kumo.make_queue_config{max_age='1h'} return {q.max_age, q.egress_pool, q.nothing == nil}"), json!([3600, "unspecified", true]));
    assert_eq!(
        eval(
            "local n = 0 for k, v in pairs(kumo.make_egress_path{}) do n = n + 1 end return n > 30"
        ),
        json!(true)
    );
    let e = eval_err("return kumo.make_queue_config{max_agee=1}");
    assert!(
        e.contains("kumo.make_queue_config: unknown field `max_agee`, expected one of")
            && e.contains("did you mean `max_age`?"),
        "{e}"
    );
    let e = eval_err("return kumo.make_egress_path{enable_tls='Sometimes'}");
    assert!(e.contains("option `enable_tls`: unknown variant `Sometimes`, expected one of"), "{e}");
    for (bad, why) in [
        ("suspend_when_unplumbed={}", "expected a table of duration and trigger"),
        ("suspend_when_unplumbed={trigger='Immediate'}", "missing field `duration`"),
        ("suspend_when_unplumbed={duration='5m', trigger='Now'}", "expected 'Immediate'"),
        ("suspend_when_unplumbed={duration='5m', trigger={Threshold='3'}}", "there is no `/`"),
        ("suspend_when_unplumbed={duration='5m', when=1}", "unknown field `when`"),
        ("socks5_proxy_server='1.2.3.4:5'", "are needed together"),
        ("ha_proxy_source_address='1.2.3.4'", "are needed together"),
        ("ha_proxy_server='h', ha_proxy_source_address='1.2.3.4'", "expected host:port"),
    ] {
        let e = eval_err(&format!("return kumo.make_egress_source{{name='x', {bad}}}"));
        assert!(e.contains(why), "{e}");
    }
    let domain = "kumo.make_listener_domain{log_oob=true, log_arf='LogThenDrop'}";
    assert_eq!(
        eval(&format!("local d = {domain} return {{d.log_oob, d.log_arf}}")),
        json!(["LogThenRelay", "LogThenDrop"])
    );
    assert!(eval_err("kumo.start_esmtp_listener{}")
        .contains("can only be called while `pre_init` or `init` is handled"));
}

#[test]
fn memoize_fills_once_and_keeps_objects() {
    let w = world(
        "calls = 0
         local f = kumo.memoize(function(a, b) calls = calls + 1 kumo.sleep(1) return {a, b}, kumo.make_egress_pool{name=a} end, {name='m', ttl='5 minutes', capacity=10})
         kumo.on('test', function(a) local t, pool = f(a, 'y') t[1] = 'changed by the caller' return t[2], pool.name, calls end)
         local none = kumo.memoize(function() end, {name='none', ttl=10})
         kumo.on('none', function() none() return select('#', none()) end)
         local bad = kumo.memoize(function() return print end, {name='bad', ttl=10})
         kumo.on('bad', function() return bad() end)",
    );
    for _ in 0..3 {
        assert_eq!(w.fire("test", "x").unwrap(), json!(["y", "x", 1]));
    }
    assert_eq!(w.fire("test", "z").unwrap(), json!(["y", "z", 2]));
    w.host.now.set(w.host.now.get() + 301_000_000_000);
    assert_eq!(w.fire("test", "x").unwrap(), json!(["y", "x", 3]), "expired");
    assert_eq!(w.fire("none", ()).unwrap(), json!(0));
    let e = w.fire("bad", ()).unwrap_err().to_string();
    assert!(e.contains("kumo.memoize `bad`: a function cannot be turned into plain data"), "{e}");
}

#[test]
fn throttles() {
    let w = world(
        "local t = kumo.make_throttle('x', '1/min')
         kumo.on('test', function(msg) return t:delay_message_if_throttled(msg) end)
         kumo.on('wait', function() return t:sleep_if_throttled() end)
         kumo.on('raw', function() local r = t:throttle() return r.throttled, r.limit end)",
    );
    let m = message(b"");
    assert_eq!(w.fire("test", Object(m.clone())).unwrap(), json!(false));
    assert_eq!(w.fire("test", Object(m.clone())).unwrap(), json!(true));
    assert_eq!(m.due(), Some(1_795_359_769_000 + 60_000));
    assert_eq!(w.fire("raw", ()).unwrap(), json!([true, 1]));
    assert_eq!(w.fire("wait", ()).unwrap(), json!(true));
    assert_eq!(w.host.slept.borrow().iter().sum::<std::time::Duration>().as_secs(), 60);
    assert!(eval_err("kumo.make_throttle('x', 'often')")
        .contains("kumo.make_throttle: invalid value: string \"often\""));
}

#[test]
fn maps_regex_strings_uuid_time() {
    assert_eq!(
        eval("local m = kumo.domain_map.new{['example.com']=1, ['*.example.com']=2, ['*']=3} m['b.c'] = 4
              return {m['EXAMPLE.com'], m['a.b.example.com'], m['x.y'], m['b.c']}"),
        json!([1, 2, 3, 4])
    );
    assert_eq!(eval("local m = kumo.cidr.make_map{['10.0.0.0/8']='in'} return {m['10.1.1.1:25'], m['11.1.1.1'] == nil}"), json!(["in", true]));
    assert_eq!(
        eval("return kumo.regex.compile('(?<u>\\\\w+)@(\\\\w+)'):captures('jo@ex').u"),
        json!("jo")
    );
    assert_eq!(eval("return kumo.regex.compile('a+'):replace_all('baab', 'x')"), json!("bxb"));
    assert!(eval_err("kumo.regex.compile('(')").contains("kumo.regex: "));
    assert_eq!(eval("return kumo.string.split('a,b', ',')"), json!(["a", "b"]));
    assert_eq!(eval("return kumo.string.rsplitn('a.b.c', 2, '.')"), json!(["c", "a.b"]));
    assert_eq!(eval("local u = kumo.uuid.new_v4() return {#u.simple, kumo.uuid.parse(u.hyphenated).simple == u.simple}"), json!([32, true]));
    assert_eq!(
        eval("return kumo.time.parse_rfc3339('2026-11-22T15:02:49Z').unix_timestamp"),
        json!(1_795_359_769)
    );
    assert_eq!(eval("local a = kumo.time.from_unix_timestamp(10) return {((a + 5) - a).seconds, (a < a + 1), a.year}"), json!([5.0, true, 1970]));
    assert_eq!(eval("return kumo.time.parse_duration('1h 30m').seconds"), json!(5400.0));
}

#[test]
fn http_against_a_closed_port_is_an_error_that_can_be_caught() {
    let r = eval("local ok, e = pcall(function() return kumo.http.build_client{danger_accept_invalid_certs=true, headers={k='secret'}}:post('http://u:secret@127.0.0.1:1/x?key=secret'):body('b'):send() end) return {ok, tostring(e)}");
    assert_eq!(r[0], json!(false));
    let text = r[1].as_str().unwrap();
    assert!(text.contains("POST http://127.0.0.1:1/x") && !text.contains("secret"), "{text}");
}

#[test]
fn http_round_trip() {
    use std::io::{Read, Write};
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", server.local_addr().unwrap());
    let seen = std::thread::spawn(move || {
        let (mut s, _) = server.accept().unwrap();
        let mut got = Vec::new();
        let mut buf = [0; 4096];
        while !got.ends_with(b"{\"a\":1}") {
            let n = s.read(&mut buf).unwrap();
            got.extend_from_slice(&buf[..n]);
        }
        s.write_all(b"HTTP/1.1 202 Accepted\r\nX-Reply: yes\r\nContent-Length: 2\r\n\r\nok")
            .unwrap();
        String::from_utf8(got).unwrap().to_lowercase()
    });
    let code = format!(
        "local c = kumo.http.build_client{{user_agent='t', headers={{['x-all']='1'}}}}
         local r = c:post('{url}'):header('X-One', '2'):headers({{['X-Two']='3'}}):basic_auth('u', 'p'):timeout('5s'):body(kumo.json_encode({{a=1}})):send()
         return {{r:status_code(), r:status_reason(), r:status_is_success(), r:headers()['x-reply'], r:text()}}"
    );
    assert_eq!(eval(&code), json!([202, "Accepted", true, "yes", "ok"]));
    let request = seen.join().unwrap();
    for part in [
        "post /hook http/1.1",
        "x-all: 1",
        "x-one: 2",
        "x-two: 3",
        "authorization: basic dtpw",
        "user-agent: t",
    ] {
        assert!(request.contains(part), "{part} in {request}");
    }
}

#[test]
fn records_that_are_posted_one_by_one_are_no_batches() {
    let run = |options: &str| {
        let w = world(&format!(
            "kumo.on('pre_init', function()
               kumo.configure_http_log_hook {{ name='w', url='http://x', body='Object', {options} }}
             end)"
        ));
        ::futures::executor::block_on(w.policy.run_init())
    };
    for options in ["", "batch_size=1"] {
        assert_eq!(run(options).unwrap().http_log_hooks[0].batch_size, 1, "{options}");
    }
    let e = run("batch_size=50").unwrap_err().to_string();
    let says = "option `batch_size`: 50 records do not fit where `body` is 'Object'";
    assert!(e.contains(says), "{e}");
}

#[test]
fn start_up_calls_are_collected() {
    let w = world(
        "kumo.on('pre_init', function() kumo.configure_log_hook{name='h', headers={'Subject'}} end)
         kumo.on('pre_init', function() kumo.configure_http_log_hook{name='w', url='http://x', request_headers={['x-key']='h-i-d-d-e-n'}} end)
         kumo.on('init', function()
           kumo.define_spool{name='data', path='/s/data', kind='RocksDB'}
           kumo.start_esmtp_listener{listen='0.0.0.0:25', relay_hosts={}}
           kumo.start_http_listener{}
           kumo.configure_local_logs{log_dir='/l', max_segment_duration='10s'}
           kumo.set_smtpsrv_threads(5)
           kumo.set_memory_soft_limit(1000000)
           kumo.spawn_task{event_name='t', args={x=1}}
         end)",
    );
    let init = ::futures::executor::block_on(w.policy.run_init()).unwrap();
    assert_eq!(init.esmtp_listeners[0].listen, "0.0.0.0:25");
    assert!(init.esmtp_listeners[0].relay_hosts.is_empty());
    assert_eq!(init.http_listeners.len(), 1);
    assert_eq!(init.spools[0].path.to_str(), Some("/s/data"));
    assert_eq!(init.log_hooks[0].name, "h");
    assert_eq!(init.http_log_hooks[0].batch_size, 100);
    assert!(!format!("{init:?}").contains("h-i-d-d-e-n"), "keys never show in debug output");
    assert_eq!(init.spawn_tasks, [("t".to_owned(), json!({"x": 1}))]);
    assert_eq!(init.memory_soft_limit, Some(1_000_000));
    assert!(w
        .shared
        .warnings()
        .iter()
        .any(|t| t.starts_with("kumo.set_smtpsrv_threads has no effect")));
    assert!(w.shared.warnings().iter().any(|t| t.contains("option `kind` has no effect")));
}

#[test]
fn a_second_spool_of_one_name_is_refused() {
    let w = world("kumo.on('init', function() kumo.define_spool{name='data', path='/a'} kumo.define_spool{name='data', path='/b'} end)");
    let e = ::futures::executor::block_on(w.policy.run_init()).unwrap_err().to_string();
    assert!(e.contains("there is already a spool `data`"), "{e}");
}
