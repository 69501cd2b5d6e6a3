//! Timers: who waits for which moment.
//!
//! # Concepts
//!
//! A [`Timer`] is a deadline with a waker, and it contains the [`Node`] by which it hangs in the
//! [`Timers`] of one reactor. Starting and stopping one is a constant amount of work and neither
//! allocates nor calls the system.
//!
//! The structure is a hierarchical timing wheel whose ticks are nanoseconds, in other words a radix
//! heap with 64 branches. A time is a number of eleven digits to the base 64. `elapsed` is a time
//! at or before every timer here, and a timer hangs at
//!
//! * the *level* of the first digit, from the left, in which it differs from `elapsed` (level 0 is
//!   the last digit, and also the place of those that do not differ), and
//! * the *slot* that this digit of the timer names.
//!
//! ```text
//!    level          2         1         0
//!    elapsed       05        17        60
//!    timer a       05        17        62     differs in the last digit:  level 0, slot 62
//!    timer b       05        20        03     level 1, slot 20
//!    timer c       05        20        59     level 1, slot 20, together with b
//!    timer d       06        00        00     level 2, slot 06
//! ```
//!
//! Two things follow. The timers of a level come before those of every level above it, and within a
//! level the slots are in order: *the first timer is in the first occupied slot of the lowest
//! occupied level*, which two bit scans find. And the slots of level 0 hold one time each.
//!
//! # Life of one timer
//!
//! ```text
//!                 insert (1)                     expire (3)
//!      IDLE ---------------------> LINKED ---------------------> FIRED
//!       ^  ^                       |  |  ^                         |
//!       |  |   remove (4)          |  '--' expire (2): spread      |
//!       |  |   wake_all_into (5)   |       to lower levels         |
//!       |  '-----------------------'                               |
//!       '----------------------------------------------------------'
//!                             reset, remove (4)
//! ```
//!
//! 1. A first poll, by [`Timer::poll_elapsed`].
//! 2. Time reaches the first slot and it is not of level 0: `elapsed` moves to the earliest time in
//!    it, and its timers, now alike to `elapsed` in one digit more, spread over lower levels. No
//!    other timer is affected: their first different digit is still the same.
//! 3. Time reaches a slot of level 0, or one of a single timer: its timers fire, the one that was
//!    inserted first before the others. So all timers fire in the order of their deadlines, however
//!    late it is (`a21_clock_jump`).
//! 4. The timer is dropped or reset.
//! 5. The reactor is no longer driven. The timers are woken, and move to another one.
//!
//! # What it costs
//!
//! * *A long gap* costs nothing: time is not ticked through, it goes from one occupied slot to the
//!   next (`a22_uptime_wrap` goes in steps of months).
//! * *A timer moves* at most ten times, to a lower level each time. In practice it is two or three
//!   times, since whoever looks at the wheel seldom finds time advanced by less than some
//!   microseconds.
//! * *The lock* is held for 32 wakers or [`SPREAD_MAX`] moves at a time. A slot with a million timers
//!   spreads in many goes, between which others get in: its rest stays where it is, and nothing
//!   fires before all of it has moved. (A timer that comes between two goes may fire before others
//!   for the very same time.)
//! * *Wake-ups for nothing*: a wheel that is driven by its slots' beginnings wakes the thread at each
//!   move. Here each slot remembers the earliest time that was ever put into it since it was empty,
//!   so that a thread sleeps until a timer is due, and moves none before. This memory is wrong only
//!   after the earliest timer of a slot has been cancelled and others are left. Then there may be
//!   one wake-up too many, and it moves all of those down a level.
//! * *Memory*: 11 KiB in each reactor, 56 bytes in each timer.
//!
//! # Who may touch what
//!
//! The fields of [`Timers`] are guarded by its reactor's lock. Those of a [`Node`] are private to
//! this module, and
//!
//! | field | touched by | when |
//! |---|---|---|
//! | `next`, `previous`, `state`, `waker` | the methods of the [`Timers`] that was given the node, which have `&mut Timers` and thereby the lock | always |
//! | `deadline` | read by the same, under the lock, while the node is linked | |
//! | `deadline` | read by its owner at any time | |
//! | `deadline` | written by its owner, under the lock if a reactor may know the node | by `&mut`, so while nobody reads it |
//! | `home` (of [`Timer`]) | its owner | by `&mut` |
//!
//! *No waker is woken, cloned or dropped under the lock.* They enter ready-made and leave whole: to
//! a [`WakerBatch`] or to the caller (`a15_hostile_waker_timers`).
//!
//! # An earlier timer ends the wait (`a18_earlier_timer`)
//!
//! A thread may insert a timer into the reactor in which another thread sleeps. Both sides decide
//! under the lock:
//!
//! * The sleeper, in `turn`: (1) lock; (2) [`begin_sleep`](Timers::begin_sleep) looks for the first
//!   timer and stores in `sleeping_until` when the sleep will end by itself; (3) unlock; (4) wait;
//!   (5) lock, [`end_sleep`](Timers::end_sleep), expire.
//! * Who inserts: (1) lock; (2) insert, and compare with `sleeping_until`; (3) unlock; (4) if the
//!   timer is earlier, `notify`.
//!
//! If the insert comes first, the sleeper's step 2 sees the timer. If it comes second, it sees the
//! sleeper's `sleeping_until`, and a `notify` is never lost, whether it comes before or during step
//! 4. The first who notifies sets `sleeping_until` back, since a sleep ends once. Between steps 4 and 5 the
//! turn fires slots: a timer that is inserted then may be notified of for nothing, which costs one short
//! turn. What is run between two turns never notifies its own thread.
//!
//! `sleeping_until` is the moment of the first timer also where the sleep goes on behind it, for a
//! [`crowd`].

