//! The table: what is added, changed and taken out, in whatever order.

use std::io::ErrorKind;
use std::sync::Arc;

use ekio::poller::{Event, Interest, Key, Poller, Readiness, Source, Trigger};

use crate::support::net::{drain_data, send, tcp_pair};
use crate::support::rig::Rig;
use crate::support::{repeat, skipped};

const READABLE: Interest = Interest::READABLE;

pub fn added_twice<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, READABLE, trigger);
    let error = rig.try_add(source, 2, Interest::BOTH, trigger).err();
    assert_eq!(error.unwrap().kind(), ErrorKind::AlreadyExists);
    // The first is as it was.
    rig.expect_silence();
    send(&far, b"x");
    rig.expect(1, Readiness::READABLE);
    assert_eq!(drain_data(&near), b"x");
    rig.delete(ticket, source);
    // And after it was taken out, there is room for another.
    let ticket = rig.add(source, 3, READABLE, trigger);
    send(&far, b"y");
    rig.expect(3, Readiness::READABLE);
    // A source of no interest is in the table too.
    rig.modify(&ticket, source, 3, Interest::NONE, trigger);
    let error = rig.try_add(source, 4, READABLE, trigger).err();
    assert_eq!(error.unwrap().kind(), ErrorKind::AlreadyExists);
    rig.delete(ticket, source);
    let ticket = rig.add(source, 5, Interest::NONE, trigger);
    let error = rig.try_add(source, 6, READABLE, trigger).err();
    assert_eq!(error.unwrap().kind(), ErrorKind::AlreadyExists);
    rig.forget();
    rig.expect_silence();
    rig.delete(ticket, source);
}

pub fn reserved_key<P: Poller>() {
    let rig = Rig::<P>::new();
    let (near, _far) = tcp_pair();
    let source = Source::socket(&near);
    let invalid = Some(ErrorKind::InvalidInput);
    let reserved = Key::RESERVED;
    let error = rig
        .try_add(source, reserved.0, READABLE, Trigger::Level)
        .err();
    assert_eq!(error.map(|error| error.kind()), invalid);
    let ticket = rig.add(source, reserved.0 - 1, READABLE, Trigger::Level);
    let error = rig
        .poller
        .modify(&ticket, source, reserved, READABLE, Trigger::Level)
        .err();
    assert_eq!(error.map(|error| error.kind()), invalid);
    let error = rig
        .poller
        .post(Event::new(reserved, Readiness::READABLE))
        .err();
    assert_eq!(error.map(|error| error.kind()), invalid);
    rig.delete(ticket, source);
}

pub fn modified_while_pending<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, READABLE, trigger);
    send(&far, b"x");
    rig.modify(&ticket, source, 2, READABLE, trigger);
    rig.expect(2, Readiness::READABLE);
    assert_eq!(rig.take_seen(1), Readiness::NONE, "the old key is gone");
    // To the direction that is ready anyway, and away from the one that has an event.
    rig.modify(&ticket, source, 3, Interest::WRITABLE, trigger);
    let readiness = rig.expect(3, Readiness::WRITABLE);
    assert!(!readiness.is_readable(), "{readiness:?}");
    assert_eq!(rig.take_seen(2), Readiness::NONE, "the old key is gone");
    // And from one trigger to each other one.
    for other in [Trigger::Level, Trigger::Edge, Trigger::OneShot, trigger] {
        rig.modify(&ticket, source, 4, READABLE, other);
        rig.forget();
        rig.expect(4, Readiness::READABLE);
    }
    rig.delete(ticket, source);
}

/// Row a23: a change for every event, again and again. None is lost, and none comes under an old
/// key.
pub fn modified_for_each_event<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 0, READABLE, trigger);
    for key in 1..=u64::try_from(repeat(10_000)).unwrap() {
        if key % 3 == 0 {
            rig.modify(&ticket, source, 0, Interest::NONE, trigger);
        }
        if key % 2 == 0 {
            send(&far, b"x");
        }
        rig.modify(&ticket, source, key, READABLE, trigger);
        if key % 2 != 0 {
            send(&far, b"x");
        }
        rig.expect(key, Readiness::READABLE);
        assert_eq!(drain_data(&near), b"x");
        assert_eq!(rig.take_seen(key - 1), Readiness::NONE);
        rig.forget();
    }
    rig.delete(ticket, source);
}

pub fn deleted_while_pending<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, Interest::BOTH, trigger);
    send(&far, b"x");
    rig.delete(ticket, source);
    rig.expect_silence();
    // The source is none the worse for it.
    let ticket = rig.add(source, 2, READABLE, trigger);
    rig.expect(2, Readiness::READABLE);
    rig.delete(ticket, source);
    rig.expect_silence();
}

