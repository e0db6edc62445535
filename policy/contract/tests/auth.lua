-- The Ed25519 key of RFC 8463 section A.2.
local SEED = kumo.encode.base64_decode 'nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A='
local ZONES = {
  's._domainkey.example.com. TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="\n',
  'example.com. TXT "v=spf1 +mx a:colo.example.com/28 -all"\nexample.com. MX 10 mail.example.com.\nmail.example.com. A 192.0.2.129\ncolo.example.com. A 192.0.2.3\n',
  'inc.test. TXT "v=spf1 include:example.com exists:%{ir}.list.test ?all"\n9.100.51.198.list.test. A 127.0.0.2\n',
  'red.test. TXT "v=spf1 redirect=example.com"\nloop.test. TXT "v=spf1 include:loop.test -all"\ntwo.test. TXT "v=spf1 -all"\ntwo.test. TXT "v=spf1 +all"\nbad.test. TXT "v=spf1 foo:bar -all"\nsix.test. TXT "v=spf1 ip6:2001:db8::/32 -all"\nvoid.test. TXT "v=spf1 a:n1.void.test a:n2.void.test a:n3.void.test -all"\n',
  '_dmarc.example.com. TXT "v=DMARC1; p=reject; sp=quarantine; adkim=s"\n',
}
local MAIL = 'From: Joe <joe@football.example.com>\r\nTo: x@y.test\r\nSubject: dinner\r\n\r\nHi.\r\n\r\nJoe.\r\n'
local function signer() return kumo.dkim.ed25519_signer { domain = 'example.com', selector = 's', headers = { 'From', 'To', 'Subject' }, key = { key_data = SEED } } end

check('Message.dkim_verify kumo.dns.configure_test_resolver', function()
  kumo.dns.configure_test_resolver(ZONES)
  local m = message(MAIL)
  eq(m:dkim_verify(), {})
  m:dkim_sign(signer())
  local r = m:dkim_verify()
  eq({ #r, r[1].method, r[1].result, r[1].props['header.d'], r[1].props['header.i'], r[1].props['header.a'], #r[1].props['header.b'] }, { 1, 'dkim', 'pass', 'example.com', '@example.com', 'ed25519-sha256', 8 })
  local more = message()
  more:dkim_sign(kumo.dkim.ed25519_signer { domain = 'example.com', selector = 's', headers = { 'From' }, key = { key_data = SEED }, agent_user_identifier = 'jo@example.com', body_length = true, reporting = true, atps = 'author.example' })
  local tags = more:get_first_named_header_value 'DKIM-Signature'
  assert(tags:find('i=jo@example.com; l=6; r=y; atps=author.example; atpsh=sha256;', 1, true), tags)
  eq({ more:dkim_verify()[1].result, more:dkim_verify()[1].props['header.i'] }, { 'pass', 'jo@example.com' })
  local signed = m:get_data()
  m:set_data((signed:gsub('Hi%.', 'Ho.')))
  eq({ m:dkim_verify()[1].result, m:dkim_verify()[1].reason }, { 'fail', 'the body hash does not match' })
  m:set_data((signed:gsub('dinner', 'lunch')))
  eq(m:dkim_verify()[1].result, 'fail')
  m:set_data((signed:gsub('s=s;', 's=none;')))
  eq(m:dkim_verify()[1].result, 'permerror')
  m:set_data 'DKIM-Signature: nonsense\r\nFrom: a@b\r\n\r\n'
  eq(m:dkim_verify()[1].result, 'permerror')
end)
check('kumo.spf.check_host kumo.spf.check_msg', function()
  kumo.dns.configure_test_resolver(ZONES)
  local function spf(domain, ip)
    CONN:set_meta('received_from', ip)
    return kumo.spf.check_host(domain, CONN, 'u@' .. domain).disposition
  end
  eq({ spf('example.com', '192.0.2.129:25'), spf('example.com', '192.0.2.5'), spf('example.com', '192.0.2.65') }, { 'pass', 'pass', 'fail' })
  eq({ spf('inc.test', '192.0.2.129'), spf('inc.test', '198.51.100.9'), spf('inc.test', '198.51.100.8') }, { 'pass', 'pass', 'neutral' })
  eq({ spf('red.test', '192.0.2.1'), spf('red.test', '192.0.2.99'), spf('none.test', '192.0.2.1') }, { 'pass', 'fail', 'none' })
  eq({ spf('loop.test', '192.0.2.1'), spf('two.test', '192.0.2.1'), spf('bad.test', '192.0.2.1'), spf('void.test', '192.0.2.1') }, { 'permerror', 'permerror', 'permerror', 'permerror' })
  eq({ spf('six.test', '[2001:db8::1]:25'), spf('six.test', '2001:db9::1') }, { 'pass', 'fail' })
  local m = message(MAIL)
  m:set_sender 'u@example.com'
  m:set_meta('received_from', '192.0.2.129:1')
  local r = kumo.spf.check_msg(m)
  eq({ r.disposition, r.result.method, r.result.props['smtp.mailfrom'] }, { 'pass', 'spf', 'u@example.com' })
  m:set_sender ''
  m:set_meta('ehlo_domain', 'example.com')
  eq(kumo.spf.check_msg(m).result.props['smtp.helo'], 'example.com')
  m:set_meta('received_from', nil)
  fails('not known', kumo.spf.check_msg, m)
end)
check('kumo.dmarc.check_msg Message.add_authentication_results', function()
  kumo.dns.configure_test_resolver(ZONES)
  local m = message((MAIL:gsub('football%.', '')))
  m:dkim_sign(signer())
  local r = kumo.dmarc.check_msg(m, m:dkim_verify())
  eq({ r.disposition, r.policy, r.result.props['header.from'] }, { 'pass', 'reject', 'example.com' })
  local sub = message(MAIL)
  sub:dkim_sign(signer())
  r = kumo.dmarc.check_msg(sub, sub:dkim_verify())
  eq({ r.disposition, r.policy }, { 'fail', 'quarantine' })
  local spf = { method = 'spf', result = 'pass', props = { ['smtp.mailfrom'] = 'b@mail.example.com' } }
  eq(kumo.dmarc.check_msg(sub, {}, nil, spf).disposition, 'pass')
  eq(kumo.dmarc.check_msg(message 'From: a@none.test\r\n\r\n', {}).disposition, 'none')
  m:add_authentication_results('mx.test', m:dkim_verify())
  local h = m:parse_mime().headers:get_first_named 'Authentication-Results'
  eq({ h.value.serv_id, h.value.results[1].result }, { 'mx.test', 'pass' })
end)
check('Message.arc_verify Message.arc_seal', function()
  kumo.dns.configure_test_resolver(ZONES)
  local m = message(MAIL)
  eq(m:arc_verify().result, 'none')
  for hop = 1, 3 do
    m:arc_seal(signer(), 'mx' .. hop .. '.test', { { method = 'spf', result = 'pass', props = {} } })
    eq(m:arc_verify(), { method = 'arc', result = 'pass', props = {} })
  end
  eq(#m:get_all_named_header_values 'ARC-Seal', 3)
  local whole = m:get_data()
  m:set_data((whole:gsub('Hi%.', 'Ho.')))
  eq(m:arc_verify().result, 'fail')
  m:arc_seal(signer(), 'mx.test', {})
  eq(#m:get_all_named_header_values 'ARC-Seal', 3)
  m:set_data((whole:gsub('ARC%-Seal: i=2', 'X-Gone: i=2')))
  eq({ m:arc_verify().result, m:arc_verify().reason }, { 'fail', 'instance 2 is not complete' })
end)
