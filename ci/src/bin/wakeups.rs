//! Takes the core away from a shard at random instants, and watches that nothing of it stands still; see `--help`.

use ringmta_io::ring::{cores, probe, run_shard};
use ringmta_io::sim::rng::Rng;
use ringmta_io::{self as io, Conn, File, Stream};
use ringmta_shard::mesh::{Inbox, Letter};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::Arc;
use std::time::{Duration, Instant};

const USAGE: &str = "\
Looks for shards that sleep with work in their queue. While the core of a shard is taken away for 2.5 ms at
random instants (by a real-time process; as root, with chrt and taskset), the shard exchanges letters, socket
bytes, helper answers, file reads and timers, and each kind must go on; once more all of them beside tasks
that are always ready. Starts are run in a row beside busy
neighbours; each must end.

usage: wakeups [options]

  --seconds N     how long to watch each kind (10)
  --starts N      starts in a row (200)
  --help          this text

Ends with `N kinds, N starts, N stalls`, and with 1 when there was any stall.";

/// How long a kind may stand still, milliseconds; the backstop ends a sleep after a second.
const STALL_MS: u64 = 700;
const HOG_MICROS: u64 = 2500;
const KINDS: [&str; 7] = ["letters", "sockets", "answers", "files", "timers", "all", "busy"];
/// Tasks that are always ready, for the kind `busy`: such a shard never sleeps, and must look at its timers all the same.
const SPINNERS: usize = 3;

