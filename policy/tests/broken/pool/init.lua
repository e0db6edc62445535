local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool { name = 'data', path = '/tmp/d' } kumo.define_spool { name = 'meta', path = '/tmp/m' }
end)
kumo.on('get_queue_config', function()
  return kumo.make_queue_config { egress_pool = 'bulk' }
end)
