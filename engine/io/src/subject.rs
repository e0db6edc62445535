//! The subject of an X.509 certificate (RFC 5280) as text: `C=DE`, `O=Some`, `CN=name`. Any bytes may come in.

use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Attributes of one subject that are told.
const ATTRIBUTES_MAX: usize = 32;

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
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let attributes = certificate.subject().iter_attributes().take(ATTRIBUTES_MAX);
    let told = attributes.filter_map(|attribute| {
        let id = attribute.attr_type().as_bytes();
        let (_, name) = NAMES.iter().find(|(known, _)| *known == id)?;
        Some(format!("{name}={}", text(attribute.attr_value())?))
    });
    Some(told.collect())
}

fn text(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        // Whatever bytes it has, each is a character to most software.
        Tag::TeletexString => Some(value.data.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let units = value.data.chunks_exact(2);
            let units = units.map(|two| u16::from_be_bytes([two[0], two[1]]));
            Some(String::from_utf16_lossy(&units.collect::<Vec<_>>()))
        }
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString => {
            Some(String::from_utf8_lossy(value.data).into_owned())
        }
        _ => None,
    }
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
