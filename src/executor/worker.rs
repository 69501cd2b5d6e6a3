//! The loop of one worker of a multi-thread runtime.
//!
//! [`work`](Worker::work) is the whole of it. What the workers share, and how they rouse each other
//! and look after each other, is told in [`crew`](super::crew) and its rooms.
//!
//! # What runs next
//!
//! 1. After each turn of the reactor: one task from the injector, so that a worker whose own tasks
//!    never end cannot leave it to starve.
//! 2. The task in `next`, which the running one has woken last: what it was woken for is warm. Only a
//!    few times in a row, since two tasks that wake each other would keep all others waiting.
//! 3. The own ring, first in, first out.
//! 4. A share of the injector.
//! 5. Half of somebody else's ring.
//! 6. What the reactor of somebody who is awake has to report: he is in a task, and comes to it later.
//!
//! The reactor's wakes go to the ring, so that sockets are served in the order of their events.

use std::cell::{Cell, RefCell};
use std::io;
use std::ptr;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use super::crew::ring::LEN as RING_LEN;
use super::crew::watch::Watch;
use super::crew::{Counts, Crew};
use super::sleep::Turn;
use crate::reactor::budget;
use crate::sync::atomic::{AtomicPtr, Ordering};
use crate::sync::{per_thread, thread};
use crate::task::raw::{Ran, Runnable};
use crate::task::spare::Keeping;

/// The most runs between two turns; see the loop of `block_on`.
const RUNS_PER_TURN: u32 = 61;

/// How often in a row `next` is ahead of the ring. tokio's number too.
const STREAK_MAX: u32 = 3;

/// How often in a row a worker gives way to another one at its reactor before it sleeps for a while, and
/// how long that is.
const REFUSALS_IN_A_ROW: u32 = 32;
const PATIENCE: Duration = Duration::from_micros(50);

/// How many turns of a busy worker there are to a look after a neighbour: a look costs a cache miss.
const TURNS_PER_LOOK: u32 = 16;

per_thread! {
    /// The `Worker` whose loop this thread is in, or null.
    static CURRENT: Cell<*const Worker> = const { Cell::new(ptr::null()) };
}

/// The thread's half. See the [module](self).
pub(crate) struct Worker {
    crew: &'static Crew,
    /// Its number in the crew.
    index: usize,
    reactor: Arc<dyn Turn>,
    runs_since_turn: Cell<u32>,
    streak: Cell<u32>,
    turns: Cell<u32>,
    /// How often in a row its reactor was being turned by another thread.
    refusals: Cell<u32>,
    /// It is in its reactor's turn, or in another's.
    is_turning: Cell<bool>,
    /// It has slept or begun to search, and has run nothing since.
    is_resting: Cell<bool>,
    /// It is counted as searching.
    is_searching: Cell<bool>,
    /// It was about to sleep, and has seen tasks of others.
    has_seen_tasks: Cell<bool>,
    knows_of_end: Cell<bool>,
    dice: Cell<u32>,
    /// Draws who is next, in a test that shall be replayed.
    lots: Option<Lots>,
    watch: RefCell<Watch>,
    /// The `Worker` in one of whose tasks this one is at work, or null. (Atomic because a worker that is
    /// at rest may go to another thread.)
    outer: AtomicPtr<Worker>,
}

