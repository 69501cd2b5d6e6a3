//! What the workers of a multi-thread runtime share.
//!
//! ```text
//!      any thread                          worker 0            worker 1            ...
//!    spawn, wake ---> injector ----.     +-----------+       +-----------+
//!                                  |     | next      |       | next      |
//!                                  +---> | ring      | <---> | ring      |     steal
//!                                        | reactor   |       | reactor   |
//!                                        +-----------+       +-----------+
//! ```
//!
//! [`Crew`] is the half that every thread may use. A [`Worker`](super::worker::Worker) is the half of
//! the thread that works; it lies in the frame of its loop. Of each worker the crew has a [`Berth`]:
//! the queue from which others steal, and the reactor in which it sleeps.
//!
//! # Crews are for ever
//!
//! Every task of a runtime points to its crew. As a counted pointer that would make all workers write
//! one counter at each spawn. So a crew is never freed: when its runtime has ended it goes to a list,
//! for the next runtime with as many workers. There are never more of them than there were runtimes of
//! that size at the same time. `tenancy` counts the runtimes; a [`Handle`](super::runtime::Handle)
//! knows its own, and is refused by a crew that has moved on.
//!
//! An old waker does nothing to a new tenant, because a crew is given back when all tasks are
//! complete.
//!
//! # The end of a runtime
//!
//! 1. Somebody calls [`Crew::end`]: sets `is_ending`, and notifies all reactors.
//! 2. Each worker that sees it helps to close the parts of the roster: what spawns from now on is
//!    refused, and each task that is there is aborted. Thereby the `Runnable` of each is in a queue,
//!    or in the hands of somebody who runs it or is about to put it into the injector. Nothing else
//!    is asked of anybody: to run an aborted task is to drop its future.
//! 3. The workers go on as ever, until they find nothing more to run. Then a worker leaves if there
//!    are no more tasks than other workers: each of those may be inside one. If there are more, one is
//!    in a `next`, or some thread is about to put it into a queue, and who is left has to run it.
//! 4. Who leaves rouses a sleeper, for whom the same may be true by then. The last one, which leaves
//!    when the roster is empty, gives the crew back.
//!
//! A worker that is stuck in a task keeps nobody else from leaving: it becomes the last. But while it
//! might wait for the end of another task, not all of the others leave. Nobody [watches](watch) it from then
//! on. So who waits for the end disowns its reactor after a while or, if nobody waits, those who leave do: a
//! leaf future that has left the runtime, and waits there, moves.

pub(crate) mod idle;
pub(crate) mod injector;
#[cfg(all(test, ekio_loom))]
mod models;
pub(crate) mod ring;
pub(crate) mod roster;
#[cfg(all(test, not(ekio_loom)))]
mod tests;
pub(crate) mod watch;

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::ptr::{self, NonNull};
use std::time::{Duration, Instant};

use super::sleep::Turn;
use super::worker::Worker;
use crate::reactor::ForkGuard;
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
use crate::sync::{Condvar, Mutex, MutexGuard, StaticMutex, lock, lock_static, thread};
use crate::task::raw::{self, Header, Ran, Runnable, Schedule};
use crate::task::{JoinError, JoinHandle};
use idle::Idle;
use injector::Injector;
use ring::Ring;
use roster::{Padded, Rosters};
use watch::Duty;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Crew {
    /// A fork of the process has none of the workers; and what a thread has locked at the moment of
    /// the fork, is locked there for ever.
    home: ForkGuard,
    berths: Box<[Padded<Berth>]>,
    pub(crate) injector: Injector,
    pub(crate) idle: Idle,
    pub(crate) rosters: Rosters,
    pub(crate) duty: Duty,
    is_ending: AtomicBool,
    /// The next part of the roster that has to be closed.
    next_part: AtomicUsize,
    desk: Mutex<Desk>,
    /// Notified when the last worker has left.
    left: Condvar,
}

