//! An HTTP/1.1 client on the shard's own sockets: requests wait in the task that awaits them, and connections are kept
//! ([`crate::exchange`] is what happens on one).
//!
//! A request is sent once. It follows no redirect and knows of no proxy.

use crate::exchange::Connected;
use crate::limits::HTTP_CONNECT_SECS;
use futures::future::LocalBoxFuture;
use hyper::body::Bytes;
use hyper::header::{HeaderValue, HOST};
use hyper::http::uri::{Authority, Scheme, Uri};
use hyper::{Request, Response};
use ringmta_io::stream::{Conn, Stream};
use ringmta_io::tls::{self, ClientTls};
use ringmta_io::{deadline, mono_nanos};
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub use crate::failure::Failure;

/// The addresses of a host, given with its port. It may take its time: nobody waits but who asked.
pub type Resolve = dyn Fn(String, u16) -> LocalBoxFuture<'static, std::io::Result<Vec<SocketAddr>>>;

/// How a client behaves.
pub struct Options {
    /// Where hosts are.
    pub resolve: Box<Resolve>,
    /// Whose certificates servers must show.
    pub tls: ClientTls,
    /// A connection that was not used for so long is not used again.
    pub idle: Duration,
    /// Connections that are kept at the most.
    pub most_idle: usize,
    /// Only the status and the header of an answer count: its body is read to keep the connection, and may be too long, or cut.
    pub ignores_bodies: bool,
}

/// A client and its connections.
pub struct Client {
    options: Options,
    idle: RefCell<Vec<Kept>>,
}

/// Where a connection leads.
#[derive(Debug, Clone, PartialEq)]
struct Origin {
    is_tls: bool,
    authority: Authority,
}

impl Origin {
    fn of(uri: &Uri) -> Result<Origin, Failure> {
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(Failure::Bad("the URL is neither http: nor https:")),
        };
        let authority = uri.authority().ok_or(Failure::Bad("the URL names no host"))?.clone();
        Ok(Origin { is_tls, authority })
    }

    /// The host without the brackets of an IPv6 address.
    fn host(&self) -> &str {
        self.authority.host().trim_matches(['[', ']'])
    }

    fn port(&self) -> u16 {
        self.authority.port_u16().unwrap_or(if self.is_tls { 443 } else { 80 })
    }
}

/// One that nobody uses now.
struct Kept {
    origin: Origin,
    link: Connected,
    /// Since when, monotonic nanoseconds.
    since: u64,
}

impl Client {
    /// One without connections.
    pub fn new(options: Options) -> Client {
        Client { options, idle: RefCell::default() }
    }

    /// Sends a request and reads its answer, of at most `most` bytes, all within `limit`. Dropping the future ends its
    /// connection.
    ///
    /// # Errors
    /// Why there is no answer. The server may have got the request all the same.
    pub async fn send(
        &self,
        request: Request<Bytes>,
        limit: Duration,
        most: usize,
    ) -> Result<Response<Vec<u8>>, Failure> {
        deadline(limit, self.send_for_any_time(request, most))
            .await
            .unwrap_or(Err(Failure::TimedOut))
    }

    async fn send_for_any_time(
        &self,
        request: Request<Bytes>,
        most: usize,
    ) -> Result<Response<Vec<u8>>, Failure> {
        let origin = Origin::of(request.uri())?;
        let request = in_origin_form(request, &origin)?;
        let mut link = match self.kept(&origin).await {
            Some(link) => link,
            // Rare, and much larger than the rest of a request.
            None => Box::pin(self.connect(&origin)).await?,
        };
        let (answer, is_whole) = link.exchange(request, most).await?;
        let answer = match is_whole {
            Ok(()) => {
                self.keep(origin, link);
                answer
            }
            // The connection is in the middle of a body, and is not used again.
            Err(_) if self.options.ignores_bodies => answer,
            Err(why) => return Err(why),
        };
        Ok(answer)
    }

    /// The connection to `origin` that was used last, if its server has not closed it.
    async fn kept(&self, origin: &Origin) -> Option<Connected> {
        loop {
            let mut link = {
                let mut idle = self.idle.borrow_mut();
                let oldest = mono_nanos().saturating_sub(self.options.idle.as_nanos() as u64);
                idle.retain(|kept| kept.since >= oldest);
                let at = idle.iter().rposition(|kept| kept.origin == *origin)?;
                idle.remove(at).link
            };
            if link.is_quiet().await {
                return Some(link);
            }
        }
    }

    fn keep(&self, origin: Origin, link: Connected) {
        let mut idle = self.idle.borrow_mut();
        if link.has_ended() || self.options.most_idle == 0 {
            return;
        }
        if idle.len() >= self.options.most_idle {
            idle.remove(0);
        }
        idle.push(Kept { origin, link, since: mono_nanos() });
    }

