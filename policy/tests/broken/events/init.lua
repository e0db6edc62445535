local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool { name = 'data', path = '/tmp/d' } kumo.define_spool { name = 'meta', path = '/tmp/m' }
end)
kumo.on('smtp_server_mesage_received', function(msg) end)
kumo.on('get_queue_confg', function() end)
kumo.on('my_own_event', function() end)
