//! What threads know of a runtime.

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;

use super::super::crew::Crew;
use super::{Dump, Metrics};
use crate::sync::per_thread;
use crate::task::JoinHandle;

per_thread! {
    /// The runtime that this thread spawns to.
    static CURRENT: Cell<Option<Handle>> = const { Cell::new(None) };
}

/// A grip on a [`Runtime`](super::Runtime) with which any thread can spawn to it.
///
/// It keeps nothing alive: what is spawned after the end of the runtime is cancelled.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = ekio::Runtime::builder().workers(1).build()?;
/// let handle = runtime.handle().clone();
/// let task = std::thread::spawn(move || handle.spawn(async { 7 })).join().unwrap();
/// assert_eq!(runtime.block_on(task).unwrap(), 7);
///
/// let handle = runtime.handle().clone();
/// drop(runtime);
/// let late = handle.spawn(async { 7 });
/// assert!(ekio::block_on(late).unwrap_err().is_cancelled());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct Handle {
    pub(super) crew: &'static Crew,
    pub(super) tenancy: u64,
}

impl Handle {
    /// The runtime that this thread is in: as one of its workers, inside its
    /// [`block_on`](super::Runtime::block_on), or by [`enter`](Handle::enter).
    ///
    /// # Panics
    ///
    /// If it is in none.
    #[must_use]
    #[track_caller]
    pub fn current() -> Handle {
        match Handle::try_current() {
            Some(handle) => handle,
            None => panic!("{}", no_runtime("Handle::current")),
        }
    }

    /// The same, or `None`.
    #[must_use]
    pub fn try_current() -> Option<Handle> {
        CURRENT.with(Cell::get)
    }

    /// Starts a task on the workers. See [`ekio::spawn`](crate::spawn).
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.crew.spawn(self.tenancy, future, Location::caller())
    }

    /// See [`Runtime::metrics`](super::Runtime::metrics). All zeros if the runtime has ended.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics::of(*self)
    }

    /// See [`Runtime::dump`](super::Runtime::dump). Empty if the runtime has ended.
    #[must_use]
    pub fn dump(&self) -> Dump {
        Dump::of(*self)
    }

    /// Until the guard is dropped, this thread is in this runtime: [`ekio::spawn`](crate::spawn)
    /// spawns to it. Guards are dropped in the reverse order of their making.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = ekio::Runtime::builder().workers(1).build()?;
    /// let guard = runtime.handle().enter();
    /// let task = ekio::spawn(async { 7 });
    /// drop(guard);
    /// assert_eq!(ekio::block_on(task).unwrap(), 7);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "the thread leaves the runtime when the guard is dropped"]
    pub fn enter(&self) -> EnterGuard {
        EnterGuard {
            outer: CURRENT.with(|current| current.replace(Some(*self))),
            _not_send: PhantomData,
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle")
            .field("workers", &self.crew.workers())
            .finish_non_exhaustive()
    }
}

/// The time for which a thread is in a runtime, by [`Handle::enter`].
#[derive(Debug)]
pub struct EnterGuard {
    outer: Option<Handle>,
    /// It belongs to one thread.
    _not_send: PhantomData<*const ()>,
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.outer));
    }
}

#[cold]
pub(in super::super) fn no_runtime(who: &str) -> String {
    format!(
        "{who} outside of a runtime: call it from a task of an `ekio::Runtime`, inside its \
         `block_on` or after `Handle::enter`; a future for the calling thread alone goes to \
         `ekio::spawn_local`"
    )
}
