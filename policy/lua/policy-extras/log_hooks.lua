-- Hooks that receive log records through a connection object made by the policy.
--
--   local log_hooks = require 'policy-extras.log_hooks'
--   log_hooks:new {
--     name = 'webhook',
--     constructor = function(domain, tenant, campaign)
--       local connection = {}
--       function connection:send(message) ... return '200 ok' end
--       function connection:close() ... end
--       return connection
--     end,
--   }
--
-- Each record is a message in the queue `NAME.log_hook`, with that queue's retries, age and limits; it stays in the durable
-- event log until it is done, and takes no room in the spool. It is sent at least once, and again when `send` raises an error
-- or rejects with a 4xx code: after the queue's retry_interval, or the pause that the text of the rejection names
-- (`Retry-After: 5`). A record rejected with a 5xx code is set aside in the hook's file of dead letters.
-- Several connections are used at once; records of one message are sent in their order.
local kumo = require 'kumo'
local utils = require 'policy-extras.policy_utils'
local mod = {}

---@class policy-extras.log_hooks.Options
---@field name string Name of the hook; its events wait in the queue `NAME.log_hook`.
---@field constructor fun(domain: string, tenant: string|nil, campaign: string|nil): policy-extras.log_hooks.Connection
---@field log_parameters? table Options of `kumo.configure_log_hook`.
---@field queue_config? table Options of `kumo.make_queue_config`.
---@field batch_size? integer
---@field min_batch_size? integer
---@field max_batch_latency? string|number
---@field filter? fun(msg: kumo.Message): any Whether a record is wanted.

---What a constructor returns.
---@class policy-extras.log_hooks.Connection
---@field send? fun(self: any, msg: kumo.Message): any
---@field send_batch? fun(self: any, messages: kumo.Message[]): any
---@field close? fun(self: any)

---@class policy-extras.log_hooks.JsonOptions
---@field name string Name of the hook.
---@field url string Where each record is posted.
---@field log_parameters? table Options of `kumo.configure_log_hook`.
---@field queue_config? table Options of `kumo.make_queue_config`.
---@field headers? table<string, string> Further headers of the requests.
---@field signing_secret? string With it requests are signed (Standard Webhooks).
---@field filter? fun(msg: kumo.Message): any Whether a record is wanted.

---@class policy-extras.log_hooks.DispositionOptions
---@field name string Name of the hook.
---@field hook fun(msg: kumo.Message, log_record: kumo.LogRecord)
---@field per_record? table Which records are wanted, by type.

local HOOK_OPTIONS = {
  'batch_size',
  'constructor',
  'filter',
  'log_parameters',
  'max_batch_latency',
  'min_batch_size',
  'name',
  'queue_config',
}

local function check(options, call, known)
  if type(options) ~= 'table' or type(options.name) ~= 'string' then
    error('log_hooks:' .. call .. ': `name` is missing', 3)
  end
  for key in pairs(options) do
    if not utils.table_contains(known, key) then
      error(string.format('log_hooks:%s: unknown option `%s`, expected one of %s', call, key, table.concat(known, ', ')), 3)
    end
  end
end

---new { name, constructor, log_parameters?, queue_config?, batch_size?, min_batch_size?, max_batch_latency?, filter? }
---@param options policy-extras.log_hooks.Options
function mod:new(options)
  check(options, 'new', HOOK_OPTIONS)
  if type(options.constructor) ~= 'function' then
    error('log_hooks:new: `constructor` must be a function that returns a connection', 2)
  end
  local name = options.name
  local domain = name .. '.log_hook'
  local constructor = 'make.' .. domain

  kumo.on('pre_init', function()
    local hook = utils.merge_into(options.log_parameters, {})
    hook.name = name
    hook.constructor = constructor
    hook.batch_size = options.batch_size
    hook.min_batch_size = options.min_batch_size
    hook.max_batch_latency = options.max_batch_latency
    kumo.configure_log_hook(hook)
  end)

  kumo.on('should_enqueue_log_record', function(msg, hook_name)
    if hook_name ~= name then
      return nil
    end
    if options.filter then
      return options.filter(msg) and true or false
    end
    return true
  end)

  -- How often a failed delivery of records is tried again.
  kumo.on('get_queue_config', function(asked)
    if asked ~= domain then
      return nil
    end
    local config = { retry_interval = '1m', max_retry_interval = '20m' }
    utils.merge_into(options.queue_config, config)
    config.protocol = {
      custom_lua = {
        constructor = constructor,
        batch_size = options.batch_size,
        min_batch_size = options.min_batch_size,
        max_batch_latency = options.max_batch_latency,
      },
    }
    return kumo.make_queue_config(config)
  end)

  kumo.on(constructor, options.constructor)
