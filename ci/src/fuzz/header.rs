//! Header blocks: fields lie in order and inside, by name or in turn they are the same, and no value that is put in brings
//! another field with it.

use ringmta_policy::headers::{encode_value, valid_name, write_field, HeaderBlock};
use ringmta_policy::limits::MAX_PARAMETERS;
use ringmta_policy::mime::{addresses, format_addresses, message_ids, Params};

/// The bytes are a message; its first line is a value that is put into it.
pub fn check(data: &[u8]) {
    let block = HeaderBlock::new(data);
    let fields: Vec<_> = block.fields().collect();
    let (mut end, block_end) = (0, block.end());
    for (number, field) in fields.iter().enumerate() {
        assert!(field.range.start >= end && field.range.end <= block_end);
        assert_eq!(&data[field.value_range.clone()], field.value);
        assert!(field.value_range.start >= field.range.start);
        assert!(field.value_range.end <= field.range.end);
        end = field.range.end;
        let name = String::from_utf8_lossy(field.name).into_owned();
        assert!(valid_name(&name));
        // Each of these looks at the whole block.
        assert!(number > 50 || block.named(&name).any(|same| same.range == field.range));
        structured(&field.decoded());
    }
    assert!(block.end() <= block.body_start() && block.body_start() <= data.len());
    let line = data.split(|b| *b == b'\n').next().unwrap_or_default();
    put(data, fields.len(), &String::from_utf8_lossy(line));
    put(data, fields.len(), &String::from_utf8_lossy(data));
}

/// A value put in is one field more, the same words, and the body is left alone.
fn put(data: &[u8], count: usize, value: &str) {
    let block = HeaderBlock::new(data);
    let written = write_field("X-New", &encode_value(value));
    assert_eq!(HeaderBlock::new(&written).fields().count(), 1);
    assert_eq!(HeaderBlock::new(&written).end(), written.len(), "more than one field");
    for whole in [block.prepend("X-New", value), block.append("X-New", value)] {
        let read = HeaderBlock::new(&whole);
        // A line in front that only continued nothing may now continue the new field.
        assert!(read.fields().count() <= count + 1);
        assert!(read.first("X-New").is_some());
        assert!(whole.ends_with(&data[block.body_start()..]));
    }
    if let Some(without) = block.without(|_| true) {
        assert!(without.len() < data.len());
    }
}

/// Values as what they may be.
fn structured(value: &str) {
    let params = Params::parse(value);
    assert!(params.list.len() <= MAX_PARAMETERS);
    assert!(params.list.iter().all(|(_, v)| v.len() <= 3 * value.len()));
    for id in message_ids(value).into_iter().take(20) {
        assert!(value.contains(&id));
    }
    if let Ok(list) = addresses(value) {
        let again = write_field("To", &format_addresses(&list));
        assert_eq!(HeaderBlock::new(&again).end(), again.len(), "more than one field");
    }
}

/// Headers of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let all: [&[u8]; 5] = [
        b"From: a@b\r\nSubject: one\r\n two\r\nX-Bad line\r\nto : c@d\r\n\r\nBody: no\r\n",
        b"To: \"Doe, Jo\" <jo@a.test>, group: b@c, d@e;, =?utf-8?q?J=C3=BC?= <j@x>\n\nbody",
        b"Content-Type: text/plain; charset=\"utf-8\"; name*0*=utf-8''a%20; name*1=b\r\n\r\n",
        b"Message-ID: <a@b>\r\nReferences: <c@d>\r\n\t<e@f>\r\n",
        b"=?utf-8?q?a=0D=0ABcc:_x?=\r\n<x> y\r\n",
    ];
    all.map(<[u8]>::to_vec).to_vec()
}
