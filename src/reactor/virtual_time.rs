//! Time that passes only when there is nothing else to do, so that tests which wait are quick and can be
//! replayed.
//!
//! # Concepts
//!
//! A [`VirtualClock`] is *in force* on a thread while an [`InForce`] lives there: then
//! [`clock::now`](super::clock::now) reads it, and with it all that goes by time, and `turn` moves it.
//! Elsewhere nothing changes: the real clock is read after a look at one flag of the thread's, and no
//! reactor knows that there is another one.
//!
//! # When it moves
//!
//! Decided when a thread has nothing to run and turns its reactor in order to wait, in this order:
//!
//! | what holds | [`Flow`] | the turn |
//! |---|---|---|
//! | a task waits for a source of the system's, or there is a [`RealTime`] | `Runs`: as fast as the real clock | waits for events until the first timer, also where it is one of a crowd |
//! | somebody has a [`Hold`] | `Stands` | waits for events, and for the end of the hold; no timer comes |
//! | there is no timer, and the turn has no limit | `Stands` | waits for events and notifications |
//! | none of these | `Jumps` | looks for events without waiting; if there are none, and no notification has come, the clock is set to the first deadline (or the limit) |
//!
//! The first line is there because nobody knows when a packet will come: to jump over the time in
//! which a peer answers would be to lose every race against a time-out. The second is for work on
//! other threads whose end is an event here (the blocking pool). A wake from another thread notifies,
//! and so is seen even if it comes after the executor has looked at its queues and before the clock
//! would have been set.
//!
//! A source counts while it keeps a task's waker. One whose operation was cancelled keeps it until its
//! next event, or its end. What is waited for by other means than a source of this reactor (a pipe in
//! the shared one, a console event, a child that has to be asked now and then) has a [`RealTime`]
//! meanwhile.
//!
//! # What an executor has to do
//!
//! 1. Give the loop's thread a reactor that was made before the clock (a wheel of timers does not go
//!    back), and put the clock in force for as long as the loop runs.
//! 2. Have a single worker. Another thread that turned the reactor would fire its timers by another
//!    clock.
//! 3. Call `turn` as ever: with a time-out of zero while there is something to run, and without one (or
//!    any other) only when there is nothing.
//! 4. Take a [`hold`] for each call that is given to the blocking pool, [lend](lend_to_call) it to the
//!    call, and drop it when the waiter has been *woken*, which is after the future has been dropped.
//!
//! # Calls on the pool
//!
//! The clock is not in force there: a call may have an executor of its own, whose reactor is of real
//! time and will be when this clock is gone. What it knows of the clock is its hold: `time::now`
//! reads the clock behind it (which stands), and a call that it gives to the pool has a hold too.
//! Inside a `block_on` of its own it knows nothing of it.

use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use super::clock::{self, NEVER};
use super::timers::Rise;
use super::{Reactor, context};
use crate::poller::{Events, OsPoller, Poller};
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Arc, Mutex, lock};

thread_local! {
    /// Whether `IN_FORCE` has one: a look that costs next to nothing, since there is nothing to be
    /// initialised or dropped.
    static IS_IN_FORCE: Cell<bool> = const { Cell::new(false) };
    static IN_FORCE: RefCell<Option<Arc<VirtualClock>>> = const { RefCell::new(None) };
    /// That of the call that this thread is in.
    static HOLD_OF_CALL: RefCell<Option<Hold>> = const { RefCell::new(None) };
}

/// The clock of a runtime under test. See the [module](self).
#[derive(Debug)]
pub(crate) struct VirtualClock {
    reading: Mutex<Reading>,
    holds: AtomicUsize,
    /// How many [`RealTime`]s there are.
    waits_elsewhere: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    /// What the clock says or, if it runs, said at the real time `since`.
    time: u64,
    since: Option<u64>,
    flow: Flow,
}

/// How time passes while nothing is run, by what the latest turn found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// To the first deadline, at once.
    Jumps,
    /// Like real time: a source of the system's is waited for.
    Runs,
    /// Not at all: somebody has a hold, or there is no timer.
    Stands,
}

