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
---@overload fun(event: 'spool_message_enumerated', handler: fun(msg: any): any)
---before loggers close.
---@overload fun(event: 'shutdown_logging', handler: fun(): any)
---per connection, before it is accepted.
---@overload fun(event: 'smtp_server_get_dynamic_parameters', handler: fun(listener: any, conn_meta: any): any)
---before the greeting.
---@overload fun(event: 'smtp_server_connection_accepted', handler: fun(conn_meta: any): any)
---EHLO and HELO.
---@overload fun(event: 'smtp_server_ehlo', handler: fun(domain: any, conn_meta: any, extensions: any): any)
---AUTH PLAIN.
---@overload fun(event: 'smtp_server_auth_plain', handler: fun(authz: any, authc: any, password: any, conn_meta: any): any)
---who may relay to or from a domain.
---@overload fun(event: 'get_listener_domain', handler: fun(domain: any, listener: any, conn_meta: any): any)
---MAIL FROM.
---@overload fun(event: 'smtp_server_mail_from', handler: fun(sender: any, conn_meta: any): any)
---RCPT TO.
---@overload fun(event: 'smtp_server_rcpt_to', handler: fun(recipient: any, conn_meta: any): any)
---once per transaction, after DATA.
---@overload fun(event: 'smtp_server_data', handler: fun(msg: any, conn_meta: any): any)
---how recipients are grouped into messages.
---@overload fun(event: 'smtp_server_split_transaction', handler: fun(msg: any, conn_meta: any): any)
---per resulting message.
---@overload fun(event: 'smtp_server_message_received', handler: fun(msg: any, conn_meta: any): any)
---instead of the former with deferred_queue.
---@overload fun(event: 'smtp_server_message_deferred_inject', handler: fun(msg: any, conn_meta: any): any)
---before every reply.
---@overload fun(event: 'smtp_server_rewrite_response', handler: fun(status: any, text: any, command: any, conn_meta: any): any)
---HTTP Basic credentials.
---@overload fun(event: 'http_server_validate_auth_basic', handler: fun(user: any, password: any): any)
---HTTP bearer credentials.
---@overload fun(event: 'http_server_validate_auth_bearer', handler: fun(token: any): any)
---per message made by the injection API.
---@overload fun(event: 'http_message_generated', handler: fun(msg: any, auth_info: any): any)
---authorisation checks.
---@overload fun(event: 'get_acl_definition', handler: fun(resource: any): any)
---how a scheduled queue behaves.
---@overload fun(event: 'get_queue_config', handler: fun(domain: any, tenant: any, campaign: any, routing_domain: any): any)
---the sources of a pool.
---@overload fun(event: 'get_egress_pool', handler: fun(name: any): any)
---one source.
---@overload fun(event: 'get_egress_source', handler: fun(name: any): any)
---how connections to a site behave.
---@overload fun(event: 'get_egress_path_config', handler: fun(routing_domain: any, source: any, site: any): any)
---a message is about to become ready.
---@overload fun(event: 'throttle_insert_ready_queue', handler: fun(msg: any): any)
---a message goes back to its queue.
---@overload fun(event: 'requeue_message', handler: fun(msg: any, response: any, context: any, increment_attempts: any, delay: any): any)
---a message is moved by an operator.
---@overload fun(event: 'rebind_message', handler: fun(msg: any, data: any): any)
---a response came from the next hop.
---@overload fun(event: 'smtp_client_rewrite_delivery_status', handler: fun(response: any, domain: any, tenant: any, campaign: any, routing_domain: any): any)
---a message came from another node.
---@overload fun(event: 'xfer_message_received', handler: fun(msg: any, auth_info: any): any)
---whether a log hook gets a record.
---@overload fun(event: 'should_enqueue_log_record', handler: fun(msg: any, hook: any): any)
---@param event string
---@param handler function
function kumo.on(event, handler) end

kumo.aaa = {}

function kumo.aaa.configure_acct_log(...) end

---@deprecated Not supported: access is by trusted address or credentials.
function kumo.aaa.load_acl_map(...) end

---@deprecated Not supported: access is by trusted address or credentials.
function kumo.aaa.make_access_control_list(...) end

---@deprecated Not supported: access is by trusted address or credentials.
function kumo.aaa.make_http_url_resource(...) end

---@deprecated Not supported: access is by trusted address or credentials.
function kumo.aaa.query_resource_access(...) end

---@deprecated Not supported: access is by trusted address or credentials.
function kumo.aaa.set_acl_cache_ttl(...) end

---@deprecated Not supported: access is by trusted address or credentials.
function kumo.aaa.set_check_cache_ttl(...) end

