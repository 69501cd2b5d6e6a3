//! Timers on the real clock. That nothing comes early is asserted, that nothing comes late is not.

#[path = "support/mod.rs"]
mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn, ready};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use ekio::time::{
    Interval, MissedTickBehavior, Sleep, Timeout, interval, interval_at, sleep, sleep_until,
    timeout, timeout_at,
};
use futures_lite::future::{or, yield_now};
use support::futures::{Counter, everywhere, join_all, poll_once, poll_with};
use support::repeat;
use support::watchdog::Watchdog;

const MICRO: Duration = Duration::from_micros(1);
const MILLI: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: GlobalAlloc's contract is kept by System, which gets the same arguments; counting neither
// allocates nor panics (a `const` thread local without a destructor).
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn never_early() {
    everywhere(|| async {
        for n in 0..repeat(2_000) as u32 {
            let duration = MICRO * (n * 37 % 1_500);
            let start = Instant::now();
            let nap = sleep(duration);
            assert!(nap.deadline() >= start + duration);
            nap.await;
            assert!(start.elapsed() >= duration, "{duration:?}");

            let deadline = Instant::now() + duration;
            let nap = sleep_until(deadline);
            assert_eq!(nap.deadline(), deadline);
            nap.await;
            assert!(Instant::now() >= deadline);
        }
    });
}

#[test]
fn the_time_counts_from_the_call_and_not_from_the_first_poll() {
    everywhere(|| async {
        let nap = pin!(sleep(2 * MILLI));
        thread::sleep(3 * MILLI);
        assert!(nap.is_elapsed());
        assert!(poll_once(nap).await.is_ready());
    });
}

#[test]
fn what_is_over_is_ready_at_once() {
    everywhere(|| async {
        for mut nap in [sleep(Duration::ZERO), sleep_until(Instant::now())].map(Box::pin) {
            for _ in 0..3 {
                assert!(poll_once(nap.as_mut()).await.is_ready());
            }
        }
        let long_ago = Instant::now()
            .checked_sub(HOUR)
            .unwrap_or_else(Instant::now);
        assert!(poll_once(pin!(sleep_until(long_ago))).await.is_ready());
    });
}

#[test]
fn the_longest_times() {
    everywhere(|| async {
        for duration in [
            Duration::MAX,
            Duration::from_nanos(u64::MAX),
            HOUR * 24 * 36_500,
        ] {
            let mut nap = pin!(sleep(duration));
            assert!(poll_once(nap.as_mut()).await.is_pending());
            assert!(!nap.is_elapsed());
            assert!(nap.deadline() > Instant::now() + HOUR);
            assert_eq!(timeout(duration, ready(7)).await, Ok(7));
            assert!(timeout(MILLI, sleep(duration)).await.is_err());
            let mut clock = interval(duration);
            clock.tick().await;
            assert!(timeout(MILLI, clock.tick()).await.is_err());
        }
    });
}

#[test]
fn they_fire_in_the_order_of_their_deadlines() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let order = RefCell::new(Vec::new());
        let start = Instant::now() + 20 * MILLI;
        let naps = (0..200_u32).map(|n| {
            let deadline = start + MICRO * (n * 67 % 211);
            let order = &order;
            async move {
                let mut nap = pin!(sleep_until(deadline));
                // One that is over at its first poll, on a thread that was held up, is in no order; for
                // want of budget it may be pending even so.
                let waits = poll_once(nap.as_mut()).await.is_pending() && !nap.is_elapsed();
                nap.await;
                order.borrow_mut().push((waits, deadline));
            }
        });
        // Tasks of their own, so that the order is that of the wakes.
        let tasks: Vec<_> = naps.map(Box::pin).collect();
        InOrderOfWakes::new(tasks).await;
        let order = order.into_inner();
        assert_eq!(order.len(), 200);
        let waited = order.iter().filter(|(waits, _)| *waits);
        assert!(waited.map(|(_, deadline)| deadline).is_sorted());
    });
}

