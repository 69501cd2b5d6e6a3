//! What the spawner keeps of a task: the right to its output, and to ask for its end.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use super::raw::{self, Header};
use super::{AbortHandle, Id};

/// The grip on a spawned task: a future of its output.
///
/// Dropping it *detaches* the task, which goes on; its output is dropped when it comes.
///
/// A panic inside the task ends the task alone, and is handed out here as a [`JoinError`]. If the
/// future is ready and its destructor panics, the output is handed out all the same.
///
/// # Cancel safety
///
/// Nothing is lost when the handle is polled and then not polled for a while. Dropping it loses the
/// output.
///
/// # Panics
///
/// Polling it again after it was ready panics.
///
/// # Examples
///
/// ```
/// ekio::block_on(async {
///     let task = ekio::spawn_local(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
///
///     let stuck = ekio::spawn_local(std::future::pending::<()>());
///     stuck.abort();
///     assert!(stuck.await.unwrap_err().is_cancelled());
/// });
/// ```
pub struct JoinHandle<T> {
    task: NonNull<Header>,
    /// The joiner's slot is lent to the completer, with a waker in it.
    is_lent: bool,
    is_spent: bool,
    _output: PhantomData<T>,
}

// SAFETY: what a handle does from another thread, apart from moving the output there, is made for
// any thread (see `state`). With it the output may come to be used and dropped there.
unsafe impl<T: Send> Send for JoinHandle<T> {}
// SAFETY: a shared handle can ask and abort, both of which are made for any thread, and has no way
// to the output.
unsafe impl<T: Send> Sync for JoinHandle<T> {}