/// What others know of one worker.
pub(crate) struct Berth {
    pub(crate) ring: Ring,
    /// The task that runs next, ahead of the ring: the last one that the running task woke. It is in
    /// nobody's sight but the owner's and the watch's, and is a `Runnable` turned into a pointer.
    next: AtomicPtr<Header>,
    /// What the worker sleeps in. Never locked for longer than to copy it.
    reactor: Mutex<Option<Reactor>>,
    /// The number of the task that it runs, and one more; or 0. Written by the owner.
    pub(crate) running: AtomicU64,
    pub(crate) counts: Counts,
    /// Written by the owner: false only if he is awake.
    pub(crate) is_asleep: AtomicBool,
}

/// What one worker has done in this tenancy. Each is written by the owner alone.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Runs that have begun.
    pub(crate) runs: Count,
    /// Tasks that its thread has put into its queue: woken or spawned there.
    pub(crate) pushes: Count,
    /// Visits to another's queue that brought tasks.
    pub(crate) thefts: Count,
    /// Rounds of its reactor, and how many of them were allowed to wait.
    pub(crate) turns: Count,
    pub(crate) sleeps: Count,
    /// Rounds of the reactors of workers that were stuck.
    pub(crate) rescues: Count,
}

impl Counts {
    fn reset(&self) {
        let counts = [
            &self.runs,
            &self.pushes,
            &self.thefts,
            &self.turns,
            &self.sleeps,
            &self.rescues,
        ];
        counts.into_iter().for_each(Count::reset);
    }
}

/// A number that one thread counts up, and any may read.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Called by one thread at a time.
    pub(crate) fn bump(&self) {
        self.0.store(self.get().wrapping_add(1), Ordering::Relaxed);
    }
}

/// std's pointer under loom too, since it takes part in no protocol.
type Reactor = std::sync::Arc<dyn Turn>;

/// What happens once or twice in a runtime's life.
#[derive(Debug, Default)]
struct Desk {
    tenancy: u64,
    /// Workers that still run tasks.
    working: usize,
    /// Workers that still touch the crew.
    aboard: usize,
    /// Somebody waits for the end, or will.
    is_awaited: bool,
}

/// When who waits for the end of a runtime looks for workers that are stuck: for the first time, and in
/// which intervals at last.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LAST_LOOKS: Duration = Duration::from_secs(1);

/// What who uses a runtime of the parent process is told.
pub(crate) const FORKED: &str = "its runtime belongs to the parent process: after a fork, make a new \
                                 one in the child";

/// Crews without a runtime.
static VACANT: StaticMutex<Vec<&'static Crew>> = StaticMutex::new(Vec::new());

impl Crew {
    fn new(workers: usize) -> Crew {
        Crew {
            home: ForkGuard::new(),
            berths: (0..workers).map(|_| Padded(Berth::new())).collect(),
            injector: Injector::default(),
            idle: Idle::default(),
            rosters: Rosters::new(workers),
            duty: Duty::default(),
            is_ending: AtomicBool::new(false),
            next_part: AtomicUsize::new(0),
            desk: Mutex::new(Desk::default()),
            left: Condvar::new(),
        }
    }

    /// A crew for a new runtime, one worker for each of the reactors, and the number of the tenancy.
    pub(crate) fn claim(reactors: Vec<Reactor>) -> (&'static Crew, u64) {
        let mut vacant = lock_static(&VACANT);
        let fits = |crew: &&Crew| crew.berths.len() == reactors.len() && crew.home.is_at_home();
        let place = vacant.iter().position(fits);
        let crew = place.map(|place| vacant.swap_remove(place));
        drop(vacant);
        let crew = crew.unwrap_or_else(|| Box::leak(Box::new(Crew::new(reactors.len()))));
        let tenancy = crew.let_to(reactors);
        (crew, tenancy)
    }

