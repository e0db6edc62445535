//! The HTTP client of a shard's policy, and of the hooks that the engine posts itself.

use futures::future::LocalBoxFuture;
use ringmta_http::client::{Client, Failure, Options};
use ringmta_http::http::{Request, Response};
use ringmta_http::Bytes;
use ringmta_policy::{HttpClient, HttpOptions, Shared};
use ringmta_shard::process::Process;
use std::net::{SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::time::Duration;

/// A client on the shard's own sockets.
pub(super) struct PolicyHttp(Rc<Client>);

impl PolicyHttp {
    pub fn new(process: &Process, options: HttpOptions) -> PolicyHttp {
        let HttpOptions { any_certificate, idle, most_idle, ignores_bodies } = options;
        let tls = if any_certificate { &process.tls_any } else { &process.tls_verify }.clone();
        let shared = process.policy_shared.clone();
        let resolve = move |host: String, port| as_the_system_does(&shared, host, port);
        let options = Options { resolve: Box::new(resolve), tls, idle, most_idle, ignores_bodies };
        PolicyHttp(Rc::new(Client::new(options)))
    }
}

/// By the system's files and its name servers, on a helper thread: a name that nobody answers for holds up only those who
/// ask for it.
fn as_the_system_does(
    shared: &Shared,
    host: String,
    port: u16,
) -> LocalBoxFuture<'static, std::io::Result<Vec<SocketAddr>>> {
    let target = format!("name {host}");
    let look_up = move || (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
    Box::pin(shared.helpers().run_for(&target, look_up))
}

impl HttpClient for PolicyHttp {
    fn send(
        &self,
        request: Request<Vec<u8>>,
        limit: Duration,
        most: usize,
    ) -> LocalBoxFuture<'static, Result<Response<Vec<u8>>, String>> {
        let (client, request) = (self.0.clone(), request.map(Bytes::from));
        Box::pin(async move { client.send(request, limit, most).await.map_err(told) })
    }
}

/// In the words that requests of helper threads have.
fn told(failure: Failure) -> String {
    match failure {
        Failure::TimedOut => "timeout: global".into(),
        Failure::Io(error) => format!("io: {error}"),
        other => other.to_string(),
    }
}
