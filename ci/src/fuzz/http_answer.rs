//! What a server answers to a request of ours: it says the same in one piece as in many, and keeps to its limit.

use ringmta_http::answer::{self, Answer};
use ringmta_http::client::Failure;
use ringmta_http::{http, Bytes, HeaderMap};

/// Most bytes of content.
const MOST: usize = 300;
const METHODS: [&str; 8] = ["POST", "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"];

/// What came of an answer.
#[derive(Debug, PartialEq)]
struct Outcome {
    head: Option<(http::Version, u16, HeaderMap)>,
    /// Content, bytes used, whether the connection must be closed; none where it is not whole.
    whole: Option<(Vec<u8>, usize, bool)>,
}

/// The first byte: the method, and in how large pieces it comes; the rest is the answer.
pub fn check(data: &[u8]) {
    let Some((mode, said)) = data.split_first() else { return };
    let method = METHODS[usize::from(mode & 7)];
    let at_once = outcome(method, said, said.len().max(1));
    let piece = 1 + usize::from(mode >> 3);
    assert_eq!(outcome(method, said, piece), at_once, "in pieces of {piece}");
}

fn outcome(method: &str, said: &[u8], piece: usize) -> Outcome {
    let request = http::Request::builder().method(method).uri("/a").header("host", "a.test");
    let request = request.body(Bytes::from_static(b"x")).expect("a request");
    let (sent, mut answer) = answer::to(request, MOST).expect("it can be sent");
    assert!(sent.starts_with(method.as_bytes()) && sent.ends_with(b"\r\n\r\nx"));
    let used = read(&mut answer, said, piece).ok();
    let must_close = answer.must_close();
    let response = answer.into_response();
    let head = response.as_ref().map(|response| {
        let status = response.status().as_u16();
        assert!(status == 101 || status >= 200, "{status} is no answer");
        (response.version(), status, response.headers().clone())
    });
    let whole = used.map(|used| {
        let content = response.expect("a header").into_body();
        assert!(content.len() <= MOST && content.len() <= used);
        (content, used, must_close)
    });
    Outcome { head, whole }
}

/// Plays the part of the connection. How many bytes were the answer's.
fn read(answer: &mut Answer, said: &[u8], piece: usize) -> Result<usize, Failure> {
    let (mut used, mut end) = (0, 0);
    while end < said.len() {
        end = said.len().min(end + piece);
        used += answer.take(&said[used..end])?;
        assert!(used <= end);
        if answer.is_whole() {
            return Ok(used);
        }
    }
    answer.end()?;
    assert!(answer.is_whole() && answer.must_close());
    Ok(used)
}

/// Answers of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok and more",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.0 302 Found\r\nLocation: /b\r\n\r\nuntil the end",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx",
        "HTTP/1.1 429 Too Many Requests\nRetry-After: 7\nContent-Length: 0\n\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    ];
    let with = |mode: u8| answers.map(|said| [&[mode][..], said.as_bytes()].concat());
    [with(0), with(0x09), with(0xfa), with(0x56)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_wherever_the_server_hangs_up() {
        crate::fuzz::seeds::check_beginnings(&seeds(), check);
    }

    #[test]
    fn answers_are_read() {
        let wholes = |method| {
            let of = |seed: &Vec<u8>| outcome(method, &seed[1..], 1).whole;
            seeds()[..9].iter().map(of).collect::<Vec<_>>()
        };
        let is =
            |content: &str, used, must_close| Some((content.as_bytes().to_vec(), used, must_close));
        let lengths: Vec<usize> = seeds()[..9].iter().map(|seed| seed.len() - 1).collect();
        assert_eq!(
            wholes("POST"),
            [
                is("ok", lengths[0], false),
                is("ok", lengths[1] - 9, true),
                is("abc0123456789", lengths[2], false),
                is("", lengths[3], false),
                is("until the end", lengths[4], true),
                is("", lengths[5] - 1, true),
                is("", lengths[6], false),
                is("", lengths[7], false),
                None,
            ]
        );
        assert_eq!(wholes("HEAD")[8], is("", lengths[8] - 4, false));
    }
}
