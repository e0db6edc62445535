//! What each metric is, in words.

pub(super) fn help(name: &str) -> &'static str {
    match name {
        "total_messages_received" => "messages accepted, by service",
        "total_messages_delivered" => "recipients delivered, by service",
        "total_messages_transfail" => "attempts that failed for now, by service",
        "total_messages_fail" => "recipients that failed for good, by service",
        "total_connection_count" => "connections ever made, by service",
        "total_connections_denied" => "connections turned away at a limit, by service",
        "peer_limit_refusals" => "connections, messages and sessions refused by a limit per peer",
        "smtp_server_rejections" => "commands refused, by service",
        "auth_failures" => "wrong passwords, by service",
        "auth_held_off" => {
            "logins not looked at, since their peer had given too many wrong passwords"
        }
        "connection_count" => "connections open now, by service",
        "ready_count" => "messages in ready queues, by service",
        "scheduled_count_total" => "messages waiting for their next attempt",
        "scheduled_queue_count" => "scheduled queues in memory",
        "message_count" => "messages in the queues",
        "message_data_resident_bytes" => "bytes of message bodies in memory",
        "spool_flush_total" => "writes of message data to stable storage",
        "spool_committed_total" => "records made durable",
        "spool_live_bytes" => "bytes of records still needed",
        "spool_segments" => "spool segments in use",
        "shard_stall_total" => {
            "times a shard slept although it had tasks to run: anything but 0 is a fault"
        }
        "journal_flush_total" => "journal writes to stable storage",
        "smtpsrv_transaction_duration" => "seconds from the final dot to its reply",
        "deliver_message_latency_rollup" => "seconds from acceptance to delivery",
        "dns_mx_resolve_cache_hit" => "DNS questions answered from the cache",
        "dns_mx_resolve_cache_miss" => "DNS questions asked",
        "dns_mx_resolve_status_ok" => "DNS questions that were answered",
        "dns_lookup_latency" => "seconds DNS questions took that no cache answered",
        "dns_mx_resolve_status_fail" => "DNS questions that failed",
        "total_messages_delivered_by_provider" => "recipients delivered, by provider",
        "total_messages_delivered_by_provider_and_source" => {
            "recipients delivered, by provider, source and pool"
        }
        "total_messages_transfail_by_provider" => "attempts that failed for now, by provider",
        "total_messages_transfail_by_provider_and_source" => {
            "attempts that failed for now, by provider, source and pool"
        }
        "total_messages_fail_by_provider" => "recipients that failed for good, by provider",
        "total_messages_fail_by_provider_and_source" => {
            "recipients that failed for good, by provider, source and pool"
        }
        "egress_source_connection_failures_total" => {
            "connections that failed by the source's fault"
        }
        "egress_source_health_suspensions_total" => "times a source was left alone for a while",
        "egress_source_health_suspended" => "1 while a source is left alone",
        "policy_load_total" => "times a shard has loaded the policy",
        "tls_certificate_renewed_total" => "certificates of listeners read anew and put in force",
        "tls_certificate_failed_total" => {
            "certificates of listeners that could not be used; those before stay in force"
        }
        "policy_load_failed_total" => "loads of the policy that failed",
        "policy_load_microseconds_total" => "time shards did nothing but load the policy",
        "egress_connect_failures_total" => "times no connection to a site could be opened",
        "delivery_replies_total" => {
            "recipients by the reply that ended an attempt, of a peer or of the engine in its place"
        }
        "tls_sessions_total" => "SMTP sessions under TLS, in and out, by version",
        "lua_event_latency" => "seconds handlers of an event took, waiting included",
        "message_save_latency" => "seconds until a message taken was on stable storage",
        "scheduled_by_domain" => "messages in scheduled queues, by domain; the largest thousand",
        "scheduled_by_tenant" => "messages in scheduled queues, by tenant; the largest thousand",
        "scheduled_by_tenant_campaign" => {
            "messages in scheduled queues, by tenant and campaign; the largest thousand"
        }
        "scheduled_count" => "messages by scheduled queue; the largest thousand",
        "queued_count_by_provider" => "messages in ready queues, by provider",
        "queued_count_by_provider_and_pool" => "messages in ready queues, by provider and pool",
        "connection_count_by_provider" => "connections out open now, by provider",
        "connection_count_by_provider_and_pool" => "connections out, by provider and pool",
        "memory_usage" => "bytes of memory the process has in use",
        "receive_memory_bytes" => "bytes of messages that are being received",
        "receive_memory_limit_bytes" => "bytes of messages that may be being received",
        "disk_free_bytes" => "free bytes of the disk of a spool",
        "disk_free_percent" => "free part of the disk of a spool, percent",
        "disk_free_inodes" => "free inodes of the disk of a spool",
        "disk_free_inodes_percent" => "free part of the inodes of the disk of a spool, percent",
        "process_start_time_seconds" => "when the process began, unix seconds",
        "ringmta_build_info" => "1; its labels say what runs",
        "work_list_count" => "messages that are about to be failed, expired or held",
        hook if hook.starts_with("log_hook_") => help_of_hook(hook),
        _ => "see the reference",
    }
}

fn help_of_hook(name: &str) -> &'static str {
    match name {
        "log_hook_backlog_count" => "events a log hook has not taken yet",
        "log_hook_queued_count" => "events of a log hook that are messages in queues",
        "log_hook_backlog_bytes" => "bytes of the event log of a log hook",
        "log_hook_backlog_limit_bytes" => {
            "bytes beyond which the oldest events of a log hook are given up, per shard added up"
        }
        "log_hook_backlog_nearly_full" => {
            "shards on which more than half the bytes allowed wait for a log hook"
        }
        "log_hook_dropped_total" => "events of a log hook that were given up: too old, or too many",
        "log_hook_dead_letters_total" => "events a log hook was refused for good, kept in a file",
        _ => "see the reference",
    }
}
