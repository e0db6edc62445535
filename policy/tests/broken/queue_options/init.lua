local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool { name = 'data', path = '/tmp/d' } kumo.define_spool { name = 'meta', path = '/tmp/m' }
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { max_agee = '1h', retry_interval = {}, egress_pool = 'bulk' }
end)
kumo.on('get_egress_path_config', function()
  return kumo.make_egress_path { enable_tls = 'Sometimes', connection_limits = 3 }
end)
