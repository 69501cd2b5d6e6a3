//! Wakers on their way out of a lock.
//!
//! A waker is foreign code: it may poll its task on the spot, take locks of its own, start or drop
//! timers and registrations of ours, or panic. So none is ever woken, cloned or dropped under a
//! lock of the reactor (`a15_hostile_waker`). Who holds a lock moves what is to be woken into a
//! [`WakerBatch`], lets go of the lock, and calls [`WakerBatch::wake_all`]; who would hold the lock for
//! long asks whether the batch [is full](WakerBatch::is_full), and goes round again.
//!
//! A waker that has entered a batch will be woken, whatever happens to its neighbours: each panic
//! ends at its own waker, and a batch that is dropped while another panic unwinds wakes first. That
//! asks one thing of the caller: make the batch *before* taking the lock, so that it is dropped
//! after the lock is free.

use std::any::Any;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

/// How many wakers make a batch full: half a kibibyte, and a lock taken again for every 32 wakes, which
/// is lost in what the wakes cost.
const BATCH_MAX: usize = 32;

/// Wakers, in order. One that is used again keeps memory for a full batch.
#[derive(Debug, Default)]
pub(crate) struct WakerBatch {
    wakers: Vec<Waker>,
}

impl WakerBatch {
    pub(crate) const fn new() -> WakerBatch {
        WakerBatch { wakers: Vec::new() }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.wakers.len() >= BATCH_MAX
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.wakers.is_empty()
    }

    /// Adds a waker behind the others. There is always room.
    pub(crate) fn push(&mut self, waker: Waker) {
        self.wakers.push(waker);
    }

    /// Wakes them all, in the order in which they came. The caller holds no lock.
    ///
    /// A panic of a waker goes no further than this: the panic hook has reported it, and neither
    /// the other wakers nor the thread that happens to turn the reactor have any part in it.
    #[inline]
    pub(crate) fn wake_all(&mut self) {
        if !self.wakers.is_empty() {
            self.wake_some();
        }
    }

    fn wake_some(&mut self) {
        let mut wakers = self.wakers.drain(..);
        let mut wake_the_rest = || wakers.by_ref().for_each(Waker::wake);
        while let Err(payload) = catch_unwind(AssertUnwindSafe(&mut wake_the_rest)) {
            drop_payload(payload);
        }
        drop(wakers);
        // A crowd at one source may have been larger.
        self.wakers.shrink_to(BATCH_MAX);
    }
}

impl Drop for WakerBatch {
    fn drop(&mut self) {
        self.wake_all();
    }
}

/// How often in a row a payload may panic in its drop before the chain is cut by a leak.
const DROPS_MAX: usize = 4;

/// What a panic carries may panic in turn when it is dropped.
#[cold]
fn drop_payload(mut payload: Box<dyn Any + Send>) {
    for _ in 0..DROPS_MAX {
        match catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            Ok(()) => return,
            Err(next) => payload = next,
        }
    }
    mem::forget(payload);
}

#[cfg(all(test, not(ekio_loom)))]
mod tests {
    use super::*;
    use std::panic::{panic_any, resume_unwind};
    use std::sync::{Arc, Mutex};
    use std::task::Wake;

    type Log = Arc<Mutex<Vec<usize>>>;

    struct Numbered {
        number: usize,
        log: Log,
        panics: bool,
    }

    struct PanicsInDrop;

    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            resume_unwind(Box::new("a payload that panics in drop"));
        }
    }

    impl Wake for Numbered {
        fn wake(self: Arc<Self>) {
            self.log.lock().unwrap().push(self.number);
            if self.panics {
                // (`resume_unwind` does not call the panic hook, which would print.)
                resume_unwind(Box::new(PanicsInDrop));
            }
        }
    }

    fn numbered(number: usize, log: &Log, panics: bool) -> Arc<Numbered> {
        Arc::new(Numbered {
            number,
            log: log.clone(),
            panics,
        })
    }

    #[test]
    fn all_are_woken_in_order_and_the_batch_is_empty_again() {
        let log = Log::default();
        let mut batch = WakerBatch::new();
        for round in 0..2 {
            assert!(batch.is_empty());
            for number in 0..BATCH_MAX {
                assert!(!batch.is_full());
                batch.push(numbered(number, &log, false).into());
            }
            assert!(batch.is_full());
            batch.wake_all();
            assert!(log.lock().unwrap().drain(..).eq(0..BATCH_MAX), "{round}");
        }
    }

    #[test]
    fn the_memory_for_a_crowd_is_not_kept() {
        let mut batch = WakerBatch::new();
        (0..10 * BATCH_MAX).for_each(|_| batch.push(Waker::noop().clone()));
        batch.wake_all();
        assert!(batch.wakers.capacity() <= BATCH_MAX);
    }

    #[test]
    fn a_panicking_waker_loses_no_other_and_leaks_none() {
        let log = Log::default();
        let wakers: Vec<_> = (0..5).map(|n| numbered(n, &log, n % 2 == 0)).collect();
        let mut batch = WakerBatch::new();
        wakers.iter().for_each(|w| batch.push(w.clone().into()));
        batch.wake_all();
        assert_eq!(*log.lock().unwrap(), [0, 1, 2, 3, 4]);
        assert!(wakers.iter().all(|waker| Arc::strong_count(waker) == 1));
    }

    #[test]
    fn a_batch_that_unwinds_wakes_too() {
        let log = Log::default();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let mut batch = WakerBatch::new();
            batch.push(numbered(7, &log, true).into());
            batch.push(numbered(8, &log, false).into());
            panic_any("turn panicked (this text is expected)");
        }));
        assert!(unwound.is_err());
        assert_eq!(*log.lock().unwrap(), [7, 8]);
    }
}
