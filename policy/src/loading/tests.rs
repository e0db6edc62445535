//! Handlers that fail, wait, loop, or are not there.

use ::futures::executor::block_on;
use ringmta_mail::conn_meta::ConnMeta;
use serde_json::json;

use crate::testing::*;
use crate::vm::context::Mode;
use crate::vm::error::PolicyError;

#[test]
fn rejections_come_through_as_such() {
    let w = world("kumo.on('smtp_server_mail_from', function(a, c) if a.user == 'bad' then kumo.reject(550, '5.7.1 no') end kumo.disconnect(421, 'bye', 'FollowWith421') end)");
    let from = |a: &str| {
        block_on(
            w.policy.mail_from(&ringmta_mail::EnvelopeAddress::parse(a).unwrap(), &ConnMeta::new()),
        )
        .unwrap_err()
    };
    let r = from("bad@x.y");
    assert_eq!(
        (r.rejection().unwrap().code, r.rejection().unwrap().text.as_str()),
        (550, "5.7.1 no")
    );
    assert!(from("good@x.y").rejection().unwrap().closes_session());
    assert_eq!(eval("local ok, e = pcall(kumo.reject, 550, 'no') return {ok, string.sub(tostring(e), 1, 6)}"), json!([false, "550 no"]));
    // Caught and raised again, it is still a rejection.
    let e = try_eval("local ok, e = pcall(kumo.reject, 450, 'later') error(e)").unwrap_err();
    assert_eq!(e.rejection().map(|r| r.code), Some(450));
    assert!(eval_err("kumo.reject(250, 'ok')").contains("the code must be from 400 to 599"));
}

#[test]
fn failures_name_file_and_line() {
    let e = eval_err("\n\nlocal x = nil + 1");
    assert!(e.contains("init.lua:3: attempt to perform arithmetic on a nil value"), "{e}");
    let e = eval_err("\nkumo.make_queue_config{max_age='10x'}");
    assert!(e.contains("init.lua:2: kumo.make_queue_config: option `max_age`: invalid value: string \"10x\", expected a duration"), "{e}");
    for odd in [
        "error({})",
        "error()",
        "error(nil)",
        "error(setmetatable({}, {__tostring=function() error('x') end}))",
        "error(42)",
        "error(print)",
        "error('\\xff')",
    ] {
        assert!(matches!(try_eval(odd), Err(PolicyError::Lua(_))), "{odd}");
    }
    let e = try_world("\nthis is not lua", Mode::Run).err().unwrap().to_string();
    assert!(e.contains("init.lua:2:"), "{e}");
    assert!(try_world("require 'policy-extras.nothing'", Mode::Run)
        .err()
        .unwrap()
        .to_string()
        .contains("not found"));
}

#[test]
fn a_runaway_handler_is_stopped_and_the_vm_lives() {
    let w = world(
        "kumo.on('loop', function() while true do end end)
         kumo.on('stubborn', function() while true do pcall(function() while true do end end) end end)
         kumo.on('nested', function() local co = coroutine.wrap(function() while true do end end) while true do co() end end)
         kumo.on('inside', function() table.sort({3,2,1}, function() while true do end end) end)
         kumo.on('fine', function() kumo.sleep(1) return 'ok' end)",
    );
    for event in ["loop", "stubborn", "nested", "inside"] {
        assert_eq!(w.fire(event, ()).unwrap_err(), PolicyError::Timeout, "{event}");
        assert_eq!(w.fire("fine", ()).unwrap(), json!("ok"));
    }
}

#[test]
fn handlers_that_wait_do_not_hold_up_others() {
    let w = world("log = {} kumo.on('test', function(n) log[#log+1] = n kumo.time.sleep(1) log[#log+1] = n end) kumo.on('log', function() return log end)");
    let call = |n: i64| {
        let f = w.policy.vm.ctx.last_handler("test").unwrap();
        let vm = w.policy.vm.clone();
        async move { vm.call::<()>("test", f, n).await.unwrap() }
    };
    block_on(async { ::futures::join!(call(1), call(2)) });
    assert_eq!(w.fire("log", ()).unwrap().as_array().unwrap().len(), 4);
}

