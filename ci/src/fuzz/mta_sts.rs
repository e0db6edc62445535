//! MTA-STS policies and records: what is read says the same when it is written and read again.

use ringmta_policy::mta_sts::{record_id, StsMode, StsPolicy};

/// The bytes are the text of a policy, and of the records of a domain, one a line.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(policy) = StsPolicy::parse(&text) {
        assert!(policy.max_age_secs <= 31_557_600);
        assert!(policy.mode == StsMode::None || !policy.hosts.is_empty());
        assert_eq!(StsPolicy::parse(&policy.to_text()).as_ref(), Ok(&policy));
        for host in &policy.hosts {
            let named = host.strip_prefix("*.").map_or(host.clone(), |rest| format!("x.{rest}"));
            assert!(policy.names(&named), "{host} does not name {named}");
            assert!(host.bytes().all(|b| b.is_ascii_graphic()));
        }
        assert!(!policy.names(""));
    }
    let records: Vec<String> = text.lines().map(str::to_owned).collect();
    if let Some(id) = record_id(&records) {
        assert!((1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}

/// Policies and records.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\nmax_age: 604800\n",
        "version: STSv1\r\nmode: none\r\nmax_age: 99999999999\r\nx: y\r\n",
        "v=STSv1; id=20160831085700Z;\nother\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}
