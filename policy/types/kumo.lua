---@meta
-- Generated from the option tables of ringmta: do not edit.

---@class kumo
local kumo = {}

---once per process, before `init`.
---@overload fun(event: 'pre_init', handler: fun(): any)
---once per process: the place for listeners, spools and loggers.
---@overload fun(event: 'init', handler: fun(): any)
---only while validating.
---@overload fun(event: 'validate_config', handler: fun(): any)
---only in script mode.
---@overload fun(event: 'main', handler: fun(...: any): any)
---per message found in the spool at start.
---@overload fun(event: 'spool_message_enumerated', handler: fun(msg: kumo.Message): any)
---before loggers close.
---@overload fun(event: 'shutdown_logging', handler: fun(): any)
---per connection, before it is accepted.
---@overload fun(event: 'smtp_server_get_dynamic_parameters', handler: fun(listener: string, conn_meta: kumo.ConnMeta): any)
---before the greeting.
---@overload fun(event: 'smtp_server_connection_accepted', handler: fun(conn_meta: kumo.ConnMeta): any)
---EHLO and HELO.
---@overload fun(event: 'smtp_server_ehlo', handler: fun(domain: string, conn_meta: kumo.ConnMeta, extensions: any): any)
---AUTH PLAIN.
---@overload fun(event: 'smtp_server_auth_plain', handler: fun(authz: string, authc: string, password: string, conn_meta: kumo.ConnMeta): any)
---who may relay to or from a domain.
---@overload fun(event: 'get_listener_domain', handler: fun(domain: string, listener: string, conn_meta: kumo.ConnMeta): any)
---MAIL FROM.
---@overload fun(event: 'smtp_server_mail_from', handler: fun(sender: kumo.EnvelopeAddress, conn_meta: kumo.ConnMeta): any)
---RCPT TO.
---@overload fun(event: 'smtp_server_rcpt_to', handler: fun(recipient: kumo.EnvelopeAddress, conn_meta: kumo.ConnMeta): any)
---once per transaction, after DATA.
---@overload fun(event: 'smtp_server_data', handler: fun(msg: kumo.Message, conn_meta: kumo.ConnMeta): any)
---how recipients are grouped into messages.
---@overload fun(event: 'smtp_server_split_transaction', handler: fun(msg: kumo.Message, conn_meta: kumo.ConnMeta): any)
---per resulting message.
---@overload fun(event: 'smtp_server_message_received', handler: fun(msg: kumo.Message, conn_meta: kumo.ConnMeta): any)
---instead of the former with deferred_queue.
---@overload fun(event: 'smtp_server_message_deferred_inject', handler: fun(msg: kumo.Message, conn_meta: kumo.ConnMeta): any)
---before every reply.
---@overload fun(event: 'smtp_server_rewrite_response', handler: fun(status: any, text: any, command: any, conn_meta: kumo.ConnMeta): any)
---HTTP Basic credentials.
---@overload fun(event: 'http_server_validate_auth_basic', handler: fun(user: string, password: string): any)
---HTTP bearer credentials.
---@overload fun(event: 'http_server_validate_auth_bearer', handler: fun(token: string): any)
---per message made by the injection API.
---@overload fun(event: 'http_message_generated', handler: fun(msg: kumo.Message, auth_info: kumo.AuthInfo): any)
---authorisation checks.
---@overload fun(event: 'get_acl_definition', handler: fun(resource: string): any)
---how a scheduled queue behaves.
---@overload fun(event: 'get_queue_config', handler: fun(domain: string, tenant: string|nil, campaign: string|nil, routing_domain: string|nil): any)
---the sources of a pool.
---@overload fun(event: 'get_egress_pool', handler: fun(name: string): any)
---one source.
---@overload fun(event: 'get_egress_source', handler: fun(name: string): any)
---how connections to a site behave.
---@overload fun(event: 'get_egress_path_config', handler: fun(routing_domain: string, source: string, site: string): any)
---a message is about to become ready.
---@overload fun(event: 'throttle_insert_ready_queue', handler: fun(msg: kumo.Message): any)
---a message goes back to its queue.
---@overload fun(event: 'requeue_message', handler: fun(msg: kumo.Message, response: any, context: any, increment_attempts: any, delay: any): any)
---a message is moved by an operator.
---@overload fun(event: 'rebind_message', handler: fun(msg: kumo.Message, data: any): any)
---a response came from the next hop.
---@overload fun(event: 'smtp_client_rewrite_delivery_status', handler: fun(response: any, domain: string, tenant: string|nil, campaign: string|nil, routing_domain: string|nil): any)
---a message came from another node.
---@overload fun(event: 'xfer_message_received', handler: fun(msg: kumo.Message, auth_info: kumo.AuthInfo): any)
---whether a log hook gets a record.
---@overload fun(event: 'should_enqueue_log_record', handler: fun(msg: kumo.Message, hook: string): any)
---@param event string
---@param handler function
function kumo.on(event, handler) end

