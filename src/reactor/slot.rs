//! The reactor's record of one source: what is known of its readiness, and who waits for it.
//!
//! # Who may touch what
//!
//! * `state` is an atomic word: a *tick* above, the readiness bits below. Anybody may read it;
//!   [`Slot::fire`] sets bits and moves the tick on, [`Slot::clear_ready`] clears bits, if the tick
//!   is still the one that its caller saw.
//! * [`waiting`](waiting::Waiting) (wakers, and the link to a reactor) is behind a lock. Nothing foreign
//!   runs under it: wakers are cloned before it is taken, and dropped and woken after it is released.
//!   Calls to the poller's table are made under it, which keeps table and link in step; they do not
//!   block.
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
//!        lock; link to a driven reactor; look again; leave the waker; unlock; Pending
//! ```
//!
//! * To wait: (1) lock; (2) look at `state` again; (3) if nothing is ready, leave the waker; (4) unlock
//!   and return `Pending`.
//! * To fire: (1) set the bits; (2) lock, take the wakers; (3) unlock, wake. Who fires holds the lock of
//!   the reactor's table, which therefore comes before a slot's, wherever both are taken.
//!
//! The lock orders the two critical sections. Either the firer's comes first: then the waiter looks
//! after the bits have been set, and sees them. Or the waiter's comes first: then the firer finds the
//! waker.
//!
//! So who has waited and now sees the bits knows that his waker is gone, or about to be: they were not
//! set when he left it, and who set them takes it. He need not look for it (and is woken once for
//! nothing at worst).
//!
//! The same argument covers a reactor that ceases to be driven ([`Reactor::release`]): it first says
//! so and then locks each of its slots to wake who waits there, while a waiter looks at
//! [`Reactor::is_driven`] under the lock. A waiter that has just linked the slot looks once more: the
//! reactor's table, whose lock both take, had the slot either before it was searched for waiters, or
//! after the reactor had said so.

mod waiting;

use std::io;
use std::task::{Context, Poll, Waker};

use super::Reactor;
use super::waits::Wait;
use super::wakers::WakerBatch;
use crate::poller::{
    Interest, Key, Label, OsPoller, Poller, Readiness, Source, Trigger, addresses,
};
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};
use waiting::Waiting;

/// One of the two ways in which a source can be ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Reading, accepting; out-of-band data too, if that was asked for.
    Read = Readiness::READABLE.union(Readiness::PRIORITY).bits(),
    /// Writing, and the end of a connection attempt.
    Write = Readiness::WRITABLE.bits(),
}

impl Direction {
    /// The bits that say that this direction is worth a try: its number, because every poll of a leaf
    /// future asks for them.
    const fn readiness(self) -> Readiness {
        Readiness::from_bits(self as u8)
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

    fn new(readiness: Readiness) -> State {
        State(readiness.bits().into())
    }

    fn tick(self) -> u64 {
        self.0 >> State::READINESS_BITS
    }

    fn readiness(self) -> Readiness {
        Readiness::from_bits((self.0 & 0xff) as u8)
    }

    /// After one event more.
    fn after(self, readiness: Readiness) -> State {
        let with_bits = self.0 | u64::from(readiness.bits());
        State(with_bits.wrapping_add(1 << State::READINESS_BITS))
    }

    fn without(self, readiness: Readiness) -> State {
        State(self.0 & !u64::from(readiness.bits()))
    }
}

/// The record.
#[derive(Debug)]
pub(crate) struct Slot<P: Poller = OsPoller> {
    state: AtomicU64,
    waiting: Mutex<Waiting<P>>,
}

/// The record of a source fits in two cache lines, with the counts of its `Arc` and room to spare.
#[cfg(all(target_pointer_width = "64", poller = "epoll", not(ekio_loom)))]
const _: () = assert!(size_of::<Slot>() <= 88);

/// What wakes all who wait.
const EVERYTHING: Readiness = Readiness::READABLE.union(Readiness::WRITABLE);

/// Who waits: the latest `poll_ready`, or one of any number of others, each with a number of its own.
/// (After 2³² waits at one source the numbers begin again; a future would have to sleep through all of
/// them to meet its double.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Who(u32);

impl Who {
    pub(crate) const fn latest() -> Who {
        Who(0)
    }

