//! The rule by which the clock moves, on a reactor whose poller plays a script.

use std::pin::Pin;
use std::sync::Mutex as StdMutex;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use super::*;
use crate::poller::script::{Act, Call, Script};
use crate::poller::{Interest, Readiness, Source};
use crate::reactor::slot::{Direction, Fate, Slot, Who};
use crate::reactor::timers::Timer;

const HOUR: Duration = Duration::from_secs(3600);
const SOURCE: Source<'_> = Source::Signal(1);

type Pinned = Pin<Box<Timer<Reactor<Script>>>>;

/// A reactor, its clock, and who was woken when.
struct Stage {
    reactor: Arc<Reactor<Script>>,
    clock: Arc<VirtualClock>,
    start: u64,
    woken: Arc<StdMutex<Vec<(u32, u64)>>>,
    _in_force: InForce,
}

struct Numbered {
    number: u32,
    clock: Arc<VirtualClock>,
    woken: Arc<StdMutex<Vec<(u32, u64)>>>,
}

impl Wake for Numbered {
    fn wake(self: Arc<Self>) {
        let entry = (self.number, self.clock.now());
        self.woken.lock().unwrap().push(entry);
    }
}

impl Stage {
    fn new() -> Stage {
        let clock = VirtualClock::new();
        let in_force = VirtualClock::put_in_force(&clock);
        let reactor = Reactor::with_poller(Script::new().unwrap());
        reactor.take_charge();
        Stage {
            start: clock.now(),
            reactor,
            clock,
            woken: Arc::default(),
            _in_force: in_force,
        }
    }

    fn waker(&self, number: u32) -> Waker {
        Waker::from(Arc::new(Numbered {
            number,
            clock: Arc::clone(&self.clock),
            woken: Arc::clone(&self.woken),
        }))
    }

    /// The deadline of a number of hours.
    fn hour(&self, hours: u32) -> u64 {
        clock::after(self.start, HOUR * hours)
    }

    /// A timer that waits, for that many hours.
    fn timer(&self, hours: u32) -> Pinned {
        let mut timer = Box::pin(Timer::new(self.hour(hours)));
        assert!(self.poll(&mut timer, hours).is_pending());
        timer
    }

    fn poll(&self, timer: &mut Pinned, number: u32) -> Poll<()> {
        let waker = self.waker(number);
        let find_home = || Ok(Arc::clone(&self.reactor));
        timer
            .as_mut()
            .poll_elapsed(&mut Context::from_waker(&waker), find_home)
    }

    fn turn(&self) {
        self.reactor.turn(None).unwrap();
    }

    fn waits(&self) -> Vec<Option<Duration>> {
        let calls = self.reactor.poller().take_calls();
        let waits = calls.into_iter().filter_map(|call| match call {
            Call::Wait(limit) => Some(limit),
            _ => None,
        });
        waits.collect()
    }

    /// Who was woken since this was last asked, at which time.
    fn woken(&self) -> Vec<(u32, u64)> {
        std::mem::take(&mut self.woken.lock().unwrap())
    }

    /// A source for which a task waits.
    fn awaited(&self, number: u32) -> Arc<Slot<Script>> {
        let slot = Slot::new(Interest::BOTH, Readiness::NONE);
        let waker = self.waker(number);
        let polled = Slot::poll_ready(
            &slot,
            &mut Context::from_waker(&waker),
            &mut Who::latest(),
            Direction::Read,
            SOURCE,
            || Ok(Arc::clone(&self.reactor)),
        );
        assert!(polled.is_pending());
        slot
    }
}

const LOOK: Option<Duration> = Some(Duration::ZERO);

#[test]
fn it_jumps_from_one_deadline_to_the_next() {
    let stage = Stage::new();
    let mut timers = [5, 2, 3, 2].map(|hours| stage.timer(hours));
    let now = |hours| assert_eq!(clock::now(), stage.hour(hours));
    now(0);
    stage.turn();
    now(2);
    assert_eq!(stage.woken(), [(2, stage.hour(2)), (2, stage.hour(2))]);
    assert!(stage.poll(&mut timers[1], 2).is_ready());
    assert!(stage.poll(&mut timers[0], 5).is_pending());
    stage.turn();
    now(3);
    stage.turn();
    now(5);
    assert_eq!(stage.woken(), [(3, stage.hour(3)), (5, stage.hour(5))]);
    assert_eq!(stage.waits(), [LOOK; 3]);
    assert_eq!(stage.clock.flow(), Flow::Jumps);
}