    async fn addresses(&self, origin: &Origin) -> Result<Vec<SocketAddr>, Failure> {
        let (host, port) = (origin.host(), origin.port());
        match host.parse::<IpAddr>() {
            Ok(ip) => Ok(vec![SocketAddr::new(ip, port)]),
            Err(_) => Ok((self.options.resolve)(host.to_string(), port).await?),
        }
    }

    async fn connect(&self, origin: &Origin) -> Result<Connected, Failure> {
        let stream = connect_to_any(&self.addresses(origin).await?).await?;
        let conn = match origin.is_tls {
            true => {
                let config = self.options.tls.clone();
                tls::connect(stream, origin.host(), config, connect_limit()).await?
            }
            false => Conn::Plain(stream),
        };
        Ok(Connected::new(conn))
    }
}

/// What a server is sent: the path alone, and the host in a field (RFC 9112, 3.2.1).
fn in_origin_form(mut request: Request<Bytes>, origin: &Origin) -> Result<Request<Bytes>, Failure> {
    let path = request.uri().path_and_query().filter(|path| path.as_str().starts_with('/'));
    *request.uri_mut() = match path {
        Some(path) => Uri::from(path.clone()),
        None => {
            let query = request.uri().path_and_query().map_or("", |path| path.as_str());
            format!("/{query}")
                .parse()
                .map_err(|_| Failure::Bad("the URL has no path that can be asked for"))?
        }
    };
    if !request.headers().contains_key(HOST) {
        let host = HeaderValue::from_str(origin.authority.as_str());
        let host = host.map_err(|_| Failure::Bad("the URL names no host"))?;
        request.headers_mut().insert(HOST, host);
    }
    Ok(request)
}

/// A connection to the first address that takes one.
async fn connect_to_any(addresses: &[SocketAddr]) -> Result<Stream, Failure> {
    let mut why = Failure::Bad("the host has no address");
    for address in addresses {
        match deadline(connect_limit(), Stream::connect(*address, None)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => why = error.into(),
            Err(_) => why = Failure::TimedOut,
        }
    }
    Err(why)
}

