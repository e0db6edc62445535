-- The global `test` of test files: made-up sessions, messages and HTTP answers for the tree that was loaded.
--
--   test.case('a stranger may not relay', function(t)
--     local s = t.session { peer = '192.0.2.9' }
--     s:mail_from 'a@src.example'
--     t.rejected(s:rcpt_to 'u@elsewhere.example', 550)
--   end)
local native = ...
local kumo = require 'kumo'
local test = { cases = {}, init = {}, fire = native.fire, advance = native.advance, take_injected = native.take_injected, take_calls = native.take_calls }

-- Checks ------------------------------------------------------------------------------------------------------------------

local function show(v)
  if type(v) == 'string' then return string.format('%q', v) end
  if type(v) ~= 'table' then return tostring(v) end
  local ok, text = pcall(kumo.serde.json_encode, v)
  return ok and text or tostring(v)
end

local function same(a, b)
  if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end
  for k, v in pairs(a) do if not same(v, b[k]) then return false end end
  for k in pairs(b) do if a[k] == nil then return false end end
  return true
end

function test.case(name, f)
  if type(name) ~= 'string' or type(f) ~= 'function' then error('test.case: a name and a function are needed', 2) end
  table.insert(test.cases, { name = name, f = f })
end

function test.eq(got, want)
  if not same(got, want) then error('got ' .. show(got) .. ', want ' .. show(want), 2) end
end

function test.ok(value, what)
  if not value then error(what or 'this is not true', 2) end
end

-- The reply refuses, with that code when one is named.
function test.rejected(reply, code)
  if reply.code < 400 then error('it was accepted: ' .. show(reply), 2) end
  if code and reply.code ~= code then error('got ' .. reply.code .. ' ' .. tostring(reply.text) .. ', want ' .. code, 2) end
end

function test.accepted(reply)
  if reply.code >= 400 then error('it was refused: ' .. reply.code .. ' ' .. tostring(reply.text), 2) end
end

-- Sessions ----------------------------------------------------------------------------------------------------------------

local session = {}
session.__index = session

-- { peer?, port?, ehlo?, listener? (its number, or options), auth? (a name), meta? }
function test.session(how)
  how = how or {}
  local listener = how.listener
  if type(listener) ~= 'table' then listener = test.init.esmtp_listeners[listener or 1] or {} end
  local s = setmetatable({ listener = listener, peer = how.peer or '127.0.0.1', recipients = {} }, session)
  local meta = {
    reception_protocol = 'ESMTP',
    received_from = s.peer .. ':' .. (how.port or 40000),
    received_via = listener.listen or '127.0.0.1:25',
    hostname = listener.hostname or 'localhost',
    ehlo_domain = how.ehlo or 'client.test',
    authn_id = how.auth,
    authz_id = how.auth,
  }
  for k, v in pairs(how.meta or {}) do meta[k] = v end
  s.authenticated = how.auth ~= nil
  s.conn = native.conn(meta)
  return s
end

local function reply(outcome, text)
  local r = outcome.rejected
  if r then return { code = r.code, text = r.text, closed = r.closes } end
  return { code = 250, text = text or 'OK', results = outcome.results }
end

function session:connect() return reply(native.fire('smtp_server_connection_accepted', self.conn), 'hello') end

function session:ehlo(domain)
  self.conn:set_meta('ehlo_domain', domain)
  return reply(native.fire('smtp_server_ehlo', domain, self.conn, { 'PIPELINING', 'ENHANCEDSTATUSCODES', '8BITMIME', 'SMTPUTF8' }))
end

function session:auth_plain(user, password, authz)
  local outcome = native.fire('smtp_server_auth_plain', authz or '', user, password, self.conn)
  if outcome.rejected then return reply(outcome) end
  local granted = outcome.results and outcome.results[1]
  if not granted then return { code = 535, text = '5.7.8 AUTH invalid' } end
  local name = type(granted) == 'table' and granted.identities and granted.identities[1] or (authz and authz ~= '' and authz or user)
  self.authenticated = true
  self.conn:set_meta('authn_id', name)
  self.conn:set_meta('authz_id', name)
  return { code = 235, text = '2.7.0 AUTH OK' }
