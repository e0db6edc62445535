//! How an AMQP server is reached, and what is published.

use std::time::Duration;

use ringmta_options::plain::Plain;
use ringmta_options::*;

use crate::limits::{AMQP_POOL_SIZE, CLIENT_TIMEOUT};

option_table! {
    /// How a server is reached.
    pub struct AmqpConnection for "kumo.amqp.connection" {
        /// Host name or address.
        host: String = String::new(); Support::Required,
        /// Port.
        port: u16 = 5672,
        /// User.
        username: String = "guest".into(),
        /// Password.
        password: SecretText = SecretText("guest".into()),
        /// Virtual host.
        vhost: String = "/".into(),
        /// Name shown in the server's lists.
        connection_name: Option<String> = None,
        /// Seconds between heartbeats.
        heartbeat: Option<u64> = None; Support::NoEffect("each publication shows whether the server is there"),
        /// Connect with TLS; servers usually listen for it on port 5671.
        enable_tls: bool = false,
        /// PEM file with the authorities that are believed; the public ones when none is named.
        root_ca_cert: Option<String> = None,
        /// PEM file with the client's certificate.
        client_cert: Option<String> = None,
        /// PEM file with its key.
        client_private_key: Option<String> = None,
        /// Connections kept open.
        pool_size: usize = AMQP_POOL_SIZE,
        /// How long a connection may take to be made (duration).
        connect_timeout: Duration = CLIENT_TIMEOUT,
        /// How long a kept connection may take to prove that it lives (duration).
        recycle_timeout: Duration = CLIENT_TIMEOUT; Support::NoEffect("a kept connection that fails is replaced and the message sent once more"),
        /// How long a free connection is waited for (duration).
        wait_timeout: Duration = CLIENT_TIMEOUT,
        /// How long a publication may take (duration).
        publish_timeout: Duration = CLIENT_TIMEOUT,
    }
}

option_table! {
    /// One message.
    pub struct AmqpMessage for "kumo.amqp.basic_publish" {
        /// Routing key: with the default exchange, the name of the queue.
        routing_key: String = String::new(); Support::Required,
        /// Content.
        payload: Plain = Plain::Nil; Support::Required,
        /// Exchange; empty is the default one.
        exchange: String = String::new(),
        /// Where to: see `kumo.amqp.connection`.
        connection: Plain = Plain::Nil; Support::Required,
        /// Property of the message.
        app_id: Option<String> = None,
        /// Property of the message.
        cluster_id: Option<String> = None,
        /// Property of the message.
        content_encoding: Option<String> = None,
        /// Property of the message.
        content_type: Option<String> = None,
        /// Property of the message.
        correlation_id: Option<String> = None,
        /// 1 = kept in memory, 2 = kept on disk.
        delivery_mode: Option<u16> = None,
        /// Milliseconds the message is good for, as text.
        expiration: Option<String> = None,
        /// Further properties: texts, numbers, booleans.
        headers: Plain = Plain::Nil,
        /// Property of the message.
        message_id: Option<String> = None,
        /// Property of the message.
        message_type: Option<String> = None,
        /// 0 to 9.
        priority: Option<u16> = None,
        /// Property of the message.
        reply_to: Option<String> = None,
        /// Unix seconds.
        timestamp: Option<u64> = None,
        /// Property of the message.
        user_id: Option<String> = None,
        /// Fail when no queue takes it.
        mandatory: bool = false,
        /// Fail when no consumer takes it at once.
        immediate: bool = false,
    }
}
