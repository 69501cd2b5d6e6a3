//! A row of moments.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::sleep::Sleep;
use crate::reactor::clock;

/// Ticks once in every `period`, the first time at once.
///
/// See [`Interval`] for what happens to ticks that are missed.
///
/// # Platform behaviour
///
/// See [the module](super#platform-behaviour) for how late a tick may be. A late one does not delay
/// those after it.
///
/// # Panics
///
/// If `period` is zero.
///
/// # Examples
///
/// ```
/// use ekio::time::interval;
/// use std::time::{Duration, Instant};
///
/// ekio::block_on(async {
///     let start = Instant::now();
///     let mut clock = interval(Duration::from_micros(500));
///     clock.tick().await; // At once.
///     clock.tick().await;
///     clock.tick().await;
///     assert!(start.elapsed() >= Duration::from_micros(1_000));
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    Interval::new(clock::now(), period)
}

/// Ticks once in every `period`, the first time at `start`.
///
/// Everything else is as for [`interval`].
///
/// # Panics
///
/// If `period` is zero.
///
/// # Examples
///
/// ```
/// use ekio::time::interval_at;
/// use std::time::{Duration, Instant};
///
/// ekio::block_on(async {
///     let start = Instant::now() + Duration::from_micros(500);
///     let mut clock = interval_at(start, Duration::from_micros(500));
///     assert_eq!(clock.tick().await, start);
///     assert_eq!(clock.tick().await, start + Duration::from_micros(500));
/// });
/// ```
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    Interval::new(clock::from_instant(start), period)
}

/// A clock that ticks, made by [`interval`] and [`interval_at`].
///
/// # Missed ticks
///
/// The ticks are `period` apart in the plan, whatever happens in practice. Who comes late is given
/// the ticks that were missed one after the other without a wait (a *burst*), until the plan is
/// caught up with; [`reset`](Interval::reset) skips them instead.
///
/// # Cost
///
/// An interval allocates once, when it is made.
#[derive(Debug)]
pub struct Interval {
    /// Boxed, since a timer must not move and an interval may.
    sleep: Pin<Box<Sleep>>,
    period: Duration,
}

impl Interval {
    #[track_caller]
    fn new(start: u64, period: Duration) -> Interval {
        assert!(!period.is_zero(), "an interval's period must not be zero");
        Interval {
            sleep: Box::pin(Sleep::until(start)),
            period,
        }
    }

    /// Waits for the next tick, and answers when it was due.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped: the next call waits for the same tick.
    ///
    /// # Panics
    ///
    /// As [`sleep`](super::sleep) does.
    pub async fn tick(&mut self) -> Instant {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// The poll behind [`tick`](Interval::tick). The task of the latest poll is woken.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(self.sleep.as_mut().poll(cx));
        let due = self.sleep.deadline_nanos();
        self.sleep.as_mut().reset_to(clock::after(due, self.period));
        Poll::Ready(clock::to_instant(due))
    }

    /// Begins anew: the next tick comes a period from now.
    pub fn reset(&mut self) {
        let next = clock::after(clock::now(), self.period);
        self.sleep.as_mut().reset_to(next);
    }

    /// The time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }
}
