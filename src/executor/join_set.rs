//! What a [`JoinSet`] spawns. The set itself is in the side room, which knows no executor.

use std::future::Future;

#[cfg(feature = "rt-multi-thread")]
use super::runtime::Handle;
use crate::task::{AbortHandle, JoinSet};

impl<T: 'static> JoinSet<T> {
    /// Starts a task of the set on the workers of the [`Runtime`](crate::Runtime) that the caller is
    /// in, as [`ekio::spawn`](crate::spawn) does.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[cfg(feature = "rt-multi-thread")]
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(super::spawn(future))
    }

    /// Starts a task of the set on the workers of a runtime. If that has ended, so has the task.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use ekio::task::JoinSet;
    ///
    /// let runtime = ekio::Runtime::builder().workers(1).build()?;
    /// let mut set = JoinSet::new();
    /// set.spawn_on(async { 7 }, runtime.handle());
    /// // Joined wherever one likes.
    /// assert_eq!(ekio::block_on(set.join_next()).unwrap().unwrap(), 7);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "rt-multi-thread")]
    #[track_caller]
    pub fn spawn_on<F>(&mut self, future: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.insert(handle.spawn(future))
    }

    /// Starts a task of the set on this thread, as [`ekio::spawn_local`](crate::spawn_local) does.
    ///
    /// # Panics
    ///
    /// Outside of [`block_on`](crate::block_on).
    #[track_caller]
    pub fn spawn_local<F>(&mut self, future: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.insert(super::spawn_local(future))
    }

    /// Runs a closure that blocks on a thread where it may, as
    /// [`ekio::spawn_blocking`](crate::spawn_blocking) does. One that has begun cannot be aborted: a
    /// [`shutdown`](JoinSet::shutdown) of the set waits for it, and its drop does not.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.insert(super::spawn_blocking(f))
    }
}

/// Spawns each future, as [`JoinSet::spawn`] does.
#[cfg(feature = "rt-multi-thread")]
impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    #[track_caller]
    fn from_iter<I: IntoIterator<Item = F>>(futures: I) -> JoinSet<T> {
        let mut set = JoinSet::new();
        for future in futures {
            set.spawn(future);
        }
        set
    }
}
