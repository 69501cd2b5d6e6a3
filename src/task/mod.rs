//! The side room: one task's memory and state.
//!
//! A task is a future that was given away: somebody else polls it, and the spawner keeps a
//! [`JoinHandle`]. This room knows how a task is laid out, woken, run once, joined and freed. It does
//! not know queues or threads; `raw::Schedule` is where an executor plugs in.
//!
//! * `state`: the one atomic word, its picture, and the rules that everything else obeys.
//! * `raw`: the memory, the vtable, the `Waker`, and `Runnable`, the right to run
//!   a task once.
//! * `join`: [`JoinHandle`] and [`JoinError`].

mod join;
#[cfg(all(test, ekio_loom))]
mod models;
pub(crate) mod raw;
mod state;
#[cfg(all(test, ekio_loom))]
mod testing;

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

pub use join::{JoinError, JoinHandle};

use crate::sync::{StaticMutex, lock_static};

/// The number of a task. No two tasks of a process have the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(u64);

impl Id {
    /// Numbers are taken from the process by the thousand, so that spawning meets no other thread.
    fn new() -> Id {
        const BLOCK_LEN: u64 = 1024;
        static NEXT_BLOCK: StaticMutex<u64> = StaticMutex::new(0);
        std::thread_local! {
            static NEXT: Cell<u64> = const { Cell::new(0) };
        }

        let mut id = NEXT.get();
        if id % BLOCK_LEN == 0 {
            let mut next_block = lock_static(&NEXT_BLOCK);
            id = *next_block;
            *next_block += BLOCK_LEN;
        }
        NEXT.set(id + 1);
        Id(id)
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
