-- Retries and limits. Run with: ringmta test <this tree>
test.case('mail is tried for three days', function(t)
  local config = t.queue_config 'spring:acme@dst.example'
  t.eq({ config.max_age, config.retry_interval, config.max_retry_interval }, { 3 * 86400, 60, 3600 })
end)

test.case('a provider has one budget for all its sites', function(t)
  local path = t.egress_path('hosted.example', 'unspecified', '(alt1|alt2)?.gmail-smtp-in.l.google.com')
  t.eq({ path.connection_limit, path.max_message_rate, path.provider_name }, { 20, '50/s', 'gmail' })
  t.ok(path.additional_connection_limits['provider-gmail'])
end)

test.case('others get the default limits', function(t)
  local path = t.egress_path('dst.example', 'unspecified', 'mx.dst.example')
  t.eq({ path.max_deliveries_per_connection, path.provider_name }, { 100 })
end)

test.case('spools, logs and listeners are set up', function(t)
  t.eq({ #t.init.spools, #t.init.local_logs, #t.init.esmtp_listeners, #t.init.http_listeners }, { 2, 1, 1, 1 })
end)
