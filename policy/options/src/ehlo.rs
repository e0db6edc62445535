//! The name that this side gives in EHLO.

use crate::table::Notes;

/// Warns of a name without a domain: RFC 5321 section 4.1.1.1 asks for one that others can look up, and many receivers refuse
/// mail from any other.
pub(crate) fn note(name: Option<&str>, notes: &mut Notes) {
    if let Some(name) = name.filter(|name| !name.contains('.') && !name.starts_with('[')) {
        notes.warnings.push(format!(
            "option `ehlo_domain`: {name:?} has no domain, which many receivers refuse; a full name is asked for"
        ));
    }
}

#[cfg(test)]
mod tests {
    use crate::plain::Plain;
    use crate::table::{Notes, OptionTable};
    use crate::{EgressPath, EgressSource};

    #[test]
    fn a_name_without_a_domain_is_told() {
        for (name, told) in [("mailer", 1), ("mx.a.test", 0), ("[192.0.2.1]", 0), ("[IPv6:::1]", 0)]
        {
            let mut notes = Notes::default();
            let given = |more: Vec<(&'static str, Plain)>| {
                Plain::map(more.into_iter().chain([("ehlo_domain", Plain::str(name))]))
            };
            EgressPath::parse(&given(Vec::new()), &mut notes).unwrap();
            assert_eq!(notes.warnings.len(), told, "{:?}", notes.warnings);
            EgressSource::parse(&given(vec![("name", Plain::str("s"))]), &mut notes).unwrap();
            assert_eq!(notes.warnings.len(), 2 * told, "{:?}", notes.warnings);
            assert!(notes.warnings.iter().all(|text| text.contains("\"mailer\"")));
        }
    }
}