kumo.aaa = {}

---@param options kumo.AccountingLogOptions
function kumo.aaa.configure_acct_log(options) end

---Rules for many resources, of a TOML file or another key source; `map:get(resource)` gives a resource's list or nil.
---@param source any
---@return any
function kumo.aaa.load_acl_map(source) end

---Rules for one resource, for `get_acl_definition`: `{ criteria = ..., privilege = 'GET', access = 'Allow' }` each.
---@param rules table[]
---@return any
function kumo.aaa.make_access_control_list(rules) end

---What `query_resource_access` is asked about: a URL of the listener at this address.
---@param local_addr string
---@param url string
---@return any
function kumo.aaa.make_http_url_resource(local_addr, url) end

---Whether somebody may do something: `{ allow, rule, resource }`.
---@param resource any
---@param auth_info any
---@param privilege string
---@return table
function kumo.aaa.query_resource_access(resource, auth_info, privilege) end

---How long the answers of `get_acl_definition` are remembered; 5 minutes unless set.
---@param ttl any
function kumo.aaa.set_acl_cache_ttl(ttl) end

function kumo.aaa.set_check_cache_ttl(...) end

---Whether the rules that are built in hold where `get_acl_definition` gives none.
---@param falls_back boolean
function kumo.aaa.set_fall_back_to_acl_map(falls_back) end

kumo.amqp = {}

---@param options kumo.AmqpPublishOptions
function kumo.amqp.basic_publish(options) end

---A client that publishes, by the URI of its server.
---@param uri string
---@return any
function kumo.amqp.build_client(uri) end

kumo.api = {}

kumo.api.admin = {}

kumo.api.admin.bounce = {}

---Fails the mail of scheduled queues.
---@param order table
---@return table
function kumo.api.admin.bounce.bounce(order) end

---Ends an order.
---@param id any
---@return any
function kumo.api.admin.bounce.delete(id) end

---The orders in force.
---@return any
function kumo.api.admin.bounce.list() end

kumo.api.admin.suspend = {}

---Ends an order.
---@param id any
---@return any
function kumo.api.admin.suspend.delete(id) end

---The orders in force.
---@return any
function kumo.api.admin.suspend.list() end

---Holds scheduled queues.
---@param order table
---@return table
function kumo.api.admin.suspend.suspend(order) end

kumo.api.admin.suspend_ready_q = {}

---Ends an order.
---@param id any
---@return any
function kumo.api.admin.suspend_ready_q.delete(id) end

---The orders in force.
---@return any
function kumo.api.admin.suspend_ready_q.list() end

---Holds a ready queue.
---@param order table
---@return table
function kumo.api.admin.suspend_ready_q.suspend(order) end

kumo.api.inject = {}

---The messages of such a request, not injected.
---@param request table
---@return kumo.Message[]
function kumo.api.inject.build_v1(request) end

---Injects mail, as `POST /api/inject/v1` does.
---@param request table
---@return table
function kumo.api.inject.inject_v1(request) end

---Adds the header by which reports find their message.
---@param msg any
---@param options? kumo.TraceHeaderOptions
function kumo.apply_supplemental_trace_header(msg, options) end

---Processors this process may use.
---@return integer
function kumo.available_parallelism() end

---Has cached configurations asked for again.
function kumo.bump_config_epoch() end

kumo.cidr = {}

---A table looked up by address: the longest network wins.
---@param values? table
---@return any
function kumo.cidr.make_map(values) end

---What a path allows at most, within other constraints.
---@param path any
---@param other? table
---@return table
function kumo.compute_egress_path_config_constraints(path, other) end