/// Row a02: a wait that fails, or that meets a source which it cannot watch, leaves nothing behind.
pub fn wait_err_then_ok<P: Poller>() {
    let mut rig = Rig::<P>::new();
    let (lost, _lost_peer) = tcp_pair();
    let (near, far) = tcp_pair();
    // Closed between the two, so that a poller which arms its sources inside of `wait` cannot.
    let _ = rig.add(Source::socket(&lost), 1, READABLE, Trigger::Level);
    drop(lost);
    let mut events = ekio::poller::Events::with_capacity(4);
    let _watchdog = crate::support::watchdog::Watchdog::start();
    // Failing is allowed.
    let _ = rig
        .poller
        .wait(&mut events, Some(std::time::Duration::ZERO));
    let ticket = rig.add(Source::socket(&near), 2, READABLE, Trigger::Level);
    send(&far, b"x");
    rig.expect(2, Readiness::READABLE);
    rig.delete(ticket, Source::socket(&near));
}

/// Row a04: what failed to enter the table is not in it.
#[cfg(unix)]
pub fn failed_add_no_leak<P: Poller>() {
    use crate::support::unix::HighNumbers;
    use std::os::fd::{AsRawFd as _, BorrowedFd};
    let numbers = HighNumbers::take();
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let good = numbers.duplicate(&near);
    let number = good.as_raw_fd();
    drop(good);
    // SAFETY: borrow_raw asks for an open descriptor. This one is not, which the kernel is to find
    // out; nobody else uses the number while `numbers` is held.
    let bad = unsafe { BorrowedFd::borrow_raw(number) };
    for _ in 0..3 {
        let error = rig.try_add(Source::Socket(bad), 1, READABLE, Trigger::Level);
        assert!(error.is_err(), "there is no such descriptor");
    }
    let good = numbers.duplicate_to(&near, number);
    let _lost = rig.add(Source::Socket(bad), 2, READABLE, Trigger::Level);
    send(&far, b"x");
    rig.expect(2, Readiness::READABLE);
    // Closed without having been deleted. One look, and the table knows.
    drop(good);
    let (second, second_peer) = tcp_pair();
    drop((near, far));
    rig.settle();
    rig.settle();
    rig.forget();
    let good = numbers.duplicate_to(&second, number);
    let ticket = rig.add(Source::Socket(bad), 3, READABLE, Trigger::Level);
    rig.expect_silence();
    send(&second_peer, b"x");
    rig.expect(3, Readiness::READABLE);
    rig.delete(ticket, Source::Socket(bad));
    drop(good);
    rig.expect_silence();
}

/// Row a04: what failed to enter the table is not in it.
#[cfg(windows)]
pub fn failed_add_no_leak<P: Poller>() {
    use std::os::windows::io::BorrowedSocket;
    let mut rig = Rig::<P>::new();
    // SAFETY: borrow_raw asks for an open socket. This number was never one (they are multiples of
    // four), which the system is to find out.
    let bad = unsafe { BorrowedSocket::borrow_raw(0x7fff_fff1) };
    for _ in 0..3 {
        let error = rig.try_add(Source::Socket(bad), 1, READABLE, Trigger::Level);
        assert!(error.is_err(), "there is no such socket");
    }
    rig.expect_silence();
    let (near, far) = tcp_pair();
    let ticket = rig.add(Source::socket(&near), 2, READABLE, Trigger::Level);
    send(&far, b"x");
    rig.expect(2, Readiness::READABLE);
    rig.delete(ticket, Source::socket(&near));
}

/// Row a03: the number of a source is used again while a duplicate of the source lives.
#[cfg(unix)]
pub fn fd_reuse_dup<P: Poller>(trigger: Trigger) {
    use crate::support::unix::HighNumbers;
    use std::os::fd::{AsFd as _, AsRawFd as _};
    let numbers = HighNumbers::take();
    let mut rig = Rig::<P>::new();
    let (first, first_peer) = tcp_pair();
    let (second, second_peer) = tcp_pair();
    // `first` is the duplicate that lives on.
    let source = numbers.duplicate(&first);
    let number = source.as_raw_fd();
    let ticket = rig.add(Source::Socket(source.as_fd()), 1, READABLE, trigger);
    rig.delete(ticket, Source::Socket(source.as_fd()));
    drop(source);
    let source = numbers.duplicate_to(&second, number);
    let ticket = rig.add(Source::Socket(source.as_fd()), 2, READABLE, trigger);
    send(&first_peer, b"for nobody");
    rig.expect_silence();
    send(&second_peer, b"x");
    rig.expect(2, Readiness::READABLE);
    rig.delete(ticket, Source::Socket(source.as_fd()));
}

