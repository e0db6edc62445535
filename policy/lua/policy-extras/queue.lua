-- Tenants, campaigns and queue options, read from files.
--
--   tenant_header = 'X-Tenant'      remove_tenant_header = true     default_tenant = 'default'
--   campaign_header = 'X-Campaign'  remove_campaign_header = true   scheduling_header = 'X-Schedule'
--   [tenant.'t']                egress_pool = 'p', require_authz = { 'user' }, overall_max_message_rate = '100/s'
--   [queue.default]             options of make_queue_config, routing_domain
--   [queue.'d'] [queue.'d'.'t'] [queue.'d'.'t'.'c']    the same, for a domain, tenant, campaign
local kumo = require 'kumo'
local utils = require 'policy-extras.policy_utils'
local mod = {}

---@class policy-extras.queue.Helper
---@field apply fun(self: any, msg: kumo.Message) To be called for each message received.
---@field resolve_config fun(self: any, domain: string, tenant: string|nil, campaign: string|nil): table

-- Options of this module that make_queue_config does not know.
local OWN = { require_authz = true, overall_max_message_rate = true, campaigns = true, routing_domain = true }

-- The plain options of a section: its sub-tables other than known options are deeper sections.
local function options_of(section)
  local found = {}
  for k, v in pairs(section or {}) do
    if type(v) ~= 'table' or k == 'protocol' then
      found[k] = v
    end
  end
  return found
end

local function resolve(data, domain, tenant, campaign)
  local queues = data.queue or {}
  local by_domain = queues[domain] or {}
  local by_tenant = tenant and type(by_domain[tenant]) == 'table' and by_domain[tenant] or {}
  local by_campaign = campaign and type(by_tenant[campaign]) == 'table' and by_tenant[campaign] or {}
  local result = options_of(queues.default)
  utils.merge_into(options_of(by_domain), result)
  utils.merge_into(options_of(tenant and (data.tenant or {})[tenant]), result)
  utils.merge_into(options_of(by_tenant), result)
  utils.merge_into(options_of(by_campaign), result)
  return result
end

local function label(data, msg, what)
  local header = data[what .. '_header']
  if not header then
    return
  end
  local value = msg:get_first_named_header_value(header)
  if value and value ~= '' then
    msg:set_meta(what, value)
  end
  if data['remove_' .. what .. '_header'] then
    msg:remove_all_named_headers(header)
  end
end

local function check_tenant(data, msg)
  if not msg:get_meta 'tenant' and data.default_tenant then
    msg:set_meta('tenant', data.default_tenant)
  end
  local name = msg:get_meta 'tenant'
  if not name or not data.tenant then
    return
  end
  local tenant = data.tenant[name]
  if not tenant then
    kumo.reject(500, string.format('tenant `%s` is not known', name))
  end
  if tenant.require_authz then
    local who = msg:get_meta 'authz_id' or msg:get_meta 'authn_id'
    if not who or not utils.table_contains(tenant.require_authz, who) then
      kumo.reject(500, string.format('not allowed to send as tenant `%s`', name))
    end
  end
end

---Reads the files `file_names` and answers `get_queue_config` by them.
---@param options table
---@return policy-extras.queue.Helper
function mod:setup_with_options(options)
  local files = options.file_names
  local cached = kumo.memoize(utils.load_files, {
    name = 'policy-extras.queue',
    ttl = '1 minute',
    capacity = 4,
    invalidate_with_epoch = options.invalidate_with_epoch ~= false,
  })
  local helper = {}

  function helper:resolve_config(domain, tenant, campaign)
    return resolve(cached(files), domain, tenant, campaign)
  end

  -- To be called for each message received: sets tenant, campaign, schedule and routing.
  function helper:apply(msg)
    local data = cached(files)
    label(data, msg, 'tenant')
    label(data, msg, 'campaign')
    check_tenant(data, msg)
    if data.scheduling_header then
      msg:import_scheduling_header(data.scheduling_header, true)
    end
    local domain = msg:recipient_list()[1].domain
    local routing = self:resolve_config(domain, msg:get_meta 'tenant', msg:get_meta 'campaign').routing_domain
    if routing then
      msg:set_meta('routing_domain', routing)
    end
  end

  if not options.skip_queue_config_hook then
    kumo.on('get_queue_config', function(domain, tenant, campaign)
      local params = {}
      for k, v in pairs(helper:resolve_config(domain, tenant, campaign)) do
        if not OWN[k] then
          params[k] = v
        end
      end
      return kumo.make_queue_config(params)
    end)
  end

  kumo.on('throttle_insert_ready_queue', function(msg)
    local name = msg:get_meta 'tenant'
    local tenant = name and (cached(files).tenant or {})[name]
    if not tenant then
      return
    end
    local campaign = msg:get_meta 'campaign'
    local limits = campaign and (tenant.campaigns or {})[campaign]
    if limits and limits.overall_max_message_rate then
      local key = string.format('tenant-%s-campaign-%s', name, campaign)
      kumo.make_throttle(key, limits.overall_max_message_rate):delay_message_if_throttled(msg)
    end
    if tenant.overall_max_message_rate then
      kumo.make_throttle('tenant-' .. name, tenant.overall_max_message_rate):delay_message_if_throttled(msg)
    end
  end)
  return helper
end

---Whether make_queue_config takes this option with this value.
---@param name string
---@param value any
---@return boolean
function mod.is_queue_config_option(name, value)
  return (pcall(kumo.make_queue_config, { [name] = value }))
end

---The same for a list of files.
---@param files string[]
---@return policy-extras.queue.Helper
function mod:setup(files)
  return self:setup_with_options { file_names = files }
end

return mod