---What a queue lets out at most.
---@param queue any
---@return table
function kumo.compute_queue_config_constraints(queue) end

---Keeps in an SQLite database how much mail each month has received and delivered; `:memory:` keeps nothing.
---@param path string
function kumo.configure_accounting_db_path(path) end

---@param options kumo.BounceClassifierOptions
function kumo.configure_bounce_classifier(options) end

---@param options kumo.HttpLogHookOptions
function kumo.configure_http_log_hook(options) end

---@param options kumo.LocalLogsOptions
function kumo.configure_local_logs(options) end

---@param options kumo.LogDispositionHookOptions
function kumo.configure_log_disposition_hook(options) end

---@param options kumo.LogHookOptions
function kumo.configure_log_hook(options) end

---Counts named throttles in Redis.
---@param options kumo.RedisOptions
function kumo.configure_redis_throttles(options) end

kumo.counter_series = {}

---@param options kumo.CounterSeriesOptions
---@return any
function kumo.counter_series.define(options) end

kumo.crypto = {}

---Undoes `aes_encrypt_block`.
---@param algorithm 'Cbc'|'Ecb'
---@param data any
---@param key any
---@return string
function kumo.crypto.aes_decrypt_block(algorithm, data, key) end

---Encrypts with AES; with Cbc a random first vector goes in front.
---@param algorithm 'Cbc'|'Ecb'
---@param text string
---@param key any
---@return any
function kumo.crypto.aes_encrypt_block(algorithm, text, key) end

---@param options kumo.AwsSignOptions
---@return any
function kumo.crypto.aws_sign_v4(options) end

---@deprecated Not supported: the event `get_egress_pool` gives each pool: have its handler return kumo.make_egress_pool { name = ..., entries = ... }.
function kumo.define_egress_pool(...) end

---@deprecated Not supported: the event `get_egress_source` gives each source: have its handler return kumo.make_egress_source { name = ... }.
function kumo.define_egress_source(...) end

---@param options kumo.SpoolOptions
function kumo.define_spool(options) end

kumo.digest = {}

---The hash of all parts.
---@param ... string
---@return any
function kumo.digest.crc32(...) end

---The keyed hash (RFC 2104) of a text; the key may be a key source.
---@param key any
---@param text string
---@return any
function kumo.digest.hmac_sha1(key, text) end

---The keyed hash (RFC 2104) of a text; the key may be a key source.
---@param key any
---@param text string
---@return any
function kumo.digest.hmac_sha224(key, text) end

---The keyed hash (RFC 2104) of a text; the key may be a key source.
---@param key any
---@param text string
---@return any
function kumo.digest.hmac_sha256(key, text) end

---The keyed hash (RFC 2104) of a text; the key may be a key source.
---@param key any
---@param text string
---@return any
function kumo.digest.hmac_sha384(key, text) end

---The keyed hash (RFC 2104) of a text; the key may be a key source.
---@param key any
---@param text string
---@return any
function kumo.digest.hmac_sha512(key, text) end

---The hash of all parts.
---@param ... string
---@return any
function kumo.digest.sha1(...) end

---The hash of all parts.
---@param ... string
---@return any
function kumo.digest.sha224(...) end

---The hash of all parts.
---@param ... string
---@return any
function kumo.digest.sha256(...) end

---The hash of all parts.
---@param ... string
---@return any
function kumo.digest.sha384(...) end

---The hash of all parts.
---@param ... string
---@return any
function kumo.digest.sha3_256(...) end

---The hash of all parts.
---@param ... string
---@return any
function kumo.digest.sha3_384(...) end

---The hash of all parts.
---@param ... string
---@return any
function kumo.digest.sha3_512(...) end

---The hash of all parts.
---@param ... string
---@return any
function kumo.digest.sha512(...) end

---The hash of all parts.
---@param ... string
---@return any
function kumo.digest.sha512_256(...) end

---As `reject`, and the session ends.
---@param code integer
---@param text string
---@param how? 'If421'|'FollowWith421'|'ForceDisconnect'
function kumo.disconnect(code, text, how) end

kumo.dkim = {}

---A signer for `msg:dkim_sign`.
---@param options kumo.DkimSignerOptions
---@return any
function kumo.dkim.ed25519_signer(options) end

