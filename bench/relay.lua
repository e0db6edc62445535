-- The relay that is measured: durable spool, log files, every message to one next hop.
local kumo = require 'kumo'

kumo.on('init', function()
  local dir = os.getenv 'BENCH_DIR'
  kumo.define_spool { name = 'data', path = dir .. '/data', min_free_space = '1%' }
  kumo.define_spool { name = 'meta', path = dir .. '/meta', min_free_space = '1%' }
  kumo.configure_local_logs { log_dir = dir .. '/log', max_segment_duration = '10s', min_free_space = '1%' }
  kumo.start_esmtp_listener { listen = os.getenv 'BENCH_SMTP', relay_hosts = { '127.0.0.1' } }
  kumo.start_http_listener { listen = os.getenv 'BENCH_HTTP' }
  local hook = os.getenv 'BENCH_HOOK'
  if hook then
    kumo.configure_http_log_hook { name = 'bench', url = hook }
  end
end)

-- Mail for this domain goes to a host of its own, which says "later", and waits.
local later = os.getenv 'BENCH_LATER'

-- How long refused mail waits, when it is to wait.
local retry = os.getenv 'BENCH_RETRY'

kumo.on('get_queue_config', function(domain)
  if domain == later then
    return kumo.make_queue_config {
      retry_interval = '12h',
      protocol = { smtp = { mx_list = { os.getenv 'BENCH_LATER_SINK' } } },
    }
  end
  return kumo.make_queue_config {
    retry_interval = retry or '2s',
    max_retry_interval = retry or '5s',
    protocol = { smtp = { mx_list = { os.getenv 'BENCH_SINK' } } },
  }
end)

kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { prohibited_hosts = {}, enable_tls = 'Disabled' }
end)
