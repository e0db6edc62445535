fn main() {
    let port: u16 = std::env::args().nth(1).and_then(|p| p.parse().ok()).unwrap_or(0);
    let at = |p: u16| std::net::SocketAddr::from(([127, 0, 0, 1], p));
    let c = ringmta::sandbox::SandboxConfig {
        smtp: at(port),
        web: at(port + 1),
        max_messages: 500,
        receiver: Some((at(port + 2), "reloop".into())),
    };
    let h = ringmta::io::ring::run_shard("sandbox", None, move || {
        ringmta::sandbox::run(c, |b| println!("{b:?}"), std::future::pending())
    })
    .unwrap();
    println!("{:?}", h.join());
}