---A signer for `msg:dkim_sign`.
---@param options kumo.DkimSignerOptions
---@return any
function kumo.dkim.rsa_sha256_signer(options) end

function kumo.dkim.set_signing_threads(...) end

kumo.dmarc = {}

---Checks the author of a message (RFC 7489) by the results of DKIM and SPF.
---@param msg any
---@param signatures table
---@param resolver? string
---@param spf? table
---@param use_reporting? boolean
---@return table
function kumo.dmarc.check_msg(msg, signatures, resolver, spf, use_reporting) end

kumo.dns = {}

---@param options kumo.ResolverOptions|table|string
function kumo.dns.configure_resolver(options) end

---Knows these MTA-STS policies by their domains, and no others.
---@param policies table<string, string>
function kumo.dns.configure_test_mta_sts(policies) end

---Answers all questions from these zones.
---@param zones table
function kumo.dns.configure_test_resolver(zones) end

---As `configure_resolver`; answers are not validated.
---@param options kumo.ResolverOptions
function kumo.dns.configure_unbound_resolver(options) end

---Defines a resolver by its name.
---@param name string
---@param config any
function kumo.dns.define_resolver(name, config) end

---Name servers and search list of a resolv.conf.
---@param path? string
---@return table
function kumo.dns.load_resolv_conf(path) end

---Addresses of a name.
---@param name string
---@param resolver? string
---@param strategy? string
---@return string[]
function kumo.dns.lookup_addr(name, resolver, strategy) end

---The hosts that take the mail of a domain, and the name of their site.
---@param domain string
---@param resolver? string
---@return table
function kumo.dns.lookup_mx(domain, resolver) end

---Names of an address.
---@param ip string
---@param resolver? string
---@return string[]
function kumo.dns.lookup_ptr(ip, resolver) end

---Texts of a name.
---@param name string
---@param resolver? string
---@return string[]
function kumo.dns.lookup_txt(name, resolver) end

---The address in reverse order, with or without the domain of PTR records.
---@param ip string
---@return string
function kumo.dns.ptr_host(ip) end

---Whether a list has an address: what it answers, and why as a second result.
---@param ip string
---@param zone string
---@param resolver? string
---@return string|nil
function kumo.dns.rbl_lookup(ip, zone, resolver) end

---The address in reverse order, with or without the domain of PTR records.
---@param ip string
---@return string
function kumo.dns.reverse_ip(ip) end

---Whether MTA-STS policies are asked for.
---@param enabled boolean
function kumo.dns.set_mta_sts_enabled(enabled) end

function kumo.dns.set_mx_concurrency_limit(...) end

function kumo.dns.set_mx_negative_cache_ttl(...) end

function kumo.dns.set_mx_timeout(...) end

kumo.domain_map = {}

---A table looked up by domain: `*.example.com` stands for all below.
---@param values? table
---@return any
function kumo.domain_map.new(values) end

function kumo.enable_memory_callstack_tracking(...) end

kumo.encode = {}

---Decodes a text.
---@param text string
---@return string
function kumo.encode.base32_decode(text) end

---Encodes bytes.
---@param bytes string
---@return string
function kumo.encode.base32_encode(bytes) end

---Decodes a text.
---@param text string
---@return string
function kumo.encode.base32_nopad_decode(text) end

---Encodes bytes.
---@param bytes string
---@return string
function kumo.encode.base32_nopad_encode(bytes) end

---Decodes a text.
---@param text string
---@return string
function kumo.encode.base32hex_decode(text) end

---Encodes bytes.
---@param bytes string
---@return string
function kumo.encode.base32hex_encode(bytes) end

---Decodes a text.
---@param text string
---@return string
function kumo.encode.base32hex_nopad_decode(text) end

---Encodes bytes.
---@param bytes string
---@return string
function kumo.encode.base32hex_nopad_encode(bytes) end

---Decodes a text.
---@param text string
---@return string
function kumo.encode.base64_decode(text) end

---Encodes bytes.
---@param bytes string
---@return string
function kumo.encode.base64_encode(bytes) end

---Decodes a text.
---@param text string
---@return string
function kumo.encode.base64_nopad_decode(text) end

---Encodes bytes.
---@param bytes string
---@return string
function kumo.encode.base64_nopad_encode(bytes) end