/// Polls its futures in the order in which they were woken.
struct InOrderOfWakes<F> {
    futures: Vec<Option<Pin<Box<F>>>>,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl<F: Future<Output = ()>> InOrderOfWakes<F> {
    fn new(futures: Vec<Pin<Box<F>>>) -> InOrderOfWakes<F> {
        InOrderOfWakes {
            woken: Arc::new(Mutex::new((0..futures.len()).collect())),
            futures: futures.into_iter().map(Some).collect(),
        }
    }
}

struct Numbered {
    number: usize,
    woken: Arc<Mutex<Vec<usize>>>,
    all: Waker,
}

impl Wake for Numbered {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push(self.number);
        self.all.wake_by_ref();
    }
}

impl<F: Future<Output = ()>> Future for InOrderOfWakes<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let woken = std::mem::take(&mut *self.woken.lock().unwrap());
        for number in woken {
            let numbered = Numbered {
                number,
                woken: Arc::clone(&self.woken),
                all: cx.waker().clone(),
            };
            let waker = Waker::from(Arc::new(numbered));
            if let Some(future) = &mut self.futures[number] {
                if poll_with(future.as_mut(), &waker).is_ready() {
                    self.futures[number] = None;
                }
            }
        }
        if self.futures.iter().all(Option::is_none) {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

/// Row a18 of the pitfalls: a thread sleeps for an hour in the shared reactor, and another one brings
/// a timer of a millisecond.
#[test]
fn a18_earlier_timer() {
    // Keeps the shared reactor asleep until a distant deadline.
    let (_counter, waker) = Counter::new();
    let mut distant = pin!(sleep(HOUR));
    assert!(poll_with(distant.as_mut(), &waker).is_pending());
    for round in 0..repeat(10_000) as u32 {
        let (counter, waker) = Counter::new();
        let start = Instant::now();
        let duration = MICRO * (round * 61 % 1_000 + 1);
        let mut nap = pin!(sleep(duration));
        if poll_with(nap.as_mut(), &waker).is_pending() {
            counter.wait_for(1);
            assert!(poll_with(nap, &waker).is_ready());
        }
        assert!(start.elapsed() >= duration);
    }
}

/// The same for a timer that another thread brings into the reactor of a `block_on`: one that was
/// polled there first, and is brought forward from elsewhere.
#[test]
fn a18_earlier_timer_by_reset() {
    for round in 0..repeat(10_000) as u32 {
        let _watchdog = Watchdog::start();
        let nap = Arc::new(Mutex::new(Box::pin(sleep(HOUR))));
        let is_waiting = Arc::new(Barrier::new(2));
        let resetter = thread::spawn({
            let (nap, is_waiting) = (Arc::clone(&nap), Arc::clone(&is_waiting));
            move || {
                is_waiting.wait();
                // Sometimes before the other thread sleeps, sometimes after.
                for _ in 0..round % 50 * 100 {
                    std::hint::spin_loop();
                }
                nap.lock().unwrap().as_mut().reset(Instant::now() + MICRO);
            }
        });
        let mut is_first = true;
        ekio::block_on(poll_fn(|cx| {
            let polled = nap.lock().unwrap().as_mut().poll(cx);
            if std::mem::take(&mut is_first) {
                is_waiting.wait();
            }
            polled
        }));
        resetter.join().unwrap();
    }
}

#[test]
fn dropped_before_and_after_they_fire() {
    everywhere(|| async {
        let (counter, waker) = Counter::new();
        for n in 0..repeat(10_000) as u32 {
            let mut nap = Box::pin(sleep(MICRO * (n % 200)));
            let _ = poll_with(nap.as_mut(), &waker);
            if n % 3 == 0 {
                yield_now().await;
            }
            drop(nap);
        }
        // Whoever was about to be woken has been, a while later.
        sleep(5 * MILLI).await;
        drop(waker);
        while Arc::strong_count(&counter) > 1 {
            sleep(MILLI).await;
        }
    });
}

#[test]
fn on_many_threads_at_once() {
    let _watchdog = Watchdog::start();
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            scope.spawn(move || {
                for n in 0..repeat(10_000) as u32 {
                    let duration = MICRO * (n * 13 % 300 + thread);
                    let story = async {
                        let start = Instant::now();
                        let mut other = pin!(sleep(duration * 2));
                        let _ = timeout(duration, other.as_mut()).await;
                        assert!(start.elapsed() >= duration);
                    };
                    if thread % 2 == 0 {
                        ekio::block_on(story);
                    } else {
                        futures_lite::future::block_on(story);
                    }
                }
            });
        }
    });
}

