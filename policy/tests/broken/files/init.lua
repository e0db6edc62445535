local kumo = require 'kumo'
local sources = require 'policy-extras.sources'
sources:setup { '/no/such/sources.toml' }
kumo.on('init', function()
  kumo.define_spool { name = 'data', path = '/tmp/d' } kumo.define_spool { name = 'meta', path = '/tmp/m' }
  kumo.start_esmtp_listener {
    listen = '0.0.0.0:25',
    tls_certificate = '/no/such/tls.crt',
    tls_private_key = '/no/such/tls.key',
  }
end)
