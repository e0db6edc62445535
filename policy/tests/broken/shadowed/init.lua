local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool { name = 'data', path = '/tmp/d' } kumo.define_spool { name = 'meta', path = '/tmp/m' }
end)
kumo.on('get_egress_source', function() end)
kumo.on('get_egress_source', function() end)