impl Worker {
    pub(super) fn new(crew: &'static Crew, index: usize, reactor: Arc<dyn Turn>) -> Worker {
        Worker {
            crew,
            index,
            reactor,
            runs_since_turn: Cell::new(0),
            streak: Cell::new(0),
            turns: Cell::new(0),
            refusals: Cell::new(0),
            is_turning: Cell::new(false),
            is_resting: Cell::new(false),
            is_searching: Cell::new(false),
            has_seen_tasks: Cell::new(false),
            knows_of_end: Cell::new(false),
            dice: Cell::new(index as u32 + 1),
            lots: None,
            watch: RefCell::new(Watch::new(crew.workers())),
            outer: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// The only worker of a crew, which runs the tasks in an order that comes out of a seed.
    pub(super) fn by_lot(crew: &'static Crew, reactor: Arc<dyn Turn>, seed: u64) -> Worker {
        Worker {
            lots: Some(Lots(Cell::new(seed))),
            ..Worker::new(crew, 0, reactor)
        }
    }

    /// True if this is some worker's thread.
    pub(crate) fn is_inside() -> bool {
        !CURRENT.with(Cell::get).is_null()
    }

    /// Calls `f` with the `Worker` whose thread this is, if it is one's.
    pub(crate) fn with_current(f: impl FnOnce(&Worker)) {
        let current = CURRENT.with(Cell::get);
        // SAFETY: a `Current` put the pointer there, takes it away when it is dropped, and borrows the
        // `Worker`; this thread alone ever sees it.
        if let Some(worker) = unsafe { current.as_ref() } {
            f(worker);
        }
    }

    /// True if this thread is a worker of this crew, and perhaps of others inside one of its tasks.
    pub(crate) fn is_inside_one_of(crew: &Crew) -> bool {
        let mut worker = CURRENT.with(Cell::get);
        // SAFETY: as in `with_current`; and while a worker is the current one, so are those around it.
        while let Some(inner) = unsafe { worker.as_ref() } {
            if ptr::eq(inner.crew, crew) {
                return true;
            }
            // Relaxed: this thread has written it.
            worker = inner.outer.load(Ordering::Relaxed);
        }
        false
    }

    pub(crate) fn crew(&self) -> &'static Crew {
        self.crew
    }

    #[cfg(all(test, ekio_loom))]
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// Makes this the thread's current worker, until the answer is dropped.
    pub(super) fn enter(&self) -> Current<'_> {
        // Relaxed: a hint for the watch.
        self.crew
            .berth(self.index)
            .is_asleep
            .store(false, Ordering::Relaxed);
        let outer = CURRENT.with(|current| current.replace(self));
        // Relaxed: for this thread alone.
        self.outer.store(outer.cast_mut(), Ordering::Relaxed);
        Current {
            worker: self,
            _keeping: Keeping::begin(),
        }
    }

    /// One round as a guest in the loop of `block_on`: runs what there is to run, and turns the
    /// reactor. Waits only if nothing was run, and there is no `limit` of zero.
    pub(super) fn round(&self, limit: Option<Duration>) {
        let tasks = std::iter::from_fn(|| self.next()).take(RUNS_PER_TURN as usize);
        let runs = tasks.map(|task| self.run(task)).count();
        if runs > 0 || limit.is_some() {
            self.glance();
        } else {
            self.sleep();
        }
    }

    /// Works until the runtime has ended and nothing is left to run.
    pub(super) fn work(&self) {
        let _current = self.enter();
        loop {
            if self.runs_since_turn.get() >= RUNS_PER_TURN {
                self.glance();
            }
            match self.next().or_else(|| self.search()) {
                Some(task) => self.run(task),
                None if self.crew.is_ending() && self.winds_up() => return,
                None => self.sleep(),
            }
        }
    }

    fn next(&self) -> Option<Runnable> {
        if let Some(lots) = &self.lots {
            return self.next_by_lot(lots);
        }
        let berth = self.crew.berth(self.index);
        let is_next_due = self.streak.get() < STREAK_MAX && berth.has_next();
        if self.runs_since_turn.get() == 0 {
            if let Some(task) = self.crew.injector.take(1, 0, |_| ()) {
                return Some(task);
            }
        }
        if is_next_due {
            if let Some(task) = berth.replace_next(None) {
                self.streak.set(self.streak.get() + 1);
                return Some(task);
            }
        }
        self.streak.set(0);
        let own = berth.ring.pop();
        own.or_else(|| berth.replace_next(None))
            .or_else(|| self.take_injected())
    }

