-- DKIM signing by the domain of the From header, read from files.
--
--   [base]               selector, headers, expiration, over_sign, header_canonicalization, body_canonicalization,
--                        additional_signatures = { 'name' }, vault_mount, vault_path_prefix
--   [domain."d"]         selector, headers, algo = 'sha256' or 'ed25519', filename, ...
--   [domain."*.d"]       the same for all domains below that have no section of their own
--   [signature."name"]   the same with `domain`, and policy = 'Always' or 'OnlyIfMissingDomainBlock'
local kumo = require 'kumo'
local utils = require 'policy-extras.policy_utils'
local mod = {}

local DEFAULT_HEADERS = { 'From', 'To', 'Subject', 'Date', 'MIME-Version', 'Content-Type', 'Sender' }

local SIGNER_OPTIONS =
  { 'selector', 'headers', 'expiration', 'over_sign', 'header_canonicalization', 'body_canonicalization' }

-- Where the key is: a file, or a secret of Vault where the base names a mount.
local function key_of(base, entry, domain, selector)
  if base.vault_mount then
    local prefix = (base.vault_path_prefix or 'dkim'):gsub('/+$', '')
    return {
      vault_mount = base.vault_mount,
      vault_path = entry.filename or string.format('%s/%s/%s', prefix, domain, selector),
    }
  end
  return entry.filename or string.format('/opt/kumomta/etc/dkim/%s/%s.key', domain, selector)
end

local function signer(base, entry, domain)
  local params = { domain = domain, headers = DEFAULT_HEADERS }
  for _, option in ipairs(SIGNER_OPTIONS) do
    if entry[option] ~= nil then
      params[option] = entry[option]
    elseif base[option] ~= nil then
      params[option] = base[option]
    end
  end
  if not params.selector then
    error(string.format('no DKIM selector for domain `%s`', domain))
  end
  params.key = key_of(base, entry, domain, params.selector)
  if entry.algo == 'ed25519' then
    return kumo.dkim.ed25519_signer(params)
  end
  return kumo.dkim.rsa_sha256_signer(params)
end

local function load(files)
  local data = utils.load_files(files)
  data.by_domain = kumo.domain_map.new(data.domain)
  data.domain = nil
  return data
end

-- What is wrong with the keys that the files name.
local function problems(files)
  local ok, data = pcall(utils.load_files, files)
  if not ok then
    return { 'DKIM: ' .. tostring(data) }
  end
  local base, out = data.base or {}, {}
  local function try(entry, domain)
    local ok, why = pcall(signer, base, entry, domain)
    if not ok then
      table.insert(out, string.format('DKIM for `%s`: %s', domain, why))
    end
  end
  for domain, entry in pairs(data.domain or {}) do
    -- Which domains a wildcard stands for, and so the places of their keys, mail will tell.
    if entry.policy ~= 'Never' and (entry.filename or not domain:find('*', 1, true)) then
      try(entry, domain)
    end
  end
  for _, entry in pairs(data.signature or {}) do
    if entry.domain then
      try(entry, entry.domain)
    end
  end
  table.sort(out)
  return out
end

---Returns a function that signs a message.
---@param files string[]
---@return fun(msg: kumo.Message)
function mod:setup(files)
  local cached = kumo.memoize(load, {
    name = 'policy-extras.dkim_sign',
    ttl = '5 minutes',
    capacity = 4,
    invalidate_with_epoch = true,
  })
  -- Said at start and while validating, not when the first message is to be signed.
  kumo.on('pre_init', function()
    for _, why in ipairs(problems(files)) do
      kumo.log_error(why)
    end
  end)
  kumo.on('validate_config', function()
    if #problems(files) > 0 then
      kumo.validation_failed()
    end
  end)
  return function(msg)
    local data = cached(files)
    local base = data.base or {}
    local from = msg:from_header()
    if not from then
      kumo.reject(552, '5.6.0 the message has no valid From header')
    end
    local domain = string.lower((from.list[1] or from).domain)
    local entry = data.by_domain[domain]
    if entry and entry.policy ~= 'Never' then
      msg:dkim_sign(signer(base, entry, domain))
    end
    for _, name in ipairs(base.additional_signatures or {}) do
      local extra = (data.signature or {})[name]
      if not extra or not extra.domain then
        error(string.format('signature `%s` is not defined, or has no domain', name))
      end
      if extra.policy ~= 'OnlyIfMissingDomainBlock' or not entry then
        msg:dkim_sign(signer(base, extra, extra.domain))
      end
    end
  end
end

return mod