end

-- Whether trying again can help: the far side is down, busy, or slow.
local function is_temporary(status)
  return status >= 500 or status == 408 or status == 425 or status == 429
end

-- The key of a secret: `whsec_` and base64, or any other text as it is.
local function signing_key(secret)
  local encoded = string.match(secret, '^whsec_(.+)$')
  return { key_data = encoded and kumo.encode.base64_decode(encoded) or secret }
end

---new_json { name, url, log_parameters?, queue_config?, headers?, signing_secret? }: one JSON object per POST. Each has the
---header `webhook-id`, the same whenever the event is told again; with a secret it is signed as Standard Webhooks has it.
---@param options policy-extras.log_hooks.JsonOptions
function mod:new_json(options)
  check(options, 'new_json', { 'filter', 'headers', 'log_parameters', 'name', 'queue_config', 'signing_secret', 'url' })
  if type(options.url) ~= 'string' then
    error('log_hooks:new_json: `url` is missing', 2)
  end
  -- For messages: user, password and query may be secret.
  local shown = options.url:gsub('[?#].*', ''):gsub('//[^/]*@', '//')
  local key = options.signing_secret and signing_key(options.signing_secret)
  self:new {
    name = options.name,
    log_parameters = options.log_parameters,
    queue_config = options.queue_config,
    filter = options.filter,
    constructor = function()
      local client = kumo.http.build_client {}
      local connection = {}
      function connection:send(message)
        local id, timestamp, body = message:id(), tostring(os.time()), message:get_data()
        local request = client
          :post(options.url)
          :header('Content-Type', 'application/json')
          :header('webhook-id', id)
          :header('webhook-timestamp', timestamp)
          :headers(options.headers or {})
          :body(body)
        if key then
          local signature = kumo.digest.hmac_sha256(key, id .. '.' .. timestamp .. '.' .. body)
          request:header('webhook-signature', 'v1,' .. signature.base64)
        end
        local response = request:send()
        local status = response:status_code()
        local outcome = string.format('%d %s', status, response:status_reason() or '')
        if response:status_is_success() then
          return outcome
        end
        -- The engine waits as long as the receiver asks it to.
        local pause = response:headers()['retry-after']
        if pause then
          outcome = outcome .. ' (Retry-After: ' .. pause .. ')'
        end
        kumo.reject(is_temporary(status) and 400 or 500, shown .. ': ' .. outcome)
      end
      function connection:close()
        client:close()
      end
      return connection
    end,
  }
end

---new_disposition_hook { name, hook }: `hook(msg, log_record)` is called for each record, with the message it is about.
---@param options policy-extras.log_hooks.DispositionOptions
function mod:new_disposition_hook(options)
  check(options, 'new_disposition_hook', { 'hook', 'name', 'per_record' })
  if type(options.hook) ~= 'function' then
    error('log_hooks:new_disposition_hook: `hook` must be a function', 2)
  end
  kumo.on('pre_init', function()
    kumo.configure_log_disposition_hook { name = options.name, per_record = options.per_record }
  end)
  kumo.on('log_disposition_' .. options.name, options.hook)
end

return mod
