//! A grip on a task that knows of its end alone.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;

use super::Id;
use super::raw::{self, Header};

/// A grip on a task that can ask for its end, from any thread and as often as wanted: it can be
/// cloned, and is `Send` and `Sync` whatever the task's future and output are.
///
/// It comes from [`JoinHandle::abort_handle`](super::JoinHandle::abort_handle), and from a
/// [`JoinSet`](super::JoinSet) for each task that is spawned to it. It keeps nothing alive but some
/// memory, and dropping it does nothing to the task.
///
/// # Examples
///
/// ```
/// ekio::block_on(async {
///     let task = ekio::spawn_local(std::future::pending::<()>());
///     let abort = task.abort_handle();
///     std::thread::spawn(move || abort.abort());
///     assert!(task.await.unwrap_err().is_cancelled());
/// });
/// ```
pub struct AbortHandle {
    task: NonNull<Header>,
}

// SAFETY: what a handle can do (ask, abort, count references) is made for any thread, see `state`.
// Future and output are gone when the last reference goes, so with it goes memory alone.
unsafe impl Send for AbortHandle {}
// SAFETY: as above.
unsafe impl Sync for AbortHandle {}

// It has no way to anything that a panic could leave half done.
impl UnwindSafe for AbortHandle {}
impl RefUnwindSafe for AbortHandle {}

impl AbortHandle {
    /// # Safety
    ///
    /// * The caller has a reference to the task, and keeps it.
    pub(super) unsafe fn new(task: NonNull<Header>) -> AbortHandle {
        // SAFETY: by the contract.
        unsafe { raw::add_reference(task) };
        AbortHandle { task }
    }

    /// Asks for the task to end. See [`JoinHandle::abort`](super::JoinHandle::abort).
    pub fn abort(&self) {
        // SAFETY: the handle has a reference.
        unsafe { raw::abort(self.task) };
    }

    /// True once the task has ended, by itself or otherwise.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.header().state.load().is_complete()
    }

    /// The number of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.header().id()
    }

    fn header(&self) -> &Header {
        // SAFETY: the handle has a reference, which keeps it alive.
        unsafe { self.task.as_ref() }
    }
}

impl Clone for AbortHandle {
    fn clone(&self) -> AbortHandle {
        // SAFETY: the handle has a reference.
        unsafe { AbortHandle::new(self.task) }
    }
}

impl Drop for AbortHandle {
    fn drop(&mut self) {
        // SAFETY: the handle's reference is given back.
        unsafe { raw::drop_reference(self.task) };
    }
}

impl fmt::Debug for AbortHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AbortHandle")
            .field("id", &self.id())
            .field("is_finished", &self.is_finished())
            .finish()
    }
}
