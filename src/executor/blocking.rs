//! Threads for what blocks: name resolution, files, and the user's [`spawn_blocking`].
//!
//! One pool for the process. A call is a task like any other, whose future runs the closure at its
//! only poll; so it is joined, aborted and isolated like any other.
//!
//! # Who does a call
//!
//! * An idle thread, if there is one that no other call has claimed: `idle` is how many there are.
//!   The caller claims one (`idle` − 1, `claims` + 1) and notifies; the thread that wakes takes the
//!   claim back (`claims` − 1). Without `claims` two calls in a row would count on the same thread.
//! * Else a new one, if there may be more.
//! * Else whoever is free first.
//!
//! A thread that cannot be started leaves the call to the others. If there are no others, it is
//! refused.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::queue::Queue;
use crate::reactor::ForkGuard;
use crate::reactor::virtual_time::{self, Hold};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, StaticMutex, lock, lock_static, thread};
use crate::task::raw::{self, Runnable, Schedule};
use crate::task::{JoinError, JoinHandle};

/// The most threads of the pool. Many, because a call may wait for another one (a pipe, a lock);
/// tokio's number too.
const THREADS_MAX: usize = 512;

/// How long a thread without work stays, for the next call not to have to start one.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// Runs a closure that blocks on a thread where it may, and hands its output back.
///
/// Works on any thread, inside any executor and outside of all. Calls begin in the order in which
/// they came. There are up to 512 threads, named `ekio-blocking-1` and so on; one that has been idle
/// for 10 s ends.
///
/// Dropping the [`JoinHandle`] lets the call go on. [`abort`](JoinHandle::abort) keeps a call from
/// beginning; it does not stop one that has begun. Neither does the end of the runtime, nor does the
/// end of `main` wait for it.
///
/// # Errors
///
/// The handle answers a [`JoinError`] that [`is_panic`](JoinError::is_panic) if the closure panicked,
/// and one that [`is_cancelled`](JoinError::is_cancelled) if it was aborted before it began or if the
/// operating system gives the pool not even one thread.
///
/// # Examples
///
/// ```
/// let sum = ekio::block_on(async {
///     ekio::spawn_blocking(|| (1..=10).sum::<i32>()).await.unwrap()
/// });
/// assert_eq!(sum, 55);
/// ```
#[track_caller]
pub fn spawn_blocking<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // (A thread without a reactor of its own, whose shared one cannot be made, is under no virtual clock.)
    let call = Call {
        f: Some(f),
        hold: virtual_time::hold().ok().flatten(),
    };
    let (task, handle) = raw::spawn(call, OnPool, Location::caller());
    Pool::push(&the_pool(), task);
    handle
}

/// The pool of this process. A fork has none of its parent's threads, and gets a pool of its own.
fn the_pool() -> Arc<Pool> {
    static POOL: StaticMutex<Option<(ForkGuard, Arc<Pool>)>> = StaticMutex::new(None);
    let mut pool = lock_static(&POOL);
    match &*pool {
        Some((home, pool)) if home.is_at_home() => Arc::clone(pool),
        _ => {
            let new = Pool::new(THREADS_MAX, IDLE_MAX, start_thread);
            *pool = Some((ForkGuard::new(), Arc::clone(&new)));
            new
        }
    }
}

/// The future of a call.
struct Call<F> {
    f: Option<F>,
    /// Keeps the virtual clock of whoever waits, if there is one, from jumping over the call.
    hold: Option<Hold>,
}

std::thread_local! {
    /// The hold of a call that has just ended on this thread. Its time is over when the joiner has been
    /// woken, which is after the future has been dropped.
    static LATE_HOLD: RefCell<Option<Hold>> = const { RefCell::new(None) };
}

impl<F> Drop for Call<F> {
    fn drop(&mut self) {
        if let Some(hold) = self.hold.take() {
            let _ = LATE_HOLD.try_with(|late| late.replace(Some(hold)));
        }
    }
}

/// To be called when a call has been run or refused.
fn end_hold() {
    let hold = LATE_HOLD.try_with(RefCell::take);
    drop(hold);
}

