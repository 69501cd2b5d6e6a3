//! Timers in a reactor that has no poller, and whose clock the tests move.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, TryLockError};
use std::task::Wake;
use std::thread;
use std::time::Duration;

use super::*;
use crate::reactor::timers::Rise;
use crate::reactor::wakers::WakerBatch;

/// The reactor.
struct Bed {
    timers: Mutex<Timers>,
    notifications: AtomicUsize,
    is_driven: AtomicBool,
    /// Several threads use it, so that its lock may be taken.
    is_shared: bool,
}

impl Host for Bed {
    fn timers(&self) -> MutexGuard<'_, Timers> {
        if self.is_shared {
            return self.timers.lock().unwrap();
        }
        match self.timers.try_lock() {
            Ok(timers) => timers,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => panic!("foreign code runs under the lock"),
        }
    }

    fn notify(&self) -> io::Result<()> {
        self.notifications.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn is_driven(&self) -> bool {
        self.is_driven.load(Ordering::Relaxed)
    }
}

impl Bed {
    fn new(is_shared: bool) -> Arc<Bed> {
        Arc::new(Bed {
            timers: Mutex::new(Timers::new(clock::now())),
            notifications: AtomicUsize::new(0),
            is_driven: AtomicBool::new(true),
            is_shared,
        })
    }

    /// What a turn does.
    fn expire(&self, now: u64) {
        let mut batch = WakerBatch::new();
        while self.timers().expire(now, &mut batch) {
            batch.wake_all();
        }
    }

    /// What `release` does.
    fn release(&self) {
        self.is_driven.store(false, Ordering::Relaxed);
        let mut batch = WakerBatch::new();
        while self.timers().wake_all_into(&mut batch) {
            batch.wake_all();
        }
    }

    fn is_empty(&self) -> bool {
        self.timers().is_empty()
    }
}

