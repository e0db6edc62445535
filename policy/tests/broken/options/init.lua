local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool { name = 'data', path = '/tmp/d' } kumo.define_spool { name = 'meta', path = '/tmp/m' }
  kumo.start_esmtp_listener {
    lisen = '0.0.0.0:25',
    client_timeout = '10x',
    max_message_size = 'big',
    relay_hosts = { '10.0.0.0/33' },
  }
  kumo.start_http_listener { use_tls = 'yes' }
end)
