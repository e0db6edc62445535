-- A relay for the long runs: durable spool, no log files unless LONG_LOG is set, queues that are soon forgotten.
local kumo = require 'kumo'

kumo.on('init', function()
  local dir = os.getenv 'BENCH_DIR'
  kumo.define_spool { name = 'data', path = dir .. '/data', min_free_space = '1%' }
  kumo.define_spool { name = 'meta', path = dir .. '/meta', min_free_space = '1%' }
  if os.getenv 'LONG_LOG' then
    kumo.configure_local_logs { log_dir = dir .. '/log', max_segment_duration = '10s', min_free_space = '1%' }
  end
  kumo.start_esmtp_listener {
    listen = os.getenv 'BENCH_SMTP',
    relay_hosts = { '127.0.0.1' },
    -- The source keeps its connections, and each message counts.
    max_messages_per_connection = 1000000000,
  }
  kumo.start_http_listener { listen = os.getenv 'BENCH_HTTP' }
end)

kumo.on('get_queue_config', function()
  return kumo.make_queue_config {
    max_age = os.getenv 'LONG_MAX_AGE' or '7 days',
    reap_interval = '5s',
    protocol = { smtp = { mx_list = { os.getenv 'BENCH_SINK' } } },
  }
end)

-- Mail from `rN` has queues that no other has.
kumo.on('smtp_server_message_received', function(msg)
  local round = msg:sender().user
  if string.match(round, '^r%d+$') then
    msg:set_meta('tenant', round)
  end
end)

kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'Disabled' }
end)
