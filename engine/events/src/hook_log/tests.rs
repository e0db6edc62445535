//! The event log of a hook: what a crash, a full disk and a flush that is given up make of it.

use super::*;

#[test]
fn a_hole_ends_a_segment_and_is_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let orphan = dir.path().join("1");
    std::fs::create_dir(&orphan).unwrap();
    Plain::open(&name(&orphan, 1)).unwrap().append(b"a\n\0\0lf\nb\n").unwrap();
    Plain::open(&name(&orphan, 2)).unwrap().append(b"b\nc\n").unwrap();
    let own = dir.path().join("0");
    let log = HookLog::open(own.clone(), std::slice::from_ref(&orphan)).unwrap();
    assert_eq!((log.backlog.get(), orphan.exists()), (3, false));
    // Nor is any of it lost at the next start, which ends the log at a hole.
    drop(log);
    let log = HookLog::open(own.clone(), &[]).unwrap();
    let (chunk, _) = read_from(&own, log.cursor.get(), log.end.get(), 100).unwrap();
    assert_eq!(chunk, b"a\nb\nc\n");
}

#[test]
fn a_file_of_a_life_before_is_not_written_to_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_path_buf();
    on_a_shard(move || async move {
        let log = HookLog::open(dir.clone(), &[]).unwrap();
        log.append(|out| out.push(b'a'));
        log.flush().await;
        drop(log);
        // A sync that had failed would have left a hole here after a power cut, and `b` behind it.
        let log = HookLog::open(dir.clone(), &[]).unwrap();
        log.append(|out| out.push(b'b'));
        log.flush().await;
        assert_eq!(log.end.get(), (2, 2));
        let mut told = Vec::new();
        while log.has_unread() {
            told.extend(log.read(1 << 20).await.unwrap().0.into_iter().map(|(line, _)| line));
        }
        assert_eq!(told, ["a", "b"]);
        // What was never written to needs no successor.
        drop(log);
        drop(HookLog::open(dir.clone(), &[]).unwrap());
        assert_eq!(HookLog::open(dir, &[]).unwrap().end.get(), (3, 0));
    });
}

/// Whether it reads from the memory of the write or from the disk, a reader gets the same.
#[test]
fn a_reader_that_keeps_up_gets_what_the_disk_has() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_path_buf();
    on_a_shard(move || async move {
        let log = HookLog::open(dir.clone(), &[]).unwrap();
        let mut told = Vec::new();
        // How many events come before each flush, and whether they are read before the next.
        let rounds = [(2, true), (1, false), (3, false), (1, true), (2, true), (1, true)];
        for (round, (count, is_read)) in rounds.into_iter().enumerate() {
            for number in 0..count {
                log.append(|out| out.extend_from_slice(format!("{round}.{number}").as_bytes()));
            }
            log.flush().await;
            while is_read && log.has_unread() {
                assert!(!log.latest.borrow().is_empty());
                let (lines, next) = log.read(1 << 20).await.unwrap();
                assert_eq!((lines.last().unwrap().1, log.ahead.get()), (next, next));
                told.extend(lines);
            }
        }
        let (chunk, end) = read_from(&dir, (1, 0), log.end.get(), 1 << 20).unwrap();
        assert_eq!(told, lines_of(&chunk, end));
        assert_eq!(told.len(), 10);
    });
}

#[test]
fn events_of_a_receiver_that_is_away_are_on_the_disk_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_path_buf();
    on_a_shard(move || async move {
        let log = HookLog::open(dir, &[]).unwrap();
        let event = vec![b'x'; HOOK_LATEST_BYTES / 5];
        for _ in 0..5 {
            log.append(|out| out.extend_from_slice(&event));
            log.flush().await;
        }
        let kept = || log.latest.borrow().len();
        assert_eq!(kept(), 2);
        for left in [1, 0, 0, 0, 0] {
            assert_eq!(log.read(10).await.unwrap().0.len(), 1);
            assert_eq!(kept(), left);
        }
        assert!(!log.has_unread());
        // It has caught up.
        log.append(|out| out.push(b'y'));
        log.flush().await;
        assert_eq!((kept(), log.read(10).await.unwrap().0.len(), kept()), (1, 1, 0));
    });
}

/// Runs `work` in a world whose disk operations take a while, with a mistake planted; what it comes to, if it does.
fn in_world<T: 'static>(
    planted: Option<Bug>,
    work: impl std::future::Future<Output = T> + 'static,
) -> Option<T> {
    let world = ringmta_io::sim::World::new(1, false);
    world.planted.set(planted);
    let _entered = world.enter();
    world.disk.faults.borrow_mut().latency_nanos = (1_000_000, 2_000_000);
    let result = std::rc::Rc::new(RefCell::new(None));
    let slot = result.clone();
    io::spawn(async move {
        let value = work.await;
        *slot.borrow_mut() = Some(value);
    });
    // A flush that waits for another that is gone waits for ever.
    while result.borrow().is_none() && world.exec.now() < 300_000_000_000 && world.step() {}
    result.take()
}

