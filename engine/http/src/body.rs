//! A request's body: decoded as it comes, within its limit and the memory for what is being received.

use crate::limits::RETRY_AFTER_SECS;
use crate::types::Response;
use flate2::write::{GzDecoder, ZlibDecoder};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::RETRY_AFTER;
use hyper::StatusCode;
use ringmta_io::receiving::{Held, Pace, Peer, LOOK};
use ringmta_io::{deadline, mono_nanos};
use std::io::{self, Write};

/// Takes a body, of which what it decodes to counts.
pub(super) enum Decoder {
    Plain(Whole),
    Gzip(GzDecoder<Whole>),
    Deflate(ZlibDecoder<Whole>),
}

/// The body so far. Its buffer grows with what comes.
pub(super) struct Whole {
    bytes: Vec<u8>,
    held: Held,
    limit: usize,
    refused: Option<Refused>,
}

/// Why no more of a body is taken.
#[derive(Clone, Copy)]
enum Refused {
    TooLarge,
    NoMemory,
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let refused = if self.bytes.len() + bytes.len() > self.limit {
            Refused::TooLarge
        } else if !self.held.reserve(&mut self.bytes, bytes.len()) {
            Refused::NoMemory
        } else {
            self.bytes.extend_from_slice(bytes);
            return Ok(bytes.len());
        };
        self.refused = Some(refused);
        Err(io::Error::other("refused"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Decoder {
    /// For a body of at most `limit` bytes, decoded, from `peer`, that is encoded as Content-Encoding says.
    ///
    /// # Errors
    /// An encoding that is not taken.
    pub fn new(encoding: Option<&str>, limit: usize, peer: Peer) -> Result<Decoder, Response> {
        let whole = Whole { bytes: Vec::new(), held: Held::of(peer), limit, refused: None };
        match encoding.map(str::trim) {
            None | Some("" | "identity") => Ok(Decoder::Plain(whole)),
            Some("gzip" | "x-gzip") => Ok(Decoder::Gzip(GzDecoder::new(whole))),
            Some("deflate") => Ok(Decoder::Deflate(ZlibDecoder::new(whole))),
            Some(_) => Err(Response::new(StatusCode::UNSUPPORTED_MEDIA_TYPE)),
        }
    }

    fn whole(&self) -> &Whole {
        match self {
            Decoder::Plain(whole) => whole,
            Decoder::Gzip(decoder) => decoder.get_ref(),
            Decoder::Deflate(decoder) => decoder.get_ref(),
        }
    }

    fn why(&self, error: &impl std::fmt::Display) -> Response {
        match self.whole().refused {
            Some(Refused::TooLarge) => too_large(self.whole().limit),
            Some(Refused::NoMemory) => no_memory(),
            None => broken(error),
        }
    }

    /// Takes all of `body`; the caller has the deadline for it.
    pub async fn take(&mut self, mut body: Incoming) -> Result<(), Response> {
        let mut pace = Pace::default();
        loop {
            // A look at how fast it comes, for as long as it holds a part of the memory for what is being received.
            let Ok(frame) = deadline(LOOK, body.frame()).await else {
                self.keep_up(&mut pace)?;
                continue;
            };
            let Some(frame) = frame else { return Ok(()) };
            self.keep_up(&mut pace)?;
            let frame = frame.map_err(|error| broken(&error))?;
            let Ok(data) = frame.into_data() else { continue };
            let taken = match self {
                Decoder::Plain(whole) => whole.write_all(&data),
                Decoder::Gzip(decoder) => decoder.write_all(&data),
                Decoder::Deflate(decoder) => decoder.write_all(&data),
            };
            taken.map_err(|error| self.why(&error))?;
        }
    }

    /// Refuses a body that comes too slowly for what it holds while others have need of it.
    fn keep_up(&self, pace: &mut Pace) -> Result<(), Response> {
        let Whole { bytes, held, .. } = self.whole();
        if held.bytes() > 0 && pace.is_too_slow(0, bytes.len(), mono_nanos()) {
            return Err(no_memory());
        }
        Ok(())
    }

    /// What has come, and what it has of the memory.
    pub fn finish(mut self) -> Result<(Bytes, Held), Response> {
        let ended = match &mut self {
            Decoder::Plain(_) => Ok(()),
            Decoder::Gzip(decoder) => decoder.try_finish(),
            Decoder::Deflate(decoder) => decoder.try_finish(),
        };
        ended.map_err(|error| self.why(&error))?;
        let whole = match self {
            Decoder::Plain(whole) => whole,
            Decoder::Gzip(decoder) => decoder.finish().map_err(|error| broken(&error))?,
            Decoder::Deflate(decoder) => decoder.finish().map_err(|error| broken(&error))?,
        };
        Ok((whole.bytes.into(), whole.held))
    }
}

fn broken(error: &impl std::fmt::Display) -> Response {
    let text = format!("Failed to buffer the request body: {error}\n");
    Response::text(StatusCode::BAD_REQUEST, text)
}

pub(super) fn too_large(limit: usize) -> Response {
    let text = format!("the request body is larger than {limit} bytes\n");
    Response::text(StatusCode::PAYLOAD_TOO_LARGE, text)
}

fn no_memory() -> Response {
    let text = "too much is being received at this moment, try again later\n";
    Response::text(StatusCode::SERVICE_UNAVAILABLE, text)
        .header(RETRY_AFTER, &RETRY_AFTER_SECS.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::{GzEncoder, ZlibEncoder};
    use flate2::Compression;

    fn decoded(encoding: Option<&str>, body: &[u8]) -> Result<Vec<u8>, StatusCode> {
        let mut decoder = Decoder::new(encoding, 100_000, Peer::default()).map_err(|r| r.status)?;
        let taken = match &mut decoder {
            Decoder::Plain(whole) => whole.write_all(body),
            Decoder::Gzip(inner) => inner.write_all(body),
            Decoder::Deflate(inner) => inner.write_all(body),
        };
        taken.map_err(|error| decoder.why(&error).status)?;
        decoder.finish().map(|(bytes, _)| bytes.to_vec()).map_err(|r| r.status)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn encodings() {
        let text = b"{\"a\": 1}".repeat(100);
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&text).unwrap();
        assert_eq!(decoded(None, &text), Ok(text.clone()));
        assert_eq!(decoded(Some("gzip"), &gzip(&text)), Ok(text.clone()));
        assert_eq!(decoded(Some("deflate"), &zlib.finish().unwrap()), Ok(text.clone()));
        assert_eq!(decoded(Some("br"), &text), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        assert_eq!(decoded(Some("gzip"), &text), Err(StatusCode::BAD_REQUEST));
        let cut = gzip(&text);
        assert_eq!(decoded(Some("gzip"), &cut[..cut.len() - 12]), Err(StatusCode::BAD_REQUEST));
        let bomb = gzip(&vec![b' '; 50_000_000]);
        assert_eq!(decoded(Some("gzip"), &bomb), Err(StatusCode::PAYLOAD_TOO_LARGE));
    }
}