mod crowd;
mod list;
#[cfg(all(test, not(ekio_loom)))]
mod tests;
mod timer;

use std::pin::Pin;
use std::task::Waker;
use std::time::Duration;

use super::clock::{self, NEVER};
use super::wakers::WakerBatch;
pub(super) use crowd::Rise;
use list::List;
pub(crate) use list::Node;
use list::{Place, State};
pub(crate) use timer::Timer;

/// How many bits a digit has. One `u64` says which slots of a level are occupied.
const DIGIT_BITS: u32 = 6;
const SLOTS: usize = 1 << DIGIT_BITS;
/// The digits of a `u64`.
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;

/// The most timers that move under one lock. Each is up to a cache miss or two, so that this is 2 to
/// 20 µs; a million in one go were 8 ms and more. (In the unit tests it is few, so that all of them meet slots that have not been
/// spread to the last.)
const SPREAD_MAX: usize = if cfg!(test) { 3 } else { 256 };

/// `sleeping_until` of a reactor in which nobody sleeps: no timer is earlier.
const AWAKE: u64 = 0;

/// The timers of one reactor. See the [module](self) for how it works.
#[derive(Debug)]
pub(crate) struct Timers {
    /// At or before every timer here.
    elapsed: u64,
    /// Bit n: level n has an occupied slot.
    occupied_levels: u16,
    levels: [Level; LEVELS],
    /// A slot that is being spread: `elapsed` lies in it, and so do timers, of which any may be the
    /// first.
    spreading: Option<Place>,
    /// A timer that is earlier than this ends the wait that is under way, or there is none ([`AWAKE`]).
    sleeping_until: u64,
}

#[derive(Debug)]
struct Level {
    /// Bit n: slot n is occupied.
    occupied: u64,
    slots: [Slot; SLOTS],
}

#[derive(Debug)]
struct Slot {
    list: List,
    /// At or before every timer of the list; exact until one is removed. Means nothing while the
    /// list is empty.
    earliest: u64,
}

// SAFETY: The lists hold pointers to nodes that other threads own. Send asks that whoever has the
// Timers may touch those nodes on any thread: their fields are touched under the lock only (the
// module's rules), a waker may be moved and dropped on any thread, and a node stays where it is
// until it is unlinked, as `insert` asks.
unsafe impl Send for Timers {}