#[test]
fn chains_and_single_handlers() {
    let w = world(
        "kumo.on('get_queue_config', function(d) if d == 'a' then return kumo.make_queue_config{max_age=1} end end)
         kumo.on('get_queue_config', function(d) if d == 'b' then return {max_age=2} end end)
         kumo.on('get_queue_config', function(d) if d == 'c' then return 5 end end)
         kumo.on('get_egress_pool', function(n) return kumo.make_egress_pool{name='first'} end)
         kumo.on('get_egress_pool', function(n) return kumo.make_egress_pool{name='last'} end)
         seen = 0
         kumo.on('throttle_insert_ready_queue', function(m) seen = seen + 1 end)
         kumo.on('throttle_insert_ready_queue', function(m) seen = seen + 10 return nil end)
         kumo.on('throttle_insert_ready_queue', function(m) seen = seen + 100 end)
         kumo.on('seen', function() return seen end)",
    );
    let queue = |d: &str| block_on(w.policy.queue_config(d, None, None, None));
    assert_eq!(queue("a").unwrap().unwrap().max_age.as_secs(), 1);
    assert_eq!(queue("b").unwrap().unwrap().max_age.as_secs(), 2);
    assert!(queue("none").unwrap().is_none());
    assert!(queue("c")
        .unwrap_err()
        .to_string()
        .contains("the handler returned a integer, expected the result of kumo.make_queue_config"));
    assert_eq!(block_on(w.policy.egress_pool("x")).unwrap().unwrap().name, "last");
    block_on(w.policy.throttle_insert_ready_queue(&message(b""))).unwrap();
    assert_eq!(w.fire("seen", ()).unwrap(), json!(11), "an explicit nil ends the chain");
    assert!(w.policy.handles("get_egress_pool") && !w.policy.handles("get_egress_source"));
}

#[test]
fn smtp_events() {
    let w = world(
        "kumo.on('smtp_server_ehlo', function(d, c, ext) if #ext == 0 then return end return {ext[1], 'X-' .. d} end)
         kumo.on('smtp_server_auth_plain', function(z, u, p, c) if p == 'table' then return {identities={{identity='who'}}, groups={'g'}} end return p == 'good' end)
         kumo.on('smtp_server_rewrite_response', function(s, t, cmd, c) if s == 250 then return 251, nil end if s == 251 then error 'x' end if s == 252 then return nil, 'new' end end)
         kumo.on('smtp_server_split_transaction', function(m, c) return {{'a@b.c'}, {'d@e.f', 'g@h.i'}} end)
         kumo.on('smtp_server_get_dynamic_parameters', function(l, c) return {banner='for ' .. c:get_meta('received_from')} end)
         kumo.on('get_listener_domain', function(d, l, c) if d == 'ok' then return kumo.make_listener_domain{relay_to=true} end end)",
    );
    let c = ConnMeta::new();
    c.set("received_from", "10.0.0.1:5");
    let p = &w.policy;
    assert_eq!(
        block_on(p.ehlo("h", &c, vec!["A".into(), "B".into()])).unwrap(),
        Some(vec!["A".to_owned(), "X-h".to_owned()])
    );
    assert_eq!(block_on(p.ehlo("h", &c, vec![])).unwrap(), None);
    assert_eq!(block_on(p.auth_plain("", "me", "good", &c)).unwrap().unwrap().identities, ["me"]);
    assert_eq!(block_on(p.auth_plain("", "me", "bad", &c)).unwrap(), None);
    let auth = block_on(p.auth_plain("", "me", "table", &c)).unwrap().unwrap();
    assert_eq!((auth.identities[0].as_str(), auth.groups[0].as_str()), ("who", "g"));
    assert_eq!(block_on(p.rewrite_response(250, "ok", None, &c)), Some((251, "ok".to_owned())));
    assert_eq!(block_on(p.rewrite_response(251, "ok", None, &c)), None, "errors are ignored");
    assert_eq!(
        block_on(p.rewrite_response(252, "ok", Some("X"), &c)),
        Some((252, "new".to_owned()))
    );
    assert_eq!(block_on(p.split_transaction(&message(b""), &c)).unwrap().unwrap().len(), 2);
    let l = crate::EsmtpListener::default();
    assert_eq!(block_on(p.dynamic_parameters(&l, &c)).unwrap().unwrap().banner, "for 10.0.0.1:5");
    assert!(block_on(p.listener_domain("ok", "x", &c)).unwrap().unwrap().relay_to);
    assert!(block_on(p.listener_domain("no", "x", &c)).unwrap().is_none());
    assert_eq!(block_on(p.http_auth_basic("u", "p")).unwrap(), None, "no handler: refused");
}

