local checks, at_init = {}, {}
function check(names, f) table.insert(checks, { names, f }) end
function check_init(names, f) table.insert(at_init, { names, f }) end
local function same(a, b)
  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end
local function show(v)
  if type(v) ~= 'table' then return tostring(v) end
  local ok, text = pcall(kumo.serde.json_encode, v)
  return ok and text or 'a table'
end
function eq(got, want)
  if not same(got, want) then error('got ' .. show(got) .. ', want ' .. show(want), 2) end
end
function fails(part, f, ...)
  local ok, e = pcall(f, ...)
  if ok then error('it does not fail', 2) end
  if not string.find(tostring(e), part, 1, true) then error('the error is: ' .. tostring(e), 2) end
end
function message(body)
  return kumo.make_message('a@src.example', 'u@ok.example', body or 'From: A <a@src.example>\r\nSubject: hi\r\n\r\nbody\r\n')
end
local function run(list, bad)
  for _, c in ipairs(list) do
    local ok, e = pcall(c[2])
    if not ok then table.insert(bad, c[1] .. ': ' .. tostring(e)) end
  end
end
local bad = {}
kumo.on('init', function() run(at_init, bad) end)
kumo.on('contract.run', function(conn) CONN = conn run(checks, bad) return bad, #checks + #at_init end)