end

function session:mail_from(sender)
  self.sender, self.recipients = sender, {}
  return reply(native.fire('smtp_server_mail_from', native.address(sender), self.conn))
end

local function domain_of(address) return (address:match '@([^@]*)$' or ''):lower() end

-- As the engine decides who may relay.
local function may_relay(self, recipient)
  if self.authenticated or native.in_networks(self.peer, self.listener.relay_hosts or { '127.0.0.1', '::1' }) then return true end
  local listen = self.listener.listen or '127.0.0.1:25'
  local function ask(domain)
    local outcome = native.fire('get_listener_domain', domain, listen, self.conn)
    return outcome.results and outcome.results[1] or nil, outcome
  end
  local to, from = domain_of(recipient), domain_of(self.sender or '')
  local found, outcome = ask(to)
  if outcome.rejected then return false, reply(outcome) end
  if found and (found.relay_to or native.in_networks(self.peer, found.relay_from or {})) then return true end
  if from == '' or from == to then return false end
  found, outcome = ask(from)
  if outcome.rejected then return false, reply(outcome) end
  return found ~= nil and native.in_networks(self.peer, found.relay_from or {})
end

function session:rcpt_to(recipient)
  if not self.sender then return { code = 503, text = '5.5.0 no MAIL FROM' } end
  local allowed, refusal = may_relay(self, recipient)
  if not allowed then return refusal or { code = 550, text = '5.7.1 relaying not permitted' } end
  local r = reply(native.fire('smtp_server_rcpt_to', native.address(recipient), self.conn))
  if r.code < 400 then table.insert(self.recipients, recipient) end
  return r
end

-- One transaction's content; the reply has the resulting messages in `messages`.
function session:data(content)
  if #self.recipients == 0 then return { code = 503, text = '5.5.0 no RCPT TO' } end
  local whole = native.message(self.sender, self.recipients, content, native.meta_of(self.conn))
  local r = reply(native.fire('smtp_server_data', whole, self.conn))
  if r.code >= 400 then return r end
  local outcome = native.fire('smtp_server_split_transaction', whole, self.conn)
  if outcome.rejected then return reply(outcome) end
  local groups = outcome.results and outcome.results[1]
  if not groups then
    groups = {}
    local by_domain = self.listener.batch_handling == 'BatchByDomain' and {} or nil
    for _, recipient in ipairs(whole:recipient_list()) do
      local domain = recipient.domain:lower()
      if by_domain and by_domain[domain] then
        table.insert(by_domain[domain], recipient.email)
      else
        local group = { recipient.email }
        table.insert(groups, group)
        if by_domain then by_domain[domain] = group end
      end
    end
  end
  local messages = {}
  for _, group in ipairs(groups) do
    local addresses = {}
    for _, a in ipairs(group) do table.insert(addresses, tostring(a)) end
    local m = native.message(tostring(whole:sender()), addresses, whole:get_data(), native.meta_of(whole))
    r = reply(native.fire('smtp_server_message_received', m, self.conn))
    if r.code >= 400 then return r end
    table.insert(messages, m)
  end
  self.sender, self.recipients = nil, {}
  return { code = 250, text = 'OK', messages = messages }
end

-- MAIL, RCPT and DATA in one go: the first refusal, or the reply to the content.
function session:send(sender, recipients, content)
  if type(recipients) == 'string' then recipients = { recipients } end
  local r = self:mail_from(sender)
  if r.code >= 400 then return r end
  for _, recipient in ipairs(recipients) do
    r = self:rcpt_to(recipient)
    if r.code >= 400 then return r end
  end
  return self:data(content)
end

-- Injection and configuration ---------------------------------------------------------------------------------------------

