//! What is behind a slot's lock: its link to a reactor, and who waits.
//!
//! Nearly always one task waits for a source, in one direction at a time: it reads, answers, reads. So
//! one waiter has his place in the record. Whoever comes while that is taken joins the *crowd*, for
//! which memory is found then, and kept.

use std::io;
use std::mem;
use std::task::Waker;

use super::{Direction, Link, Who};
use crate::poller::{Interest, Poller, Readiness};
use crate::reactor::Reactor;
use crate::reactor::wakers::WakerBatch;
use crate::sync::Arc;

/// What is behind the slot's lock.
#[derive(Debug)]
pub(super) struct Waiting<P: Poller> {
    pub(super) link: Option<Link<P>>,
    first: Option<Waiter>,
    /// The others, for each direction.
    crowd: Option<Box<[Vec<Waiter>; 2]>>,
    /// The number of the last future that waited.
    last_number: u32,
    /// What the first one waits for.
    first_direction: Direction,
    /// What the source is registered for.
    interest: Interest,
    /// The directions for which the poller owes us an event. Kept only where `rearm` is needed.
    armed: Interest,
}

/// Somebody who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) waker: Waker,
    who: Who,
    /// By the clock of the reactor's turns, in units of [`SINCE_UNIT_BITS`].
    since: u32,
}

/// 17 ms: short enough for a report, and long enough to count for two years.
const SINCE_UNIT_BITS: u32 = 24;

const DIRECTIONS: [Direction; 2] = [Direction::Read, Direction::Write];

fn place_in_crowd(direction: Direction) -> usize {
    match direction {
        Direction::Read => 0,
        Direction::Write => 1,
    }
}

impl<P: Poller> Waiting<P> {
    pub(super) fn new(interest: Interest) -> Waiting<P> {
        Waiting {
            link: None,
            first: None,
            crowd: None,
            last_number: Who::newcomer().0,
            first_direction: Direction::Read,
            interest,
            armed: Interest::NONE,
        }
    }

    pub(super) fn interest(&self) -> Interest {
        self.interest
    }

