//! Messages on their way out of the sandbox, by somebody's order: released one by one, relayed as they come, or copied to
//! one mailbox. The SMTP client is lettre's, on helper threads.

use crate::cram_md5::log_in;
use crate::limits::SANDBOX_RELAY_SECS;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{SmtpConnection, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::SmtpTransport;
use lettre::{Address, Transport};
use regex::Regex;
use serde::Deserialize;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Longest a server may be silent.
const LIMIT: Duration = Duration::from_secs(SANDBOX_RELAY_SECS);

/// The name of a host that stands for the engine beside the inbox.
pub const ENGINE: &str = "engine";

/// A mail server, and how it is spoken to.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// STARTTLS, without which nothing is sent.
    pub starttls: bool,
    /// STARTTLS where it is offered.
    pub if_offered: bool,
    /// TLS from the first byte.
    pub tls: bool,
    /// Any certificate will do.
    pub allow_insecure: bool,
    /// A login.
    pub login: Option<Login>,
    /// Where the engine beside the inbox takes mail, once it does; for a host that is this engine.
    pub engine: Option<Arc<OnceLock<SocketAddr>>>,
}

impl Host {
    /// The host with the address it has by now.
    ///
    /// # Errors
    /// When it has none yet.
    fn reached(&self) -> Result<Host, String> {
        let Some(engine) = &self.engine else { return Ok(self.clone()) };
        let address = engine.get().ok_or("the engine does not take mail yet")?;
        Ok(Host { host: address.ip().to_string(), port: address.port(), ..self.clone() })
    }

    /// As people are told where mail goes.
    pub fn shown(&self) -> String {
        match &self.engine {
            None => format!("{}:{}", self.host, self.port),
            Some(engine) => match engine.get() {
                Some(address) => format!("the engine ({address})"),
                None => "the engine".into(),
            },
        }
    }
}

/// How a login is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// AUTH PLAIN.
    Plain,
    /// AUTH LOGIN.
    Login,
    /// AUTH CRAM-MD5.
    CramMd5,
}

/// A login at a mail server.
#[derive(Clone)]
pub struct Login {
    /// How.
    pub by: Proof,
    /// Its name.
    pub user: String,
    /// Its password, or the secret of CRAM-MD5.
    pub password: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "login {}", self.user)
    }
}

/// Where messages are released to.
#[derive(Clone, Debug, Default)]
pub struct Relay {
    /// The server.
    pub host: Host,
    /// The sender of the envelope, instead of the message's.
    pub return_path: String,
    /// The address in From, instead of the message's.
    pub override_from: String,
    /// Recipients that may be sent to.
    pub allowed: Option<Regex>,
    /// Recipients that may not.
    pub blocked: Option<Regex>,
    /// Message-IDs stay as they are.
    pub preserve_message_ids: bool,
    /// Who sends to the sandbox is told what the server says.
    pub forward_errors: bool,
    /// Every message is relayed as it comes.
    pub all: bool,
    /// Messages to these recipients are.
    pub matching: Option<Regex>,
}

/// Where a copy of each message goes.
#[derive(Clone, Debug, Default)]
pub struct Forward {
    /// The server.
    pub host: Host,
    /// The mailboxes.
    pub to: Vec<String>,
    /// The sender of the envelope, instead of the message's.
    pub return_path: String,
    /// The address in From, instead of the message's.
    pub override_from: String,
    /// Who sends to the sandbox is told what the server says.
    pub forward_errors: bool,
}

