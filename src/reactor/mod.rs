//! The first floor: decides *who* is woken.
//!
//! A reactor is a poller, the slots of its sources, and its timers. One round of it is
//! `Reactor::turn`: wait for events, find the slot of each, mark what is ready, wake who waits;
//! then the same for timers. Each thread that calls `block_on` has a reactor of its own (see
//! `context`).
//!
//! ```text
//!   poller.wait                fire                       wake_all
//!  -------------> Event{key} --------> slot: bits, wakers ---------> Waker::wake
//!                   `table`            `slot`               `wakers`
//! ```
//!
//! Locks, in the order in which they may be taken: the round, the table, a slot, the poller's own;
//! the timers stand apart. No foreign code runs under any but the first, which is only ever tried.

pub(crate) mod clock;
pub(crate) mod context;
#[cfg(has_iocp)]
mod overlapped;
mod registration;
mod slot;
mod table;
pub(crate) mod timers;
pub(crate) mod virtual_time;
pub(crate) mod waits;
pub(crate) mod wakers;

use std::io;
use std::mem;
use std::time::Duration;

pub(crate) use crate::poller::ForkGuard;
#[allow(unused_imports)]
pub(crate) use crate::poller::Source;
#[cfg(all(has_iocp, feature = "process"))]
pub(crate) use crate::poller::iocp::Request;
pub use crate::poller::{Interest, IoSafe, Readiness};
#[cfg(all(has_iocp, feature = "process"))]
pub(crate) use overlapped::Overlapped;
pub(crate) use registration::STREAM_INTEREST;
pub use registration::{ReadyFuture, Registration};
pub use slot::{Direction, Ready};
#[cfg(all(test, not(ekio_loom)))]
pub(crate) use slot::{Fate as TestFate, Slot as TestSlot, Who as TestWho};

use crate::poller::{Events, Key, OsPoller, Poller};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, MutexGuard, TryLockError, lock};
/// What the leaf futures pay with; it belongs to the task that runs.
pub(crate) use crate::task::budget;
use slot::Slot;
use table::Table;
use timers::{Rise, Timers};
use wakers::WakerBatch;

/// The most events that one turn takes from the kernel.
const BATCH_MAX: usize = 256;

/// Nobody is to rely on the drivers any more.
const DISOWNED: usize = 1 << (usize::BITS - 1);

/// The most slots that are fired under one lock of the table: about a microsecond.
const FIRED_MAX: usize = 32;

/// A poller, the slots of its sources, and its timers.
#[derive(Debug)]
pub(crate) struct Reactor<P: Poller = OsPoller> {
    poller: P,
    slots: Mutex<Table<Slot<P>>>,
    timers: Mutex<Timers>,
    round: Mutex<Round>,
    /// How many threads have promised to turn this reactor; and [`DISOWNED`].
    drivers: AtomicUsize,
    /// The coarse clock, as it was when the last turn came back from the kernel.
    last_turn: AtomicU64,
    /// Events whose slot had left.
    stale_events: AtomicU64,
    /// Somebody has called `notify` since a virtual clock was last about to jump.
    was_notified: AtomicBool,
}

/// What the thread that turns needs.
#[derive(Debug)]
struct Round {
    events: Events,
    /// Empty between the rounds, and kept for its memory.
    batch: WakerBatch,
}

impl Reactor {
    /// A reactor whose timers begin now, by the real clock: it may outlive a virtual one.
    ///
    /// # Errors
    ///
    /// What the operating system says when a queue cannot be made.
    pub(crate) fn new() -> io::Result<Arc<Reactor>> {
        let reactor = Reactor::beginning_at(clock::real_now(), OsPoller::new()?);
        #[cfg(not(all(test, ekio_loom)))]
        waits::list::enter(&reactor);
        Ok(reactor)
    }
}

impl<P: Poller> Reactor<P> {
    #[cfg(test)]
    pub(crate) fn with_poller(poller: P) -> Arc<Reactor<P>> {
        Reactor::beginning_at(clock::now(), poller)
    }

    fn beginning_at(time: u64, poller: P) -> Arc<Reactor<P>> {
        Arc::new(Reactor {
            poller,
            slots: Mutex::new(Table::new()),
            timers: Mutex::new(Timers::new(time)),
            round: Mutex::new(Round {
                events: Events::with_capacity(BATCH_MAX),
                batch: WakerBatch::new(),
            }),
            drivers: AtomicUsize::new(0),
            last_turn: AtomicU64::new(clock::coarse_now()),
            stale_events: AtomicU64::new(0),
            was_notified: AtomicBool::new(false),
        })
    }

