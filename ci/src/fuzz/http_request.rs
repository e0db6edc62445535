//! Requests to our HTTP servers, over a simulated connection: the same are heard in one piece as in many, each within its
//! limits, and each is answered once, in HTTP.

use futures::future::LocalBoxFuture;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use ringmta_http::{answer, http, serve, Bytes, Request, Response};
use ringmta_io::sim::World;
use ringmta_io::{Conn, Listener, Stream};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Bytes of a request's body, decoded, at the most.
const BODY_MAX: usize = 2000;
/// Pieces that a connection's bytes come in at the most.
const PIECES_MAX: usize = 400;

/// What a handler was given.
#[derive(Debug, PartialEq)]
struct Heard {
    method: http::Method,
    path: String,
    segments: Vec<String>,
    query: Vec<(String, String)>,
    headers: http::HeaderMap,
    body: Bytes,
}

/// The first byte: in how large pieces the rest comes, which is what a client sends before it says no more.
pub fn check(data: &[u8]) {
    let Some((mode, sent)) = data.split_first() else { return };
    let (heard, answered) = talk(sent, sent.len().max(1));
    let statuses = statuses(&heard, &answered);
    let echoed: usize = heard.iter().map(|heard| 3 * heard.path.len()).sum();
    assert!(answered.len() <= 400 * (heard.len() + 1) + echoed, "{} bytes", answered.len());
    let piece = (1 + usize::from(*mode)).max(sent.len().div_ceil(PIECES_MAX));
    let (heard_again, answered) = talk(sent, piece);
    assert_eq!(heard_again, heard, "in pieces of {piece}");
    let again = self::statuses(&heard, &answered);
    // A head that is none is refused when it has come, or given up with its client: hyper looks for its end first.
    assert_eq!(again[..heard.len()], statuses[..heard.len()], "in pieces of {piece}");
}

/// What a server heard, and what it has answered in all.
fn talk(sent: &[u8], piece: usize) -> (Vec<Heard>, Vec<u8>) {
    let world = World::new(1, false);
    let _entered = world.enter();
    let addr = SocketAddr::from(([10, 0, 0, 1], 80));
    let heard = Rc::new(RefCell::new(Vec::new()));
    let (answered, ended) = (Rc::new(RefCell::new(Vec::new())), Rc::new(Cell::new(0)));
    let (all, ends) = (heard.clone(), ended.clone());
    world.spawn_on(world.exec.new_node(), async move {
        let listener = Listener::bind(addr).expect("a listener");
        let stream = listener.accept().await.expect("a connection").bind();
        let peer = stream.peer_addr().expect("a peer");
        serve(Conn::Plain(stream), peer, BODY_MAX, move |request| handle(&all, request)).await;
        ends.set(ends.get() + 1);
    });
    let (said, taken, ends) = (sent.to_vec(), answered.clone(), ended.clone());
    world.spawn_on(world.exec.new_node(), async move {
        // The server is there before.
        ringmta_io::sleep(Duration::from_millis(1)).await;
        let stream = Stream::connect(addr, None).await.expect("a connection");
        let (mut read, mut write) = Conn::Plain(stream).split();
        let say = async {
            for piece in said.chunks(piece) {
                if write.write_all(piece).await.is_err() {
                    return;
                }
            }
            let _ = write.close().await;
        };
        let hear = async {
            let mut space = [0; 1024];
            // A reset ends it as well.
            while let Ok(bytes @ 1..) = read.read(&mut space).await {
                taken.borrow_mut().extend_from_slice(&space[..bytes]);
            }
        };
        futures::join!(say, hear);
        ends.set(ends.get() + 1);
    });
    world.run_until(Duration::from_secs(600), 1_000_000, || ended.get() == 2).expect("an end");
    (heard.take(), answered.take())
}