#[test]
fn connections_made_by_the_policy() {
    let w = world(
        "kumo.on('make.x', function(domain, tenant)
           local c = {n = 0}
           function c:send(m) self.n = self.n + 1 if self.n == 3 then kumo.reject(451, 'busy') end return domain .. self.n end
           function c:send_batch(list) return 'batch of ' .. #list end
           function c:close() closed = true end
           return c
         end)
         kumo.on('make.bad', function() return {} end)
         kumo.on('closed', function() return closed end)",
    );
    let m = message(b"");
    let c = block_on(w.policy.open_connection("make.x", "d", None, None)).unwrap();
    assert_eq!(block_on(c.send(&m)).unwrap(), "d1");
    assert_eq!(block_on(c.send(&m)).unwrap(), "d2");
    assert_eq!(block_on(c.send(&m)).unwrap_err().rejection().unwrap().code, 451);
    assert!(c.has_batch());
    assert_eq!(block_on(c.send_batch(&[m.clone(), m.clone()])).unwrap(), "batch of 2");
    block_on(c.close());
    assert_eq!(w.fire("closed", ()).unwrap(), json!(true));
    assert!(block_on(w.policy.open_connection("make.bad", "d", None, None))
        .err()
        .unwrap()
        .to_string()
        .contains("without `send` or `send_batch`"));
    assert!(block_on(w.policy.open_connection("make.none", "d", None, None))
        .err()
        .unwrap()
        .to_string()
        .contains("no handler for this constructor"));
}

#[test]
fn tasks_run_on_the_shard() {
    let w = world("kumo.on('task', function(a) done = a.x end) kumo.on('test', function() kumo.spawn_task{event_name='task', args={x=7}} end) kumo.on('done', function() return done end)");
    w.fire("test", ()).unwrap();
    let tasks: Vec<_> = w.host.tasks.borrow_mut().drain(..).collect();
    tasks.into_iter().for_each(block_on);
    assert_eq!(w.fire("done", ()).unwrap(), json!(7));
}

#[test]
fn waiting_while_loading_works() {
    let started = std::time::Instant::now();
    world("kumo.sleep(0.05) kumo.serde.toml_parse('')");
    assert!(started.elapsed().as_millis() >= 50);
}

#[test]
fn a_dropped_policy_frees_its_vm() {
    let w = world("kumo.on('x', function() end) local f = kumo.memoize(function() return 1 end, {name='a', ttl=1}) kumo.on('f', function() return f() end)");
    w.fire("f", ()).unwrap();
    let weak = std::rc::Rc::downgrade(&w.policy.vm.ctx);
    drop(w);
    assert!(weak.upgrade().is_none(), "nothing in the VM may keep the VM alive");
}

#[test]
fn an_empty_policy_handles_nothing() {
    let p =
        crate::Policy::empty(crate::Shared::new(1), std::rc::Rc::new(HostHandle(FakeHost::new())));
    assert!(p.handled_events().is_empty());
    assert!(block_on(p.queue_config("d", None, None, None)).unwrap().is_none());
    block_on(p.message_received(&message(b""), &ConnMeta::new())).unwrap();
}

#[test]
fn misspelt_events_are_noticed() {
    let w = world("kumo.on('smtp_server_mesage_received', function() end)");
    assert_eq!(w.shared.warnings(), ["kumo.on: `smtp_server_mesage_received` is not an event of ringmta; did you mean `smtp_server_message_received`?"]);
}

#[test]
fn messages_are_lent_for_one_call() {
    let w = world(
        "kumo.on('smtp_server_data', function(m) kept = m end)
         kumo.on('test', function() return kept:id() end)",
    );
    let m = message(b"body");
    block_on(w.policy.data(&m, &ConnMeta::new())).unwrap();
    assert_eq!(
        std::rc::Rc::strong_count(&m.body().unwrap()),
        2,
        "the body is held by the message and here only"
    );
    assert!(m.is_unshared(), "the VM let go of the message");
    let e = w.fire("test", ()).unwrap_err().to_string();
    assert!(e.contains("destructed"), "{e}");
}

#[test]
fn a_connection_is_one_object_for_its_life() {
    const POLICY: &str = "
        local seen, same = setmetatable({}, { __mode = 'v' }), 0
        kumo.on('smtp_server_mail_from', function(_, conn)
          if rawequal(seen[1], conn) then same = same + 1 end
          seen[1] = conn
          conn:set_meta('same', same)
        end)
        kumo.on('test', function() collectgarbage() collectgarbage() return seen[1] == nil end)";
    let (one, other) = (world(POLICY), world(POLICY));
    let conn = ConnMeta::new();
    let mail = |w: &World| {
        block_on(w.policy.mail_from(&ringmta_mail::EnvelopeAddress::null(), &conn)).unwrap();
        conn.get("same").unwrap()
    };
    assert_eq!((mail(&one), mail(&one), mail(&one)), (json!(0), json!(1), json!(2)));
    // A VM never sees the object of another.
    assert_eq!((mail(&other), mail(&other)), (json!(0), json!(0)));
    assert_eq!(mail(&one), json!(3));
    assert_eq!(one.fire("test", ()).unwrap(), json!(false));
    drop(conn);
    assert_eq!(one.fire("test", ()).unwrap(), json!(true));
}