---Decodes a text.
---@param text string
---@return string
function kumo.encode.base64url_decode(text) end

---Encodes bytes.
---@param bytes string
---@return string
function kumo.encode.base64url_encode(bytes) end

---Decodes a text.
---@param text string
---@return string
function kumo.encode.base64url_nopad_decode(text) end

---Encodes bytes.
---@param bytes string
---@return string
function kumo.encode.base64url_nopad_encode(bytes) end

---Bytes of another charset as UTF-8.
---@param charset string
---@param bytes string
---@return string
function kumo.encode.charset_decode(charset, bytes) end

---A text in another charset.
---@param charset string
---@param text string
---@param ignore_errors? boolean
---@return string
function kumo.encode.charset_encode(charset, text, ignore_errors) end

---Decodes a text.
---@param text string
---@return string
function kumo.encode.hex_decode(text) end

---Encodes bytes.
---@param bytes string
---@return string
function kumo.encode.hex_encode(bytes) end

---The files that are watched.
---@return string[]
function kumo.eval_config_monitor_globs() end

kumo.file_type = {}

---The kind of a file by its content.
---@param bytes string
---@return table
function kumo.file_type.from_bytes(bytes) end

---Kinds with this extension.
---@param extension string
---@return any[]
function kumo.file_type.from_extension(extension) end

---Kinds with this media type.
---@param media_type string
---@return any[]
function kumo.file_type.from_media_type(media_type) end

---Constraints as text.
---@param constraints table
---@return string
function kumo.format_egress_path_config_constraints(constraints) end

---The options as TOML.
---@param config any
---@return string
function kumo.format_egress_path_config_toml(config) end

---The options as TOML.
---@param config any
---@return string
function kumo.format_queue_config_toml(config) end

kumo.fs = {}

---Files whose path matches.
---@param pattern string
---@param base? string
---@param ttl? any
---@return string[]
function kumo.fs.glob(pattern, base, ttl) end

---Kind, size and time of a file, or of the link itself.
---@param path string
---@return table
function kumo.fs.metadata_for_path(path) end

---Opens a file without making the shard wait.
---@param path string
---@param mode? string
---@return any
function kumo.fs.open(path, mode) end

---What a folder holds.
---@param path string
---@return string[]
function kumo.fs.read_dir(path) end

---Kind, size and time of a file, or of the link itself.
---@param path string
---@return table
function kumo.fs.symlink_metadata_for_path(path) end

---Files whose path matches.
---@param pattern string
---@param base? string
---@param ttl? any
---@return string[]
function kumo.fs.uncached_glob(pattern, base, ttl) end

---The report of a record, when its kind is reported.
---@param options kumo.DsnOptions
---@param msg any
---@param record table
---@return any
function kumo.generate_rfc3464_message(options, msg, record) end

---Where the handlers of an event were registered.
---@param event string
---@return string[]
function kumo.get_event_registrars(event) end

---A limit that was set, in bytes.
---@return integer|nil
function kumo.get_memory_hard_limit() end

---A limit that was set, in bytes.
---@return integer|nil
function kumo.get_memory_low_thresh() end

---A limit that was set, in bytes.
---@return integer|nil
function kumo.get_memory_soft_limit() end

---Files whose path matches.
---@param pattern string
---@param base? string
---@param ttl? any
---@return string[]
function kumo.glob(pattern, base, ttl) end

kumo.http = {}

---@param options kumo.HttpClientOptions
---@return kumo.HttpClient
function kumo.http.build_client(options) end

---A URL with a query.
---@param base string
---@param params table
---@return string
function kumo.http.build_url(base, params) end

---Opens a websocket: the stream, and the answer as a second result.
---@param url string
---@return any
function kumo.http.connect_websocket(url) end

---Queues such a message; done when it is durable.
---@param msg kumo.Message
function kumo.inject_message(msg) end

---Asks the policy's own handler.
---@param routing_domain string
---@param source string
---@param site string
---@return any
function kumo.invoke_get_egress_path_config(routing_domain, source, site) end

---Asks the policy's own handler.
---@param name string
---@return any
function kumo.invoke_get_egress_pool(name) end

---Asks the policy's own handler.
---@param name string
---@return any
function kumo.invoke_get_egress_source(name) end

