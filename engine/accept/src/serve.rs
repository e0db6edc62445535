//! One SMTP session: moves bytes between the socket and the protocol, and asks policy what the
//! protocol asks.

use crate::data_clock::DataClock;
use crate::farewell::{hang_up, turn_away};
use crate::hearing::{read_command, read_data};
use crate::limits;
use crate::login::{self, Login};
use crate::origin::{hostname_of, ClientSession};
use crate::peer_limits::{self, OfPeer};
use crate::receive;
use crate::receive::refuse;
use crate::relay;
use crate::relay::{Peer, Permit};
use crate::room;
use crate::watched::{event_of, Watched};
use ringmta_events::metrics::Step as MetricStep;
use ringmta_events::record::{Client, Kind, Record};
use ringmta_io::stopping::Wait;
use ringmta_io::{self as io, deadline, mono_nanos, tls, Conn, Stream};
use ringmta_policy::{
    AuthInfo, ConnMeta, EnvelopeAddress, EsmtpListener, LineEndings, Policy, PolicyError,
};
use ringmta_shard::state::Shard;
use ringmta_shard::trace::Seen;
use ringmta_smtp::proxy_header as proxy_protocol;
use ringmta_smtp::reply::{Refusal, Reply};
use ringmta_smtp::response::{enhanced_code, Response};
use ringmta_smtp::server::buffer::RecvBuf;
use ringmta_smtp::server::dot_reader::BareEndings;
use ringmta_smtp::server::session::Session;
use ringmta_smtp::server::vocabulary::Claim;
use ringmta_smtp::server::vocabulary::{Answer, Ask, Params, Pending, Step, Transaction};
use ringmta_smtp::trace::Origin;
use ringmta_smtp::via::TlsInfo;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// What a session knows besides the protocol.
struct Served {
    shard: Rc<Shard>,
    policy: Rc<Policy>,
    listener: usize,
    options: Rc<EsmtpListener>,
    meta: ConnMeta,
    peer: SocketAddr,
    peer_text: String,
    local: SocketAddr,
    local_text: String,
    session_id: String,
    /// XCLIENT is allowed to whoever is connected, whomever it speaks for.
    xclient: bool,
    /// Recipients of this transaction that take nothing but reports.
    reports_only: Vec<EnvelopeAddress>,
    /// The peer's limit of refusals is used up: the session is to end.
    over: Option<Refusal>,
    out: Vec<u8>,
}

/// What came of the wait for a client.
enum Heard {
    More,
    /// It has closed its side.
    End,
    /// Nothing in time: it is told so, and the session ends.
    Nothing(Refusal),
}

/// Serves one client until it leaves.
pub async fn serve(shard: Rc<Shard>, listener: usize, stream: Stream, peer: SocketAddr) {
    stream.set_nodelay();
    let local = stream.local_addr().unwrap_or(peer);
    let policy = shard.policy();
    let mut options = options_for(&shard, &policy, listener, peer, local).await;
    let (mut conn, mut input) = (Conn::Plain(stream), RecvBuf::new());
    let mut ends = (peer, local);
    if options.require_proxy_protocol {
        if options.proxy_hosts.as_ref().is_some_and(|trusted| !trusted.contains(peer.ip())) {
            shard.metrics.sessions_denied.inc();
            return tracing::debug!("connection of {peer}: not in proxy_hosts of the listener");
        }
        match proxy_protocol::receive(&mut conn, &mut input).await {
            Ok(None) => {}
            Ok(Some(named)) => {
                ends = named;
                options = options_for(&shard, &policy, listener, ends.0, ends.1).await;
            }
            Err(error) => {
                shard.metrics.sessions_denied.inc();
                return tracing::debug!("connection of {peer}: PROXY header: {error}");
            }
        }
    }
    let _counted = match peer_limits::of_session(&shard, listener, &options, ends.0.ip()).admit() {
        Ok(counted) => counted,
        Err(refusal) => {
            shard.metrics.sessions_denied.inc();
            return turn_away(conn, refusal).await;
        }
    };
    let meta = session_meta(&shard, &options, ends);
    if ends != (peer, local) {
        meta.set("orig_received_from", peer.to_string());
        meta.set("orig_received_via", local.to_string());
    }
    let (peer, local) = ends;
    let session_id = ringmta_smtp::ids::random_uuid();
    let mut served = Served {
        policy,
        listener,
        meta,
        peer,
        peer_text: peer.ip().to_string(),
        local,
        local_text: local.to_string(),
        session_id,
        xclient: options.allow_xclient,
        reports_only: Vec::new(),
        over: None,
        out: Vec::with_capacity(256),
        options,
        shard,
    };
    let rewrites = served.policy.handles("smtp_server_rewrite_response");
    let mut session = Session::new(params(&served), rewrites || served.watched().is());
    session.receives_from(served.peer.ip());
    served.watched().tell(&Seen::Mark("Connected"));
    let total = Duration::from_secs(limits::SESSION_TOTAL_SECS);
    match deadline(total, served.run(&mut session, &mut conn, &mut input)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!("session of {peer}: {error}"),
        Err(_) => tracing::debug!("session of {peer}: lasted too long"),
    }
    served.watched().tell(&Seen::Mark("Closed"));
    io::leave(conn);
}