/// The keys of Mailpit's files for both, and of the environment variables that stand for them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Keys {
    /// Mail server.
    pub host: String,
    /// Its port; 25 unless given.
    pub port: Option<u16>,
    /// STARTTLS.
    pub starttls: bool,
    /// TLS from the first byte.
    pub tls: bool,
    /// Any certificate will do.
    pub allow_insecure: bool,
    /// `none`, `plain`, `login` or `cram-md5`.
    pub auth: String,
    /// Login.
    pub username: String,
    /// Its password.
    pub password: String,
    /// That of CRAM-MD5.
    pub secret: String,
    /// Sender of the envelope.
    pub return_path: String,
    /// Address in From.
    pub override_from: String,
    /// Expression of recipients.
    pub allowed_recipients: String,
    /// The same by its older name.
    pub recipient_allowlist: String,
    /// Expression of recipients.
    pub blocked_recipients: String,
    /// Message-IDs stay.
    pub preserve_message_ids: bool,
    /// The server's errors are the sandbox's.
    pub forward_smtp_errors: bool,
    /// Mailboxes, parted by commas.
    pub to: String,
}

impl Keys {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(yaml: &str) -> Result<Keys, String> {
        serde_yaml_ng::from_str(yaml).map_err(|error| error.to_string())
    }

    fn host(&self) -> Result<Host, String> {
        if self.host.is_empty() {
            return Err("there is no host".into());
        }
        if self.starttls && self.tls {
            return Err("STARTTLS and TLS exclude each other".into());
        }
        Ok(Host {
            host: self.host.clone(),
            port: self.port.unwrap_or(25),
            starttls: self.starttls,
            tls: self.tls,
            allow_insecure: self.allow_insecure,
            login: self.login()?,
            engine: (self.host == ENGINE).then(Arc::default),
            ..Host::default()
        })
    }

    fn login(&self) -> Result<Option<Login>, String> {
        let (by, password, what) = match self.auth.to_ascii_lowercase().as_str() {
            "" | "none" => return Ok(None),
            "plain" => (Proof::Plain, &self.password, "password"),
            "login" => (Proof::Login, &self.password, "password"),
            "cram-md5" => (Proof::CramMd5, &self.secret, "secret"),
            other => return Err(format!("auth `{other}` is none of none, plain, login, cram-md5")),
        };
        if self.username.is_empty() || password.is_empty() {
            return Err(format!("auth {} wants a username and a {what}", self.auth));
        }
        Ok(Some(Login { by, user: self.username.clone(), password: password.clone() }))
    }

    /// A relay of these keys.
    ///
    /// # Errors
    /// Which is wrong.
    pub fn relay(&self) -> Result<Relay, String> {
        let allowed = match self.allowed_recipients.as_str() {
            "" => &self.recipient_allowlist,
            newer => newer,
        };
        if !self.to.is_empty() {
            return Err("`to` belongs to forwarding".into());
        }
        Ok(Relay {
            host: self.host()?,
            return_path: address_or_nothing(&self.return_path)?,
            override_from: address_or_nothing(&self.override_from)?,
            allowed: expression(allowed)?,
            blocked: expression(&self.blocked_recipients)?,
            preserve_message_ids: self.preserve_message_ids,
            forward_errors: self.forward_smtp_errors,
            all: false,
            matching: None,
        })
    }

    /// A forwarding of these keys.
    ///
    /// # Errors
    /// Which is wrong.
    pub fn forward(&self) -> Result<Forward, String> {
        let to: Vec<String> = self
            .to
            .split(',')
            .map(|to| to.trim().to_string())
            .filter(|to| !to.is_empty())
            .collect();
        if to.is_empty() {
            return Err("there is no `to`".into());
        }
        to.iter().try_for_each(|to| address_or_nothing(to).map(|_| ()))?;
        Ok(Forward {
            host: self.host()?,
            to,
            return_path: address_or_nothing(&self.return_path)?,
            override_from: address_or_nothing(&self.override_from)?,
            forward_errors: self.forward_smtp_errors,
        })
    }
}

/// Whether this can be an address of an envelope.
pub fn is_address(text: &str) -> bool {
    text.parse::<Address>().is_ok()
}

fn expression(text: &str) -> Result<Option<Regex>, String> {
    (!text.is_empty()).then(|| crate::tags::expression(text)).transpose()
}

