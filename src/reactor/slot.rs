//! The reactor's record of one source: what is known of its readiness, and who waits for it.
//!
//! # Who may touch what
//!
//! * `state` is an atomic word: a *tick* above, the readiness bits below. Anybody may read it;
//!   [`Slot::fire`] sets bits and moves the tick on, [`Slot::clear_ready`] clears bits, if the tick
//!   is still the one that its caller saw.
//! * `waiting` (wakers, and the link to a reactor) is behind a lock. Nothing foreign runs under it:
//!   wakers are cloned before it is taken, and dropped and woken after it is released. Calls to the
//!   poller's table are made under it, which keeps table and link in step; they do not block.
//!
//! # The protocol
//!
//! ```text
//!        try the operation <----------------------------------------------.
//!              | would block                                              |
//!        clear_ready(what I saw)   -- no-op if a newer event came         | woken
//!              |                                                          |
//!        poll_ready: bits set? ---- yes --> try again                     |
//!              | no                                                       |
//!        lock; link to a driven reactor; leave the waker; look again; unlock; Pending
//! ```
//!
//! * To wait: (1) lock, leave the waker; (2) look at `state` again, still under the lock; (3) if
//!   nothing is ready, unlock and return `Pending`.
//! * To fire: (1) set the bits; (2) lock, take the wakers; (3) unlock, wake.
//!
//! Either the waiter's step 2 comes after the firer's step 1 and sees the bits, or the firer's
//! step 2 comes after the waiter's step 1 and finds the waker: the lock orders the two critical
//! sections, one way or the other.
//!
//! The same argument covers a reactor that ceases to be driven ([`Reactor::release`]): it first says
//! so and then locks each of its slots to wake who waits there, while a waiter looks at
//! [`Reactor::is_driven`] under the lock.

use std::io;
use std::mem;
use std::task::{Context, Poll, Waker};

use super::Reactor;
use super::wakers::WakerBatch;
use crate::poller::{Interest, Key, OsPoller, Poller, Readiness, Source, Trigger};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// One of the two ways in which a source can be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Reading, accepting; out-of-band data too, if that was asked for.
    Read,
    /// Writing, and the end of a connection attempt.
    Write,
}

impl Direction {
    /// The bits that say that this direction is worth a try.
    const fn readiness(self) -> Readiness {
        match self {
            Direction::Read => Readiness::READABLE.union(Readiness::PRIORITY),
            Direction::Write => Readiness::WRITABLE,
        }
    }

    /// The bits that a would-block in this direction proves wrong. An error is a matter of both.
    const fn refuted_by_would_block(self) -> Readiness {
        let of_direction = match self {
            Direction::Read => Readiness::READ_CLOSED,
            Direction::Write => Readiness::WRITE_CLOSED,
        };
        self.readiness().union(of_direction).union(Readiness::ERROR)
    }

    /// What of an interest belongs to this direction.
    const fn part_of(self, interest: Interest) -> Interest {
        interest.intersection(match self {
            Direction::Read => Interest::READABLE.union(Interest::PRIORITY),
            Direction::Write => Interest::WRITABLE,
        })
    }
}

/// What was known of a source at some moment: the receipt with which [`clear_ready`] is called.
///
/// [`clear_ready`]: super::Registration::clear_ready
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    direction: Direction,
    state: State,
}

impl Ready {
    /// The direction that was asked about.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// All that was known, of the other direction too.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.state.readiness()
    }
}

/// The atomic word, taken apart: 56 bits of tick (a source with a thousand million events a second
/// wraps it after two years), 8 of readiness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State(u64);

impl State {
    const READINESS_BITS: u32 = 8;

    fn new(tick: u64, readiness: Readiness) -> State {
        State(tick << State::READINESS_BITS | u64::from(readiness.bits()))
    }

    fn tick(self) -> u64 {
        self.0 >> State::READINESS_BITS
    }

    fn readiness(self) -> Readiness {
        Readiness::from_bits((self.0 & 0xff) as u8)
    }
}

/// The record.
#[derive(Debug)]
pub(crate) struct Slot<P: Poller = OsPoller> {
    state: AtomicU64,
    interest: Interest,
    waiting: Mutex<Waiting<P>>,
}

