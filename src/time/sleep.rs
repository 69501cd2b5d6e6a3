//! One moment.

use std::future::Future;
use std::mem;
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
    /// The answer was held back the last time, for want of budget.
    was_held_back: bool,
}

/// The whole timer with its place in the wheel fits in a cache line.
#[cfg(all(target_pointer_width = "64", not(ekio_loom)))]
const _: () = assert!(size_of::<Sleep>() <= 64);

impl Sleep {
    pub(super) const fn until(deadline: u64) -> Sleep {
        Sleep {
            timer: Timer::new(deadline),
            was_held_back: false,
        }
    }

    /// When it is ready.
    ///
    /// A deadline from years before ekio's first look at the clock, or from centuries after, is
    /// answered as the earliest or latest moment that it can name.
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
        let (timer, was_held_back) = self.parts();
        *was_held_back = false;
        timer.reset(deadline);
    }

    /// The deadline in the reactors' unit.
    pub(super) fn deadline_nanos(&self) -> u64 {
        self.timer.deadline()
    }

    /// Like `poll`, without a look at the budget.
    pub(super) fn poll_elapsed(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.parts().0.poll_elapsed(cx, context::current)
    }

    /// Ready if the budget of this run allows an answer, or did not allow it the last time: then one
    /// unit is lent.
    ///
    /// A task that does nothing but wait for moments that are over is stopped by it, since each of
    /// them is held back when the budget has run out. Held back for as long as that is so, a sleep
    /// would never be answered beside a greedy future that is polled before it in each run
    /// (`a_greedy_neighbour_starves_nobody`); and without the unit, the future of a time-out would not
    /// be able to answer when it is polled for the last time
    /// (`a_future_that_may_not_answer_is_not_timed_out`).
    pub(super) fn poll_budget(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let (_, was_held_back) = self.parts();
        if mem::take(was_held_back) {
            budget::lend();
        }
        let proceed = budget::poll_proceed(cx);
        *was_held_back = proceed.is_pending();
        proceed
    }

    fn parts(self: Pin<&mut Self>) -> (Pin<&mut Timer<Reactor>>, &mut bool) {
        // SAFETY: get_unchecked_mut asks that nothing is moved out by the reference: `timer` leaves
        // here pinned, and the other field is not.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: new_unchecked asks that the field is not moved before it is dropped: it is one of
        // a pinned struct, this is its only projection, `Sleep` has no Drop, and it is Unpin only
        // if `timer` is, which it is not.
        let timer = unsafe { Pin::new_unchecked(&mut this.timer) };
        (timer, &mut this.was_held_back)
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.as_mut().poll_elapsed(cx));
        // Asked for last, since to wait costs nothing. Another poll would find the time over, too.
        ready!(self.poll_budget(cx));
        budget::spend();
        Poll::Ready(())
    }
}
