local kumo = require 'kumo'
kumo.on('init', function()
  kumo.define_spool { name = 'data', path = '/tmp/d' } kumo.define_spool { name = 'meta', path = '/tmp/m' }
  kumo.define_spool { name = 'data', path = '/tmp/again' }
end)
kumo.on('validate_config', function()
  kumo.validation_failed()
end)
