-- Who may relay to and from which domain, read from files.
--
--   ["example.com"]           relay_to = true, relay_from = { '10.0.0.0/24' }, relay_from_authz = { 'user' },
--   ["*.example.com"]         log_oob, log_arf
--   ["*"]
--   [listener."10.0.0.1:25"."example.com"]    the same for one listener only
local kumo = require 'kumo'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local function domain_map(entries)
  local map = kumo.domain_map.new()
  for domain, config in pairs(entries) do
    map[domain] = config
  end
  return map
end

local function load(files)
  local data = utils.load_files(files)
  local listeners = {}
  for listener, entries in pairs(data.listener or {}) do
    listeners[listener] = domain_map(entries)
  end
  data.listener = nil
  return { any = domain_map(data), listeners = listeners }
end

local function is_authorised(config, conn_meta)
  local identity = conn_meta:get_meta 'authz_id' or conn_meta:get_meta 'authn_id'
  return identity ~= nil and utils.table_contains(config.relay_from_authz or {}, identity)
end

---Returns the function to register for get_listener_domain.
---@param files string[]
---@return fun(domain: string, listener: string, conn_meta: kumo.ConnMeta): any
function mod:setup(files)
  local cached = kumo.memoize(load, {
    name = 'policy-extras.listener_domains',
    ttl = '5 minutes',
    capacity = 4,
    invalidate_with_epoch = true,
  })
  return function(domain, listener, conn_meta)
    local data = cached(files)
    local scoped = data.listeners[listener] or data.listeners['*']
    local config = scoped and scoped[domain] or data.any[domain]
    if not config then
      return nil
    end
    local params = utils.merge_into(config, {})
    params.relay_from_authz = nil
    if is_authorised(config, conn_meta) then
      params.relay_from = { '0.0.0.0/0', '::/0' }
    end
    return kumo.make_listener_domain(params)
  end
end

return mod
