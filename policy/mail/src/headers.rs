//! RFC 5322 header blocks, read in place and edited without parsing the body.

use std::borrow::Cow;
use std::ops::Range;

use data_encoding::BASE64;
use mail_parser::parsers::MessageStream;
use mail_parser::HeaderValue;
use memchr::{memchr, memchr_iter};

/// One header field. Ranges are offsets into the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Field name as written.
    pub name: &'a [u8],
    /// Everything behind the colon, folding included, without the final line end.
    pub value: &'a [u8],
    /// Where `value` lies.
    pub value_range: Range<usize>,
    /// The whole field, name to line end, folding included.
    pub range: Range<usize>,
}

impl Field<'_> {
    /// Whether the field has this name, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// As [`Field::decoded`], but bytes that are not UTF-8 are kept as they are.
    pub fn decoded_bytes(&self) -> Cow<'_, [u8]> {
        if self.has_words() {
            return Cow::Owned(self.decoded().into_bytes());
        }
        if memchr(b'\n', self.value).is_none() {
            return Cow::Borrowed(self.value.trim_ascii());
        }
        let line_ends = |c: &u8| !matches!(c, b'\r' | b'\n');
        let kept: Vec<u8> = self.value.trim_ascii().iter().copied().filter(line_ends).collect();
        Cow::Owned(kept)
    }

    /// The value unfolded, trimmed, RFC 2047 words decoded; bytes that are not UTF-8 are replaced.
    pub fn decoded(&self) -> String {
        if !self.has_words() {
            return unfold(self.value).trim().to_owned();
        }
        let mut owned = self.value.to_vec();
        owned.extend_from_slice(b"\r\n");
        match MessageStream::new(&owned).parse_unstructured() {
            HeaderValue::Text(t) => t.into_owned(),
            HeaderValue::TextList(l) => l.join(" "),
            _ => unfold(self.value).trim().to_owned(),
        }
    }

    /// Whether there may be RFC 2047 words: they begin with `=?`.
    fn has_words(&self) -> bool {
        memchr_iter(b'=', self.value).any(|at| self.value.get(at + 1) == Some(&b'?'))
    }
}

/// Bytes as text; what is not UTF-8 is replaced. (To see that nothing is takes a tenth of the time of looking for it.)
pub fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Removes the line ends of folding; what is not UTF-8 is replaced.
pub fn unfold(value: &[u8]) -> Cow<'_, str> {
    if memchr(b'\n', value).is_none() {
        return text_of(value);
    }
    let kept: Vec<u8> = value.iter().copied().filter(|c| !matches!(c, b'\r' | b'\n')).collect();
    Cow::Owned(String::from_utf8_lossy(&kept).into_owned())
}

/// The header block of a message.
#[derive(Clone, Copy)]
pub struct HeaderBlock<'a> {
    message: &'a [u8],
}

impl<'a> HeaderBlock<'a> {
    /// Looks at the start of a message; nothing is read yet.
    pub fn new(message: &'a [u8]) -> HeaderBlock<'a> {
        HeaderBlock { message }
    }

    /// The fields in order. Lines that are not fields are passed over; the first empty line ends the block.
    pub fn fields(&self) -> Fields<'a> {
        Fields { message: self.message, pos: 0 }
    }

