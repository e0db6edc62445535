//! What a session and its driver say to each other.

use crate::reply::Reply;
use crate::server::dot_reader::{BareEndings, DotReader};
use ringmta_io::receiving::Held;
use ringmta_mail::{EnvelopeAddress, Meta};
use std::net::IpAddr;

/// What a listener allows; see the listener options of the policy.
#[derive(Debug, Clone)]
pub struct Params {
    /// Our name in the banner and in replies.
    pub hostname: String,
    /// Text behind the name in the banner.
    pub banner: String,
    /// Largest message, bytes.
    pub size_max: usize,
    /// Most recipients of one transaction.
    pub recipients_max: usize,
    /// Most messages of one connection.
    pub messages_max: usize,
    /// Longest line of data, CRLF not counted.
    pub line_max: usize,
    /// What happens to bare CR and LF.
    pub bare: BareEndings,
    /// A certificate is at hand.
    pub tls: bool,
    /// AUTH may be used without TLS.
    pub auth_in_clear: bool,
    /// The client may say on whose behalf it speaks.
    pub xclient: bool,
}

/// What the driver is to do next.
#[derive(Debug)]
pub enum Step {
    /// Send the replies, then receive more.
    Read,
    /// Ask policy, then [`Session::answer`].
    Ask(Ask),
    /// Send the replies, do the handshake, then [`Session::tls_started`].
    StartTls,
    /// Send the replies and close.
    Close,
}

/// A question of the session.
#[derive(Debug)]
pub enum Ask {
    /// A client has connected.
    Connected,
    /// EHLO (`extended`) or HELO. The answer may replace the extension list.
    Ehlo {
        /// What the client calls itself.
        domain: String,
        /// EHLO rather than HELO.
        extended: bool,
        /// Keywords we would offer.
        extensions: Vec<String>,
    },
    /// Credentials of AUTH PLAIN or LOGIN.
    Auth {
        /// Identity to act as; may be empty.
        authz: String,
        /// Identity whose password is given.
        authc: String,
        /// Never to be logged.
        password: Secret,
    },
    /// XCLIENT: parameters may change with it, see [`Session::set_params`].
    Xclient(Claim),
    /// MAIL FROM.
    Mail(EnvelopeAddress),
    /// RCPT TO.
    Rcpt(EnvelopeAddress),
    /// DATA was given; recipients are known. The answer says whether data may come.
    Data,
    /// A whole message.
    Message(Transaction),
}

/// A password on its way to policy; never printed.
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

/// The driver's answer to an [`Ask`].
#[derive(Debug)]
pub enum Answer {
    /// Go on, with the usual reply.
    Accept,
    /// Go on, with these EHLO keywords.
    Extensions(Vec<String>),
    /// The message is stored; this is the reply to the final dot.
    Stored(Reply),
    /// Refuse with this reply; 421 also closes.
    Refuse(Reply),
    /// Refuse and close, whatever the code.
    Disconnect(Reply),
}

/// A mail transaction with its data.
#[derive(Debug)]
pub struct Transaction {
    /// MAIL FROM.
    pub sender: EnvelopeAddress,
    /// Every accepted RCPT TO.
    pub recipients: Vec<EnvelopeAddress>,
    /// The message, dots unstuffed.
    pub body: Vec<u8>,
    /// What the client asked for in parameters that is to stay with the message.
    pub meta: Meta,
    /// What the message has of the memory for what is being received.
    pub held: Held,
}

/// A reply that waits to be sent.
#[derive(Debug)]
pub struct Pending {
    /// The reply.
    pub reply: Reply,
    /// The command it answers; kept for refusals and where replies may be rewritten.
    pub command: Option<String>,
    /// Of a refusal: the sender, as far as it is known.
    pub sender: Option<EnvelopeAddress>,
    /// Of a refusal: the recipients it concerns.
    pub recipients: Vec<EnvelopeAddress>,
}

/// Which question is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Connected,
    Ehlo,
    Auth,
    Xclient,
    Mail,
    Rcpt,
    Data,
    Message,
}

/// A message being received.
#[derive(Debug)]
pub(super) struct DataState {
    pub reader: DotReader,
    pub body: Vec<u8>,
    pub held: Held,
}

/// An AUTH command that waits for the client's next line.
pub enum Exchange {
    /// PLAIN without an initial response.
    Plain,
    /// LOGIN, name expected.
    LoginName,
    /// LOGIN, password expected.
    LoginPassword {
        /// The name given.
        name: String,
    },
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AUTH exchange")
    }
}

/// What is to be believed instead of what the connection shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claim {
    /// The client's address.
    pub addr: Option<IpAddr>,
    /// Its port.
    pub port: Option<u16>,
    /// The address it connected to.
    pub dest_addr: Option<IpAddr>,
    /// The port there.
    pub dest_port: Option<u16>,
}
