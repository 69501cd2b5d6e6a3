//! One moment.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use crate::reactor::timers::Timer;
use crate::reactor::{Reactor, budget, clock, context};

/// Waits for `duration`, counted from this call.
///
/// The future is ready as soon as the time is over, never before. When it is over, the thread that
/// drives the timer's reactor wakes the task. Until the first poll nothing waits.
///
/// `Duration::ZERO` is ready at once, and [`Duration::MAX`] never is.
///
/// # Platform behaviour
///
/// See [the module](super#platform-behaviour) for how late it may be.
///
/// # Cancel safety
///
/// Nothing is lost when the future is dropped: its timer is cancelled.
///
/// # Panics
///
/// The call itself does not. The future does, at its first poll, if the timer needs a reactor and
/// the system refuses to make one.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// ekio::block_on(async {
///     let start = Instant::now();
///     ekio::time::sleep(Duration::from_micros(300)).await;
///     assert!(start.elapsed() >= Duration::from_micros(300));
/// });
/// ```
pub fn sleep(duration: Duration) -> Sleep {
    Sleep::until(clock::after(clock::now(), duration))
}

/// Waits for `deadline`. One in the past is ready at once.
///
/// Everything else is as for [`sleep`].
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// ekio::block_on(async {
///     let deadline = Instant::now() + Duration::from_micros(300);
///     ekio::time::sleep_until(deadline).await;
///     assert!(Instant::now() >= deadline);
/// });
/// ```
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep::until(clock::from_instant(deadline))
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It is ready from its deadline on, however often it is polled then. It has one waker, the one that
/// it was last polled with.
///
/// # Examples
///
/// It has to be pinned to be polled by hand, or to be waited for more than once:
///
/// ```
/// use ekio::time::sleep;
/// use std::pin::pin;
/// use std::time::Duration;
///
/// ekio::block_on(async {
///     let mut nap = pin!(sleep(Duration::MAX));
///     let soon = std::time::Instant::now() + Duration::from_micros(200);
///     nap.as_mut().reset(soon);
///     nap.as_mut().await;
///     assert!(nap.is_elapsed());
/// });
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited or polled"]
pub struct Sleep {
    /// Pinned with the whole.
    timer: Timer<Reactor>,
}

/// The whole timer with its place in the wheel fits in a cache line.
#[cfg(all(target_pointer_width = "64", not(ekio_loom)))]
const _: () = assert!(size_of::<Sleep>() <= 64);

impl Sleep {
    pub(super) const fn until(deadline: u64) -> Sleep {
        Sleep {
            timer: Timer::new(deadline),
        }
    }

    /// When it is ready.
    ///
    /// A deadline from before ekio's first look at the clock, or from more than 584 years after, is
    /// answered as that earliest or latest moment.
    pub fn deadline(&self) -> Instant {
        clock::to_instant(self.timer.deadline())
    }

    /// True from the deadline on, by the clock of this moment. The task may not have been woken yet.
    pub fn is_elapsed(&self) -> bool {
        self.timer.deadline() <= clock::now()
    }

    /// Changes the deadline, whether it has passed or not, and whether or not the future was ready
    /// before.
    ///
    /// A task that waits already is woken at the new deadline without another poll, except if the
    /// former one was [out of the clock's range](Sleep::deadline), for such a timer is not running:
    /// when in doubt, poll.
    ///
    /// # Panics
    ///
    /// If the reactor that the timer runs in belongs to a parent process (after a fork).
    pub fn reset(self: Pin<&mut Self>, deadline: Instant) {
        self.reset_to(clock::from_instant(deadline));
    }

    pub(super) fn reset_to(self: Pin<&mut Self>, deadline: u64) {
        self.timer().reset(deadline);
    }

    /// The deadline in the reactors' unit.
    pub(super) fn deadline_nanos(&self) -> u64 {
        self.timer.deadline()
    }

    /// Like `poll`, for those who look after the budget themselves.
    pub(super) fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.timer().poll_elapsed(cx, context::current)
    }

    fn timer(self: Pin<&mut Self>) -> Pin<&mut Timer<Reactor>> {
        // SAFETY: map_unchecked_mut asks that the field stays in its place as long as the whole
        // does, and is not moved out of: `timer` is only ever reached by this method or by `&self`,
        // `Sleep` has no Drop and is Unpin only if `timer` is, which it is not.
        unsafe { self.map_unchecked_mut(|sleep| &mut sleep.timer) }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.as_mut().poll_elapsed(cx));
        // Asked for last, since to wait costs nothing. Another poll would find the time over, too.
        ready!(budget::poll_proceed(cx));
        budget::spend();
        Poll::Ready(())
    }
}
