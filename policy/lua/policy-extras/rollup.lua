-- Sends mail of many domains through one queue when their mail exchangers are the same.
local kumo = require 'kumo'
local mod = {}

local IP_ROLLUP = '.ip_rollup'

local function mx_of(domain)
  local ok, mx = pcall(kumo.dns.lookup_mx, domain)
  if ok and not mx.is_domain_literal then
    return mx
  end
end

-- Names may be given with or without the dot that ends them.
local function bare(name)
  return (name:lower():gsub('%.$', ''))
end

local function ends_with(text, suffix)
  text, suffix = bare(text), bare(suffix)
  return #text >= #suffix and text:sub(-#suffix) == suffix
end

-- The value of the suffix that all of these hosts end in.
local function match(hosts, map)
  if not hosts or #hosts == 0 then
    return nil
  end
  for suffix, target in pairs(map) do
    local all = true
    for _, host in ipairs(hosts) do
      all = all and ends_with(host, suffix)
    end
    if all then
      return target
    end
  end
end

---Routes by the names of the mail exchangers: when all of them end in a suffix of `map` (such as '.mx.example.'), the
---message's routing domain becomes the suffix's value.
---@param msg kumo.Message
---@param map table<string, string>
function mod.reroute_based_on_mx_host_suffix(msg, map)
  local mx = mx_of(msg:recipient_list()[1].domain)
  local target = mx and match(mx.hosts, map)
  if target then
    msg:set_meta('routing_domain', target)
  end
end

---The same by the best of the mail exchangers alone. The values are made-up domains that end in `.ip_rollup`: see
---apply_ip_rollup_to_queue_config.
---@param msg kumo.Message
---@param map table<string, string>
function mod.reroute_using_ip_rollup(msg, map)
  local mx = mx_of(msg:recipient_list()[1].domain)
  local best
  for preference in pairs(mx and mx.by_pref or {}) do
    best = math.min(best or preference, preference)
  end
  local target = best and match(mx.by_pref[best], map)
  if target then
    msg:set_meta('routing_domain', target)
  end
end

---Completes the options of a queue whose routing domain is a rollup: mail still goes to the exchangers of its own domain.
---Returns the options.
---@param domain string
---@param routing_domain string|nil
---@param params table
---@return table
function mod.apply_ip_rollup_to_queue_config(domain, routing_domain, params)
  params = params or {}
  if not routing_domain or not ends_with(routing_domain, IP_ROLLUP) then
    return params
  end
  local mx = mx_of(domain)
  if mx and mx.hosts[1] and mx.hosts[1] ~= '.' then
    local hosts = {}
    for _, host in ipairs(mx.hosts) do
      table.insert(hosts, bare(host))
    end
    params.protocol = { smtp = { mx_list = hosts } }
  end
  return params
end

return mod