    /// The fields with this name, in any case. Only what may be one of them is taken apart.
    pub fn named<'n>(&self, name: &'n str) -> impl Iterator<Item = Field<'a>> + use<'a, 'n> {
        let mut fields = self.fields();
        std::iter::from_fn(move || loop {
            let line = fields.next_line()?;
            if begins_with_name(&fields.message[line.clone()], name.as_bytes()) {
                if let Some(field) = fields.field(line).filter(|f| f.is(name)) {
                    return Some(field);
                }
            }
        })
    }

    /// The first field with this name, in any case.
    pub fn first(&self, name: &str) -> Option<Field<'a>> {
        self.named(name).next()
    }

    /// Offset of the line that ends the block (the empty line, or the end of the message).
    pub fn end(&self) -> usize {
        let mut it = self.fields();
        while it.next().is_some() {}
        it.pos
    }

    /// Offset of the body: behind the empty line.
    pub fn body_start(&self) -> usize {
        let end = self.end();
        match self.message.get(end..) {
            Some([b'\r', b'\n', ..]) => end + 2,
            Some([b'\n', ..]) => end + 1,
            _ => end,
        }
    }

    /// The message with a field in front.
    pub fn prepend(&self, name: &str, value: &str) -> Vec<u8> {
        self.prepend_field(&write_field(name, value))
    }

    /// The message with a field, written already, in front.
    pub fn prepend_field(&self, field: &[u8]) -> Vec<u8> {
        [field, self.message].concat()
    }

    /// The message with a field at the end of the block.
    pub fn append(&self, name: &str, value: &str) -> Vec<u8> {
        self.append_field(&write_field(name, value))
    }

    /// The message with a field, written already, at the end of the block.
    pub fn append_field(&self, field: &[u8]) -> Vec<u8> {
        let end = self.end();
        let (head, tail) = self.message.split_at(end);
        let mut out = Vec::with_capacity(self.message.len() + field.len() + 4);
        out.extend_from_slice(head);
        if !head.is_empty() && !head.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(field);
        if tail.is_empty() {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(tail);
        out
    }

    /// The message without the fields `drop` picks; `None` when it picks none.
    pub fn without(&self, mut drop: impl FnMut(&Field<'a>) -> bool) -> Option<Vec<u8>> {
        self.cut(self.fields().filter(|f| drop(f)).map(|f| f.range).collect())
    }

    /// The message without the fields of a name; `None` when it has none.
    pub fn without_named(&self, name: &str) -> Option<Vec<u8>> {
        self.cut(self.named(name).map(|f| f.range).collect())
    }

    fn cut(&self, gone: Vec<Range<usize>>) -> Option<Vec<u8>> {
        if gone.is_empty() {
            return None;
        }
        let mut out = Vec::with_capacity(self.message.len());
        let mut from = 0;
        for r in gone {
            out.extend_from_slice(&self.message[from..r.start]);
            from = r.end;
        }
        out.extend_from_slice(&self.message[from..]);
        Some(out)
    }
}

/// Iterator over the fields of a block.
pub struct Fields<'a> {
    message: &'a [u8],
    pos: usize,
}

impl<'a> Fields<'a> {
    /// Where the next line lies, with those that continue it.
    fn next_line(&mut self) -> Option<Range<usize>> {
        let start = self.pos;
        let rest = &self.message[start..];
        if rest.is_empty() || rest[0] == b'\n' || rest.starts_with(b"\r\n") {
            return None;
        }
        self.pos = start + logical_line_len(rest);
        Some(start..self.pos)
    }

    /// The field a line is, when it is one.
    fn field(&self, range: Range<usize>) -> Option<Field<'a>> {
        let line = &self.message[range.clone()];
        let colon = memchr(b':', line).filter(|n| is_name(line[..*n].trim_ascii_end()))?;
        let text_end = range.end - line_end_len(line);
        let value_range = (range.start + colon + 1).min(text_end)..text_end;
        Some(Field {
            name: line[..colon].trim_ascii_end(),
            value: &self.message[value_range.clone()],
            value_range,
            range,
        })
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        loop {
            let line = self.next_line()?;
            if let Some(field) = self.field(line) {
                return Some(field);
            }
        }
    }
}

/// Whether a line may be a field of this name: the name, then what can stand between it and the value.
fn begins_with_name(line: &[u8], name: &[u8]) -> bool {
    match (line.first(), name.first(), line.get(name.len())) {
        (Some(a), Some(b), Some(next)) => {
            a.eq_ignore_ascii_case(b)
                && (*next == b':' || next.is_ascii_whitespace())
                && line[..name.len()].eq_ignore_ascii_case(name)
        }
        _ => false,
    }
}

/// `ftext` of RFC 5322 section 3.6.8.
fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|c| (33..127).contains(c))
}

