//! What every `wait` has in common: how long to sleep, and who may.

use std::io;
use std::time::{Duration, Instant};

use crate::sync::{Mutex, MutexGuard, TryLockError};

/// The time that a `wait` has left.
///
/// A wait that a signal interrupted, or that the kernel ended early (Windows may, by up to a clock
/// tick), goes on with what remains. The clock is not read for the two cheap cases, "do not
/// sleep" and "sleep for ever".
#[derive(Debug, Clone, Copy)]
pub(crate) enum Countdown {
    Zero,
    Until(Instant),
    Forever,
}

impl Countdown {
    pub(crate) fn new(timeout: Option<Duration>) -> Countdown {
        match timeout {
            None => Countdown::Forever,
            Some(Duration::ZERO) => Countdown::Zero,
            // A deadline that the clock cannot express will not be lived to see.
            Some(timeout) => match Instant::now().checked_add(timeout) {
                Some(deadline) => Countdown::Until(deadline),
                None => Countdown::Forever,
            },
        }
    }

    /// The time-out for the next system call; `None` is "for ever".
    pub(crate) fn remaining(self) -> Option<Duration> {
        match self {
            Countdown::Zero => Some(Duration::ZERO),
            Countdown::Until(deadline) => Some(deadline.saturating_duration_since(Instant::now())),
            Countdown::Forever => None,
        }
    }

    /// True once nothing is left.
    pub(crate) fn is_over(self) -> bool {
        self.remaining() == Some(Duration::ZERO)
    }
}

/// Rounds a time-out up to whole milliseconds, as `epoll_wait`, `poll` and Windows take them: never
/// zero for a time above zero (a loop would spin until it is over), and clamped to `max`.
#[cfg_attr(all(has_ppoll, not(has_epoll)), allow(dead_code))]
pub(crate) fn millis_rounded_up(timeout: Duration, max: u32) -> u32 {
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    u32::try_from(millis).unwrap_or(max).min(max)
}

/// Lets one thread at a time wait, and keeps what the waiting one needs.
#[derive(Debug)]
pub(crate) struct OneWaiter<T>(Mutex<T>);

impl<T> OneWaiter<T> {
    pub(crate) fn new(buffers: T) -> OneWaiter<T> {
        OneWaiter(Mutex::new(buffers))
    }

    /// Becomes the waiter, or answers `ResourceBusy` if another thread is.
    pub(crate) fn enter(&self) -> io::Result<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                "another thread is waiting on this poller",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_two_cheap_cases_read_no_clock() {
        assert!(matches!(Countdown::new(None), Countdown::Forever));
        assert!(matches!(
            Countdown::new(Some(Duration::ZERO)),
            Countdown::Zero
        ));
        assert!(matches!(
            Countdown::new(Some(Duration::MAX)),
            Countdown::Forever
        ));
        assert!(!Countdown::new(Some(Duration::from_secs(3600))).is_over());
    }

    #[test]
    fn a_second_waiter_is_refused() {
        let waiter = OneWaiter::new(());
        let first = waiter.enter().unwrap();
        assert_eq!(
            waiter.enter().unwrap_err().kind(),
            io::ErrorKind::ResourceBusy
        );
        drop(first);
        drop(waiter.enter().unwrap());
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            cases: if cfg!(miri) { 16 } else { 256 },
            ..Default::default()
        })]

        /// Row a19 of the pitfalls: converted time is never less than what was asked for (or it is
        /// saturated), and never zero for more than nothing.
        #[test]
        fn a19_timeout_property(secs in 0..u64::MAX, nanos in 0..1_000_000_000_u32, max in 1..u32::MAX) {
            let timeout = Duration::new(secs, nanos);
            let millis = millis_rounded_up(timeout, max);
            prop_assert!(millis == max || Duration::from_millis(millis.into()) >= timeout);
            prop_assert_eq!(millis == 0, timeout.is_zero());
        }
    }
}
