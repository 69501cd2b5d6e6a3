//! One word that says everything about a task.
//!
//! # The bits
//!
//! | bit | name | while it is set |
//! |---|---|---|
//! | 0 | `ACTIVE` | the task is in a queue or being run: one [`Runnable`](super::raw::Runnable) exists |
//! | 1 | `AGAIN` | it was woken while `ACTIVE`, and no poll has begun since |
//! | 2 | `COMPLETE` | the future is gone; the output is there, or was |
//! | 3 | `CANCELLED` | somebody asked for the future to be dropped instead of polled |
//! | 4 | `JOIN` | the `JoinHandle` exists, and nobody has decided yet who drops the output |
//! | 5 | `JOIN_WAKER` | the waker in the joiner's slot is the completer's to take |
//! | 6 and up | | the number of references to the task's memory |
//!
//! # The life of a task
//!
//! ```text
//!            1 spawn            ACTIVE                    ACTIVE
//!          ----------->  +------------------+   2    +-----------------+
//!                        |     queued       | -----> |     running     |
//!            5 push      |  (AGAIN: woken   |        |  (AGAIN: woken  |
//!        +-------------> |   once more)     | <----- |   meanwhile)    |
//!        |               +------------------+   3    +-----------------+
//!        |                        |                     |           |
//!        |                        | 8 seize             | 4         | 6 complete
//!   +----------+                  |                     |           v
//!   |   idle   | <----------------|---------------------+     +------------+
//!   |    0     |                  v                           |  complete  |
//!   +----------+ ---------->  seized  ----------------------> |  COMPLETE  |
//!                8 seize                    6 complete        +------------+
//! ```
//!
//! | | from → to | function | by whom |
//! |---|---|---|---|
//! | 1 | → queued | [`State::new`] | the spawner, who puts it into a queue |
//! | 2 | queued → running | [`State::start`], takes `AGAIN` away | who took it out of the queue |
//! | 3 | running → queued | [`State::go_idle`] finds `AGAIN`; or the task yielded and nothing is changed at all | who ran it, and puts it back |
//! | 4 | running → idle | [`State::go_idle`] | who ran it |
//! | 5 | idle → queued | [`State::wake`], [`State::wake_by_value`], [`State::abort`] | anybody, who puts it into a queue |
//! | 6 | running, seized → complete | [`State::complete`]; [`State::complete_unwanted`] if no `JoinHandle` is left | who ran it, or seized it |
//! | 7 | any but complete, the same with `AGAIN` | the functions of 5, if it is `ACTIVE` | anybody |
//! | 8 | idle, queued → seized | [`State::seize`] | its executor, which is at its end and runs nothing |
//!
//! Two bits do for what others spend three on. `ACTIVE` lasts from the push to the end of the run,
//! so a run that begins and a yield need no read-modify-write at all: who holds the `Runnable` is
//! alone with the future, and nobody else ever takes `ACTIVE` away. A wake that meets `ACTIVE` leaves
//! `AGAIN`, and one poll more is owed: `go_idle` cannot succeed until `start` has taken it away.
//!
//! # Who may touch what
//!
//! * *The future, the queue link*: the holder of the `Runnable`; for a seized task, the executor.
//! * *The output*: the completer before `COMPLETE`. Then the `JoinHandle`, if `JOIN` was set when
//!   `COMPLETE` was; else the completer has dropped it before. `JOIN` and `COMPLETE` are in one word,
//!   so one of the two comes second and knows it.
//! * *The joiner's slot*: the `JoinHandle` while `JOIN_WAKER` is clear, the completer from the moment
//!   it set `COMPLETE` over a `JOIN_WAKER` until the slot is empty. While `JOIN_WAKER` is set and
//!   `COMPLETE` is not, nobody: the `JoinHandle` takes the bit away first, and looks whether it was in
//!   time.
//! * *The rest of the header* does not change, save what the executor's list of tasks keeps there,
//!   under that list's own rule.
//! * *The memory*: whoever gives back the last reference frees it. By then future and output are gone,
//!   so any thread may.
//!
//! # Who has a reference
//!
//! Each waker has one, and so has each `AbortHandle`, and the `JoinHandle`. The executor has one from spawn to completion,
//! for its list and its `Runnable` together: pushing, popping and polling count nothing. The
//! completer gives it back in the step that completes; after a seizure of a queued task, it passes to
//! the `Runnable`, a corpse, which gives it back when it is taken out of the queue. A completer that
//! is still at the joiner's slot then lives on the `JoinHandle`'s reference, which therefore waits
//! for the slot to be empty (see [`joiner`](super::joiner)).
//!
//! # The orderings
//!
//! * *Wake → poll.* What was written before a wake is seen by the next poll. If the wake pushed, the
//!   queue hands it over. If it left `AGAIN`, its release pairs with the acquire of the `fetch_and` in
//!   `start` that takes `AGAIN` away. It writes even if the bits do not change: each change of the
//!   word is a read-modify-write, so that an acquire reaches all the wakes before it.
//! * *Run → run.* What one run wrote into the future and the link, the next one and its pusher see:
//!   the release of `go_idle` pairs with the acquire of the wake that pushes.
//! * *Complete → join.* The release of `complete` pairs with the acquire of `load`, `set_join_waker`,
//!   `clear_join_waker` and `drop_join`.
//! * *Slot.* The release of `set_join_waker` pairs with the acquire of `complete`; that of the store
//!   which empties the slot, with the acquire of `wait_until_empty`.
//! * *Use → free.* The release of `drop_reference` pairs with the acquire of the last one.