#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counter {
    fn new() -> (Arc<Counter>, Waker) {
        let counter = Arc::new(Counter::default());
        let waker = Arc::clone(&counter).into();
        (counter, waker)
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

type Pinned = Pin<Box<Timer<Bed>>>;

/// A deadline that the clock of the tests' machine will not reach.
fn later(hours: u64) -> u64 {
    clock::after(clock::now(), Duration::from_secs(hours * 3600))
}

fn timer(deadline: u64) -> Pinned {
    Box::pin(Timer::new(deadline))
}

fn poll(timer: &mut Pinned, waker: &Waker, bed: &Arc<Bed>) -> Poll<()> {
    let mut cx = Context::from_waker(waker);
    timer.as_mut().poll_elapsed(&mut cx, || Ok(Arc::clone(bed)))
}

fn poll_without_reactor(timer: &mut Pinned) -> Poll<()> {
    let mut cx = Context::from_waker(Waker::noop());
    timer
        .as_mut()
        .poll_elapsed(&mut cx, || panic!("it needs no reactor"))
}

#[test]
fn what_is_over_and_what_never_comes_need_no_reactor() {
    assert!(poll_without_reactor(&mut timer(0)).is_ready());
    assert!(poll_without_reactor(&mut timer(clock::now())).is_ready());
    let mut never = timer(clock::NEVER);
    assert!(poll_without_reactor(&mut never).is_pending());
    assert!(poll_without_reactor(&mut never).is_pending());
}

#[test]
fn a_timer_fires_once_and_stays_ready() {
    let bed = Bed::new(false);
    let (counter, waker) = Counter::new();
    let deadline = later(1);
    let mut timer = timer(deadline);
    assert!(bed.is_empty(), "nothing happens before the first poll");
    assert!(poll(&mut timer, &waker, &bed).is_pending());
    bed.expire(deadline - 1);
    assert_eq!(counter.count(), 0);
    assert!(poll(&mut timer, &waker, &bed).is_pending());
    bed.expire(deadline);
    bed.expire(deadline + 1);
    assert_eq!(counter.count(), 1);
    assert_eq!(Arc::strong_count(&counter), 2, "ours, and the waker's");
    assert!(poll(&mut timer, &waker, &bed).is_ready());
    assert_eq!(Arc::strong_count(&bed), 1, "it has let go of the reactor");
}

#[test]
fn the_latest_waker_is_kept() {
    let bed = Bed::new(false);
    let (first, first_waker) = Counter::new();
    let (second, second_waker) = Counter::new();
    let deadline = later(1);
    let mut timer = timer(deadline);
    for waker in [&first_waker, &first_waker, &second_waker] {
        assert!(poll(&mut timer, waker, &bed).is_pending());
    }
    assert_eq!(Arc::strong_count(&first), 2);
    bed.expire(deadline);
    assert_eq!((first.count(), second.count()), (0, 1));
}

#[test]
fn dropped_before_and_after_it_fires() {
    let bed = Bed::new(false);
    let (counter, waker) = Counter::new();
    let deadline = later(1);
    let [mut first, mut second, mut third] = [(); 3].map(|()| timer(deadline));
    for timer in [&mut first, &mut second, &mut third] {
        assert!(poll(timer, &waker, &bed).is_pending());
    }
    drop(second);
    assert_eq!(Arc::strong_count(&counter), 2 + 2);
    bed.expire(deadline);
    assert_eq!(counter.count(), 2);
    drop(first);
    drop(third);
    assert!(bed.is_empty());
    assert_eq!(Arc::strong_count(&bed), 1);
    assert_eq!(Arc::strong_count(&counter), 2);
}

#[test]
fn reset_in_every_state() {
    let bed = Bed::new(false);
    let (counter, waker) = Counter::new();
    let mut timer = timer(later(9));
    timer.as_mut().reset(later(5)); // Idle.
    assert!(poll(&mut timer, &waker, &bed).is_pending());
    let sooner = later(4);
    timer.as_mut().reset(sooner); // Linked.
    assert_eq!(timer.deadline(), sooner);
    timer.as_mut().reset(clock::NEVER);
    bed.expire(sooner);
    assert_eq!(counter.count(), 0);
    let again = later(6);
    timer.as_mut().reset(again);
    bed.expire(again);
    assert_eq!(counter.count(), 1, "woken without another poll");
    let last = later(8);
    timer.as_mut().reset(last); // Fired.
    assert!(poll(&mut timer, &waker, &bed).is_pending());
    bed.expire(last);
    assert!(poll(&mut timer, &waker, &bed).is_ready());
    timer.as_mut().reset(0); // Idle again.
    assert!(poll_without_reactor(&mut timer).is_ready());
}

#[test]
fn a_sleeper_is_notified_of_what_is_earlier() {
    let bed = Bed::new(false);
    let (_, waker) = Counter::new();
    let mut slow = timer(later(9));
    assert!(poll(&mut slow, &waker, &bed).is_pending());
    let notifications = || bed.notifications.load(Ordering::Relaxed);
    assert_eq!(notifications(), 0, "nobody sleeps");
    assert!(bed.timers().begin_sleep(None, Rise::WithItsCrowd).is_some());
    let mut fast = timer(later(1));
    assert!(poll(&mut fast, &waker, &bed).is_pending());
    assert_eq!(notifications(), 1);
    bed.timers().end_sleep();
    drop(fast);
    assert!(bed.timers().begin_sleep(None, Rise::WithItsCrowd).is_some());
    slow.as_mut().reset(later(2));
    assert_eq!(notifications(), 2);
    bed.timers().end_sleep();
}

#[test]
fn a_timer_moves_when_its_reactor_is_not_driven_any_longer() {
    let [old, new] = [(); 2].map(|()| Bed::new(false));
    let (counter, waker) = Counter::new();
    let deadline = later(1);
    let mut timer = timer(deadline);
    assert!(poll(&mut timer, &waker, &old).is_pending());
    old.release();
    assert_eq!(counter.count(), 1, "woken, to move");
    assert!(poll(&mut timer, &waker, &new).is_pending());
    assert!(old.is_empty() && !new.is_empty());
    assert_eq!(Arc::strong_count(&old), 1);
    new.expire(deadline);
    assert_eq!(counter.count(), 2);
    assert!(poll(&mut timer, &waker, &new).is_ready());
}

#[test]
fn a_reactor_that_was_left_meanwhile_is_not_joined() {
    let [old, new] = [(); 2].map(|()| Bed::new(false));
    let (counter, waker) = Counter::new();
    let mut timer = timer(later(1));
    old.release();
    assert!(poll(&mut timer, &waker, &old).is_pending());
    assert_eq!(counter.count(), 1, "it comes again");
    assert!(poll(&mut timer, &waker, &new).is_pending());
    assert!(old.is_empty() && !new.is_empty());
}

#[test]
fn the_timer_outlives_everybody_elses_interest_in_its_reactor() {
    let bed = Bed::new(false);
    let (counter, waker) = Counter::new();
    let mut timer = timer(later(1));
    assert!(poll(&mut timer, &waker, &bed).is_pending());
    let weak = Arc::downgrade(&bed);
    drop(bed);
    assert_eq!(weak.strong_count(), 1);
    drop(timer);
    assert_eq!(weak.strong_count(), 0);
    assert_eq!(Arc::strong_count(&counter), 2);
}

/// A waker that uses timers itself, whatever is done to it.
struct Hostile {
    bed: Arc<Bed>,
    /// Timers to drop.
    hoard: Arc<Mutex<Vec<Pinned>>>,
    acts: AtomicUsize,
}

impl Hostile {
    fn act(&self) {
        self.acts.fetch_add(1, Ordering::Relaxed);
        let popped = self.hoard.lock().unwrap().pop();
        drop(popped); // Without the hoard's own lock: another waker may be in it.
        let mut short_lived = timer(later(1));
        assert!(poll(&mut short_lived, Waker::noop(), &self.bed).is_pending());
        let mut long_lived = timer(later(2));
        assert!(poll(&mut long_lived, Waker::noop(), &self.bed).is_pending());
        long_lived.as_mut().reset(later(3));
        self.hoard.lock().unwrap().push(long_lived);
    }
}

impl Wake for Hostile {
    fn wake(self: Arc<Self>) {
        self.act();
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.act();
    }
}

/// Row a15 of the pitfalls, for timers. (`Bed::timers` panics if its lock is not free.)
#[test]
fn a15_hostile_waker_timers() {
    let bed = Bed::new(false);
    let hoard = Arc::new(Mutex::new(Vec::new()));
    let hostile = || -> Waker {
        Arc::new(Hostile {
            bed: Arc::clone(&bed),
            hoard: Arc::clone(&hoard),
            acts: AtomicUsize::new(0),
        })
        .into()
    };
    let deadline = later(1);
    // Each waker is known to its timer alone, so that it is dropped when it is replaced, when the
    // timer is, and when it has woken.
    let mut replaced = timer(deadline);
    assert!(poll(&mut replaced, &hostile(), &bed).is_pending());
    assert!(poll(&mut replaced, &hostile(), &bed).is_pending());
    drop(replaced);
    for n in 0..70 {
        let mut fired = timer(deadline + n);
        assert!(poll(&mut fired, &hostile(), &bed).is_pending());
        hoard.lock().unwrap().push(fired);
    }
    bed.expire(deadline + 70);
    let mut released = timer(later(5));
    assert!(poll(&mut released, &hostile(), &bed).is_pending());
    bed.release();
    bed.is_driven.store(true, Ordering::Relaxed);
    drop(released);
    // Timers that wake nobody remain.
    let left = std::mem::take(&mut *hoard.lock().unwrap());
    drop(left);
    assert!(bed.is_empty());
}

/// A waker that panics when it is cloned, or when it is dropped.
struct Panicking {
    in_clone: bool,
    counter: Arc<Counter>,
}

impl Panicking {
    /// Written by hand, since `Wake` cannot panic in clone.
    fn waker(in_clone: bool, counter: &Arc<Counter>) -> Waker {
        use std::task::{RawWaker, RawWakerVTable};

        const TABLE: RawWakerVTable = RawWakerVTable::new(clone, drop_it, |_| {}, drop_it);

        fn raw(panicking: Panicking) -> RawWaker {
            RawWaker::new(Box::into_raw(Box::new(panicking)).cast(), &TABLE)
        }

        fn clone(data: *const ()) -> RawWaker {
            // SAFETY: `raw` made the pointer, and `drop_it` has not been called on it.
            let panicking = unsafe { &*data.cast::<Panicking>() };
            if panicking.in_clone {
                resume_unwind(Box::new("clone"));
            }
            raw(Panicking {
                in_clone: panicking.in_clone,
                counter: Arc::clone(&panicking.counter),
            })
        }

        fn drop_it(data: *const ()) {
            // SAFETY: `raw` made the pointer, and a waker is dropped (or woken) once.
            let panicking = unsafe { Box::from_raw(data.cast::<Panicking>().cast_mut()) };
            if !panicking.in_clone {
                drop(panicking);
                resume_unwind(Box::new("drop"));
            }
        }

        let waker = raw(Panicking {
            in_clone,
            counter: Arc::clone(counter),
        });
        // SAFETY: the functions of TABLE keep to RawWaker's contract: each clone has a box of its
        // own, and the counter in it is Send and Sync.
        unsafe { Waker::from_raw(waker) }
    }
}

#[test]
fn wakers_that_panic_leave_nothing_behind() {
    let bed = Bed::new(false);
    let counter = Arc::new(Counter::default());
    let deadline = later(1);

    let mut unlucky = timer(deadline);
    let unclonable = Panicking::waker(true, &counter);
    let mut try_it = || catch_unwind(AssertUnwindSafe(|| poll(&mut unlucky, &unclonable, &bed)));
    assert!(try_it().is_err() && bed.is_empty());
    // It already waits, for somebody else, and goes on to do so.
    let (other, other_waker) = Counter::new();
    assert!(poll(&mut unlucky, &other_waker, &bed).is_pending());
    let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut unlucky, &unclonable, &bed)));
    assert!(polled.is_err() && !bed.is_empty());
    bed.expire(deadline);
    assert_eq!(other.count(), 1);

    let waker = Panicking::waker(false, &counter);
    let mut replaced = timer(later(2));
    assert!(poll(&mut replaced, &waker, &bed).is_pending());
    let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut replaced, &other_waker, &bed)));
    assert!(polled.is_err() && !bed.is_empty());
    let mut dropped = timer(later(3));
    assert!(poll(&mut dropped, &waker, &bed).is_pending());
    let unwound = catch_unwind(AssertUnwindSafe(|| drop(dropped)));
    assert!(unwound.is_err());
    drop(replaced);
    drop(unlucky);
    assert!(bed.is_empty());
    assert_eq!(Arc::strong_count(&bed), 1);
    assert!(catch_unwind(AssertUnwindSafe(|| drop(waker))).is_err());
    // The first waker, whose clones failed, has one.
    assert_eq!(Arc::strong_count(&counter), 2);
}