---@deprecated Not supported: access is by trusted address or credentials.
function kumo.aaa.set_fall_back_to_acl_map(...) end

kumo.amqp = {}

---@param options kumo.AmqpPublishOptions
function kumo.amqp.basic_publish(options) end

function kumo.amqp.build_client(...) end

kumo.api = {}

kumo.api.admin = {}

kumo.api.admin.bounce = {}

function kumo.api.admin.bounce.bounce(...) end

function kumo.api.admin.bounce.delete(...) end

function kumo.api.admin.bounce.list(...) end

kumo.api.admin.suspend = {}

function kumo.api.admin.suspend.delete(...) end

function kumo.api.admin.suspend.list(...) end

function kumo.api.admin.suspend.suspend(...) end

kumo.api.admin.suspend_ready_q = {}

function kumo.api.admin.suspend_ready_q.delete(...) end

function kumo.api.admin.suspend_ready_q.list(...) end

function kumo.api.admin.suspend_ready_q.suspend(...) end

kumo.api.inject = {}

function kumo.api.inject.build_v1(...) end

function kumo.api.inject.inject_v1(...) end

function kumo.apply_supplemental_trace_header(...) end

function kumo.available_parallelism(...) end

function kumo.bump_config_epoch(...) end

kumo.cidr = {}

function kumo.cidr.make_map(...) end

function kumo.compute_egress_path_config_constraints(...) end

function kumo.compute_queue_config_constraints(...) end

function kumo.configure_accounting_db_path(...) end

---@param options kumo.BounceClassifierOptions
function kumo.configure_bounce_classifier(options) end

---@param options kumo.HttpLogHookOptions
function kumo.configure_http_log_hook(options) end

---@param options kumo.LocalLogsOptions
function kumo.configure_local_logs(options) end

---@deprecated Not supported: records are told after they are durable; use configure_log_hook.
function kumo.configure_log_disposition_hook(...) end

---@param options kumo.LogHookOptions
function kumo.configure_log_hook(options) end

function kumo.configure_redis_throttles(...) end

kumo.counter_series = {}

---@param options kumo.CounterSeriesOptions
function kumo.counter_series.define(options) end

kumo.crypto = {}

function kumo.crypto.aes_decrypt_block(...) end

function kumo.crypto.aes_encrypt_block(...) end

---@param options kumo.AwsSignOptions
function kumo.crypto.aws_sign_v4(options) end

---@deprecated Not supported: the event `get_egress_pool` gives each pool: have its handler return kumo.make_egress_pool { name = ..., entries = ... }.
function kumo.define_egress_pool(...) end

---@deprecated Not supported: the event `get_egress_source` gives each source: have its handler return kumo.make_egress_source { name = ... }.
function kumo.define_egress_source(...) end

---@param options kumo.SpoolOptions
function kumo.define_spool(options) end

kumo.digest = {}

function kumo.digest.crc32(...) end

function kumo.digest.hmac_sha1(...) end

function kumo.digest.hmac_sha224(...) end

function kumo.digest.hmac_sha256(...) end

function kumo.digest.hmac_sha384(...) end

function kumo.digest.hmac_sha512(...) end

function kumo.digest.sha1(...) end

function kumo.digest.sha224(...) end

function kumo.digest.sha256(...) end

function kumo.digest.sha384(...) end

function kumo.digest.sha3_256(...) end

function kumo.digest.sha3_384(...) end

function kumo.digest.sha3_512(...) end

function kumo.digest.sha512(...) end

function kumo.digest.sha512_256(...) end

function kumo.disconnect(...) end

kumo.dkim = {}

function kumo.dkim.ed25519_signer(...) end

function kumo.dkim.rsa_sha256_signer(...) end

function kumo.dkim.set_signing_threads(...) end

kumo.dmarc = {}

function kumo.dmarc.check_msg(...) end

kumo.dns = {}

---@param options kumo.ResolverOptions
function kumo.dns.configure_resolver(options) end

function kumo.dns.configure_test_mta_sts(...) end

function kumo.dns.configure_test_resolver(...) end

function kumo.dns.configure_unbound_resolver(...) end

---@param options kumo.NamedResolverOptions
function kumo.dns.define_resolver(options) end

function kumo.dns.load_resolv_conf(...) end

function kumo.dns.lookup_addr(...) end

function kumo.dns.lookup_mx(...) end

function kumo.dns.lookup_ptr(...) end

function kumo.dns.lookup_txt(...) end

function kumo.dns.ptr_host(...) end

function kumo.dns.rbl_lookup(...) end

function kumo.dns.reverse_ip(...) end

function kumo.dns.set_mta_sts_enabled(...) end

