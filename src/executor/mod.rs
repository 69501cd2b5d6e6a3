//! The second floor: decides *what* runs next.
//!
//! * `block_on`: the loop of one thread. `local`: its tasks, and where wakes from other threads
//!   arrive. `queue`: the lists both are made of.
//! * `sleep`: how a thread goes to sleep in its reactor without missing a wake. `spin`: whether to look
//!   for one a little longer before.
//! * `runtime`: many threads. `worker`: the loop of each; `crew`: what they share.
//! * `blocking`: threads for what blocks. `join_set`: what the sets of tasks spawn.

mod block_on;
pub(crate) mod blocking;
#[cfg(feature = "rt-multi-thread")]
mod crew;
mod join_set;
mod local;
#[cfg(all(test, ekio_loom))]
mod models;
pub(crate) mod queue;
#[cfg(feature = "rt-multi-thread")]
pub mod runtime;
mod sleep;
mod spin;
#[cfg(test)]
#[cfg_attr(not(ekio_loom), allow(dead_code))] // The models use all of it.
mod testing;
#[cfg(feature = "rt-multi-thread")]
mod worker;

use std::future::Future;
use std::panic::Location;

pub use block_on::block_on;
pub use blocking::spawn_blocking;

use crate::task::JoinHandle;
use local::Local;
#[cfg(feature = "rt-multi-thread")]
use runtime::Handle;

/// Starts a task on the workers of the [`Runtime`](crate::Runtime) that the caller is in: a future
/// that runs by itself, beside the caller and on whatever thread has time.
///
/// It is polled when its turn has come, not at once. If it has not ended when the runtime does, it is
/// dropped then. Its panic is caught, see [`JoinHandle`].
///
/// # Panics
///
/// Outside of a runtime. One is in it inside its tasks and its
/// [`block_on`](crate::Runtime::block_on), and after [`Handle::enter`]; not in
/// [`ekio::block_on`](crate::block_on), which has no workers.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// ekio::Runtime::new()?.block_on(async {
///     let tasks: Vec<_> = (0..4).map(|n| ekio::spawn(async move { n * n })).collect();
///     let mut sum = 0;
///     for task in tasks {
///         sum += task.await.unwrap();
///     }
///     assert_eq!(sum, 14);
/// });
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "rt-multi-thread")]
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match Handle::try_current() {
        Some(handle) => handle.spawn(future),
        None => panic!("{}", runtime::no_runtime("spawn")),
    }
}

/// Starts a task on this thread: a future that runs by itself, beside the caller.
///
/// It need not be `Send`. It is polled when its turn has come, not at once, by the
/// [`block_on`](crate::block_on) that this thread is in; if it has not ended when that returns, it is
/// dropped then. Its panic is caught, see [`JoinHandle`].
///
/// # Panics
///
/// Outside of `block_on`, where nobody would ever poll the task.
///
/// # Examples
///
/// ```
/// use std::rc::Rc;
///
/// ekio::block_on(async {
///     let shared = Rc::new(3);
///     let copy = Rc::clone(&shared);
///     let task = ekio::spawn_local(async move { *copy + 1 });
///     assert_eq!(task.await.unwrap(), 4);
/// });
/// ```
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
{
    let location = Location::caller();
    match Local::with_current(|local| local.spawn(future, location)) {
        Some(handle) => handle,
        None => panic!(
            "spawn_local outside of block_on: no loop on this thread would ever poll the task; \
             call it from a future that runs inside `ekio::block_on`, or give a future that is \
             `Send` to `ekio::spawn`"
        ),
    }
}
