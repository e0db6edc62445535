---@meta
-- Objects that handlers get and functions give.

---An address of the envelope.
---@class kumo.EnvelopeAddress
---@field user string The local part.
---@field domain string The domain.
---@field email string All of it.

---A header that holds addresses. All but `list` need a single address.
---@class kumo.AddressHeader
---@field user string The local part.
---@field domain string The domain.
---@field email string The address.
---@field name string|nil The display name.
---@field list table All addresses.

---Who somebody is, as far as he has shown it.
---@class kumo.AuthInfo
---@field identities table Names he has shown to be his.
---@field groups table Groups he belongs to.
---@field peer_address string|nil Address he connects from.

---A record: metadata `log_record` of what a log hook gets.
---@class kumo.LogRecord
---@field type string `Reception`, `Delivery`, `Bounce`, `TransientFailure`, `Expiration`, `AdminBounce`, `OOB`, `Feedback`, `Rejection`, `Delayed`, ...
---@field id string Id of the message.
---@field sender string Envelope sender.
---@field recipient any Envelope recipient, a list where there are several.
---@field queue string Scheduled queue.
---@field site string Ready queue.
---@field size integer Bytes of the message.
---@field response table `{ code, enhanced_code, content, command }`.
---@field peer_address table|nil `{ name, addr }` of the other side.
---@field timestamp integer When it happened, seconds of the Unix epoch.
---@field event_time string The same, RFC 3339.
---@field created integer When the message was taken, seconds of the Unix epoch.
---@field created_time string The same, RFC 3339.
---@field num_attempts integer Finished attempts before this one.
---@field bounce_classification string Category of a failure.
---@field egress_pool string|nil Pool of the source.
---@field egress_source string|nil Source.
---@field source_address table|nil `{ address }` it left from.
---@field feedback_report table|nil What a feedback report says.
---@field meta table Metadata that the hook asks for.
---@field headers table Headers that the hook asks for.
---@field delivery_protocol string|nil `ESMTP`, `LMTP`, `Lua`, `Maildir`.
---@field reception_protocol string|nil `ESMTP`, `HTTP`, ...
---@field nodeid string Id of the installation.
---@field session_id string|nil Id of the connection.

---A message.
---@class kumo.Message
local Message = {}

---Its id.
---@return string
function Message:id() end

---The envelope sender; all its parts are empty for a null sender.
---@return kumo.EnvelopeAddress
function Message:sender() end

---Sets the envelope sender.
---@param address kumo.EnvelopeAddress|string
function Message:set_sender(address) end

---The envelope recipient; a list of them when there are several.
---@return any
function Message:recipient() end

---The envelope recipients.
---@return kumo.EnvelopeAddress[]
function Message:recipient_list() end

---Sets the envelope recipient, or a list of them.
---@param address any
function Message:set_recipient(address) end

---An entry of the metadata, nil when there is none.
---@param name string
---@return any
function Message:get_meta(name) end

---Sets an entry of the metadata; nil removes it. `queue`, `tenant`, `campaign` and `routing_domain` say where it goes.
---@param name string
---@param value any
function Message:set_meta(name, value) end

---The whole message, headers and body.
---@return string
function Message:get_data() end

---Sets the whole message.
---@param data string
function Message:set_data(data) end

---The From header.
---@return kumo.AddressHeader|nil
function Message:from_header() end

---The To header.
---@return kumo.AddressHeader|nil
function Message:to_header() end

---A header that holds addresses.
---@param name string
---@return kumo.AddressHeader|nil
function Message:get_address_header(name) end

---The value of the first header of this name.
---@param name string
---@return string|nil
function Message:get_first_named_header_value(name) end

---The values of all headers of this name.
---@param name string
---@return string[]
function Message:get_all_named_header_values(name) end

---All headers, as pairs of name and value.
---@return table
function Message:get_all_headers() end

---Adds a header behind the others; folded and encoded when `encode` is true.
---@param name string
---@param value string
---@param encode? boolean
function Message:append_header(name, value, encode) end

---Adds a header before the others; folded and encoded when `encode` is true.
---@param name string
---@param value string
---@param encode? boolean
function Message:prepend_header(name, value, encode) end

---Removes all headers of this name.
---@param name string
function Message:remove_all_named_headers(name) end

---Removes these headers, or all whose names begin with X-.
---@param names? string[]
function Message:remove_x_headers(names) end

---Copies headers to the metadata, under names in lower case with underscores.
---@param names string[]
function Message:import_headers(names) end

---The same of these headers, or of all whose names begin with X-.
---@param names? string[]
function Message:import_x_headers(names) end

---Takes the schedule from a header with JSON.
---@param name string
---@param remove? boolean
---@return any
function Message:import_scheduling_header(name, remove) end

---Sets when it may be tried: `first_attempt`, `expires`, `tz`, `dow`, `start`, `end`.
---@param schedule table
---@return any
function Message:set_scheduling(schedule) end

---Sets when the next attempt is due.
---@param due any
function Message:set_due(due) end

---Finished attempts.
---@return integer
function Message:num_attempts() end

---Counts one more.
function Message:increment_num_attempts() end

---The name of its scheduled queue.
---@return string
function Message:queue_name() end

---Adds a DKIM signature.
---@param signer any
function Message:dkim_sign(signer) end

---The results of its DKIM signatures.
---@param resolver? string
---@return table[]
function Message:dkim_verify(resolver) end