    /// One round: waits, at most for `limit` and less if a timer is due before; fires slots and
    /// timers; wakes.
    ///
    /// # Errors
    ///
    /// `ResourceBusy` if another thread is at it, and what the poller's `wait` answers.
    pub(crate) fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        let mut round = match self.round.try_lock() {
            Ok(round) => round,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
        };
        self.wait(&mut round.events, limit)?;
        // Relaxed: for reports.
        self.last_turn.store(clock::coarse_now(), Ordering::Relaxed);
        // Out of the round, so that a panic on the way would wake who is in it.
        let mut batch = mem::take(&mut round.batch);
        self.fire_slots(&round.events, &mut batch);
        self.fire_timers(&mut batch);
        round.batch = batch;
        Ok(())
    }

    /// When the last turn came back from the kernel.
    pub(crate) fn last_turn(&self) -> u64 {
        self.last_turn.load(Ordering::Relaxed)
    }

    /// Ends the wait of the turn that is under way, or of the next one.
    pub(crate) fn notify(&self) -> io::Result<()> {
        // Release: pairs with the swap in `take_notification`. A swap, not a store: it must not hide
        // the notification of another thread, whose release has to get there too.
        self.was_notified.swap(true, Ordering::Release);
        self.poller.notify()
    }

    /// True if there was a notification that nobody has taken.
    pub(crate) fn is_notified(&self) -> bool {
        // Acquire: pairs with the store in `notify`.
        self.was_notified.load(Ordering::Acquire)
    }

    /// Takes it. What was done before it is visible then.
    pub(crate) fn take_notification(&self) -> bool {
        // AcqRel: acquire pairs with the store in `notify`, release with itself.
        self.is_notified() && self.was_notified.swap(false, Ordering::AcqRel)
    }

    /// True if a task waits for a source.
    fn is_source_awaited(&self) -> bool {
        lock(&self.slots).iter().any(|slot| slot.is_awaited())
    }

    /// The timers, locked. Their wakers leave the lock in a batch.
    pub(crate) fn timers(&self) -> MutexGuard<'_, Timers> {
        lock(&self.timers)
    }

    /// True while some thread promises to turn this reactor.
    pub(crate) fn is_driven(&self) -> bool {
        // Relaxed: who relies on the answer asks under a lock that `wake_all` takes afterwards.
        (1..DISOWNED).contains(&self.drivers.load(Ordering::Relaxed))
    }

    /// Promises to turn this reactor until `release`.
    pub(crate) fn take_charge(&self) {
        self.drivers.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the promise back. Whoever waits here is woken, to wait somewhere else.
    pub(crate) fn release(&self) {
        // Relaxed: see `is_driven`.
        if self.drivers.fetch_sub(1, Ordering::Relaxed) & !DISOWNED <= 1 {
            self.wake_all();
        }
    }

    /// Counts on nobody's promise from now on: who has made it may be stuck. Whoever waits here is woken,
    /// to wait somewhere else.
    pub(crate) fn disown(&self) {
        // Relaxed: see `is_driven`.
        self.drivers.fetch_or(DISOWNED, Ordering::Relaxed);
        self.wake_all();
    }

    /// Wakes all who wait. There may be more later if the reactor is driven.
    fn wake_all(&self) {
        let slots: Vec<Arc<Slot<P>>> = lock(&self.slots).iter().map(Arc::clone).collect();
        let mut batch = WakerBatch::new();
        for slot in slots {
            slot.wake_all(&mut batch);
        }
        batch.wake_all();
        loop {
            let more = self.timers().wake_all_into(&mut batch);
            batch.wake_all();
            if !more {
                break;
            }
        }
    }

    /// How many sources are registered.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.slots).len()
    }

    /// How many events came for slots that had left.
    #[cfg(test)]
    pub(crate) fn stale_events(&self) -> u64 {
        self.stale_events.load(Ordering::Relaxed)
    }

    pub(crate) fn poller(&self) -> &P {
        &self.poller
    }

    fn insert(&self, slot: Arc<Slot<P>>) -> Key {
        lock(&self.slots).insert(slot)
    }

    fn remove(&self, key: Key) {
        let slot = lock(&self.slots).remove(key);
        drop(slot); // Without the lock.
    }

    fn wait(&self, events: &mut Events, limit: Option<Duration>) -> io::Result<()> {
        if limit == Some(Duration::ZERO) {
            return self.poller.wait(events, limit);
        }
        match virtual_time::in_force() {
            None => self.wait_for_timers(events, limit, Rise::WithItsCrowd),
            Some(clock) => self.wait_virtually(&clock, events, limit),
        }
    }

    /// Waits until the first timer is due, or its crowd, if nothing else comes before. For the timers
    /// that sleep ends when it is their turn.
    fn wait_for_timers(
        &self,
        events: &mut Events,
        limit: Option<Duration>,
        rise: Rise,
    ) -> io::Result<()> {
        let limit = self.timers().begin_sleep(limit, rise);
        self.poller.wait(events, limit)
    }

    fn fire_slots(&self, events: &Events, batch: &mut WakerBatch) {
        for events in events.iter().as_slice().chunks(FIRED_MAX) {
            let table = lock(&self.slots);
            for event in events {
                match table.get(event.key) {
                    Some(slot) => slot.fire(event.readiness, batch),
                    None => {
                        self.stale_events.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            drop(table);
            batch.wake_all();
        }
    }

    fn fire_timers(&self, batch: &mut WakerBatch) {
        let mut timers = self.timers();
        timers.end_sleep();
        if timers.is_empty() {
            return;
        }
        let now = clock::now();
        loop {
            let more = timers.expire(now, batch);
            drop(timers);
            batch.wake_all();
            if !more {
                return;
            }
            timers = self.timers();
        }
    }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests;
