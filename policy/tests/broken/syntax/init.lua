local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool { name = 'data' path = '/tmp/d' }
end)
