//! A registration wakes whoever waits for its source, whatever wakers do meanwhile.

#[path = "support/mod.rs"]
mod support;

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Wake, Waker};

use ekio::reactor::{Direction, Ready, Registration};
use futures_lite::future::block_on;
use support::futures::{Counter, everywhere, poll_with};
use support::net::tcp_pair;
use support::repeat;
use support::watchdog::Watchdog;

/// A registration that is linked to a reactor and believes in nothing, and its peer.
fn idle() -> (Registration<TcpStream>, TcpStream) {
    let (near, far) = tcp_pair();
    let near = Registration::new(near).unwrap();
    let (_, waker) = Counter::new();
    assert!(settle(&near, Direction::Read, &waker).is_pending());
    (near, far)
}

fn poll(it: &Registration<TcpStream>, way: Direction, waker: &Waker) -> Poll<io::Result<Ready>> {
    it.poll_ready(&mut Context::from_waker(waker), way)
}

/// Leaves the waker, whatever is believed. (News of the time before may still be on its way.)
fn settle(it: &Registration<TcpStream>, way: Direction, waker: &Waker) -> Poll<io::Result<Ready>> {
    for _ in 0..1_000 {
        match poll(it, way, waker) {
            Poll::Ready(Ok(ready)) => it.clear_ready(ready),
            other => return other,
        }
    }
    panic!("it is ready for ever");
}

#[test]
fn poll_ready_keeps_the_latest_waker() {
    let (near, mut far) = idle();
    let (first, first_waker) = Counter::new();
    let (second, second_waker) = Counter::new();
    assert!(poll(&near, Direction::Read, &first_waker).is_pending());
    assert!(poll(&near, Direction::Read, &second_waker).is_pending());
    far.write_all(b"x").unwrap();
    second.wait_for(1);
    assert_eq!((first.count(), second.count()), (0, 1));
    assert!(poll(&near, Direction::Read, &first_waker).is_ready());
}

#[test]
fn each_direction_has_its_own_waker() {
    let (near, mut far) = idle();
    let (reader, reader_waker) = Counter::new();
    let (writer, writer_waker) = Counter::new();
    support::net::fill(near.get_ref());
    assert!(settle(&near, Direction::Read, &reader_waker).is_pending());
    assert!(settle(&near, Direction::Write, &writer_waker).is_pending());
    far.write_all(b"x").unwrap();
    reader.wait_for(1);
    support::net::drain(&far);
    writer.wait_for(1);
}

/// Row a05 of the pitfalls, its second half: nobody's wake is given to another.
#[test]
fn a05_two_tasks_wait_in_the_same_direction() {
    let _watchdog = Watchdog::start();
    for _ in 0..repeat(10_000) {
        let (near, mut far) = idle();
        let tasks = [Counter::new(), Counter::new()];
        let mut first = pin!(near.ready(Direction::Read));
        let mut second = pin!(near.ready(Direction::Read));
        assert!(poll_with(first.as_mut(), &tasks[0].1).is_pending());
        assert!(poll_with(second.as_mut(), &tasks[1].1).is_pending());
        far.write_all(b"x").unwrap();
        for (counter, _) in &tasks {
            counter.wait_for(1);
        }
        assert!(poll_with(first, &tasks[0].1).is_ready());
        assert!(poll_with(second, &tasks[1].1).is_ready());
    }
}

#[test]
fn a_future_that_was_dropped_is_not_woken() {
    let (near, mut far) = idle();
    let (dropped, dropped_waker) = Counter::new();
    let (other, other_waker) = Counter::new();
    let mut first = Box::pin(near.ready(Direction::Read));
    let mut second = pin!(near.ready(Direction::Read));
    assert!(poll_with(first.as_mut(), &dropped_waker).is_pending());
    assert!(poll_with(second.as_mut(), &other_waker).is_pending());
    drop(first);
    drop(dropped_waker);
    assert_eq!(Arc::strong_count(&dropped), 1, "its waker is gone");
    far.write_all(b"x").unwrap();
    other.wait_for(1);
    assert_eq!(dropped.count(), 0);
}

#[test]
fn dropping_a_registration_wakes_its_waiters() {
    let (near, _far) = idle();
    let (counter, waker) = Counter::new();
    support::net::fill(near.get_ref());
    assert!(settle(&near, Direction::Read, &waker).is_pending());
    assert!(settle(&near, Direction::Write, &waker).is_pending());
    drop(near);
    assert_eq!(counter.count(), 2);
    drop(waker);
    assert_eq!(Arc::strong_count(&counter), 1, "no waker is left behind");
}

