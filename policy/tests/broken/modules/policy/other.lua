local kumo = require 'kumo'
return { sign = kumo.dkim.rsa_sha_signer }
