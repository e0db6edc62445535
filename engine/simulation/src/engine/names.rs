//! How messages and recipients of a run are called.

/// The number of the message an address belongs to, and of its domain: `r1.m17@d0.test`.
pub fn parse(address: &str) -> Option<(u64, usize)> {
    let (local, domain) = address.split_once('@')?;
    let number = local.rsplit_once(".m")?.1.parse().ok()?;
    let domain = domain.strip_prefix('d')?.strip_suffix(".test")?.parse().ok()?;
    Some((number, domain))
}
