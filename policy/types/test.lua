---@meta
-- The global `test` of test files (`ringmta test`): made-up sessions, messages and HTTP answers for the tree that is loaded.

---A reply, as a client reads it.
---@class test.Reply
---@field code integer The code.
---@field text string What is behind it.
---@field closed? boolean The connection is closed.
---@field results? any[] What the handlers returned.
---@field messages kumo.Message[] After DATA: the resulting messages.

---How a session is opened.
---@class test.SessionOptions
---@field peer? string Address of the client; 127.0.0.1 when absent.
---@field port? integer Its port.
---@field ehlo? string Its name.
---@field listener? integer|table Which listener of the tree, by number, or its options.
---@field auth? string Who has logged in.
---@field meta? table Entries of the connection's metadata.

---An SMTP session.
---@class test.Session
---@field conn kumo.ConnMeta The connection.
local Session = {}

---The connection, before the greeting.
---@return test.Reply
function Session:connect() end

---EHLO.
---@param domain string
---@return test.Reply
function Session:ehlo(domain) end

---AUTH PLAIN.
---@param user string
---@param password string
---@param authz? string
---@return test.Reply
function Session:auth_plain(user, password, authz) end

---MAIL FROM.
---@param sender string
---@return test.Reply
function Session:mail_from(sender) end

---RCPT TO.
---@param recipient string
---@return test.Reply
function Session:rcpt_to(recipient) end

---One transaction's content.
---@param content string
---@return test.Reply
function Session:data(content) end

---MAIL, RCPT and DATA in one go: the first refusal, or the reply to the content.
---@param sender string
---@param recipients string|string[]
---@param content string
---@return test.Reply
function Session:send(sender, recipients, content) end

---A made-up message.
---@class test.MessageOptions
---@field sender? string
---@field recipient? string
---@field content? string Headers and body.
---@field meta? table
---@field auth? table For `http_message`: who injects it.

---A request of the tree to somebody else.
---@class test.Request
---@field method string
---@field url string
---@field headers table<string, string> Names in lower case.
---@field body string
---@field form? table

---What such a request is answered.
---@class test.Answer
---@field status? integer 200 when absent.
---@field reason? string
---@field headers? table<string, string>
---@field body? string

---@class test
---@field init table What `init` has set up: `spools`, `local_logs`, `esmtp_listeners`, `http_listeners`, ...
test = {}

---A case, with its name; `t` is `test` itself.
---@param name string
---@param f fun(t: test)
function test.case(name, f) end

---Fails unless both are the same, tables by what is in them.
---@param got any
---@param want any
function test.eq(got, want) end

---Fails unless the value is true.
---@param value any
---@param what? string
function test.ok(value, what) end

---Fails unless the reply refuses, with that code when one is named.
---@param reply test.Reply
---@param code? integer
function test.rejected(reply, code) end

---Fails when the reply refuses.
---@param reply test.Reply
function test.accepted(reply) end

---Opens a session.
---@param how? test.SessionOptions
---@return test.Session
function test.session(how) end

---A message as the HTTP API makes it.
---@param how test.MessageOptions
---@return test.Reply
function test.http_message(how) end

---A message.
---@param how test.MessageOptions
---@return kumo.Message
function test.message(how) end

---What the tree says of a queue, `campaign:tenant@domain!routing_domain`, or of a message's queue.
---@param queue string|kumo.Message
---@return any
function test.queue_config(queue) end

---What the tree says of a pool.
---@param name string
---@return any
function test.egress_pool(name) end

---What the tree says of a source.
---@param name string
---@return any
function test.egress_source(name) end

---What the tree says of a path.
---@param domain string
---@param source? string
---@param site? string
---@return any
function test.egress_path(domain, source, site) end

---Answers the tree's HTTP requests.
---@param f fun(request: test.Request): test.Answer|nil
function test.http(f) end

---The requests since the last time this was asked.
---@return test.Request[]
function test.take_requests() end

---Fires an event; what the handlers returned, or how they refused.
---@param event string
---@param ... any
---@return table
function test.fire(event, ...) end

---Lets time pass.
---@param seconds number
function test.advance(seconds) end

---The messages the tree has injected since the last time this was asked.
---@return kumo.Message[]
function test.take_injected() end

---The calls of the HTTP API the tree has made since the last time this was asked.
---@return table[]
function test.take_calls() end