    /// One of the others whose waker is not here: it gets a number when it has to wait.
    pub(crate) const fn newcomer() -> Who {
        Who(1)
    }

    pub(super) fn is_newcomer(self) -> bool {
        self == Who::newcomer()
    }
}

impl<P: Poller> Slot<P> {
    /// A record that believes in `readiness` until the first would-block. A source is worth a try
    /// before anything is known of it; a socket that is being connected is not.
    pub(crate) fn new(interest: Interest, readiness: Readiness) -> Arc<Slot<P>> {
        Arc::new(Slot {
            state: AtomicU64::new(State::new(readiness).0),
            waiting: Mutex::new(Waiting::new(interest)),
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
    #[inline]
    pub(crate) fn poll_ready(
        slot: &Arc<Self>,
        cx: &mut Context<'_>,
        who: &mut Who,
        direction: Direction,
        source: Source<'_>,
        context: impl Fn() -> io::Result<Arc<Reactor<P>>>,
    ) -> Poll<io::Result<Ready>> {
        match slot.is_ready(direction) {
            Some(ready) => Poll::Ready(Ok(ready)),
            None => Slot::poll_wait(slot, cx, who, direction, source, context),
        }
    }

    /// The rest of it, out of line, so that what is ready at once costs a load and a test in its caller.
    ///
    /// What cannot be found out under the lock (the context, which may start a thread; a clone of the
    /// waker, which is foreign code) is found out before, so that everything that decides happens in
    /// one critical section.
    #[inline(never)]
    fn poll_wait(
        slot: &Arc<Self>,
        cx: &mut Context<'_>,
        who: &mut Who,
        direction: Direction,
        source: Source<'_>,
        context: impl Fn() -> io::Result<Arc<Reactor<P>>>,
    ) -> Poll<io::Result<Ready>> {
        // It, or the one that it displaces, is dropped without the lock, on an error too: that runs
        // foreign code.
        let mut waker = Some(cx.waker().clone());
        let mut waiting = lock(&slot.waiting);
        if !waiting.is_linked_to_driven() {
            drop(waiting);
            Slot::link(slot, source, context()?)?;
            waiting = lock(&slot.waiting);
            if !waiting.is_linked_to_driven() {
                // Its last driver left since `context` asked, and may not have seen this slot.
                // Another look finds another reactor.
                drop(waiting);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        if let Some(ready) = slot.is_ready(direction) {
            return Poll::Ready(Ok(ready));
        }
        waiting.arm(direction)?;
        waiting.put_waker(&mut waker, who, direction);
        Poll::Pending
    }

    /// Leaves the task's waker for the next time that this direction is fired, by whoever knows the
    /// slot's key: it is in no poller's table.
    #[cfg(has_iocp)]
    pub(crate) fn leave_waker(&self, cx: &mut Context<'_>, direction: Direction) {
        let mut waker = Some(cx.waker().clone());
        lock(&self.waiting).put_waker(&mut waker, &mut Who::latest(), direction);
        // What it has displaced is dropped without the lock: it runs foreign code.
    }

    /// Believes the would-block that the holder of `ready` met, unless news came since.
    pub(crate) fn clear_ready(&self, ready: Ready) {
        let refuted = ready.direction.refuted_by_would_block();
        // Relaxed: clearing publishes nothing, and the failure is news that `poll_ready` will read.
        let _ = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let state = State(word);
                (state.tick() == ready.state.tick()).then(|| state.without(refuted).0)
            });
    }

    /// Delivers what the system said: step 1 and 2 of firing. Whom to wake is put into the batch.
    pub(crate) fn fire(&self, readiness: Readiness, batch: &mut WakerBatch) {
        // Release: pairs with the acquire in `is_ready`.
        let _ = self
            .state
            .fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
                Some(State(word).after(readiness).0)
            });
        let mut waiting = lock(&self.waiting);
        waiting.disarm(readiness);
        waiting.take_waiters(readiness, batch);
    }

    /// Wakes all who wait, whatever is ready: they will look for another reactor.
    pub(crate) fn wake_all(&self, batch: &mut WakerBatch) {
        lock(&self.waiting).take_waiters(EVERYTHING, batch);
    }

    /// True if there is somebody to wake.
    pub(crate) fn is_awaited(&self) -> bool {
        let waiting = lock(&self.waiting);
        let directions = [Direction::Read, Direction::Write];
        directions
            .into_iter()
            .any(|direction| waiting.waiters(direction).next().is_some())
    }

    /// Takes a `ready` future off the list.
    pub(crate) fn forget(&self, who: Who) {
        let mut waiting = lock(&self.waiting);
        let waiter = waiting.take_waiter(who);
        drop(waiting);
        drop(waiter); // Without the lock: it runs foreign code.
    }

    /// Shows who waits here, and for what. What `visit` does may not wait, nor touch this slot.
    pub(super) fn visit(&self, visit: &mut dyn FnMut(&Waker, Wait)) {
        let waiting = lock(&self.waiting);
        let Some(link) = &waiting.link else { return };
        let (local, peer) = match link.label {
            // SAFETY: a source that has a link is open, because `deregister` takes the link before it
            // is closed, and waits for this lock.
            Label::Socket(socket) => unsafe { addresses(socket) },
            _ => (None, None),
        };
        let last_turn = link.place.reactor.last_turn();
        for direction in [Direction::Read, Direction::Write] {
            for waiter in waiting.waiters(direction) {
                let wait = Wait::Source {
                    label: link.label,
                    direction,
                    local,
                    peer,
                    since: waiter.since_before(last_turn),
                };
                visit(&waiter.waker, wait);
            }
        }
    }

    /// Leaves the reactor: the poller's table first, the reactor's after. `fate` says what becomes of
    /// the source.
    pub(crate) fn deregister(&self, source: Source<'_>, fate: Fate) -> io::Result<()> {
        let mut batch = WakerBatch::new();
        let mut waiting = lock(&self.waiting);
        let cut = waiting.link.take().map(|link| link.cut(source, fate));
        waiting.take_waiters(EVERYTHING, &mut batch);
        drop(waiting);
        let deleted = cut.map_or(Ok(()), |(place, deleted)| {
            place.vacate();
            deleted
        });
        batch.wake_all();
        deleted
    }

    /// Registers with `reactor`, and leaves the former one, unless somebody was faster.
    #[cold]
    fn link(slot: &Arc<Self>, source: Source<'_>, reactor: Arc<Reactor<P>>) -> io::Result<()> {
        // The table's lock comes before the slot's: a place is taken before, and given up after it.
        let place = Place::take(reactor, slot);
        let mut batch = WakerBatch::new();
        let mut waiting = lock(&slot.waiting);
        if waiting.is_linked_to_driven() || waiting.is_linked_to(&place.reactor) {
            drop(waiting);
            place.vacate();
            return Ok(());
        }
        // A former reactor that has lost its queue cannot be told; its entry dies with it.
        let former = waiting.link.take();
        let former = former.map(|link| link.cut(source, Fate::StaysOpen).0);
        let poller = place.reactor.poller();
        // SAFETY: the source is deleted, or abandoned, before it is closed: `Registration`, the only
        // caller with a real source, calls `deregister` before it drops or hands out what it owns.
        let added = unsafe { poller.add(source, place.key, waiting.interest(), Trigger::Edge) };
        let (given_up, linked) = match added {
            Ok(ticket) => {
                waiting.put_link(Link {
                    place,
                    ticket,
                    label: source.label(),
                });
                (None, Ok(()))
            }
            Err(error) => {
                // Who had waited at the former reactor would never be woken.
                waiting.take_waiters(EVERYTHING, &mut batch);
                (Some(place), Err(error))
            }
        };
        drop(waiting);
        for place in former.into_iter().chain(given_up) {
            place.vacate();
        }
        batch.wake_all();
        linked
    }
}

/// What becomes of a source that leaves its reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It stays open, or somebody may have a duplicate that does.
    StaysOpen,
    /// It is closed next, and nobody has a duplicate that is to stay.
    IsClosed,
}

/// Where a slot stands in the table of a reactor. An event that meets it there before it is linked, or
/// after, is one too many, and does no harm.
struct Place<P: Poller> {
    reactor: Arc<Reactor<P>>,
    key: Key,
}

impl<P: Poller> Place<P> {
    /// The caller does not hold the slot's lock, here and below.
    fn take(reactor: Arc<Reactor<P>>, slot: &Arc<Slot<P>>) -> Place<P> {
        let key = reactor.insert(Arc::clone(slot));
        Place { reactor, key }
    }

