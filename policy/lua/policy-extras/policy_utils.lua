-- Small helpers shared by the other modules and free for policies to use.
local kumo = require 'kumo'
local mod = {}

---Deep equality. Tables are equal when they have the same keys with equal values.
---@param a any
---@param b any
---@return boolean
function mod.equals(a, b)
  if a == b then
    return true
  end
  if type(a) ~= 'table' or type(b) ~= 'table' then
    return false
  end
  for k, v in pairs(a) do
    if not mod.equals(v, b[k]) then
      return false
    end
  end
  for k in pairs(b) do
    if a[k] == nil then
      return false
    end
  end
  return true
end

-- Numbers before texts, each in their order.
local function is_before(a, b)
  if type(a) == type(b) and (type(a) == 'number' or type(a) == 'string') then
    return a < b
  end
  return type(a) == 'number' or type(b) ~= 'number' and tostring(a) < tostring(b)
end

local function dump(value, indent, within)
  if type(value) == 'number' or type(value) == 'boolean' then
    return tostring(value)
  end
  if type(value) ~= 'table' then
    return string.format('%q', tostring(value))
  end
  if within[value] then
    return '[recursive node]'
  end
  within[value] = true
  local keys, lines = mod.table_keys(value), {}
  table.sort(keys, is_before)
  for _, key in ipairs(keys) do
    local name = type(key) == 'string' and string.format('%q', key) or tostring(key)
    table.insert(lines, string.rep(' ', indent) .. '[' .. name .. '] = ' .. dump(value[key], indent + 2, within))
  end
  within[value] = nil
  if #lines == 0 then
    return '{}'
  end
  return '{\n' .. table.concat(lines, ',\n') .. '\n' .. string.rep(' ', indent - 2) .. '}'
end

---A readable text of any value, a line for each entry of a table, with sorted keys; what contains itself is cut off.
---@param value any
---@return string|nil
function mod.dumps(value)
  if value == nil then
    return nil
  end
  return dump(value, 2, {})
end

---Raises an error unless both are the same.
---@param a any
---@param b any
---@param message? string
function mod.assert_eq(a, b, message)
  if not mod.equals(a, b) then
    error(string.format('%sexpected %s == %s', message and message .. ': ' or '', tostring(mod.dumps(a)), tostring(mod.dumps(b))), 2)
  end
end

---Raises an error when both are the same.
---@param a any
---@param b any
---@param message? string
function mod.assert_ne(a, b, message)
  if mod.equals(a, b) then
    error(string.format('%sexpected %s ~= %s', message and message .. ': ' or '', tostring(mod.dumps(a)), tostring(mod.dumps(b))), 2)
  end
end

---Raises an error unless the text matches the regular expression.
---@param text string
---@param pattern string
---@param message? string
function mod.assert_matches(text, pattern, message)
  if not kumo.regex.compile(pattern):is_match(text) then
    error(string.format('%sexpected %q to match %q', message and message .. ': ' or '', text, pattern), 2)
  end
end

---Copies the keys of `source` over those of `target`.
---@param source table|nil
---@param target table
---@return table
function mod.merge_into(source, target)
  for k, v in pairs(source or {}) do
    target[k] = v
  end
  return target
end

---As merge_into, but tables on both sides are merged in turn.
---@param source table|nil
---@param target table
---@return table
function mod.recursive_merge_into(source, target)
  for k, v in pairs(source or {}) do
    if type(v) == 'table' and type(target[k]) == 'table' then
      mod.recursive_merge_into(v, target[k])
    else
      target[k] = v
    end
  end
  return target
end

---Whether a value is in a table.
---@param t table
---@param wanted any
---@return boolean
function mod.table_contains(t, wanted)
  for _, v in pairs(t) do
    if v == wanted then
      return true
    end
  end
  return false
end

---The keys of a table.
---@param t table
---@return any[]
function mod.table_keys(t)
  local keys = {}
  for k in pairs(t) do
    table.insert(keys, k)
  end
  return keys
end

---Whether a table has no entries.
---@param t table
---@return boolean
function mod.table_is_empty(t)
  return next(t) == nil
end

---Whether a text begins so.
---@param text string
---@param prefix string
---@return boolean
function mod.starts_with(text, prefix)
  return string.sub(text, 1, #prefix) == prefix
end

---Whether a text ends so.
---@param text string
---@param suffix string
---@return boolean
function mod.ends_with(text, suffix)
  return suffix == '' or string.sub(text, -#suffix) == suffix
end

---'10.0.0.1:25' and '[::1]:25' into address and port, both texts.
---@param text string
---@return string, string|nil
function mod.split_ip_port(text)
  local ip, port = string.match(text, '^(.*):(%d+)$')
  if not ip then
    return text, nil
  end
  return string.match(ip, '^%[(.*)%]$') or ip, port
end

---Reads a file: TOML when its name ends so, else JSON. A table is taken as the content itself.
---@param file string|table
---@return table
function mod.load_json_or_toml_file(file)
  if type(file) == 'table' then
    return file
  end
  if mod.ends_with(file, '.toml') then
    return kumo.serde.toml_load(file)
  end
  return kumo.serde.json_load(file)
end

---Reads several files, later ones over earlier ones.
---@param files (string|table)[]
---@return table
function mod.load_files(files)
  local all = {}
  for _, file in ipairs(files) do
    mod.recursive_merge_into(mod.load_json_or_toml_file(file), all)
  end
  return all
end

return mod
