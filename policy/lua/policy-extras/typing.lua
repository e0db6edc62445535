-- Types for configuration tables, checked when a value is made.
--
--   local typing = require 'policy-extras.typing'
--   local Server = typing.record('Server', { name = typing.string, port = typing.option(typing.number) })
--   local s = Server { name = 'mx' }
--
-- A type is a table with `name`, `is_type` and `check(value)`, which returns the value, completed, or raises an error that says
-- where it is wrong. Types can be called like functions.
local mod = {}

local Type = {}
Type.__index = Type
Type.__call = function(self, value)
  local ok, result = pcall(self.check, value)
  if ok then
    return result
  end
  error(self.name .. ': ' .. tostring(result), 2)
end

local function make(name, check, more)
  local t = more or {}
  t.name, t.is_type, t.check = name, true, check
  return setmetatable(t, Type)
end

local function wrong(name, value)
  local shown = type(value) == 'string' and string.format('string %q', value) or type(value)
  error(string.format('invalid type: %s, expected %s', shown, name), 0)
end

local function is_type(t)
  return type(t) == 'table' and t.is_type == true
end

local function need_type(t, where)
  if not is_type(t) then
    error(where .. ' is not a type', 3)
  end
end

for _, name in ipairs { 'number', 'string', 'boolean' } do
  mod[name] = make(name, function(value)
    if type(value) ~= name then
      wrong(name, value)
    end
    return value
  end)
end
mod.Function = make('function', function(value)
  if type(value) ~= 'function' then
    wrong('function', value)
  end
  return value
end)
mod.any = make('any', function(value)
  return value
end)

---A value that may be nil.
---@param inner any
---@return any
function mod.option(inner)
  need_type(inner, 'the argument of option')
  return make('option<' .. inner.name .. '>', function(value)
    if value == nil then
      return nil
    end
    return inner.check(value)
  end, { is_optional = true })
end

---A value that is `value` when none is given; a function is called for it.
---@param inner any
---@param value any
---@return any
function mod.default(inner, value)
  need_type(inner, 'the first argument of default')
  return make('default<' .. inner.name .. '>', function(given)
    if given == nil then
      given = value
      if type(value) == 'function' and inner ~= mod.Function then
        given = value()
      end
    end
    return inner.check(given)
  end, { is_optional = true })
end

local function at(where, f, value)
  local ok, result = pcall(f, value)
  if ok then
    return result
  end
  error(where .. ': ' .. tostring(result), 0)
end

-- A table that `take(out, key, item, whole)` copies entry by entry.
local function container(name, take)
  return make(name, function(value)
    if type(value) ~= 'table' then
      wrong(name, value)
    end
    local out = {}
    for key, item in pairs(value) do
      take(out, key, item, value)
    end
    return out
  end)
end

---A sequence of values of one type.
---@param inner any
---@return any
function mod.list(inner)
  need_type(inner, 'the argument of list')
  return container('list<' .. inner.name .. '>', function(out, key, item, value)
    if math.type(key) ~= 'integer' or key < 1 or key > #value then
      error(string.format('invalid key `%s` in a list', tostring(key)), 0)
    end
    out[key] = at('[' .. key .. ']', inner.check, item)
  end)
end

---A table whose keys and values have a type each.
---@param key_type any
---@param value_type any
---@return any
function mod.map(key_type, value_type)
  need_type(key_type, 'the first argument of map')
  need_type(value_type, 'the second argument of map')
  return container('map<' .. key_type.name .. ',' .. value_type.name .. '>', function(out, key, item)
    out[at('key', key_type.check, key)] = at(tostring(key), value_type.check, item)
  end)
end

---One of several texts.
---@param name string
---@param ... string
---@return any
function mod.enum(name, ...)
  local words = { ... }
  return make(name, function(value)
    for _, word in ipairs(words) do
      if value == word then
        return value
      end
    end
    error(string.format('invalid value `%s`, expected one of %s', tostring(value), table.concat(words, ', ')), 0)
  end)
end

---A value of the first type that takes it.
---@param name string
---@param types any[]
---@return any
function mod.variant(name, types)
  for i, t in ipairs(types) do
    need_type(t, 'type ' .. i .. ' of the variant')
  end
  return make(name, function(value)
    local reasons = {}
    for _, t in ipairs(types) do
      local ok, result = pcall(t.check, value)
      if ok then
        return result
      end
      table.insert(reasons, t.name .. ': ' .. tostring(result))
    end
    error('invalid value: ' .. table.concat(reasons, '; '), 0)
  end)
end

---A table with named fields. `fields._dynamic(key, value)` may take fields that are not named: it returns whether it does, and
---why not. Values that were checked cannot get a wrong field later.
---@param name string
---@param fields table<string, any>
---@return any
function mod.record(name, fields)
  local dynamic = fields._dynamic
  local known = {}
  for key, t in pairs(fields) do
    if key ~= '_dynamic' then
      need_type(t, name .. '.' .. tostring(key))
      table.insert(known, tostring(key))
    end
  end
  table.sort(known)
  local function check_field(key, value)
    local t = fields[key]
    if t and key ~= '_dynamic' then
      return at(tostring(key), t.check, value)
    end
    if dynamic then
      local taken, why = dynamic(key, value)
      if taken then
        return value
      end
      if why then
        error(tostring(key) .. ': ' .. tostring(why), 0)
      end
    end
    error(string.format('unknown field `%s`, expected one of %s', tostring(key), table.concat(known, ', ')), 0)
  end
  local meta = {
    __index = function(self, key)
      return rawget(self, '_fields')[key]
    end,
    __newindex = function(self, key, value)
      rawget(self, '_fields')[key] = check_field(key, value)
    end,
    __pairs = function(self)
      return next, rawget(self, '_fields'), nil
    end,
    __name = name,
  }
  return make(name, function(value)
    if type(value) ~= 'table' then
      wrong(name, value)
    end
    local out = {}
    for key, item in pairs(value) do
      out[key] = check_field(key, item)
    end
    for _, key in ipairs(known) do
      if out[key] == nil then
        local t = fields[key]
        if t.is_optional then
          out[key] = t.check(nil)
        else
          error(string.format('missing field `%s`', key), 0)
        end
      end
    end
    return setmetatable({ _fields = out }, meta)
  end)
end

---The part of an error that names the option that was wrong, out of what a constructor such as kumo.make_queue_config raised.
---@param e any
---@return string
function mod.extract_deserialize_error(e)
  local text = tostring(e)
  local found = text:match 'deserialize error: (.-), while processing' or text:match '(unknown field.-)\n' or text:match '(option `.-)\n'
  return found or text:match '^[^\n]*' or text
end

return mod