/// With optimisation, `whole`; without, a tenth.
fn many(whole: u32) -> u32 {
    if cfg!(debug_assertions) {
        whole / 10
    } else {
        whole
    }
}

/// Numbers without a visible order.
fn scattered(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_769)
}

#[test]
fn a_hundred_thousand_that_fire_within_a_second() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let start = Instant::now();
        let fired = Cell::new(0);
        let last = Cell::new(start);
        let count = many(100_000);
        let naps: Vec<_> = (0..count)
            .map(|n| {
                let deadline = start + Duration::from_nanos((scattered(n) % 600_000_000).into());
                let (fired, last) = (&fired, &last);
                Box::pin(async move {
                    let mut nap = pin!(sleep_until(deadline));
                    let _ = poll_once(nap.as_mut()).await;
                    // One that is over by now may never have been in the wheel, and is in no order.
                    let waits = !nap.is_elapsed();
                    nap.await;
                    assert!(Instant::now() >= deadline);
                    assert!(!waits || last.replace(deadline) <= deadline);
                    fired.set(fired.get() + 1);
                })
            })
            .collect();
        InOrderOfWakes::new(naps).await;
        assert_eq!(fired.get(), count);
    });
}

/// As guards of operations that do not take too long: made, polled once, and dropped, in no order.
/// Nobody is woken, nothing is left, and the timers that stay fire.
#[test]
fn a_million_that_never_fire() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let (counter, waker) = Counter::new();
        let count = many(1_000_000);
        let mut stays = pin!(sleep(2 * MILLI));
        // It waits, unless this thread has been held up for so long.
        let _ = poll_once(stays.as_mut()).await;
        let mut guards: Vec<_> = (0..count)
            .map(|n| {
                let seconds = Duration::from_secs((scattered(n) % 100 + 60).into());
                let mut guard = Box::pin(sleep(seconds));
                assert!(poll_with(guard.as_mut(), &waker).is_pending());
                guard
            })
            .collect();
        assert_eq!(Arc::strong_count(&counter), count as usize + 2);
        for n in 0..count / 2 {
            drop(guards.swap_remove(scattered(n) as usize % guards.len()));
        }
        stays.await;
        drop(guards);
        assert_eq!(counter.count(), 0);
        assert_eq!(Arc::strong_count(&counter), 2);
        sleep(MILLI).await;
    });
}

/// All for the same moment, more than a wheel's slot moves or a batch of wakers holds at once.
#[test]
fn a_crowd_at_one_moment() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let (counter, waker) = Counter::new();
        let deadline = Instant::now() + 30 * MILLI;
        let mut naps: Vec<_> = (0..many(100_000))
            .map(|_| Box::pin(sleep_until(deadline)))
            .collect();
        let polled = naps
            .iter_mut()
            .map(|nap| poll_with(nap.as_mut(), &waker).is_pending());
        let waiting = polled.filter(|is_pending| *is_pending).count();
        sleep_until(deadline).await;
        while counter.count() < waiting {
            yield_now().await;
        }
        assert!(naps.iter().all(|nap| nap.is_elapsed()));
        assert_eq!(counter.count(), waiting);
    });
}

