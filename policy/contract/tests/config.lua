kumo.on('get_queue_config', function(domain, tenant) return kumo.make_queue_config { max_age = tenant and '1h' or '2h' } end)
kumo.on('get_egress_path_config', function(domain, source, site) return kumo.make_egress_path { connection_limit = 7 } end)
kumo.on('get_egress_source', function(name) return kumo.make_egress_source { name = name } end)
kumo.on('get_egress_pool', function(name) return kumo.make_egress_pool { name = name, entries = { { name = 's' } } } end)
kumo.on('contract.task', function(args) end)

check_init('kumo.start_esmtp_listener kumo.start_http_listener', function()
  kumo.start_esmtp_listener { listen = '127.0.0.1:2025', relay_hosts = {} }
  kumo.start_http_listener { listen = '127.0.0.1:8000' }
  fails('unknown field', kumo.start_esmtp_listener, { lissten = 'x' })
end)
check_init('kumo.define_spool kumo.configure_local_logs kumo.configure_log_hook', function()
  kumo.define_spool { name = 'data', path = DIR }
  kumo.configure_local_logs { log_dir = DIR }
  kumo.configure_log_hook { name = 'hook' }
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
  eq(kumo.make_egress_source({ name = 'a' }).name, 'a')
  eq(kumo.make_egress_pool({ name = 'p', entries = { { name = 'a', weight = 2 } } }).entries[1].weight, 2)
  eq(kumo.make_listener_domain({ relay_to = true }).relay_to, true)
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
  assert(t:explain():find '1 per')
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
  assert(kumo.traceback(1)[1].short_src)
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
  eq({ mx.hosts, mx.site_name, mx.by_pref[5] }, { { 'mx.x.test' }, 'mx.x.test', { 'mx.x.test' } })
  eq({ kumo.dns.lookup_addr 'mx.x.test', kumo.dns.lookup_txt 'x.test', kumo.dns.lookup_ptr '192.0.2.1' }, { { '192.0.2.1' }, { 'hello' }, { 'mx.x.test' } })
  eq({ kumo.dns.rbl_lookup('192.0.2.1', 'rbl.test'), kumo.dns.ptr_host '192.0.2.1', kumo.dns.reverse_ip '192.0.2.1' }, { '127.0.0.2', '1.2.0.192.in-addr.arpa', '1.2.0.192' })
  fails('no such domain', kumo.dns.lookup_mx, 'none.test')
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
  f:write 'nameserver 192.0.2.9\n'
  f:close()
  eq(kumo.dns.load_resolv_conf(DIR .. '/resolv.conf').name_servers, { '192.0.2.9' })
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
check('kumo.apply_supplemental_trace_header', function()
  local m = message()
  m:set_meta('tenant', 't')
  kumo.apply_supplemental_trace_header(m, { include_meta_names = { 'tenant' } })
  local v = kumo.serde.json_parse(kumo.encode.base64_decode((m:get_first_named_header_value('X-KumoRef'):gsub('%s', ''))))
  eq(v, { ['_@_'] = '\\_/', recipient = 'u@ok.example', tenant = 't' })
end)
check('kumo.xfer.get_xfer_target kumo.xfer.cancel_xfer kumo.aaa.make_access_control_list', function()
  eq(kumo.xfer.get_xfer_target(message()), nil)
  kumo.xfer.cancel_xfer(message())
  fails('not supported', kumo.aaa.make_access_control_list, {})
end)
check_init('kumo.get_memory_low_thresh', function()
  kumo.set_memory_soft_limit(1000)
  eq(kumo.get_memory_low_thresh(), 800)
end)
check('kumo.prometheus_metrics', function() eq(kumo.prometheus_metrics().id, 'order-1') end)
