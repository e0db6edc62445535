-- Values the other files use. What depends on the installation is in policy/site.lua or read from the environment.
local site = require 'policy.site'

local function env(name, default)
  local value = os.getenv(name)
  if value == nil then
    return default
  end
  return value
end

-- A comma-separated list.
local function env_list(name, default)
  local items = {}
  for item in string.gmatch(env(name, default), '[^,%s]+') do
    table.insert(items, item)
  end
  return items
end

local mode = env('RINGMTA_MODE', 'production')
if mode ~= 'production' and mode ~= 'development' then
  error("RINGMTA_MODE must be 'production' or 'development', not '" .. mode .. "'")
end
local development = mode == 'development'

local constants = {
  development = development,

  -- Where things live and listen.
  spool = env('RINGMTA_SPOOL', '/var/spool/kumomta'),
  log_dir = env('RINGMTA_LOG_DIR', '/var/log/kumomta'),
  -- Below this, new mail is refused with 452. A developer's disk may be nearly full.
  min_free_space = development and '256MB' or '10%',
  -- Below this, the oldest log files go. It is more than that, so that log files alone never have mail refused.
  log_keep_free_space = development and '512MB' or '12%',
  smtp_listen = env('RINGMTA_SMTP_LISTEN', '0.0.0.0:25'),
  http_listen = env('RINGMTA_HTTP_LISTEN', '0.0.0.0:8000'),
  banner = 'ringmta',

  -- Who may relay: these networks, and whoever logs in. Production has no default credentials.
  relay_hosts = env_list('RINGMTA_RELAY_HOSTS', '127.0.0.1,::1'),
  smtp_user = env('RINGMTA_SMTP_USER', development and 'mailing' or nil),
  smtp_password = env('RINGMTA_SMTP_PASSWORD', development and 'mailing' or nil),

  -- Headers that name the tenant and the campaign of a message.
  tenant_header = 'X-Tenant',
  campaign_header = 'X-Campaign',

  -- Event callbacks. An empty URL turns them off.
  webhook_url = env('KUMOMTA_WEBHOOK_URL', site.webhook_url or 'http://host.docker.internal:8021'),
  webhook_key = env('X_KUMOMTA_KEY', 'reloop'),
  -- With a secret requests are signed (Standard Webhooks); bodies of batches can be compressed with 'gzip'.
  webhook_secret = env('RINGMTA_WEBHOOK_SECRET', nil),
  webhook_compression = env('RINGMTA_WEBHOOK_COMPRESSION', 'none'),
  webhook_batch = math.tointeger(tonumber(env('KUMOMTA_WEBHOOK_BATCH', '1'))) or 1,

  -- In development all mail goes here, whoever it is addressed to.
  sandbox = env('RINGMTA_SANDBOX', '127.0.0.1:1025'),

  -- Retries: the wait doubles up to the maximum; at max_age the message expires.
  retry_interval = development and '5s' or '1m',
  max_retry_interval = development and '5s' or '1h',
  max_age = development and '1h' or '3 days',

  -- Where mail goes in production when not to each domain's own servers.
  ---@type string|nil
  smart_host = site.smart_host,

  -- DKIM: domains with a key of their own, and one key for all others.
  ---@type table<string, { selector: string, key: string }|nil>
  domains = site.domains,
  dkim_key = env('RINGMTA_DKIM_KEY', nil),
  dkim_selector = env('RINGMTA_DKIM_SELECTOR', 'default'),
  -- The signing domain; the domain of the From header when it is not set.
  dkim_domain = env('RINGMTA_DKIM_DOMAIN', nil),
  dkim_headers = { 'From', 'To', 'Cc', 'Subject', 'Date', 'Message-ID', 'MIME-Version', 'Content-Type', 'Reply-To' },

  -- Largest message taken, in bytes.
  max_message_size = 25 * 1024 * 1024,
}

-- What a mailbox provider takes from one sender. `hosts` are suffixes of MX names: a domain hosted by a provider gets the
-- provider's limits, whatever its own name is. Limits are shared by all domains of a provider.
constants.default_limits = {
  connection_limit = 10,
  max_connection_rate = '100/min',
  max_deliveries_per_connection = 100,
  max_message_rate = '100/s',
}

constants.providers = {
  {
    name = 'gmail',
    hosts = { '.google.com', '.googlemail.com' },
    limits = { connection_limit = 20, max_deliveries_per_connection = 50, max_message_rate = '50/s' },
  },
  {
    name = 'outlook',
    hosts = { '.outlook.com', '.hotmail.com', '.office365.us' },
    limits = { connection_limit = 10, max_deliveries_per_connection = 100, max_message_rate = '30/s' },
  },
  {
    name = 'yahoo',
    hosts = { '.yahoodns.net' },
    limits = { connection_limit = 10, max_deliveries_per_connection = 20, max_message_rate = '20/s' },
  },
  {
    name = 'apple',
    hosts = { '.icloud.com', '.apple.com' },
    limits = { connection_limit = 10, max_deliveries_per_connection = 50, max_message_rate = '20/s' },
  },
  {
    name = 'comcast',
    hosts = { '.comcast.net' },
    limits = { connection_limit = 5, max_deliveries_per_connection = 50, max_message_rate = '10/s' },
  },
}

return constants