#[test]
fn reset_brings_forward_and_puts_off() {
    everywhere(|| async {
        let mut nap = pin!(sleep(HOUR));
        assert!(poll_once(nap.as_mut()).await.is_pending());
        let soon = Instant::now() + MILLI;
        nap.as_mut().reset(soon);
        assert_eq!(nap.deadline(), soon);
        nap.as_mut().await;
        assert!(Instant::now() >= soon && nap.is_elapsed());
        // After it was ready, it is good for another time.
        let soon = Instant::now() + MILLI;
        nap.as_mut().reset(soon);
        let later = soon + MILLI;
        assert!(poll_once(nap.as_mut()).await.is_pending() || Instant::now() >= soon);
        nap.as_mut().reset(later);
        nap.as_mut().await;
        assert!(Instant::now() >= later);
    });
}

/// A task that resets its timer between two polls need not poll it again.
#[test]
fn a_timer_that_waits_is_reset_without_a_poll() {
    everywhere(|| async {
        let mut nap = pin!(sleep(HOUR));
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            if polls == 1 {
                assert!(nap.as_mut().poll(cx).is_pending());
                nap.as_mut().reset(Instant::now() + MILLI);
                return Poll::Pending;
            }
            nap.as_mut().poll(cx)
        })
        .await;
        assert_eq!(polls, 2);
    });
}

#[test]
fn a_timer_moves_from_one_block_on_to_the_next() {
    let _watchdog = Watchdog::start();
    let (counter, waker) = Counter::new();
    let mut nap = Box::pin(sleep(HOUR));
    ekio::block_on(async { assert!(poll_with(nap.as_mut(), &waker).is_pending()) });
    assert_eq!(counter.count(), 1, "nobody turns that reactor any more");
    // To another thread's.
    let mut nap = thread::spawn(move || {
        ekio::block_on(async { assert!(poll_with(nap.as_mut(), &waker).is_pending()) });
        nap
    })
    .join()
    .unwrap();
    assert_eq!(counter.count(), 2, "that one neither");
    // To the shared one, which nobody leaves.
    let (counter, waker) = Counter::new();
    assert!(poll_with(nap.as_mut(), &waker).is_pending());
    let soon = Instant::now() + MILLI;
    nap.as_mut().reset(soon);
    counter.wait_for(1);
    assert!(poll_with(nap.as_mut(), &waker).is_ready() && Instant::now() >= soon);
}

#[test]
fn dropped_on_another_thread_and_after_its_thread() {
    let _watchdog = Watchdog::start();
    for _ in 0..repeat(1_000) {
        // The reactor of a thread that has ended lives on in the timer.
        let nap = thread::spawn(|| {
            let mut nap = Box::pin(sleep(HOUR));
            ekio::block_on(async {
                assert!(poll_with(nap.as_mut(), Waker::noop()).is_pending());
            });
            nap
        })
        .join()
        .unwrap();
        drop(nap);
        // And a timer of this thread leaves while the thread sleeps.
        ekio::block_on(async {
            let mut nap = Box::pin(sleep(2 * MILLI));
            // It waits, unless this thread has been held up for so long.
            let _ = poll_with(nap.as_mut(), Waker::noop());
            let dropper = thread::spawn(move || drop(nap));
            sleep(MILLI).await;
            dropper.join().unwrap();
        });
    }
}

/// A waker that starts, polls and drops timers, whatever is done to it.
struct Hostile {
    hoard: Arc<Mutex<Vec<Pin<Box<Sleep>>>>>,
    done: Arc<Counter>,
}

impl Hostile {
    fn waker(hoard: &Arc<Mutex<Vec<Pin<Box<Sleep>>>>>, done: &Arc<Counter>) -> Waker {
        Waker::from(Arc::new(Hostile {
            hoard: Arc::clone(hoard),
            done: Arc::clone(done),
        }))
    }

    fn act(&self) {
        let popped = self.hoard.lock().unwrap().pop();
        drop(popped);
        for duration in [Duration::ZERO, MICRO, HOUR] {
            let mut nap = Box::pin(sleep(duration));
            let _ = poll_with(nap.as_mut(), Waker::noop());
            nap.as_mut().reset(Instant::now() + HOUR);
            if duration == HOUR {
                self.hoard.lock().unwrap().push(nap);
            }
        }
    }
}