/// What is behind the slot's lock.
#[derive(Debug)]
struct Waiting<P: Poller> {
    link: Option<Link<P>>,
    /// The latest waker of `poll_ready`, for each direction.
    latest: [Option<Waker>; 2],
    /// The wakers of `ready` futures; empty, and without an allocation, for nearly all sources.
    crowd: Vec<Waiter>,
    next_waiter: u64,
}

/// The place of a slot in a reactor.
struct Link<P: Poller> {
    reactor: Arc<Reactor<P>>,
    key: Key,
    ticket: P::Ticket,
    /// The directions for which the poller owes us an event. Kept only where `rearm` is needed.
    armed: Interest,
}

impl<P: Poller> std::fmt::Debug for Link<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("key", &self.key)
            .field("armed", &self.armed)
            .finish()
    }
}

/// One `ready` future that waits.
#[derive(Debug)]
struct Waiter {
    id: u64,
    direction: Direction,
    waker: Waker,
}

/// Who waits: the latest `poll_ready`, or one of the crowd by its number.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Who {
    Latest,
    /// `None` until the first poll that had to wait.
    OneOf(Option<u64>),
}

impl<P: Poller> Slot<P> {
    /// A record that believes in `readiness` until the first would-block. A source is worth a try
    /// before anything is known of it; a socket that is being connected is not.
    pub(crate) fn new(interest: Interest, readiness: Readiness) -> Arc<Slot<P>> {
        Arc::new(Slot {
            state: AtomicU64::new(State::new(0, readiness).0),
            interest,
            waiting: Mutex::new(Waiting {
                link: None,
                latest: [None, None],
                crowd: Vec::new(),
                next_waiter: 0,
            }),
        })
    }

    /// What is known now, if that makes the direction worth a try.
    pub(crate) fn is_ready(&self, direction: Direction) -> Option<Ready> {
        // Acquire: pairs with the release in `fire`.
        let state = State(self.state.load(Ordering::Acquire));
        state
            .readiness()
            .intersects(direction.readiness())
            .then_some(Ready { direction, state })
    }

    /// Answers `Ready` if the direction is worth a try, else leaves the task's waker. `context` says
    /// with which reactor to register, should the slot have none that is driven.
    ///
    /// What has to be found out without the lock (the context, which may start a thread; a clone of
    /// the waker, which is foreign code) is found out in a first round, and used in a second one, so
    /// that everything that decides happens in one critical section.
    pub(crate) fn poll_ready(
        slot: &Arc<Self>,
        cx: &mut Context<'_>,
        who: &mut Who,
        direction: Direction,
        source: Source<'_>,
        context: impl Fn() -> io::Result<Arc<Reactor<P>>>,
    ) -> Poll<io::Result<Ready>> {
        if let Some(ready) = slot.is_ready(direction) {
            return Poll::Ready(Ok(ready));
        }
        let (mut reactor, mut spare) = (None, None);
        let (answer, displaced) = loop {
            let mut waiting = lock(&slot.waiting);
            if !waiting.is_linked_to_driven() {
                let Some(reactor) = reactor.take() else {
                    drop(waiting);
                    reactor = Some(context()?);
                    continue;
                };
                Slot::link(slot, &mut waiting, reactor, source)?;
            }
            let mut displaced = None;
            if !waiting.has_waker(cx.waker(), *who, direction) {
                let Some(waker) = spare.take() else {
                    drop(waiting);
                    spare = Some(cx.waker().clone());
                    continue;
                };
                displaced = waiting.put_waker(waker, who, direction);
            }
            break match slot.is_ready(direction) {
                Some(ready) => (Poll::Ready(Ok(ready)), displaced),
                None => match waiting.arm(direction, slot.interest) {
                    Ok(()) => (Poll::Pending, displaced),
                    Err(error) => (Poll::Ready(Err(error)), displaced),
                },
            };
        };
        drop(displaced); // Without the lock: it runs foreign code.
        answer
    }