---Asks the policy's own handler.
---@param name string
---@return any
function kumo.invoke_get_queue_config(name) end

---JSON of a value.
---@param value any
---@return string
function kumo.json_encode(value) end

---JSON of a value.
---@param value any
---@return string
function kumo.json_encode_pretty(value) end

---The value of a file.
---@param path string
---@return any
function kumo.json_load(path) end

---The value of a text.
---@param text string
---@return any
function kumo.json_parse(text) end

kumo.jsonl = {}

---Reads records for several consumers.
---@param options kumo.JsonlMultiTailerOptions
---@return any
function kumo.jsonl.new_multi_tailer(options) end

---Reads records in batches.
---@param options kumo.JsonlTailerOptions
---@param filter? function
---@return any
function kumo.jsonl.new_tailer(options, filter) end

---@param options kumo.JsonlWriterOptions
---@return any
function kumo.jsonl.new_writer(options) end

kumo.kafka = {}

function kumo.kafka.build_producer(...) end

---Writes a line of diagnostics.
---@param ... any
function kumo.log_debug(...) end

---Writes a line of diagnostics.
---@param ... any
function kumo.log_error(...) end

---Writes a line of diagnostics.
---@param ... any
function kumo.log_info(...) end

---Writes a line of diagnostics.
---@param ... any
function kumo.log_warn(...) end

---@param options kumo.EgressPathOptions
---@return any
function kumo.make_egress_path(options) end

---@param options kumo.EgressPoolOptions
---@return any
function kumo.make_egress_pool(options) end

---@param options kumo.EgressSourceOptions
---@return any
function kumo.make_egress_source(options) end

---@param options kumo.ListenerDomainOptions
---@return any
function kumo.make_listener_domain(options) end

---A message of the policy's own.
---@param sender any
---@param recipient any
---@param body string
---@return kumo.Message
function kumo.make_message(sender, recipient, body) end

---@param options kumo.QueueOptions
---@return any
function kumo.make_queue_config(options) end

---A rate shared by all of that name.
---@param name string
---@param rate string
---@return kumo.Throttle
function kumo.make_throttle(name, rate) end

---The function with its results remembered, for all VMs.
---@param f function
---@param options kumo.MemoizeOptions
---@return function
function kumo.memoize(f, options) end

kumo.mimepart = {}

---Makes a message of text, HTML and attachments.
---@return any
function kumo.mimepart.builder() end

---A part of bytes.
---@param type string
---@param content string
---@param attachment? table
---@return any
function kumo.mimepart.new_binary(type, content, attachment) end

---A part of text.
---@param text string
---@return any
function kumo.mimepart.new_html(text) end

---A part that holds parts.
---@param type string
---@param parts any[]
---@param boundary? string
---@return any
function kumo.mimepart.new_multipart(type, parts, boundary) end

---A part of text of another type.
---@param type string
---@param text string
---@return any
function kumo.mimepart.new_text(type, text) end

---A part of text.
---@param text string
---@return any
function kumo.mimepart.new_text_plain(text) end

---Reads a message.
---@param text string
---@return any
function kumo.mimepart.parse(text) end

kumo.mpsc = {}

---A queue by its name, the same in all VMs.
---@param name string
---@param limit? integer
---@return any
function kumo.mpsc.define(name, limit) end

kumo.nats = {}

---@param options kumo.NatsOptions
---@return any
function kumo.nats.connect(options) end

---The metrics.
---@return table
function kumo.prometheus_metrics() end

---What a folder holds.
---@param path string
---@return string[]
function kumo.read_dir(path) end

kumo.regex = {}

---A regular expression.
---@param pattern string
---@return any
function kumo.regex.compile(pattern) end

---A pattern that matches the text alone.
---@param text string
---@return string
function kumo.regex.escape(text) end

kumo.regex_set_map = {}

---Values by the first pattern that matches.
---@param rules table
---@return any
function kumo.regex_set_map.new(rules) end

---Ends the handler: the peer gets this answer. The code is from 400 to 599.
---@param code integer
---@param text string
function kumo.reject(code, text) end

kumo.secrets = {}

---What a key source holds.
---@param source any
---@return string
function kumo.secrets.load(source) end

kumo.serde = {}

---JSON of a value.
---@param value any
---@return string
function kumo.serde.json_encode(value) end

