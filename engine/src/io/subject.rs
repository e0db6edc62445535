//! The subject of an X.509 certificate (RFC 5280) as text: `C=DE`, `O=Some`, `CN=name`. Pure; any bytes may come in.

/// Attributes of one subject that are told.
const ATTRIBUTES_MAX: usize = 32;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const VERSION: u8 = 0xa0;
/// Types of strings whose bytes are UTF-8 or a part of it: UTF8String, PrintableString, IA5String, NumericString.
const UTF8: [u8; 4] = [0x0c, 0x13, 0x16, 0x12];
const TELETEX: u8 = 0x14;
const BMP: u8 = 0x1e;

/// Object identifiers by their DER content, and what people call them.
const NAMES: [(&[u8], &str); 10] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 41], "name"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// The subject of a certificate in DER; `None` when it is none. Attributes of kinds unknown here are left out.
pub fn of(certificate: &[u8]) -> Option<Vec<String>> {
    let (_, whole) = of_type(certificate, SEQUENCE)?;
    let (_, mut rest) = of_type(whole, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.0;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        rest = element(rest)?.0;
    }
    let (_, mut names) = of_type(rest, SEQUENCE)?;
    let mut out = Vec::new();
    while !names.is_empty() && out.len() < ATTRIBUTES_MAX {
        let (after, mut set) = of_type(names, SET)?;
        names = after;
        while !set.is_empty() && out.len() < ATTRIBUTES_MAX {
            let (after, pair) = of_type(set, SEQUENCE)?;
            set = after;
            let (value, id) = of_type(pair, OBJECT_ID)?;
            let (_, kind, value) = tagged(value)?;
            let name = NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| name);
            if let (Some(name), Some(text)) = (name, text(kind, value)) {
                out.push(format!("{name}={text}"));
            }
        }
    }
    Some(out)
}

fn text(kind: u8, value: &[u8]) -> Option<String> {
    match kind {
        TELETEX => Some(value.iter().map(|byte| char::from(*byte)).collect()),
        BMP => {
            let units = value.chunks_exact(2).map(|two| u16::from_be_bytes([two[0], two[1]]));
            Some(String::from_utf16_lossy(&units.collect::<Vec<_>>()))
        }
        kind if UTF8.contains(&kind) => Some(String::from_utf8_lossy(value).into_owned()),
        _ => None,
    }
}

/// (what follows, content) of an element of this type.
fn of_type(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    tagged(bytes).filter(|(_, found, _)| *found == kind).map(|(rest, _, content)| (rest, content))
}

fn element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    tagged(bytes).map(|(rest, _, content)| (rest, content))
}

/// (what follows, type, content) of the element at the start of `bytes` (X.690, definite lengths).
fn tagged(bytes: &[u8]) -> Option<(&[u8], u8, &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Longer than 16 MiB no certificate is.
        0x81..=0x83 => {
            let count = usize::from(first & 0x7f);
            let digits = rest.get(..count)?;
            let length = digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            (length, &rest[count..])
        }
        _ => return None,
    };
    Some((rest.get(length..)?, kind, rest.get(..length)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn certificate() -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["a.test".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in [
            (DnType::CountryName, "DE"),
            (DnType::OrganizationName, "Grün & Co"),
            (DnType::CommonName, "client one"),
        ] {
            params.distinguished_name.push(kind, value);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_subject_is_read() {
        assert_eq!(of(&certificate()).unwrap(), ["C=DE", "O=Grün & Co", "CN=client one"]);
    }

    #[test]
    fn damaged_ones_do_no_harm() {
        let good = certificate();
        for cut in 0..good.len().min(300) {
            assert!(of(&good[..cut]).is_none());
        }
        for at in 0..good.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] ^= bits;
                let _ = of(&bad);
            }
        }
        assert!(of(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_none());
        assert!(of(&[0x30, 0x80, 0, 0]).is_none());
    }
}
