kumo.on('get_queue_config', function(domain, tenant) return kumo.make_queue_config { max_age = tenant and '1h' or '2h' } end)
kumo.on('get_egress_path_config', function(domain, source, site) return kumo.make_egress_path { connection_limit = 7 } end)
kumo.on('get_egress_source', function(name) return kumo.make_egress_source { name = name } end)
kumo.on('get_egress_pool', function(name) return kumo.make_egress_pool { name = name, entries = { { name = 's' } } } end)
kumo.on('contract.task', function(args) end)

check_init('kumo.start_esmtp_listener kumo.start_http_listener', function()
  kumo.start_esmtp_listener { listen = '127.0.0.1:2025', relay_hosts = {} }
  kumo.start_esmtp_listener { listen = '127.0.0.1:2026', tls_required_client_ca = '/ca.pem', deferred_queue = true, peer = { ['10.0.0.0/8'] = { allow_xclient = true, require_proxy_protocol = true } } }
  fails('for the whole listener', kumo.start_esmtp_listener, { peer = { ['10.0.0.0/8'] = { tls_required_client_ca = '/ca.pem' } } })
  kumo.start_http_listener { listen = '127.0.0.1:8000' }
  fails('unknown field', kumo.start_esmtp_listener, { lissten = 'x' })
end)
check_init('kumo.configure_log_disposition_hook', function()
  kumo.configure_log_disposition_hook { name = 'at_once', per_record = { Delivery = { enable = false } } }
  fails('only `enable`', kumo.configure_log_disposition_hook, { name = 'x', per_record = { Any = { template = 'x' } } })
  fails('there is already', kumo.configure_log_disposition_hook, { name = 'at_once' })
end)
check_init('kumo.define_spool kumo.configure_local_logs kumo.configure_log_hook', function()
  kumo.define_spool { name = 'data', path = DIR }
  kumo.configure_local_logs { log_dir = DIR }
  kumo.configure_log_hook { name = 'hook' }
  kumo.configure_local_logs { log_dir = DIR, filter_event = 'contract.filter', per_record = { Bounce = { template = '{{ id }}' } } }
  kumo.configure_log_hook { name = 'words', per_record = { Any = { template = '{{ log_record | tojson }}' } } }
  fails('option `template`', kumo.configure_local_logs, { log_dir = DIR, per_record = { Any = { template = '{% if %}' } } })
  fails('define_spool', kumo.define_spool, { name = 'data' })
end)
check_init('kumo.configure_bounce_classifier kumo.spawn_task', function()
  local f = io.open(DIR .. '/rules.toml', 'w')
  f:write '[rules]\nBadMailbox = ["no such user"]\n'
  f:close()
  kumo.configure_bounce_classifier { files = { DIR .. '/rules.toml' } }
  kumo.spawn_task { event_name = 'contract.task', args = { 1 } }
end)
check_init('kumo.set_memory_soft_limit kumo.set_memory_hard_limit kumo.get_memory_soft_limit kumo.get_memory_hard_limit kumo.set_diagnostic_log_filter', function()
  kumo.set_memory_soft_limit(1000)
  kumo.set_memory_hard_limit(2000)
  eq({ kumo.get_memory_soft_limit(), kumo.get_memory_hard_limit() }, { 1000, 2000 })
  kumo.set_diagnostic_log_filter 'info'
end)
check('kumo.set_smtpsrv_threads kumo.set_httpinject_threads kumo.set_readyq_threads kumo.set_qmaint_threads kumo.set_ready_qmaint_threads kumo.set_spoolin_threads kumo.set_logging_threads kumo.set_lruttl_cache_capacity kumo.configure_accounting_db_path', function()
  for _, name in ipairs { 'smtpsrv', 'httpinject', 'readyq', 'qmaint', 'ready_qmaint', 'spoolin', 'logging' } do
    kumo['set_' .. name .. '_threads'](4)
  end
  kumo.set_lruttl_cache_capacity('x', 1)
  kumo.configure_accounting_db_path '/x'
end)
check_init('kumo.set_config_monitor_globs kumo.eval_config_monitor_globs', function()
  io.open(DIR .. '/watched.toml', 'w'):close()
  kumo.set_config_monitor_globs { DIR .. '/watched.{toml,json}', DIR .. '/none.*' }
  eq(kumo.eval_config_monitor_globs(), { DIR .. '/watched.toml' })
end)
check('kumo.set_httpinject_recipient_rate_limit', function()
  kumo.set_httpinject_recipient_rate_limit '100/s'
  kumo.set_httpinject_recipient_rate_limit(nil)
  fails('throttle', kumo.set_httpinject_recipient_rate_limit, 'fast')
end)
check('kumo.make_queue_config kumo.make_egress_path kumo.make_egress_source kumo.make_egress_pool kumo.make_listener_domain', function()
  eq(kumo.make_queue_config({ max_age = '1h' }).max_age, 3600)
  eq(kumo.make_egress_path({}).enable_tls, 'Opportunistic')
  eq(kumo.make_egress_path({ tls_prefer_openssl = true }).tls_prefer_openssl, true)
  eq(kumo.make_egress_path({ openssl_cipher_list = 'HIGH' }).openssl_cipher_list, 'HIGH')
  eq(kumo.make_egress_source({ name = 'a' }).name, 'a')
  eq(kumo.make_egress_pool({ name = 'p', entries = { { name = 'a', weight = 2 } } }).entries[1].weight, 2)
  eq(kumo.make_listener_domain({ relay_to = true }).relay_to, true)
  eq(kumo.make_listener_domain({ log_oob = true, log_arf = 'LogThenDrop' }).log_oob, 'LogThenRelay')
  fails('unknown variant', kumo.make_listener_domain, { log_arf = 'Maybe' })
  local path = kumo.make_egress_path { source_selection_rate = '10/h,max_burst=2', additional_source_selection_rates = { warm = '100/d' }, rustls_cipher_suites = { 'TLS13_AES_256_GCM_SHA384' }, tls_certificate = '/c', tls_private_key = '/k' }
  eq({ path.source_selection_rate, path.additional_source_selection_rates.warm }, { '10/h,max_burst=2', '100/d' })
  fails('needed together', kumo.make_egress_path, { tls_certificate = '/c' })
  fails('unknown variant', kumo.make_egress_path, { rustls_cipher_suites = { 'TLS13' } })
  eq(kumo.make_egress_source({ name = 'a', socks5_proxy_server = 'proxy.test:1080', socks5_proxy_source_address = '192.0.2.1', socks5_proxy_username = 'u', socks5_proxy_password = { key_data = 'p' } }).socks5_proxy_source_address, '192.0.2.1')
  eq(kumo.make_egress_source({ name = 'a', ha_proxy_server = '192.0.2.9:5000', ha_proxy_source_address = '192.0.2.1' }).ha_proxy_server, '192.0.2.9:5000')
  local watched = kumo.make_egress_source { name = 'a', suspend_when_unplumbed = { duration = '5m' }, suspend_when_proxy_unhealthy = { trigger = { Threshold = '3/1m' }, duration = '5m' } }
  eq({ watched.suspend_when_unplumbed.trigger, watched.suspend_when_proxy_unhealthy }, { 'Immediate', { trigger = { Threshold = '3/m' }, duration = 300 } })
  fails('expected host:port', kumo.make_egress_source, { name = 'a', socks5_proxy_server = 'proxy.test', socks5_proxy_source_address = '192.0.2.1' })
  fails('invalid', kumo.make_egress_source, { name = 'a', socks5_proxy_server = 'proxy.test:1080', socks5_proxy_source_address = 'x' })
  fails('needed together', kumo.make_egress_source, { name = 'a', ha_proxy_server = '192.0.2.9:5000' })
  local n = 0
  for _ in pairs(kumo.make_egress_path {}) do n = n + 1 end
  assert(n > 30)
  fails('unknown field `max_agee`', kumo.make_queue_config, { max_agee = 1 })
end)
check('kumo.invoke_get_egress_path_config kumo.invoke_get_queue_config kumo.invoke_get_egress_source kumo.invoke_get_egress_pool', function()
  eq(kumo.invoke_get_egress_path_config('d', 's', 'x').connection_limit, 7)
  eq({ kumo.invoke_get_queue_config('t@d').max_age, kumo.invoke_get_queue_config('d').max_age }, { 3600, 7200 })
  eq({ kumo.invoke_get_egress_source('n').name, kumo.invoke_get_egress_pool('p').name }, { 'n', 'p' })
end)
check('kumo.make_throttle Throttle.delay_message_if_throttled Throttle.sleep_if_throttled Throttle.explain', function()
  local t = kumo.make_throttle('t', '1/min')
  eq({ t:delay_message_if_throttled(message()), t:delay_message_if_throttled(message()) }, { false, true })
  eq(t:sleep_if_throttled(), true)
  eq(kumo.make_throttle('u', '10/s'):explain(), '10/s\nimplied burst rate 10 every 100ms, or: 100/s, 6,000/m, 360,000/h, 8,640,000/d in that period.\noverall rate 10/s, 600/m, 36,000/h, 864,000/d')
  eq(kumo.make_throttle('v', '500/d'):explain(), '500/d\nimplied burst rate 500 every 2m 52s 800ms, or: 3/s, 174/m, 10,417/h, 250,000/d in that period.\noverall rate 0.006/s, 0.347/m, 21/h, 500/d')
  eq(kumo.make_throttle('w', '5/min,max_burst=2'):explain():match '\n(.-),', 'explicit burst rate 2 every 12s')
  fails('throttle', kumo.make_throttle, 't', 'fast')
end)
check('kumo.memoize kumo.bump_config_epoch', function()
  local n = 0
  local f = kumo.memoize(function(x) n = n + 1 return x .. n end, { name = 'm', ttl = '1h', invalidate_with_epoch = true })
  eq({ f 'a', f 'a', f 'b' }, { 'a1', 'a1', 'b2' })
  kumo.bump_config_epoch()
  eq(f 'a', 'a3')
end)
check('kumo.on kumo.get_event_registrars kumo.traceback', function()
  kumo.on('contract.more', function() end)
  eq(#kumo.get_event_registrars 'contract.more', 1)
  local function asked() return kumo.traceback(0) end
  local frames = asked()
  assert(frames[1].what == 'C', 'the first is the call itself')
  local frame = kumo.traceback(1)[1]
  assert(frame.event == 'Call' and frame.what == 'Lua' and frame.is_tail_call == false)
  assert(frame.short_src and frame.source)
  assert(frame.line_defined < frame.curr_line and frame.curr_line < frame.last_line_defined)
  assert(frame.currentline == nil)
  fails('function', kumo.on, 'x', 1)
end)
check('kumo.reject kumo.disconnect', function()
  fails('550 no', kumo.reject, 550, 'no')
  fails('421 go', kumo.disconnect, 421, 'go', 'ForceDisconnect')
  fails('400 to 599', kumo.reject, 250, 'no')
end)
check('kumo.log_error kumo.log_warn kumo.log_info kumo.log_debug kumo.version kumo.available_parallelism', function()
  for _, level in ipairs { 'error', 'warn', 'info', 'debug' } do kumo['log_' .. level]('one', 2) end
  eq({ kumo.version:sub(1, 7), kumo.available_parallelism() > 0 }, { 'ringmta', true })
end)
check('kumo.sleep', function() kumo.sleep(0.01) end)
check('kumo.validation_failed', function() kumo.validation_failed() end)
check('kumo.api.inject.build_v1 kumo.inject_message', function()
  local built = kumo.api.inject.build_v1 { envelope_sender = 'a@b.test', recipients = { { email = 'c@d.test' }, { email = 'e@f.test' } }, content = 'Subject: hi\r\n\r\nbody\r\n' }
  eq({ #built, built[1]:recipient().email, built[2]:recipient().email, built[2]:sender().email }, { 2, 'c@d.test', 'e@f.test', 'a@b.test' })
  eq(built[1]:get_first_named_header_value 'Subject', 'hi')
  built[1]:set_meta('tenant', 't')
  kumo.inject_message(built[1])
  fails('recipients', kumo.api.inject.build_v1, { envelope_sender = 'a@b.test' })
end)
check('kumo.api.admin.bounce.list kumo.api.admin.bounce.bounce kumo.api.admin.bounce.delete kumo.api.admin.suspend.list kumo.api.admin.suspend.suspend kumo.api.admin.suspend.delete kumo.api.admin.suspend_ready_q.list kumo.api.admin.suspend_ready_q.suspend kumo.api.admin.suspend_ready_q.delete kumo.api.inject.inject_v1', function()
  local admin = kumo.api.admin
  eq(admin.bounce.bounce({ reason = 'r', domain = 'd' }).id, 'order-1')
  eq(admin.suspend.suspend({ reason = 'r' }).id, 'order-1')
  eq(admin.suspend_ready_q.suspend({ reason = 'r', name = 'n' }).id, 'order-1')
  for _, family in ipairs { 'bounce', 'suspend', 'suspend_ready_q' } do
    admin[family].list()
    admin[family].delete 'order-1'
    fails('expected the id', admin[family].delete, {})
  end
  kumo.api.inject.inject_v1 { envelope_sender = 'a@b' }
end)
check('kumo.shaping.load Shaping.get_egress_path_config Shaping.get_errors Shaping.get_warnings Shaping.match_rules Shaping.hash Shaping.get_referenced_sources', function()
  local path = DIR .. '/shaping.toml'
  local f = io.open(path, 'w')
  f:write '["default"]\nconnection_limit = 3\n["x.example"]\nmx_rollup = false\nmax_deliveries_per_connection = 5\n["x.example".sources."s1"]\nconnection_limit = 1\n[["x.example".automation]]\nregex = "slow down"\naction = "Suspend"\nduration = "1h"\n'
  f:close()
  local s = kumo.shaping.load { path }
  local got = s:get_egress_path_config('x.example', 's1', 'site')
  eq({ got.connection_limit, got.max_deliveries_per_connection }, { 1, 5 })
  eq({ #s:get_errors(), #s:get_warnings(), #s:hash() > 8 }, { 0, 0, true })
  assert(s:get_referenced_sources().s1)
  eq(type(s:match_rules {}), 'table')
end)
check('kumo.secrets.load', function()
  local f = io.open(DIR .. '/key', 'w')
  f:write 'from file'
  f:close()
  kumo.on('contract.key', function(a) return 'from event ' .. a end)
  eq(kumo.secrets.load(DIR .. '/key'), 'from file')
  eq(kumo.secrets.load { key_data = 'data' }, 'data')
  eq(kumo.secrets.load { event_name = 'contract.key', event_args = { 'x' } }, 'from event x')
  eq(kumo.secrets.load { vault_mount = 'secret', vault_path = 'p', vault_address = HTTP, vault_token = 'tok' }, 'tok')
  fails('no text field', kumo.secrets.load, { vault_mount = 'secret', vault_path = 'p', vault_address = HTTP, vault_token = 't', vault_key = 'none' })
  fails('vault_path', kumo.secrets.load, { vault_mount = 'secret' })
end)
check('kumo.dns.configure_test_resolver kumo.dns.lookup_mx kumo.dns.lookup_addr kumo.dns.lookup_txt kumo.dns.lookup_ptr kumo.dns.rbl_lookup kumo.dns.ptr_host kumo.dns.reverse_ip', function()
  kumo.dns.configure_test_resolver { '$ORIGIN x.test.\n@ MX 5 mx\nmx A 192.0.2.1\n@ TXT "hello"\n', '1.2.0.192.in-addr.arpa. PTR mx.x.test.\n', '1.2.0.192.rbl.test. A 127.0.0.2\n' }
  local mx = kumo.dns.lookup_mx 'x.test'
  eq({ mx.hosts, mx.site_name, mx.by_pref[5] }, { { 'mx.x.test.' }, 'mx.x.test', { 'mx.x.test.' } })
  eq({ kumo.dns.lookup_addr 'mx.x.test', kumo.dns.lookup_txt 'x.test', kumo.dns.lookup_ptr '192.0.2.1' }, { { '192.0.2.1' }, { 'hello' }, { 'mx.x.test.' } })
  eq({ kumo.dns.rbl_lookup('192.0.2.1:4321', 'rbl.test') }, { '127.0.0.2' })
  kumo.dns.configure_test_resolver { zones = { { zone = 'signed.test. MX 1 mx.signed.test.\n', secure = true }, 'plain.test. MX 1 mx.plain.test.\n' } }
  eq({ kumo.dns.lookup_mx('signed.test').is_secure, kumo.dns.lookup_mx('plain.test').is_secure }, { true, false })
  fails('unknown field `sure`', kumo.dns.configure_test_resolver, { { zone = '', sure = true } })
  kumo.dns.configure_test_resolver { '1.2.0.192.rbl.test. A 127.0.0.2\n' }
  eq({ kumo.dns.rbl_lookup('192.0.2.1', 'rbl.test'), kumo.dns.ptr_host '192.0.2.1', kumo.dns.reverse_ip '192.0.2.1' }, { '127.0.0.2', '1.2.0.192.in-addr.arpa', '1.2.0.192' })
  fails('no such domain', kumo.dns.lookup_mx, 'none.test')
  kumo.dns.configure_test_resolver { 'null.test. MX 0 .\n' }
  local none = kumo.dns.lookup_mx 'null.test'
  eq({ none.hosts, none.by_pref[0], none.site_name, none.is_mx }, { { '.' }, { '.' }, '', true })
end)
check('kumo.dns.configure_resolver', function()
  kumo.dns.configure_resolver { Aggregate = { { Test = { zones = { 'q.test. TXT "first"\n' } } }, { Test = { zones = { 'q.test. TXT "second"\nr.test. TXT "r"\n' } } } } }
  eq({ kumo.dns.lookup_txt 'q.test', kumo.dns.lookup_txt 'r.test' }, { { 'first' }, { 'r' } })
  kumo.dns.configure_resolver { Test = { zones = { 'q.test. TXT "alone"\n' } } }
  eq({ kumo.dns.lookup_txt 'q.test', kumo.dns.lookup_txt 'r.test' }, { { 'alone' }, {} })
end)
check('kumo.dns.define_resolver kumo.dns.lookup_mx kumo.dns.lookup_addr kumo.dns.lookup_txt kumo.dns.lookup_ptr kumo.dns.rbl_lookup', function()
  kumo.dns.define_resolver('own', { Test = { zones = { '$ORIGIN y.test.\n@ MX 5 mx\nmx A 192.0.2.2\n@ TXT "own"\n', '2.2.0.192.in-addr.arpa. PTR mx.y.test.\n2.2.0.192.rbl.test. A 127.0.0.3\n' } } })
  kumo.dns.define_resolver('both', { Aggregate = { { Test = { zones = { 'z.test. TXT "first"\n' } } }, { Test = { zones = { 'z.test. TXT "second"\nw.test. TXT "second"\n' } } } } })
  eq({ kumo.dns.lookup_mx('y.test', 'own').hosts, kumo.dns.lookup_addr('mx.y.test', 'own'), kumo.dns.lookup_txt('y.test', 'own'), kumo.dns.lookup_ptr('192.0.2.2', 'own') }, { { 'mx.y.test.' }, { '192.0.2.2' }, { 'own' }, { 'mx.y.test.' } })
  eq({ kumo.dns.rbl_lookup('192.0.2.2', 'rbl.test', 'own') }, { '127.0.0.3' })
  eq({ kumo.dns.lookup_txt('z.test', 'both'), kumo.dns.lookup_txt('w.test', 'both') }, { { 'first' }, { 'second' } })
  fails('no resolver `other`', kumo.dns.lookup_txt, 'y.test', 'other')
  fails('expected a name server', kumo.dns.define_resolver, 'x', { Hickory = { name_servers = { 'nonsense' } } })
  fails('HickorySystemConfig', kumo.dns.define_resolver, 'x', { Other = {} })
end)
check('kumo.dns.configure_test_mta_sts', function()
  kumo.dns.configure_test_mta_sts { ['x.test'] = 'version: STSv1\nmode: enforce\nmx: *.x.test\nmax_age: 60\n' }
  fails('x.test: no mx', kumo.dns.configure_test_mta_sts, { ['x.test'] = 'version: STSv1\nmode: enforce\nmax_age: 60\n' })
end)
check_init('kumo.dns.configure_resolver kumo.dns.configure_unbound_resolver kumo.dns.set_mx_concurrency_limit kumo.dns.set_mx_timeout kumo.dns.set_mx_negative_cache_ttl kumo.dns.set_mta_sts_enabled kumo.dns.load_resolv_conf', function()
  kumo.dns.configure_resolver { name_servers = { '192.0.2.53' } }
  kumo.dns.configure_unbound_resolver { name_servers = { '192.0.2.54:53' } }
  kumo.dns.set_mx_concurrency_limit(10)
  kumo.dns.set_mx_timeout '5s'
  kumo.dns.set_mx_negative_cache_ttl '5s'
  kumo.dns.set_mta_sts_enabled(false)
  local f = io.open(DIR .. '/resolv.conf', 'w')
  f:write 'nameserver 192.0.2.9\nnameserver 2001:db8::9\nsearch a.test b.test\noptions ndots:3 timeout:7 attempts:4 edns0\n'
  f:close()
  local found = kumo.dns.load_resolv_conf(DIR .. '/resolv.conf')
  eq(found, { name_servers = { '192.0.2.9:53', '[2001:db8::9]:53' }, search = { 'a.test', 'b.test' }, options = { ndots = 3, timeout = '7s', attempts = 4, edns0 = true } })
  kumo.dns.configure_resolver(found)
  kumo.dns.configure_resolver 'HickorySystemConfig'
  kumo.dns.configure_resolver { Hickory = { name_servers = { { socket_addr = '192.0.2.53:53', protocol = 'udp_then_tcp' } } } }
  kumo.dns.configure_resolver { Unbound = { name_servers = { '192.0.2.53' } } }
  fails('either zones or name servers', kumo.dns.configure_resolver, { Aggregate = { { Test = { zones = {} } }, 'HickorySystemConfig' } })
  fails('expected', kumo.dns.configure_resolver, 'System')
  fails('name server', kumo.dns.configure_unbound_resolver, { name_servers = { 'x' } })
end)
check('tsa.start_http_listener tsa.configure_tsa_db_path proxy.start_proxy_listener proxy.start_http_listener', function()
  fails('not supported', require('tsa').start_http_listener, {})
  fails('not supported', require('tsa').configure_tsa_db_path, 'x')
  fails('not supported', require('proxy').start_proxy_listener, {})
  fails('not supported', require('proxy').start_http_listener, {})
end)
check('kumo.format_egress_path_config_toml kumo.format_queue_config_toml', function()
  local path = kumo.serde.toml_parse(kumo.format_egress_path_config_toml(kumo.make_egress_path { connection_limit = 7 }))
  eq({ path.connection_limit, path.enable_tls }, { 7, 'Opportunistic' })
  eq(kumo.serde.toml_parse(kumo.format_queue_config_toml { max_age = '1h' }).max_age, 3600)
  fails('unknown field', kumo.format_queue_config_toml, { max_agee = 1 })
end)
check('kumo.compute_egress_path_config_constraints kumo.compute_queue_config_constraints kumo.format_egress_path_config_constraints', function()
  local path = kumo.make_egress_path { max_deliveries_per_connection = 10, max_connection_rate = '10/s', max_message_rate = '1000/s' }
  local found = kumo.compute_egress_path_config_constraints(path)
  eq(found.max_concurrent_dispatchers, { value = 32, source = { kind = 'primary' }, display = '32' })
  eq(found.max_message_rate, { value = 100, source = { kind = 'reconnect_cycling' }, display = '10 × 10/s = 100/s' })
  eq({ found.max_message_rate_declared, found.max_source_selection_rate }, { '1000/s', nil })
  eq(kumo.compute_egress_path_config_constraints({ connection_limit = 3 }).max_concurrent_dispatchers.value, 3)
  local queue = kumo.compute_queue_config_constraints(kumo.make_queue_config { max_message_rate = '5/s' })
  eq(queue, { max_message_rate = { value = 5, source = { kind = 'other', name = 'scheduled queue max_message_rate' }, display = '5/s' } })
  eq(kumo.compute_egress_path_config_constraints(path, queue).max_message_rate, queue.max_message_rate)
  local text = kumo.format_egress_path_config_constraints(found)
  assert(text:find('ceilings:\n  concurrent dispatchers: 32\n    source: connection_limit\n', 1, true), text)
  assert(text:find('declared: max_message_rate = 1000/s', 1, true), text)
  fails('unknown field', kumo.compute_egress_path_config_constraints, { connection_limitt = 3 })
  fails('make_queue_config', kumo.compute_queue_config_constraints, path)
  fails('unknown field `x`', kumo.format_egress_path_config_constraints, { x = {} })
end)
check('kumo.apply_supplemental_trace_header', function()
  local m = message()
  m:set_meta('tenant', 't')
  kumo.apply_supplemental_trace_header(m, { include_meta_names = { 'tenant' } })
  local v = kumo.serde.json_parse(kumo.encode.base64_decode((m:get_first_named_header_value('X-KumoRef'):gsub('%s', ''))))
  eq(v, { ['_@_'] = '\\_/', recipient = 'u@ok.example', tenant = 't' })
  local long = message()
  long:set_meta('tenant', ('t'):rep(80))
  kumo.apply_supplemental_trace_header(long, { include_meta_names = { 'tenant', 'none' } })
  local lines = kumo.string.split(long:get_data():match 'X%-KumoRef: (.-)\r\n[^\t]', '\r\n\t')
  eq({ #lines[1], #lines[2] }, { 75, 75 })
  assert(kumo.encode.base64_decode(table.concat(lines)):find('"none":null', 1, true))
end)
check('kumo.xfer.get_xfer_target kumo.xfer.cancel_xfer', function()
  eq(kumo.xfer.get_xfer_target(message()), nil)
  kumo.xfer.cancel_xfer(message())
  fails('kumo.make_egress_source', kumo.define_egress_source, { name = 'x' })
  fails('kumo.make_egress_pool', kumo.define_egress_pool, { name = 'x' })
end)
check_init('kumo.aaa.configure_acct_log', function()
  kumo.aaa.configure_acct_log { log_dir = DIR, log_authn_ok = false }
  fails('called before', kumo.aaa.configure_acct_log, { log_dir = DIR })
end)
local GROUP = 'kumomta:http-listener-trusted-ip'
check('kumo.aaa.make_access_control_list kumo.aaa.load_acl_map kumo.aaa.make_http_url_resource kumo.aaa.query_resource_access kumo.aaa.set_acl_cache_ttl kumo.aaa.set_check_cache_ttl kumo.aaa.set_fall_back_to_acl_map', function()
  local map = kumo.aaa.load_acl_map { key_data = [=[
[[acl."http_listener/*/api/admin/baz"]]
allow = true
privileges = ["GET"]
criteria.AllOf = [ {Identity = {Group = "admins"}}, {Identity = {Machine = "10.0.0.1"}} ]
]=] }
  eq(map:get 'http_listener/*', nil)
  local asked = {}
  kumo.on('get_acl_definition', function(resource)
    table.insert(asked, resource)
    if resource == 'http_listener/*/api/inject' then
      return kumo.aaa.make_access_control_list {
        { criteria = { Identity = { Individual = 'eve' } }, privilege = 'POST', access = 'Deny' },
      }
    end
    return map:get(resource)
  end)
  local function may(path, who, privilege)
    local resource = kumo.aaa.make_http_url_resource('127.0.0.1:8080', 'https://localhost' .. path)
    return kumo.aaa.query_resource_access(resource, who, privilege)
  end
  local admin = { identities = { 'bob' }, groups = { 'admins' }, peer_address = '10.0.0.1' }
  local found = may('/api/admin/baz/v1', admin, 'GET')
  eq(found.allow, true)
  eq(found.resource, 'http_listener/*/api/admin/baz')
  eq(found.rule.access, 'Allow')
  eq(found.rule.privilege, 'GET')
  eq(asked, {
    'http_listener/127.0.0.1:8080/api/admin/baz/v1', 'http_listener/127.0.0.1:8080/api/admin/baz',
    'http_listener/127.0.0.1:8080/api/admin', 'http_listener/127.0.0.1:8080/api', 'http_listener/127.0.0.1:8080',
    'http_listener/*/api/admin/baz/v1', 'http_listener/*/api/admin/baz',
  })
  admin.peer_address = '10.0.0.2'
  eq(may('/api/admin/baz/v1', admin, 'GET').allow, false)
  -- Where the policy has no rules those that are built in hold; where it has, they do not.
  eq(may('/api/admin/suspend/v1', { groups = { GROUP } }, 'POST').allow, true)
  eq(may('/api/admin/suspend/v1', admin, 'POST').allow, false)
  eq(may('/api/inject/v1', { identities = { 'eve' } }, 'POST').rule.access, 'Deny')
  eq(may('/api/inject/v1', { groups = { GROUP } }, 'POST').allow, false)
  kumo.aaa.set_fall_back_to_acl_map(false)
  eq(may('/metrics', { groups = { GROUP } }, 'GET').allow, false)
  kumo.aaa.set_fall_back_to_acl_map(true)
  eq(may('/metrics', { groups = { GROUP } }, 'GET').allow, true)
  kumo.aaa.set_acl_cache_ttl '1 minute'
  local cached = kumo.memoize(function() return map end, { name = 'acl', ttl = '1 minute', capacity = 1 })
  eq(cached() == nil, false)
  eq(cached():get 'http_listener/*', nil)
  fails('duration', kumo.aaa.set_acl_cache_ttl, 'soon')
  kumo.aaa.set_check_cache_ttl '1 minute'
  fails('missing field `criteria`', kumo.aaa.make_access_control_list, { { privilege = 'GET', access = 'Allow' } })
  fails('did you mean `acl`', kumo.aaa.load_acl_map, { key_data = '[[acls.x]]' })
end)
check_init('kumo.get_memory_low_thresh', function()
  kumo.set_memory_soft_limit(1000)
  eq(kumo.get_memory_low_thresh(), 800)
end)
check('kumo.prometheus_metrics', function() eq(kumo.prometheus_metrics().id, 'order-1') end)