fn main() -> ExitCode {
    let (mut seconds, mut starts) = (10, 200);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().and_then(|value| value.parse().ok());
        match (arg.as_str(), value) {
            ("--seconds", Some(value)) => seconds = value,
            ("--starts", Some(value)) => starts = value,
            ("hog", _) => return hog(),
            ("--help", _) => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let core = cores().first().copied().unwrap_or(0);
    let hog = Hog::start(core);
    let mut stalls = 0;
    for kind in KINDS {
        match watch(kind, core, Duration::from_secs(seconds)) {
            Ok(found) => stalls += found,
            Err(why) => {
                eprintln!("{kind}: {why}");
                return ExitCode::FAILURE;
            }
        }
    }
    drop(hog);
    stalls += run_starts(starts);
    stalls += io::stalls();
    println!("{} kinds, {starts} starts, {stalls} stalls", KINDS.len());
    if stalls == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// What takes the core away. A process of its own: the priority is not this one's.
struct Hog(Option<Child>);

impl Hog {
    fn start(core: usize) -> Hog {
        let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("wakeups"));
        let run = Command::new("chrt")
            .args(["-f", "10", "taskset", "-c", &core.to_string()])
            .arg(own)
            .args(["hog", "0"])
            .spawn();
        match run {
            Ok(child) => Hog(Some(child)),
            Err(error) => {
                println!("no real-time process takes the core away: chrt: {error}");
                Hog(None)
            }
        }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            if matches!(child.try_wait(), Ok(Some(_))) {
                println!("the real-time process could not run: is this root?");
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Burns the core at random instants until killed, or its parent is gone.
fn hog() -> ExitCode {
    let dice = Rng::new(987_654_321);
    let parent = std::os::unix::process::parent_id();
    while std::os::unix::process::parent_id() == parent {
        std::thread::sleep(Duration::from_micros(dice.below(6000)));
        let end = Instant::now() + Duration::from_micros(HOG_MICROS);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
    ExitCode::SUCCESS
}

/// How far each kind has come.
#[derive(Default)]
struct Progress([AtomicU64; 5]);

fn watch(kind: &str, core: usize, time: Duration) -> Result<u64, String> {
    let progress = Arc::new(Progress::default());
    let over = Arc::new(AtomicBool::new(false));
    let inbox = Arc::new(Inbox::default());
    let has = |at: usize| kind == "all" || kind == "busy" || kind == KINDS[at];
    let wanted: Vec<usize> = (0..5).filter(|at| has(*at)).collect();
    let addr = echo(over.clone())?;
    let file = probe_file()?;
    let shard = {
        let (wanted, progress, inbox) = (wanted.clone(), progress.clone(), inbox.clone());
        let spinners = if kind == "busy" { SPINNERS } else { 0 };
        run_shard("watched", Some(core), move || {
            work(wanted, spinners, progress, inbox, addr, file)
        })
        .map_err(|error| error.to_string())?
    };
    if has(0) {
        send_letters(inbox.clone(), over.clone());
    }
    let mut last: Vec<(u64, Instant)> = vec![(0, Instant::now()); 5];
    let (begun, mut stalls) = (Instant::now(), 0);
    while begun.elapsed() < time {
        std::thread::sleep(Duration::from_millis(20));
        for at in &wanted {
            let (seen, since) = &mut last[*at];
            let now = progress.0[*at].load(Relaxed);
            if now != *seen {
                (*seen, *since) = (now, Instant::now());
            } else if since.elapsed() > Duration::from_millis(STALL_MS) {
                println!("{}: nothing for {:?}", KINDS[*at], since.elapsed());
                stalls += 1;
                *since = Instant::now();
            }
        }
    }
    over.store(true, Relaxed);
    while inbox.send(Letter::Stop).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let counts: Vec<String> =
        wanted.iter().map(|at| format!("{} {}", KINDS[*at], last[*at].0)).collect();
    println!("{kind}: {} in {time:?}, {stalls} stalls", counts.join(", "));
    match shard.join() {
        Ok(ended) => ended.map(|()| stalls).map_err(|error| error.to_string()),
        Err(_) => Err("the shard has panicked".into()),
    }
}

/// What the shard does: each kind in a task of its own, until the letter that stops it.
async fn work(
    wanted: Vec<usize>,
    spinners: usize,
    progress: Arc<Progress>,
    inbox: Arc<Inbox>,
    addr: SocketAddr,
    file: PathBuf,
) {
    let ended = std::rc::Rc::new(std::cell::Cell::new(false));
    let open = std::rc::Rc::new(std::cell::Cell::new(0usize));
    for _ in 0..spinners {
        let ended = ended.clone();
        io::spawn(async move {
            while !ended.get() {
                io::yield_now().await;
            }
        });
    }
    for at in wanted.into_iter().filter(|at| *at > 0) {
        let (progress, ended, open, file) =
            (progress.clone(), ended.clone(), open.clone(), file.clone());
        open.set(open.get() + 1);
        io::spawn(async move {
            let dice = Rng::new(at as u64 * 77);
            let mut conn = match at {
                1 => Stream::connect(addr, None).await.ok().map(Conn::Plain),
                _ => None,
            };
            while !ended.get() && step(at, &dice, conn.as_mut(), &file).await.is_ok() {
                progress.0[at].fetch_add(1, Relaxed);
            }
            open.set(open.get() - 1);
        });
    }
    loop {
        match inbox.receive().await {
            Letter::Stop => break,
            Letter::Cancel(_, answer) => {
                let _ = answer.send(true);
                progress.0[0].fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }
    ended.set(true);
    while open.get() > 0 {
        io::sleep(Duration::from_millis(1)).await;
    }
}

async fn step(
    kind: usize,
    dice: &Rng,
    conn: Option<&mut Conn>,
    file: &std::path::Path,
) -> std::io::Result<()> {
    match kind {
        1 => {
            let conn = conn.ok_or(std::io::ErrorKind::NotConnected)?;
            conn.write_all(&[1]).await?;
            let mut byte = [0];
            match conn.read(&mut byte).await? {
                0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(()),
            }
        }
        2 => {
            let wait = Duration::from_micros(dice.below(3000));
            io::blocking(move || std::thread::sleep(wait)).await;
            Ok(())
        }
        3 => File::open_read(file).await.map(drop),
        _ => {
            io::sleep(Duration::from_micros(100 + dice.below(9000))).await;
            Ok(())
        }
    }
}

/// Answers each byte after a random while.
fn echo(over: Arc<AtomicBool>) -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let addr = listener.local_addr().map_err(|error| error.to_string())?;
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let (dice, mut byte) = (Rng::new(4242), [0]);
        while !over.load(Relaxed) && stream.read(&mut byte).is_ok_and(|count| count > 0) {
            std::thread::sleep(Duration::from_micros(dice.below(4000)));
            if stream.write_all(&byte).is_err() {
                return;
            }
        }
    });
    Ok(addr)
}

/// Letters one at a time, each answered before the next.
fn send_letters(inbox: Arc<Inbox>, over: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        let dice = Rng::new(1717);
        while !over.load(Relaxed) {
            std::thread::sleep(Duration::from_micros(dice.below(4000)));
            let (answer, answered) = futures::channel::oneshot::channel();
            if inbox.send(Letter::Cancel(String::new(), answer)).is_ok() {
                let _ = futures::executor::block_on(answered);
            }
        }
    });
}

fn probe_file() -> Result<PathBuf, String> {
    let path = std::env::current_dir().map_err(|error| error.to_string())?.join("Cargo.lock");
    path.is_file().then_some(path).ok_or_else(|| "run this at the top of the tree".into())
}

/// Starts and ends executors beside busy threads. Gives how many did not come up.
fn run_starts(count: u64) -> u64 {
    let over = Arc::new(AtomicBool::new(false));
    for _ in 0..cores().len() {
        let over = over.clone();
        std::thread::spawn(move || {
            while !over.load(Relaxed) {
                std::hint::spin_loop();
            }
        });
    }
    let mut failed = 0;
    for _ in 0..count {
        // Gives up after 10 s by itself.
        if let Err(error) = probe() {
            println!("a start: {error}");
            failed += 1;
        }
    }
    over.store(true, Relaxed);
    failed
}
