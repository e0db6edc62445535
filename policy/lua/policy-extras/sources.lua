-- Egress sources and pools, read from files.
--
--   [source."ip-1"]     source_address = '10.0.0.1', ehlo_domain = 'mta1.example.com'
--   [pool."bulk"."ip-1"]    weight = 2
local kumo = require 'kumo'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local function load(files)
  local data = utils.load_files(files)
  for name, pool in pairs(data.pool or {}) do
    for source in pairs(pool) do
      if not (data.source or {})[source] then
        error(string.format('pool `%s` names source `%s`, which is not defined', name, source))
      end
    end
  end
  return { source = data.source or {}, pool = data.pool or {} }
end

---Answers `get_egress_pool` and `get_egress_source` by these files.
---@param files string[]
function mod:setup(files)
  local cached = kumo.memoize(load, {
    name = 'policy-extras.sources',
    ttl = '5 minutes',
    capacity = 4,
    invalidate_with_epoch = true,
  })
  kumo.on('get_egress_source', function(name)
    local source = cached(files).source[name]
    if not source then
      error(string.format('egress source `%s` is not defined', name))
    end
    return kumo.make_egress_source(utils.merge_into(source, { name = name }))
  end)
  kumo.on('get_egress_pool', function(name)
    local pool = cached(files).pool[name]
    if not pool then
      error(string.format('egress pool `%s` is not defined', name))
    end
    local entries = {}
    for source, params in pairs(pool) do
      table.insert(entries, { name = source, weight = params.weight })
    end
    table.sort(entries, function(a, b)
      return a.name < b.name
    end)
    return kumo.make_egress_pool { name = name, entries = entries }
  end)
  kumo.on('validate_config', function()
    load(files)
  end)
end

return mod
