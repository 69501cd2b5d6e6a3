//! Several threads and one poller: notifications, events of one's own, changes during a wait.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use ekio::poller::{Event, Events, Interest, Key, Poller, Readiness, Source, Trigger};

use crate::support::net::{drain_data, send, tcp_pair, udp_to_itself};
use crate::support::rig::Rig;
use crate::support::watchdog::Watchdog;
use crate::support::{HANG, repeat};

const READABLE: Interest = Interest::READABLE;

pub fn notify_before_wait<P: Poller + 'static>() {
    let mut rig = Rig::<P>::new();
    for count in [1, 2, 1000] {
        for _ in 0..count {
            rig.poller.notify().unwrap();
        }
        assert_eq!(rig.wait(None), []);
        // However many there were, they were one.
        rig.expect_silence();
    }
}

pub fn notify_during_wait<P: Poller + 'static>() {
    let mut rig = Rig::<P>::new();
    for _ in 0..repeat(10_000) {
        thread::scope(|scope| {
            let poller = Arc::clone(&rig.poller);
            // Before or during: either ends the wait.
            scope.spawn(move || poller.notify().unwrap());
            assert_eq!(rig.wait(None), []);
        });
    }
    // And certainly during: it is the only one that can be refused.
    let poller = Arc::clone(&rig.poller);
    let waiter = thread::spawn(move || assert_eq!(rig.wait(None), []));
    while !is_busy(&*poller) {
        thread::yield_now();
    }
    poller.notify().unwrap();
    waiter.join().unwrap();
}

/// True once another thread waits. (Until then this is a short wait of our own, in whose way the
/// other can come: it must be patient.)
fn is_busy<P: Poller>(poller: &P) -> bool {
    let _watchdog = Watchdog::start();
    let mut events = Events::with_capacity(1);
    match poller.wait(&mut events, Some(Duration::ZERO)) {
        Ok(()) => false,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ResourceBusy);
            true
        }
    }
}

pub fn notify_after_wait<P: Poller + 'static>() {
    let mut rig = Rig::<P>::new();
    rig.expect_silence();
    rig.poller.notify().unwrap();
    assert_eq!(rig.wait(None), []);
    rig.expect_silence();
}

/// No notification is lost, however many threads send them, and whatever the waiter is doing.
pub fn notify_from_many_threads<P: Poller + 'static>() {
    const THREADS: usize = 4;
    let mut rig = Rig::<P>::new();
    let rounds = repeat(10_000);
    // Each thread notifies, then waits to be told that a wait has ended since.
    thread::scope(|scope| {
        let (sender, flags) = mpsc::channel();
        for _ in 0..THREADS {
            let poller = Arc::clone(&rig.poller);
            let sender = sender.clone();
            scope.spawn(move || {
                for _ in 0..rounds {
                    let flag = Arc::new(AtomicBool::new(false));
                    sender.send(Arc::clone(&flag)).unwrap();
                    poller.notify().unwrap();
                    while !flag.load(Ordering::Acquire) {
                        thread::yield_now();
                    }
                }
            });
        }
        drop(sender);
        let mut acknowledged = 0;
        while acknowledged < THREADS * rounds {
            assert_eq!(rig.wait(None), []);
            for flag in flags.try_iter() {
                flag.store(true, Ordering::Release);
                acknowledged += 1;
            }
        }
    });
}

/// A notification and an event at once: neither swallows the other.
pub fn notify_beside_events<P: Poller + 'static>() {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, READABLE, Trigger::Edge);
    for _ in 0..repeat(10_000) {
        send(&far, b"x");
        rig.poller.notify().unwrap();
        rig.expect(1, Readiness::READABLE);
        assert_eq!(drain_data(&near), b"x");
        rig.rearm(&ticket, READABLE);
        rig.settle();
        rig.forget();
    }
    rig.settle();
    rig.expect_silence();
    rig.delete(ticket, source);
}

fn parcel(key: u64) -> Event {
    Event {
        key: Key(key),
        readiness: Readiness::PRIORITY | Readiness::WRITABLE,
        payload: key.wrapping_mul(0x9e37_79b9_7f4a_7c15),
    }
}