#[test]
fn it_stands_while_there_is_something_to_run() {
    let stage = Stage::new();
    let _timer = stage.timer(1);
    for _ in 0..5 {
        stage.reactor.turn(LOOK).unwrap();
    }
    assert_eq!(clock::now(), stage.hour(0));
    assert!(stage.woken().is_empty());
    // What is over already comes without a jump.
    stage.clock.set(stage.hour(1));
    stage.reactor.turn(LOOK).unwrap();
    assert_eq!(stage.woken(), [(1, stage.hour(1))]);
}

#[test]
fn it_jumps_no_further_than_to_the_limit() {
    let stage = Stage::new();
    let _timer = stage.timer(3);
    stage.reactor.turn(Some(HOUR)).unwrap();
    assert_eq!(clock::now(), stage.hour(1));
    stage.reactor.turn(Some(HOUR * 5)).unwrap();
    assert_eq!(clock::now(), stage.hour(3));
    stage.reactor.turn(Some(HOUR)).unwrap();
    assert_eq!(clock::now(), stage.hour(4), "without a timer, too");
    stage.reactor.turn(Some(Duration::MAX)).unwrap();
    assert_eq!(clock::now(), NEVER - 1);
}

#[test]
fn an_event_comes_before_a_jump() {
    let stage = Stage::new();
    let slot = stage.awaited(7);
    // Nobody waits for it any more, so that time need not be real.
    let mut batch = crate::reactor::wakers::WakerBatch::new();
    slot.wake_all(&mut batch);
    batch.wake_all();
    stage.woken();
    let _timer = stage.timer(1);
    let event = Act::Ready(vec![(0, Readiness::READABLE)]);
    stage.reactor.poller().then(event);
    stage.turn();
    assert_eq!(clock::now(), stage.hour(0));
    stage.turn();
    assert_eq!(clock::now(), stage.hour(1));
    slot.deregister(SOURCE, Fate::StaysOpen).unwrap();
}

#[test]
fn a_notification_comes_before_a_jump() {
    let stage = Stage::new();
    let _timer = stage.timer(1);
    // Before the turn, and between the executor's look and the jump.
    stage.reactor.notify().unwrap();
    stage.turn();
    assert_eq!(clock::now(), stage.hour(0));
    let other = Arc::clone(&stage.reactor);
    let deed = move || other.notify().unwrap();
    stage.reactor.poller().then(Act::meanwhile(deed));
    stage.turn();
    assert_eq!(clock::now(), stage.hour(0));
    stage.turn();
    assert_eq!(clock::now(), stage.hour(1));
}

/// While a source is awaited, a wait is a wait.
#[test]
fn it_runs_while_a_source_is_awaited() {
    let stage = Stage::new();
    let _timer = stage.timer(1);
    let slot = stage.awaited(7);
    let before = clock::now();
    stage.reactor.poller().then(Act::meanwhile(|| {
        thread::sleep(Duration::from_millis(2));
    }));
    stage.turn();
    let after = clock::now();
    assert!(after >= clock::after(before, Duration::from_millis(2)));
    assert!(after < stage.hour(1));
    assert_eq!(stage.clock.flow(), Flow::Runs);
    let waits = stage.waits();
    assert!(waits[0].unwrap() > HOUR / 2, "{waits:?}");
    // Its event, and it stops where it is.
    stage
        .reactor
        .poller()
        .then(Act::Ready(vec![(0, Readiness::READABLE)]));
    stage.turn();
    assert_eq!(stage.woken().len(), 1);
    stage.turn();
    assert_eq!(clock::now(), stage.hour(1));
    assert_eq!(stage.clock.flow(), Flow::Jumps);
    slot.deregister(SOURCE, Fate::StaysOpen).unwrap();
}