---The result of its ARC chain.
---@param resolver? string
---@return table
function Message:arc_verify(resolver) end

---Adds an ARC set.
---@param signer any
---@param server_id string
---@param results any
---@param extra? any
function Message:arc_seal(signer, server_id, results, extra) end

---Adds an Authentication-Results header.
---@param server_id string
---@param results table
function Message:add_authentication_results(server_id, results) end

---Raises an error for what does not conform and is not fixed.
---@param check string
---@param fix string
---@param options? table
function Message:check_fix_conformance(check, fix, options) end

---The message, taken apart into MIME parts.
---@return any
function Message:parse_mime() end

---The delivery report it is, or nil.
---@return table|nil
function Message:parse_rfc3464() end

---The feedback report it is, or nil.
---@return table|nil
function Message:parse_rfc5965() end

---Adds to the first text/plain part; whether there was one.
---@param text string
---@return boolean
function Message:append_text_plain(text) end

---Adds to the first text/html part; whether there was one.
---@param text string
---@return boolean
function Message:append_text_html(text) end

---Does nothing: every accepted message is durable.
function Message:save() end

---Does nothing: every accepted message is durable.
---@param force boolean
function Message:set_force_sync(force) end

---Does nothing: bodies leave memory by the engine's budget.
---@return any
function Message:shrink() end

---Does nothing: bodies leave memory by the engine's budget.
---@return any
function Message:shrink_data() end

---A connection, while it lasts.
---@class kumo.ConnMeta
local ConnMeta = {}

---An entry: `received_from`, `received_via`, `hostname`, `authn_id`, `tls_cipher`, or one that was set.
---@param name string
---@return any
function ConnMeta:get_meta(name) end

---Sets an entry for the rest of the connection.
---@param name string
---@param value any
function ConnMeta:set_meta(name, value) end

---Who it is of.
---@return kumo.AuthInfo
function ConnMeta:auth_info() end

---A limit that has a name; throttles of one name share it.
---@class kumo.Throttle
local Throttle = {}

---Takes one: `{ throttled, limit, remaining, reset_after, retry_after }`.
---@return table
function Throttle:throttle() end

---Takes one; where there is none the message is put off, and the answer is true.
---@param msg kumo.Message
---@return boolean
function Throttle:delay_message_if_throttled(msg) end

---Takes one, when need be after a while; whether it waited.
---@return boolean
function Throttle:sleep_if_throttled() end

---What the rate comes to, in words.
---@return string
function Throttle:explain() end

---Makes HTTP requests, over connections that it keeps.
---@class kumo.HttpClient
local HttpClient = {}

---A request.
---@param url string
---@return kumo.HttpRequest
function HttpClient:get(url) end

---A request.
---@param url string
---@return kumo.HttpRequest
function HttpClient:post(url) end

---A request.
---@param url string
---@return kumo.HttpRequest
function HttpClient:put(url) end

---Closes its connections.
function HttpClient:close() end

---A request that is put together.
---@class kumo.HttpRequest
local HttpRequest = {}

---Sets a header.
---@param name string
---@param value string
---@return kumo.HttpRequest
function HttpRequest:header(name, value) end

---Sets headers.
---@param headers table<string, string>
---@return kumo.HttpRequest
function HttpRequest:headers(headers) end

---Sets the body.
---@param body string
---@return kumo.HttpRequest
function HttpRequest:body(body) end

---Sets how long the answer may take.
---@param duration any
---@return kumo.HttpRequest
function HttpRequest:timeout(duration) end

---Adds a user and a password.
---@param user string
---@param password? string
---@return kumo.HttpRequest
function HttpRequest:basic_auth(user, password) end

---Adds a token.
---@param token string
---@return kumo.HttpRequest
function HttpRequest:bearer_auth(token) end

---Sets a form as the body.
---@param fields table
---@return kumo.HttpRequest
function HttpRequest:form_url_encoded(fields) end

---Sets a form of several parts as the body.
---@param fields table
---@return kumo.HttpRequest
function HttpRequest:form_multipart_data(fields) end

---Signs it as AWS wants it: `access_key`, `secret_key`, `region`, `service`.
---@param options table
---@return kumo.HttpRequest
function HttpRequest:aws_sign_v4(options) end

---Sends it and waits for the answer.
---@return kumo.HttpResponse
function HttpRequest:send() end

---An answer.
---@class kumo.HttpResponse
local HttpResponse = {}

---Its code.
---@return integer
function HttpResponse:status_code() end

---What is behind the code.
---@return string
function HttpResponse:status_reason() end

---Whether the code is 1xx.
---@return boolean
function HttpResponse:status_is_informational() end

---Whether the code is 2xx.
---@return boolean
function HttpResponse:status_is_success() end

---Whether the code is 3xx.
---@return boolean
function HttpResponse:status_is_redirection() end

---Whether the code is 4xx.
---@return boolean
function HttpResponse:status_is_client_error() end

---Whether the code is 5xx.
---@return boolean
function HttpResponse:status_is_server_error() end

---Its headers, names in lower case.
---@return table<string, string>
function HttpResponse:headers() end

---How long the body is said to be.
---@return integer|nil
function HttpResponse:content_length() end

---The body as text.
---@return string
function HttpResponse:text() end

---The body.
---@return string
function HttpResponse:bytes() end
