//! Time as one number: nanoseconds since an *epoch*, some time before this process first looked at the
//! clock.
//!
//! A `u64` of them lasts for 584 years, so nothing here wraps (`a22_uptime_wrap`). What lies beyond
//! is [`NEVER`], and what lies before the epoch is 0. An `Instant` is exact to the
//! nanosecond or coarser on every system, so a deadline loses nothing on its way into a number and
//! back.
//!
//! The clock is the one behind `Instant`. Whether it goes on while the machine is suspended is the
//! system's affair; [`crate::time`] says for which it does. Pollers see to it that no wait is over
//! later than this clock says.

use std::time::{Duration, Instant};

use super::virtual_time;
use crate::poller::coarse_clock;
use crate::sync::OnceLock;

/// A deadline that does not come.
pub(crate) const NEVER: u64 = u64::MAX;

/// What number 0 means: two years ago or, where `Instant` does not go back as far, its first.
/// Moments that passed before we were asked for the time have numbers too, because the plan of an
/// interval may begin there (`an_interval_may_have_begun_long_ago`).
fn epoch() -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    static EPOCH: OnceLock<Instant> = OnceLock::new();

    *EPOCH.get_or_init(|| {
        let steps = (0..u32::BITS).map(|halvings| YEAR / (1 << halvings));
        steps.fold(Instant::now(), |epoch, step| {
            epoch.checked_sub(step).unwrap_or(epoch)
        })
    })
}

/// Reads the clock: that of this thread, if a [virtual](super::virtual_time) one is in force on it, and
/// the real one anywhere else.
#[inline]
pub(crate) fn now() -> u64 {
    virtual_time::now().unwrap_or_else(real_now)
}

/// Reads the real clock.
pub(crate) fn real_now() -> u64 {
    from_instant(Instant::now()).min(NEVER - 1)
}

/// Reads a real clock that is a few milliseconds behind at most, and costs next to nothing where the
/// system has such a one: for reports.
pub(crate) fn coarse_now() -> u64 {
    static BEGIN: OnceLock<(Duration, u64)> = OnceLock::new();

    let Some(reading) = coarse_clock() else {
        return real_now();
    };
    let (begin, number) = *BEGIN.get_or_init(|| (reading, real_now()));
    after(number, reading.saturating_sub(begin)).min(NEVER - 1)
}

/// The number of an instant.
pub(crate) fn from_instant(instant: Instant) -> u64 {
    after(0, instant.saturating_duration_since(epoch()))
}

/// The time a `duration` after `start`.
pub(crate) fn after(start: u64, duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).map_or(NEVER, |nanos| start.saturating_add(nanos))
}

/// The instant of a number.
pub(crate) fn to_instant(time: u64) -> Instant {
    /// As good as never, where `Instant` ends before our numbers do. (None of today's does.)
    const THIRTY_YEARS: Duration = Duration::from_secs(30 * 365 * 86_400);

    let since_epoch = Duration::from_nanos(time);
    epoch()
        .checked_add(since_epoch)
        .unwrap_or_else(|| epoch() + THIRTY_YEARS)
}

#[cfg(all(test, not(ekio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn instants_survive_the_journey() {
        let start = now();
        let instant = Instant::now();
        assert_eq!(to_instant(from_instant(instant)), instant);
        assert!(start <= from_instant(instant) && from_instant(instant) <= now());
        for nanos in [0, 1, 999, 1_000_000_007, 40_000_000_000_000_000] {
            assert_eq!(from_instant(to_instant(nanos)), nanos);
        }
    }

    #[test]
    fn the_coarse_clock_keeps_up() {
        let before = coarse_now();
        let start = real_now();
        // Until it moves, which it does every 10 ms at most; the watch is on the real one.
        while coarse_now() == before {
            assert!(real_now() - start < 30_000_000_000);
            std::thread::yield_now();
        }
        assert!(coarse_now() > before);
        assert!(coarse_now() <= real_now() + 1_000_000_000);
    }

    #[test]
    fn both_ends_saturate() {
        assert_eq!(after(5, Duration::MAX), NEVER);
        assert_eq!(after(NEVER - 1, Duration::from_nanos(1)), NEVER);
        assert_eq!(after(NEVER - 1, Duration::from_nanos(2)), NEVER);
        assert_eq!(after(7, Duration::ZERO), 7);
        assert_eq!(from_instant(to_instant(NEVER)), NEVER);
        let before = epoch().checked_sub(Duration::from_nanos(1));
        assert_eq!(before.map_or(0, from_instant), 0);
    }
}