    /// Begins a tenancy, of which it answers the number.
    fn let_to(&self, reactors: Vec<Reactor>) -> u64 {
        let mut desk = lock(&self.desk);
        desk.tenancy += 1;
        desk.working = reactors.len();
        desk.aboard = reactors.len();
        desk.is_awaited = false;
        let tenancy = desk.tenancy;
        drop(desk);
        for (berth, reactor) in self.berths.iter().zip(reactors) {
            *lock(&berth.0.reactor) = Some(reactor);
            berth.0.counts.reset();
        }
        self.injector.pushes.reset();
        self.rosters.open(tenancy);
        tenancy
    }

    /// A crew that no other test has had or will have, with one worker for each of the reactors.
    #[cfg(all(test, not(ekio_loom)))]
    pub(super) fn of_its_own(reactors: Vec<Reactor>) -> (&'static Crew, u64) {
        static KEPT: StaticMutex<Vec<&'static Crew>> = StaticMutex::new(Vec::new());
        let crew = &*Box::leak(Box::new(Crew::new(reactors.len())));
        lock_static(&KEPT).push(crew);
        (crew, crew.let_to(reactors))
    }

    pub(crate) fn workers(&self) -> usize {
        self.berths.len()
    }

    pub(crate) fn berth(&self, worker: usize) -> &Berth {
        &self.berths[worker].0
    }