fn address_or_nothing(text: &str) -> Result<String, String> {
    if !text.is_empty() {
        text.parse::<Address>().map_err(|error| format!("`{text}` is no address: {error}"))?;
    }
    Ok(text.to_string())
}

/// A message that is to be sent.
pub struct Outgoing {
    /// Where.
    pub host: Host,
    /// The sender of the envelope; empty for none.
    pub from: String,
    /// The recipients.
    pub to: Vec<String>,
    /// The message.
    pub source: Vec<u8>,
}

impl Outgoing {
    /// Sends it; blocks.
    ///
    /// # Errors
    /// What the server said, or why it could not be asked.
    pub fn send_now(self) -> Result<(), String> {
        let host = self.host.reached()?;
        let parsed = |text: &String| {
            text.parse::<Address>().map_err(|error| format!("`{text}` is no address: {error}"))
        };
        let from = (!self.from.is_empty()).then(|| parsed(&self.from)).transpose()?;
        let to = self.to.iter().map(parsed).collect::<Result<Vec<_>, _>>()?;
        let envelope = Envelope::new(from, to).map_err(|error| error.to_string())?;
        // The library puts a line end of its own in front of the final dot.
        let source = self.source.strip_suffix(b"\r\n").unwrap_or(&self.source);
        match &host.login {
            Some(login) if login.by == Proof::CramMd5 => {
                send_by_challenge(&host, login, &envelope, source)
            }
            _ => {
                let transport = transport(&host)?;
                transport.send_raw(&envelope, source).map_err(|error| said(&error)).map(|_| ())
            }
        }
    }
}

/// Sends where a login by CRAM-MD5 comes first.
fn send_by_challenge(
    host: &Host,
    login: &Login,
    envelope: &Envelope,
    source: &[u8],
) -> Result<(), String> {
    let tls = tls(host)?;
    let (wrapper, hello) =
        (if let Tls::Wrapper(tls) = &tls { Some(tls) } else { None }, ClientId::default());
    let (at, limit) = ((host.host.as_str(), host.port), Some(LIMIT));
    let mut connection =
        SmtpConnection::connect(at, limit, &hello, wrapper, None).map_err(|error| said(&error))?;
    if let Tls::Required(tls) = &tls {
        connection.starttls(tls, &hello).map_err(|error| said(&error))?;
    }
    log_in(&mut connection, &login.user, &login.password, said)?;
    connection.send(envelope, source).map_err(|error| said(&error))?;
    // The message is taken: whether the server likes to be left is no matter.
    let _ = connection.quit();
    Ok(())
}

/// What went wrong, with its causes.
fn said(error: &lettre::transport::smtp::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(deeper) = cause {
        if !text.contains(&deeper.to_string()) {
            text = format!("{text}: {deeper}");
        }
        cause = deeper.source();
    }
    text
}

fn tls(host: &Host) -> Result<Tls, String> {
    let parameters = || {
        TlsParameters::builder(host.host.clone())
            .dangerous_accept_invalid_certs(host.allow_insecure)
            .dangerous_accept_invalid_hostnames(host.allow_insecure)
            .build()
            .map_err(|error| error.to_string())
    };
    Ok(match (host.tls, host.starttls) {
        (true, _) => Tls::Wrapper(parameters()?),
        (false, true) => Tls::Required(parameters()?),
        (false, false) if host.if_offered => Tls::Opportunistic(parameters()?),
        (false, false) => Tls::None,
    })
}

fn transport(host: &Host) -> Result<SmtpTransport, String> {
    let mut builder = SmtpTransport::builder_dangerous(&host.host)
        .port(host.port)
        .tls(tls(host)?)
        .timeout(Some(LIMIT));
    if let Some(login) = &host.login {
        let mechanism = if login.by == Proof::Login { Mechanism::Login } else { Mechanism::Plain };
        builder = builder
            .authentication(vec![mechanism])
            .credentials(Credentials::new(login.user.clone(), login.password.clone()));
    }
    Ok(builder.build())
}