#[test]
fn taking_the_source_out_deregisters_it() {
    everywhere(|| async {
        let (near, mut far) = tcp_pair();
        let mut near = Registration::new(near).unwrap();
        for round in 0..5 {
            let (counter, waker) = Counter::new();
            assert!(settle(&near, Direction::Read, &waker).is_pending());
            let source = near.into_source().unwrap();
            // By this, or by an event for nothing just before, whose waker is still on its way.
            counter.wait_for(1);
            near = Registration::new(source).unwrap();
            far.write_all(&[round]).unwrap();
            let mut byte = [0];
            let read = near.io(Direction::Read, |mut near| near.read(&mut byte));
            assert_eq!(read.await.unwrap(), 1);
            assert_eq!(byte, [round]);
        }
    });
}

/// Row a25 of the pitfalls: what somebody reads by another way does not make the source deaf.
#[test]
fn a25_raw_read_rearm() {
    everywhere(|| async {
        let (near, mut far) = tcp_pair();
        let near = Registration::new(near).unwrap();
        for round in 0..repeat(10_000) as u32 {
            far.write_all(&round.to_ne_bytes()).unwrap();
            let mut data = Vec::new();
            while data.len() < 4 {
                let ready = near.ready(Direction::Read).await.unwrap();
                // By the raw socket, to would-block.
                let (more, end) = support::net::drain(near.get_ref());
                assert_eq!(end, support::net::End::WouldBlock);
                data.extend(more);
                near.clear_ready(ready);
            }
            assert_eq!(data, round.to_ne_bytes());
        }
    });
}

#[test]
fn a_receipt_that_is_out_of_date_clears_nothing() {
    let (near, mut far) = idle();
    let (counter, waker) = Counter::new();
    assert!(poll(&near, Direction::Read, &waker).is_pending());
    far.write_all(b"x").unwrap();
    counter.wait_for(1);
    let Poll::Ready(Ok(old)) = poll(&near, Direction::Read, &waker) else {
        panic!("there is something to read");
    };
    assert_eq!(old.direction(), Direction::Read);
    assert!(old.readiness().is_readable());
    near.clear_ready(old);
    assert!(poll(&near, Direction::Read, &waker).is_pending());
    assert_eq!(support::net::drain_data(near.get_ref()), b"x");
    far.write_all(b"y").unwrap();
    counter.wait_for(2);
    // The one from before the news.
    near.clear_ready(old);
    assert!(poll(&near, Direction::Read, &waker).is_ready());
}

#[test]
fn an_operation_that_was_interrupted_is_tried_again() {
    everywhere(|| async {
        let (near, mut far) = tcp_pair();
        let near = Registration::new(near).unwrap();
        far.write_all(b"x").unwrap();
        let (mut interruptions, mut byte) = (3, [0]);
        let count = near
            .io(Direction::Read, |mut near| {
                if interruptions > 0 {
                    interruptions -= 1;
                    return Err(ErrorKind::Interrupted.into());
                }
                near.read(&mut byte)
            })
            .await;
        assert_eq!((count.unwrap(), interruptions), (1, 0));
    });
}