    /// Believes the would-block that the holder of `ready` met, unless news came since.
    pub(crate) fn clear_ready(&self, ready: Ready) {
        let refuted = ready.direction.refuted_by_would_block();
        // Relaxed: clearing publishes nothing, and the failure is news that `poll_ready` will read.
        let _ = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let state = State(word);
                (state.tick() == ready.state.tick())
                    .then(|| State::new(state.tick(), state.readiness().difference(refuted)).0)
            });
    }

    /// Delivers what the system said: step 1 and 2 of firing. Whom to wake is put into the batch,
    /// which is woken in between where it is full.
    pub(crate) fn fire(&self, readiness: Readiness, batch: &mut WakerBatch) {
        // Release: pairs with the acquire in `is_ready`.
        let _ = self
            .state
            .fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
                let state = State(word);
                Some(State::new(state.tick() + 1, state.readiness().union(readiness)).0)
            });
        let mut waiting = lock(&self.waiting);
        waiting.disarm(readiness);
        let woken = waiting.take_waiters(readiness);
        drop(waiting);
        woken.push_into(batch);
    }

    /// Wakes all who wait, whatever is ready: they will look for another reactor.
    pub(crate) fn wake_all(&self, batch: &mut WakerBatch) {
        let everything = Readiness::READABLE | Readiness::WRITABLE;
        let woken = lock(&self.waiting).take_waiters(everything);
        woken.push_into(batch);
    }

    /// Takes a `ready` future off the list.
    pub(crate) fn forget(&self, id: u64) {
        let mut waiting = lock(&self.waiting);
        let position = waiting.crowd.iter().position(|waiter| waiter.id == id);
        let waiter = position.map(|position| waiting.crowd.swap_remove(position));
        drop(waiting);
        drop(waiter);
    }

    /// Leaves the reactor: the poller's table first, the reactor's after.
    pub(crate) fn deregister(&self, source: Source<'_>) -> io::Result<()> {
        let mut waiting = lock(&self.waiting);
        let link = waiting.link.take();
        let woken = waiting.take_waiters(Readiness::READABLE | Readiness::WRITABLE);
        let deleted = link.map_or(Ok(()), |link| link.cut(source));
        drop(waiting);
        let mut batch = WakerBatch::new();
        woken.push_into(&mut batch);
        batch.wake_all();
        deleted
    }

    /// Registers with `reactor`, and leaves the former one.
    fn link(
        slot: &Arc<Self>,
        waiting: &mut Waiting<P>,
        reactor: Arc<Reactor<P>>,
        source: Source<'_>,
    ) -> io::Result<()> {
        if let Some(link) = waiting.link.take() {
            if Arc::ptr_eq(&link.reactor, &reactor) {
                waiting.link = Some(link); // Not driven at the moment, but nobody else is either.
                return Ok(());
            }
            // A former reactor that has lost its queue cannot be told; its entry dies with it.
            let _ = link.cut(source);
        }
        let key = reactor.insert(Arc::clone(slot));
        // SAFETY: the source is deleted before it is closed: `Registration`, the only caller with a
        // real source, calls `deregister` before it drops or hands out what it owns.
        let added = unsafe {
            reactor
                .poller()
                .add(source, key, slot.interest, Trigger::Edge)
        };
        match added {
            Ok(ticket) => {
                let armed = slot.interest;
                waiting.link = Some(Link {
                    reactor,
                    key,
                    ticket,
                    armed,
                });
                Ok(())
            }
            Err(error) => {
                reactor.remove(key);
                Err(error)
            }
        }
    }
}

impl<P: Poller> Link<P> {
    fn cut(self, source: Source<'_>) -> io::Result<()> {
        let deleted = self.reactor.poller().delete(self.ticket, source);
        self.reactor.remove(self.key);
        deleted
    }
}