impl Wake for Hostile {
    fn wake(self: Arc<Self>) {
        self.act();
        let done: Waker = Arc::clone(&self.done).into();
        drop(self);
        done.wake();
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.act();
    }
}

/// Row a15 of the pitfalls, for timers, on the shared reactor (its thread runs the wakers) and on our
/// own.
#[test]
fn a15_hostile_waker_timers() {
    everywhere(|| async {
        let hoard = Arc::default();
        for _ in 0..repeat(1_000) {
            let (done, _) = Counter::new();
            let mut naps: Vec<_> = (1..80).map(|n| Box::pin(sleep(MICRO * 20 * n))).collect();
            let polled = naps.iter_mut().map(|nap| {
                // Replaced once, and the replaced one is dropped.
                let _ = poll_with(nap.as_mut(), &Hostile::waker(&hoard, &done));
                poll_with(nap.as_mut(), &Hostile::waker(&hoard, &done))
            });
            let waiting = polled.filter(Poll::is_pending).count();
            // (On a slow machine one may fire between its two polls: woken, and not among `waiting`.)
            while done.count() < waiting || !naps.iter().all(|nap| nap.is_elapsed()) {
                sleep(100 * MICRO).await;
            }
        }
        let left: Vec<_> = std::mem::take(&mut *hoard.lock().unwrap());
        drop(left);
    });
}

#[test]
fn starting_polling_and_dropping_allocates_nothing() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        // What is made once is made now, also what needs a thread that really sleeps.
        sleep(10_000 * MICRO).await;
        let before = ALLOCATIONS.get();
        for _ in 0..100 {
            let mut nap = pin!(sleep(HOUR));
            assert!(poll_once(nap.as_mut()).await.is_pending());
            nap.as_mut().reset(Instant::now() + 2 * HOUR);
            sleep(MICRO).await;
            assert!(timeout(MICRO, pending::<()>()).await.is_err());
        }
        let mut clock = interval(MICRO);
        let with_a_box = ALLOCATIONS.get();
        for _ in 0..100 {
            clock.tick().await;
        }
        assert_eq!(with_a_box - before, 1);
        assert_eq!(ALLOCATIONS.get(), with_a_box);
    });
}

#[test]
fn an_interval_keeps_to_its_plan() {
    everywhere(|| async {
        let period = 500 * MICRO;
        let start = Instant::now();
        let mut clock = interval(period);
        assert_eq!(clock.period(), period);
        let first = clock.tick().await;
        assert!(first >= start);
        for n in 1..6 {
            let due = clock.tick().await;
            assert_eq!(due, first + period * n);
            assert!(Instant::now() >= due);
        }
        // Who is late gets what was missed at once, and then the plan goes on.
        thread::sleep(period * 4);
        for n in 6..9 {
            let tick = poll_once(pin!(clock.tick())).await;
            assert_eq!(tick, Poll::Ready(first + period * n));
        }
        let due = first + period * 9;
        assert_eq!(clock.tick().await, due);

        let before = Instant::now();
        clock.reset();
        assert!(clock.tick().await >= before + period);
        let start = Instant::now() + MILLI;
        let mut clock = interval_at(start, period);
        assert_eq!(clock.tick().await, start);
    });
}

/// The plans themselves are tested where they are made; here it is that the clock is asked.
#[test]
fn an_interval_that_was_missed_delays_or_skips() {
    everywhere(|| async {
        let period = 2 * MILLI;
        let mut clock = interval(period);
        assert_eq!(clock.missed_tick_behavior(), MissedTickBehavior::Burst);
        // The first tick may be late too, which is no matter as long as they burst.
        let first = clock.tick().await;
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        assert_eq!(clock.missed_tick_behavior(), MissedTickBehavior::Delay);
        thread::sleep(period * 5);
        let before = Instant::now();
        assert_eq!(clock.tick().await, first + period);
        let next = clock.tick().await;
        assert!(next >= before + period && Instant::now() >= next);

        clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
        clock.reset_immediately();
        let first = clock.tick().await;
        clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
        thread::sleep(period * 5);
        let before = Instant::now();
        assert_eq!(clock.tick().await, first + period);
        let next = clock.tick().await;
        assert!(next > before && Instant::now() >= next);
        assert_eq!((next - first).as_nanos() % period.as_nanos(), 0);
    });
}