    /// Any of the tasks that are ready.
    #[cold]
    fn next_by_lot(&self, lots: &Lots) -> Option<Runnable> {
        self.take_injected()
            .into_iter()
            .for_each(|task| self.push_back(task));
        let ring = &self.crew.berth(self.index).ring;
        for _ in 0..lots.draw(ring.len()) {
            ring.pop().into_iter().for_each(|task| self.push_back(task));
        }
        ring.pop()
    }

    /// A share of what is in the injector.
    fn take_injected(&self) -> Option<Runnable> {
        let keep = |task| self.push_back(task);
        let injector = &self.crew.injector;
        injector.take(self.crew.workers(), RING_LEN / 2, keep)
    }

    fn run(&self, task: Runnable) {
        if self.is_resting.replace(false) {
            self.go_to_work();
        }
        let berth = self.crew.berth(self.index);
        berth.counts.runs.bump();
        // Relaxed: for reports.
        let number = task.header().id().number() + 1;
        berth.running.store(number, Ordering::Relaxed);
        self.runs_since_turn.set(self.runs_since_turn.get() + 1);
        budget::refill();
        // SAFETY: all futures of a crew are `Send`, see `Crew::spawn`.
        match unsafe { task.run() } {
            Ran::Idle => {}
            Ran::Again(task) => self.push_back(task),
            Ran::Done(task) => self.crew.rosters.remove(&task),
        }
        berth.running.store(0, Ordering::Relaxed);
    }

    /// Where a wake on this thread, or a spawn, puts a task.
    pub(crate) fn push(&self, task: Runnable) {
        self.counts().pushes.bump();
        if self.is_turning.get() || self.lots.is_some() {
            self.push_back(task);
            self.end_rest();
            return;
        }
        let displaced = self.crew.berth(self.index).replace_next(Some(task));
        if let Some(task) = displaced {
            self.push_back(task);
            self.crew.rouse_helper();
        }
    }

    fn push_back(&self, mut task: Runnable) {
        let ring = &self.crew.berth(self.index).ring;
        loop {
            // SAFETY: this thread is the ring's owner: there is one `Worker` for each berth of a crew
            // with a tenant, and whoever has it has it alone, as its cells see to.
            match unsafe { ring.push(task) } {
                Ok(()) => return,
                Err(refused) => task = refused,
            }
            let mut half = ring.take_half();
            if !half.is_empty() {
                half.push(task);
                self.crew.injector.append(half);
                self.crew.rouse_one();
                return;
            }
        }
    }

    /// Looks through the others' rings, and then after what they have no time for.
    fn search(&self) -> Option<Runnable> {
        let workers = self.crew.workers();
        if !self.is_searching.get() {
            let has_cause = self.has_seen_tasks.take() || self.crew.idle.lacks_searchers(workers);
            if !has_cause {
                return None;
            }
            self.crew.idle.begin_search();
            self.is_searching.set(true);
            self.is_resting.set(true);
        }
        let first = self.roll() as usize;
        let others = (0..workers).map(|number| (first + number) % workers);
        let others = others.filter(|other| *other != self.index);
        self.steal(others.clone())
            .or_else(|| self.take_injected())
            .or_else(|| self.visit(others))
    }

    fn steal(&self, mut others: impl Iterator<Item = usize>) -> Option<Runnable> {
        let own = &self.crew.berth(self.index).ring;
        // SAFETY: this thread is the owner of its own ring, as in `push_back`.
        let stolen =
            others.find_map(|other| unsafe { self.crew.berth(other).ring.steal_into(own) });
        stolen.inspect(|_| self.counts().thefts.bump())
    }

    /// Turns the reactor of the first of them that is awake, and has its tasks. (A model's reactor has
    /// no events.)
    fn visit(&self, mut others: impl Iterator<Item = usize>) -> Option<Runnable> {
        if cfg!(all(test, ekio_loom)) {
            return None;
        }
        let is_awake = |other: &usize| !self.crew.berth(*other).is_asleep();
        self.turn_for(others.find(is_awake)?);
        self.crew.berth(self.index).ring.pop()
    }