---JSON of a value.
---@param value any
---@return string
function kumo.serde.json_encode_pretty(value) end

---The value of a file.
---@param path string
---@return any
function kumo.serde.json_load(path) end

---The value of a text.
---@param text string
---@return any
function kumo.serde.json_parse(text) end

---TOML of a value.
---@param value any
---@return string
function kumo.serde.toml_encode(value) end

---TOML of a value.
---@param value any
---@return string
function kumo.serde.toml_encode_pretty(value) end

---TOML of a value.
---@param value any
---@return string
function kumo.serde.toml_encode_pretty_compact(value) end

---The value of a file.
---@param path string
---@return any
function kumo.serde.toml_load(path) end

---The value of a text.
---@param text string
---@return any
function kumo.serde.toml_parse(text) end

---YAML of a value.
---@param value any
---@return string
function kumo.serde.yaml_encode(value) end

---The value of a file.
---@param path string
---@return any
function kumo.serde.yaml_load(path) end

---The value of a text.
---@param text string
---@return any
function kumo.serde.yaml_parse(text) end

---Names the files that are watched for changes.
---@param globs string[]
function kumo.set_config_monitor_globs(globs) end

---What diagnostics are written.
---@param filter string
function kumo.set_diagnostic_log_filter(filter) end

---Limits the recipients HTTP injection generates.
---@param rate? string
function kumo.set_httpinject_recipient_rate_limit(rate) end

function kumo.set_httpinject_threads(...) end

function kumo.set_logging_threads(...) end

function kumo.set_lruttl_cache_capacity(...) end

function kumo.set_lua_gc_on_put(...) end

function kumo.set_max_lua_context_age(...) end

function kumo.set_max_lua_context_use_count(...) end

function kumo.set_max_spare_lua_contexts(...) end

---Memory the bodies of messages may take before they leave it (soft), or new mail is refused (hard).
---@param bytes integer
function kumo.set_memory_hard_limit(bytes) end

function kumo.set_memory_low_thresh(...) end

---Memory the bodies of messages may take before they leave it (soft), or new mail is refused (hard).
---@param bytes integer
function kumo.set_memory_soft_limit(bytes) end

function kumo.set_qmaint_threads(...) end

function kumo.set_ready_qmaint_threads(...) end

function kumo.set_readyq_threads(...) end

function kumo.set_smtpsrv_threads(...) end

function kumo.set_spoolin_threads(...) end

function kumo.set_timeq_spawn_reinsertion(...) end

kumo.shaping = {}

---Loads files of limits, and looks up their sites.
---@param paths string[]
---@param options? kumo.ShapingOptions
---@return any
function kumo.shaping.load(paths, options) end

---Waits.
---@param time number|string
function kumo.sleep(time) end

---Fires an event of the policy: `{ event_name = ..., args = ... }`.
---@param task table
function kumo.spawn_task(task) end

function kumo.spawn_thread_pool(...) end

kumo.spf = {}

---Checks a domain for the host of a session (RFC 7208).
---@param domain string
---@param conn_meta any
---@param sender? string
---@param resolver? string
---@return table
function kumo.spf.check_host(domain, conn_meta, sender, resolver) end

---Checks the sender of a message.
---@param msg any
---@param resolver? string
---@return table
function kumo.spf.check_msg(msg, resolver) end

---@param options kumo.EsmtpListenerOptions
function kumo.start_esmtp_listener(options) end

---@param options kumo.HttpListenerOptions
function kumo.start_http_listener(options) end

kumo.string = {}

---Whether a text begins or ends so.
---@param text string
---@param part string
---@return boolean
function kumo.string.ends_with(text, part) end

---Fills a template in.
---@param name string
---@param template string
---@param context any
---@param dialect? 'Jinja'|'Handlebars'|'Static'
---@return string
function kumo.string.eval_template(name, template, context, dialect) end

---A text without what changes from message to message.
---@param text string
---@return string
function kumo.string.normalize_smtp_response(text) end

---The registrable domain, or the public suffix.
---@param name string
---@return string|nil
function kumo.string.psl_domain(name) end

---The registrable domain, or the public suffix.
---@param name string
---@return string|nil
function kumo.string.psl_suffix(name) end

---Replaces everywhere.
---@param text string
---@param from string
---@param to string
---@return string
function kumo.string.replace(text, from, to) end

