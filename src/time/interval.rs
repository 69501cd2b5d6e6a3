//! A row of moments.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::sleep::Sleep;
use crate::reactor::clock;

/// Ticks once in every `period`, the first time at once.
///
/// See [`MissedTickBehavior`] for what happens to ticks that are missed.
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
/// The ticks are `period` apart in the plan, whatever happens in practice. What becomes of the plan
/// when somebody comes late for a tick is told by a [`MissedTickBehavior`]; at first it is a burst.
/// A tick that is less late than a period and less than 5 ms counts as punctual, or the system's own
/// lateness would add up in some of them.
///
/// # Cost
///
/// An interval allocates once, when it is made.
#[derive(Debug)]
pub struct Interval {
    /// Boxed, since a timer must not move and an interval may.
    sleep: Pin<Box<Sleep>>,
    period: Duration,
    missed_tick_behavior: MissedTickBehavior,
}

impl Interval {
    #[track_caller]
    fn new(start: u64, period: Duration) -> Interval {
        assert!(!period.is_zero(), "an interval's period must not be zero");
        Interval {
            sleep: Box::pin(Sleep::until(start)),
            period,
            missed_tick_behavior: MissedTickBehavior::Burst,
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
        let next = match self.missed_tick_behavior {
            // Whatever the time is.
            MissedTickBehavior::Burst => clock::after(due, self.period),
            behavior => behavior.next(due, clock::now(), self.period),
        };
        self.sleep.as_mut().reset_to(next);
        Poll::Ready(clock::to_instant(due))
    }

    /// Begins anew: the next tick comes a period from now, and the others in steps of a period from
    /// there.
    ///
    /// A task that waits by [`poll_tick`](Interval::poll_tick) is woken at the new time without
    /// another poll, as [`Sleep::reset`] says; the same is true of the methods below.
    ///
    /// # Examples
    ///
    /// ```
    /// use ekio::time::interval;
    /// use std::time::{Duration, Instant};
    ///
    /// ekio::block_on(async {
    ///     let period = Duration::from_micros(500);
    ///     let mut clock = interval(period);
    ///     let start = Instant::now();
    ///     clock.reset();
    ///     assert!(clock.tick().await >= start + period);
    /// });
    /// ```
    pub fn reset(&mut self) {
        self.reset_after(self.period);
    }

    /// Begins anew: the next tick comes at once.
    pub fn reset_immediately(&mut self) {
        self.reset_after(Duration::ZERO);
    }

    /// Begins anew: the next tick comes when this duration is over.
    pub fn reset_after(&mut self, duration: Duration) {
        let next = clock::after(clock::now(), duration);
        self.sleep.as_mut().reset_to(next);
    }

    /// Begins anew: the next tick comes at `deadline`, which may have passed.
    pub fn reset_at(&mut self, deadline: Instant) {
        self.sleep.as_mut().reset(deadline);
    }

    /// The time between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What becomes of the ticks that are missed.
    #[must_use]
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed_tick_behavior
    }

    /// Says what shall become of the ticks that are missed from now on.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed_tick_behavior = behavior;
    }
}

/// What becomes of the plan of an [`Interval`] when somebody comes late for a tick. (tokio's names.)
///
/// With a period of 100 ms and somebody who has been busy until 250 ms after the tick at 0:
///
/// ```text
///             0         100       200       300       400       500     ms
///             |         |         |    .    |         |         |
///    Burst    x                        xx   x         x         x
///    Delay    x                        x         x         x
///    Skip     x                        x    x         x         x
/// ```
///
/// Whichever it is, the late tick itself comes at once, and [`tick`](Interval::tick) answers when
/// it was due, here 100.
///
/// # Examples
///
/// ```
/// # #[cfg(not(feature = "rt-multi-thread"))]
/// # fn main() {}
/// # #[cfg(feature = "rt-multi-thread")]
/// # fn main() -> std::io::Result<()> {
/// use ekio::time::{MissedTickBehavior, interval, now, sleep};
/// use std::time::Duration;
///
/// // In virtual time, so that nobody comes later than it says here.
/// let runtime = ekio::Runtime::builder().virtual_time(1).build()?;
/// runtime.block_on(async {
///     let period = Duration::from_millis(100);
///     let mut clock = interval(period);
///     clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
///     let start = clock.tick().await;
///     sleep(period * 5 / 2).await;
///     assert_eq!(clock.tick().await, start + period);
///     assert_eq!(now(), start + period * 5 / 2);
///     assert_eq!(clock.tick().await, start + period * 3); // Not 2.
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedTickBehavior {
    /// The missed ticks come one after the other without a wait, until the plan is caught up with:
    /// there are as many ticks as there are periods. This is the default.
    #[default]
    Burst,
    /// The plan begins anew at the late tick: two ticks are a period apart at least.
    Delay,
    /// The missed ticks are left out: the plan stays as it is.
    Skip,
}

impl MissedTickBehavior {
    /// When the next tick is due after one that was due at `due` and is given out `now`.
    fn next(self, due: u64, now: u64, period: Duration) -> u64 {
        /// tokio's number too. Every system is more punctual than that, as long as it has a
        /// processor to spare.
        const LATENESS_MAX: Duration = Duration::from_millis(5);
        let in_plan = clock::after(due, period);
        let late = now.saturating_sub(due);
        if Duration::from_nanos(late) < LATENESS_MAX.min(period) {
            return in_plan;
        }
        match self {
            MissedTickBehavior::Burst => in_plan,
            MissedTickBehavior::Delay => clock::after(now, period),
            MissedTickBehavior::Skip => {
                // Not zero: a period is a nanosecond at least, and what is late was not due at the
                // end of time.
                let distance = in_plan - due;
                clock::after(now - late % distance, period)
            }
        }
    }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests;