    /// The first task after a rest.
    #[cold]
    fn go_to_work(&self) {
        self.end_search(0);
        self.watch.borrow_mut().go_to_work(self.crew, self.index);
    }

    /// A turn brings tasks, perhaps very many before it ends: who counts as asleep or as searching would
    /// be roused for them himself, or keep others from it.
    fn end_rest(&self) {
        self.rise();
        self.end_search(1);
    }

    /// Leaves the sleepers, if this worker is one of them.
    fn rise(&self) {
        let berth = self.crew.berth(self.index);
        if berth.is_asleep() {
            // Relaxed: a hint.
            berth.is_asleep.store(false, Ordering::Relaxed);
            self.is_searching.set(self.crew.idle.get_up(self.index));
        }
    }

    /// Is no searcher any more, and rouses somebody if there may be more to find than those tasks in the
    /// own ring, which are the first to be run.
    fn end_search(&self, own: usize) {
        if self.is_searching.replace(false) {
            let was_last = self.crew.idle.end_search();
            if was_last && self.crew.has_tasks_besides(self.index, own) {
                self.crew.rouse_one();
            }
        }
    }

    /// Sleeps in the reactor until there is something to do.
    fn sleep(&self) {
        let berth = self.crew.berth(self.index);
        let was_searching = self.is_searching.replace(false);
        // Relaxed: `lie_down` releases it to who will notify, and for the others it is a hint.
        berth.is_asleep.store(true, Ordering::Relaxed);
        self.crew.idle.lie_down(self.index, was_searching);
        let limit = if self.has_reason_to_stay_up() {
            self.has_seen_tasks.set(true);
            Some(Duration::ZERO)
        } else {
            self.watch.borrow_mut().limit(self.crew, self.index)
        };
        self.turn(limit);
        self.is_resting.set(true);
        if berth.ring.is_empty() {
            let serve = |other| self.serve(other);
            let mut watch = self.watch.borrow_mut();
            watch.look_after_all(self.crew, self.index, serve);
        }
    }

    /// Step 3 of the sleeper.
    fn has_reason_to_stay_up(&self) -> bool {
        let is_end_news = || !self.knows_of_end.get() || self.crew.can_spare_one();
        self.has_tasks() || self.reactor.is_notified() || self.crew.is_ending() && is_end_news()
    }

    fn has_tasks(&self) -> bool {
        self.crew.has_tasks() || self.crew.berth(self.index).has_next()
    }

    /// Turns the reactor without waiting, in the middle of work.
    fn glance(&self) {
        self.turn(Some(Duration::ZERO));
        let turns = self.turns.get().wrapping_add(1);
        self.turns.set(turns);
        if turns % TURNS_PER_LOOK == 0 {
            let serve = |other| self.serve(other);
            let mut watch = self.watch.borrow_mut();
            watch.look_after_one(self.crew, self.index, serve);
        }
        if self.crew.is_ending() {
            self.crew.close_rosters();
        }
    }

    fn turn(&self, limit: Option<Duration>) {
        // What a waker polls on the spot is none of the runs.
        budget::lift();
        self.counts().turns.bump();
        if limit != Some(Duration::ZERO) {
            self.counts().sleeps.bump();
        }
        self.is_turning.set(true);
        let turned = self.reactor.turn(limit);
        self.is_turning.set(false);
        self.rise();
        // What a notification was for is seen before the next sleep.
        self.reactor.take_notification();
        self.runs_since_turn.set(0);
        match turned {
            Ok(()) => self.refusals.set(0),
            // The watch is at it, or a visitor.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => self.give_way(),
            Err(error) => stop(&error),
        }
        self.share();
    }

