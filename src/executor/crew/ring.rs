//! A worker's own queue: a ring of bounded length, from which other workers steal.
//!
//! # Concepts
//!
//! ```text
//!    places   | . | . | c | d | e | . | . | . |
//!                       ^           ^
//!                     head        tail          both count on for ever; a place is their remainder
//!                      ->           ->
//!               takers move it   the owner moves it
//! ```
//!
//! A task is in the ring if its number is from `head` up to `tail`. Whoever moves `head` past a task
//! has it, and with it the `Runnable` that its pointer was made of.
//!
//! # Who may touch what
//!
//! * `tail`, and the places that are not in the ring: the owner alone. That is why
//!   [`push`](Ring::push) and [`steal_into`](Ring::steal_into) (on the thief's side) are `unsafe`.
//! * `head`: anybody, by a compare-and-exchange.
//! * The places in the ring: anybody may read them, nobody writes.
//!
//! # The protocol
//!
//! * To push: (1) load `tail` and `head`; (2) if there is room write the place; (3) store `tail`.
//! * To take: (1) load `head`; (2) load `tail`; (3) read the places; (4) move `head`, and start again
//!   if it is not the one of step 1 any more.
//!
//! Between a taker's steps 3 and 4 others may take the same tasks and the owner may fill their places
//! anew; then what was read is worth nothing. But then `head` has moved, and the exchange fails: it
//! never comes back to a number it had. (On a 32-bit machine it does after 2³² tasks; a taker would
//! have to be interrupted for just as many runs of the owner, to the task.)
//!
//! # The orderings
//!
//! * *Push → take.* The release of step 3 (and of a thief's, who publishes what he stole) pairs with
//!   the acquire of a taker's step 2: the place is written, and so is the task.
//! * *Take → push.* The release of step 4 pairs with the acquire of the pusher's `head`: the places
//!   have been read before they are written anew.
//! * *Take → look.* It pairs with the acquire of `head` in [`len`](Ring::len) too: whoever took a task
//!   had seen the `tail` behind it.

use std::ptr::{self, NonNull};

use super::super::queue::Queue;
use crate::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::task::raw::{Header, Runnable};

/// The places of a ring. As many as tokio's and Go's: more than a burst usually brings, and two
/// kibibytes.
#[cfg(not(all(test, ekio_loom)))]
pub(crate) const LEN: usize = 256;
#[cfg(all(test, ekio_loom))]
pub(crate) const LEN: usize = 4;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Ring {
    head: AtomicUsize,
    tail: AtomicUsize,
    /// Each is a `Runnable` turned into a pointer while it is in the ring.
    places: Box<[AtomicPtr<Header>]>,
}

impl Ring {
    pub(super) fn new() -> Ring {
        Ring {
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            places: (0..LEN).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
        }
    }

    /// How many tasks there are, or were a moment ago.
    pub(crate) fn len(&self) -> usize {
        // Acquire: pairs with the takers, so that the `tail` which is read later is not behind.
        let head = self.head.load(Ordering::Acquire);
        self.tail.load(Ordering::Relaxed).wrapping_sub(head)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a task at the end; hands it back if there is no room.
    ///
    /// # Safety
    ///
    /// * The caller is the owner: no other thread is in a call that asks the same of this ring, and
    ///   the one that was before happened before this one.
    pub(crate) unsafe fn push(&self, task: Runnable) -> Result<(), Runnable> {
        let tail = self.tail.load(Ordering::Relaxed);
        // Acquire: pairs with the takers.
        let head = self.head.load(Ordering::Acquire);
        if tail.wrapping_sub(head) == LEN {
            return Err(task);
        }
        let place = self.place(tail);
        place.store(task.into_raw().as_ptr(), Ordering::Relaxed);
        // Release: pairs with the takers.
        self.tail.store(tail.wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// Takes the first task.
    pub(crate) fn pop(&self) -> Option<Runnable> {
        let (task, _) = self.take(|_| 1, |_, _| ())?;
        Some(task)
    }

    /// Takes the first half of the tasks, the larger one, for `thief`: the last of them is answered,
    /// and the others are in his ring, as far as there was room.
    ///
    /// # Safety
    ///
    /// * The caller is the owner of the thief's ring, as for [`push`](Ring::push).
    pub(crate) unsafe fn steal_into(&self, thief: &Ring) -> Option<Runnable> {
        let tail = thief.tail.load(Ordering::Relaxed);
        // Acquire: pairs with the takers of the thief's tasks.
        let head = thief.head.load(Ordering::Acquire);
        let room = LEN - tail.wrapping_sub(head);
        let (last, others) = self.take(
            |len| len.div_ceil(2).min(room + 1),
            |number, task| {
                // Not in the thief's ring yet: nobody sees it if the theft fails.
                let place = thief.place(tail.wrapping_add(number));
                place.store(task, Ordering::Relaxed);
            },
        )?;
        let tail = tail.wrapping_add(others);
        // Release: pairs with the takers.
        thief.tail.store(tail, Ordering::Release);
        Some(last)
    }

    /// Takes the first half of a full ring, to make room. Nothing if somebody else made some.
    pub(crate) fn take_half(&self) -> Queue {
        let mut pointers = [ptr::null_mut(); LEN / 2];
        let taken = self.take(
            |len| if len == LEN { LEN / 2 } else { 0 },
            |number, task| pointers[number] = task,
        );
        let mut queue = Queue::new();
        if let Some((last, others)) = taken {
            for task in pointers[..others]
                .iter()
                .filter_map(|task| NonNull::new(*task))
            {
                // SAFETY: `take` has answered, so the tasks that it showed are ours, and each was made
                // from a `Runnable`.
                queue.push(unsafe { Runnable::from_raw(task) });
            }
            queue.push(last);
        }
        queue
    }

    /// Takes as many tasks as `count` makes of the number there are, and answers the last one and how
    /// many there were before it. Those it shows to `others`, with their numbers from 0. They are the
    /// caller's only if this answers at all: in between it may start again, from number 0.
    fn take(
        &self,
        count: impl Fn(usize) -> usize,
        mut others: impl FnMut(usize, *mut Header),
    ) -> Option<(Runnable, usize)> {
        // Acquire, here and where the exchange fails: `tail` is read later.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            // Acquire: pairs with the pusher.
            let tail = self.tail.load(Ordering::Acquire);
            // If others took while we looked, this may be more than there ever were.
            let len = tail.wrapping_sub(head).min(LEN);
            let count = if len == 0 { 0 } else { count(len) };
            if count == 0 {
                return None;
            }
            for number in 0..count - 1 {
                let task = self
                    .place(head.wrapping_add(number))
                    .load(Ordering::Relaxed);
                others(number, task);
            }
            let last = self
                .place(head.wrapping_add(count - 1))
                .load(Ordering::Relaxed);
            let next = head.wrapping_add(count);
            // Release: pairs with the pusher's look at `head`. (The takers before were met when `head`
            // was loaded.)
            let exchanged =
                self.head
                    .compare_exchange(head, next, Ordering::Release, Ordering::Acquire);
            match exchanged {
                Ok(_) => {
                    let task = NonNull::new(last)?;
                    // SAFETY: the pointer was in the ring when `head` moved past it, as the module
                    // says, so it was made by `push` or came by a theft, and is ours alone now.
                    return Some((unsafe { Runnable::from_raw(task) }, count - 1));
                }
                Err(actual) => head = actual,
            }
        }
    }

    fn place(&self, number: usize) -> &AtomicPtr<Header> {
        &self.places[number % LEN]
    }
}
