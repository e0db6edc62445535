local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool { name = 'data', path = '/tmp/d' } kumo.define_spool { name = 'meta', path = '/tmp/m' }
  kumo.configure_logging { log_dir = '/tmp/l' }
end)
kumo.on('smtp_server_message_received', function(msg)
  local path = kumo.make_egress_path_config { }
  local mx = kumo.dns.lookup_mxx 'x'
  kumo.xfer.xfer(msg)
end)
