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

local function lower_tail(text, suffix)
  text, suffix = text:lower():gsub('%.$', ''), suffix:lower()
  return #text >= #suffix and text:sub(-#suffix) == suffix
end

-- Routes by the names of the mail exchangers: when all of them end in a suffix of `map`, the message's routing domain becomes
-- the suffix's value. Returns that value, or nil.
function mod.reroute_based_on_mx_host_suffix(msg, map)
  local mx = mx_of(msg:recipient_list()[1].domain)
  if not mx or #mx.hosts == 0 then
    return nil
  end
  for suffix, target in pairs(map) do
    local all = true
    for _, host in ipairs(mx.hosts) do
      all = all and lower_tail(host, suffix)
    end
    if all then
      msg:set_meta('routing_domain', target)
      return target
    end
  end
end

-- Routes by the addresses of the mail exchangers: `map` is a kumo.cidr map, or a table of networks, from address to name. When
-- the best exchanger lies in one of them, the routing domain becomes `<name>.ip_rollup`.
function mod.reroute_using_ip_rollup(msg, map)
  if type(map) == 'table' then
    map = kumo.cidr.make_map(map)
  end
  local mx = mx_of(msg:recipient_list()[1].domain)
  local host = mx and mx.hosts[1]
  if not host then
    return nil
  end
  local ok, addresses = pcall(kumo.dns.lookup_addr, host)
  for _, address in ipairs(ok and addresses or {}) do
    local name = map[address]
    if name then
      local target = name .. IP_ROLLUP
      msg:set_meta('routing_domain', target)
      return target
    end
  end
end

-- Completes the options of a queue whose routing domain is a rollup: mail still goes to the exchangers of its own domain.
-- Returns the options.
function mod.apply_ip_rollup_to_queue_config(domain, routing_domain, params)
  params = params or {}
  if not routing_domain or not lower_tail(routing_domain, IP_ROLLUP) then
    return params
  end
  local mx = mx_of(domain)
  if mx and #mx.hosts > 0 then
    params.protocol = { smtp = { mx_list = mx.hosts } }
  end
  return params
end

return mod