/// What the reactor does not know makes time real all the same.
#[test]
fn it_runs_while_something_is_awaited_elsewhere() {
    let stage = Stage::new();
    let _timer = stage.timer(1);
    let real_time = real_time().unwrap();
    stage.reactor.notify().unwrap();
    stage.turn();
    assert_eq!(stage.clock.flow(), Flow::Runs);
    assert!(stage.waits()[0].unwrap() > HOUR / 2);
    drop(real_time);
    stage.turn();
    assert!(
        clock::now() < stage.hour(1),
        "the notification comes before"
    );
    stage.turn();
    assert_eq!(clock::now(), stage.hour(1));
}

/// A hold that ends during the wait ends the wait.
#[test]
fn it_stands_while_it_is_held() {
    let stage = Stage::new();
    let _timer = stage.timer(1);
    let hold = Hold::new(Arc::clone(&stage.clock), Arc::clone(&stage.reactor));
    let second = hold.clone();
    drop(second);
    stage
        .reactor
        .poller()
        .then(Act::meanwhile(move || drop(hold)));
    stage.turn();
    assert_eq!(clock::now(), stage.hour(0));
    assert_eq!(stage.clock.flow(), Flow::Stands);
    assert_eq!(stage.waits(), [None]);
    // The end of the hold was a notification.
    stage.turn();
    assert_eq!(clock::now(), stage.hour(0));
    stage.turn();
    assert_eq!(clock::now(), stage.hour(1));
}

#[test]
fn without_timers_it_stands_and_waits() {
    let stage = Stage::new();
    stage.reactor.notify().unwrap();
    stage.turn();
    assert_eq!(stage.waits(), [None]);
    assert_eq!(clock::now(), stage.hour(0));
    assert_eq!(stage.clock.flow(), Flow::Stands);
}

#[test]
fn it_is_in_force_on_its_thread_and_for_its_time() {
    let outer = VirtualClock::new();
    outer.set(clock::after(outer.now(), HOUR * 10));
    let outermost = VirtualClock::put_in_force(&outer);
    assert_eq!(clock::now(), outer.now());
    let inner = VirtualClock::new();
    inner.set(clock::after(outer.now(), HOUR));
    {
        let _in_force = VirtualClock::put_in_force(&inner);
        assert_eq!(clock::now(), inner.now());
        thread::spawn(|| assert!(in_force().is_none()))
            .join()
            .unwrap();
    }
    assert_eq!(clock::now(), outer.now());
    drop(outermost);
    assert!(in_force().is_none());
    assert!(clock::now() < outer.now());
    assert!(hold().unwrap().is_none());
}

/// Row a21 of the pitfalls, for a whole turn: the clock jumps by eight hours during a wait, as it does
/// where it goes on while the machine is suspended, and the wait returns late, or early because the
/// system told the poller. Each overdue timer fires exactly once, in the order of the deadlines.
#[test]
fn a21_clock_jump_during_a_turn() {
    let stage = Stage::new();
    // So that the turn waits as it does under the real clock.
    let slot = stage.awaited(99);
    let hours: Vec<u32> = (0..60).map(|n| n * 37 % 60 / 4 + 1).collect();
    let _timers: Vec<_> = hours.iter().map(|hours| stage.timer(*hours)).collect();
    let clock = Arc::clone(&stage.clock);
    let wakes_up = move || {
        let now = clock.now();
        clock.set(clock::after(now, HOUR * 8));
    };
    stage.reactor.poller().then(Act::meanwhile(wakes_up));
    stage.turn();
    let mut overdue: Vec<_> = hours.into_iter().filter(|hours| *hours <= 8).collect();
    overdue.sort_unstable();
    let numbers = |woken: Vec<(u32, u64)>| -> Vec<u32> {
        let numbers = woken.into_iter().map(|(number, _)| number);
        numbers.collect()
    };
    assert_eq!(numbers(stage.woken()), overdue);
    // The next turn waits for the ninth hour, and nothing is left of those before.
    stage.turn();
    assert!(stage.woken().is_empty());
    let last = stage.waits()[1].unwrap();
    assert!(last <= HOUR && last > HOUR / 2, "{last:?}");
    slot.deregister(SOURCE, Fate::StaysOpen).unwrap();
}
