//! How much a task may do in one run before others get their turn.
//!
//! A task whose sockets are always ready would never return `Pending`. So each run begins with a
//! budget, each operation of a leaf future that succeeds costs one unit of it, and when it is used up
//! the leaf futures answer `Pending` and wake the task, which thereby goes to the end of the queue
//! (`a17_busy_task_timer_accept`).
//!
//! A leaf future asks first and pays after: an operation that has to wait costs nothing, or a task
//! that watches many idle sources would use up its budget without doing anything.

use std::cell::Cell;
use std::task::{Context, Poll};

/// What a run begins with. tokio's number too; a run of so many small reads takes about 0.1 ms.
const PER_RUN: u32 = 128;

/// Outside of ekio's executor nobody refills, so nobody is limited.
const UNLIMITED: u32 = u32::MAX;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(UNLIMITED) };
}

/// Gives the next run of a task its budget.
pub(crate) fn refill() {
    LEFT.set(PER_RUN);
}

/// The runs are over: what is polled on this thread from now on is not limited.
pub(crate) fn lift() {
    LEFT.set(UNLIMITED);
}

/// `Ready` while there is budget; else the task is woken at once and has to come back.
pub(crate) fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    if LEFT.get() == 0 {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}

/// Pays for an operation that has been done.
pub(crate) fn spend() {
    let left = LEFT.get();
    if left != UNLIMITED {
        LEFT.set(left.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn unlimited_until_refilled() {
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..2 * PER_RUN {
            assert!(poll_proceed(&mut cx).is_ready());
            spend();
        }
        refill();
        for _ in 0..PER_RUN {
            assert!(poll_proceed(&mut cx).is_ready());
            spend();
        }
        assert!(poll_proceed(&mut cx).is_pending());
        refill();
        assert!(poll_proceed(&mut cx).is_ready());
        lift();
    }
}