impl Timers {
    /// No timers, at a time from which on some may come. (One from before is taken for one of then.)
    pub(crate) const fn new(elapsed: u64) -> Timers {
        const EMPTY: Level = Level {
            occupied: 0,
            slots: [const {
                Slot {
                    list: List::new(),
                    earliest: NEVER,
                }
            }; SLOTS],
        };
        Timers {
            elapsed,
            occupied_levels: 0,
            levels: [EMPTY; LEVELS],
            spreading: None,
            sleeping_until: AWAKE,
        }
    }

    /// Links a node. It fires when time has reached its deadline; a deadline in the past is the
    /// next to fire. True says that the caller must `notify` the reactor, after unlocking.
    ///
    /// # Safety
    ///
    /// * The node is not linked, here or elsewhere.
    /// * Until `remove` is called on it, it is given to no other `Timers`, and its deadline changes
    ///   by [`reset`](Timers::reset) alone.
    /// * `remove` is called on it before it is dropped.
    pub(crate) unsafe fn insert(&mut self, node: Pin<&Node>, waker: Waker) -> bool {
        node.waker.set(Some(waker));
        // SAFETY: `link` asks for what the caller has promised.
        unsafe { self.link(node.get_ref()) };
        self.must_notify(node.deadline.get())
    }

    /// Unlinks a node if it is linked, and gives back its waker, which the caller drops after
    /// unlocking.
    ///
    /// # Safety
    ///
    /// * The node has been given to no other `Timers` since it was last idle.
    pub(crate) unsafe fn remove(&mut self, node: Pin<&Node>) -> Option<Waker> {
        if let State::Linked(place) = node.state.get() {
            // SAFETY: `unlink` asks for a node that is linked there; its state says so, and the
            // caller has promised that it speaks of these Timers.
            unsafe { self.unlink(node.get_ref(), place) };
        }
        node.state.set(State::Idle);
        node.waker.take()
    }

    /// Gives a node another deadline. If it is linked it stays so, with its waker; else it is idle
    /// afterwards. The answer is that of `insert`.
    ///
    /// # Safety
    ///
    /// * The node has been given to no other `Timers` since it was last idle.
    pub(crate) unsafe fn reset(&mut self, node: Pin<&Node>, deadline: u64) -> bool {
        let State::Linked(place) = node.state.get() else {
            node.state.set(State::Idle);
            node.deadline.set(deadline);
            return false;
        };
        // SAFETY: `unlink` asks for a node that is linked there; its state says so, and the caller
        // has promised that it speaks of these Timers.
        unsafe { self.unlink(node.get_ref(), place) };
        node.deadline.set(deadline);
        // SAFETY: `link` asks for a node that is not linked, which was just seen to, and for what
        // the caller of `insert` has promised.
        unsafe { self.link(node.get_ref()) };
        self.must_notify(deadline)
    }

    /// How it stands with a node whose owner is polled with this waker.
    ///
    /// # Safety
    ///
    /// * The node has been given to no other `Timers` since it was last idle.
    pub(crate) unsafe fn look(&mut self, node: Pin<&Node>, waker: &Waker) -> Look {
        match node.state.get() {
            State::Idle => Look::Idle,
            State::Fired => Look::Fired,
            State::Linked(_) => {
                let stored = node.waker.take();
                // Compares two addresses, and calls nothing foreign.
                let is_known = stored.as_ref().is_some_and(|it| it.will_wake(waker));
                node.waker.set(stored);
                if is_known {
                    Look::Waits
                } else {
                    Look::WaitsForAnother
                }
            }
        }
    }

    /// If the node is linked, exchanges its waker for this one; the caller drops what it gets after
    /// unlocking. Else does nothing.
    ///
    /// # Safety
    ///
    /// * The node has been given to no other `Timers` since it was last idle.
    pub(crate) unsafe fn exchange(&mut self, node: Pin<&Node>, waker: &mut Option<Waker>) -> Look {
        match node.state.get() {
            State::Idle => Look::Idle,
            State::Fired => Look::Fired,
            State::Linked(_) => {
                *waker = node.waker.replace(waker.take());
                Look::Waits
            }
        }
    }

    /// The earliest moment at which there may be something to [`expire`](Timers::expire), or
    /// [`NEVER`].
    pub(crate) fn next_deadline(&self) -> u64 {
        if self.spreading.is_some() {
            return self.elapsed;
        }
        self.first()
            .map_or(NEVER, |place| self.slot(place).earliest)
    }