use std::process::abort;

use crate::sync::atomic::{AtomicUsize, Ordering};

const ACTIVE: usize = 1;
const AGAIN: usize = 1 << 1;
const COMPLETE: usize = 1 << 2;
const CANCELLED: usize = 1 << 3;
const JOIN: usize = 1 << 4;
const JOIN_WAKER: usize = 1 << 5;
const REFERENCE: usize = 1 << 6;

/// Half of what fits: so many threads cannot be between a count too high and the abort.
const REFERENCES_MAX: usize = usize::MAX / 2;

/// What the word said at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Snapshot(usize);

impl Snapshot {
    pub(super) fn is_complete(self) -> bool {
        self.0 & COMPLETE != 0
    }

    /// It is in a queue, or being run.
    fn is_active(self) -> bool {
        self.0 & ACTIVE != 0
    }

    pub(super) fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }

    fn is_only_reference(self) -> bool {
        self.0 / REFERENCE == 1
    }

    pub(super) fn stand(self) -> Stand {
        if self.is_complete() {
            Stand::Complete
        } else if self.is_cancelled() {
            Stand::Cancelled
        } else if self.is_active() {
            Stand::Active
        } else {
            Stand::Idle
        }
    }
}

/// What others are told of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// It waits for a wake.
    Idle,
    /// It is in a queue, or being run.
    Active,
    /// It will be dropped instead of run.
    Cancelled,
    Complete,
}

/// What the caller of a wake has to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Woken {
    /// Nothing: the poll that is owed has been noted, or none ever will be.
    Noted,
    /// Push it: the caller holds the `Runnable` now.
    Push,
    /// Free it: the waker was the last reference.
    Last,
}

/// What the caller of `start` has to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Start {
    Poll,
    /// Drop the future instead.
    Cancel,
    /// Nothing but to give back the reference: the task was seized in the queue.
    Bury,
}

/// What the completer of a task has to do.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Completed {
    /// Nothing: the `JoinHandle` will ask.
    Silently,
    /// Wake the joiner: the slot is the completer's.
    Watched,
    /// The `JoinHandle` has gone, and nothing was changed: drop the output, and call
    /// [`State::complete_unwanted`].
    NotYet,
}

