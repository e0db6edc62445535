check('kumo.kafka.build_producer', function() fails('not supported', kumo.kafka.build_producer, {}) end)
check('kumo.amqp.basic_publish', function()
  local function publish(to, key, more)
    local m = { routing_key = key, payload = 'hello', connection = to, headers = { a = 'b', n = 1 }, content_type = 'text/plain', message_id = 'm' }
    for k, v in pairs(more or {}) do m[k] = v end
    kumo.amqp.basic_publish(m)
  end
  fails('refused', publish, { host = '127.0.0.1', port = math.tointeger(CLOSED:match ':(%d+)$') }, 'q')
  fails('routing_key', kumo.amqp.basic_publish, { payload = 'x', connection = {} })
  fails('enable_tls', publish, { host = 'x', enable_tls = true }, 'q')
  if not AMQP then return end
  local to = { host = '127.0.0.1', port = AMQP }
  publish(to, 'nobody')
  publish(to, 'nobody', { payload = ('x'):rep(300000) })
  fails('312', publish, to, 'nobody', { mandatory = true })
  fails('404', publish, to, 'q', { exchange = 'none' })
  publish(to, 'nobody')
  fails('403', publish, { host = '127.0.0.1', port = AMQP, password = 'wrong' }, 'q')
end)
check('kumo.nats.connect', function()
  fails('kumo.nats', kumo.nats.connect, { servers = { CLOSED } })
  fails('servers', kumo.nats.connect, {})
  fails('tls_required', kumo.nats.connect, { servers = { CLOSED }, tls_required = true })
  local later = kumo.nats.connect { servers = { CLOSED }, retry_on_initial_connect = true }
  fails('refused', later.publish, later, { subject = 's', payload = 'x' })
  if not NATS then return end
  local c = kumo.nats.connect { servers = { CLOSED, '127.0.0.1:' .. NATS }, name = 'contract' }
  c:publish { subject = 'plain', payload = 'one' }
  fails('no stream', c.publish, c, { subject = 'plain', payload = 'one', await_ack = true })
  c:publish { subject = 'plain', payload = '\0\r\n', headers = { ['Nats-Msg-Id'] = '1' } }
  fails('subject', c.publish, c, { subject = 'a b', payload = '' })
  c:close()
  c:publish { subject = 'plain', payload = 'again' }
end)