    /// Another thread turns the reactor, and nearly always it is done in a moment.
    #[cold]
    fn give_way(&self) {
        self.refusals.set(self.refusals.get() + 1);
        if self.refusals.get() % REFUSALS_IN_A_ROW != 0 {
            thread::yield_now();
        } else {
            sleep(PATIENCE);
        }
    }

    /// Lets others know that a turn has brought more than one task, which is for this worker.
    fn share(&self) {
        if self.crew.berth(self.index).ring.len() > 1 {
            self.crew.rouse_helper();
        }
    }

    /// Does for a worker that is stuck in a task what it cannot do.
    pub(super) fn serve(&self, other: usize) {
        self.counts().rescues.bump();
        self.turn_for(other);
        let next = self.crew.berth(other).replace_next(None);
        next.into_iter().for_each(|task| self.push_back(task));
    }

    /// Turns another's reactor without waiting. What that wakes is this worker's to run.
    fn turn_for(&self, other: usize) {
        let Some(reactor) = self.crew.reactor(other) else {
            return;
        };
        self.is_turning.set(true);
        // Busy, it is being turned; broken, its own worker will find out.
        let turned = reactor.turn(Some(Duration::ZERO));
        self.is_turning.set(false);
        // What this turn took note of was meant for its own worker, which may be about to sleep
        // (`loom_rouse_vs_serve`): who notified him had seen him asleep, and so do we then.
        if turned.is_ok() && reactor.is_notified() && self.crew.berth(other).is_asleep() {
            reactor.notify();
        }
        self.share();
    }

    /// Nothing to run is left, as far as one can see, and the runtime ends: true if this worker may
    /// leave.
    fn winds_up(&self) -> bool {
        self.knows_of_end.set(true);
        self.crew.close_rosters();
        !self.has_tasks() && self.crew.let_go()
    }

    /// Leaves nothing to this worker that others would wait for. (If it panics, because its queue has
    /// failed, that may be anything.)
    fn resign(&self) {
        self.rise();
        let berth = self.crew.berth(self.index);
        // Relaxed: a hint for the watch, which need not look after this one any more.
        berth.is_asleep.store(true, Ordering::Relaxed);
        if self.is_searching.replace(false) {
            self.crew.idle.end_search();
        }
        self.crew.duty.resign(self.index);
        let next = berth.replace_next(None);
        next.into_iter()
            .for_each(|task| self.crew.injector.push(task));
        // For that task; for what came while this one was counted as searching; and to see whether he
        // may leave now.
        self.crew.rouse_one();
    }

    fn counts(&self) -> &Counts {
        &self.crew.berth(self.index).counts
    }

    /// A number that is not the same for all workers, nor twice in a row (xorshift).
    fn roll(&self) -> u32 {
        let mut dice = self.dice.get();
        dice ^= dice << 13;
        dice ^= dice >> 17;
        dice ^= dice << 5;
        self.dice.set(dice);
        dice
    }
}

/// The time for which a `Worker` is the thread's current one.
pub(super) struct Current<'a> {
    worker: &'a Worker,
    _keeping: Keeping,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        // Relaxed: this thread has written it.
        let outer = self.worker.outer.swap(ptr::null_mut(), Ordering::Relaxed);
        CURRENT.with(|current| current.set(outer));
        self.worker.resign();
    }
}

/// Numbers that come out of a seed (splitmix64).
struct Lots(Cell<u64>);

impl Lots {
    /// A number below `len`, or 0.
    fn draw(&self, len: usize) -> usize {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut lot = state;
        lot = (lot ^ (lot >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        lot = (lot ^ (lot >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (lot ^ (lot >> 31)).checked_rem(len as u64).unwrap_or(0) as usize
    }
}

#[cold]
fn stop(error: &io::Error) -> ! {
    panic!("a worker cannot go on, because its event queue failed: {error}");
}

#[cfg(all(test, not(ekio_loom)))]
mod tests;
