-- Egress sources and pools, read from files.
--
--   [source."ip-1"]     source_address = '10.0.0.1', ehlo_domain = 'mta1.example.com'
--   [pool."bulk"."ip-1"]    weight = 2
local kumo = require 'kumo'
local typing = require 'policy-extras.typing'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local function load(files)
  local data = utils.load_files(files)
  return { source = data.source or {}, pool = data.pool or {} }
end

local function make_source(data, name)
  local source = data.source[name]
  if not source then
    error(string.format('egress source `%s` is not defined', name))
  end
  return kumo.make_egress_source(utils.merge_into(source, { name = name }))
end

local function make_pool(data, name)
  local pool = data.pool[name]
  if not pool then
    error(string.format('egress pool `%s` is not defined', name))
  end
  local entries = {}
  for source, params in pairs(pool) do
    table.insert(entries, utils.merge_into(params, { name = source }))
  end
  table.sort(entries, function(a, b)
    return a.name < b.name
  end)
  return kumo.make_egress_pool { name = name, entries = entries }
end

-- Says what is wrong in the files. A source that is not defined there may be by another handler of the policy.
local function validate(files)
  local data = load(files)
  local function try(what, name, make)
    local ok, why = pcall(make, data, name)
    if not ok then
      kumo.log_error(string.format('%s `%s`: %s', what, name, typing.extract_deserialize_error(why)))
      kumo.validation_failed()
    end
  end
  for name in pairs(data.source) do
    try('egress source', name, make_source)
  end
  for name, pool in pairs(data.pool) do
    try('egress pool', name, make_pool)
    for source in pairs(pool) do
      if not data.source[source] then
        kumo.log_warn(string.format('pool `%s` names source `%s`, which is not defined', name, source))
      end
    end
  end
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
    return make_source(cached(files), name)
  end)
  kumo.on('get_egress_pool', function(name)
    return make_pool(cached(files), name)
  end)
  kumo.on('validate_config', function()
    validate(files)
  end)
end

return mod