    /// Makes a task and puts it into a queue; if the tenancy has ended, the task is cancelled.
    pub(crate) fn spawn<F>(
        &'static self,
        tenancy: u64,
        future: F,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send,
    {
        let (task, handle) = raw::spawn(future, self, location);
        let why = if !self.is_at_home() {
            FORKED
        } else if !self.rosters.insert(&task, tenancy) {
            "its runtime has ended"
        } else {
            self.schedule(task);
            return handle;
        };
        let error = JoinError::refused(handle.id(), why);
        // SAFETY: the future is `Send`.
        drop(unsafe { task.refuse(error) });
        handle
    }

    pub(crate) fn is_at_home(&self) -> bool {
        self.home.is_at_home()
    }

    /// To inject.
    fn inject(&self, task: Runnable) {
        self.injector.push(task);
        self.rouse_one();
    }

    /// To inject, steps 2 to 5. The work has been left.
    pub(crate) fn rouse_one(&self) {
        if let Some(worker) = self.idle.claim() {
            self.notify(worker);
        }
    }

    /// Rouses somebody for what its owner will run himself if nobody comes.
    pub(crate) fn rouse_helper(&self) {
        if self.idle.wants_more() {
            self.rouse_one();
        }
    }

    /// Ends the sleep of a worker, or its next one.
    pub(crate) fn notify(&self, worker: usize) {
        if let Some(reactor) = self.reactor(worker) {
            reactor.notify();
        }
    }

    pub(crate) fn reactor(&self, worker: usize) -> Option<Reactor> {
        lock(&self.berth(worker).reactor).clone()
    }

    /// True if there are tasks for a worker that has none. (What is in some worker's `next`, that
    /// worker will run itself.)
    pub(crate) fn has_tasks(&self) -> bool {
        self.has_tasks_besides(0, 0)
    }

    /// The same, if one worker has so many for himself.
    pub(crate) fn has_tasks_besides(&self, worker: usize, own: usize) -> bool {
        let own = |number| if number == worker { own } else { 0 };
        let has_more = |number| self.berth(number).ring.len() > own(number);
        !self.injector.is_empty() || (0..self.workers()).any(has_more)
    }

    pub(crate) fn is_ending(&self) -> bool {
        // Relaxed: the sleeper looks behind a fence, and the rest goes through locks.
        self.is_ending.load(Ordering::Relaxed)
    }

    /// True if this is the runtime that the crew works for, and has not ended.
    pub(crate) fn is_let_to(&self, tenancy: u64) -> bool {
        if !self.is_at_home() {
            return false;
        }
        let desk = lock(&self.desk);
        desk.tenancy == tenancy && desk.aboard > 0
    }

    /// Begins the end of a tenancy, for which the caller will wait or not.
    pub(crate) fn end(&self, tenancy: u64, is_awaited: bool) {
        let mut desk = lock(&self.desk);
        if desk.tenancy != tenancy || desk.aboard == 0 {
            return;
        }
        desk.is_awaited = is_awaited;
        self.is_ending.store(true, Ordering::Relaxed);
        // Pairs with the fence of the sleepers: a worker that does not see it is notified.
        fence(Ordering::SeqCst);
        // The only one that is left is the caller, and inside a task.
        let is_unwatched = !is_awaited && desk.aboard == 1;
        self.disown_if(desk, |_| is_unwatched);
        (0..self.workers()).for_each(|worker| self.notify(worker));
    }

    /// Waits until all workers of a tenancy have left: how many have not when the time is over. Now and
    /// then disowns the reactors of those who have run nothing since the last look, and after some looks
    /// all.
    pub(crate) fn wait_for_end(&self, tenancy: u64, timeout: Option<Duration>) -> usize {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut interval = FIRST_LOOK;
        let mut runs = self.runs();
        loop {
            let look = Instant::now() + interval;
            let look = deadline.map_or(look, |deadline| deadline.min(look));
            // (A model knows no time.)
            let look = cfg!(not(all(test, ekio_loom))).then_some(look);
            let Some(desk) = self.wait_until(look, tenancy) else {
                return 0;
            };
            let aboard = desk.aboard;
            let is_over = deadline.is_some_and(|deadline| deadline <= Instant::now());
            let before = mem::replace(&mut runs, self.runs());
            let is_late = is_over || interval == LAST_LOOKS;
            self.disown_if(desk, |worker| is_late || before[worker] == runs[worker]);
            if is_over {
                return aboard;
            }
            interval = (2 * interval).min(LAST_LOOKS);
        }
    }

    /// Disowns the reactors of some of the workers that are aboard.
    fn disown_if(&self, desk: MutexGuard<'_, Desk>, is_chosen: impl Fn(usize) -> bool) {
        let chosen = (0..self.workers()).filter(|worker| is_chosen(*worker));
        let reactors: Vec<_> = chosen.filter_map(|worker| self.reactor(worker)).collect();
        // They are those of this tenancy. It runs foreign code, so not under the lock.
        drop(desk);
        reactors.iter().for_each(|reactor| reactor.disown());
    }

    /// How many tasks each worker has run.
    fn runs(&self) -> Vec<u64> {
        let berths = self.berths.iter();
        berths.map(|berth| berth.0.counts.runs.get()).collect()
    }

    /// The desk, if workers of that tenancy are still aboard at that time.
    fn wait_until(&self, deadline: Option<Instant>, tenancy: u64) -> Option<MutexGuard<'_, Desk>> {
        let mut desk = lock(&self.desk);
        while desk.tenancy == tenancy && desk.aboard > 0 {
            let Some(deadline) = deadline else {
                let waited = self.left.wait(desk);
                desk = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
                continue;
            };
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Some(desk);
            }
            let waited = self.left.wait_timeout(desk, rest);
            desk = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        None
    }

    /// Step 2 of the end. The workers share the parts among them.
    pub(crate) fn close_rosters(&self) {
        loop {
            // Relaxed: each part is closed by one worker, under its lock.
            let part = self.next_part.fetch_add(1, Ordering::Relaxed);
            if part >= self.rosters.len() {
                return;
            }
            self.rosters.close(part);
        }
    }

    /// Step 3: true if a worker that has nothing to run may leave.
    pub(crate) fn can_spare_one(&self) -> bool {
        self.can_spare_one_of(lock(&self.desk).working)
    }

    fn can_spare_one_of(&self, working: usize) -> bool {
        !self.rosters.has_more_than(working - 1)
    }

    /// True if the worker leaves. It runs nothing from then on.
    pub(crate) fn let_go(&self) -> bool {
        let mut desk = lock(&self.desk);
        let may_leave = self.can_spare_one_of(desk.working);
        desk.working -= usize::from(may_leave);
        may_leave
    }

