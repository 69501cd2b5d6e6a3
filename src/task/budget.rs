//! How much a task may do in one run before others get their turn.
//!
//! A task whose sockets are always ready would never return `Pending`. So each run begins with a
//! budget, each operation of a leaf future that succeeds costs one unit of it, and when it is used up
//! the leaf futures answer `Pending` and wake the task, which thereby goes to the end of the queue
//! (`a17_busy_task_timer_accept`).
//!
//! A leaf future asks first and pays after: an operation that has to wait costs nothing, or a task
//! that watches many idle sources would use up its budget without doing anything.
//!
//! Who has been refused a great many times in one run does not go to the end of any queue: it is in a
//! loop that is not ours, a `block_on` of another crate inside a task, or an executor whose wakers
//! poll on the spot. The run does not end before that loop does, so it gets another budget.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What a run begins with. tokio's number too; a run of so many small reads takes about 0.1 ms.
const PER_RUN: u32 = 128;

/// How often one is refused before there is another. More than a task polls futures in one run, and
/// less than a millisecond of a loop that does nothing else.
const REFUSALS_MAX: u32 = if cfg!(miri) { 64 } else { 8 * 1024 };

/// Outside of ekio's executor nobody refills, so nobody is limited.
const UNLIMITED: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u32,
    refusals_left: u32,
}

impl Budget {
    const fn new(left: u32) -> Budget {
        Budget {
            left,
            refusals_left: REFUSALS_MAX,
        }
    }
}

thread_local! {
    static BUDGET: Cell<Budget> = const { Cell::new(Budget::new(UNLIMITED)) };
}

/// Gives the next run of a task its budget.
pub(crate) fn refill() {
    BUDGET.set(Budget::new(PER_RUN));
}

/// The runs are over: what is polled on this thread from now on is not limited.
pub(crate) fn lift() {
    BUDGET.set(Budget::new(UNLIMITED));
}

/// `Ready` while there is budget; else the task is woken at once and has to come back.
pub(crate) fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    let mut budget = BUDGET.get();
    if budget.left > 0 {
        return Poll::Ready(());
    }
    if budget.refusals_left == 0 {
        refill();
        return Poll::Ready(());
    }
    budget.refusals_left -= 1;
    BUDGET.set(budget);
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Leaves enough for one operation.
pub(crate) fn lend() {
    let mut budget = BUDGET.get();
    budget.left = budget.left.max(1);
    BUDGET.set(budget);
}

/// Pays for an operation that has been done.
pub(crate) fn spend() {
    let mut budget = BUDGET.get();
    if budget.left != UNLIMITED {
        budget.left = budget.left.saturating_sub(1);
        BUDGET.set(budget);
    }
}

/// Lets a future run on for as long as its sources are ready: it does not take part in the budget of
/// the task that polls it.
///
/// Each run of a task begins with a budget, and each operation of a socket, a timer or a file that
/// succeeds costs one unit of it. When it is used up they all answer `Pending`, so that a task whose
/// sources are always ready goes to the back of the queue and others run. Inside `unconstrained` they
/// never do, which suits a future that has a bound of its own, or that must not be made to wait for
/// anybody. One that has none keeps its thread: other tasks of it, and its timers and sockets, wait
/// (those of a [`Runtime`](crate::Runtime) until another worker takes them over).
///
/// It concerns the polls of this future alone: before and after them, and in the tasks that it
/// spawns, everything is as ever, and what it has done has cost the task nothing. It may be nested.
///
/// # Cancel safety
///
/// That of the future.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// ekio::block_on(async {
///     let catch_up = async {
///         let mut interval = ekio::time::interval(Duration::from_nanos(1));
///         for _ in 0..1_000 {
///             interval.tick().await;
///         }
///     };
///     ekio::task::unconstrained(catch_up).await;
/// });
/// ```
pub fn unconstrained<F: Future>(future: F) -> Unconstrained<F> {
    Unconstrained { future }
}

/// The future of [`unconstrained`].
#[derive(Debug)]
#[must_use = "futures do nothing unless they are polled"]
pub struct Unconstrained<F> {
    future: F,
}

impl<F: Future> Future for Unconstrained<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: map_unchecked_mut asks that the field does not move while the whole does not:
        // this is its only projection, `Unconstrained` has no Drop, and it is Unpin only if the
        // future is.
        let future = unsafe { self.map_unchecked_mut(|this| &mut this.future) };
        let _outer = set_aside();
        future.poll(cx)
    }
}

/// Nobody is limited, until the answer is dropped or somebody refills.
pub(crate) fn set_aside() -> Outer {
    Outer(BUDGET.replace(Budget::new(UNLIMITED)))
}

/// The budget that is back in force when this is dropped, by a panic too.
#[derive(Debug)]
pub(crate) struct Outer(Budget);

impl Drop for Outer {
    fn drop(&mut self) {
        BUDGET.set(self.0);
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

    #[test]
    fn who_is_refused_for_ever_gets_another_budget() {
        let mut cx = Context::from_waker(Waker::noop());
        refill();
        for _ in 0..2 {
            for _ in 0..PER_RUN {
                assert!(poll_proceed(&mut cx).is_ready());
                spend();
            }
            for _ in 0..REFUSALS_MAX {
                assert!(poll_proceed(&mut cx).is_pending());
            }
        }
        lift();
    }

    /// True if there is budget for a whole run more.
    fn spends_a_run() -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        (0..PER_RUN).all(|_| {
            spend();
            poll_proceed(&mut cx).is_ready()
        })
    }

    #[test]
    fn unconstrained_is_nested_and_leaves_the_budget_as_it_was() {
        let mut cx = Context::from_waker(Waker::noop());
        refill();
        let mut nested = Box::pin(unconstrained(unconstrained(async {
            assert!(spends_a_run() && spends_a_run());
        })));
        assert!(nested.as_mut().poll(&mut cx).is_ready());
        assert_eq!(BUDGET.get().left, PER_RUN);
        assert!(!spends_a_run());
        lift();
    }

    #[test]
    fn a_panic_does_not_leave_the_thread_unconstrained() {
        refill();
        let mut cx = Context::from_waker(Waker::noop());
        let mut bad = Box::pin(unconstrained(async {
            std::panic::resume_unwind(Box::new("on purpose"))
        }));
        let polled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _: Poll<()> = bad.as_mut().poll(&mut cx);
        }));
        assert!(polled.is_err());
        assert!(!spends_a_run());
        lift();
    }
}
