use super::*;

const TREE: &str = r#"
local kumo = require 'kumo'
kumo.on('init', function()
  kumo.start_esmtp_listener { listen = '127.0.0.1:2525', relay_hosts = { '10.0.0.0/8' } }
end)
kumo.on('get_listener_domain', function(domain) if domain == 'mine.test' then return kumo.make_listener_domain { relay_to = true } end end)
kumo.on('smtp_server_auth_plain', function(authz, authc, password)
  local r = kumo.http.build_client({}):post('http://auth.test/check'):body(authc .. ':' .. password):send()
  return r:status_is_success()
end)
kumo.on('smtp_server_rcpt_to', function(rcpt) if rcpt.user == 'none' then kumo.reject(550, '5.1.1 no such user') end end)
kumo.on('smtp_server_message_received', function(msg, conn)
  msg:set_meta('tenant', msg:get_first_named_header_value 'X-Tenant')
  msg:remove_all_named_headers 'X-Tenant'
  if msg:get_first_named_header_value('Subject') == 'loop' then while true do end end
end)
kumo.on('get_queue_config', function(domain, tenant) return kumo.make_queue_config { max_age = tenant == 't1' and '1h' or '2h' } end)
"#;

const GOOD: &str = r#"
test.case('relay', function(t)
  t.eq(t.init.esmtp_listeners[1].listen, '127.0.0.1:2525')
  local s = t.session { peer = '192.0.2.1' }
  t.accepted(s:mail_from 'a@b.test')
  t.rejected(s:rcpt_to 'u@other.test', 550)
  t.accepted(s:rcpt_to 'u@mine.test')
  t.rejected(s:rcpt_to 'none@mine.test', 550)
  t.accepted(t.session({ peer = '10.1.2.3' }):send('a@b.test', 'u@other.test', 'Subject: x\n\nbody\n'))
end)
test.case('auth over http', function(t)
  t.http(function(q) return { status = q.body == 'me:pw' and 200 or 403 } end)
  local s = t.session { peer = '192.0.2.1' }
  t.rejected(s:auth_plain('me', 'no'), 535)
  t.accepted(s:auth_plain('me', 'pw'))
  local r = s:send('a@b.test', { 'u@x.test', 'v@y.test' }, 'X-Tenant: t1\nSubject: x\n\nbody\n')
  t.accepted(r)
  t.eq({ #r.messages, r.messages[2]:queue_name(), r.messages[1]:get_meta 'tenant' }, { 2, 't1@y.test', 't1' })
  t.eq(r.messages[1]:get_data(), 'Subject: x\r\n\r\nbody\r\n')
  t.eq(t.queue_config(r.messages[1]).max_age, 3600)
  t.eq(t.queue_config('z.test').max_age, 7200)
  t.eq(#t.take_requests(), 2)
end)
"#;

const BAD: &str = r#"
test.case('wrong', function(t) t.eq({ 1 }, { 2 }) end)
test.case('endless', function(t) t.session():send('a@b.test', 'u@mine.test', 'Subject: loop\n\n') end)
test.case('no http', function(t) t.session():auth_plain('a', 'b') end)
test.case('still runs', function(t) end)
"#;

#[test]
fn files_are_found_run_and_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    std::fs::create_dir(dir.path().join("more")).unwrap();
    write("init.lua", TREE);
    write("good_test.lua", GOOD);
    write("more/bad_test.lua", BAD);
    write("more/empty_test.lua", "");
    write("more/syntax_test.lua", "test.case(");
    write("helper.lua", "error 'not a test'");
    let policy = policy_of(dir.path()).unwrap();
    let files = find(dir.path()).unwrap();
    let all: Vec<Outcome> = files.iter().map(|f| run(&policy, f)).collect();
    let failures: Vec<usize> = all.iter().map(Outcome::failures).collect();
    assert_eq!(
        all[0].cases.iter().filter_map(|c| c.failure.clone()).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
    assert_eq!(failures, [0, 3, 1, 1], "{all:?}");
    let why = |n: usize| all[1].cases[n].failure.clone().unwrap_or_default();
    assert!(why(0).contains("bad_test.lua:2: got [1], want [2]"), "{}", why(0));
    assert!(why(2).contains("answer POST http://auth.test/check"), "{}", why(2));
    assert_eq!(policy_of(&dir.path().join("more")).map(|p| p.is_file()), Some(true));
}
