//! Timers as a loop by hand would have them: in order of their deadlines, with what is to be woken.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags};
use rustix::io::Errno;

use crate::memory::Growth;
use crate::meter::{Figures, Meter};
use crate::peers::timers::{Firing, Lateness, dropped_figures, guard};

/// Nanoseconds of the loop's clock; the number tells those apart that are due at the same moment.
type Key = (u64, u32);

/// A clock whose moments are half as long as those of `Instant`.
struct Clock(Instant);

impl Clock {
    fn read(&self) -> u64 {
        self.at(Instant::now())
    }

    fn at(&self, moment: Instant) -> u64 {
        u64::try_from((moment - self.0).as_nanos()).expect("no loop lives for centuries")
    }

    fn guard(&self, number: u32) -> Key {
        let limit = guard(number).as_nanos();
        (
            self.read() + u64::try_from(limit).expect("a guard is short"),
            number,
        )
    }
}

pub fn dropped(count: u32) -> Figures {
    let clock = Clock(Instant::now());
    let mut waiting = BTreeMap::new();
    let mut keys = Vec::with_capacity(count as usize);
    let growth = Growth::start();
    start(&clock, &mut waiting, &mut keys, count);
    let bytes = growth.bytes() as f64 / f64::from(count);
    drop(growth);
    stop(&mut waiting, &mut keys);

    let mut together = Meter::default();
    together.start();
    start(&clock, &mut waiting, &mut keys, count);
    stop(&mut waiting, &mut keys);
    together.stop();

    let mut alone = Meter::default();
    alone.start();
    for number in 0..count {
        let key = clock.guard(number);
        waiting.insert(key, Waker::noop().clone());
        waiting.remove(&key);
    }
    alone.stop();
    dropped_figures(count, &together, &alone, bytes)
}

fn start(clock: &Clock, waiting: &mut BTreeMap<Key, Waker>, keys: &mut Vec<Key>, count: u32) {
    for number in 0..count {
        let key = clock.guard(number);
        waiting.insert(key, Waker::noop().clone());
        keys.push(key);
    }
}

/// In the order in which they were made.
fn stop(waiting: &mut BTreeMap<Key, Waker>, keys: &mut Vec<Key>) {
    for key in keys.drain(..) {
        waiting.remove(&key);
    }
}

/// The tasks are entries of the map: they have nothing else to keep while they sleep.
struct Sleeper {
    deadline: Instant,
    lateness: Arc<Lateness>,
}

pub fn firing(count: u32) -> Figures {
    let clock = Clock(Instant::now());
    let firing = Firing::start(count);
    let mut waiting = BTreeMap::new();
    for ((deadline, lateness), number) in firing.deadlines().zip(0..) {
        let sleeper = Sleeper { deadline, lateness };
        waiting.insert((clock.at(deadline), number), sleeper);
    }
    run(&clock, waiting).expect("a queue without sources waits");
    firing.stop()
}

fn run(clock: &Clock, mut waiting: BTreeMap<Key, Sleeper>) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    while let Some((&(first, _), _)) = waiting.first_key_value() {
        let left = Duration::from_nanos(first.saturating_sub(clock.read()));
        if !left.is_zero() {
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            let mut events = [MaybeUninit::uninit(); 1];
            match epoll::wait(&epoll, &mut events, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let now = clock.read();
        while let Some(entry) = waiting.first_entry()
            && entry.key().0 <= now
        {
            let sleeper = entry.remove();
            sleeper.lateness.note(sleeper.deadline);
        }
    }
    Ok(())
}
