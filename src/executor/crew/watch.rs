//! Who looks after the reactor of a worker that is stuck in a task.
//!
//! A task may block its thread, or compute for long. Its worker's reactor is not turned meanwhile, and
//! the sockets and timers in it would wait. So the others watch: a worker whose count of runs has not
//! moved for [`STUCK_AFTER`] and that does not sleep is *stuck*, and whoever sees that turns its
//! reactor, and takes the task in its `next` (what is in its ring is stolen anyway). Who is about to
//! sleep does not wait for that, and visits the reactor of one that is awake.
//!
//! # Who watches
//!
//! * *A busy worker* looks at one neighbour now and then. It reads the clock only if that one has not
//!   moved.
//! * *If one sleeps*, one of the sleepers is on *duty*: it sleeps for [`INTERVAL_MIN`] first, for
//!   longer as long as all is quiet, and for [`INTERVAL_MAX`] at last. When all others have slept for
//!   [`QUIET_MAX`] it goes off duty, and an idle runtime makes no call.
//!
//! Duty changes hands so:
//!
//! 1. A worker that lies down takes duty if nobody has it and somebody is awake.
//! 2. A worker that gets up with something to run gives duty back, if it had it.
//! 3. A worker that gets up, and finds nobody on duty and somebody asleep, appoints him, and notifies.
//!    That happens when duty was given back, and at the first event after a quiet time: seldom, since
//!    duty comes to rest with who has the least to do.
//!
//! # Why somebody is on duty if a worker is stuck and another sleeps
//!
//! Who lies down enters the list of sleepers, and looks at duty; who leaves duty changes it, and looks
//! at the list; a `fence(SeqCst)` stands between the two halves of both. So either the one sees that
//! nobody is on duty, or the other finds him in the list. The same holds for who goes off duty because
//! all is quiet, and who gets up at that moment.
//!
//! He who is appointed is in the list at that moment, for its lock is held. So when he gets up with
//! something to run, he knows of it, and gives it back.

use std::time::Duration;

use super::Crew;
use super::idle::Idle;
use crate::reactor::clock;
use crate::sync::atomic::{AtomicUsize, Ordering, fence};

/// How long a run may take before the others see to its reactor.
const STUCK_AFTER: u64 = 1_000_000;

/// The first sleep on duty.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The longest one: some sixty wakes a second, less than a thousandth of a core.
const INTERVAL_MAX: Duration = Duration::from_millis(16);

/// How long all have to sleep before nobody is on duty.
const QUIET_MAX: Duration = Duration::from_secs(1);

/// A worker without others has nobody to watch. (Neither has a model: it knows no time.)
fn is_alone(crew: &Crew) -> bool {
    crew.workers() == 1 || cfg!(all(test, ekio_loom))
}

/// Who is on duty: one more than the worker's number, or 0.
#[derive(Debug, Default)]
pub(crate) struct Duty(AtomicUsize);

impl Duty {
    pub(super) fn is(&self, worker: usize) -> bool {
        self.0.load(Ordering::Relaxed) == worker + 1
    }

