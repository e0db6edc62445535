-- Event callbacks: every event of a message is posted to the webhook manager as JSON.
local kumo = require 'kumo'
local constants = require 'policy.constants'

if constants.webhook_url == '' then
  return
end

-- What records carry besides the event itself.
local selection = {
  meta = { 'tenant', 'campaign' },
  headers = { 'Subject', 'Message-ID', 'X-*' },
}

-- The receiver knows by this header that a callback is ours.
local request_headers = { ['x-kumomta-key'] = constants.webhook_key }

if constants.webhook_batch > 1 then
  -- The engine posts arrays of records itself.
  kumo.on('pre_init', function()
    kumo.configure_http_log_hook {
      name = 'webhook',
      url = constants.webhook_url,
      request_headers = request_headers,
      batch_size = constants.webhook_batch,
      max_batch_latency = '1s',
      signing_secret = constants.webhook_secret,
      compression = constants.webhook_compression,
      meta = selection.meta,
      headers = selection.headers,
    }
  end)
  return
end

-- One record per request.
local log_hooks = require 'policy-extras.log_hooks'
log_hooks:new_json {
  name = 'webhook',
  url = constants.webhook_url,
  headers = request_headers,
  signing_secret = constants.webhook_secret,
  log_parameters = selection,
  queue_config = { retry_interval = '10s', max_retry_interval = '5m' },
}
