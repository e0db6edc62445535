-- The receiving side: who may send, what is taken, what is done to a message before it is queued.
local kumo = require 'kumo'
local constants = require 'policy.constants'

local relay_networks = kumo.cidr.make_map()
for _, network in ipairs(constants.relay_hosts) do
  relay_networks[network] = true
end

-- Compares without ending early, so that the time taken tells nothing about where two texts differ.
local function same(a, b)
  local difference = #a ~ #b
  for i = 1, #a do
    difference = difference | (a:byte(i) ~ (b:byte((i - 1) % math.max(#b, 1) + 1) or 0))
  end
  return difference == 0
end

local function authenticated(conn_meta)
  return conn_meta:get_meta 'authn_id' ~= nil
end

local function may_relay(conn_meta)
  local peer = conn_meta:get_meta 'received_from'
  return authenticated(conn_meta) or (peer ~= nil and relay_networks[peer] == true)
end

local function check_login(user, password)
  if not constants.smtp_user or not constants.smtp_password or constants.smtp_password == '' then
    kumo.log_error 'AUTH refused: set RINGMTA_SMTP_USER and RINGMTA_SMTP_PASSWORD to allow logins'
    return false
  end
  local user_matches = same(user, constants.smtp_user)
  local password_matches = same(password, constants.smtp_password)
  return user_matches and password_matches
end

kumo.on('smtp_server_auth_plain', function(authz, authc, password, conn_meta)
  -- Acting for somebody else is not offered.
  if authz ~= '' and authz ~= authc then
    return false
  end
  return check_login(authc, password)
end)

kumo.on('http_server_validate_auth_basic', function(user, password)
  return check_login(user, password or '')
end)

kumo.on('smtp_server_ehlo', function(domain, conn_meta)
  if domain == '' or string.find(domain, '%s') then
    kumo.reject(501, '5.5.2 EHLO needs a host name or an address literal')
  end
  -- Who claims to be us is no honest client.
  if string.lower(domain) == string.lower(conn_meta:get_meta 'hostname' or '\0') and not may_relay(conn_meta) then
    kumo.reject(550, '5.7.1 that is my own name')
  end
end)

kumo.on('smtp_server_mail_from', function(sender, conn_meta)
  if not may_relay(conn_meta) then
    kumo.reject(550, '5.7.1 relaying denied: log in first')
  end
end)

kumo.on('smtp_server_rcpt_to', function(recipient, conn_meta)
  local domain = recipient.domain
  local is_literal = string.sub(domain, 1, 1) == '['
  if domain == '' or (not is_literal and not string.find(domain, '.', 1, true)) then
    kumo.reject(550, '5.1.2 the domain of <' .. tostring(recipient) .. '> is not a full name')
  end
  -- Mail to an address literal would go around MX and limits.
  if is_literal and not constants.development then
    kumo.reject(550, '5.1.2 address literals are not accepted')
  end
end)

-- Relaying is decided above, by peer and login; domains of our own would be named here.
kumo.on('get_listener_domain', function(domain, listener, conn_meta)
  return kumo.make_listener_domain { relay_to = may_relay(conn_meta) }
end)

-- Moves a header of ours into metadata: it steers the message and is nobody else's business.
local function take_label(msg, header, key)
  local value = msg:get_first_named_header_value(header)
  if value == nil then
    return
  end
  msg:remove_all_named_headers(header)
  -- Labels become part of queue names, where : @ ! have a meaning.
  value = string.gsub(value, '[^%w%-_.]', '_')
  if value ~= '' then
    msg:set_meta(key, value)
  end
end

-- A constants.lua of before there was a site.lua has none.
local domains = constants.domains or {}

local function sign_with(msg, domain, selector, key)
  msg:dkim_sign(kumo.dkim.rsa_sha256_signer {
    domain = domain,
    selector = selector,
    headers = constants.dkim_headers,
    key = key,
  })
end

local function sign(msg)
  local has_key = constants.dkim_key and constants.dkim_key ~= ''
  if not has_key and next(domains) == nil then
    return
  end
  local from = msg:from_header()
  if not from and not constants.dkim_domain then
    kumo.reject(552, '5.6.0 the message has no valid From header')
  end
  local domain = from and string.lower(from.list[1].domain)
  local own = domains[domain or '']
  if own then
    sign_with(msg, domain, own.selector, own.key)
  elseif has_key then
    sign_with(msg, constants.dkim_domain or domain, constants.dkim_selector, constants.dkim_key)
  end
end

-- A key that is not there is told at start, and while validating, not when the first message is to be signed.
local function look_for_key()
  local path = constants.dkim_key
  if type(path) ~= 'string' or path == '' then
    return true
  end
  local file, why = io.open(path)
  if file then
    file:close()
    return true
  end
  kumo.log_error('the DKIM key cannot be read: ' .. why)
  return false
end
kumo.on('pre_init', look_for_key)
kumo.on('validate_config', function()
  if not look_for_key() then
    kumo.validation_failed()
  end
end)

local function accept(msg)
  take_label(msg, constants.tenant_header, 'tenant')
  take_label(msg, constants.campaign_header, 'campaign')
  -- The signature covers the message as it leaves: last.
  sign(msg)
end

kumo.on('smtp_server_message_received', function(msg, conn_meta)
  accept(msg)
end)

kumo.on('http_message_generated', function(msg)
  accept(msg)
end)