async fn options_for(
    shard: &Shard,
    policy: &Policy,
    listener: usize,
    peer: SocketAddr,
    local: SocketAddr,
) -> Rc<EsmtpListener> {
    let base = &shard.listeners[listener];
    let options = if base.has_overrides() {
        Rc::new(base.for_connection(peer.ip(), local.ip()))
    } else {
        base.clone()
    };
    if policy.handles("smtp_server_get_dynamic_parameters") {
        let meta = session_meta(shard, &options, (peer, local));
        // A failure was logged where it happened; the listener's own options then hold.
        let limit = options.data_processing_timeout;
        let asked = Box::pin(policy.dynamic_parameters(&options, &meta));
        match deadline(limit, asked).await {
            Ok(Ok(Some(changed))) => return Rc::new(changed),
            Ok(_) => {}
            Err(_) => drop(receive::took_too_long(&peer.ip().to_string(), limit)),
        }
    }
    options
}

fn session_meta(
    shard: &Shard,
    options: &EsmtpListener,
    (peer, local): (SocketAddr, SocketAddr),
) -> ConnMeta {
    let meta = ConnMeta::new();
    for (name, value) in &options.meta.0 {
        meta.set(name.clone(), value.clone());
    }
    meta.set("reception_protocol", "ESMTP");
    meta.set("received_via", local.to_string());
    meta.set("received_from", peer.to_string());
    meta.set("hostname", hostname_of(shard, options));
    meta
}

fn params(served: &Served) -> Params {
    let options = &served.options;
    let process = &served.shard.process;
    Params {
        hostname: hostname_of(&served.shard, options),
        banner: options.banner.clone(),
        size_max: options.max_message_size.min(ringmta_smtp::limits::MESSAGE_BYTES_MAX),
        recipients_max: options.max_recipients_per_message,
        messages_max: options.max_messages_per_connection,
        line_max: options.line_length_hard_limit,
        bare: match options.invalid_line_endings {
            LineEndings::Deny => BareEndings::Deny,
            // Taken as it is it would be mended on its way out, behind a signature that covers what it was.
            LineEndings::Allow => BareEndings::Fix,
            LineEndings::Fix => BareEndings::Fix,
        },
        tls: process.smtp_tls[served.listener].is_some(),
        auth_in_clear: process.auth_in_clear,
        xclient: served.xclient,
    }
}