-- A message as the HTTP API makes it: { sender, recipient, content, meta?, auth? }.
function test.http_message(how)
  local meta = { reception_protocol = 'HTTP' }
  for k, v in pairs(how.meta or {}) do meta[k] = v end
  local m = native.message(how.sender, { how.recipient }, how.content, meta)
  local r = reply(native.fire('http_message_generated', m, how.auth or {}))
  r.messages = { m }
  return r
end

function test.message(how)
  return native.message(how.sender or 'a@src.example', { how.recipient or 'u@dst.example' }, how.content or 'Subject: test\r\n\r\ntest\r\n', how.meta or {})
end

local function ask(event, ...)
  local outcome = native.fire(event, ...)
  if outcome.rejected then error(event .. ' was refused: ' .. outcome.rejected.text, 3) end
  return outcome.results and outcome.results[1] or nil
end

-- What the tree says of the queue `campaign:tenant@domain!routing_domain`, or of a message's queue.
function test.queue_config(queue)
  if type(queue) ~= 'string' then queue = queue:queue_name() end
  local config = kumo.invoke_get_queue_config(queue)
  return config or kumo.make_queue_config {}
end
function test.egress_pool(name) return ask('get_egress_pool', name) end
function test.egress_source(name) return ask('get_egress_source', name) end
function test.egress_path(domain, source, site)
  return ask('get_egress_path_config', domain, source or 'unspecified', site or domain) or kumo.make_egress_path {}
end

-- HTTP ---------------------------------------------------------------------------------------------------------------------

local answer
local seen = {}

-- Answers the tree's HTTP requests: f { method, url, headers, body } -> { status?, headers?, body? }.
function test.http(f) answer = f end
-- The requests since the last time this was asked.
function test.take_requests()
  local list = seen
  seen = {}
  return list
end

local function response(r)
  local status = r.status or 200
  local o = {}
  function o:status_code() return status end
  function o:status_reason() return r.reason or (status < 400 and 'OK' or 'Error') end
  function o:status_is_informational() return status < 200 end
  function o:status_is_success() return status >= 200 and status < 300 end
  function o:status_is_redirection() return status >= 300 and status < 400 end
  function o:status_is_client_error() return status >= 400 and status < 500 end
  function o:status_is_server_error() return status >= 500 end
  function o:headers() return r.headers or {} end
  function o:content_length() return #(r.body or '') end
  function o:text() return r.body or '' end
  function o:bytes() return r.body or '' end
  return o
end

local function request(method, url, headers)
  local q = { method = method, url = url, headers = {}, body = '' }
  for k, v in pairs(headers or {}) do q.headers[k:lower()] = v end
  local o = {}
  function o:header(k, v) q.headers[k:lower()] = v return self end
  function o:headers(t) for k, v in pairs(t) do q.headers[k:lower()] = v end return self end
  function o:timeout() return self end
  function o:body(b) q.body = b return self end
  function o:basic_auth(u, p) return self:header('authorization', 'Basic ' .. kumo.encode.base64_encode(u .. ':' .. (p or ''))) end
  function o:bearer_auth(t) return self:header('authorization', 'Bearer ' .. t) end
  function o:form_url_encoded(t) q.form, q.body = t, kumo.http.build_url('x', t):sub(3) return self end
  function o:form_multipart_data(t) q.form = t return self end
  function o:aws_sign_v4() return self:header('authorization', 'AWS4-HMAC-SHA256') end
  function o:send()
    table.insert(seen, q)
    if not answer then error('a test sends no HTTP requests: answer ' .. method .. ' ' .. url .. ' with test.http(function(request) ... end)', 2) end
    return response(answer(q) or {})
  end
  return o
end

function kumo.http.build_client(params)
  local c = {}
  for _, method in ipairs { 'get', 'post', 'put', 'delete' } do
    c[method] = function(_, url) return request(method:upper(), url, params and params.headers) end
  end
  function c:close() end
  return c
end

_G.test = test
return test
