//! W3C Trace Context: `00-` trace, 32 hexadecimal digits `-` span, 16 `-` flags, 2.

use ringmta_io::random_u64;
use std::fmt;

/// The place of something in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace.
    pub trace: u128,
    /// The span.
    pub span: u64,
    /// Whether it is being recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// Reads a `traceparent`. One that is not as it should be is none, as section 3.2.2 of the specification wants it.
    pub fn parse(text: &str) -> Option<TraceContext> {
        let mut parts = text.trim().split('-');
        let (version, trace) = (parts.next()?, parts.next()?);
        let (span, flags) = (parts.next()?, parts.next()?);
        let number = |text: &str, digits: usize| {
            let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            let fits = text.len() == digits && text.bytes().all(is_hex);
            fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
        };
        let version = number(version, 2)?;
        // A later version may add parts; this one has no more.
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let (trace, span) = (number(trace, 32)?, number(span, 16)? as u64);
        let sampled = number(flags, 2)? & 1 == 1;
        (trace != 0 && span != 0).then_some(TraceContext { trace, span, sampled })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TraceContext { trace, span, sampled } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", u8::from(*sampled))
    }
}

/// The number of a trace: anything but zero.
pub fn new_trace() -> u128 {
    (u128::from(random_u64()) << 64 | u128::from(random_u64())).max(1)
}
