//! Plans of ticks, by a clock that the tests move.

use proptest::prelude::*;

use super::MissedTickBehavior::{Burst, Delay, Skip};
use super::*;
use crate::reactor::clock::NEVER;

const MILLI: u64 = 1_000_000;

/// Somebody asks for ticks, the first of which is due at 0, and works after each of them for so many
/// milliseconds. Answers when the ticks were given out, and when they were due.
fn live(behavior: MissedTickBehavior, period: u64, work: &[u64]) -> Vec<(u64, u64)> {
    let (mut now, mut due) = (0, 0);
    let mut ticks = Vec::new();
    for work in work.iter().chain([&0]) {
        now = now.max(due);
        ticks.push((now / MILLI, due / MILLI));
        due = behavior.next(due, now, Duration::from_nanos(period));
        now += work * MILLI;
    }
    ticks
}

/// The picture in the documentation.
#[test]
fn the_three_behaviors() {
    let given = |behavior| live(behavior, 100 * MILLI, &[250, 0, 0, 0, 0]);
    let of = |ticks: &[(u64, u64)]| ticks.to_vec();
    let (first, late) = ((0, 0), (250, 100));
    assert_eq!(
        given(Burst),
        of(&[first, late, (250, 200), (300, 300), (400, 400), (500, 500)])
    );
    assert_eq!(
        given(Delay),
        of(&[first, late, (350, 350), (450, 450), (550, 550), (650, 650)])
    );
    assert_eq!(
        given(Skip),
        of(&[first, late, (300, 300), (400, 400), (500, 500), (600, 600)])
    );
}

#[test]
fn who_always_takes_longer_than_a_period() {
    let given = |behavior| live(behavior, 100 * MILLI, &[120; 5]);
    assert_eq!(
        given(Burst),
        [
            (0, 0),
            (120, 100),
            (240, 200),
            (360, 300),
            (480, 400),
            (600, 500)
        ]
    );
    // Late by 20 ms each time: the plan begins anew, and 20 ms later the tick is late again.
    assert_eq!(
        given(Delay),
        [
            (0, 0),
            (120, 100),
            (240, 220),
            (360, 340),
            (480, 460),
            (600, 580)
        ]
    );
    // Every tick but the last is missed for want of time.
    assert_eq!(
        given(Skip),
        [
            (0, 0),
            (120, 100),
            (240, 200),
            (360, 300),
            (480, 400),
            (600, 500)
        ]
    );
}

#[test]
fn a_little_late_is_punctual() {
    for behavior in [Burst, Delay, Skip] {
        let next = |late, period| behavior.next(7 * MILLI, 7 * MILLI + late, period);
        for late in [0, 1, MILLI, 5 * MILLI - 1] {
            assert_eq!(next(late, Duration::from_secs(1)), 1_007 * MILLI);
        }
        // Less than 5 ms, but not less than the period.
        assert_eq!(next(MILLI - 1, Duration::from_millis(1)), 8 * MILLI);
    }
    let next = |behavior: MissedTickBehavior, late| {
        behavior.next(7 * MILLI, 7 * MILLI + late, Duration::from_millis(1))
    };
    assert_eq!(next(Burst, 3 * MILLI + 1), 8 * MILLI);
    assert_eq!(next(Delay, 3 * MILLI + 1), 11 * MILLI + 1);
    assert_eq!(next(Skip, 3 * MILLI + 1), 11 * MILLI);
    // What is due at this moment has been missed: it is the late tick's moment.
    assert_eq!(next(Skip, 3 * MILLI), 11 * MILLI);
}

/// Over the end of the clock's range, and a period that is longer than the range.
#[test]
fn the_end_of_time() {
    for behavior in [Burst, Delay, Skip] {
        for (due, now) in [(0, NEVER - 1), (NEVER - 2, NEVER - 1), (NEVER, 5), (7, 7)] {
            assert_eq!(behavior.next(due, now, Duration::MAX), NEVER);
        }
        assert_eq!(behavior.next(NEVER, 5, Duration::from_nanos(1)), NEVER);
    }
    let nano = Duration::from_nanos(1);
    assert_eq!(Burst.next(0, NEVER - 1, nano), 1);
    assert_eq!(Delay.next(0, NEVER - 1, nano), NEVER);
    assert_eq!(Skip.next(0, NEVER - 1, nano), NEVER);
    assert_eq!(Skip.next(0, NEVER - 2, nano), NEVER - 1);
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: if cfg!(miri) { 4 } else { 1_000 },
        ..Default::default()
    })]

    /// What each behavior promises, whoever is how late.
    #[test]
    fn promises(
        due in 0..u64::MAX / 4,
        late in 0..u64::MAX / 4,
        period in 1..u64::MAX / 4,
    ) {
        let now = due + late;
        let next = |behavior: MissedTickBehavior| {
            behavior.next(due, now, Duration::from_nanos(period))
        };
        prop_assert_eq!(next(Burst), due + period);
        prop_assert!(next(Delay) == now + period || late < (5 * MILLI).min(period));
        let skipped = next(Skip);
        prop_assert!(skipped > now && skipped - now <= period, "the first in the future");
        prop_assert_eq!((skipped - due) % period, 0, "of the plan");
        for behavior in [Burst, Delay, Skip] {
            prop_assert!(next(behavior) > due, "forward");
        }
    }
}