    pub(super) fn is_linked_to_driven(&self) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| link.place.reactor.is_driven())
    }

    pub(super) fn is_linked_to(&self, reactor: &Arc<Reactor<P>>) -> bool {
        self.link
            .as_ref()
            .is_some_and(|link| Arc::ptr_eq(&link.place.reactor, reactor))
    }

    /// A source that has just been added: its poller owes us an event for all of the interest.
    pub(super) fn put_link(&mut self, link: Link<P>) {
        self.link = Some(link);
        self.armed = self.interest;
    }

    /// Who waits for that direction, in no order that means anything.
    pub(super) fn waiters(&self, direction: Direction) -> impl Iterator<Item = &Waiter> {
        let first = self.first.iter();
        let first = first.filter(move |_| self.first_direction == direction);
        let crowd = self.crowd.iter();
        first.chain(crowd.flat_map(move |crowd| &crowd[place_in_crowd(direction)]))
    }

    /// Leaves a waker in its place, and in exchange the one that was there before, of the same who. If
    /// that wakes the same task, it stays.
    #[inline]
    pub(super) fn put_waker(
        &mut self,
        waker: &mut Option<Waker>,
        who: &mut Who,
        direction: Direction,
    ) {
        if self.first.is_none() && (who.is_newcomer() || self.crowd.is_none()) {
            self.first_direction = direction;
            self.first = waker.take().map(|waker| self.waiter(waker, who));
        } else {
            self.put_among_others(waker, who, direction);
        }
    }

    #[cold]
    fn put_among_others(&mut self, waker: &mut Option<Waker>, who: &mut Who, direction: Direction) {
        let Some(new) = waker.take() else { return };
        let is_new = who.is_newcomer();
        let waiter = self.waiter(new, who);
        if !is_new {
            if let Some(known) = self.find(waiter.who, direction) {
                *waker = Some(if known.waker.will_wake(&waiter.waker) {
                    waiter.waker
                } else {
                    mem::replace(known, waiter).waker
                });
                return;
            }
        }
        if self.first.is_none() {
            self.first_direction = direction;
            self.first = Some(waiter);
        } else {
            let crowd = self.crowd.get_or_insert_default();
            crowd[place_in_crowd(direction)].push(waiter);
        }
    }

    fn find(&mut self, who: Who, direction: Direction) -> Option<&mut Waiter> {
        let first = self.first.iter_mut();
        let first = first.filter(|_| self.first_direction == direction);
        let crowd = self.crowd.iter_mut();
        let crowd = crowd.flat_map(|crowd| &mut crowd[place_in_crowd(direction)]);
        first.chain(crowd).find(|waiter| waiter.who == who)
    }

    fn waiter(&mut self, waker: Waker, who: &mut Who) -> Waiter {
        let link = self.link.as_ref();
        let last_turn = link.map_or(0, |link| link.place.reactor.last_turn());
        if who.is_newcomer() {
            *who = self.next_who();
        }
        Waiter {
            waker,
            who: *who,
            since: (last_turn >> SINCE_UNIT_BITS) as u32,
        }
    }

    fn next_who(&mut self) -> Who {
        let next = self.last_number.checked_add(1);
        self.last_number = next.unwrap_or(Who::newcomer().0 + 1);
        Who(self.last_number)
    }

    pub(super) fn take_waiter(&mut self, who: Who) -> Option<Waiter> {
        let is_it = |waiter: &Waiter| waiter.who == who;
        if self.first.as_ref().is_some_and(is_it) {
            return self.first.take();
        }
        let crowd = self.crowd.as_mut()?.iter_mut();
        crowd.into_iter().find_map(|waiters| {
            let place = waiters.iter().position(is_it)?;
            Some(waiters.swap_remove(place))
        })
    }

    /// Asks the poller for the next event in a direction that met would-block.
    pub(super) fn arm(&mut self, direction: Direction) -> io::Result<()> {
        if !P::CAPS.needs_rearm {
            return Ok(());
        }
        let Some(link) = &self.link else {
            return Ok(());
        };
        let wanted = direction.part_of(self.interest);
        if !self.armed.contains(wanted) {
            let poller = link.place.reactor.poller();
            poller.rearm(&link.ticket, wanted)?;
            self.armed |= wanted;
        }
        Ok(())
    }

    /// Remembers that the directions of an event are quiet from now on.
    pub(super) fn disarm(&mut self, readiness: Readiness) {
        if !P::CAPS.needs_rearm {
            return;
        }
        for direction in DIRECTIONS {
            if readiness.intersects(direction.readiness()) {
                self.armed = self.armed.difference(direction.part_of(self.armed));
            }
        }
    }

    /// Takes the wakers of those whose direction is ready.
    #[inline]
    pub(super) fn take_waiters(&mut self, readiness: Readiness, batch: &mut WakerBatch) {
        if readiness.intersects(self.first_direction.readiness()) {
            if let Some(waiter) = self.first.take() {
                batch.push(waiter.waker);
            }
        }
        if let Some(crowd) = &mut self.crowd {
            take_crowd(crowd, readiness, batch);
        }
    }
}

#[cold]
fn take_crowd(crowd: &mut [Vec<Waiter>; 2], readiness: Readiness, batch: &mut WakerBatch) {
    for direction in DIRECTIONS {
        if readiness.intersects(direction.readiness()) {
            let waiters = crowd[place_in_crowd(direction)].drain(..);
            waiters.for_each(|waiter| batch.push(waiter.waker));
        }
    }
}

impl Waiter {
    /// When it came, which was at `last_turn` or before.
    pub(super) fn since_before(&self, last_turn: u64) -> u64 {
        let ago = ((last_turn >> SINCE_UNIT_BITS) as u32).wrapping_sub(self.since);
        last_turn.saturating_sub(u64::from(ago) << SINCE_UNIT_BITS)
    }
}
