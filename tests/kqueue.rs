//! What is peculiar to `Kqueue`: what its table keeps beside the kernel's. (The situations that all
//! pollers share are in `poller_conformance`; signals and forks, which concern the whole process, in
//! `kqueue_alone`.)
#![cfg(has_kqueue)]

#[path = "support/mod.rs"]
mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ekio::poller::kqueue::Kqueue;
use ekio::poller::{Event, Interest, Key, Poller as _, Readiness, Source, Trigger};

use support::net::{send, tcp_pair};
use support::repeat;
use support::rig::Rig;
use support::watchdog::Watchdog;

const READABLE: Interest = Interest::READABLE;
const TRIGGERS: [Trigger; 3] = [Trigger::Level, Trigger::Edge, Trigger::OneShot];

/// A child that lives until it is told, by the end of its input, to exit.
fn obedient_child() -> Child {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn let_exit(child: &mut Child) {
    drop(child.stdin.take());
}

fn exited(key: u64) -> Event {
    Event::new(Key(key), Readiness::READABLE)
}

#[test]
fn an_exit_is_told_in_the_way_of_the_trigger() {
    for trigger in TRIGGERS {
        let mut rig = Rig::<Kqueue>::new();
        let mut child = obedient_child();
        let ticket = rig.add(Source::process(&child), 1, READABLE, trigger);
        rig.expect_silence();
        let_exit(&mut child);
        assert_eq!(rig.wait(None), [exited(1)], "{trigger:?}");
        if trigger == Trigger::Level {
            // It goes on being true, though the kernel says it once.
            assert_eq!(rig.wait(None), [exited(1)]);
            assert_eq!(rig.wait(Duration::ZERO), [exited(1)]);
        } else {
            rig.expect_silence();
        }
        // What holds at `modify` is told again.
        rig.modify(&ticket, Source::process(&child), 2, READABLE, trigger);
        assert_eq!(rig.wait(None), [exited(2)], "{trigger:?}");
        rig.modify(&ticket, Source::process(&child), 3, Interest::NONE, trigger);
        rig.expect_silence();
        assert!(child.wait().unwrap().success());
        rig.delete(ticket, Source::process(&child));
        rig.expect_silence();
    }
}

/// What goes on being true is told at every `wait`, but not at the cost of all others.
#[test]
fn an_exit_shares_a_list_for_one() {
    let mut rig = Rig::<Kqueue>::with_room_for(1);
    let mut child = obedient_child();
    let (near, far) = tcp_pair();
    let exit = rig.add(Source::process(&child), 1, READABLE, Trigger::Level);
    let data = rig.add(Source::socket(&near), 2, READABLE, Trigger::Level);
    let_exit(&mut child);
    assert_eq!(rig.wait(None), [exited(1)]);
    send(&far, b"x");
    let mut told = [0; 2];
    for _ in 0..10 {
        for event in rig.wait(None) {
            told[event.key.0 as usize - 1] += 1;
        }
    }
    assert_eq!(told, [5, 5], "(the child, the socket)");
    rig.delete(data, Source::socket(&near));
    // Alone, it is told each time.
    for _ in 0..4 {
        assert_eq!(rig.wait(None), [exited(1)]);
    }
    assert!(child.wait().unwrap().success());
    rig.delete(exit, Source::process(&child));
}

#[test]
fn an_exit_that_nobody_wants_yet_is_kept() {
    for trigger in TRIGGERS {
        let mut rig = Rig::<Kqueue>::new();
        let mut child = obedient_child();
        let ticket = rig.add(Source::process(&child), 1, Interest::NONE, trigger);
        let_exit(&mut child);
        rig.expect_silence();
        rig.modify(&ticket, Source::process(&child), 2, READABLE, trigger);
        assert_eq!(rig.wait(None), [exited(2)], "{trigger:?}");
        assert!(child.wait().unwrap().success());
        rig.delete(ticket, Source::process(&child));
    }
}

#[test]
fn a_deleted_process_is_silent() {
    let mut rig = Rig::<Kqueue>::new();
    let mut child = obedient_child();
    let source = Source::process(&child);
    let ticket = rig.add(source, 1, READABLE, Trigger::Level);
    let error = rig.try_add(source, 2, READABLE, Trigger::Level).err();
    assert_eq!(error.unwrap().kind(), std::io::ErrorKind::AlreadyExists);
    rig.delete(ticket, source);
    let_exit(&mut child);
    rig.expect_silence();
    assert!(child.wait().unwrap().success());
}

/// A process that is no more is "no such process" to the kernel, and has exited to us.
#[test]
fn a_process_that_is_gone_is_readable() {
    let mut rig = Rig::<Kqueue>::new();
    let mut child = Command::new("true").spawn().unwrap();
    assert!(child.wait().unwrap().success());
    let ticket = rig.add(Source::process(&child), 1, READABLE, Trigger::Edge);
    assert_eq!(rig.wait(None), [exited(1)]);
    rig.expect_silence();
    rig.delete(ticket, Source::process(&child));
}

/// The same, for a `wait` that is under way.
#[test]
fn a_process_that_is_gone_ends_a_wait() {
    let poller = Kqueue::new().unwrap();
    let mut child = Command::new("true").spawn().unwrap();
    assert!(child.wait().unwrap().success());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let _watchdog = Watchdog::start();
            let mut events = ekio::poller::Events::with_capacity(4);
            while events.is_empty() {
                poller.wait(&mut events, None).unwrap();
            }
            events.iter().copied().collect::<Vec<_>>()
        });
        let source = Source::process(&child);
        // SAFETY: nothing is closed: a process has no descriptor here.
        let ticket = unsafe { poller.add(source, Key(1), READABLE, Trigger::Edge) }.unwrap();
        assert_eq!(waiter.join().unwrap(), [exited(1)]);
        poller.delete(ticket, source).unwrap();
    });
}

