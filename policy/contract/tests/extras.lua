check('policy-extras.mail_auth.check policy-extras.mail_auth.iprev policy-extras.mail_auth.iprev_msg', function()
  local mail_auth = require 'policy-extras.mail_auth'
  kumo.dns.configure_test_resolver {
    'a.test. TXT "v=spf1 ip4:192.0.2.1 -all"\n_dmarc.a.test. TXT "v=DMARC1; p=reject"\nmx.a.test. A 192.0.2.1\n',
    '1.2.0.192.in-addr.arpa. PTR mx.a.test.\n2.2.0.192.in-addr.arpa. PTR mx.a.test.\n',
  }
  local m = message 'From: x@a.test\r\n\r\nbody\r\n'
  m:set_sender 'x@a.test'
  m:set_meta('received_from', '192.0.2.1:999')
  m:set_meta('authn_id', 'me')
  local r = mail_auth.check(m, { server_id = 'mx.here.test' })
  eq({ r.spf.result, r.dmarc.result, r.arc.result, r.iprev.result, r.smtp_auth.props['smtp.auth'], #r.dkim }, { 'pass', 'pass', 'none', 'pass', 'me', 0 })
  assert(m:get_first_named_header_value('Authentication-Results'):find('mx.here.test; spf=pass', 1, true))
  eq({ mail_auth.iprev('192.0.2.2').result, mail_auth.iprev('192.0.2.3').result, mail_auth.iprev_msg(m).result }, { 'fail', 'permerror', 'pass' })
  local none = mail_auth.check(m, { spf = false, dmarc = false, dkim = false, iprev = false, arc = false, smtp_auth = false, add_auth_results_header = false })
  eq(#none.all, 0)
  fails('unknown option', mail_auth.check, m, { spff = true })
end)
check('kumo.dns.lookup_mx', function()
  local rollup = require 'policy-extras.rollup'
  kumo.dns.configure_test_resolver { 'a.test. MX 1 m1.big.test.\na.test. MX 2 m2.big.test.\nm1.big.test. A 192.0.2.5\n', 'b.test. MX 1 other.test.\n' }
  local m = message()
  m:set_recipient 'u@a.test'
  eq(kumo.dns.lookup_mx('a.test').by_pref, { [1] = { 'm1.big.test.' }, [2] = { 'm2.big.test.' } })
  eq(rollup.reroute_based_on_mx_host_suffix(m, { ['.big.test.'] = 'big.test' }), nil)
  eq(m:queue_name(), 'a.test!big.test')
  eq(rollup.reroute_using_ip_rollup(m, { ['m1.big.test.'] = 'net.ip_rollup' }), nil)
  eq(m:queue_name(), 'a.test!net.ip_rollup')
  eq(rollup.apply_ip_rollup_to_queue_config('a.test', 'net.ip_rollup', { max_age = 1 }), { max_age = 1, protocol = { smtp = { mx_list = { 'm1.big.test', 'm2.big.test' } } } })
  eq(rollup.apply_ip_rollup_to_queue_config('a.test', nil, {}), {})
  m:set_recipient 'u@b.test'
  m:set_meta('routing_domain', nil)
  rollup.reroute_based_on_mx_host_suffix(m, { ['.big.test'] = 'big.test' })
  eq(m:queue_name(), 'b.test')
end)
check('kumo.make_queue_config', function()
  local t = require 'policy-extras.typing'
  local Server = t.record('Server', { name = t.string, port = t.option(t.number), tags = t.default(t.list(t.string), {}), how = t.option(t.enum('How', 'fast', 'slow')) })
  local s = Server { name = 'a', port = 1 }
  eq({ s.name, s.port, s.tags, s.how }, { 'a', 1, {} })
  fails('unknown field `nme`', Server, { nme = 'a' })
  fails('missing field `name`', Server, {})
  fails('port: invalid type: string "x", expected number', Server, { name = 'a', port = 'x' })
  fails('expected one of fast, slow', Server, { name = 'a', how = 'x' })
  fails('tags: [2]: invalid type', Server, { name = 'a', tags = { 'x', 2 } })
  fails('invalid type', function() s.port = 'x' end)
  local V = t.variant('V', { t.number, t.map(t.string, t.boolean) })
  eq({ V(1), V { a = true } }, { 1, { a = true } })
  fails('invalid value', V, 'x')
  local Open = t.record('Open', { _dynamic = function(key) return key == 'extra', 'no such thing' end })
  eq(Open({ extra = 1 }).extra, 1)
  fails('no such thing', Open, { other = 1 })
  local _, e = pcall(kumo.make_queue_config, { max_agee = 1 })
  assert(t.extract_deserialize_error(e):find 'unknown field `max_agee`')
  local docker = require 'policy-extras.docker_utils'
  fails('not a host name', docker.resolve_docker_name, 'a; rm')
  eq(docker.resolve_docker_name 'localhost', { '127.0.0.1' })
  eq(docker.resolve_docker_name 'no-such-name.invalid', {})
end)
check('kumo.regex.compile', function()
  local utils = require 'policy-extras.policy_utils'
  eq(utils.dumps { foo = 'bar', [2] = true, [10] = { 1.5 } }, '{\n  [2] = true,\n  [10] = {\n    [1] = 1.5\n  },\n  ["foo"] = "bar"\n}')
  eq({ utils.dumps {}, utils.dumps(42), utils.dumps(nil) }, { '{}', '42' })
  utils.assert_matches('Return-Path: x1', '^Return-\\w+: x[0-9]$')
  fails("to match", utils.assert_matches, 'a', '^b$')
  eq({ utils.split_ip_port '127.0.0.1:25' }, { '127.0.0.1', '25' })
  eq({ utils.split_ip_port '::1:25' }, { '::1', '25' })
end)