#[cfg(not(unix))]
pub fn fd_reuse_dup<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (first, first_peer) = tcp_pair();
    let lives_on = first.try_clone().unwrap();
    let ticket = rig.add(Source::socket(&first), 1, READABLE, trigger);
    rig.delete(ticket, Source::socket(&first));
    drop(first);
    // Very likely under the same number.
    let (second, second_peer) = tcp_pair();
    let ticket = rig.add(Source::socket(&second), 2, READABLE, trigger);
    send(&first_peer, b"for nobody");
    rig.expect_silence();
    send(&second_peer, b"x");
    rig.expect(2, Readiness::READABLE);
    rig.delete(ticket, Source::socket(&second));
    drop(lives_on);
}

/// What is abandoned and closed is gone, whatever was pending; its number serves another.
pub fn abandoned_and_closed<P: Poller>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (first, first_peer) = tcp_pair();
    let ticket = rig.add(Source::socket(&first), 1, READABLE, trigger);
    rig.expect_silence();
    send(&first_peer, b"for nobody");
    rig.abandon(ticket, Source::socket(&first));
    drop(first);
    // Very likely under the same number.
    let (second, second_peer) = tcp_pair();
    let ticket = rig.add(Source::socket(&second), 2, READABLE, trigger);
    rig.expect_silence();
    send(&second_peer, b"x");
    rig.expect(2, Readiness::READABLE);
    rig.abandon(ticket, Source::socket(&second));
}

/// Row a14: regular files and folders are refused, the same everywhere.
#[cfg(unix)]
pub fn regular_file_unsupported<P: Poller>(trigger: Trigger) {
    use std::fs::File;
    let mut rig = Rig::<P>::new();
    let file = File::open(std::env::current_exe().unwrap()).unwrap();
    let folder = File::open("/").unwrap();
    for it in [&file, &folder] {
        for interest in [Interest::BOTH, Interest::NONE] {
            let error = rig.try_add(Source::descriptor(it), 1, interest, trigger);
            assert_eq!(error.err().unwrap().kind(), ErrorKind::Unsupported);
        }
    }
    rig.expect_silence();
}

#[cfg(not(unix))]
pub fn regular_file_unsupported<P: Poller>(_trigger: Trigger) {
    skipped("this system's files are not sources at all");
}

/// What `CAPS` says is not watched is answered with `Unsupported`.
pub fn unsupported<P: Poller>() {
    let rig = Rig::<P>::new();
    let caps = P::CAPS;
    let expect = |source: Source<'_>, interest| {
        let error = rig.try_add(source, 1, interest, Trigger::Level).err();
        assert_eq!(error.unwrap().kind(), ErrorKind::Unsupported);
    };
    if !caps.signals {
        expect(Source::Signal(1), READABLE);
    }
    if !caps.priority {
        let (near, _far) = tcp_pair();
        expect(Source::socket(&near), Interest::PRIORITY);
    }
    if !caps.processes {
        let mut child = crate::process::child();
        expect(Source::process(&child), READABLE);
        crate::process::end(&mut child);
    }
    if caps.signals && caps.priority && caps.processes {
        skipped("this poller watches everything");
    }
}

/// Row a06: changing one source again and again loses no event of another.
pub fn modify_keeps_foreign<P: Poller>() {
    use std::sync::mpsc::{TryRecvError, channel};
    let mut rig = Rig::<P>::new();
    let (changing, changing_peer) = tcp_pair();
    let (near, far) = tcp_pair();
    let changing_ticket = rig.add(Source::socket(&changing), 1, READABLE, Trigger::Level);
    let ticket = rig.add(Source::socket(&near), 2, READABLE, Trigger::Edge);
    let poller = Arc::clone(&rig.poller);
    std::thread::scope(|scope| {
        // Hung up when the rounds are over, or have failed.
        let (rounds, is_over) = channel::<()>();
        let (started, has_started) = channel();
        let (poller, changing, changing_ticket) = (&poller, &changing, &changing_ticket);
        scope.spawn(move || {
            let source = Source::socket(changing);
            let interests = [READABLE, Interest::NONE, Interest::BOTH];
            for interest in interests.into_iter().cycle() {
                let key = Key(1);
                let changed = poller.modify(changing_ticket, source, key, interest, Trigger::Level);
                changed.unwrap();
                // Nobody listens to the second and later ones.
                let _ = started.send(());
                if is_over.try_recv() == Err(TryRecvError::Disconnected) {
                    return;
                }
            }
        });
        has_started.recv().unwrap();
        drop(has_started);
        send(&changing_peer, b"always readable");
        for _ in 0..repeat(10_000) {
            send(&far, b"x");
            rig.expect(2, Readiness::READABLE);
            assert_eq!(drain_data(&near), b"x");
            rig.rearm(&ticket, READABLE);
            rig.forget();
        }
        drop(rounds);
    });
    rig.delete(ticket, Source::socket(&near));
    rig.delete(changing_ticket, Source::socket(&changing));
}