/// A timer must not move while its neighbours point to it.
#[test]
fn a_timer_is_not_unpin() {
    trait IfUnpin<Marker> {
        fn check(&self) {}
    }
    impl<T> IfUnpin<()> for T {}
    struct Unpinned;
    impl<T: Unpin> IfUnpin<Unpinned> for T {}
    // Ambiguous, and so an error, if `Timer` were Unpin.
    Timer::<Bed>::new(0).check();
}

/// Threads that start, move and drop timers while another one fires them. There is nothing to
/// assert at the end but that all is gone; Miri and the sanitizers watch the way there.
#[test]
fn dropped_while_the_reactor_fires_them() {
    let bed = Bed::new(true);
    let is_over = AtomicBool::new(false);
    let rounds: u64 = if cfg!(miri) { 40 } else { 20_000 };
    let start = later(1);
    let (counter, waker) = Counter::new();
    thread::scope(|scope| {
        let starters = [0, 1].map(|thread| {
            let (bed, waker) = (&bed, &waker);
            scope.spawn(move || {
                for round in 0..rounds {
                    let [mut first, mut second] =
                        [round * 10 + thread, round * 7].map(|ahead| timer(start + ahead));
                    assert!(poll(&mut first, waker, bed).is_pending());
                    assert!(poll(&mut second, waker, bed).is_pending());
                    // Fired or not, that is what the two threads race for.
                    let _ = poll(&mut first, Waker::noop(), bed);
                    if round % 2 == 0 {
                        first.as_mut().reset(start + round);
                    }
                    drop(first);
                }
            })
        });
        scope.spawn(|| {
            let mut now = start;
            while !is_over.load(Ordering::Relaxed) {
                bed.expire(now);
                now += 13;
                thread::yield_now();
            }
        });
        let joined = starters.map(|starter| starter.join());
        is_over.store(true, Ordering::Relaxed);
        assert!(joined.iter().all(Result::is_ok));
    });
    assert!(bed.is_empty());
    assert_eq!(Arc::strong_count(&counter), 2);
    assert_eq!(Arc::strong_count(&bed), 1);
}