// Nothing in it is ever pinned.
impl<F> Unpin for Call<F> {}

impl<F: FnOnce() -> T, T> Future for Call<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<T> {
        let _lent = virtual_time::lend_to_call(self.hold.clone());
        match self.f.take() {
            Some(f) => Poll::Ready(f()),
            None => unreachable!("a call is complete after its first poll"),
        }
    }
}

/// A call is active from its push to its completion, so no wake ever comes here. If one did:
#[derive(Clone, Copy)]
struct OnPool;

impl Schedule for OnPool {
    fn schedule(&self, task: Runnable) {
        Pool::push(&the_pool(), task);
    }
}

/// Starts a thread of the given number that does [`Pool::serve`].
type StartThread = fn(Arc<Pool>, usize) -> io::Result<()>;

fn start_thread(pool: Arc<Pool>, number: usize) -> io::Result<()> {
    thread::Builder::new()
        .name(format!("ekio-blocking-{number}"))
        .spawn(move || pool.serve())
        .map(drop)
}

struct Pool {
    desk: Mutex<Desk>,
    /// Notified once for each claim.
    claimed: Condvar,
    threads_max: usize,
    idle_max: Duration,
    start_thread: StartThread,
}

#[derive(Default)]
struct Desk {
    calls: Queue,
    threads: usize,
    idle: usize,
    claims: usize,
    threads_ever: usize,
}

impl Pool {
    fn new(threads_max: usize, idle_max: Duration, start_thread: StartThread) -> Arc<Pool> {
        Arc::new(Pool {
            desk: Mutex::new(Desk::default()),
            claimed: Condvar::new(),
            threads_max,
            idle_max,
            start_thread,
        })
    }

    fn push(pool: &Arc<Pool>, call: Runnable) {
        let mut desk = lock(&pool.desk);
        desk.calls.push(call);
        if desk.idle > 0 {
            desk.idle -= 1;
            desk.claims += 1;
            drop(desk);
            pool.claimed.notify_one();
        } else if desk.threads < pool.threads_max {
            desk.threads += 1;
            desk.threads_ever += 1;
            let number = desk.threads_ever;
            drop(desk);
            if (pool.start_thread)(Arc::clone(pool), number).is_err() {
                pool.do_without();
            }
        }
    }

    /// A thread could not be started.
    #[cold]
    fn do_without(&self) {
        let mut desk = lock(&self.desk);
        desk.threads -= 1;
        if desk.threads > 0 {
            return;
        }
        let mut calls = std::mem::take(&mut desk.calls);
        drop(desk);
        while let Some(call) = calls.pop() {
            let why = "the system gives the blocking pool no thread";
            let error = JoinError::refused(call.header().id(), why);
            // SAFETY: closures for the pool are Send, see `spawn_blocking`.
            drop(unsafe { call.refuse(error) });
            end_hold();
        }
    }

    /// The life of a thread.
    fn serve(&self) {
        let mut desk = lock(&self.desk);
        loop {
            while let Some(call) = desk.calls.pop() {
                drop(desk);
                // SAFETY: closures for the pool are Send, see `spawn_blocking`.
                drop(unsafe { call.run() });
                end_hold();
                desk = lock(&self.desk);
            }
            desk.idle += 1;
            match self.wait_for_claim(desk) {
                Some(claimed) => desk = claimed,
                None => return,
            }
        }
    }

    /// `None` if nobody needs this thread, which then no longer counts.
    fn wait_for_claim<'a>(
        &'a self,
        mut desk: MutexGuard<'a, Desk>,
    ) -> Option<MutexGuard<'a, Desk>> {
        loop {
            let waited = self.claimed.wait_timeout(desk, self.idle_max);
            let (woken, waited) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
            desk = woken;
            if desk.claims > 0 {
                desk.claims -= 1;
                return Some(desk);
            }
            if waited.timed_out() {
                desk.idle -= 1;
                desk.threads -= 1;
                return None;
            }
        }
    }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests;
