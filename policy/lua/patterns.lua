-- string.find, match, gmatch and gsub in front of Lua's own: what is cheap goes there, the rest to a matcher that can be
-- interrupted. Every call into a helper below is a tail call, so that level 2 of an error is the policy's line.
local limit_of, search = ...
local find, match, gmatch, gsub = string.find, string.match, string.gmatch, string.gsub
local sub, byte, concat, pack, unpack = string.sub, string.byte, table.concat, table.pack, table.unpack
local type, tostring, tonumber, tointeger, error, pcall = type, tostring, tonumber, math.tointeger, error, pcall

local KNOWN_MAX = 1000

-- The longest text, in bytes, for which Lua's own matcher is taken, by pattern; forgotten as a whole when there are many.
local function limits(anchors)
  local known, count = {}, 0
  local function learn(pattern)
    if count >= KNOWN_MAX then
      for name in next, known do known[name] = nil end
      count = 0
    end
    local limit = limit_of(pattern, anchors)
    known[pattern], count = limit, count + 1
    return limit
  end
  return known, learn
end
local known, learn = limits(true)
local known_unanchored, learn_unanchored = limits(false)

-- Lua's own error for wrong arguments.
local function fail(name, own, ...)
  local ok, message = pcall(own, ...)
  if ok then error('wrong arguments for ' .. name, 2) end
  error((gsub(message, "to '%?'", "to '" .. name .. "'")), 2)
end

local function text(value)
  if type(value) == 'number' then return tostring(value) end
  return type(value) == 'string' and value or nil
end

-- The place, from 0, where a search begins; nil for what is no integer.
local function place(init, length)
  if init == nil then return 0 end
  local at = tointeger(tonumber(init))
  if not at then return nil end
  if at > 0 then return at - 1 end
  if at == 0 or at < -length then return 0 end
  return length + at
end

local function found(first, ...)
  if first == false then error((...), 2) end
  return first, ...
end

local function captured(first, _, ...)
  if first == false then error(_, 2) end
  if first == nil then return nil end
  return ...
end

local function slow_find(s, pattern, init, plain)
  local s_text, p_text = text(s), text(pattern)
  local from = s_text and place(init, #s_text)
  if not (from and p_text) then return fail('find', find, s, pattern, init, plain) end
  if plain or #s_text <= (known[p_text] or learn(p_text)) then return find(s_text, p_text, init, plain) end
  return found(search('find', s_text, p_text, from))
end

function string.find(s, pattern, init, plain)
  local limit = known[pattern]
  if limit and type(s) == 'string' and #s <= limit then return find(s, pattern, init, plain) end
  return slow_find(s, pattern, init, plain)
end

local function slow_match(s, pattern, init)
  local s_text, p_text = text(s), text(pattern)
  local from = s_text and place(init, #s_text)
  if not (from and p_text) then return fail('match', match, s, pattern, init) end
  if #s_text <= (known[p_text] or learn(p_text)) then return match(s_text, p_text, init) end
  return captured(search('match', s_text, p_text, from))
end

function string.match(s, pattern, init)
  local limit = known[pattern]
  if limit and type(s) == 'string' and #s <= limit then return match(s, pattern, init) end
  return slow_match(s, pattern, init)
end

function string.gmatch(s, pattern, init)
  local s_text, p_text = text(s), text(pattern)
  local from = s_text and place(init, #s_text)
  if not (from and p_text) then return fail('gmatch', gmatch, s, pattern, init) end
  if #s_text <= (known_unanchored[p_text] or learn_unanchored(p_text)) then return gmatch(s_text, p_text, init) end
  local last
  local function step(first, stop, ...)
    if first == false then error(stop, 2) end
    if first == nil then
      from = #s_text + 1
      return nil
    end
    from, last = stop, stop
    return ...
  end
  return function() return step(search('gmatch', s_text, p_text, from, last)) end
end

-- What a replacement text makes of a match (its begin, end and captures), or nil and what is wrong.
local function filled(repl, s, match_of)
  local parts, at = {}, 1
  while true do
    local percent = find(repl, '%', at, true)
    if not percent then break end
    parts[#parts + 1] = sub(repl, at, percent - 1)
    local digit = sub(repl, percent + 1, percent + 1)
    local number = tointeger(find(digit, '^%d$') and tonumber(digit))
    if digit == '%' then
      parts[#parts + 1] = '%'
    elseif number == 0 then
      parts[#parts + 1] = sub(s, match_of[1], match_of[2])
    elseif not number then
      return nil, "invalid use of '%' in replacement string"
    elseif number > match_of.n - 2 then
      return nil, 'invalid capture index %' .. number
    else
      parts[#parts + 1] = tostring(match_of[2 + number])
    end
    at = percent + 2
  end
  parts[#parts + 1] = sub(repl, at)
  return concat(parts)
end

local function slow_gsub(s, pattern, repl, max)
  local s_text, p_text, kind = text(s), text(pattern), type(repl)
  local most = max == nil and math.maxinteger or tointeger(tonumber(max))
  local fits = text(repl) or kind == 'function' or kind == 'table'
  if not (s_text and p_text and most and fits) then return fail('gsub', gsub, s, pattern, repl, max) end
  if #s_text <= (known[p_text] or learn(p_text)) then return gsub(s_text, p_text, repl, max) end
  local parts, count, from, last = {}, 0, 0, nil
  while count < most do
    local one = pack(search('gsub', s_text, p_text, from, last))
    if one[1] == false then error(one[2], 2) end
    if one[1] == nil then break end
    local value, wrong
    if kind == 'function' then
      value = repl(unpack(one, 3, one.n))
    elseif kind == 'table' then
      value = repl[one[3]]
    else
      value, wrong = filled(text(repl), s_text, one)
      if wrong then error(wrong, 2) end
    end
    if not value then
      value = sub(s_text, one[1], one[2])
    elseif not text(value) then
      error('invalid replacement value (a ' .. type(value) .. ')', 2)
    end
    parts[#parts + 1] = sub(s_text, from + 1, one[1] - 1)
    parts[#parts + 1] = value
    count, from, last = count + 1, one[2], one[2]
    if byte(p_text) == 94 then break end -- ^ holds it to the begin
  end
  parts[#parts + 1] = sub(s_text, from + 1)
  return concat(parts), count
end

function string.gsub(s, pattern, repl, max)
  local limit = known[pattern]
  if limit and type(s) == 'string' and #s <= limit then return gsub(s, pattern, repl, max) end
  return slow_gsub(s, pattern, repl, max)
end