/// The word of an active task when it is complete.
fn completed(word: usize, gives_back: bool) -> usize {
    debug_assert_eq!(word & (ACTIVE | COMPLETE), ACTIVE);
    (word ^ (ACTIVE | COMPLETE)) - if gives_back { REFERENCE } else { 0 }
}

#[derive(Debug)]
pub(super) struct State(AtomicUsize);

impl State {
    /// Transition 1. The references are the executor's and the `JoinHandle`'s.
    pub(super) fn new() -> State {
        State(AtomicUsize::new(ACTIVE | JOIN | (2 * REFERENCE)))
    }

    pub(super) fn load(&self) -> Snapshot {
        // Acquire: pairs with `complete`.
        Snapshot(self.0.load(Ordering::Acquire))
    }

    /// Transition 2.
    pub(super) fn start(&self) -> Start {
        // Relaxed: what the wake that pushed has to say came through the queue.
        let mut word = self.0.load(Ordering::Relaxed);
        if word & (AGAIN | COMPLETE) == AGAIN {
            // Acquire: pairs with the wakes that left `AGAIN`.
            word = self.0.fetch_and(!AGAIN, Ordering::Acquire);
        }
        match word & (COMPLETE | CANCELLED) {
            0 => Start::Poll,
            CANCELLED => Start::Cancel,
            _ => Start::Bury,
        }
    }

    /// Transition 4, or 3: false if the task was woken and must go into the queue again.
    #[must_use]
    pub(super) fn go_idle(&self) -> bool {
        let mut word = self.0.load(Ordering::Relaxed);
        while word & AGAIN == 0 {
            // Release: pairs with the wake that pushes next.
            match self.exchange(word, word & !ACTIVE, Ordering::Release) {
                Ok(_) => return true,
                Err(actual) => word = actual,
            }
        }
        false
    }

    /// Transition 5 or 7.
    pub(super) fn wake(&self) -> Woken {
        self.mark(0)
    }

    /// Transition 5 or 7, with `CANCELLED` besides.
    pub(super) fn abort(&self) -> Woken {
        self.mark(CANCELLED)
    }