impl<P: Poller> Waiting<P> {
    fn is_linked_to_driven(&self) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.reactor.is_driven())
    }

    fn has_waker(&self, waker: &Waker, who: Who, direction: Direction) -> bool {
        match who {
            Who::Latest => {
                let latest = self.latest[direction as usize].as_ref();
                latest.is_some_and(|latest| latest.will_wake(waker))
            }
            Who::OneOf(id) => self
                .crowd
                .iter()
                .any(|waiter| Some(waiter.id) == id && waiter.waker.will_wake(waker)),
        }
    }

    fn put_waker(&mut self, waker: Waker, who: &mut Who, direction: Direction) -> Option<Waker> {
        let id = match who {
            Who::Latest => return self.latest[direction as usize].replace(waker),
            Who::OneOf(id) => *id.get_or_insert_with(|| {
                self.next_waiter += 1;
                self.next_waiter
            }),
        };
        match self.crowd.iter_mut().find(|waiter| waiter.id == id) {
            Some(waiter) => Some(mem::replace(&mut waiter.waker, waker)),
            None => {
                self.crowd.push(Waiter {
                    id,
                    direction,
                    waker,
                });
                None
            }
        }
    }

    /// Asks the poller for the next event in a direction that met would-block.
    fn arm(&mut self, direction: Direction, interest: Interest) -> io::Result<()> {
        if !P::CAPS.needs_rearm {
            return Ok(());
        }
        let Some(link) = &mut self.link else {
            return Ok(());
        };
        let wanted = direction.part_of(interest);
        if !link.armed.contains(wanted) {
            link.reactor.poller().rearm(&link.ticket, wanted)?;
            link.armed |= wanted;
        }
        Ok(())
    }

    /// Remembers that the directions of an event are quiet from now on.
    fn disarm(&mut self, readiness: Readiness) {
        let Some(link) = &mut self.link else { return };
        for direction in [Direction::Read, Direction::Write] {
            if readiness.intersects(direction.readiness()) {
                link.armed = link.armed.difference(direction.part_of(link.armed));
            }
        }
    }

    /// Takes the wakers of those whose direction is ready.
    fn take_waiters(&mut self, readiness: Readiness) -> Woken {
        let mut woken = Woken::default();
        for direction in [Direction::Read, Direction::Write] {
            if readiness.intersects(direction.readiness()) {
                let latest = self.latest[direction as usize].take();
                latest.into_iter().for_each(|waker| woken.push(waker));
            }
        }
        self.crowd.retain_mut(|waiter| {
            let is_ready = readiness.intersects(waiter.direction.readiness());
            if is_ready {
                // The one that takes its place wakes nobody, and dropping it runs no foreign code.
                let placeholder = Waker::noop().clone();
                woken.push(mem::replace(&mut waiter.waker, placeholder));
            }
            !is_ready
        });
        woken
    }
}

/// Wakers on their way out of the lock: without an allocation for as many as there usually are.
#[derive(Default)]
struct Woken {
    few: [Option<Waker>; 4],
    many: Vec<Waker>,
}

impl Woken {
    fn push(&mut self, waker: Waker) {
        match self.few.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(waker),
            None => self.many.push(waker),
        }
    }

    fn push_into(self, batch: &mut WakerBatch) {
        for waker in self.few.into_iter().flatten().chain(self.many) {
            if batch.is_full() {
                batch.wake_all();
            }
            batch.push(waker);
        }
    }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a05_stale_clear_256() {
        let many = if cfg!(miri) { 512 } else { 65_536 };
        for events in [256, many] {
            let slot: Arc<Slot> = Slot::new(Interest::BOTH, Readiness::READABLE);
            let snapshot = slot.is_ready(Direction::Read).unwrap();
            let mut batch = WakerBatch::new();
            for _ in 0..events {
                slot.fire(Readiness::READABLE, &mut batch);
            }
            slot.clear_ready(snapshot);
            assert!(
                slot.is_ready(Direction::Read).is_some(),
                "{events} events later"
            );
            slot.clear_ready(slot.is_ready(Direction::Read).unwrap());
            assert!(slot.is_ready(Direction::Read).is_none());
        }
    }

    #[test]
    fn a_would_block_refutes_its_own_direction_only() {
        let everything = Readiness::from_bits(0xff);
        let slot: Arc<Slot> = Slot::new(Interest::BOTH, everything);
        slot.clear_ready(slot.is_ready(Direction::Read).unwrap());
        assert!(slot.is_ready(Direction::Read).is_none());
        let write = slot.is_ready(Direction::Write).unwrap();
        assert_eq!(
            write.readiness(),
            Readiness::WRITABLE | Readiness::WRITE_CLOSED
        );
    }
}