/// Length of the first line together with the folded lines that continue it.
fn logical_line_len(rest: &[u8]) -> usize {
    let mut end = 0;
    loop {
        match memchr(b'\n', &rest[end..]) {
            None => return rest.len(),
            Some(n) => end += n + 1,
        }
        if !matches!(rest.get(end), Some(b' ' | b'\t')) {
            return end;
        }
    }
}

fn line_end_len(line: &[u8]) -> usize {
    if line.ends_with(b"\r\n") {
        2
    } else {
        usize::from(line.ends_with(b"\n"))
    }
}

/// Whether a text can be a header name.
pub fn valid_name(name: &str) -> bool {
    is_name(name.as_bytes()) && !name.contains(':')
}

/// `Name: value\r\n`. Line ends in the value become folding; control characters are dropped, so that a value taken from
/// outside cannot add fields. Long values are folded at white space.
pub fn write_field(name: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + value.len() + 8);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b":");
    let mut column = name.len() + 1;
    for word in value.split_ascii_whitespace() {
        /// RFC 5322 section 2.1.1 asks for lines of at most 78 characters.
        const FOLD_COLUMN: usize = 78;
        if column + 1 + word.len() > FOLD_COLUMN && column > name.len() + 1 {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.push(b' ');
        out.extend(word.bytes().filter(|c| *c >= 32 && *c != 127));
        column += 1 + word.len();
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// `Name: value\r\n` with the value as it is. Line ends that do not fold and other control characters are dropped, so that
/// a value taken from outside cannot add fields.
pub fn write_as_is(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    for (at, c) in value.iter().copied().enumerate() {
        let folds =
            value[at..].starts_with(b"\r\n") && matches!(value.get(at + 2), Some(b' ' | b'\t'));
        match c {
            b'\r' if folds => out.extend_from_slice(b"\r\n"),
            b'\t' => out.push(c),
            0..32 | 127 => {}
            _ => out.push(c),
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Folds a text at blanks before a line would have `soft` characters, a tab in front of each line that goes on (which is
/// not counted); words longer than `hard` are cut.
pub fn fold(text: &str, soft: usize, hard: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    let mut width = 0;
    for word in text.split_ascii_whitespace() {
        let len = word.chars().count();
        // The blank in front of a word counts, and for the first word of a line as well.
        if width + len < soft {
            if width > 0 {
                line.push(' ');
                width += 1;
            }
            line.push_str(word);
            width += len;
            continue;
        }
        if width > 0 {
            lines.push(std::mem::take(&mut line));
            width = 0;
        }
        for c in word.chars() {
            if len > hard && width >= hard {
                lines.push(std::mem::take(&mut line));
                width = 0;
            }
            line.push(c);
            width += 1;
        }
    }
    if width > 0 {
        lines.push(line);
    }
    lines.join("\r\n\t")
}

/// RFC 2047 encoded words (UTF-8, quoted) for a value that is not ASCII; other values come back as they are.
pub fn encode_quoted(value: &str) -> Cow<'_, str> {
    if value.is_ascii() {
        return Cow::Borrowed(value);
    }
    /// With the frame of 12 below the 75 of RFC 2047 section 2.
    const ROOM: usize = 63;
    let mut words = vec![String::new()];
    for c in value.chars() {
        let mut bytes = [0; 4];
        let piece = match c {
            ' ' => "_".to_owned(),
            c if c.is_ascii_alphanumeric() => c.to_string(),
            c => c.encode_utf8(&mut bytes).bytes().map(|b| format!("={b:02X}")).collect(),
        };
        // A character is never cut in two.
        if words.last().is_none_or(|word| word.len() + piece.len() > ROOM) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push_str(&piece);
        }
    }
    let words: Vec<String> = words.iter().map(|word| format!("=?UTF-8?q?{word}?=")).collect();
    Cow::Owned(words.join(" "))
}

/// RFC 2047 encoded words (UTF-8, base64) for a value that is not ASCII; other values come back as they are.
pub fn encode_value(value: &str) -> Cow<'_, str> {
    if value.is_ascii() {
        return Cow::Borrowed(value);
    }
    /// 45 bytes make 60 base64 characters: with the frame below the 75 of RFC 2047 section 2.
    const WORD_BYTES: usize = 45;
    let mut words = Vec::new();
    let mut rest = value;
    while !rest.is_empty() {
        let mut n = rest.len().min(WORD_BYTES);
        while !rest.is_char_boundary(n) {
            n -= 1;
        }
        words.push(format!("=?UTF-8?B?{}?=", BASE64.encode(&rest.as_bytes()[..n])));
        rest = &rest[n..];
    }
    Cow::Owned(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSG: &[u8] =
        b"From: a@b\r\nSubject: one\r\n two\r\nX-Bad line\r\nto : c@d\r\n\r\nBody: no\r\n";

    fn names(m: &[u8]) -> Vec<String> {
        HeaderBlock::new(m).fields().map(|f| String::from_utf8_lossy(f.name).into_owned()).collect()
    }

    #[test]
    fn scans_in_place() {
        assert_eq!(names(MSG), ["From", "Subject", "to"]);
        let b = HeaderBlock::new(MSG);
        let s = b.first("SUBJECT").unwrap();
        assert_eq!(s.decoded(), "one two");
        assert_eq!(&MSG[s.range.clone()], b"Subject: one\r\n two\r\n");
        assert_eq!(&MSG[s.value_range], b" one\r\n two");
        assert_eq!(&MSG[b.body_start()..], b"Body: no\r\n");
    }

    #[test]
    fn by_name() {
        let m = b"To: a\r\nTo : b\r\nTo\r\n : c\r\nTo: \r\nToo: d\r\nT: e\r\nTo\r\nto:f\r\n\r\nTo: g\r\n";
        let block = HeaderBlock::new(m);
        for name in ["To", "too", "T", "", "To ", "To:", "None"] {
            let by_all: Vec<_> = block.fields().filter(|f| f.is(name)).collect();
            assert_eq!(block.named(name).collect::<Vec<_>>(), by_all, "{name}");
            assert_eq!(block.without_named(name), block.without(|f| f.is(name)), "{name}");
        }
        assert_eq!(block.named("to").count(), 5);
        // What is cut off anywhere is found alike.
        for end in 0..m.len() {
            let block = HeaderBlock::new(&m[..end]);
            assert!(block.named("to").eq(block.fields().filter(|f| f.is("to"))), "{end}");
        }
    }

    #[test]
    fn odd_shapes() {
        assert!(names(b"").is_empty());
        assert!(names(b"\r\nA: b").is_empty());
        assert_eq!(names(b"A:"), ["A"]);
        assert_eq!(names(b"A: b\nC: d\n\nE: f"), ["A", "C"]);
        assert_eq!(names(b": x\r\n\xff: y\r\nA: b\r\n"), ["A"]);
        assert_eq!(HeaderBlock::new(b"A: b").body_start(), 4);
        for end in 0..MSG.len() {
            HeaderBlock::new(&MSG[..end]).fields().for_each(drop);
        }
    }

    #[test]
    fn edits() {
        let b = HeaderBlock::new(MSG);
        assert_eq!(names(&b.prepend("X-A", "1")), ["X-A", "From", "Subject", "to"]);
        assert_eq!(names(&b.append("X-A", "1")), ["From", "Subject", "to", "X-A"]);
        let less = b.without(|f| f.is("subject")).unwrap();
        assert_eq!(names(&less), ["From", "to"]);
        assert!(b.without(|f| f.is("nope")).is_none());
        assert_eq!(HeaderBlock::new(b"A: b").append("C", "d"), b"A: b\r\nC: d\r\n\r\n");
        assert_eq!(HeaderBlock::new(b"\r\nbody").append("C", "d"), b"C: d\r\n\r\nbody");
    }

    #[test]
    fn a_value_cannot_add_fields() {
        let out = write_field("X-A", "1\r\nBcc: x@y\0");
        assert_eq!(out, b"X-A: 1 Bcc: x@y\r\n");
        assert!(write_field("X", &"word ".repeat(60)).split(|c| *c == b'\n').all(|l| l.len() < 80));
    }

    #[test]
    fn a_value_may_stay_as_it_is() {
        let evil = write_as_is("X-A", b"1\r\nBcc: x@y\0\r\n folded\ttab  two\xe9");
        assert_eq!(evil, b"X-A: 1Bcc: x@y\r\n folded\ttab  two\xe9\r\n");
        assert_eq!(write_as_is("X", &[b'x'; 200]).len(), 205);
        let value = |m: &'static [u8]| {
            HeaderBlock::new(m).fields().next().unwrap().decoded_bytes().into_owned()
        };
        assert_eq!(value(b"A: h\xe9\r\n x \r\n\r\n"), b"h\xe9 x");
        assert_eq!(value(b"A: =?utf-8?q?=C3=BC?=\r\n"), "ü".as_bytes());
    }

    #[test]
    fn folding_and_quoted_words() {
        // What the reference makes of it, with 10 and 15.
        for (text, folded) in [
            ("foo", "foo"),
            ("hi there", "hi there"),
            ("hello world", "hello\r\n\tworld"),
            ("hi there breakmepleaseIamtoolong", "hi there\r\n\tbreakmepleaseIa\r\n\tmtoolong"),
        ] {
            assert_eq!(fold(text, 10, 15), folded);
        }
        assert_eq!(encode_quoted("héllo wörld"), "=?UTF-8?q?h=C3=A9llo_w=C3=B6rld?=");
        let long = "ü ".repeat(60);
        let encoded = encode_quoted(&long).into_owned();
        assert!(encoded.split(' ').all(|word| word.len() <= 75), "{encoded}");
        let field = format!("S: {}\r\n", fold(&encoded, 75, 900));
        let read = HeaderBlock::new(field.as_bytes()).fields().next().unwrap().decoded();
        assert_eq!(read.trim(), long.trim());
    }

    #[test]
    fn encoded_words() {
        let f = |v: &str| HeaderBlock::new(v.as_bytes()).fields().next().unwrap().decoded();
        assert_eq!(f("S: =?utf-8?q?h=C3=A9llo?= =?utf-8?b?d29ybGQ=?="), "hélloworld");
        assert_eq!(f(&format!("S: {}", encode_value("zwölf Boxkämpfer"))), "zwölf Boxkämpfer");
        assert_eq!(f("S: plain "), "plain");
        let long = "ü".repeat(100);
        assert_eq!(f(std::str::from_utf8(&write_field("S", &encode_value(&long))).unwrap()), long);
    }

    #[test]
    fn encoded_words_of_many_charsets() {
        for (charset, text) in [
            ("shift_jis", "日本語"),
            ("euc-jp", "日本語"),
            ("iso-2022-jp", "日本語"),
            ("big5", "中文繁體"),
            ("gb2312", "中文"),
            ("gbk", "中文"),
            ("gb18030", "中文"),
            ("euc-kr", "한국어"),
            ("ks_c_5601-1987", "한국어"),
            ("windows-874", "ไทย"),
            ("koi8-r", "Россия"),
            ("koi8-u", "Україна"),
            ("windows-1250", "Łódź"),
            ("windows-1251", "Россия"),
            ("windows-1252", "“naïve” €"),
            ("windows-1253", "Ελλάδα"),
            ("windows-1254", "İstanbul"),
            ("windows-1255", "שלום"),
            ("windows-1256", "سلام"),
            ("windows-1257", "Žemė"),
            ("windows-1258", "đ"),
            ("iso-8859-1", "naïve"),
            ("iso-8859-2", "Łódź"),
            ("iso-8859-5", "Россия"),
            ("iso-8859-7", "Ελλάδα"),
            ("iso-8859-8", "שלום"),
            ("iso-8859-9", "İstanbul"),
            ("iso-8859-15", "€"),
            ("macintosh", "naïve"),
        ] {
            let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).unwrap();
            let (bytes, _, failed) = encoding.encode(text);
            assert!(!failed, "{charset}");
            let word = BASE64.encode(&bytes);
            let field = format!("Subject: =?{charset}?B?{word}?=\r\n");
            let decoded = HeaderBlock::new(field.as_bytes()).fields().next().unwrap().decoded();
            assert_eq!(decoded, text, "{charset}");
        }
    }
}
