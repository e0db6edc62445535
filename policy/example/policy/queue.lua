-- The sending side: retries, age, limits per provider, and the sandbox of development.
local kumo = require 'kumo'
local constants = require 'policy.constants'

kumo.on('get_queue_config', function(domain, tenant, campaign, routing_domain)
  local config = {
    retry_interval = constants.retry_interval,
    max_retry_interval = constants.max_retry_interval,
    max_age = constants.max_age,
  }
  if constants.development then
    config.protocol = { smtp = { mx_list = { constants.sandbox } } }
  elseif constants.smart_host then
    config.protocol = { smtp = { mx_list = { constants.smart_host } } }
  end
  return kumo.make_queue_config(config)
end)

local function ends_with(text, suffix)
  return string.sub(text, -#suffix) == suffix
end

-- The provider behind a site. The site name is made of MX names: `(alt1|alt2)?.host.` or a single host.
local function provider_of(site_name)
  local site = string.lower(site_name)
  site = string.gsub(site, '%.$', '')
  for _, provider in ipairs(constants.providers) do
    for _, suffix in ipairs(provider.hosts) do
      if ends_with(site, suffix) then
        return provider
      end
    end
  end
end

kumo.on('get_egress_path_config', function(routing_domain, egress_source, site_name)
  -- Records that a queue takes (`policy-extras.log_hooks`) are no mail: a receiver that takes its time needs many connections, and no provider's limits apply.
  if ends_with(routing_domain, '.log_hook') then
    return kumo.make_egress_path { connection_limit = 224, idle_timeout = '15s' }
  end
  ---@type kumo.EgressPathOptions
  local path = {
    -- Encrypted wherever the other side can, whatever certificate it shows: mail that is held up by a certificate would go in
    -- the clear without one. Domains that want more say so themselves (MTA-STS), or in the entries below.
    enable_tls = 'OpportunisticInsecure',
    idle_timeout = '60s',
  }
  if constants.development then
    -- The sandbox is on loopback, which mail is otherwise never sent to.
    path.prohibited_hosts = {}
    path.enable_tls = 'Disabled'
    path.enable_mta_sts = false
    -- It takes mail as fast as it comes: no provider's limits apply.
    return kumo.make_egress_path(path)
  end

  for option, value in pairs(constants.default_limits) do
    path[option] = value
  end
  local provider = provider_of(site_name)
  if provider then
    path.provider_name = provider.name
    for option, value in pairs(provider.limits) do
      path[option] = value
    end
    -- One budget for all sites of the provider.
    path.additional_connection_limits = { ['provider-' .. provider.name] = provider.limits.connection_limit }
    path.additional_message_rate_throttles = { ['provider-' .. provider.name] = provider.limits.max_message_rate }
  end
  return kumo.make_egress_path(path)
end)