pub fn post_before_wait<P: Poller + 'static>() {
    let mut rig = Rig::<P>::new();
    let keys = [0, 1, u64::MAX - 1, 1 << 63];
    for key in keys {
        rig.poller.post(parcel(key)).unwrap();
    }
    let mut events = Vec::new();
    while events.len() < keys.len() {
        events.extend(rig.wait(HANG));
    }
    assert_eq!(events, keys.map(parcel), "as they were, in order");
    rig.settle();
    rig.expect_silence();
}

pub fn post_during_wait<P: Poller + 'static>() {
    let mut rig = Rig::<P>::new();
    for key in 0..u64::try_from(repeat(10_000)).unwrap() {
        thread::scope(|scope| {
            let poller = Arc::clone(&rig.poller);
            scope.spawn(move || poller.post(parcel(key)).unwrap());
            let mut events = Vec::new();
            while events.is_empty() {
                events = rig.wait(None);
            }
            assert_eq!(events, [parcel(key)]);
        });
    }
    rig.settle();
    rig.expect_silence();
}

/// Each is delivered exactly once, and to a small list too.
pub fn post_from_many_threads<P: Poller + 'static>() {
    const THREADS: u64 = 4;
    let mut rig = Rig::<P>::with_room_for(3);
    let each = u64::try_from(repeat(100_000)).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let poller = Arc::clone(&rig.poller);
            scope.spawn(move || {
                for number in 0..each {
                    poller.post(parcel(thread << 32 | number)).unwrap();
                }
            });
        }
        let mut next = BTreeMap::<u64, u64>::new();
        let mut count = 0;
        while count < THREADS * each {
            for event in rig.wait(HANG) {
                assert_eq!(event, parcel(event.key.0));
                let (thread, number) = (event.key.0 >> 32, event.key.0 & 0xffff_ffff);
                let next = next.entry(thread).or_default();
                assert_eq!(number, *next, "once, and in the order of its thread");
                *next += 1;
                count += 1;
            }
        }
    });
    rig.settle();
    rig.expect_silence();
}

/// Events of one's own do not crowd out those of the kernel, nor the other way round, even in a list
/// for one.
pub fn post_beside_events<P: Poller + 'static>() {
    for room in [1, 2, 3, 8] {
        let mut rig = Rig::<P>::with_room_for(room);
        let (near, far) = tcp_pair();
        let ticket = rig.add(Source::socket(&near), 1, READABLE, Trigger::Level);
        send(&far, b"x");
        let mut posted = 0;
        let (mut own, mut kernel) = (0, 0);
        // There are always more posts than the list holds, and the source is always ready.
        for _ in 0..20 {
            while posted < own + 20 {
                rig.poller.post(parcel(100 + posted)).unwrap();
                posted += 1;
            }
            let events = rig.wait(HANG);
            assert!(!events.is_empty());
            for event in events {
                if event.key == Key(1) {
                    kernel += 1;
                } else {
                    assert_eq!(event, parcel(100 + own));
                    own += 1;
                }
            }
        }
        assert!(own >= 5, "room for {room}: {own} posts and {kernel} others");
        assert!(
            kernel >= 5,
            "room for {room}: {own} posts and {kernel} others"
        );
        rig.delete(ticket, Source::socket(&near));
        while own < posted {
            for event in rig.wait(HANG) {
                assert_eq!(event, parcel(100 + own));
                own += 1;
            }
        }
        rig.settle();
        rig.forget();
        rig.expect_silence();
    }
}

/// Row a01: a source that is ready already is added while another thread sleeps without a time-out.
pub fn register_vs_wait<P: Poller + 'static>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (to_waiter, orders) = mpsc::channel::<()>();
    let (to_main, reports) = mpsc::channel();
    let poller = Arc::clone(&rig.poller);
    let waiter = thread::spawn(move || {
        while orders.recv().is_ok() {
            let mut events = rig.wait(None);
            while events.is_empty() {
                events = rig.wait(None);
            }
            to_main.send(events).unwrap();
        }
    });
    let socket = udp_to_itself();
    socket.send(b"always readable").unwrap();
    let source = Source::socket(&socket);
    let report = || {
        reports
            .recv_timeout(HANG)
            .expect("the registration was lost")
    };
    for key in 0..u64::try_from(repeat(100_000)).unwrap() {
        to_waiter.send(()).unwrap();
        // Sometimes before, sometimes during, sometimes between two waits.
        for _ in 0..key % 7 * 20 {
            std::hint::spin_loop();
        }
        // SAFETY: the source is deleted, below, before it is closed.
        let ticket = unsafe { poller.add(source, Key(key), READABLE, trigger) }.unwrap();
        let events = report();
        assert!(
            events.iter().all(|event| event.key == Key(key)),
            "{events:?}"
        );
        poller.delete(ticket, source).unwrap();
    }
    drop(to_waiter);
    waiter.join().unwrap();
}

