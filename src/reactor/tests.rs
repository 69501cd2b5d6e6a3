//! The reactor on a stage: what it asks of its poller, and whom it wakes.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::slot::{Fate, Who};
use super::*;
use crate::poller::script::{Act, Call, Script};
use crate::poller::{Interest, Source};

/// Counts its wakes.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Counter {
    fn new() -> (Arc<Counter>, Waker) {
        let counter = Arc::new(Counter::default());
        (Arc::clone(&counter), Waker::from(counter))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// No poller of these tests looks at its source.
const SOURCE: Source<'_> = Source::Signal(1);

type Stage<const NEEDS_REARM: bool> = Arc<Reactor<Script<NEEDS_REARM>>>;

fn stage<const NEEDS_REARM: bool>() -> Stage<NEEDS_REARM> {
    let reactor = Reactor::with_poller(Script::new().unwrap());
    reactor.take_charge();
    reactor
}

/// A slot that leaves its reactor in the end, as a registration's does.
struct Guest<P: Poller>(Arc<Slot<P>>);

impl<P: Poller> Drop for Guest<P> {
    fn drop(&mut self) {
        self.0.deregister(SOURCE, Fate::StaysOpen).unwrap();
    }
}

impl<P: Poller> std::ops::Deref for Guest<P> {
    type Target = Arc<Slot<P>>;
    fn deref(&self) -> &Arc<Slot<P>> {
        &self.0
    }
}

/// A slot that has met would-block in both directions.
fn blocked_slot<P: Poller>() -> Guest<P> {
    Guest(Slot::new(Interest::BOTH, Readiness::NONE))
}

fn poll<P: Poller>(
    slot: &Arc<Slot<P>>,
    reactor: &Arc<Reactor<P>>,
    who: &mut Who,
    direction: Direction,
    waker: &Waker,
) -> Poll<io::Result<Ready>> {
    let mut cx = Context::from_waker(waker);
    Slot::poll_ready(slot, &mut cx, who, direction, SOURCE, || {
        Ok(Arc::clone(reactor))
    })
}

fn ready<const NEEDS_REARM: bool>(reactor: &Stage<NEEDS_REARM>, order: usize, what: Readiness) {
    reactor.poller().then(Act::Ready(vec![(order, what)]));
    reactor.turn(None).unwrap();
}

#[test]
fn a_source_is_registered_at_its_first_would_block_and_only_then() {
    let reactor = stage::<false>();
    let slot = Guest(Slot::new(Interest::BOTH, Readiness::READABLE));
    let (counter, waker) = Counter::new();
    let Poll::Ready(Ok(hope)) = poll(&slot, &reactor, &mut Who::latest(), Direction::Read, &waker)
    else {
        panic!("a new source is worth a try")
    };
    assert_eq!(reactor.poller().take_calls(), []);
    slot.clear_ready(hope);
    assert!(poll(&slot, &reactor, &mut Who::latest(), Direction::Read, &waker).is_pending());
    assert!(poll(&slot, &reactor, &mut Who::latest(), Direction::Read, &waker).is_pending());
    assert_eq!(
        reactor.poller().take_calls(),
        [Call::Add(0, Interest::BOTH)]
    );

    ready(&reactor, 0, Readiness::READABLE);
    assert_eq!(counter.count(), 1);
    assert!(poll(&slot, &reactor, &mut Who::latest(), Direction::Read, &waker).is_ready());
    slot.deregister(SOURCE, Fate::StaysOpen).unwrap();
    assert_eq!(
        reactor.poller().take_calls(),
        [Call::Wait(None), Call::Delete(0)]
    );
    assert_eq!(reactor.len(), 0);
}

#[test]
fn the_latest_waker_is_kept_and_a_direction_wakes_its_own() {
    let reactor = stage::<false>();
    let slot = blocked_slot();
    let (first, first_waker) = Counter::new();
    let (second, second_waker) = Counter::new();
    let (writer, writer_waker) = Counter::new();
    for waker in [&first_waker, &second_waker] {
        assert!(poll(&slot, &reactor, &mut Who::latest(), Direction::Read, waker).is_pending());
    }
    assert!(
        poll(
            &slot,
            &reactor,
            &mut Who::latest(),
            Direction::Write,
            &writer_waker
        )
        .is_pending()
    );
    ready(&reactor, 0, Readiness::READABLE);
    assert_eq!((first.count(), second.count(), writer.count()), (0, 1, 0));
    ready(&reactor, 0, Readiness::ERROR);
    assert_eq!((first.count(), second.count(), writer.count()), (0, 1, 1));
}

#[test]
fn a05_every_waiter_of_a_crowd_is_woken() {
    let reactor = stage::<false>();
    let slot = blocked_slot();
    let mut crowd: Vec<_> = (0..100)
        .map(|_| (Counter::new(), Who::newcomer()))
        .collect();
    for ((_, waker), who) in &mut crowd {
        for _ in 0..2 {
            assert!(poll(&slot, &reactor, who, Direction::Read, waker).is_pending());
        }
    }
    let ((forgotten, _), who) = crowd.swap_remove(50);
    slot.forget(who);
    ready(&reactor, 0, Readiness::READABLE);
    assert!(crowd.iter().all(|((counter, _), _)| counter.count() == 1));
    assert_eq!(forgotten.count(), 0);
}

#[test]
fn rearm_follows_each_event_that_was_used_up() {
    let reactor = stage::<true>();
    let slot = blocked_slot();
    let waker = Waker::noop();
    let read = || poll(&slot, &reactor, &mut Who::latest(), Direction::Read, waker);
    assert!(read().is_pending());
    assert_eq!(
        reactor.poller().take_calls(),
        [Call::Add(0, Interest::BOTH)]
    );
    for _ in 0..3 {
        ready(&reactor, 0, Readiness::READABLE);
        let Poll::Ready(Ok(seen)) = read() else {
            panic!("the event was delivered")
        };
        assert_eq!(
            reactor.poller().take_calls(),
            [Call::Wait(None)],
            "not before a would-block"
        );
        slot.clear_ready(seen);
        assert!(read().is_pending());
        assert!(read().is_pending());
        let once = [Call::Rearm(0, Interest::READABLE)];
        assert_eq!(reactor.poller().take_calls(), once);
    }
}

#[test]
fn a03_an_event_for_a_slot_that_left_wakes_nobody() {
    let reactor = stage::<false>();
    let (counter, waker) = Counter::new();
    let old = blocked_slot();
    assert!(poll(&old, &reactor, &mut Who::latest(), Direction::Read, &waker).is_pending());
    old.deregister(SOURCE, Fate::StaysOpen).unwrap();
    assert_eq!(counter.count(), 1, "leaving wakes who waits");
    let new = blocked_slot();
    assert!(poll(&new, &reactor, &mut Who::latest(), Direction::Read, &waker).is_pending());
    ready(&reactor, 0, Readiness::READABLE);
    assert_eq!((counter.count(), reactor.stale_events()), (1, 1));
    assert!(new.is_ready(Direction::Read).is_none());
    ready(&reactor, 1, Readiness::READABLE);
    assert_eq!(counter.count(), 2);
}

#[test]
fn a04_failed_add_no_leak() {
    let reactor = stage::<false>();
    let slot = blocked_slot();
    reactor.poller().fail_next_add(io::ErrorKind::Unsupported);
    let read = || {
        poll(
            &slot,
            &reactor,
            &mut Who::latest(),
            Direction::Read,
            Waker::noop(),
        )
    };
    let Poll::Ready(Err(error)) = read() else {
        panic!("the add fails")
    };
    assert_eq!(
        (error.kind(), reactor.len()),
        (io::ErrorKind::Unsupported, 0)
    );
    assert!(read().is_pending());
    assert_eq!(reactor.len(), 1);
}

/// A source that cannot move from a reactor which is about to be left (its last driver has gone, and has
/// not looked at the table yet) waits nowhere: all its tasks come and see.
#[test]
fn a04_failed_add_strands_nobody() {
    let (old, new) = (stage::<false>(), stage::<false>());
    let slot = blocked_slot();
    let (counter, waker) = Counter::new();
    let write = |reactor| poll(&slot, reactor, &mut Who::latest(), Direction::Write, &waker);
    assert!(write(&old).is_pending());
    old.drivers.store(0, Ordering::Relaxed);
    new.poller().fail_next_add(io::ErrorKind::OutOfMemory);
    let read = poll(
        &slot,
        &new,
        &mut Who::latest(),
        Direction::Read,
        Waker::noop(),
    );
    assert!(matches!(read, Poll::Ready(Err(_))));
    assert_eq!((old.len(), new.len()), (0, 0));
    assert_eq!(counter.count(), 1);
    assert!(write(&new).is_pending());
    ready(&new, 0, Readiness::WRITABLE);
    assert_eq!(counter.count(), 2);
}

#[test]
fn a02_wait_err_then_ok() {
    let reactor = stage::<false>();
    let slot = blocked_slot();
    let (counter, waker) = Counter::new();
    assert!(poll(&slot, &reactor, &mut Who::latest(), Direction::Read, &waker).is_pending());
    reactor.poller().then(Act::Fail(io::ErrorKind::OutOfMemory));
    assert_eq!(
        reactor.turn(None).unwrap_err().kind(),
        io::ErrorKind::OutOfMemory
    );
    ready(&reactor, 0, Readiness::READABLE);
    assert_eq!(counter.count(), 1);
}

#[test]
fn whoever_waits_at_a_reactor_that_is_released_moves_to_the_next() {
    let (old, new) = (stage::<false>(), stage::<false>());
    let slot = blocked_slot();
    let (counter, waker) = Counter::new();
    assert!(poll(&slot, &old, &mut Who::latest(), Direction::Read, &waker).is_pending());
    assert!(poll(&slot, &new, &mut Who::latest(), Direction::Read, &waker).is_pending());
    assert_eq!(
        (old.len(), new.len()),
        (1, 0),
        "a driven reactor keeps its sources"
    );
    old.release();
    assert_eq!(counter.count(), 1);
    assert!(poll(&slot, &new, &mut Who::latest(), Direction::Read, &waker).is_pending());
    assert_eq!((old.len(), new.len()), (0, 1));
    ready(&new, 0, Readiness::READABLE);
    assert_eq!(counter.count(), 2);
    assert_eq!(
        Arc::strong_count(&old),
        1,
        "nothing of the slot stays behind"
    );
}

/// The last driver leaves between the look for a reactor and the registration with it.
#[test]
fn a_source_joins_no_reactor_that_is_left() {
    let (old, new) = (stage::<false>(), stage::<false>());
    let slot = blocked_slot();
    let (counter, waker) = Counter::new();
    let mut cx = Context::from_waker(&waker);
    let polled = Slot::poll_ready(
        &slot,
        &mut cx,
        &mut Who::latest(),
        Direction::Read,
        SOURCE,
        || {
            old.release();
            Ok(Arc::clone(&old))
        },
    );
    assert!(polled.is_pending());
    assert_eq!(counter.count(), 1, "it is to look again");
    assert!(poll(&slot, &new, &mut Who::latest(), Direction::Read, &waker).is_pending());
    assert_eq!((old.len(), new.len()), (0, 1));
}

#[test]
fn one_thread_at_a_time_turns() {
    let reactor = stage::<false>();
    let round = reactor.round.lock().unwrap();
    assert_eq!(
        reactor.turn(None).unwrap_err().kind(),
        io::ErrorKind::ResourceBusy
    );
    drop(round);
    reactor.turn(Some(Duration::ZERO)).unwrap();
}

/// A waker whose every function calls back into the reactor.
mod hostile {
    use super::*;
    use std::task::{RawWaker, RawWakerVTable};

    pub(super) struct Hostile {
        pub(super) reactor: Stage<false>,
        pub(super) calls: AtomicUsize,
        pub(super) panics: bool,
    }

    /// Wakers may outlive everything, so their data lives for ever; it can be reached from here,
    /// so it is no leak.
    static KEPT: Mutex<Vec<&'static Hostile>> = Mutex::new(Vec::new());

    impl Hostile {
        pub(super) fn leaked(reactor: &Stage<false>, panics: bool) -> &'static Hostile {
            let reactor = Arc::clone(reactor);
            let hostile = Box::leak(Box::new(Hostile {
                reactor,
                calls: AtomicUsize::new(0),
                panics,
            }));
            lock(&KEPT).push(hostile);
            hostile
        }

        fn intrude(&self) {
            self.calls.fetch_add(1, Ordering::SeqCst);
            let slot = blocked_slot();
            let noop = Waker::noop();
            assert!(
                poll(
                    &slot,
                    &self.reactor,
                    &mut Who::latest(),
                    Direction::Read,
                    noop
                )
                .is_pending()
            );
            slot.deregister(SOURCE, Fate::StaysOpen).unwrap();
            self.reactor.notify().unwrap();
            drop(self.reactor.timers());
        }
    }

    static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);

    fn hostile(data: *const ()) -> &'static Hostile {
        // SAFETY: a pointer may be dereferenced while its target lives and is not changed: `waker`,
        // the only maker of such wakers, takes a reference to a leaked `Hostile`.
        unsafe { &*data.cast::<Hostile>() }
    }

    fn clone(data: *const ()) -> RawWaker {
        hostile(data).intrude();
        RawWaker::new(data, &VTABLE)
    }

    fn wake(data: *const ()) {
        wake_by_ref(data);
        release(data);
    }

    fn wake_by_ref(data: *const ()) {
        hostile(data).intrude();
        assert!(!hostile(data).panics, "a waker that panics on purpose");
    }

    fn release(data: *const ()) {
        hostile(data).intrude();
    }

    pub(super) fn waker(hostile: &'static Hostile) -> Waker {
        let data = std::ptr::from_ref(hostile).cast();
        // SAFETY: the functions of the table may be called from any thread and any number of times,
        // because all they use is a shared `Hostile` that lives for ever.
        unsafe { Waker::new(data, &VTABLE) }
    }
}