#[test]
fn an_interval_begins_anew() {
    everywhere(|| async {
        let mut clock = interval(HOUR);
        clock.tick().await;
        assert!(poll_once(pin!(clock.tick())).await.is_pending());
        clock.reset_immediately();
        clock.tick().await;
        let before = Instant::now();
        clock.reset_after(MILLI);
        assert!(clock.tick().await >= before + MILLI && Instant::now() >= before + MILLI);
        let start = Instant::now() + MILLI;
        clock.reset_at(start);
        assert_eq!(clock.tick().await, start);
        clock.reset_at(start);
        assert_eq!(clock.tick().await, start, "in the past");
        clock.reset();
        assert!(poll_once(pin!(clock.tick())).await.is_pending());
        // A task that waits is woken at the new moment without another poll.
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            let polled = clock.poll_tick(cx);
            if polls == 1 {
                clock.reset_after(MILLI);
            }
            polled
        })
        .await;
        assert_eq!(polls, 2);
    });
}

/// The plan of an interval may have begun before anybody asked ekio for the time.
#[test]
fn an_interval_may_have_begun_long_ago() {
    let Some(start) = Instant::now().checked_sub(HOUR) else {
        support::skipped("the clock of this machine began less than an hour ago");
        return;
    };
    everywhere(|| async {
        let mut clock = interval_at(start, HOUR / 2);
        for n in 0..3 {
            assert_eq!(clock.tick().await, start + n * (HOUR / 2));
        }
        assert!(poll_once(pin!(clock.tick())).await.is_pending());
    });
}

#[test]
#[should_panic(expected = "period must not be zero")]
fn an_interval_of_nothing_panics() {
    let _ = interval(Duration::ZERO);
}

#[test]
fn a_cancelled_tick_is_not_lost() {
    everywhere(|| async {
        let start = Instant::now() + 3 * MILLI;
        let mut clock = interval_at(start, HOUR);
        for _ in 0..3 {
            let _ = poll_once(pin!(clock.tick())).await;
        }
        if Instant::now() < start {
            assert_eq!(clock.tick().await, start);
        }
    });
}

#[test]
fn timeouts() {
    everywhere(|| async {
        // What is ready wins, even if the time is over.
        assert_eq!(timeout(Duration::ZERO, ready(1)).await, Ok(1));
        assert_eq!(timeout_at(Instant::now(), ready(2)).await, Ok(2));
        let start = Instant::now();
        let elapsed = timeout(MILLI, pending::<()>()).await.unwrap_err();
        assert!(start.elapsed() >= MILLI);
        let error = io::Error::from(elapsed);
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), elapsed.to_string());
        // A future that is lent goes on.
        let mut nap = pin!(sleep(HOUR));
        assert!(timeout(MICRO, nap.as_mut()).await.is_err());
        nap.as_mut().reset(Instant::now() + MILLI);
        nap.await;
        // Inside one another, the shorter one counts.
        assert!(
            timeout(HOUR, timeout(MILLI, pending::<()>()))
                .await
                .unwrap()
                .is_err()
        );
        assert!(
            timeout(MILLI, timeout(HOUR, pending::<()>()))
                .await
                .is_err()
        );
    });
}

#[test]
fn the_future_of_a_timeout_is_dropped_with_it() {
    everywhere(|| async {
        let resource = Rc::new(());
        let kept = Rc::clone(&resource);
        let mut limited = Box::pin(timeout(MICRO, async move {
            let _kept = kept;
            pending::<()>().await;
        }));
        assert!(limited.as_mut().await.is_err());
        assert_eq!(Rc::strong_count(&resource), 2);
        drop(limited);
        assert_eq!(Rc::strong_count(&resource), 1);
    });
}