/// What is told of two events, the flush of the first of which is given up.
fn told_after_a_flush_is_given_up(planted: Option<Bug>) -> Option<Vec<String>> {
    let told = in_world(planted, async {
        let log = HookLog::open("/hooks/h/0".into(), &[]).unwrap();
        log.append(|out| out.push(b'a'));
        let given_up = io::deadline(Duration::from_micros(10), log.flush()).await;
        assert!(given_up.is_err(), "it takes longer");
        log.append(|out| out.push(b'b'));
        log.flush().await;
        assert!(!log.has_pending() && log.has_unread());
        let mut told = Vec::new();
        while log.has_unread() {
            let (lines, _) = log.read(1 << 20).await.unwrap();
            told.extend(lines.into_iter().map(|(line, _)| line));
        }
        told
    });
    told.map(|mut told| {
        told.dedup();
        told
    })
}

#[test]
fn a_flush_that_is_given_up_loses_nothing_and_holds_up_nobody() {
    let told = told_after_a_flush_is_given_up(None).expect("the second flush ends");
    assert_eq!(told, ["a", "b"]);
    let with_mistake = told_after_a_flush_is_given_up(Some(Bug::FlushNotCancelSafe));
    assert_ne!(with_mistake, Some(told), "the mistake is found");
}

/// Runs `work` on a shard of the real world.
fn on_a_shard<F: std::future::Future<Output = ()> + 'static>(
    work: impl FnOnce() -> F + Send + 'static,
) {
    io::ring::run_shard("test", None, work).unwrap().join().unwrap().unwrap();
}

#[test]
fn a_full_disk_gets_room_from_the_log_itself() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_path_buf();
    on_a_shard(move || async move {
        let log = HookLog::open(dir.clone(), &[]).unwrap();
        // Writes to its segment fail for lack of room.
        *log.file.borrow_mut() = Some(Plain::open(Path::new("/dev/full")).unwrap());
        let ballast = dir.join(BALLAST);
        assert_eq!(std::fs::metadata(&ballast).unwrap().len(), HOOK_BALLAST_BYTES);
        log.append(|out| out.push(b'a'));
        log.flush().await;
        assert!(!ballast.exists(), "its room was given back");
        let (lines, end) = log.read(1 << 20).await.unwrap();
        assert_eq!(lines, [("a".to_string(), (2, 2))]);
        assert_eq!(log.waiting_bytes(), 2);
        log.commit(end, 1).await.unwrap();
        assert!(log.is_drained() && log.waiting_bytes() == 0);
    });
}

#[test]
fn a_disk_that_stays_full_costs_the_oldest_events() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_path_buf();
    on_a_shard(move || async move {
        Plain::open(&name(&dir, 1)).unwrap().append(b"a\nb\n").unwrap();
        Plain::open(&name(&dir, 2)).unwrap().append(b"c\n").unwrap();
        let log = HookLog::open(dir.clone(), &[]).unwrap();
        log.ballast.set(false);
        assert_eq!(log.make_room(HOOK_FULL_MS * 1_000_000 - 1).await, Room::NotYet);
        assert_eq!(log.make_room(HOOK_FULL_MS * 1_000_000).await, Room::Made);
        assert_eq!((log.dropped.get(), log.backlog.get()), (2, 1));
        let (lines, _) = log.read(1 << 20).await.unwrap();
        assert_eq!(lines, [("c".to_string(), (2, 2))]);
        assert_eq!(log.make_room(HOOK_FULL_MS * 1_000_000).await, Room::Made);
        assert_eq!(log.make_room(HOOK_FULL_MS * 1_000_000).await, Room::None);
    });
}

#[test]
fn segments_that_failed_writes_have_left_make_no_room() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_path_buf();
    on_a_shard(move || async move {
        let log = HookLog::open(dir.clone(), &[]).unwrap();
        log.ballast.set(false);
        for number in 1..=20 {
            Plain::open(&name(&dir, number)).unwrap();
        }
        log.end.set((21, 0));
        assert_eq!(log.make_room(HOOK_FULL_MS * 1_000_000).await, Room::None);
        assert_eq!((log.cursor.get(), log.dropped.get()), ((21, 0), 0));
    });
}

fn disk_is_full(is_full: bool) {
    sim::current().unwrap().disk.full.set(is_full);
}

#[test]
fn events_for_which_there_is_no_room_at_all_hold_up_no_mail_for_ever() {
    let (dropped, backlog, told) = in_world(None, async {
        let log = HookLog::open("/hooks/h/0".into(), &[]).unwrap();
        disk_is_full(true);
        log.append(|out| out.push(b'a'));
        log.append(|out| out.push(b'b'));
        log.flush().await;
        disk_is_full(false);
        log.append(|out| out.push(b'c'));
        log.flush().await;
        let (lines, _) = log.read(1 << 20).await.unwrap();
        let told: Vec<String> = lines.into_iter().map(|(line, _)| line).collect();
        (log.dropped.get(), log.backlog.get(), told)
    })
    .expect("the flush ends");
    assert_eq!((dropped, backlog, told), (2, 1, vec!["c".to_string()]));
}