    /// Fires the timers whose deadline is at or before `now`, in order, as many as there is room
    /// for in the batch. True says that there may be more: unlock, wake, and come again with the
    /// *same* `now`, or the timers that the woken start could keep you here.
    pub(crate) fn expire(&mut self, now: u64, batch: &mut WakerBatch) -> bool {
        let mut moves_left = SPREAD_MAX;
        loop {
            if let Some(place) = self.spreading {
                self.spread(place, &mut moves_left);
                if self.spreading.is_some() {
                    return true;
                }
            }
            let Some(place) = self.first() else {
                return false;
            };
            let Slot { list, earliest } = self.slot(place);
            let earliest = *earliest;
            if earliest > now {
                return false;
            }
            let is_for_one_time = place.level == 0 || list.only() == Some(earliest);
            if is_for_one_time && batch.is_full() {
                // Time stays behind who waits, for the sake of those that come before the next go.
                return true;
            }
            debug_assert!(self.elapsed <= earliest, "time went back");
            self.elapsed = earliest;
            if is_for_one_time {
                self.pop(place, State::Fired, batch);
            } else {
                self.spreading = Some(place);
            }
        }
    }

    /// Moves wakers of nodes that have not fired into the batch, as many as there is room for, and
    /// lets go of their nodes. True says that there are more. For a reactor that is not driven any
    /// longer.
    pub(crate) fn wake_all_into(&mut self, batch: &mut WakerBatch) -> bool {
        while let Some(place) = self.first() {
            if batch.is_full() {
                return true;
            }
            self.pop(place, State::Idle, batch);
        }
        false
    }

    /// Notes that the calling thread is about to `wait`, and answers for how long: until the first
    /// timer or, by `rise`, the end of its [`crowd`], or for `limit` if that is shorter. `None` is "for
    /// ever", on both sides. The caller unlocks, and waits.
    ///
    /// The clock is read if there is anything to compare it with.
    pub(crate) fn begin_sleep(&mut self, limit: Option<Duration>, rise: Rise) -> Option<Duration> {
        let first = self.next_deadline();
        if first == NEVER && limit.is_none() {
            self.sleeping_until = NEVER;
            return None;
        }
        let now = clock::now();
        let limit = limit.map_or(NEVER, |limit| clock::after(now, limit));
        self.sleeping_until = first.min(limit);
        let end = match rise {
            Rise::WithTheFirst => first,
            Rise::WithItsCrowd => {
                let near = self.upcoming(crowd::horizon(now));
                crowd::end_of_wait(now, first, near)
            }
        };
        let end = end.min(limit);
        // `NEVER` is only left of a limit that is as good as none.
        (end != NEVER).then(|| Duration::from_nanos(end.saturating_sub(now)))
    }

    /// The deadlines, slot by slot, up to the first slot that has none before `horizon`.
    fn upcoming(&self, horizon: u64) -> impl Iterator<Item = u64> {
        let levels = bits(self.occupied_levels.into()).map(|level| &self.levels[level]);
        let slots = levels.flat_map(|level| bits(level.occupied).map(|slot| &level.slots[slot]));
        let near = slots.take_while(move |slot| slot.earliest < horizon);
        near.flat_map(|slot| slot.list.iter().map(|node| node.deadline.get()))
    }

    /// Notes that the thread is back, and about to [`expire`](Timers::expire).
    pub(crate) fn end_sleep(&mut self) {
        self.sleeping_until = AWAKE;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.occupied_levels == 0
    }

    /// Shows the wakers of all timers, and their deadlines. `visit` may not touch these Timers.
    pub(crate) fn visit(&mut self, mut visit: impl FnMut(&Waker, u64)) {
        let slots = self.levels.iter().flat_map(|level| &level.slots);
        for node in slots.flat_map(|slot| slot.list.iter()) {
            let waker = node.waker.take();
            if let Some(waker) = &waker {
                visit(waker, node.deadline.get());
            }
            node.waker.set(waker);
        }
    }

    fn must_notify(&mut self, deadline: u64) -> bool {
        let is_earlier = deadline < self.sleeping_until;
        if is_earlier {
            // One notification ends the sleep.
            self.sleeping_until = AWAKE;
        }
        is_earlier
    }

