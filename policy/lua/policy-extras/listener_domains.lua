-- Who may relay to and from which domain, read from files.
--
--   ["example.com"]           relay_to = true, relay_from = { '10.0.0.0/24' }, relay_from_authz = { 'user' },
--   ["*.example.com"]         log_oob, log_arf
--   ["*"]
--   [listener."10.0.0.1:25"."example.com"]    the same for one listener only
local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local function load(files)
  local data = utils.load_files(files)
  local listeners = utils.merge_into(data.listener, {})
  data.listener = nil
  -- What names no listener is for any.
  listeners['*'] = utils.recursive_merge_into(data, utils.merge_into(listeners['*'], {}))
  return listeners
end

local function load_maps(files)
  local maps = {}
  for listener, entries in pairs(load(files)) do
    maps[listener] = kumo.domain_map.new(entries)
  end
  return maps
end

-- The options for make_listener_domain.
local function options_of(config)
  local params = utils.merge_into(config, {})
  params.relay_from_authz = nil
  return params
end

-- Says what is wrong in the files.
local function validate(files)
  for listener, entries in pairs(load(files)) do
    for domain, config in pairs(entries) do
      local ok, why = pcall(function()
        return kumo.make_listener_domain(options_of(config))
      end)
      if not ok then
        kumo.log_error(string.format('domain `%s` of listener `%s`: %s', domain, listener, typing.extract_deserialize_error(why)))
        kumo.validation_failed()
      end
    end
  end
end

local function is_authorised(config, conn_meta)
  local identity = conn_meta:get_meta 'authz_id' or conn_meta:get_meta 'authn_id'
  return identity ~= nil and utils.table_contains(config.relay_from_authz or {}, identity)
end

---Returns the function to register for get_listener_domain.
---@param files string[]
---@return fun(domain: string, listener: string, conn_meta: kumo.ConnMeta): any
function mod:setup(files)
  local cached = kumo.memoize(load_maps, {
    name = 'policy-extras.listener_domains',
    ttl = '5 minutes',
    capacity = 4,
    invalidate_with_epoch = true,
  })
  kumo.on('validate_config', function()
    validate(files)
  end)
  return function(domain, listener, conn_meta)
    local maps = cached(files)
    local config = maps[listener] and maps[listener][domain] or maps['*'][domain]
    if not config then
      return nil
    end
    local params = options_of(config)
    if is_authorised(config, conn_meta) then
      params.relay_from = { '0.0.0.0/0', '::/0' }
    end
    return kumo.make_listener_domain(params)
  end
end

return mod
