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

---The addresses of a container; none when there is no such name.
---@param name string
---@return string[]
function mod.resolve_docker_name(name)
  local addresses, seen = {}, {}
  for address in run('getent ahostsv4 ' .. safe(name) .. ' 2>/dev/null'):gmatch '(%d+%.%d+%.%d+%.%d+)[^\n]*' do
    if not seen[address] then
      seen[address] = true
      table.insert(addresses, address)
    end
  end
  return addresses
end

---The network this container is in, as `a.b.c.0/24`: that of the address its own name (HOSTNAME) has.
---@return string
function mod.resolve_docker_network()
  local name = os.getenv 'HOSTNAME'
  if not name then
    error('HOSTNAME is not set: the network of this container cannot be found', 2)
  end
  local a, b, c = (mod.resolve_docker_name(name)[1] or ''):match '^(%d+)%.(%d+)%.(%d+)%.'
  if not a then
    error('the container ' .. name .. ' has no address', 2)
  end
  return string.format('%s.%s.%s.0/24', a, b, c)
end

---URLs of the automation daemons with these names, `tsa` when none are given.
---@param names? string|string[]
---@param port? integer
---@return string[]
function mod.resolve_tsa_endpoints(names, port)
  local out = {}
  for _, name in ipairs(type(names) == 'table' and names or { names or 'tsa' }) do
    for _, address in ipairs(mod.resolve_docker_name(name)) do
      table.insert(out, string.format('http://%s:%d', address, port or 8008))
    end
  end
  return out
end

return mod