impl Served {
    fn watched(&self) -> Watched<'_> {
        Watched { shard: &self.shard, meta: &self.meta }
    }

    fn peer_limits(&self) -> OfPeer<'_> {
        peer_limits::of_session(&self.shard, self.listener, &self.options, self.peer.ip())
    }

    /// The conversation. What an idle session does not do at the moment is boxed: its own future, which it holds for
    /// as long as it lives, is as large as the largest that is not.
    async fn run(
        &mut self,
        session: &mut Session,
        conn: &mut Conn,
        input: &mut RecvBuf,
    ) -> std::io::Result<()> {
        let mut clock = DataClock::default();
        let shard = self.shard.clone();
        let mut stop = shard.context.stopping.wait();
        loop {
            match session.step(input) {
                Step::Read => {
                    if self.shard.context.stopping.get() && !session.in_data() {
                        session.end(Refusal::Stopping);
                        continue;
                    }
                    self.flush(session, conn).await?;
                    if let Some(refusal) = self.over.take() {
                        session.end(refusal);
                        continue;
                    }
                    let rewrites = self.policy.handles("smtp_server_rewrite_response");
                    session.keep_commands(rewrites || self.watched().is());
                    let quiet_since = mono_nanos();
                    match self.read(session, conn, input, &mut clock, &mut stop).await? {
                        Heard::More => {}
                        Heard::End => return Ok(()),
                        Heard::Nothing(refusal) => {
                            session.end(refusal);
                            self.flush(session, conn).await?;
                            hang_up(conn, quiet_since);
                            return Ok(());
                        }
                    }
                }
                Step::Ask(ask) => {
                    let is_xclient = matches!(ask, Ask::Xclient(_));
                    let answer = Box::pin(self.ask(session, ask)).await;
                    if is_xclient {
                        session.set_params(params(self));
                        session.receives_from(self.peer.ip());
                    }
                    session.answer(answer);
                }
                Step::StartTls => {
                    self.flush(session, conn).await?;
                    Box::pin(self.start_tls(conn)).await?;
                    session.tls_started();
                }
                Step::Close => return self.flush(session, conn).await,
            }
        }
    }

    /// Receives more. The idle time, the time for one message and the stop all end the wait.
    async fn read(
        &mut self,
        session: &mut Session,
        conn: &mut Conn,
        input: &mut RecvBuf,
        clock: &mut DataClock,
        stop: &mut Wait<'_>,
    ) -> std::io::Result<Heard> {
        let limit = self.options.client_timeout;
        let received = if session.in_data() {
            read_data(session, conn, input, clock, limit).await
        } else {
            *clock = DataClock::default();
            read_command(session, conn, input, limit, stop).await
        };
        match received {
            Ok(Some(Ok(0))) => Ok(Heard::End),
            Ok(Some(Ok(count))) => {
                input.filled(count);
                Ok(Heard::More)
            }
            Ok(Some(Err(error))) => Err(error),
            Ok(None) => Ok(Heard::Nothing(Refusal::Stopping)),
            Err(_) => Ok(Heard::Nothing(Refusal::Timeout)),
        }
    }

    /// Sends the replies that wait, in one write.
    async fn flush(&mut self, session: &mut Session, conn: &mut Conn) -> std::io::Result<()> {
        if !session.has_replies() {
            return Ok(());
        }
        let name = session.client_name().unwrap_or("").to_string();
        let penalty = session.take_penalty();
        if !penalty.is_zero() && !self.shard.context.stopping.get() {
            io::sleep(penalty).await;
        }
        let pending: Vec<Pending> = session.replies().collect();
        for one in pending {
            let Pending { reply, command, sender, recipients } = one;
            self.watched().command(command.as_deref());
            let reply = if self.policy.handles("smtp_server_rewrite_response") {
                Box::pin(self.rewritten(reply, command.as_deref())).await
            } else {
                reply
            };
            if reply.is_refusal() {
                let sender = sender.as_ref().map_or("", EnvelopeAddress::email);
                self.record_rejection(&reply, command, &name, (sender, &recipients));
            }
            if reply.code >= 500 {
                let over = self.peer_limits().refused();
                self.over = self.over.or(over);
            }
            let from = self.out.len();
            reply.render(&mut self.out);
            self.watched().reply(&self.out[from..]);
        }
        let sent = deadline(self.options.client_timeout, conn.write_all(&self.out)).await;
        self.out.clear();
        if self.out.capacity() > limits::REPLY_BACKLOG_BYTES {
            self.out = Vec::new();
        }
        sent?
    }

    async fn rewritten(&self, reply: Reply, command: Option<&str>) -> Reply {
        let changed = self.policy.rewrite_response(reply.code, &reply.text, command, &self.meta);
        let limit = self.options.data_processing_timeout;
        match deadline(limit, changed).await {
            Ok(Some((code, text))) => return Reply::new(code, text),
            Ok(None) => {}
            Err(_) => drop(receive::took_too_long(&self.peer_text, limit)),
        }
        reply
    }

    fn record_rejection(
        &self,
        reply: &Reply,
        command: Option<String>,
        client: &str,
        (sender, recipients): (&str, &[EnvelopeAddress]),
    ) {
        self.shard.metrics.rejections.inc();
        if !self.shard.events.wants(Kind::Rejection) {
            return;
        }
        let (enhanced, text) = match enhanced_code(&reply.text) {
            Some((code, len)) => (Some(code), reply.text[len..].trim_start()),
            None => (None, reply.text.as_ref()),
        };
        let response = Response { code: reply.code, enhanced, content: text.into(), command };
        let record = Record {
            kind: Kind::Rejection,
            id: None,
            sender: sender.to_string(),
            recipients,
            queue: "",
            size: 0,
            response: &response,
            num_attempts: 0,
            via: None,
            client: Some(Client { name: client, addr: &self.peer_text }),
            tls: self
                .meta
                .with("tls_cipher", |cipher| cipher.is_some())
                .then(|| TlsInfo::of_meta(&self.meta.snapshot()))
                .flatten(),
            feedback: None,
            happened: None,
            reception_protocol: None,
            session_id: Some(&self.session_id),
        };
        self.shard.events.record(&record, None);
    }

    async fn start_tls(&mut self, conn: &mut Conn) -> std::io::Result<()> {
        let config = self.shard.process.smtp_tls[self.listener]
            .as_ref()
            .map(|tls| tls.in_force.config())
            .ok_or_else(|| std::io::Error::other("no certificate"))?;
        *conn = match io::stream::take(conn) {
            Some(Conn::Plain(stream)) => {
                let began = mono_nanos();
                let accepted = tls::accept(stream, config).await;
                let micros = (mono_nanos() - began) / 1000;
                self.shard.metrics.took(MetricStep::TlsIn, accepted.is_ok(), micros);
                accepted?
            }
            _ => return Err(std::io::Error::other("TLS is already on")),
        };
        self.forget_login();
        if let Some((cipher, version)) = conn.tls_info() {
            self.shard.metrics.under_tls("in", &version);
            self.meta.set("tls_cipher", cipher);
            self.meta.set("tls_protocol_version", version);
        }
        if let Some(subject) = conn.peer_subject() {
            self.meta.set("tls_peer_subject_name", subject);
        }
        Ok(())
    }

    /// What the client has said of itself so far does not count any more (RFC 3207 section 4.2).
    fn forget_login(&self) {
        for forgotten in ["authn_id", "authz_id", "ehlo_domain"] {
            self.meta.set(forgotten, serde_json::Value::Null);
        }
        self.meta.set_auth_info(AuthInfo::default());
    }

    /// From here on the client is the one that the claim names.
    async fn speak_for(&mut self, claim: Claim) {
        let (peer, local) = (self.peer, self.local);
        self.peer =
            SocketAddr::new(claim.addr.unwrap_or(peer.ip()), claim.port.unwrap_or(peer.port()));
        self.local = SocketAddr::new(
            claim.dest_addr.unwrap_or(local.ip()),
            claim.dest_port.unwrap_or(local.port()),
        );
        (self.peer_text, self.local_text) = (self.peer.ip().to_string(), self.local.to_string());
        for (name, before) in [("orig_received_from", peer), ("orig_received_via", local)] {
            if self.meta.with(name, |known| known.is_none()) {
                self.meta.set(name, before.to_string());
            }
        }
        self.forget_login();
        let policy = self.policy.clone();
        let (peer, local) = (self.peer, self.local);
        self.options = options_for(&self.shard, &policy, self.listener, peer, local).await;
        for (name, value) in session_meta(&self.shard, &self.options, (peer, local)).snapshot() {
            self.meta.set(name, value);
        }
    }

    async fn ask(&mut self, session: &Session, ask: Ask) -> Answer {
        let limit = self.options.data_processing_timeout;
        if let Ask::Message(transaction) = ask {
            self.watched().message(&transaction.body);
            let answer = self.receive(session, transaction, limit).await;
            self.watched().callback("smtp_server_message_received", None);
            return answer;
        }
        let event = event_of(&ask);
        let answered = deadline(limit, self.answer(session, ask)).await;
        if let Ok(answer) = &answered {
            self.watched().callback(event, answer.as_ref().err().map(ToString::to_string));
        }
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => refuse(&error),
            Err(_) => receive::took_too_long(&self.peer_text, limit),
        }
    }

    async fn answer(&mut self, session: &Session, ask: Ask) -> Result<Answer, PolicyError> {
        let policy = self.policy.clone();
        match ask {
            Ask::Connected => policy.connection_accepted(&self.meta).await?,
            Ask::Ehlo { domain, extensions, .. } => {
                self.meta.set("ehlo_domain", domain.clone());
                if policy.handles("smtp_server_ehlo") {
                    if let Some(list) = policy.ehlo(&domain, &self.meta, extensions).await? {
                        return Ok(Answer::Extensions(list));
                    }
                }
            }
            Ask::Auth { authz, authc, password } => {
                let (authz, authc, password, peer) = (&authz, &authc, &password.0, self.peer.ip());
                let login = Login { authz, authc, password, peer };
                return login::look(&self.shard, &policy, &self.meta, &login).await;
            }
            Ask::Xclient(claim) => self.speak_for(claim).await,
            Ask::Mail(address) => {
                self.reports_only.clear();
                if let Err(refusal) = self.peer_limits().message() {
                    return Ok(Answer::Refuse(refusal.reply()));
                }
                policy.mail_from(&address, &self.meta).await?
            }
            Ask::Rcpt(address) => {
                let peer = Peer {
                    ip: self.peer.ip(),
                    listener: &self.local_text,
                    relay_hosts: &self.options.relay_hosts,
                    authenticated: self.meta.with("authn_id", |id| id.is_some()),
                    meta: &self.meta,
                };
                let null = EnvelopeAddress::null();
                let sender = session.sender().unwrap_or(&null);
                match relay::allowed(&policy, &peer, sender, &address).await? {
                    Permit::Mail => {}
                    Permit::Reports => self.reports_only.push(address.clone()),
                    Permit::Nothing => {
                        return Ok(Answer::Refuse(Refusal::RelayDenied.reply()));
                    }
                }
                policy.rcpt_to(&address, &self.meta).await?;
            }
            Ask::Data => {
                if let Some(refusal) = room::no_room(&self.shard) {
                    return Ok(Answer::Refuse(refusal.reply()));
                }
            }
            // Answered by `ask`: it has more to wait for than policy.
            Ask::Message(_) => return Ok(Answer::Refuse(Refusal::BadSequence.reply())),
        }
        Ok(Answer::Accept)
    }

    async fn receive(
        &self,
        session: &Session,
        transaction: Transaction,
        limit: Duration,
    ) -> Answer {
        let source = ClientSession {
            policy: &self.policy,
            meta: &self.meta,
            origin: Origin {
                client_name: session.client_name().unwrap_or("unknown"),
                client_addr: &self.peer_text,
                hostname: &session.params().hostname,
                protocol: session.protocol(),
            },
            trace: &self.options.trace_headers,
            batching: self.options.batch_handling,
            session_id: &self.session_id,
            listener: &self.local_text,
            reports_only: &self.reports_only,
            deferred: self.options.deferred_queue,
        };
        receive::receive(&self.shard, &source, transaction, limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of<F>(_: impl Fn(Rc<Shard>, usize, Stream, SocketAddr) -> F) -> usize {
        std::mem::size_of::<F>()
    }

    /// What an idle session costs is its future and its buffer: what it does not do at the moment is boxed.
    #[test]
    fn an_idle_session_is_small() {
        assert!(bytes_of(serve) <= 2048, "{} bytes", bytes_of(serve));
    }
}
