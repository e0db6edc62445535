-- The entry point: spools, listeners, logs. What happens to mail is in policy/*.lua.
--
-- Everything that differs between installations comes from the environment; see policy/constants.lua.
local kumo = require 'kumo'
local constants = require 'policy.constants'

-- Each module registers its own handlers. Of several for one event, such as `get_queue_config`, the first that answers counts:
-- the one in policy/queue.lua answers for all queues, and so it comes last.
require 'policy.smtp'
require 'policy.webhooks'
require 'policy.queue'

kumo.on('init', function()
  -- Messages, and the journal of what happened to them.
  kumo.define_spool { name = 'data', path = constants.spool .. '/data', min_free_space = constants.min_free_space }
  kumo.define_spool { name = 'meta', path = constants.spool .. '/meta', min_free_space = constants.min_free_space }

  -- One line of JSON per event, closed often enough that readers are never far behind.
  kumo.configure_local_logs {
    log_dir = constants.log_dir,
    min_free_space = constants.min_free_space,
    max_segment_duration = '1 minute',
    meta = { 'tenant', 'campaign' },
    headers = { 'Subject', 'Message-ID' },
    -- What became of a message: `ringmta ctl find`.
    index = true,
    keep_for = '30 days',
    keep_free_space = constants.log_keep_free_space,
  }

  kumo.start_esmtp_listener {
    listen = constants.smtp_listen,
    banner = constants.banner,
    relay_hosts = constants.relay_hosts,
    max_message_size = constants.max_message_size,
  }

  -- Injection, administration and metrics.
  kumo.start_http_listener {
    listen = constants.http_listen,
    trusted_hosts = constants.relay_hosts,
  }
end)
