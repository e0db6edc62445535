-- Checks who sent a message, in one call.
--
--   local mail_auth = require 'policy-extras.mail_auth'
--   local results = mail_auth.check(msg, { server_id = 'mx.example.com' })
--
-- `check` returns the results by method and, unless told not to, writes them into an Authentication-Results header.
local kumo = require 'kumo'
local mod = {}

local OPTIONS = { 'dkim', 'spf', 'iprev', 'smtp_auth', 'dmarc', 'arc', 'add_auth_results_header', 'server_id', 'resolver' }

local function contains(list, value)
  for _, v in ipairs(list) do
    if v == value then
      return true
    end
  end
  return false
end

-- The address without its port.
local function ip_of(text)
  if text == nil then
    return nil
  end
  return text:match '^%[(.-)%]' or text:match '^(%d+%.%d+%.%d+%.%d+)' or text
end

---Reverse DNS (RFC 8601 section 3): a name of the address must lead back to it.
---@param ip string
---@param resolver? string
---@return table
function mod.iprev(ip, resolver)
  local result = { method = 'iprev', result = 'fail', props = { ['policy.iprev'] = ip } }
  local ok, names = pcall(kumo.dns.lookup_ptr, ip, resolver)
  if not ok then
    result.result, result.reason = 'temperror', 'the reverse lookup failed'
    return result
  end
  if #names == 0 then
    result.result, result.reason = 'permerror', 'the address has no name'
    return result
  end
  -- More names than this are not looked at.
  for i = 1, math.min(#names, 10) do
    local found, addresses = pcall(kumo.dns.lookup_addr, names[i], resolver)
    if found and contains(addresses, ip) then
      result.result = 'pass'
      return result
    end
  end
  result.reason = 'no name of the address leads back to it'
  return result
end

---The same for the peer a message came from.
---@param msg kumo.Message
---@param resolver? string
---@return table
function mod.iprev_msg(msg, resolver)
  local ip = ip_of(msg:get_meta 'received_from')
  if not ip then
    return { method = 'iprev', result = 'permerror', reason = 'the peer is not known', props = {} }
  end
  return mod.iprev(ip, resolver)
end

---check(msg, { dkim?, spf?, iprev?, smtp_auth?, dmarc?, arc?, add_auth_results_header?, server_id?, resolver? })
---Every check is done unless it is set to false.
---@param msg kumo.Message
---@param options? table
---@return table
function mod.check(msg, options)
  options = options or {}
  for key in pairs(options) do
    if not contains(OPTIONS, key) then
      error(string.format('mail_auth.check: unknown option `%s`, expected one of %s', key, table.concat(OPTIONS, ', ')), 2)
    end
  end
  local function wanted(name)
    return options[name] ~= false
  end
  local resolver = options.resolver
  local out, all = {}, {}
  local function add(name, result)
    out[name] = result
    table.insert(all, result)
  end
  if wanted 'dkim' or wanted 'dmarc' then
    out.dkim = msg:dkim_verify(resolver)
    if wanted 'dkim' then
      for _, result in ipairs(out.dkim) do
        table.insert(all, result)
      end
    end
  end
  local spf
  if wanted 'spf' or wanted 'dmarc' then
    spf = kumo.spf.check_msg(msg, resolver).result
    if wanted 'spf' then
      add('spf', spf)
    end
  end
  if wanted 'iprev' then
    add('iprev', mod.iprev_msg(msg, resolver))
  end
  local identity = msg:get_meta 'authn_id'
  if wanted 'smtp_auth' and identity then
    add('smtp_auth', { method = 'auth', result = 'pass', props = { ['smtp.auth'] = identity } })
  end
  if wanted 'dmarc' then
    add('dmarc', kumo.dmarc.check_msg(msg, out.dkim, resolver, spf).result)
  end
  if wanted 'arc' then
    add('arc', msg:arc_verify(resolver))
  end
  if wanted 'add_auth_results_header' then
    msg:add_authentication_results(options.server_id or msg:get_meta 'hostname' or 'localhost', all)
  end
  out.all = all
  return out
end

return mod