/// Takes as much of the budget as there is, in each run, and never ends.
async fn greedy() {
    loop {
        sleep(Duration::ZERO).await;
    }
}

#[test]
fn a_greedy_future_is_timed_out() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        assert!(timeout(2 * MILLI, greedy()).await.is_err());
        assert!(timeout(2 * MILLI, timeout(HOUR, greedy())).await.is_err());
    });
}

/// `or` polls its first future first, and nothing is left of the budget then.
#[test]
fn a_greedy_neighbour_starves_nobody() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        or(greedy(), sleep(2 * MILLI)).await;
        let limited = async { assert!(timeout(2 * MILLI, pending::<()>()).await.is_err()) };
        or(greedy(), limited).await;
        let mut clock = interval(100 * MICRO);
        for _ in 0..20 {
            let tick = async { assert!(clock.tick().await <= Instant::now()) };
            or(greedy(), tick).await;
        }
    });
}

/// A future is not timed out for being polled when nothing was left of the budget.
#[test]
fn a_future_that_may_not_answer_is_not_timed_out() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let mut greedy = pin!(greedy());
        for limit in (2..).map(|exponent| 2_u32.pow(exponent) * MILLI) {
            let is_open = Cell::new(false);
            let gate = poll_fn(|_| match is_open.get() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            });
            let mut limited = pin!(timeout(limit, async {
                gate.await;
                sleep(Duration::ZERO).await;
            }));
            // It has been held back once before, and was polled after that.
            assert!(poll_once(greedy.as_mut()).await.is_pending());
            assert!(poll_once(limited.as_mut()).await.is_pending());
            ekio::task::yield_now().await;
            if poll_once(limited.as_mut()).await.is_ready() {
                continue; // This machine is so slow that the time is over.
            }
            is_open.set(true);
            sleep(limit).await;
            assert!(poll_once(greedy.as_mut()).await.is_pending());
            let mut answer = poll_once(limited.as_mut()).await;
            if answer.is_pending() {
                answer = Poll::Ready(limited.await);
            }
            assert_eq!(answer, Poll::Ready(Ok(())));
            return;
        }
    });
}

/// Row a17 of the pitfalls, with tasks that never wait: each of them lets the others run.
#[test]
fn a17_tasks_of_timers_that_are_over() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        drop(ekio::spawn_local(greedy()));
        drop(ekio::spawn_local(async {
            loop {
                let _ = timeout(Duration::ZERO, pending::<()>()).await;
            }
        }));
        drop(ekio::spawn_local(async {
            let mut behind = interval_at(Instant::now() - HOUR.min(MILLI), Duration::from_nanos(1));
            loop {
                behind.tick().await;
            }
        }));
        sleep(2 * MILLI).await;
    });
}

/// More timers than the budget has units: waiting costs nothing, so each of them gets to wait.
#[test]
fn a_task_may_wait_for_more_timers_than_it_has_budget() {
    everywhere(|| async {
        join_all((0..1_000).map(|_| sleep(2 * MILLI))).await;
        let limited = (0..1_000).map(|_| timeout(2 * MILLI, pending::<()>()));
        assert!(join_all(limited).await.iter().all(Result::is_err));
    });
}

#[test]
fn they_may_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Sleep>();
    check::<Interval>();
    check::<Timeout<std::future::Ready<()>>>();
}

/// Row a20 of the pitfalls, which is a report and not a promise.
#[test]
fn a20_precision() {
    let _watchdog = Watchdog::start();
    let lateness = |duration: Duration| {
        let mut late: Vec<_> = (0..repeat(20_000).min(2_000))
            .map(|_| {
                let start = Instant::now();
                ekio::block_on(sleep(duration));
                start.elapsed() - duration
            })
            .collect();
        late.sort_unstable();
        println!(
            "sleep({duration:?}) is late by {:?} (median), {:?} (99 of 100)",
            late[late.len() / 2],
            late[late.len() * 99 / 100],
        );
    };
    for micros in [50, 100, 500, 1_500] {
        lateness(MICRO * micros);
    }
}
