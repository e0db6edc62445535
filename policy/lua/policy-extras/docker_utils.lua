-- Addresses of containers, found with the system's resolver.
local mod = {}

local function run(command)
  local pipe = io.popen(command)
  if not pipe then
    return ''
  end
  local text = pipe:read 'a'
  pipe:close()
  return text
end

-- Names go into a command line: nothing but letters, digits, dots, dashes and underscores.
local function safe(name)
  if type(name) ~= 'string' or not name:match '^[%w%._%-]+$' then
    error('`' .. tostring(name) .. '` is not a host name', 3)
  end
  return name
end

-- The first address of a container; an error when it has none.
function mod.resolve_docker_name(name)
  local address = run('getent ahostsv4 ' .. safe(name) .. ' 2>/dev/null'):match '^(%S+)'
  if not address then
    error('the container ' .. name .. ' has no address')
  end
  return address
end

-- The network of a container, as `a.b.c.0/24`.
function mod.resolve_docker_network(name)
  local a, b, c = mod.resolve_docker_name(name):match '^(%d+)%.(%d+)%.(%d+)%.'
  return string.format('%s.%s.%s.0/24', a, b, c)
end

-- URLs of the automation daemons with these names.
function mod.resolve_tsa_endpoints(names, port)
  local out = {}
  for _, name in ipairs(type(names) == 'table' and names or { names }) do
    table.insert(out, string.format('http://%s:%d', mod.resolve_docker_name(name), port or 8008))
  end
  return out
end

return mod