function kumo.dns.set_mx_concurrency_limit(...) end

function kumo.dns.set_mx_negative_cache_ttl(...) end

function kumo.dns.set_mx_timeout(...) end

kumo.domain_map = {}

function kumo.domain_map.new(...) end

function kumo.enable_memory_callstack_tracking(...) end

kumo.encode = {}

function kumo.encode.base32_decode(...) end

function kumo.encode.base32_encode(...) end

function kumo.encode.base32_nopad_decode(...) end

function kumo.encode.base32_nopad_encode(...) end

function kumo.encode.base32hex_decode(...) end

function kumo.encode.base32hex_encode(...) end

function kumo.encode.base32hex_nopad_decode(...) end

function kumo.encode.base32hex_nopad_encode(...) end

function kumo.encode.base64_decode(...) end

function kumo.encode.base64_encode(...) end

function kumo.encode.base64_nopad_decode(...) end

function kumo.encode.base64_nopad_encode(...) end

function kumo.encode.base64url_decode(...) end

function kumo.encode.base64url_encode(...) end

function kumo.encode.base64url_nopad_decode(...) end

function kumo.encode.base64url_nopad_encode(...) end

function kumo.encode.charset_decode(...) end

function kumo.encode.charset_encode(...) end

function kumo.encode.hex_decode(...) end

function kumo.encode.hex_encode(...) end

function kumo.eval_config_monitor_globs(...) end

kumo.file_type = {}

function kumo.file_type.from_bytes(...) end

function kumo.file_type.from_extension(...) end

function kumo.file_type.from_media_type(...) end

function kumo.format_egress_path_config_constraints(...) end

function kumo.format_egress_path_config_toml(...) end

function kumo.format_queue_config_toml(...) end

kumo.fs = {}

function kumo.fs.glob(...) end

function kumo.fs.metadata_for_path(...) end

function kumo.fs.open(...) end

function kumo.fs.read_dir(...) end

function kumo.fs.symlink_metadata_for_path(...) end

function kumo.fs.uncached_glob(...) end

---@param options kumo.DsnOptions
function kumo.generate_rfc3464_message(options) end

function kumo.get_event_registrars(...) end

function kumo.get_memory_hard_limit(...) end

function kumo.get_memory_low_thresh(...) end

function kumo.get_memory_soft_limit(...) end

function kumo.glob(...) end

kumo.http = {}

---@param options kumo.HttpClientOptions
function kumo.http.build_client(options) end

function kumo.http.build_url(...) end

function kumo.http.connect_websocket(...) end

function kumo.inject_message(...) end

function kumo.invoke_get_egress_path_config(...) end

function kumo.invoke_get_egress_pool(...) end

function kumo.invoke_get_egress_source(...) end

function kumo.invoke_get_queue_config(...) end

function kumo.json_encode(...) end

function kumo.json_encode_pretty(...) end

function kumo.json_load(...) end

function kumo.json_parse(...) end

kumo.jsonl = {}

---@param options kumo.JsonlMultiTailerOptions
function kumo.jsonl.new_multi_tailer(options) end

---@param options kumo.JsonlTailerOptions
function kumo.jsonl.new_tailer(options) end

---@param options kumo.JsonlWriterOptions
function kumo.jsonl.new_writer(options) end

kumo.kafka = {}

function kumo.kafka.build_producer(...) end

function kumo.log_debug(...) end

function kumo.log_error(...) end

function kumo.log_info(...) end

function kumo.log_warn(...) end

---@param options kumo.EgressPathOptions
function kumo.make_egress_path(options) end

---@param options kumo.EgressPoolOptions
function kumo.make_egress_pool(options) end

---@param options kumo.EgressSourceOptions
function kumo.make_egress_source(options) end

---@param options kumo.ListenerDomainOptions
function kumo.make_listener_domain(options) end

function kumo.make_message(...) end

---@param options kumo.QueueOptions
function kumo.make_queue_config(options) end

function kumo.make_throttle(...) end

---@param options kumo.MemoizeOptions
function kumo.memoize(options) end

kumo.mimepart = {}

function kumo.mimepart.builder(...) end

function kumo.mimepart.new_binary(...) end

function kumo.mimepart.new_html(...) end

function kumo.mimepart.new_multipart(...) end

function kumo.mimepart.new_text(...) end

function kumo.mimepart.new_text_plain(...) end

function kumo.mimepart.parse(...) end

kumo.mpsc = {}

function kumo.mpsc.define(...) end

kumo.nats = {}

---@param options kumo.NatsOptions
function kumo.nats.connect(options) end

function kumo.prometheus_metrics(...) end

