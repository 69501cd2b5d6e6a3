//! The side room: one task's memory and state.
//!
//! A task is a future that was given away: somebody else polls it, and the spawner keeps a
//! [`JoinHandle`]. This room knows how a task is laid out, woken, run once, joined and freed. It does
//! not know queues or threads; `raw::Schedule` is where an executor plugs in.
//!
//! * `state`: the one atomic word, its picture, and the rules that everything else obeys.
//! * `raw`: the memory, the vtable, the `Waker`, and `Runnable`, the right to run
//!   a task once.
//! * `spare`: the memory of tasks that have ended, for those that begin.
//! * `join`: [`JoinHandle`] and [`JoinError`]. `joiner`: where the handle's waker lies. `abort`: [`AbortHandle`], which knows of no output.
//! * `join_set`: [`JoinSet`], many tasks joined as one.
//! * `budget`: how much a task may do in one run. What counts is one floor up, in the leaf futures.

mod abort;
pub(crate) mod budget;
mod join;
mod join_set;
mod joiner;
#[cfg(all(test, ekio_loom))]
mod models;
pub(crate) mod raw;
pub(crate) mod spare;
mod state;
#[cfg(all(test, ekio_loom))]
mod testing;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use abort::AbortHandle;
pub use budget::{Unconstrained, unconstrained};
pub use join::{JoinError, JoinHandle};
pub use join_set::JoinSet;

use crate::sync::{StaticMutex, lock_static};

/// The number of a task. No two tasks of a process have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u64);

impl Id {
    /// Numbers are taken from the process by the thousand, so that spawning meets no other thread.
    const BLOCK_LEN: u64 = 1024;

    fn new() -> Id {
        static NEXT_BLOCK: StaticMutex<u64> = StaticMutex::new(0);
        std::thread_local! {
            static NEXT: Cell<u64> = const { Cell::new(0) };
        }

        let mut id = NEXT.get();
        if id % Id::BLOCK_LEN == 0 {
            let mut next_block = lock_static(&NEXT_BLOCK);
            id = *next_block;
            *next_block += Id::BLOCK_LEN;
        }
        NEXT.set(id + 1);
        Id(id)
    }

    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({})", self.0)
    }
}

/// The number of the task that calls.
///
/// A task calls while it is polled and while its future is dropped; a closure of
/// [`spawn_blocking`](crate::spawn_blocking) is one too. The future that is given to
/// [`block_on`](crate::block_on) is none.
///
/// # Panics
///
/// If no task calls. [`try_id`] answers `None` then.
///
/// # Examples
///
/// ```
/// ekio::block_on(async {
///     let task = ekio::spawn_local(async { ekio::task::id() });
///     let id = task.id();
///     assert_eq!(task.await.unwrap(), id);
///     assert!(ekio::task::try_id().is_none());
/// });
/// ```
#[must_use]
#[track_caller]
pub fn id() -> Id {
    match try_id() {
        Some(id) => id,
        None => panic!(
            "task::id outside of a task: the future of `block_on` is none, but one that is given to \
             `ekio::spawn` or `ekio::spawn_local` is; `task::try_id` asks without a panic"
        ),
    }
}

/// The number of the task that calls, or `None` if none does. See [`id`].
#[must_use]
pub fn try_id() -> Option<Id> {
    raw::running_id()
}

/// Lets the other tasks run: the calling task goes to the back of the queue.
///
/// Today every task that is in the queue of a [`block_on`](crate::block_on) at that moment runs
/// before this returns, and so does the future that was given to `block_on` itself. Other executors
/// do what they do with a task that wakes itself.
///
/// # Cancel safety
///
/// Nothing is lost; the place in the queue is.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use std::rc::Rc;
///
/// ekio::block_on(async {
///     let ran = Rc::new(Cell::new(false));
///     let flag = ran.clone();
///     ekio::spawn_local(async move { flag.set(true) });
///     assert!(!ran.get());
///     ekio::task::yield_now().await;
///     assert!(ran.get());
/// });
/// ```
pub fn yield_now() -> impl Future<Output = ()> + Send + Sync + Unpin {
    YieldNow { has_yielded: false }
}

#[derive(Debug)]
struct YieldNow {
    has_yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_yielded {
            return Poll::Ready(());
        }
        self.has_yielded = true;
        if !raw::yield_running(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
