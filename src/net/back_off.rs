//! Waiting for what no event tells of: that the system has means again.
//!
//! A listener whose process has run out of descriptors cannot accept, and stays readable. Whoever
//! calls `accept` in a loop and goes on after an error would spin (`b_emfile`), and an
//! edge-triggered queue says nothing when there is a descriptor again. So the error is told, and the
//! next try is made some time after.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use crate::executor::blocking::spawn_blocking;
use crate::reactor::timers::Timer;
use crate::reactor::{Reactor, clock, context, virtual_time};

/// How long to wait after the first failure; twice as long after each one that follows.
const FIRST: Duration = Duration::from_millis(10);

/// The longest wait. A descriptor that comes free is used after so long at the latest.
const LAST: Duration = Duration::from_secs(1);

type Rest = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The patience of a listener.
///
/// The numbers are hints among its callers, and publish nothing, so that every access is relaxed.
/// At worst one of several callers tries a little early.
#[derive(Default)]
pub(super) struct BackOff {
    /// Before this moment no try is made; 0 when all is well.
    until: AtomicU64,
    /// The wait that ends then, in nanoseconds; 0 when all is well.
    wait: AtomicU64,
    /// What the latest caller of [`poll_rest`](BackOff::poll_rest) waits for.
    rest: Mutex<Option<Rest>>,
}

impl BackOff {
    /// Takes note of a try that failed for want of means.
    pub(super) fn failed(&self) {
        self.failed_at(clock::now());
    }

    fn failed_at(&self, now: u64) {
        if now < self.until.load(Ordering::Relaxed) {
            return; // One of several that failed together.
        }
        let wait = longer(self.wait.load(Ordering::Relaxed));
        self.wait.store(wait, Ordering::Relaxed);
        self.until.store(now + wait, Ordering::Relaxed);
    }

    /// Takes note of a try that succeeded.
    pub(super) fn succeeded(&self) {
        if self.until.load(Ordering::Relaxed) != 0 {
            self.until.store(0, Ordering::Relaxed);
            self.wait.store(0, Ordering::Relaxed);
        }
    }

    /// Waits until a try may be made: for nothing, nearly always.
    pub(super) async fn rest(&self) {
        let until = self.until.load(Ordering::Relaxed);
        if until != 0 {
            // In a box, because it is rare, and would make the future of every `accept` larger.
            Box::pin(rest_in_real_time(until)).await;
        }
    }

    /// [`rest`](BackOff::rest) for those who write a future by hand. The waker of the latest caller is
    /// kept.
    pub(super) fn poll_rest(&self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.until.load(Ordering::Relaxed);
        if until == 0 {
            return Poll::Ready(());
        }
        // Polled and dropped without the lock: either runs foreign code.
        let rest = lock(&self.rest).take();
        let mut rest = rest.unwrap_or_else(|| Box::pin(rest_until(until)));
        let answer = rest.as_mut().poll(cx);
        if answer.is_pending() {
            let of_another = lock(&self.rest).replace(rest);
            drop(of_another);
        }
        answer
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The wait after one of so many nanoseconds.
fn longer(wait: u64) -> u64 {
    let [first, last] = [FIRST, LAST].map(|wait| clock::after(0, wait));
    wait.saturating_mul(2).clamp(first, last)
}

/// Waits for a while, until others may have done what would be waited for if the system told of it.
pub(super) async fn rest_for(wait: Duration) {
    rest_in_real_time(clock::after(clock::now(), wait)).await;
}

/// The same for who waits for others, not for a time: a virtual clock does not jump over it.
async fn rest_in_real_time(moment: u64) {
    let _real_time = virtual_time::real_time();
    rest_until(moment).await;
}

/// Waits for a moment of the reactors' clock.
async fn rest_until(moment: u64) {
    if context::current().is_ok() {
        let mut timer = pin!(Timer::<Reactor>::new(moment));
        poll_fn(|cx| timer.as_mut().poll_elapsed(cx, context::current)).await;
    } else {
        // There is no reactor yet, and none can be had: it wants descriptors.
        let rest = move || {
            let nanos = moment.saturating_sub(clock::now());
            thread::sleep(Duration::from_nanos(nanos));
        };
        // What it answers is that it is over.
        let _ = spawn_blocking(rest).await;
    }
}

impl fmt::Debug for BackOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackOff")
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound() {
        let mut waits = vec![longer(0)];
        for _ in 0..9 {
            waits.push(longer(waits[waits.len() - 1]));
        }
        let millis: Vec<_> = waits.iter().map(|wait| wait / 1_000_000).collect();
        let expected = [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000];
        assert_eq!(millis, expected);
    }

    #[test]
    fn failures_at_the_same_time_are_one() {
        const NOW: u64 = 1_000_000_000;
        let back_off = BackOff::default();
        let hints = || [&back_off.until, &back_off.wait].map(|hint| hint.load(Ordering::Relaxed));
        back_off.succeeded();
        assert_eq!(hints(), [0, 0]);
        let [first, second] = [longer(0), longer(longer(0))];
        for now in [NOW, NOW, NOW + first - 1] {
            back_off.failed_at(now);
            assert_eq!(hints(), [NOW + first, first]);
        }
        back_off.failed_at(NOW + first);
        assert_eq!(hints(), [NOW + first + second, second]);
        back_off.succeeded();
        assert_eq!(hints(), [0, 0]);
    }
}