#[test]
fn a15_hostile_waker() {
    let reactor = stage::<false>();
    for panics in [false, true] {
        let hostile = hostile::Hostile::leaked(&reactor, panics);
        let waker = hostile::waker(hostile);
        let (counter, counting) = Counter::new();
        let slot = blocked_slot();
        reactor.poller().take_calls();
        // Displace one by another, so that each function is called in each place.
        for waker in [Waker::noop(), &waker, &counting, &waker, &waker] {
            assert!(poll(&slot, &reactor, &mut Who::latest(), Direction::Read, waker).is_pending());
        }
        let mut who = Who::newcomer();
        assert!(poll(&slot, &reactor, &mut who, Direction::Read, &waker).is_pending());
        assert!(poll(&slot, &reactor, &mut who, Direction::Read, &counting).is_pending());
        let calls = reactor.poller().take_calls();
        // The slot's own `add` came first.
        let order = calls.iter().find_map(|call| match call {
            Call::Add(order, _) => Some(*order),
            _ => None,
        });
        ready(&reactor, order.unwrap(), Readiness::READABLE);
        assert_eq!(
            counter.count(),
            1,
            "the neighbour of a waker that panics is woken"
        );
        assert!(hostile.calls.load(Ordering::SeqCst) >= 6);
        slot.deregister(SOURCE, Fate::StaysOpen).unwrap();
        mem::forget(waker);
    }
}
