-- What this installation is. `ringmta init` writes this file; here it is empty, and the environment says the rest.
return {
  -- Domains that mail is sent for, each with the key that signs it:
  --   ['example.com'] = { selector = 'ringmta', key = '/etc/ringmta/dkim/example.com.pem' },
  domains = {},
  -- Server that takes all mail ('relay.example.net', '192.0.2.1:587'); without one, each domain's own mail servers do.
  smart_host = nil,
  -- Where events are posted to; '' for nowhere.
  webhook_url = nil,
}