    pub(super) fn is_nobodys(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// Nobody's becomes the worker's. (Relaxed, and in `give_back`: the fences order it.)
    fn take(&self, worker: usize) -> bool {
        self.0
            .compare_exchange(0, worker + 1, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }

    pub(super) fn give_back(&self) {
        self.0.store(0, Ordering::Relaxed);
        // Pairs with the fence in `Idle::lie_down`.
        fence(Ordering::SeqCst);
    }

    /// The worker leaves.
    pub(crate) fn resign(&self, worker: usize) {
        if self.is(worker) {
            self.give_back();
        }
    }

    /// Steps 2 and 3: whom the caller, who has got up, has to notify.
    #[must_use]
    pub(super) fn hand_over(&self, idle: &Idle, me: usize) -> Option<usize> {
        // Pairs with the fences of who lies down, and of who goes off duty.
        fence(Ordering::SeqCst);
        self.resign(me);
        if !self.is_nobodys() {
            return None;
        }
        let appoint = |sleeper| self.take(sleeper).then_some(sleeper);
        idle.choose(appoint).flatten()
    }

    /// Step 1: true if the caller, who has lain down, is on duty from now on.
    pub(super) fn take_if_needed(&self, idle: &Idle, workers: usize, me: usize) -> bool {
        // All others asleep: whoever wakes first will see that nobody is on duty.
        idle.asleep() < workers && self.take(me)
    }
}

/// What one worker remembers of the others.
#[derive(Debug)]
pub(crate) struct Watch {
    seen: Box<[Seen]>,
    /// The neighbour to look at next.
    next: usize,
    interval: Duration,
    quiet: Duration,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    runs: u64,
    /// When the count was found unchanged for the first time.
    since: Option<u64>,
}

impl Watch {
    pub(crate) fn new(workers: usize) -> Watch {
        Watch {
            seen: vec![Seen::default(); workers].into(),
            next: 0,
            interval: INTERVAL_MIN,
            quiet: Duration::ZERO,
        }
    }

    /// For how long the worker, which has lain down, may sleep.
    pub(crate) fn limit(&mut self, crew: &Crew, me: usize) -> Option<Duration> {
        if is_alone(crew) {
            return None;
        }
        if crew.duty.is(me) {
            if self.quiet < QUIET_MAX {
                return Some(self.interval);
            }
            crew.duty.give_back();
            self.quiet = Duration::ZERO;
        }
        if !crew.duty.take_if_needed(&crew.idle, crew.workers(), me) {
            return None;
        }
        self.interval = INTERVAL_MIN;
        self.quiet = Duration::ZERO;
        Some(self.interval)
    }

    /// The worker has got up, and has something to run.
    pub(crate) fn go_to_work(&mut self, crew: &Crew, me: usize) {
        if is_alone(crew) {
            return;
        }
        if let Some(sleeper) = crew.duty.hand_over(&crew.idle, me) {
            crew.notify(sleeper);
        }
    }

    /// The worker has got up on duty, and has nothing to run: looks after all others. True if one of
    /// them is stuck.
    pub(crate) fn look_after_all(&mut self, crew: &Crew, me: usize, serve: impl Fn(usize)) -> bool {
        if !crew.duty.is(me) {
            return false;
        }
        let now = clock::now();
        let (mut is_one_stuck, mut is_one_suspect) = (false, false);
        for worker in (0..crew.workers()).filter(|worker| *worker != me) {
            match self.look_at(crew, worker, || now) {
                Sight::Fine => {}
                Sight::Suspect => is_one_suspect = true,
                Sight::Stuck => {
                    is_one_stuck = true;
                    serve(worker);
                }
            }
        }
        let are_all_asleep = crew.idle.asleep() + 1 >= crew.workers();
        self.quiet = if are_all_asleep {
            self.quiet + self.interval
        } else {
            Duration::ZERO
        };
        self.interval = if is_one_stuck || is_one_suspect {
            INTERVAL_MIN
        } else {
            (2 * self.interval).min(INTERVAL_MAX)
        };
        is_one_stuck
    }

    /// The worker is busy: looks after one other.
    pub(crate) fn look_after_one(&mut self, crew: &Crew, me: usize, serve: impl Fn(usize)) {
        self.next = (self.next + 1) % crew.workers();
        let worker = self.next;
        if worker != me && self.look_at(crew, worker, clock::now) == Sight::Stuck {
            serve(worker);
        }
    }

    fn look_at(&mut self, crew: &Crew, worker: usize, now: impl Fn() -> u64) -> Sight {
        let berth = crew.berth(worker);
        let runs = berth.counts.runs.get();
        let seen = &mut self.seen[worker];
        if berth.is_asleep() || seen.runs != runs {
            *seen = Seen { runs, since: None };
            return Sight::Fine;
        }
        let now = now();
        let since = *seen.since.get_or_insert(now);
        if now.saturating_sub(since) < STUCK_AFTER {
            Sight::Suspect
        } else {
            Sight::Stuck
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    /// It sleeps, or has begun a run since the last look.
    Fine,
    /// It has not, but that may be chance.
    Suspect,
    Stuck,
}
