//! Which workers sleep, and who is roused when there is work.
//!
//! # Concepts
//!
//! A worker is *busy*, *searching* (it has nothing to run and looks through the others' queues), or
//! *asleep* (inside its reactor's `turn`). Work that comes while somebody searches will be found by
//! him, so nobody is roused for it: a burst rouses one worker, and each that finds work and leaves
//! more behind rouses the next.
//!
//! # To inject (any thread)
//!
//! 1. Leave the task in the injector.
//! 2. `fence(SeqCst)`.
//! 3. If somebody searches, or nobody sleeps, that is all.
//! 4. Lock; look again as in 3; take one out of the list of sleepers, and count it as searching, on
//!    its behalf; unlock.
//! 5. `notify` its reactor.
//!
//! # To sleep (a worker)
//!
//! 1. Lock; enter the list; if searching, count down; unlock.
//! 2. `fence(SeqCst)`.
//! 3. Look at the injector, at all rings, and whether the runtime ends.
//! 4. `turn`: without waiting if step 3 found something.
//! 5. When the turn brings a first task, or has ended: lock; leave the list. Who is not in it any more has
//!    been roused, and is searching now. Who saw tasks in step 3 searches too, however many do: the others
//!    may be roused and not yet running.
//!
//! # To end a search with a find (a worker), be it what a turn brings
//!
//! 1. Count down. Who was not the last searcher is done.
//! 2. `fence(SeqCst)`.
//! 3. Look where the sleeper's step 3 looks; if there is something, go on at step 3 of "to inject".
//!
//! # Why nothing is lost
//!
//! Of two fences one comes first. If the injector's does, the sleeper's step 3 (or the finder's) sees
//! the task. If the other one does, the injector's step 3 sees that nobody searches any more, and
//! rouses a sleeper if there is one. If there is none, all workers are busy, and each of them comes
//! to the injector before it sleeps.
//!
//! What a worker puts into its own ring it will run itself, so it rouses others without a fence: to
//! miss one costs time at worst, which the [watch](super::watch) bounds.

use crate::sync::atomic::{AtomicUsize, Ordering, fence};
use crate::sync::{Mutex, lock};

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// How many search: the low half. How many are in the list: the high half, written under the
    /// lock.
    counts: AtomicUsize,
    /// The last one to sleep is the first to be roused: its cache is warm.
    asleep: Mutex<Vec<usize>>,
}

const HALF_BITS: u32 = usize::BITS / 2;
const SEARCHING: usize = 1;
const ASLEEP: usize = 1 << HALF_BITS;

fn searching(counts: usize) -> usize {
    counts & (ASLEEP - 1)
}

impl Idle {
    /// How many workers sleep, or did a moment ago.
    pub(crate) fn asleep(&self) -> usize {
        self.counts.load(Ordering::Relaxed) >> HALF_BITS
    }

    /// True if somebody should be roused for more work, as far as one can tell without a fence.
    pub(crate) fn wants_more(&self) -> bool {
        let counts = self.counts.load(Ordering::Relaxed);
        searching(counts) == 0 && counts >= ASLEEP
    }

    /// To inject, steps 2 to 4: whom the caller has to notify.
    pub(crate) fn claim(&self) -> Option<usize> {
        // Pairs with the fences in `lie_down` and `end_search`.
        fence(Ordering::SeqCst);
        if !self.wants_more() {
            return None;
        }
        let mut asleep = lock(&self.asleep);
        if searching(self.counts.load(Ordering::Relaxed)) > 0 {
            return None;
        }
        let claimed = asleep.pop()?;
        // Relaxed, here and below: the fences order what the counts have to do with queues.
        self.counts.fetch_sub(ASLEEP - SEARCHING, Ordering::Relaxed);
        Some(claimed)
    }

    /// Chooses a sleeper, which stays one until `appoint` has answered.
    pub(crate) fn choose<R>(&self, appoint: impl FnOnce(usize) -> R) -> Option<R> {
        let asleep = lock(&self.asleep);
        asleep.last().copied().map(appoint)
    }

    /// True if less than half of the workers that are awake search: more of them would be in each
    /// other's way.
    pub(crate) fn lacks_searchers(&self, workers: usize) -> bool {
        let counts = self.counts.load(Ordering::Relaxed);
        let awake = workers - (counts >> HALF_BITS).min(workers);
        2 * searching(counts) < awake
    }

    /// Makes the caller a searcher.
    pub(crate) fn begin_search(&self) {
        self.counts.fetch_add(SEARCHING, Ordering::Relaxed);
    }

    /// To end a search with a find, steps 1 and 2. True if step 3 is the caller's.
    pub(crate) fn end_search(&self) -> bool {
        let before = self.counts.fetch_sub(SEARCHING, Ordering::Relaxed);
        // Pairs with the fence in `claim`.
        fence(Ordering::SeqCst);
        searching(before) == 1
    }

    /// To sleep, steps 1 and 2.
    pub(crate) fn lie_down(&self, worker: usize, is_searching: bool) {
        let mut asleep = lock(&self.asleep);
        asleep.push(worker);
        let change = ASLEEP - if is_searching { SEARCHING } else { 0 };
        self.counts.fetch_add(change, Ordering::Relaxed);
        drop(asleep);
        // Pairs with the fence in `claim`.
        fence(Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(super) fn is_clean(&self) -> bool {
        lock(&self.asleep).is_empty() && self.counts.load(Ordering::Relaxed) == 0
    }

    /// To sleep, step 5: true if the worker has been roused, and is searching.
    pub(crate) fn get_up(&self, worker: usize) -> bool {
        let mut asleep = lock(&self.asleep);
        // From the end: whoever sleeps for a moment only is there.
        let place = asleep.iter().rposition(|sleeper| *sleeper == worker);
        if let Some(place) = place {
            asleep.remove(place);
            self.counts.fetch_sub(ASLEEP, Ordering::Relaxed);
        }
        place.is_none()
    }
}