    /// A worker leaves that has not been let go: it has no queue to sleep in. If it is the last one,
    /// it ends the tenancy, for nobody else would.
    pub(crate) fn stop_working(&self) {
        let mut desk = lock(&self.desk);
        desk.working -= 1;
        let is_last = desk.working == 0;
        drop(desk);
        if !is_last {
            return;
        }
        self.is_ending.store(true, Ordering::Relaxed);
        self.close_rosters();
        while !self.rosters.is_empty() {
            let mut rings = self.berths.iter().map(|berth| &berth.0.ring);
            let injected = self.injector.take(1, 0, |_| ());
            match injected.or_else(|| rings.find_map(Ring::pop)) {
                // SAFETY: all futures of a crew are `Send`, see `spawn`.
                Some(task) => match unsafe { task.run() } {
                    Ran::Done(task) => self.rosters.remove(&task),
                    Ran::Idle | Ran::Again(_) => unreachable!("an aborted task is never polled"),
                },
                // Somebody is about to put it into the injector.
                None => thread::yield_now(),
            }
        }
    }

    /// The last thing that a worker does.
    pub(crate) fn leave(&'static self, worker: usize) {
        let reactor = lock(&self.berth(worker).reactor).take();
        drop(reactor); // Without the lock.
        let mut desk = lock(&self.desk);
        desk.aboard -= 1;
        if desk.aboard > 0 {
            // If it has broken down, the others go on.
            let is_unwatched = self.is_ending() && !desk.is_awaited;
            self.disown_if(desk, |_| is_unwatched);
            return;
        }
        self.is_ending.store(false, Ordering::Relaxed);
        self.next_part.store(0, Ordering::Relaxed);
        drop(desk);
        self.left.notify_all();
        // A lock of loom's is good for one run of a model.
        if cfg!(not(all(test, ekio_loom))) {
            lock_static(&VACANT).push(self);
        }
    }
}

impl Berth {
    fn new() -> Berth {
        Berth {
            ring: Ring::new(),
            next: AtomicPtr::new(ptr::null_mut()),
            reactor: Mutex::new(None),
            running: AtomicU64::new(0),
            counts: Counts::default(),
            is_asleep: AtomicBool::new(false),
        }
    }

    /// Makes a task the next one to run; answers the one that was.
    pub(crate) fn replace_next(&self, task: Option<Runnable>) -> Option<Runnable> {
        let task = task.map_or(ptr::null_mut(), |task| task.into_raw().as_ptr());
        // AcqRel: pairs with itself, since the watch takes tasks too.
        let before = self.next.swap(task, Ordering::AcqRel);
        // SAFETY: it is a `Runnable` turned into a pointer, and the swap has made it ours alone.
        NonNull::new(before).map(|task| unsafe { Runnable::from_raw(task) })
    }

    /// How many tasks wait for their run.
    pub(crate) fn queue_len(&self) -> usize {
        self.ring.len() + usize::from(self.has_next())
    }

    pub(crate) fn is_asleep(&self) -> bool {
        // Relaxed: a hint, but for who knows of a notification.
        self.is_asleep.load(Ordering::Relaxed)
    }

    pub(crate) fn has_next(&self) -> bool {
        !self.next.load(Ordering::Relaxed).is_null()
    }
}

impl fmt::Debug for Berth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Berth")
            .field("ring", &self.ring)
            .field("next", &self.next)
            .field("counts", &self.counts)
            .field("is_asleep", &self.is_asleep)
            .finish_non_exhaustive()
    }
}

impl Schedule for &'static Crew {
    fn schedule(&self, task: Runnable) {
        if !self.is_at_home() {
            // Nobody runs it in this process.
            mem::forget(task);
            return;
        }
        let mut task = Some(task);
        Worker::with_current(|worker| {
            if ptr::eq(worker.crew(), *self) {
                task.take().into_iter().for_each(|task| worker.push(task));
            }
        });
        if let Some(task) = task {
            self.inject(task);
        }
    }
}
