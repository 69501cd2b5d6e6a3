//! A moment at which to give up.

use std::error::Error;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::sleep::Sleep;
use crate::reactor::{budget, clock};

/// Gives a future `duration` to finish, counted from this call.
///
/// It is polled before the clock is looked at, so that what is ready at once succeeds under any
/// time-out, [`Duration::ZERO`] included. When the time is over, the task is woken, the future is
/// polled a last time, and if it is not ready the answer is [`Elapsed`]. With [`Duration::MAX`] it
/// has all the time in the world.
///
/// A future that never returns from its `poll` cannot be timed out: the thread belongs to it.
///
/// # Platform behaviour
///
/// See [the module](super#platform-behaviour) for how late [`Elapsed`] may be.
///
/// # Errors
///
/// [`Elapsed`], which converts into an [`io::Error`] of the kind
/// [`TimedOut`](io::ErrorKind::TimedOut).
///
/// # Cancel safety
///
/// That of the future. After [`Elapsed`] it is still there, and is dropped together with the
/// [`Timeout`]; one that is to be continued can be lent: `timeout(duration, &mut future)`.
///
/// # Panics
///
/// As [`sleep`](super::sleep) does.
///
/// # Examples
///
/// ```
/// use ekio::time::timeout;
/// use std::{future, io, time::Duration};
///
/// ekio::block_on(async {
///     let soon = Duration::from_micros(200);
///     assert_eq!(timeout(soon, async { 7 }).await, Ok(7));
///
///     let elapsed = timeout(soon, future::pending::<()>()).await.unwrap_err();
///     assert_eq!(io::Error::from(elapsed).kind(), io::ErrorKind::TimedOut);
/// });
/// ```
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: super::sleep(duration),
    }
}

/// Gives a future until `deadline` to finish.
///
/// Everything else is as for [`timeout`].
///
/// # Errors
///
/// [`Elapsed`].
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// ekio::block_on(async {
///     let deadline = Instant::now() + Duration::from_micros(200);
///     let answer = ekio::time::timeout_at(deadline, std::future::pending::<()>()).await;
///     assert!(answer.is_err() && Instant::now() >= deadline);
/// });
/// ```
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout {
        future: future.into_future(),
        sleep: Sleep::until(clock::from_instant(deadline)),
    }
}

/// The future of [`timeout`] and [`timeout_at`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited or polled"]
pub struct Timeout<F> {
    /// Pinned with the whole.
    future: F,
    /// Pinned with the whole.
    sleep: Sleep,
}

impl<F> Timeout<F> {
    /// The future and its limit.
    fn parts(self: Pin<&mut Self>) -> (Pin<&mut F>, Pin<&mut Sleep>) {
        // SAFETY: get_unchecked_mut asks that nothing is moved out by the reference: both fields
        // leave here pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: new_unchecked asks that the field is not moved before it is dropped: it is one of
        // a pinned struct, this is its only projection, `Timeout` has no Drop, and it is Unpin only
        // if its fields are (`Sleep` never is).
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        // SAFETY: as above.
        let sleep = unsafe { Pin::new_unchecked(&mut this.sleep) };
        (future, sleep)
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    /// The budget (see `task::budget`) is asked before the future is polled. Asked after, it would
    /// let a future run for ever which uses up the whole budget in each run: there would never be
    /// any left to find that the time is over (`a_greedy_future_is_timed_out`).
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (future, mut sleep) = self.parts();
        ready!(sleep.as_mut().poll_budget(cx));
        if let Poll::Ready(output) = future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        ready!(sleep.poll_elapsed(cx));
        budget::spend();
        Poll::Ready(Err(Elapsed(())))
    }
}

/// The time was over before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed(());

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was over before the operation was")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, elapsed)
    }
}
