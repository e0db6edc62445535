//! TLS cipher suites by name, for `rustls_cipher_suites`.

use rustls::SupportedCipherSuite;

use crate::suggest;

/// The suites of these names, such as `TLS13_AES_256_GCM_SHA384`; of no name, all there are.
///
/// # Errors
/// An unknown name, with the nearest known one, or a list that leaves nothing.
pub fn cipher_suites(names: &[String]) -> Result<Vec<SupportedCipherSuite>, String> {
    let all = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES;
    if names.is_empty() {
        return Ok(all.to_vec());
    }
    let known: Vec<String> = all.iter().map(|suite| format!("{:?}", suite.suite())).collect();
    let find = |name: &String| {
        let at = known.iter().position(|k| k.eq_ignore_ascii_case(name));
        at.map(|at| all[at])
            .ok_or_else(|| suggest::unknown("variant", name, known.iter().map(String::as_str)))
    };
    names.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let names = |list: &[&str]| list.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        assert_eq!(
            cipher_suites(&[]).unwrap().len(),
            rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES.len()
        );
        let two = ["TLS13_AES_256_GCM_SHA384", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"];
        let found = cipher_suites(&names(&two)).unwrap();
        assert_eq!(found.iter().map(|s| format!("{:?}", s.suite())).collect::<Vec<_>>(), two);
        let e = cipher_suites(&names(&["TLS13_AES_256_GCM_SHA383"])).unwrap_err();
        assert!(e.contains("did you mean `TLS13_AES_256_GCM_SHA384`?"), "{e}");
    }
}