impl VirtualClock {
    /// It begins with the real time.
    pub(crate) fn new() -> Arc<VirtualClock> {
        Arc::new(VirtualClock {
            reading: Mutex::new(Reading {
                time: clock::real_now(),
                since: None,
                flow: Flow::Stands,
            }),
            holds: AtomicUsize::new(0),
            waits_elsewhere: AtomicUsize::new(0),
        })
    }

    pub(crate) fn now(&self) -> u64 {
        lock(&self.reading).now()
    }

    /// For who wants to know why a test takes its time.
    pub(crate) fn flow(&self) -> Flow {
        lock(&self.reading).flow
    }

    /// Makes it this thread's clock, until the answer is dropped.
    pub(crate) fn put_in_force(clock: &Arc<VirtualClock>) -> InForce {
        let former = IN_FORCE.try_with(|in_force| in_force.replace(Some(Arc::clone(clock))));
        // A thread that is ending has lost its clock, and goes by the real one.
        IS_IN_FORCE.set(former.is_ok());
        InForce {
            former: former.ok().flatten(),
            _not_send: PhantomData,
        }
    }

    fn is_held(&self) -> bool {
        // Acquire: pairs with the release in `Hold::drop`, before which its owner has woken.
        self.holds.load(Ordering::Acquire) > 0
    }

    /// From now on time passes like this.
    fn let_flow(&self, flow: Flow) {
        let mut reading = lock(&self.reading);
        reading.time = reading.now();
        reading.since = (flow == Flow::Runs).then(clock::real_now);
        reading.flow = flow;
    }

    /// Moves the clock on to this time, if that is ahead of it.
    fn set(&self, time: u64) {
        let mut reading = lock(&self.reading);
        reading.time = reading.time.max(time);
    }
}

impl Reading {
    fn now(&self) -> u64 {
        let passed = self
            .since
            .map(|since| clock::real_now().saturating_sub(since));
        self.time.saturating_add(passed.unwrap_or(0)).min(NEVER - 1)
    }
}

/// What the clock says that is in force on this thread, if one is.
#[inline]
pub(super) fn now() -> Option<u64> {
    if !IS_IN_FORCE.get() {
        return None;
    }
    in_force().map(|clock| clock.now())
}

/// The clock that is in force on this thread.
#[inline]
pub(crate) fn in_force() -> Option<Arc<VirtualClock>> {
    if !IS_IN_FORCE.get() {
        return None;
    }
    let clock = IN_FORCE.try_with(|in_force| in_force.borrow().clone());
    clock.ok().flatten()
}

/// The time for which a clock is in force on a thread.
#[derive(Debug)]
pub(crate) struct InForce {
    former: Option<Arc<VirtualClock>>,
    /// It belongs to one thread.
    _not_send: PhantomData<*const ()>,
}

impl Drop for InForce {
    fn drop(&mut self) {
        let former = self.former.take();
        // If the thread is ending its clock is gone already.
        let _ = IS_IN_FORCE.try_with(|is_in_force| is_in_force.set(former.is_some()));
        let _ = IN_FORCE.try_with(|in_force| in_force.replace(former));
    }
}

/// While there is one, the clock does not jump: something is under way elsewhere whose end is an event
/// here.
#[derive(Debug)]
pub(crate) struct Hold<P: Poller = OsPoller> {
    clock: Arc<VirtualClock>,
    /// Whom to tell of its end.
    reactor: Arc<Reactor<P>>,
}

/// A hold on this thread's clock and reactor, if a virtual clock is in force; or on those of the call
/// that this thread is in.
pub(crate) fn hold() -> io::Result<Option<Hold>> {
    match in_force() {
        Some(clock) => Ok(Some(Hold::new(clock, context::current()?))),
        None => Ok(hold_of_call()),
    }
}

/// None outside of calls, and on a thread that is ending.
fn hold_of_call() -> Option<Hold> {
    let hold = HOLD_OF_CALL.try_with(|hold| hold.borrow().clone());
    hold.unwrap_or_default()
}