    fn vacate(self) {
        self.reactor.remove(self.key);
    }
}

/// A place, and what the poller knows of the source by its key.
struct Link<P: Poller> {
    place: Place<P>,
    ticket: P::Ticket,
    label: Label,
}

impl<P: Poller> Link<P> {
    /// Parts from the poller. The place is given up when the slot's lock is.
    fn cut(self, source: Source<'_>, fate: Fate) -> (Place<P>, io::Result<()>) {
        let poller = self.place.reactor.poller();
        let deleted = match fate {
            Fate::StaysOpen => poller.delete(self.ticket, source),
            Fate::IsClosed => poller.abandon(self.ticket, source),
        };
        (self.place, deleted)
    }
}

impl<P: Poller> std::fmt::Debug for Link<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = &self.place.key;
        f.debug_struct("Link").field("key", key).finish()
    }
}

#[cfg(all(test, ekio_loom))]
mod models;

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

    /// Row a15, where the poller refuses: the waker that was cloned for nothing is dropped without the
    /// lock.
    #[test]
    fn a15_a_waker_that_is_not_left_is_dropped_without_the_lock() {
        use crate::poller::script::{Act, Script};
        use std::sync::atomic::AtomicUsize;
        use std::task::{RawWaker, RawWakerVTable};

        struct Witness {
            slot: Arc<Slot<Script<true>>>,
            drops: AtomicUsize,
            drops_under_lock: AtomicUsize,
        }
        static VTABLE: RawWakerVTable = RawWakerVTable::new(
            |data| RawWaker::new(data, &VTABLE),
            |_| unreachable!("nobody is woken"),
            |_| unreachable!("nobody is woken"),
            |data| {
                // SAFETY: the data of such a waker is the `Witness` below, which outlives it.
                let witness = unsafe { &*data.cast::<Witness>() };
                witness.drops.fetch_add(1, Ordering::SeqCst);
                let is_locked = witness.slot.waiting.try_lock().is_err();
                witness
                    .drops_under_lock
                    .fetch_add(usize::from(is_locked), Ordering::SeqCst);
            },
        );

        let reactor = Reactor::with_poller(Script::<true>::new().unwrap());
        reactor.take_charge();
        let source = Source::Signal(1);
        let slot = Slot::new(Interest::BOTH, Readiness::NONE);
        let wait = |waker: &Waker, who: &mut Who| {
            let (mut cx, context) = (Context::from_waker(waker), || Ok(Arc::clone(&reactor)));
            Slot::poll_ready(&slot, &mut cx, who, Direction::Read, source, context)
        };
        assert!(wait(Waker::noop(), &mut Who::latest()).is_pending());
        // An event, and a would-block: the next wait has to arm.
        let event = Act::Ready(vec![(0, Readiness::READABLE)]);
        reactor.poller().then(event);
        reactor.turn(None).unwrap();
        slot.clear_ready(slot.is_ready(Direction::Read).unwrap());
        reactor.poller().fail_next_rearm(io::ErrorKind::OutOfMemory);

        let witness = Witness {
            slot: Arc::clone(&slot),
            drops: AtomicUsize::new(0),
            drops_under_lock: AtomicUsize::new(0),
        };
        // SAFETY: the functions may be called from any thread and any number of times, because all they
        // use is a shared `Witness`, which outlives the waker and, as is asserted below, its clone.
        let waker = unsafe { Waker::new(std::ptr::from_ref(&witness).cast(), &VTABLE) };
        let waited = wait(&waker, &mut Who::newcomer());
        assert!(
            matches!(waited, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::OutOfMemory)
        );
        assert_eq!(witness.drops.load(Ordering::SeqCst), 1);
        assert_eq!(witness.drops_under_lock.load(Ordering::SeqCst), 0);
        slot.deregister(source, Fate::StaysOpen).unwrap();
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
