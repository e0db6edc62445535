-- Limits per domain, site and provider, read from shaping files.
--
--   local shaping = require 'policy-extras.shaping'
--   shaping:setup { '/opt/kumomta/etc/policy/shaping.toml' }
--
-- `setup` answers `get_egress_path_config`. `setup_with_automation` returns an object instead, whose `get_egress_path_config`
-- a policy can call from its own handler. There is nothing that publishes to an automation daemon or subscribes to one yet:
-- where `publish` or `subscribe` name one, a warning says so, and the limits of the files hold.
local kumo = require 'kumo'
local utils = require 'policy-extras.policy_utils'
local mod = {}

---@class policy-extras.shaping.Helper
---@field load_shaping_data fun(): any
---@field get_egress_path_config fun(domain: string, egress_source: string, site_name: string, skip_make?: boolean): any
---@field setup_publish fun()

-- The limits that come with ringmta; a file at this place wins over them.
local DEFAULT_FILES = { '/opt/kumomta/share/policy-extras/shaping.toml' }

-- Options that only matter for a daemon that is not there.
local AUTOMATION_ONLY = {
  'additional_skip_log_record_types',
  'allow_stale_shaping_data',
  'back_pressure',
  'pre_filter',
  'publish_connection_verbose',
  'publish_pool_idle_timeout',
  'publish_timeout',
  'retry_shaping_data_fetch_on_populate_timeout',
  'shaping_data_populate_timeout',
  'skip_log_record_types',
  'tsa_queue_config',
}

local KNOWN = {
  'cache_ttl',
  'extra_files',
  'load_validation_options',
  'no_default_files',
  'publish',
  'subscribe',
  'validation_options',
}

local function is_empty(v)
  return v == nil or (type(v) == 'table' and next(v) == nil)
end

local function warn_of_automation(what)
  kumo.log_warn(
    'shaping: '
      .. what
      .. ' is for an automation daemon, which this version of ringmta does not talk to: only the limits of the files hold'
  )
end

local function check(options)
  for key, value in pairs(options) do
    if utils.table_contains(AUTOMATION_ONLY, key) then
      kumo.log_debug('shaping: option ' .. key .. ' has no effect without an automation daemon')
    elseif not utils.table_contains(KNOWN, key) then
      error(string.format('shaping: unknown option `%s`, expected one of %s', key, table.concat(KNOWN, ', ')), 3)
    end
  end
  for _, key in ipairs { 'publish', 'subscribe' } do
    if not is_empty(options[key]) then
      warn_of_automation(key)
    end
  end
end

local function file_list(options)
  local files = {}
  if not options.no_default_files then
    for _, file in ipairs(DEFAULT_FILES) do
      table.insert(files, file)
    end
  end
  for _, file in ipairs(options.extra_files or {}) do
    table.insert(files, file)
  end
  return files
end

local function report(data)
  for _, text in ipairs(data:get_warnings()) do
    kumo.log_warn('shaping: ' .. text)
  end
  for _, text in ipairs(data:get_errors()) do
    kumo.log_error('shaping: ' .. text)
  end
end

---Reads shaping files; the helper answers by them.
---@param options table
---@return policy-extras.shaping.Helper
function mod:setup_with_automation(options)
  check(options)
  local files = file_list(options)
  local helper = {}

  local cached = kumo.memoize(function()
    local data = kumo.shaping.load(files, options.load_validation_options)
    report(data)
    return data
  end, {
    name = 'policy-extras.shaping.' .. kumo.digest.sha256(kumo.serde.json_encode(files)).hex,
    ttl = options.cache_ttl or '1 minute',
    capacity = 1,
    invalidate_with_epoch = true,
  })

  function helper.load_shaping_data()
    return cached()
  end

  -- With `skip_make` the options come back as a table, for a policy that adds its own.
  function helper.get_egress_path_config(domain, egress_source, site_name, skip_make)
    local params = cached():get_egress_path_config(domain, egress_source, site_name)
    params.refresh_strategy = 'Epoch'
    if skip_make then
      return params
    end
    return kumo.make_egress_path(params)
  end

  -- Events would go to an automation daemon from here on.
  function helper.setup_publish()
    warn_of_automation 'setup_publish'
  end

  kumo.on('validate_config', function()
    local strict = { dns_fail = 'Ignore', local_load = 'Error', skip_remote = true }
    local data = kumo.shaping.load(files, utils.merge_into(options.validation_options, strict))
    report(data)
    if #data:get_errors() > 0 then
      kumo.validation_failed()
    end
  end)
  return helper
end

---Only publishes, which does nothing here: see above.
---@param options? table
---@return table
function mod:setup_publish(options)
  check(options or {})
  return {}
end

---Answers `get_egress_path_config` by the limits that come along and by these files.
---@param extra_files? string[]
function mod:setup(extra_files)
  local helper = self:setup_with_automation { extra_files = extra_files }
  kumo.on('get_egress_path_config', helper.get_egress_path_config)
  return helper
end

return mod
