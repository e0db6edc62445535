local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool { name = 'data', path = '/tmp/d' } kumo.define_spool { name = 'meta', path = '/tmp/m' }
end)
kumo.on('get_queue_config', function()
  return { max_age = '1h' }
end)
kumo.on('get_egress_path_config', function(domain)
  return kumo.make_egress_path { connection_limit = domain.limit.x }
end)