    /// Where the first timer is.
    fn first(&self) -> Option<Place> {
        if self.occupied_levels == 0 {
            return None;
        }
        let level = self.occupied_levels.trailing_zeros();
        let slot = self.levels[level as usize].occupied.trailing_zeros();
        Some(Place {
            level: level as u8,
            slot: slot as u8,
        })
    }

    /// Where a timer for this time belongs.
    fn place_of(&self, time: u64) -> Place {
        let different_bits = time ^ self.elapsed;
        let level = (different_bits | 1).ilog2() / DIGIT_BITS;
        let slot = (time >> (level * DIGIT_BITS)) % SLOTS as u64;
        Place {
            level: level as u8,
            slot: slot as u8,
        }
    }

    fn slot(&self, place: Place) -> &Slot {
        &self.levels[usize::from(place.level)].slots[usize::from(place.slot)]
    }

    fn slot_mut(&mut self, place: Place) -> &mut Slot {
        &mut self.levels[usize::from(place.level)].slots[usize::from(place.slot)]
    }

    /// # Safety
    ///
    /// * The node is in no list, and `insert` may be called on it.
    unsafe fn link(&mut self, node: &Node) {
        let time = node.deadline.get().max(self.elapsed);
        let place = self.place_of(time);
        self.occupied_levels |= 1 << place.level;
        self.levels[usize::from(place.level)].occupied |= 1 << place.slot;
        let slot = self.slot_mut(place);
        slot.earliest = if slot.list.is_empty() {
            time
        } else {
            slot.earliest.min(time)
        };
        // SAFETY: `push` asks for a node in no list, which the caller has promised; that it stays
        // in its place while it is in this one, which a pinned node does until `remove` has
        // unlinked it; and for the rules of its fields, which this module follows.
        unsafe { slot.list.push(node) };
        node.state.set(State::Linked(place));
    }

    /// # Safety
    ///
    /// * The node is linked here, in this place.
    unsafe fn unlink(&mut self, node: &Node, place: Place) {
        let list = &mut self.slot_mut(place).list;
        // SAFETY: `remove` asks for a node of this list, which the caller has promised.
        unsafe { list.remove(node) };
        if list.is_empty() {
            self.mark_empty(place);
        }
    }

    fn mark_empty(&mut self, place: Place) {
        if self.spreading == Some(place) {
            self.spreading = None;
        }
        let level = &mut self.levels[usize::from(place.level)];
        level.occupied &= !(1 << place.slot);
        if level.occupied == 0 {
            self.occupied_levels &= !(1 << place.level);
        }
    }

    /// Links the timers of a slot anew, after `elapsed` has come into it, as many as may move.
    fn spread(&mut self, place: Place, moves_left: &mut usize) {
        let mut timers = self.slot_mut(place).list.take();
        while *moves_left > 0 {
            let Some(node) = timers.pop() else { break };
            *moves_left -= 1;
            // SAFETY: `link` asks for a node that is in no list, which it has just left, and for
            // what the caller of `insert` has promised. (It goes to a lower level than this, so
            // that the slot may be without its list meanwhile.)
            unsafe { self.link(node) };
        }
        if timers.is_empty() {
            self.mark_empty(place);
        }
        self.slot_mut(place).list = timers;
    }

    /// Unlinks the first timer of a slot, and moves its waker into the batch.
    fn pop(&mut self, place: Place, state: State, batch: &mut WakerBatch) {
        if let Some(node) = self.slot_mut(place).list.pop() {
            node.state.set(state);
            node.waker.take().into_iter().for_each(|it| batch.push(it));
        }
        if self.slot(place).list.is_empty() {
            self.mark_empty(place);
        }
    }
}

/// The numbers of the bits that are set.
fn bits(mut set: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let first = (set != 0).then(|| set.trailing_zeros() as usize);
        set &= set.wrapping_sub(1);
        first
    })
}

/// What [`Timers::look`] saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It is in no wheel.
    Idle,
    /// It will wake this waker.
    Waits,
    /// It will wake another waker than this.
    WaitsForAnother,
    /// Its time has come.
    Fired,
}