---Replaces so often.
---@param text string
---@param from string
---@param to string
---@param n integer
---@return string
function kumo.string.replacen(text, from, to, n) end

---The parts of a text, from its begin or its end.
---@param text string
---@param separator string
---@return string[]
function kumo.string.rsplit(text, separator) end

---At most so many parts.
---@param text string
---@param n integer
---@param separator string
---@return string[]
function kumo.string.rsplitn(text, n, separator) end

---The parts of a text, from its begin or its end.
---@param text string
---@param separator string
---@return string[]
function kumo.string.split(text, separator) end

---The words of a text.
---@param text string
---@return string[]
function kumo.string.split_ascii_whitespace(text) end

---The words of a text.
---@param text string
---@return string[]
function kumo.string.split_whitespace(text) end

---At most so many parts.
---@param text string
---@param n integer
---@param separator string
---@return string[]
function kumo.string.splitn(text, n, separator) end

---Whether a text begins or ends so.
---@param text string
---@param part string
---@return boolean
function kumo.string.starts_with(text, part) end

---The text without white space around it.
---@param text string
---@return string
function kumo.string.trim(text) end

---The text without white space around it.
---@param text string
---@return string
function kumo.string.trim_end(text) end

---The text without white space around it.
---@param text string
---@return string
function kumo.string.trim_start(text) end

---Folds a text.
---@param text string
---@param soft_width? integer
---@param hard_width? integer
---@return string
function kumo.string.wrap(text, soft_width, hard_width) end

function kumo.suspend_delivery_when_spool_unhealthy(...) end

kumo.time = {}

---A time by seconds of the Unix epoch.
---@param seconds number
---@return any
function kumo.time.from_unix_timestamp(seconds) end

---The time.
---@return any
function kumo.time.now() end

---A span of time.
---@param duration number|string
---@return any
function kumo.time.parse_duration(duration) end

---The time of a text.
---@param text string
---@return any
function kumo.time.parse_rfc2822(text) end

---The time of a text.
---@param text string
---@return any
function kumo.time.parse_rfc3339(text) end

---Waits.
---@param time number|string
function kumo.time.sleep(time) end

---Measures until `done`, for a metric.
---@param label string
---@return any
function kumo.time.start_timer(label) end

---A time in UTC.
---@param year integer
---@param month integer
---@param day integer
---@param hour integer
---@param minute integer
---@param second integer
---@return any
function kumo.time.with_ymd_hms(year, month, day, hour, minute, second) end

---TOML of a value.
---@param value any
---@return string
function kumo.toml_encode(value) end

---TOML of a value.
---@param value any
---@return string
function kumo.toml_encode_pretty(value) end

---TOML of a value.
---@param value any
---@return string
function kumo.toml_encode_pretty_compact(value) end

---The value of a file.
---@param path string
---@return any
function kumo.toml_load(path) end

---The value of a text.
---@param text string
---@return any
function kumo.toml_parse(text) end

---The frames of the stack.
---@param level? integer
---@return any[]
function kumo.traceback(level) end

---Files whose path matches.
---@param pattern string
---@param base? string
---@param ttl? any
---@return string[]
function kumo.uncached_glob(pattern, base, ttl) end

kumo.uuid = {}

---A fresh id.
---@return any
function kumo.uuid.new_v1() end

---A fresh id.
---@return any
function kumo.uuid.new_v4() end

---A fresh id.
---@return any
function kumo.uuid.new_v6() end

---A fresh id.
---@return any
function kumo.uuid.new_v7() end

---An id given as text.
---@param text string
---@return any
function kumo.uuid.parse(text) end

---Tells `validate` that the policy is not usable.
function kumo.validation_failed() end

---@type string
kumo.version = ''

kumo.xfer = {}

---Messages stay on their node: there is no target.
---@param msg any
---@return any
function kumo.xfer.cancel_xfer(msg) end

---Messages stay on their node: there is no target.
---@param msg any
---@return any
function kumo.xfer.get_xfer_target(msg) end

---@deprecated Not supported: messages stay on the node that accepted them.
function kumo.xfer.xfer(...) end

---@deprecated Not supported: messages stay on the node that accepted them.
function kumo.xfer.xfer_in_requeue(...) end

return kumo
