check('kumo.kafka.build_producer', function()
  -- librdkafka plays the brokers itself.
  local built_in, producer = pcall(kumo.kafka.build_producer, { ['test.mock.num.brokers'] = 1 })
  if not built_in then return fails('--features kafka', error, producer) end
  fails('No such configuration property: "bootstrap.server"', kumo.kafka.build_producer, { ['bootstrap.server'] = 'x' })
  fails('Invalid value', kumo.kafka.build_producer, { acks = 'sometimes' })
  fails('expected a string', kumo.kafka.build_producer, { acks = {} })
  local partition, offset = producer:send { topic = 't', payload = 'one', key = 'k', headers = { a = 'b' }, partition = 0 }
  eq({ partition, offset }, { 0, 0 })
  eq({ producer:send { topic = 't', payload = '\xff\0', partition = 0, timeout = '1 minute' } }, { 0, 1 })
  local failed, errors = producer:send_batch { { topic = 't', payload = 'x' }, { topic = 't', payload = 'x', partition = 99 }, { topic = 't', payload = 'y' } }
  eq(failed, { 2 })
  eq(#errors, 1)
  fails('missing field `topic`', producer.send, producer, { payload = 'x' })
  fails('`payload`', producer.send, producer, { topic = 't', payload = {} })
  producer:close()
  fails('closed', producer.send, producer, { topic = 't', payload = 'x' })
  producer:close()
end)
check('kumo.amqp.basic_publish', function()
  local function publish(to, key, more)
    local m = { routing_key = key, payload = 'hello', connection = to, headers = { a = 'b', n = 1 }, content_type = 'text/plain', message_id = 'm' }
    for k, v in pairs(more or {}) do m[k] = v end
    kumo.amqp.basic_publish(m)
  end
  fails('refused', publish, { host = '127.0.0.1', port = math.tointeger(CLOSED:match ':(%d+)$') }, 'q')
  fails('routing_key', kumo.amqp.basic_publish, { payload = 'x', connection = {} })
  fails('must be given together', publish, { host = '127.0.0.1', port = math.tointeger(HTTP:match ':(%d+)$'), enable_tls = true, client_cert = 'x' }, 'q')
  if not AMQP then return end
  local to = { host = '127.0.0.1', port = AMQP }
  publish(to, 'nobody')
  publish(to, 'nobody', { payload = ('x'):rep(300000) })
  fails('312', publish, to, 'nobody', { mandatory = true })
  fails('404', publish, to, 'q', { exchange = 'none' })
  publish(to, 'nobody')
  fails('403', publish, { host = '127.0.0.1', port = AMQP, password = 'wrong' }, 'q')
end)
check('kumo.amqp.build_client', function()
  fails('refused', kumo.amqp.build_client, 'amqp://' .. CLOSED)
  fails('must begin with amqp://', kumo.amqp.build_client, 'http://x')
  if not AMQP then return end
  local c = kumo.amqp.build_client('amqp://guest:guest@127.0.0.1:' .. AMQP .. '/%2f')
  eq(c:publish({ routing_key = 'q', payload = 'x' }):wait().status, 'NotRequested')
  eq(c:publish_with_timeout({ routing_key = 'q', payload = 'x', properties = { message_id = 'm' } }, 30000).status, 'NotRequested')
  fails('404', c.publish, c, { routing_key = 'q', payload = 'x', exchange = 'none' })
  fails('routing_key', c.publish, c, { payload = 'x' })
  c:close()
  fails('closed', c.publish, c, { routing_key = 'q', payload = 'x' })
end)
check('kumo.nats.connect', function()
  fails('kumo.nats', kumo.nats.connect, { servers = { CLOSED } })
  fails('servers', kumo.nats.connect, {})
  fails('ftp', kumo.nats.connect, { servers = { 'ftp://' .. CLOSED } })
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
