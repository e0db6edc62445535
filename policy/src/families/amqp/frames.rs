//! Fields of AMQP frames.

use ringmta_options::plain::Plain;

use super::options::AmqpMessage;

/// Reads arguments from the front.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl Reader<'_> {
    fn take(&mut self, n: usize) -> Option<&[u8]> {
        let (front, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(front)
    }

    pub fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|b| u16::from_be_bytes([b[0], b[1]]))
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    pub fn shortstr(&mut self) -> Option<String> {
        let n = *self.take(1)?.first()?;
        self.take(n.into()).map(|b| String::from_utf8_lossy(b).into_owned())
    }
}

/// A text of at most 255 bytes.
pub(super) fn shortstr(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let n = u8::try_from(text.len()).map_err(|_| format!("`{text}` is longer than 255 bytes"))?;
    out.push(n);
    out.extend(text.as_bytes());
    Ok(())
}

/// A table of texts, numbers and booleans.
pub(super) fn table(v: &Plain, out: &mut Vec<u8>) -> Result<(), String> {
    let mut inside = Vec::new();
    let items = match v {
        Plain::Map(m) => m.as_slice(),
        Plain::Nil => &[],
        Plain::List(l) if l.is_empty() => &[],
        other => {
            return Err(format!("invalid type: {}, expected a table with names", other.describe()))
        }
    };
    for (key, value) in items {
        shortstr(&key.key_text(), &mut inside)?;
        match value {
            Plain::Str(s) => {
                inside.push(b'S');
                inside.extend((s.len() as u32).to_be_bytes());
                inside.extend(s.iter());
            }
            Plain::Int(n) => {
                inside.push(b'l');
                inside.extend(n.to_be_bytes());
            }
            Plain::Num(n) => {
                inside.push(b'd');
                inside.extend(n.to_be_bytes());
            }
            Plain::Bool(b) => inside.extend([b't', u8::from(*b)]),
            Plain::Nil => inside.push(b'V'),
            Plain::Map(_) => {
                inside.push(b'F');
                table(value, &mut inside)?;
            }
            other => {
                return Err(format!("`{}`: {} cannot be sent", key.key_text(), other.describe()))
            }
        }
    }
    out.extend((inside.len() as u32).to_be_bytes());
    out.extend(inside);
    Ok(())
}

/// The flags of the properties that are set, and the properties in order.
pub(super) fn properties(m: &AmqpMessage, out: &mut Vec<u8>) -> Result<(), String> {
    let mut flags = 0u16;
    let mut list = Vec::new();
    let text = |bit: u16, v: &Option<String>, list: &mut Vec<u8>, flags: &mut u16| match v {
        Some(v) => {
            *flags |= 1 << bit;
            shortstr(v, list)
        }
        None => Ok(()),
    };
    text(15, &m.content_type, &mut list, &mut flags)?;
    text(14, &m.content_encoding, &mut list, &mut flags)?;
    if !m.headers.is_nil() {
        flags |= 1 << 13;
        table(&m.headers, &mut list)?;
    }
    for (bit, v) in [(12, m.delivery_mode), (11, m.priority)] {
        if let Some(v) = v {
            flags |= 1 << bit;
            list.push(u8::try_from(v).map_err(|_| format!("{v} is too large for a property"))?);
        }
    }
    text(10, &m.correlation_id, &mut list, &mut flags)?;
    text(9, &m.reply_to, &mut list, &mut flags)?;
    text(8, &m.expiration, &mut list, &mut flags)?;
    text(7, &m.message_id, &mut list, &mut flags)?;
    if let Some(t) = m.timestamp {
        flags |= 1 << 6;
        list.extend(t.to_be_bytes());
    }
    text(5, &m.message_type, &mut list, &mut flags)?;
    text(4, &m.user_id, &mut list, &mut flags)?;
    text(3, &m.app_id, &mut list, &mut flags)?;
    text(2, &m.cluster_id, &mut list, &mut flags)?;
    out.extend(flags.to_be_bytes());
    out.extend(list);
    Ok(())
}
