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
//! | IOCP | 1 ms, rounded up | up to the period of the clock interrupt, 15.6 ms by default |
//!
//! The clock is that of [`Instant`]: while the machine is suspended it stands still on Linux and on
//! Apple's systems, and goes on on Windows. A timer whose moment passes meanwhile fires when the
//! machine is back, and several fire in the order of their deadlines.
//!
//! # Cost
//!
//! A timer lives inside its future. Starting and cancelling one allocates nothing and makes no
//! system call (unless it wakes another thread that sleeps for longer). Any [`Duration`] will do:
//! what lies more than 584 years ahead never comes, and takes up nothing at all.
//!
//! # Where a timer runs
//!
//! In the reactor of the thread that polls it first: inside [`block_on`](crate::block_on) the
//! thread's own, elsewhere a shared one that is driven by a background thread. If that reactor is
//! not driven any longer, the timer moves to the one of the thread that polls it next.

mod interval;
mod sleep;
mod timeout;

pub use interval::{Interval, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};

#[cfg(doc)]
use std::time::{Duration, Instant};