#[test]
fn an_interest_of_nothing_is_refused() {
    let (near, _far) = tcp_pair();
    let refused = Registration::with_interest(near, ekio::poller::Interest::NONE);
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// A waker each of whose calls uses the reactor: it registers a source, and deregisters one; and it
/// polls the very registration that it waits for.
struct Hostile {
    counter: Arc<Counter>,
    victim: Arc<Mutex<Option<Arc<Registration<TcpStream>>>>>,
    calls: AtomicUsize,
}

impl Hostile {
    fn act(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let (_there, _peer) = idle();
        let victim = self.victim.lock().unwrap().clone();
        if let Some(victim) = victim {
            let (_, waker) = Counter::new();
            let _ = poll(&victim, Direction::Write, &waker);
            let _ = pin!(victim.ready(Direction::Read)).poll_once_with(&waker);
        }
    }
}

trait PollOnce: Future {
    fn poll_once_with(self: std::pin::Pin<&mut Self>, waker: &Waker) -> Poll<Self::Output> {
        self.poll(&mut Context::from_waker(waker))
    }
}

impl<F: Future> PollOnce for F {}

static HOSTILE: RawWakerVTable = RawWakerVTable::new(
    |data| {
        let hostile = share(data);
        hostile.act();
        hostile_waker(Arc::clone(&hostile))
    },
    |data| {
        let hostile = take(data);
        hostile.act();
        tell(hostile);
    },
    |data| {
        let hostile = share(data);
        hostile.act();
        tell(hostile);
    },
    |data| take(data).act(),
);

fn hostile_waker(hostile: Arc<Hostile>) -> RawWaker {
    RawWaker::new(Arc::into_raw(hostile).cast(), &HOSTILE)
}

/// The waker's own count, given up.
fn take(data: *const ()) -> Arc<Hostile> {
    // SAFETY: from_raw asks for what into_raw gave, which is what every waker of this table holds:
    // `hostile_waker` is the only one that makes them.
    unsafe { Arc::from_raw(data.cast::<Hostile>()) }
}

/// The last thing that a wake does, so that whoever was told finds no reference left.
fn tell(hostile: Arc<Hostile>) {
    let counter = Arc::clone(&hostile.counter);
    drop(hostile);
    counter.wake();
}

/// Another count than the waker's own.
fn share(data: *const ()) -> Arc<Hostile> {
    let own = std::mem::ManuallyDrop::new(take(data));
    Arc::clone(&own)
}

#[test]
fn a15_hostile_waker() {
    let _watchdog = Watchdog::start();
    for _ in 0..repeat(1_000) {
        let (near, mut far) = idle();
        let near = Arc::new(near);
        let (counter, plain_waker) = Counter::new();
        let hostile = Arc::new(Hostile {
            counter: Arc::clone(&counter),
            victim: Arc::new(Mutex::new(Some(Arc::clone(&near)))),
            calls: AtomicUsize::new(0),
        });
        let raw = hostile_waker(Arc::clone(&hostile));
        // SAFETY: the functions of the table keep the contract of `RawWakerVTable`: they count the
        // references of an `Arc`, and are safe on any thread because `Hostile` is Send and Sync.
        let waker = unsafe { Waker::from_raw(raw) };

        assert!(poll(&near, Direction::Read, &waker).is_pending());
        let mut waiting = Box::pin(near.ready(Direction::Read));
        assert!(poll_with(waiting.as_mut(), &waker).is_pending());
        far.write_all(b"x").unwrap();
        counter.wait_for(2);
        drop(waiting);

        // Displaced by another one, and dropped with a future that waits.
        assert_eq!(support::net::drain_data(near.get_ref()), b"x");
        assert!(settle(&near, Direction::Read, &waker).is_pending());
        assert!(settle(&near, Direction::Read, &plain_waker).is_pending());
        let mut waiting = Box::pin(near.ready(Direction::Read));
        assert!(poll_with(waiting.as_mut(), &waker).is_pending());
        drop(waiting);

        // Woken by the drop of its registration.
        assert!(settle(&near, Direction::Read, &waker).is_pending());
        let before = counter.count();
        hostile.victim.lock().unwrap().take();
        drop(near);
        assert_eq!(counter.count(), before + 1);
        drop(waker);
        assert!(
            hostile.calls.load(Ordering::SeqCst) >= 9,
            "it had its chances"
        );
        assert_eq!(
            Arc::strong_count(&hostile),
            1,
            "each reference was given back"
        );
    }
}

/// A waker that panics.
struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        // (Without the panic hook, which would print.)
        resume_unwind(Box::new("a waker that panics"));
    }
}

#[test]
fn a_waker_that_panics_loses_no_other() {
    let _watchdog = Watchdog::start();
    let (near, mut far) = idle();
    let (second_near, mut second_far) = idle();
    let panics = Waker::from(Arc::new(Panics));
    let counters: Vec<_> = (0..100).map(|_| Counter::new()).collect();
    assert!(poll(&near, Direction::Read, &panics).is_pending());
    let mut waiting: Vec<_> = counters
        .iter()
        .enumerate()
        .map(|(number, _)| (number, Box::pin(near.ready(Direction::Read))))
        .collect();
    for (number, future) in &mut waiting {
        let waker = if *number % 3 == 0 {
            &panics
        } else {
            &counters[*number].1
        };
        assert!(poll_with(future.as_mut(), waker).is_pending());
    }
    let (later, later_waker) = Counter::new();
    assert!(poll(&second_near, Direction::Read, &later_waker).is_pending());
    far.write_all(b"x").unwrap();
    for (number, (counter, _)) in counters.iter().enumerate() {
        if number % 3 != 0 {
            counter.wait_for(1);
        }
    }
    // The thread that turns the reactor lives on.
    second_far.write_all(b"x").unwrap();
    later.wait_for(1);
}

/// A task that waits for nothing but what holds already is stopped by its budget.
#[test]
fn a17_a_source_that_is_always_ready_starves_nobody() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let (near, _far) = tcp_pair();
        let near = Registration::new(near).unwrap();
        let greedy = async {
            loop {
                near.ready(Direction::Write).await.unwrap();
            }
        };
        let short = std::time::Duration::from_millis(1);
        let outcome: Result<(), _> = ekio::time::timeout(short, greedy).await;
        assert!(outcome.is_err());
    });
}

/// A source can be polled by one thread after the other, and be dropped by a third.
#[test]
fn a_registration_moves_between_threads() {
    let (near, mut far) = tcp_pair();
    let mut near = Registration::new(near).unwrap();
    for round in 0..20 {
        near = std::thread::spawn(move || {
            let _watchdog = Watchdog::start();
            block_on(async {
                let mut byte = [0];
                let read = near.io(Direction::Read, |mut near| near.read(&mut byte));
                support::futures::cancel(read).await;
            });
            near
        })
        .join()
        .unwrap();
        far.write_all(&[round]).unwrap();
        let mut byte = [0];
        block_on(near.io(Direction::Read, |mut near| near.read(&mut byte))).unwrap();
        assert_eq!(byte, [round]);
    }
    std::thread::spawn(move || drop(near)).join().unwrap();
}