impl<T> Unpin for JoinHandle<T> {}
// A panic never happens while the handle is in between two states.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> JoinHandle<T> {
    /// # Safety
    ///
    /// * The caller gives up the reference that a new task counts for its handle.
    /// * `T` is the output of the task's future.
    pub(super) unsafe fn new(task: NonNull<Header>) -> JoinHandle<T> {
        JoinHandle {
            task,
            is_lent: false,
            is_spent: false,
            _output: PhantomData,
        }
    }

    /// Asks for the task to end: its future is dropped, by the thread that would run it, instead of
    /// being polled again.
    ///
    /// The handle then answers an error that [`is_cancelled`](JoinError::is_cancelled), unless the
    /// task had ended before: between the two the request and the end of the task race. A closure
    /// of [`spawn_blocking`](crate::spawn_blocking) that has begun cannot be stopped.
    ///
    /// Does not wait. May be called from any thread and more than once.
    pub fn abort(&self) {
        // SAFETY: the handle has a reference.
        unsafe { raw::abort(self.task) };
    }

    /// Another grip on the task, which can [`abort`](AbortHandle::abort) it from anywhere, and knows
    /// nothing of its output.
    #[must_use]
    pub fn abort_handle(&self) -> AbortHandle {
        // SAFETY: the handle has a reference.
        unsafe { AbortHandle::new(self.task) }
    }

    /// True once the task has ended, by itself or otherwise, and the output is there (or has been
    /// taken).
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

    /// Takes the output of a task that is complete, once.
    pub(super) fn take_output(&mut self) -> Result<T, JoinError> {
        assert!(self.is_finished() && !std::mem::replace(&mut self.is_spent, true));
        // SAFETY: the task is complete, and `is_spent` sees to it that this happens once; `T` is
        // its output by the contract of `new`.
        unsafe { raw::take_output(self.task) }
    }

    /// Makes `waker` the one that completion wakes. True if completion came first.
    pub(super) fn register(&mut self, waker: &Waker) -> bool {
        // SAFETY: this is the handle.
        if self.is_lent && unsafe { self.header().joiner.holds(waker) } {
            return false;
        }
        // Foreign code, so before anything changes.
        let waker = waker.clone();
        if self.is_lent && self.header().state.clear_join_waker().is_complete() {
            return true;
        }
        // SAFETY: the slot is the handle's: `JOIN_WAKER` is clear, and was when we looked.
        let old = unsafe { self.header().joiner.replace(waker) };
        self.is_lent = !self.header().state.set_join_waker().is_complete();
        if !self.is_lent {
            // SAFETY: the completer has found `JOIN_WAKER` clear and keeps out of the slot.
            drop(unsafe { self.header().joiner.take() });
        }
        drop(old);
        !self.is_lent
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.is_spent, "a JoinHandle was polled after it was ready");
        if !self.is_finished() && !self.register(cx.waker()) {
            return Poll::Pending;
        }
        Poll::Ready(self.take_output())
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        let mut waker = None;
        let is_complete = self.is_spent || self.header().state.drop_join().is_complete();
        if !self.is_spent && is_complete {
            // SAFETY: it is complete while the handle was there, so the output is the handle's.
            unsafe { raw::drop_output(self.task) };
        }
        if self.is_lent {
            if is_complete {
                // The completer may be at the slot, and relies on our reference.
                self.header().joiner.wait_until_empty();
            } else {
                // SAFETY: `drop_join` took the slot back in time.
                waker = unsafe { self.header().joiner.take() };
            }
        }
        // SAFETY: the handle's reference is given back.
        unsafe { raw::drop_reference(self.task) };
        // Foreign code, so after everything else.
        drop(waker);
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("is_finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Why a task has no output.
///
/// # Examples
///
/// ```
/// ekio::block_on(async {
///     let task = ekio::spawn_local(async { panic!("out of cheese (this text is expected)") });
///     let error = task.await.unwrap_err();
///     assert!(error.is_panic());
///     assert_eq!(
///         *error.into_panic().downcast::<&str>().unwrap(),
///         "out of cheese (this text is expected)"
///     );
/// });
/// ```
pub struct JoinError {
    id: Id,
    reason: Reason,
}

enum Reason {
    Cancelled,
    /// The blocking pool could not run it.
    Refused(&'static str),
    /// The lock makes the error `Sync`, which errors are expected to be.
    Panic(Mutex<Box<dyn Any + Send>>),
}

impl JoinError {
    pub(super) fn cancelled(id: Id) -> JoinError {
        let reason = Reason::Cancelled;
        JoinError { id, reason }
    }

    pub(crate) fn refused(id: Id, why: &'static str) -> JoinError {
        let reason = Reason::Refused(why);
        JoinError { id, reason }
    }

    #[cold]
    pub(super) fn panic(id: Id, payload: Box<dyn Any + Send>) -> JoinError {
        let reason = Reason::Panic(Mutex::new(payload));
        JoinError { id, reason }
    }

    /// True if the task was ended before it could end by itself: by
    /// [`abort`](JoinHandle::abort), by the end of the runtime, or because there was no thread to
    /// run it.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        !self.is_panic()
    }

    /// True if the task panicked.
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self.reason, Reason::Panic(_))
    }

    /// What the panic carried, for [`resume_unwind`](std::panic::resume_unwind) for example.
    ///
    /// # Errors
    ///
    /// The error itself, if the task did not panic.
    pub fn try_into_panic(self) -> Result<Box<dyn Any + Send>, JoinError> {
        match self.reason {
            Reason::Panic(payload) => Ok(payload
                .into_inner()
                .unwrap_or_else(|poisoned| poisoned.into_inner())),
            _ => Err(self),
        }
    }

    /// What the panic carried, for [`resume_unwind`](std::panic::resume_unwind) for example.
    ///
    /// # Panics
    ///
    /// If the task did not panic: ask [`is_panic`](JoinError::is_panic) first.
    #[must_use]
    pub fn into_panic(self) -> Box<dyn Any + Send> {
        self.try_into_panic()
            .unwrap_or_else(|error| panic!("{error}; ask is_panic before into_panic"))
    }

    /// The number of the task.
    #[must_use]
    pub fn id(&self) -> Id {
        self.id
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id;
        match &self.reason {
            Reason::Cancelled => write!(f, "task {id} was cancelled"),
            Reason::Refused(why) => write!(f, "task {id} was not run: {why}"),
            Reason::Panic(payload) => {
                let payload = payload
                    .lock()
                    .unwrap_or_else(|poisoned| poisoned.into_inner());
                match text_of(&**payload) {
                    Some(text) => write!(f, "task {id} panicked: {text}"),
                    None => write!(f, "task {id} panicked"),
                }
            }
        }
    }
}

/// The text of a panic, if it is one of the two that `panic!` makes.
fn text_of(payload: &(dyn Any + Send)) -> Option<&str> {
    match payload.downcast_ref::<&'static str>() {
        Some(text) => Some(text),
        None => payload.downcast_ref::<String>().map(String::as_str),
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {}
