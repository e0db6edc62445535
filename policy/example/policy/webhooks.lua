-- Event callbacks: every event of a message is posted to the webhook manager as JSON. The engine posts them itself, at least
-- once, those of a message in their order. (Records that a queue of the policy takes are made by `policy-extras.log_hooks`.)
local kumo = require 'kumo'
local constants = require 'policy.constants'

if constants.webhook_url == '' then
  return
end

local is_batched = constants.webhook_batch > 1

kumo.on('pre_init', function()
  kumo.configure_http_log_hook {
    name = 'webhook',
    url = constants.webhook_url,
    -- The receiver knows by this header that a callback is ours.
    request_headers = { ['x-kumomta-key'] = constants.webhook_key },
    -- One record per request, or arrays of them.
    body = is_batched and 'Array' or 'Object',
    batch_size = is_batched and constants.webhook_batch or 1,
    max_batch_latency = '1s',
    signing_secret = constants.webhook_secret,
    compression = is_batched and constants.webhook_compression or 'none',
    -- What records carry besides the event itself.
    meta = { 'tenant', 'campaign' },
    headers = { 'Subject', 'Message-ID', 'X-*' },
  }
end)
