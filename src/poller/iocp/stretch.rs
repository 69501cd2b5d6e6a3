//! How long one system call of a `wait` sleeps.
//!
//! A `wait` knows by the clock behind `Instant` when it is over ([`Countdown`]), and that clock
//! (`QueryPerformanceCounter`) goes on while the machine is suspended. The time-out of
//! `GetQueuedCompletionStatusEx` does not: since Windows 8 it leaves out the time of a suspension, so
//! that a wait of an hour would be over an hour after the machine is back, eight hours late
//! ([mio#2006](https://github.com/tokio-rs/mio/issues/2006)). So a wait is made of *stretches*, after
//! each of which it looks at the clock. The system tells us when it is back (`resume.rs`), which ends
//! the stretch; and should it fail to, no stretch is longer than [`LONGEST`].
//!
//! [`Countdown`]: crate::poller::wait::Countdown

use std::time::Duration;

use crate::poller::wait::millis_rounded_up;

/// The longest stretch, and thereby the latest that a timer can be after a suspension of which nobody
/// told us. To look at the clock once a minute is no burden for a machine that is awake.
const LONGEST: Duration = Duration::from_secs(60);

/// Windows' word for a time-out that never comes.
pub(super) const INFINITE: u32 = u32::MAX;

/// What the last part of a wait takes over from the first: twice the period of the clock by which the
/// port's time-outs are late (or early), in full milliseconds.
const FINE: Duration = Duration::from_millis(32);

/// One system call's share of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The port's time-out.
    pub(super) millis: u32,
    /// For when the alarm is to be set, in units of 100 ns.
    pub(super) alarm: Option<i64>,
}

impl Stretch {
    /// The next one, when so much is left. (`None` is "for ever".)
    ///
    /// Who has an alarm (`alarm.rs`) sleeps by the port's time-out until shortly before the end, so
    /// that a wait which something else will end pays nothing for the alarm, and then by the alarm.
    pub(super) fn new(remaining: Option<Duration>, has_alarm: bool) -> Stretch {
        let Some(remaining) = remaining else {
            return Stretch::by_port(INFINITE);
        };
        if !has_alarm || remaining.is_zero() {
            let remaining = remaining.min(LONGEST);
            return Stretch::by_port(millis_rounded_up(remaining, INFINITE - 1));
        }
        if remaining > 2 * FINE {
            // Rounded up by less than a millisecond, which is not what the rest is for.
            let first = (remaining - FINE).min(LONGEST);
            return Stretch::by_port(millis_rounded_up(first, INFINITE - 1));
        }
        let units = remaining.as_nanos().div_ceil(100);
        Stretch {
            // In case that the alarm does not ring. It shall not come before the alarm does, even if
            // it comes early.
            millis: millis_rounded_up(remaining + FINE, INFINITE - 1),
            alarm: i64::try_from(units).ok(),
        }
    }

    fn by_port(millis: u32) -> Stretch {
        Stretch {
            millis,
            alarm: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);
    const HOUR: Duration = Duration::from_secs(3600);

    /// Row a19 of the pitfalls.
    #[test]
    fn a19_stretches_without_an_alarm() {
        for (remaining, expected) in [
            (None, INFINITE),
            (Some(Duration::ZERO), 0),
            (Some(Duration::from_nanos(1)), 1),
            (Some(MILLI), 1),
            (Some(MILLI + Duration::from_nanos(1)), 2),
            (Some(LONGEST - MILLI), 59_999),
            (Some(LONGEST), 60_000),
            (Some(LONGEST + MILLI), 60_000),
            (Some(Duration::MAX), 60_000),
        ] {
            let stretch = Stretch::new(remaining, false);
            assert_eq!(stretch, Stretch::by_port(expected), "{remaining:?}");
        }
    }

    #[test]
    fn a19_stretches_with_an_alarm() {
        let nano = Duration::from_nanos(1);
        for (remaining, millis, alarm) in [
            (None, INFINITE, None),
            (Some(Duration::ZERO), 0, None),
            (Some(nano), 33, Some(1)),
            (Some(100 * nano), 33, Some(1)),
            (Some(101 * nano), 33, Some(2)),
            (Some(MILLI), 33, Some(10_000)),
            (Some(2 * FINE), 96, Some(640_000)),
            (Some(2 * FINE + nano), 33, None),
            (Some(1_000 * MILLI), 968, None),
            (Some(LONGEST + FINE - MILLI), 59_999, None),
            (Some(Duration::MAX), 60_000, None),
        ] {
            let stretch = Stretch::new(remaining, true);
            assert_eq!(stretch, Stretch { millis, alarm }, "{remaining:?}");
        }
    }

    /// A machine: one clock goes on while it is suspended, the other one does not.
    struct Machine {
        clock: Duration,
        awake: Duration,
        /// When, by the clock, it will be suspended.
        suspension: Option<Duration>,
        tells: bool,
        has_alarm: bool,
    }

    impl Machine {
        const NIGHT: Duration = Duration::from_secs(8 * 3600);

        /// Sleeps in the system call.
        fn sleep(&mut self, stretch: Stretch) {
            let by_port = Duration::from_millis(stretch.millis.into());
            let sleep = stretch.alarm.map_or(by_port, |units| {
                by_port.min(Duration::from_nanos(units.unsigned_abs() * 100))
            });
            match self.suspension {
                Some(at) if at <= self.clock + sleep => {
                    let before = at - self.clock;
                    // When it is back the rest is slept, unless the thread is told.
                    let rest = if self.tells {
                        Duration::ZERO
                    } else {
                        sleep - before
                    };
                    self.clock = at + Machine::NIGHT + rest;
                    self.awake += before + rest;
                    self.suspension = None;
                }
                _ => {
                    self.clock += sleep;
                    self.awake += sleep;
                }
            }
        }

        /// `Iocp::wait`, as far as it is about time. Answers for how long it was awake.
        fn wait(&mut self, timeout: Duration) -> Duration {
            let (awake, deadline) = (self.awake, self.clock + timeout);
            while self.clock < deadline {
                self.sleep(Stretch::new(Some(deadline - self.clock), self.has_alarm));
            }
            self.awake - awake
        }
    }

    /// Row a21 of the pitfalls: a wait of an hour, at the twentieth minute of which the machine is
    /// suspended for eight hours, is over when the machine is back.
    #[test]
    fn a21_clock_jump_during_a_wait() {
        let into_the_hour = HOUR / 3 + MILLI * 12_345;
        for (tells, has_alarm) in [(true, true), (true, false), (false, true), (false, false)] {
            let mut machine = Machine {
                clock: HOUR,
                awake: HOUR,
                suspension: Some(HOUR + into_the_hour),
                tells,
                has_alarm,
            };
            let awake = machine.wait(HOUR);
            let late = awake - into_the_hour;
            assert!(
                late <= if tells { Duration::ZERO } else { LONGEST },
                "{late:?}"
            );
            // And one that the suspension does not outlast goes on.
            machine.suspension = Some(machine.clock + MILLI);
            let start = machine.clock;
            let awake = machine.wait(Machine::NIGHT + HOUR);
            assert_eq!(awake, HOUR);
            assert_eq!(machine.clock, start + Machine::NIGHT + HOUR);
        }
    }
}