fn connect_limit() -> Duration {
    Duration::from_secs(HTTP_CONNECT_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::sync::mpsc;

    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    const LONG: Duration = Duration::from_secs(60);

    /// A server that gives each connection the answers of its turn, then closes it. What it was asked, with the number of
    /// the connection, and where it listens.
    fn server(turns: Vec<Vec<&'static str>>) -> (mpsc::Receiver<(usize, String)>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let (asked, questions) = mpsc::channel();
        std::thread::spawn(move || {
            for (number, answers) in turns.into_iter().enumerate() {
                let (mut socket, _) = listener.accept().unwrap();
                for answer in answers {
                    asked.send((number, read_request(&mut socket))).unwrap();
                    socket.write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        (questions, addr)
    }

    /// Head and body, as far as they come.
    fn read_request(socket: &mut std::net::TcpStream) -> String {
        let (mut text, mut byte) = (String::new(), [0]);
        while !text.ends_with("\r\n\r\n") && socket.read(&mut byte).unwrap() > 0 {
            text.push(char::from(byte[0]));
        }
        let length = text.split("content-length: ").nth(1).and_then(|l| l.split('\r').next());
        for _ in 0..length.map_or(0, |length| length.parse().unwrap()) {
            socket.read_exact(&mut byte).unwrap();
            text.push(char::from(byte[0]));
        }
        text
    }

    fn client() -> Client {
        client_with(LONG, 2)
    }

    fn client_with(idle: Duration, most_idle: usize) -> Client {
        let tls = tls::client_config(None).unwrap();
        let nowhere = || std::io::Error::other("no such name");
        let resolve = move |_, _| Box::pin(async move { Err(nowhere()) }) as LocalBoxFuture<_>;
        let ignores_bodies = false;
        Client::new(Options { resolve: Box::new(resolve), tls, idle, most_idle, ignores_bodies })
    }

    fn post(addr: SocketAddr, body: &'static str) -> Request<Bytes> {
        let uri = format!("http://{addr}/a?b=c");
        Request::post(uri).header("x-one", "1").body(Bytes::from(body)).unwrap()
    }

    fn on_a_shard<F: Future<Output = ()> + 'static>(work: impl FnOnce() -> F + Send + 'static) {
        ringmta_io::ring::run_shard("test", None, work).unwrap().join().unwrap().unwrap();
    }

    #[test]
    fn a_connection_is_kept_and_its_end_is_seen_before_it_is_used_again() {
        let (questions, addr) = server(vec![vec![OK, OK], vec![OK]]);
        on_a_shard(move || async move {
            let client = client();
            for body in ["first", "", "third"] {
                let answer = client.send(post(addr, body), LONG, 100).await.unwrap();
                assert_eq!((answer.status().as_u16(), &answer.body()[..]), (200, &b"ok"[..]));
                // The server closes after the second; whether that is seen at once is up to the network.
                while body.is_empty()
                    && client.kept(&Origin::of(&uri(addr)).unwrap()).await.is_some()
                {
                }
            }
        });
        let asked: Vec<(usize, String)> = questions.iter().collect();
        assert_eq!(asked.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 0, 1]);
        let head = format!(
            "POST /a?b=c HTTP/1.1\r\nx-one: 1\r\nhost: {addr}\r\ncontent-length: 5\r\n\r\nfirst"
        );
        assert_eq!(asked[0].1, head);
    }

    fn uri(addr: SocketAddr) -> Uri {
        format!("http://{addr}/").parse().unwrap()
    }

    #[test]
    fn an_answer_has_an_end_in_time_and_in_length() {
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
        let until_close = "HTTP/1.1 200 OK\r\n\r\nall of it";
        let (_questions, addr) = server(vec![
            vec![chunked, chunked],
            vec![cut],
            vec![until_close],
            vec!["SSH-2.0-x\r\n\r\n"],
        ]);
        on_a_shard(move || async move {
            let client = client();
            let ask = |most| client.send(post(addr, "x"), LONG, most);
            assert_eq!(&ask(5).await.unwrap().body()[..], b"abcde");
            let why = ask(4).await.unwrap_err();
            assert!(matches!(why, Failure::TooLong(4)), "{why}");
            assert!(client.idle.borrow().is_empty(), "its rest would be taken for the next answer");
            assert!(matches!(ask(100).await.unwrap_err(), Failure::Io(_)), "it is cut");
            assert_eq!(&ask(100).await.unwrap().body()[..], b"all of it");
            assert!(client.idle.borrow().is_empty());
            assert!(matches!(ask(100).await.unwrap_err(), Failure::Http(_)), "not HTTP");
        });
    }

    #[test]
    fn answers_in_pieces_and_with_others_before_them() {
        let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
        let whole = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n";
        let none = "HTTP/1.1 204 No Content\r\n\r\n";
        let more = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n";
        let old = "HTTP/1.0 302 Found\r\nLocation: /b\r\nContent-Length: 1\r\n\r\nx";
        let all: &'static str = format!("{early}{whole}").leak();
        let (questions, addr) = server(vec![vec![all, none, more], vec![old], vec![OK]]);
        on_a_shard(move || async move {
            let client = client();
            let ask = || client.send(post(addr, "x"), LONG, 100);
            let answers =
                [(200, "abc", 1), (204, "", 1), (200, "ok", 0), (302, "x", 0), (200, "ok", 1)];
            for (status, body, kept) in answers {
                let answer = ask().await.unwrap();
                assert_eq!(answer.status().as_u16(), status);
                assert_eq!(String::from_utf8_lossy(answer.body()), body);
                assert_eq!(client.idle.borrow().len(), kept, "{status}");
            }
        });
        let of: Vec<usize> = questions.iter().map(|(number, _)| number).collect();
        assert_eq!(of, [0, 0, 0, 1, 2]);
    }

    #[test]
    fn an_answer_may_come_byte_by_byte() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_nodelay(true).unwrap();
            let answer =
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            answer.bytes().for_each(|byte| socket.write_all(&[byte]).unwrap());
            read_request(&mut socket);
        });
        on_a_shard(move || async move {
            let client = client();
            let answer = client.send(post(addr, "x"), LONG, 9).await.unwrap();
            assert_eq!(answer.body(), b"ok");
            assert_eq!(client.idle.borrow().len(), 1);
        });
    }

    #[test]
    fn an_answer_may_come_before_all_is_sent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            // The body is not read, and does not fit into what the kernel keeps.
            socket.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n").unwrap();
            socket
        });
        on_a_shard(move || async move {
            let client = client();
            let large = Bytes::from(vec![b'x'; 64 << 20]);
            let request = Request::post(format!("http://{addr}/")).body(large).unwrap();
            let answer = client.send(request, LONG, 9).await.unwrap();
            assert_eq!(answer.status().as_u16(), 413);
            assert!(client.idle.borrow().is_empty(), "it is in the middle of a request");
        });
        server.join().unwrap();
    }

    #[test]
    fn a_header_has_an_end() {
        let lines = "a: b\r\n".repeat(20_000);
        let long: &'static str = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(200_000)).leak();
        let many: &'static str = format!("HTTP/1.1 200 OK\r\n{lines}\r\n").leak();
        let chunk: &'static str = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{}",
            "y".repeat(200_000)
        )
        .leak();
        let (_questions, addr) = server(vec![vec![long], vec![many], vec![chunk]]);
        on_a_shard(move || async move {
            let client = client();
            for _ in 0..3 {
                let why = client.send(post(addr, "x"), LONG, 9).await.unwrap_err();
                assert!(
                    matches!(why, Failure::TooLong(_) | Failure::Http(_) | Failure::Bad(_)),
                    "{why:?}"
                );
            }
        });
    }

    #[test]
    fn a_long_header_leaves_the_connection_as_it_was() {
        let field = format!("x: {}\r\n", "y".repeat(3000));
        let long = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 2\r\n\r\nok", field.repeat(3));
        let long: &'static str = long.leak();
        let (questions, addr) = server(vec![vec![long, OK, long, OK]]);
        on_a_shard(move || async move {
            let client = client();
            for _ in 0..4 {
                let answer = client.send(post(addr, "x"), LONG, 9).await.unwrap();
                assert_eq!(answer.body(), b"ok");
            }
        });
        assert!(questions.iter().all(|(number, _)| number == 0));
    }

    #[test]
    fn requests_say_how_long_they_are() {
        let (questions, addr) = server(vec![vec![OK, OK, OK, OK]]);
        on_a_shard(move || async move {
            let client = client();
            for (method, body) in [("GET", ""), ("POST", ""), ("GET", "x"), ("PURGE", "")] {
                let request = Request::builder().method(method).uri(format!("http://{addr}?q"));
                let request = request.body(Bytes::from(body)).unwrap();
                client.send(request, LONG, 9).await.unwrap();
            }
        });
        let asked: Vec<String> = questions.iter().map(|(_, asked)| asked).collect();
        let host = format!("/?q HTTP/1.1\r\nhost: {addr}\r\n");
        assert_eq!(asked[0], format!("GET {host}\r\n"));
        assert_eq!(asked[1], format!("POST {host}content-length: 0\r\n\r\n"));
        assert_eq!(asked[2], format!("GET {host}content-length: 1\r\n\r\nx"));
        assert_eq!(asked[3], format!("PURGE {host}\r\n"));
    }

    #[test]
    fn who_needs_no_bodies_gets_the_status_whatever_they_are() {
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
        let long = "HTTP/1.1 202 OK\r\nContent-Length: 9\r\n\r\nfar too l";
        let (_questions, addr) = server(vec![vec![cut], vec![long], vec![OK, OK]]);
        on_a_shard(move || async move {
            let mut client = client();
            client.options.ignores_bodies = true;
            for status in [200, 202, 200] {
                assert!(client.idle.borrow().is_empty(), "its rest would be the next answer");
                let answer = client.send(post(addr, "x"), LONG, 5).await.unwrap();
                assert_eq!(answer.status().as_u16(), status);
            }
            assert_eq!(client.idle.borrow().len(), 1);
        });
    }

    #[test]
    fn who_does_not_answer_is_not_waited_for() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = silent.local_addr().unwrap();
        let free = {
            let bound = TcpListener::bind("127.0.0.1:0").unwrap();
            bound.local_addr().unwrap()
        };
        on_a_shard(move || async move {
            let client = client();
            let why = client.send(post(addr, "x"), Duration::from_millis(20), 9).await.unwrap_err();
            assert_eq!(why.to_string(), "timed out");
            let why = client.send(post(free, "x"), LONG, 9).await.unwrap_err();
            assert!(why.to_string().contains("refused"), "{why}");
            let ftp = Request::get("ftp://h/").body(Bytes::new()).unwrap();
            let why = client.send(ftp, LONG, 9).await.unwrap_err();
            assert_eq!(why.to_string(), "the URL is neither http: nor https:");
            let named = Request::get("http://a.test/").body(Bytes::new()).unwrap();
            let why = client.send(named, LONG, 9).await.unwrap_err();
            assert_eq!(why.to_string(), "no such name");
        });
    }

    #[test]
    fn few_connections_are_kept_and_not_for_long() {
        let (_questions, addr) = server((0..4).map(|_| vec![OK]).collect());
        on_a_shard(move || async move {
            let client = client_with(Duration::ZERO, 1);
            for _ in 0..2 {
                client.send(post(addr, "x"), LONG, 9).await.unwrap();
                assert!(client.idle.borrow().len() <= 1);
            }
            let origin = Origin::of(&uri(addr)).unwrap();
            assert!(client.kept(&origin).await.is_none(), "it is too old");
        });
    }
}
