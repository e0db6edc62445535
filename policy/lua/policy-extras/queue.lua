-- Tenants, campaigns and queue options, read from files.
--
--   tenant_header = 'X-Tenant'      remove_tenant_header = true     default_tenant = 'default'
--   campaign_header = 'X-Campaign'  remove_campaign_header = true   scheduling_header = 'X-Schedule'
--   [tenant.'t']                egress_pool = 'p', require_authz = { 'user' }, overall_max_message_rate = '100/s'
--   [queue.default]             options of make_queue_config, routing_domain
--   [queue.'d'] [queue.'d'.'t'] [queue.'d'.'t'.'c']    the same, for a domain, tenant, campaign
--   [queue.'*.d'] [queue.'*']   the same, for all domains below, or all, that have no section of their own
local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'
local mod = {}

---@class policy-extras.queue.Helper
---@field apply fun(self: any, msg: kumo.Message) To be called for each message received.
---@field resolve_config fun(self: any, domain: string, tenant: string|nil, campaign: string|nil): table|nil

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

local function load(files)
  local data = utils.load_files(files)
  data.default = options_of((data.queue or {}).default)
  data.by_domain = kumo.domain_map.new(data.queue)
  data.queue = nil
  return data
end

-- Nil where no section says anything of such a queue.
local function resolve(data, domain, tenant, campaign)
  local by_domain = data.by_domain[domain] or {}
  local by_tenant = tenant and type(by_domain[tenant]) == 'table' and by_domain[tenant] or {}
  local by_campaign = campaign and type(by_tenant[campaign]) == 'table' and by_tenant[campaign] or {}
  local result = utils.merge_into(data.default, {})
  utils.merge_into(options_of(by_domain), result)
  utils.merge_into(options_of(tenant and (data.tenant or {})[tenant]), result)
  utils.merge_into(options_of(by_tenant), result)
  utils.merge_into(options_of(by_campaign), result)
  return not utils.table_is_empty(result) and result or nil
end

-- The options for make_queue_config.
local function queue_options(config)
  local params = {}
  for k, v in pairs(config) do
    if not OWN[k] then
      params[k] = v
    end
  end
  return params
end

-- Says what is wrong in the files: each section's options are tried alone.
local function validate(files)
  local data = utils.load_files(files)
  local function try(what, section, depth)
    local ok, why = pcall(function()
      return kumo.make_queue_config(queue_options(options_of(section)))
    end)
    if not ok then
      kumo.log_error(what .. ': ' .. tostring(typing.extract_deserialize_error(why)))
      kumo.validation_failed()
    end
    for name, deeper in pairs(depth > 0 and section or {}) do
      if type(deeper) == 'table' and name ~= 'protocol' then
        try(string.format('%s `%s`', what, name), deeper, depth - 1)
      end
    end
  end
  for name, section in pairs(data.tenant or {}) do
    try(string.format('tenant `%s`', name), section, 0)
  end
  for name, section in pairs(data.queue or {}) do
    try(string.format('queue `%s`', name), section, name ~= 'default' and 2 or 0)
  end
  if data.default_tenant and not (data.tenant or {})[data.default_tenant] then
    kumo.log_error(string.format('the default tenant `%s` is not defined', data.default_tenant))
    kumo.validation_failed()
  end
end

-- What a header of the message says; it is removed where the files want that.
local function said(data, msg, what)
  local header = data[what .. '_header']
  if not header then
    return nil
  end
  local value = msg:get_first_named_header_value(header)
  if data['remove_' .. what .. '_header'] then
    msg:remove_all_named_headers(header)
  end
  return value ~= '' and value or nil
end

-- Refuses a message whose sender may not be this tenant.
local function check_tenant(data, msg, name)
  local tenant = (data.tenant or {})[name]
  if not tenant then
    kumo.reject(500, string.format('tenant `%s` is not defined in the queue configuration', name))
  end
  if not tenant.require_authz then
    return
  end
  local who = msg:get_meta 'authz_id' or msg:get_meta 'authn_id'
  if not who then
    kumo.reject(500, string.format('tenant `%s` requires SMTP AUTH', name))
  end
  if not utils.table_contains(tenant.require_authz, who) then
    kumo.reject(500, string.format('`%s` may not send as tenant `%s`', who, name))
  end
end

---Reads the files `file_names` and answers `get_queue_config` by them.
---@param options table
---@return policy-extras.queue.Helper
function mod:setup_with_options(options)
  local files = options.file_names
  local cached = kumo.memoize(load, {
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
    if data.scheduling_header then
      msg:import_scheduling_header(data.scheduling_header, true)
    end
    local campaign = said(data, msg, 'campaign')
    if campaign then
      msg:set_meta('campaign', campaign)
    end
    local tenant = said(data, msg, 'tenant') or data.default_tenant
    if tenant then
      check_tenant(data, msg, tenant)
      msg:set_meta('tenant', tenant)
    end
    local domain = msg:recipient_list()[1].domain
    local config = self:resolve_config(domain, msg:get_meta 'tenant', msg:get_meta 'campaign')
    if config and config.routing_domain then
      msg:set_meta('routing_domain', config.routing_domain)
    end
  end

  if not options.skip_queue_config_hook then
    kumo.on('get_queue_config', function(domain, tenant, campaign)
      local config = helper:resolve_config(domain, tenant, campaign)
      return config and kumo.make_queue_config(queue_options(config))
    end)
  end
  kumo.on('validate_config', function()
    validate(files)
  end)

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
