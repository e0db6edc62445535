//! `kumo.file_type`: what kind of file some bytes, an extension or a media type stand for. A table of the kinds mail carries.

use mlua::{Lua, Result, Table};

use crate::vm::declared::FnDef;
use crate::vm::functions::def;

/// One kind of file.
struct Kind {
    name: &'static str,
    extensions: &'static [&'static str],
    media_types: &'static [&'static str],
    /// Offset and bytes that all must be there; none for kinds that bytes do not tell.
    marks: &'static [(usize, &'static [u8])],
}

const fn kind(
    name: &'static str,
    extensions: &'static [&'static str],
    media_types: &'static [&'static str],
    marks: &'static [(usize, &'static [u8])],
) -> Kind {
    Kind { name, extensions, media_types, marks }
}

/// More particular kinds come first.
const KINDS: &[Kind] = &[
    kind("Portable Network Graphics", &["png"], &["image/png"], &[(0, b"\x89PNG\r\n\x1a\n")]),
    kind("JPEG", &["jpg", "jpeg", "jpe"], &["image/jpeg"], &[(0, b"\xff\xd8\xff")]),
    kind("Graphics Interchange Format", &["gif"], &["image/gif"], &[(0, b"GIF8")]),
    kind("WebP", &["webp"], &["image/webp"], &[(0, b"RIFF"), (8, b"WEBP")]),
    kind("AVIF", &["avif"], &["image/avif"], &[(4, b"ftypavif")]),
    kind("HEIF", &["heic", "heif"], &["image/heic", "image/heif"], &[(4, b"ftyphei")]),
    kind("Windows Bitmap", &["bmp"], &["image/bmp"], &[(0, b"BM")]),
    kind("TIFF, little-endian", &["tif", "tiff"], &["image/tiff"], &[(0, b"II*\0")]),
    kind("TIFF, big-endian", &["tif", "tiff"], &["image/tiff"], &[(0, b"MM\0*")]),
    kind(
        "Windows Icon",
        &["ico"],
        &["image/vnd.microsoft.icon", "image/x-icon"],
        &[(0, b"\0\0\x01\0")],
    ),
    kind("Portable Document Format", &["pdf"], &["application/pdf"], &[(0, b"%PDF-")]),
    kind("PostScript", &["ps", "eps"], &["application/postscript"], &[(0, b"%!PS")]),
    kind("Rich Text Format", &["rtf"], &["application/rtf", "text/rtf"], &[(0, b"{\\rtf")]),
    kind(
        "Office Open XML Document",
        &["docx"],
        &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
        &[(0, b"PK\x03\x04"), (30, b"word/")],
    ),
    kind(
        "Office Open XML Workbook",
        &["xlsx"],
        &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
        &[(0, b"PK\x03\x04"), (30, b"xl/")],
    ),
    kind(
        "Office Open XML Presentation",
        &["pptx"],
        &["application/vnd.openxmlformats-officedocument.presentationml.presentation"],
        &[(0, b"PK\x03\x04"), (30, b"ppt/")],
    ),
    kind(
        "OpenDocument Text",
        &["odt"],
        &["application/vnd.oasis.opendocument.text"],
        &[(0, b"PK\x03\x04"), (38, b"application/vnd.oasis.opendocument.text")],
    ),
    kind(
        "EPUB",
        &["epub"],
        &["application/epub+zip"],
        &[(0, b"PK\x03\x04"), (38, b"application/epub+zip")],
    ),
    kind("ZIP", &["zip"], &["application/zip"], &[(0, b"PK\x03\x04")]),
    kind(
        "Microsoft Compound File",
        &["doc", "xls", "ppt", "msg", "msi"],
        &[
            "application/x-ole-storage",
            "application/msword",
            "application/vnd.ms-excel",
            "application/vnd.ms-powerpoint",
            "application/vnd.ms-outlook",
        ],
        &[(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")],
    ),
    kind("GZIP", &["gz", "tgz"], &["application/gzip"], &[(0, b"\x1f\x8b")]),
    kind("BZIP2", &["bz2"], &["application/x-bzip2"], &[(0, b"BZh")]),
    kind("XZ", &["xz"], &["application/x-xz"], &[(0, b"\xfd7zXZ\0")]),
    kind("Zstandard", &["zst"], &["application/zstd"], &[(0, b"\x28\xb5\x2f\xfd")]),
    kind("7-Zip", &["7z"], &["application/x-7z-compressed"], &[(0, b"7z\xbc\xaf\x27\x1c")]),
    kind(
        "RAR",
        &["rar"],
        &["application/vnd.rar", "application/x-rar-compressed"],
        &[(0, b"Rar!\x1a\x07")],
    ),
    kind("TAR", &["tar"], &["application/x-tar"], &[(257, b"ustar")]),
    kind("ISO 9660", &["iso"], &["application/x-iso9660-image"], &[(32769, b"CD001")]),
    kind(
        "Windows Executable",
        &["exe", "dll", "scr"],
        &["application/vnd.microsoft.portable-executable", "application/x-msdownload"],
        &[(0, b"MZ")],
    ),
    kind(
        "ELF",
        &["elf", "so"],
        &["application/x-executable", "application/x-elf"],
        &[(0, b"\x7fELF")],
    ),
    kind(
        "Java class file",
        &["class"],
        &["application/java-vm", "application/x-java-class"],
        &[(0, b"\xca\xfe\xba\xbe")],
    ),
    kind("SQLite", &["sqlite", "db"], &["application/vnd.sqlite3"], &[(0, b"SQLite format 3\0")]),
    kind("MP3", &["mp3"], &["audio/mpeg"], &[(0, b"ID3")]),
    kind("Ogg", &["ogg", "oga"], &["audio/ogg", "application/ogg"], &[(0, b"OggS")]),
    kind("FLAC", &["flac"], &["audio/flac"], &[(0, b"fLaC")]),
    kind("WAVE", &["wav"], &["audio/wav", "audio/x-wav"], &[(0, b"RIFF"), (8, b"WAVE")]),
    kind("AVI", &["avi"], &["video/x-msvideo"], &[(0, b"RIFF"), (8, b"AVI ")]),
    kind("QuickTime", &["mov", "qt"], &["video/quicktime"], &[(4, b"ftypqt")]),
    kind("MPEG-4", &["mp4", "m4v", "m4a"], &["video/mp4", "audio/mp4"], &[(4, b"ftyp")]),
    kind(
        "Matroska",
        &["mkv", "webm"],
        &["video/x-matroska", "video/webm"],
        &[(0, b"\x1a\x45\xdf\xa3")],
    ),
    kind("WOFF", &["woff"], &["font/woff"], &[(0, b"wOFF")]),
    kind("WOFF2", &["woff2"], &["font/woff2"], &[(0, b"wOF2")]),
    kind("Scalable Vector Graphics", &["svg"], &["image/svg+xml"], &[(0, b"<svg")]),
    kind("Hypertext Markup Language", &["html", "htm"], &["text/html"], &[(0, b"<!DOCTYPE html")]),
    kind("Hypertext Markup Language", &["html", "htm"], &["text/html"], &[(0, b"<html")]),
    kind(
        "Extensible Markup Language",
        &["xml"],
        &["application/xml", "text/xml"],
        &[(0, b"<?xml")],
    ),
    kind("iCalendar", &["ics"], &["text/calendar"], &[(0, b"BEGIN:VCALENDAR")]),
    kind("vCard", &["vcf"], &["text/vcard"], &[(0, b"BEGIN:VCARD")]),
    kind("Comma Separated Values", &["csv"], &["text/csv"], &[]),
    kind("JSON", &["json"], &["application/json"], &[]),
    kind("JavaScript", &["js", "mjs"], &["text/javascript", "application/javascript"], &[]),
    kind("Cascading Style Sheets", &["css"], &["text/css"], &[]),
    kind("Email Message", &["eml"], &["message/rfc822"], &[]),
    kind("Plain Text", &["txt", "text", "log"], &["text/plain"], &[]),
];

const UNKNOWN: Kind = kind("Binary", &["bin"], &["application/octet-stream"], &[]);

fn table(lua: &Lua, k: &Kind) -> Result<Table> {
    let t = lua.create_table()?;
    t.set("name", k.name)?;
    t.set("extensions", k.extensions.to_vec())?;
    t.set("media_types", k.media_types.to_vec())?;
    Ok(t)
}

/// Whether all marks are there; ASCII letters in any case, since markup is written both ways.
fn marked(k: &Kind, bytes: &[u8]) -> bool {
    let there = |(at, mark): &(usize, &[u8])| {
        bytes.get(*at..at + mark.len()).is_some_and(|found| found.eq_ignore_ascii_case(mark))
    };
    !k.marks.is_empty() && k.marks.iter().all(there)
}

/// The best guess: by marks, else text or not.
fn guess(bytes: &[u8]) -> &'static Kind {
    let found = KINDS.iter().find(|k| marked(k, bytes));
    let is_text = || std::str::from_utf8(bytes).is_ok_and(|t| !t.contains('\0'));
    found.or_else(|| KINDS.last().filter(|_| is_text())).unwrap_or(&UNKNOWN)
}

fn list(lua: &Lua, wanted: impl Fn(&Kind) -> bool) -> Result<Table> {
    let out = lua.create_table()?;
    for k in KINDS.iter().chain([&UNKNOWN]).filter(|k| wanted(k)) {
        out.push(table(lua, k)?)?;
    }
    Ok(out)
}

/// What a policy finds of this family, besides what takes an option table.
pub(crate) const FUNCTIONS: &[FnDef] = &[
    FnDef::new(
        "kumo.file_type.from_bytes",
        "bytes: string",
        "table",
        "The kind of a file by its content.",
    ),
    FnDef::new(
        "kumo.file_type.from_extension",
        "extension: string",
        "any[]",
        "Kinds with this extension.",
    ),
    FnDef::new(
        "kumo.file_type.from_media_type",
        "media_type: string",
        "any[]",
        "Kinds with this media type.",
    ),
];

pub(crate) fn register(lua: &Lua, kumo: &Table) -> Result<()> {
    let t = lua.create_table()?;
    def(lua, &t, "from_bytes", |lua, bytes: mlua::String| table(lua, guess(&bytes.as_bytes())))?;
    def(lua, &t, "from_extension", |lua, text: String| {
        let text = text.trim_start_matches('.').to_ascii_lowercase();
        list(lua, |k| k.extensions.contains(&text.as_str()))
    })?;
    def(lua, &t, "from_media_type", |lua, text: String| {
        let bare = text.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        list(lua, |k| k.media_types.contains(&bare.as_str()))
    })?;
    kumo.set("file_type", t)
}
