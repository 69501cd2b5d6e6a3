//! The rule on lists of deadlines, and in the turn of a reactor whose clock stands.

use std::ops::RangeInclusive;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use super::*;
use crate::poller::script::{Act, Call, Script};
use crate::poller::{Events, Poller};
use crate::reactor::timers::Timer;
use crate::reactor::virtual_time::{InForce, VirtualClock};
use crate::reactor::{Reactor, clock};
use crate::sync::Arc;

const NOW: u64 = 77 * PAUSE_MAX;

fn end(deadlines: &[u64]) -> u64 {
    let first = deadlines.iter().copied().min().unwrap();
    end_of_wait(NOW, first, deadlines.iter().copied())
}

/// So many timers, the first and all others that much apart.
fn row(count: usize, step: u64) -> Vec<u64> {
    (1..=count as u64).map(|n| NOW + n * step).collect()
}

#[test]
fn a_crowd_is_served_at_its_end_and_fewer_at_their_first() {
    let step = PAUSE_MAX / (CROWD as u64 + 1);
    let crowd = row(CROWD, step);
    assert_eq!(end(&crowd), NOW + CROWD as u64 * step);
    assert_eq!(end(&crowd[1..]), NOW + 2 * step);
    let sparse = row(10 * CROWD, PAUSE_MAX / CROWD as u64);
    assert_eq!(
        end(&sparse),
        sparse[0],
        "the last of them is a millisecond away"
    );
}

#[test]
fn the_denser_the_shorter() {
    for step in [0, 1, 100, 10_000] {
        assert_eq!(end(&row(5 * CROWD, step)), NOW + CROWD as u64 * step);
    }
}

/// As those of a slot come.
#[test]
fn disorder_makes_no_pause_longer_than_the_longest() {
    let step = PAUSE_MAX / (CROWD as u64 + 1);
    let mut deadlines = row(2 * CROWD, step);
    deadlines.reverse();
    assert_eq!(end(&deadlines), NOW + (CROWD as u64 + 1) * step);
    let late = vec![NOW + 2 * PAUSE_MAX; LOOKS_MAX];
    let hidden = [late, row(CROWD, 1)].concat();
    assert_eq!(end(&hidden), NOW + 1, "one cannot look at all");
}

#[test]
fn a_gap_before_a_crowd_and_what_is_overdue_are_no_crowd() {
    let behind_gap: Vec<_> = row(CROWD, 1).iter().map(|it| it + PAUSE_MAX).collect();
    assert_eq!(end(&behind_gap), behind_gap[0]);
    for overdue in [0, NOW - 1, NOW] {
        let deadlines = [vec![overdue], row(CROWD, 1)].concat();
        assert_eq!(end(&deadlines), overdue);
    }
    let eternity = u64::MAX - 1;
    let at_the_end = [eternity; 2 * CROWD];
    assert_eq!(
        end_of_wait(eternity - 9, eternity, at_the_end.into_iter()),
        eternity
    );
}

type Pinned = Pin<Box<Timer<Reactor<Script>>>>;

/// A reactor under a clock that stands.
struct Stage {
    reactor: Arc<Reactor<Script>>,
    start: u64,
    _in_force: InForce,
}

impl Stage {
    fn new() -> Stage {
        let clock = VirtualClock::new();
        let in_force = VirtualClock::put_in_force(&clock);
        let reactor = Reactor::with_poller(Script::new().unwrap());
        reactor.take_charge();
        Stage {
            reactor,
            start: clock.now(),
            _in_force: in_force,
        }
    }

    /// A timer each 10 µs. The wheel may know of a slot's first timer after it has gone, so that a test
    /// makes those alone that it wants.
    fn row(&self, numbers: RangeInclusive<u64>) -> Vec<Pinned> {
        numbers
            .map(|n| timer(&self.reactor, self.start + n * 10_000))
            .collect()
    }

    fn wait(&self, limit: Option<Duration>, rise: Rise) -> Vec<Call> {
        let mut events = Events::with_capacity(4);
        self.reactor
            .wait_for_timers(&mut events, limit, rise)
            .unwrap();
        self.reactor.poller().take_calls()
    }
}

/// One that waits.
fn timer(reactor: &Arc<Reactor<Script>>, deadline: u64) -> Pinned {
    let mut timer = Box::pin(Timer::new(deadline));
    let mut cx = Context::from_waker(Waker::noop());
    let polled = timer
        .as_mut()
        .poll_elapsed(&mut cx, || Ok(Arc::clone(reactor)));
    assert!(polled.is_pending());
    timer
}

const fn micros(micros: u64) -> Option<Duration> {
    Some(Duration::from_micros(micros))
}

#[test]
fn a_turn_pauses_for_a_crowd_and_for_no_longer_than_it_may() {
    let stage = Stage::new();
    let _timers = stage.row(1..=CROWD as u64);
    let whole = 10 * CROWD as u64;
    let crowd = Rise::WithItsCrowd;
    assert_eq!(stage.wait(None, crowd), [Call::Wait(micros(whole))]);
    assert_eq!(stage.wait(micros(70), crowd), [Call::Wait(micros(70))]);
    assert_eq!(stage.wait(micros(5), crowd), [Call::Wait(micros(5))]);
    assert_eq!(
        stage.wait(None, Rise::WithTheFirst),
        [Call::Wait(micros(10))]
    );
}

#[test]
fn a_turn_does_not_pause_for_fewer_than_a_crowd() {
    let stage = Stage::new();
    let _timers = stage.row(2..=CROWD as u64);
    let _distant = timer(&stage.reactor, stage.start + 2 * PAUSE_MAX);
    let crowd = Rise::WithItsCrowd;
    assert_eq!(stage.wait(None, crowd), [Call::Wait(micros(20))]);
}

/// A thread with a near timer and many distant ones looks at the near one alone.
#[test]
fn what_is_distant_is_not_looked_at() {
    let stage = Stage::new();
    let _near = timer(&stage.reactor, stage.start + 10_000);
    let second = 1_000 * PAUSE_MAX;
    let distant = (1..=LOOKS_MAX as u64).map(|n| timer(&stage.reactor, stage.start + n * second));
    let _distant: Vec<_> = distant.collect();
    let timers = stage.reactor.timers();
    assert_eq!(timers.upcoming(horizon(stage.start)).count(), 1);
    assert_eq!(timers.upcoming(u64::MAX).count(), 1 + LOOKS_MAX);
}

/// Row a18 of the pitfalls, in a crowd.
#[test]
fn a18_an_earlier_timer_ends_the_pause() {
    let stage = Stage::new();
    let _timers = stage.row(1..=CROWD as u64);
    for (deadline, notifies) in [(9_999, true), (10_000, false), (55_000, false)] {
        let (reactor, deadline) = (Arc::clone(&stage.reactor), stage.start + deadline);
        let deed = move || drop(timer(&reactor, deadline));
        stage.reactor.poller().then(Act::meanwhile(deed));
        let calls = stage.wait(None, Rise::WithItsCrowd);
        assert_eq!(calls.contains(&Call::Notify), notifies, "{calls:?}");
    }
}

/// Tests that go by virtual time see each moment.
#[test]
fn virtual_time_jumps_to_the_first_of_a_crowd() {
    let stage = Stage::new();
    let _timers = stage.row(1..=CROWD as u64);
    stage.reactor.turn(None).unwrap();
    assert_eq!(clock::now(), stage.start + 10_000, "to the first, at once");
}