    fn mark(&self, flags: usize) -> Woken {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & COMPLETE != 0 {
                return Woken::Noted;
            }
            let is_active = word & ACTIVE != 0;
            let marked = word | flags | if is_active { AGAIN } else { ACTIVE };
            // AcqRel: release pairs with the `fetch_and` in `start`, acquire with `go_idle`.
            match self.exchange(word, marked, Ordering::AcqRel) {
                Ok(_) if is_active => return Woken::Noted,
                Ok(_) => return Woken::Push,
                Err(actual) => word = actual,
            }
        }
    }

    /// Transition 5 or 7, and the reference of the waker is given back in the same step. It is
    /// never the last one of a task that is not complete, because the executor has one.
    pub(super) fn wake_by_value(&self) -> Woken {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            if word & COMPLETE != 0 {
                return if self.drop_reference() {
                    Woken::Last
                } else {
                    Woken::Noted
                };
            }
            let is_active = word & ACTIVE != 0;
            let marked = word | if is_active { AGAIN } else { ACTIVE };
            // AcqRel: release pairs with the `fetch_and` in `start` and with who frees, acquire with
            // `go_idle`.
            match self.exchange(word, marked - REFERENCE, Ordering::AcqRel) {
                Ok(_) if is_active => return Woken::Noted,
                Ok(_) => return Woken::Push,
                Err(actual) => word = actual,
            }
        }
    }

    /// Transition 6, if there is a `JoinHandle`. With `gives_back`, the executor's reference is given
    /// back in the same step.
    pub(super) fn complete(&self, gives_back: bool) -> Completed {
        let mut word = self.0.load(Ordering::Relaxed);
        while word & JOIN != 0 {
            // AcqRel: release pairs with the joiner's loads and with who frees, acquire with
            // `set_join_waker`.
            match self.exchange(word, completed(word, gives_back), Ordering::AcqRel) {
                Ok(_) if word & JOIN_WAKER != 0 => return Completed::Watched,
                Ok(_) => return Completed::Silently,
                Err(actual) => word = actual,
            }
        }
        Completed::NotYet
    }

    /// Transition 6 after [`Completed::NotYet`], when the output has been dropped. True if the
    /// reference that is given back was the last one, and the caller has to free the memory.
    #[must_use]
    pub(super) fn complete_unwanted(&self, gives_back: bool) -> bool {
        // Acquire: pairs with the release of those who gave back their references.
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            // Who has the only reference is alone, and need not tell anybody that it goes.
            if gives_back && Snapshot(word).is_only_reference() {
                return true;
            }
            // AcqRel: release pairs with who frees, acquire as above.
            match self.exchange(word, completed(word, gives_back), Ordering::AcqRel) {
                Ok(_) => return false,
                Err(actual) => word = actual,
            }
        }
    }

    /// Transition 8: true if there is a `Runnable` in a queue, or on its way there, that shares the
    /// executor's reference.
    pub(super) fn seize(&self) -> bool {
        // Acquire: pairs with `go_idle`, in case another thread ran the task.
        let before = self.0.fetch_or(ACTIVE, Ordering::Acquire);
        debug_assert_eq!(before & COMPLETE, 0);
        before & ACTIVE != 0
    }

    /// The `JoinHandle` lends its slot, with a waker in it, to the completer. If the answer is
    /// complete, that came too late: nobody will look at it.
    pub(super) fn set_join_waker(&self) -> Snapshot {
        // AcqRel: release pairs with `complete`, and so does acquire (the output).
        Snapshot(self.0.fetch_or(JOIN_WAKER, Ordering::AcqRel))
    }

    /// The `JoinHandle` takes its slot back. If the answer is complete, that came too late: the
    /// waker is the completer's.
    pub(super) fn clear_join_waker(&self) -> Snapshot {
        // Acquire: pairs with `complete` (the output).
        Snapshot(self.0.fetch_and(!JOIN_WAKER, Ordering::Acquire))
    }

    /// The `JoinHandle` takes its leave. If the answer is complete, nothing was changed and the
    /// output is its to drop; else the completer will do that, and the slot is the handle's again.
    pub(super) fn drop_join(&self) -> Snapshot {
        // Acquire: pairs with `complete`, as it does where the exchange fails.
        let mut word = self.0.load(Ordering::Acquire);
        while word & COMPLETE == 0 {
            // Relaxed: the completer, who finds `JOIN` clear, reads nothing of the handle's.
            match self.exchange(word, word & !(JOIN | JOIN_WAKER), Ordering::Relaxed) {
                Ok(_) => break,
                Err(actual) => word = actual,
            }
        }
        Snapshot(word)
    }

    pub(super) fn add_reference(&self) {
        // Relaxed: whoever adds one has one.
        if self.0.fetch_add(REFERENCE, Ordering::Relaxed) > REFERENCES_MAX {
            // Wakers that were forgotten in a loop; one more round and a live task would be freed.
            abort();
        }
    }

    /// True if that was the last reference, and the caller has to free the memory.
    #[must_use]
    pub(super) fn drop_reference(&self) -> bool {
        // Who has the only reference is alone, and need not tell anybody that it goes.
        // Acquire: pairs with the release of those who went before.
        if Snapshot(self.0.load(Ordering::Acquire)).is_only_reference() {
            return true;
        }
        // AcqRel: release pairs with the last one, acquire with all the others.
        let before = self.0.fetch_sub(REFERENCE, Ordering::AcqRel);
        Snapshot(before).is_only_reference()
    }

    fn exchange(&self, old: usize, new: usize, success: Ordering) -> Result<usize, usize> {
        // Acquire on failure: the loops act on the value, and some leave by it.
        self.0
            .compare_exchange_weak(old, new, success, Ordering::Acquire)
    }
}