/// What this thread's clock says or, inside a call on the pool, that of who waits for it.
pub(crate) fn shown() -> Option<u64> {
    now().or_else(|| Some(hold_of_call()?.clock.now()))
}

/// The call that this thread is in has this hold, until the answer is dropped.
pub(crate) fn lend_to_call(hold: Option<Hold>) -> Lent {
    let former = HOLD_OF_CALL.try_with(|of_call| of_call.replace(hold));
    Lent(former.unwrap_or_default())
}

/// The time for which a hold is lent.
#[derive(Debug)]
pub(crate) struct Lent(Option<Hold>);

impl Drop for Lent {
    fn drop(&mut self) {
        let former = self.0.take();
        // If the thread is ending it is gone already.
        let _ = HOLD_OF_CALL.try_with(|of_call| of_call.replace(former));
    }
}

impl<P: Poller> Hold<P> {
    fn new(clock: Arc<VirtualClock>, reactor: Arc<Reactor<P>>) -> Hold<P> {
        // Relaxed: the thread that turns the reactor is this one, or another hold is there.
        clock.holds.fetch_add(1, Ordering::Relaxed);
        Hold { clock, reactor }
    }
}

/// A second one, which holds as long as it likes.
impl<P: Poller> Clone for Hold<P> {
    fn clone(&self) -> Hold<P> {
        // (There is one already, so who turns the reactor waits for a notification.)
        Hold::new(Arc::clone(&self.clock), Arc::clone(&self.reactor))
    }
}

impl<P: Poller> Drop for Hold<P> {
    fn drop(&mut self) {
        // Release: pairs with the acquire in `is_held`.
        if self.clock.holds.fetch_sub(1, Ordering::Release) == 1 {
            // It fails in a fork of the process alone, where nobody waits.
            let _ = self.reactor.notify();
        }
    }
}

/// While there is one, the clock runs: a task waits for something of the system's that its reactor
/// does not know.
#[derive(Debug)]
pub(crate) struct RealTime(Arc<VirtualClock>);

/// Makes time real, if a virtual clock is in force on this thread. Whoever wakes the task drops it
/// afterwards, or the task does.
pub(crate) fn real_time() -> Option<RealTime> {
    let clock = in_force()?;
    // Relaxed: the thread that turns the reactor is this one.
    clock.waits_elsewhere.fetch_add(1, Ordering::Relaxed);
    Some(RealTime(clock))
}

impl Drop for RealTime {
    fn drop(&mut self) {
        // Release: pairs with the acquire in `wait_virtually`, as that of a hold does.
        self.0.waits_elsewhere.fetch_sub(1, Ordering::Release);
    }
}

impl<P: Poller> Reactor<P> {
    /// The wait of a turn for which there is time, under this clock: the table of the module.
    pub(super) fn wait_virtually(
        &self,
        clock: &VirtualClock,
        events: &mut Events,
        limit: Option<Duration>,
    ) -> io::Result<()> {
        // These counts before the notifications: who gives up a hold has notified before, if he woke.
        // Acquire: pairs with the release in `RealTime::drop`.
        let is_elsewhere = clock.waits_elsewhere.load(Ordering::Acquire) > 0;
        let flow = if is_elsewhere || self.is_source_awaited() {
            Flow::Runs
        } else if clock.is_held() || self.timers().is_empty() && limit.is_none() {
            Flow::Stands
        } else {
            Flow::Jumps
        };
        clock.let_flow(flow);
        match flow {
            Flow::Runs => self.wait_for_timers(events, limit, Rise::WithTheFirst),
            Flow::Stands => self.poller.wait(events, limit),
            Flow::Jumps => {
                self.poller.wait(events, Some(Duration::ZERO))?;
                if events.is_empty() && !self.take_notification() {
                    let end = limit.map_or(NEVER, |limit| clock::after(clock.now(), limit));
                    clock.set(self.timers().next_deadline().min(end).min(NEVER - 1));
                }
                Ok(())
            }
        }
    }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests;