function kumo.read_dir(...) end

kumo.regex = {}

function kumo.regex.compile(...) end

function kumo.regex.escape(...) end

kumo.regex_set_map = {}

function kumo.regex_set_map.new(...) end

function kumo.reject(...) end

kumo.secrets = {}

function kumo.secrets.load(...) end

kumo.serde = {}

function kumo.serde.json_encode(...) end

function kumo.serde.json_encode_pretty(...) end

function kumo.serde.json_load(...) end

function kumo.serde.json_parse(...) end

function kumo.serde.toml_encode(...) end

function kumo.serde.toml_encode_pretty(...) end

function kumo.serde.toml_encode_pretty_compact(...) end

function kumo.serde.toml_load(...) end

function kumo.serde.toml_parse(...) end

function kumo.serde.yaml_encode(...) end

function kumo.serde.yaml_load(...) end

function kumo.serde.yaml_parse(...) end

function kumo.set_config_monitor_globs(...) end

function kumo.set_diagnostic_log_filter(...) end

function kumo.set_httpinject_recipient_rate_limit(...) end

function kumo.set_httpinject_threads(...) end

function kumo.set_logging_threads(...) end

function kumo.set_lruttl_cache_capacity(...) end

function kumo.set_lua_gc_on_put(...) end

function kumo.set_max_lua_context_age(...) end

function kumo.set_max_lua_context_use_count(...) end

function kumo.set_max_spare_lua_contexts(...) end

function kumo.set_memory_hard_limit(...) end

function kumo.set_memory_low_thresh(...) end

function kumo.set_memory_soft_limit(...) end

function kumo.set_qmaint_threads(...) end

function kumo.set_ready_qmaint_threads(...) end

function kumo.set_readyq_threads(...) end

function kumo.set_smtpsrv_threads(...) end

function kumo.set_spoolin_threads(...) end

function kumo.set_timeq_spawn_reinsertion(...) end

kumo.shaping = {}

---@param options kumo.ShapingOptions
function kumo.shaping.load(options) end

function kumo.sleep(...) end

function kumo.spawn_task(...) end

function kumo.spawn_thread_pool(...) end

kumo.spf = {}

function kumo.spf.check_host(...) end

function kumo.spf.check_msg(...) end

---@param options kumo.EsmtpListenerOptions
function kumo.start_esmtp_listener(options) end

---@param options kumo.HttpListenerOptions
function kumo.start_http_listener(options) end

kumo.string = {}

function kumo.string.ends_with(...) end

function kumo.string.eval_template(...) end

function kumo.string.normalize_smtp_response(...) end

function kumo.string.psl_domain(...) end

function kumo.string.psl_suffix(...) end

function kumo.string.replace(...) end

function kumo.string.replacen(...) end

function kumo.string.rsplit(...) end

function kumo.string.rsplitn(...) end

function kumo.string.split(...) end

function kumo.string.split_ascii_whitespace(...) end

function kumo.string.split_whitespace(...) end

function kumo.string.splitn(...) end

function kumo.string.starts_with(...) end

function kumo.string.trim(...) end

function kumo.string.trim_end(...) end

function kumo.string.trim_start(...) end

function kumo.string.wrap(...) end

function kumo.suspend_delivery_when_spool_unhealthy(...) end

kumo.time = {}

function kumo.time.from_unix_timestamp(...) end

function kumo.time.now(...) end

function kumo.time.parse_duration(...) end

function kumo.time.parse_rfc2822(...) end

function kumo.time.parse_rfc3339(...) end

function kumo.time.sleep(...) end

function kumo.time.start_timer(...) end

function kumo.time.with_ymd_hms(...) end

function kumo.toml_encode(...) end

function kumo.toml_encode_pretty(...) end

function kumo.toml_encode_pretty_compact(...) end

function kumo.toml_load(...) end

function kumo.toml_parse(...) end

function kumo.traceback(...) end

function kumo.uncached_glob(...) end

kumo.uuid = {}

function kumo.uuid.new_v1(...) end

function kumo.uuid.new_v4(...) end

function kumo.uuid.new_v6(...) end

function kumo.uuid.new_v7(...) end

function kumo.uuid.parse(...) end

function kumo.validation_failed(...) end

---@type string
kumo.version = ''

kumo.xfer = {}

function kumo.xfer.cancel_xfer(...) end

function kumo.xfer.get_xfer_target(...) end

---@deprecated Not supported: messages stay on the node that accepted them.
function kumo.xfer.xfer(...) end

---@deprecated Not supported: messages stay on the node that accepted them.
function kumo.xfer.xfer_in_requeue(...) end

return kumo