fn handle(all: &Rc<RefCell<Vec<Heard>>>, request: Request) -> LocalBoxFuture<'static, Response> {
    assert!(request.body.len() <= BODY_MAX);
    assert!(request.path.bytes().all(|byte| byte > b' ' && byte != 0x7f), "{:?}", request.path);
    let query = &request.query;
    let _ = (query.number("limit"), query.repeated());
    let response = match serde_json::from_slice::<serde_json::Value>(&request.body) {
        Err(why) if request.path == "/json" => {
            let response = Response::json_error(&why, &request.body);
            assert!(response.status.is_client_error());
            response
        }
        _ if request.path == "/stream" => {
            let chunks = [Ok(Bytes::from("a")), Ok(Bytes::from("b"))];
            Response::stream("text/plain", futures::stream::iter(chunks))
        }
        _ => Response::text(http::StatusCode::OK, request.segments().concat()),
    };
    all.borrow_mut().push(Heard {
        segments: request.segments(),
        query: request.query.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        method: request.method,
        path: request.path,
        headers: request.headers,
        body: request.body,
    });
    Box::pin(std::future::ready(response))
}

/// The statuses of all answers: one to each request that was heard, and perhaps a refusal behind them, which is the last.
fn statuses(heard: &[Heard], mut answered: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for heard in heard {
        // The answer to CONNECT has no length.
        let asks =
            if heard.method == http::Method::CONNECT { "GET" } else { heard.method.as_str() };
        let request = http::Request::builder().method(asks).uri("/").body(Bytes::new());
        let (_, mut answer) = answer::to(request.expect("a request"), usize::MAX).expect("as well");
        let used = answer.take(answered).expect("HTTP");
        if !answer.is_whole() {
            answer.end().expect("an end");
        }
        answered = &answered[used..];
        statuses.push(answer.into_response().expect("a header").status().as_u16());
    }
    let request = http::Request::get("/").body(Bytes::new()).expect("a request");
    let (_, mut refusal) = answer::to(request, usize::MAX).expect("as well");
    refusal.take(answered).expect("HTTP");
    // Without it, there was nothing but the wish that a body may come.
    statuses.extend(refusal.into_response().map(|refusal| {
        assert!(refusal.status().as_u16() >= 400, "{}", refusal.status());
        refusal.status().as_u16()
    }));
    statuses
}

/// Requests of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    // "hello" and eleven times "h".
    let gzipped: &[u8] = &[
        0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0x02, 0xff, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8,
        0x40, 0, 0, 0xef, 0xca, 0x66, 0xe0, 0x11, 0, 0, 0,
    ];
    let requests = [
        "GET /a%20b/c?limit=5&q=x+y&q HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "POST /json HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{\"a\": [1,GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
        "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET http://a.test/b HTTP/1.0\r\n\r\n",
        "CONNECT a.test:25 HTTP/1.1\r\nHost: a.test:25\r\n\r\nEHLO x\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nOrigin: http://b.test\r\nSec-Fetch-Site: cross-site\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\nx",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "EHLO a.test\r\nMAIL FROM:<a@a.test>\r\n",
    ];
    let mut all: Vec<Vec<u8>> = requests
        .iter()
        .flat_map(|text| [0, 40].map(|mode| [&[mode], text.as_bytes()].concat()))
        .collect();
    let head =
        "POST /z HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 28\r\n\r\n";
    all.push([&[3], head.as_bytes(), gzipped].concat());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_wherever_the_client_hangs_up() {
        crate::fuzz::seeds::check_beginnings(&seeds(), check);
    }

    #[test]
    fn requests_are_heard() {
        let of = |number: usize| {
            let seeds = seeds();
            let (heard, answered) = talk(&seeds[number][1..], 100);
            (heard.iter().map(|h| h.path.clone()).collect::<Vec<_>>(), statuses(&heard, &answered))
        };
        assert_eq!(of(0), (vec!["/a%20b/c".to_owned()], vec![200]));
        assert_eq!(of(2), (vec!["/json".to_owned(), "/stream".to_owned()], vec![400, 200]));
        assert_eq!(of(4), (vec!["/x".to_owned()], vec![200]));
        assert_eq!(of(8), (vec!["/".to_owned(), "/b".to_owned()], vec![200, 200]));
        assert_eq!(of(14), (vec![], vec![413]));
        assert_eq!(of(20), (vec![], vec![400]));
        let (heard, _) = talk(&seeds()[22][1..], 1);
        assert_eq!(heard[0].body, "hello hhhhhhhhhhh");
    }
}