/// The same for the other changes: interest that comes back, and directions that are re-armed.
pub fn change_during_wait<P: Poller + 'static>(trigger: Trigger) {
    let mut rig = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let (gone, gone_peer) = tcp_pair();
    let source = Source::socket(&near);
    let ticket = rig.add(source, 1, Interest::NONE, trigger);
    let gone_ticket = rig.add(Source::socket(&gone), 2, READABLE, trigger);
    let poller = Arc::clone(&rig.poller);
    let waiter = thread::spawn(move || {
        rig.expect(1, Readiness::READABLE);
        assert_eq!(rig.take_seen(2), Readiness::NONE, "it was deleted before");
        rig
    });
    while !is_busy(&*poller) {
        thread::yield_now();
    }
    poller.delete(gone_ticket, Source::socket(&gone)).unwrap();
    send(&gone_peer, b"for nobody");
    send(&far, b"x");
    poller
        .modify(&ticket, source, Key(1), READABLE, trigger)
        .unwrap();
    let mut rig = waiter.join().unwrap();

    assert_eq!(drain_data(&near), b"x");
    rig.ask_again(&ticket, source, (1, READABLE, trigger), READABLE);
    rig.forget();
    let waiter = thread::spawn(move || {
        rig.expect(1, Readiness::READABLE);
        rig
    });
    // If the waiter sleeps by now, it is told that something came; else it finds out by itself.
    send(&far, b"y");
    let mut rig = waiter.join().unwrap();
    if trigger == Trigger::Edge {
        // Read by another thread, which re-arms.
        let waiter = thread::spawn(move || {
            rig.forget();
            rig.expect(1, Readiness::READABLE);
            rig
        });
        assert_eq!(drain_data(&near), b"y");
        while !is_busy(&*poller) {
            thread::yield_now();
        }
        poller.rearm(&ticket, READABLE).unwrap();
        send(&far, b"z");
        rig = waiter.join().unwrap();
    }
    rig.delete(ticket, source);
}

pub fn second_wait_is_busy<P: Poller + 'static>() {
    let mut rig = Rig::<P>::new();
    let poller = Arc::clone(&rig.poller);
    let waiter = thread::spawn(move || {
        assert_eq!(rig.wait(None), []);
        rig
    });
    while !is_busy(&*poller) {
        thread::yield_now();
    }
    for timeout in [None, Some(Duration::ZERO), Some(HANG)] {
        let _watchdog = Watchdog::start();
        let mut events = Events::with_capacity(1);
        let error = poller.wait(&mut events, timeout).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ResourceBusy);
    }
    poller.notify().unwrap();
    let mut rig = waiter.join().unwrap();
    // Row a02: and then it works again.
    rig.expect_silence();
}

/// Two pollers side by side know nothing of each other.
pub fn two_reactors<P: Poller + 'static>(trigger: Trigger) {
    let mut one = Rig::<P>::new();
    let mut two = Rig::<P>::new();
    let (near, far) = tcp_pair();
    let source = Source::socket(&near);
    let first = one.add(source, 1, READABLE, trigger);
    let second = two.add(source, 2, READABLE, trigger);
    one.poller.notify().unwrap();
    one.poller.post(parcel(7)).unwrap();
    two.expect_silence();
    one.settle();
    assert_ne!(one.take_seen(7), Readiness::NONE);
    one.settle();
    send(&far, b"x");
    one.expect(1, Readiness::READABLE);
    two.expect(2, Readiness::READABLE);
    one.delete(first, source);
    assert_eq!(drain_data(&near), b"x");
    two.ask_again(&second, source, (2, READABLE, trigger), READABLE);
    one.forget();
    two.forget();
    send(&far, b"y");
    two.expect(2, Readiness::READABLE);
    one.expect_silence();
    drop(one);
    assert_eq!(drain_data(&near), b"y");
    two.ask_again(&second, source, (2, READABLE, trigger), READABLE);
    two.forget();
    send(&far, b"z");
    two.expect(2, Readiness::READABLE);
    two.delete(second, source);
}