/// Between the moment when `wait` has an event of a one-shot in hand and the moment when it tells,
/// another thread may ask for the next: neither the event nor the question may be lost.
#[test]
fn oneshots_that_are_modified_while_they_fire() {
    let poller = Kqueue::new().unwrap();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let rounds = repeat(100_000) as u64;
    // SAFETY: deleted below, before it is closed.
    let ticket = unsafe { poller.add(source, Key(0), Interest::BOTH, Trigger::OneShot) }.unwrap();
    send(&far, b"always readable");
    let told = std::sync::Mutex::new(0);
    let is_told = std::sync::Condvar::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _watchdog = Watchdog::start();
            let mut events = ekio::poller::Events::with_capacity(4);
            let mut latest = 0;
            while latest < rounds {
                poller.wait(&mut events, None).unwrap();
                for event in &events {
                    assert!(event.readiness.is_writable() || event.readiness.is_readable());
                    assert!(event.key.0 >= latest, "{event:?} after {latest}");
                    latest = event.key.0;
                }
                let mut keys: Vec<u64> = events.iter().map(|event| event.key.0).collect();
                keys.dedup();
                assert_eq!(keys.len(), events.len(), "one event for each question");
                *told.lock().unwrap() = latest;
                is_told.notify_one();
            }
        });
        for key in 1..=rounds {
            poller
                .modify(&ticket, source, Key(key), Interest::BOTH, Trigger::OneShot)
                .unwrap();
            // Every tenth question waits for its answer, the others run ahead of theirs.
            if key % 10 == 0 || key == rounds {
                let _watchdog = Watchdog::start();
                let told = told.lock().unwrap();
                drop(is_told.wait_while(told, |told| *told < key).unwrap());
            }
        }
    });
    poller.delete(ticket, source).unwrap();
}

/// A ticket whose source was closed, and whose number belongs to another source by now, does
/// nothing to that one.
#[test]
fn a_late_ticket_harms_nobody() {
    use std::os::fd::{AsFd as _, AsRawFd as _};
    use support::unix::HighNumbers;
    let numbers = HighNumbers::take();
    let mut rig = Rig::<Kqueue>::new();
    let (first, _first_peer) = tcp_pair();
    let (second, second_peer) = tcp_pair();
    let source = numbers.duplicate(&first);
    let number = source.as_raw_fd();
    let late = rig.add(Source::Socket(source.as_fd()), 1, READABLE, Trigger::Edge);
    drop(source);
    let source = numbers.duplicate_to(&second, number);
    let source = Source::Socket(source.as_fd());
    let ticket = rig.add(source, 2, READABLE, Trigger::Edge);
    let modified = rig
        .poller
        .modify(&late, source, Key(3), READABLE, Trigger::Edge);
    assert_eq!(modified.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    rig.delete(late, source);
    send(&second_peer, b"x");
    assert_eq!(rig.wait(None), [Event::new(Key(2), Readiness::READABLE)]);
    rig.delete(ticket, source);
}
