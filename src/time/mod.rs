//! Waiting for moments: [`sleep`], [`interval`], [`timeout`].
//!
//! ```
//! use ekio::time::{sleep, timeout};
//! use std::time::{Duration, Instant};
//!
//! ekio::block_on(async {
//!     let start = Instant::now();
//!     sleep(Duration::from_millis(2)).await;
//!     assert!(start.elapsed() >= Duration::from_millis(2));
//!
//!     let answer = timeout(Duration::from_millis(2), std::future::pending::<()>()).await;
//!     assert!(answer.is_err());
//! });
//! ```
//!
//! # Platform behaviour
//!
//! Guaranteed: nothing here comes early, on any system. How late it comes depends on the system, and
//! on what the thread is doing. Today:
//!
//! | poller | time is handed to the system in units of | what the system adds |
//! |---|---|---|
//! | epoll, Linux 5.11 and later | 1 ns (`epoll_pwait2`) | the thread's timer slack, 50 µs by default ([`PR_SET_TIMERSLACK`](https://man7.org/linux/man-pages/man2/PR_SET_TIMERSLACK.2const.html)) |
//! | epoll, older kernels, Android | 1 ms, rounded up | the same |
//! | poll, Linux, FreeBSD, DragonFly | 1 ns (`ppoll`) | the same on Linux |
//! | poll, others | 1 ms, rounded up | |
//! | kqueue | 1 ns | up to a clock tick, or the coalescing of timers on Apple's systems |
//! | IOCP, Windows 10 (1803) and later | 100 ns (a waitable timer of high resolution, which rings through the port) | about 0.5 ms, by what others measured |
//! | IOCP, older systems, Wine 8 | 1 ms, rounded up | up to the period of the clock interrupt, 15.6 ms by default |
//!
//! To this a *crowd* adds up to a millisecond. Where the next 64 timers of a thread are all due within one
//! millisecond, the thread sleeps until the 64th of them is, and wakes them together, because to get up
//! for each costs several times as much as to serve it. So a timer among a hundred in each millisecond is
//! late by a third of one on average; the denser they are, the less it is, and with fewer neighbours each
//! is served at its own moment. An event of a socket ends the sleep as ever, and so does a timer that is
//! earlier than all of the crowd. Under [virtual time](crate::runtime::Builder::virtual_time) there are
//! no crowds.
//!
//! # When the machine is suspended
//!
//! The clock is that of [`Instant`], and whether it goes on while the machine is suspended is the
//! system's affair. Where it stands still, timers count the time for which the machine is awake. Where
//! it goes on, a timer whose moment passes meanwhile is overdue when the machine is back, and fires
//! then. Several fire once each, in the order of their deadlines.
//!
//! | system | [`Instant`] meanwhile | the system's waits | an overdue timer fires |
//! |---|---|---|---|
//! | Linux, Android | stands still (`CLOCK_MONOTONIC`) | stand still | (none is overdue) |
//! | Apple's | stands still (`CLOCK_UPTIME_RAW`) | stand still | (none is overdue) |
//! | Windows | goes on (`QueryPerformanceCounter`) | stand still | when the system tells us that it is back (`PowerRegisterSuspendResumeNotification`), and at the latest after a minute, for no single wait is longer |
//! | the BSDs | their `CLOCK_MONOTONIC`: goes on on OpenBSD, stands still on the others | go by the same clock | when the system has set its clocks |
//!
//! A deadline by the wall clock, an alarm in the morning say, is not to be had from these: compare with
//! [`SystemTime`](std::time::SystemTime) after short sleeps.
//!
//! # Cost
//!
//! A timer lives inside its future. Starting and cancelling one allocates nothing and makes no
//! system call (unless it wakes another thread that sleeps for longer). Any [`Duration`] will do:
//! what lies more than 584 years ahead never comes, and takes up nothing at all. With a million of
//! them at the same time, one takes the 64 bytes of its future, and about 150 ns from its making to
//! its drop (measured by `benches/`, beside tokio's, on Linux).
//!
//! # Where a timer runs
//!
//! In the reactor of the thread that polls it first: inside [`block_on`](crate::block_on) the
//! thread's own, elsewhere a shared one that is driven by a background thread. If that reactor is
//! not driven any longer, the timer moves to the one of the thread that polls it next.

mod interval;
mod sleep;
mod timeout;

pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};

use std::time::Instant;

use crate::reactor::{clock, virtual_time};

/// The time, by the clock that the sleeps, intervals and time-outs of this thread go by.
///
/// Today that is [`Instant::now`] for whoever does not test. Under [virtual
/// time](crate::runtime::Builder::virtual_time) it moves while tasks wait; who looks at it in a loop without
/// an `.await`, or from a call on the [blocking pool](crate::spawn_blocking), sees it stand.
///
/// # Examples
///
/// ```
/// use ekio::time::{now, sleep_until};
/// use std::time::Duration;
///
/// ekio::block_on(async {
///     let deadline = now() + Duration::from_micros(300);
///     sleep_until(deadline).await;
///     assert!(now() >= deadline);
/// });
/// ```
#[must_use]
pub fn now() -> Instant {
    virtual_time::shown().map_or_else(Instant::now, clock::to_instant)
}

#[cfg(doc)]
use std::time::Duration;

#[cfg(all(test, not(ekio_loom)))]
mod tests;
