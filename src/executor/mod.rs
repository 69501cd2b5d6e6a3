//! The second floor: decides *what* runs next.
//!
//! * `block_on`: the loop of one thread. `local`: its tasks, and where wakes from other threads
//!   arrive. `queue`: the lists both are made of.
//! * `sleep`: how a thread goes to sleep in its reactor without missing a wake.
//! * `blocking`: threads for what blocks.

mod block_on;
pub(crate) mod blocking;
mod local;
#[cfg(all(test, ekio_loom))]
mod models;
pub(crate) mod queue;
mod sleep;
#[cfg(all(test, ekio_loom))]
mod testing;

use std::future::Future;
use std::panic::Location;

pub use block_on::block_on;
pub use blocking::spawn_blocking;

use crate::task::JoinHandle;
use local::Local;

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
             call it from a future that runs inside `ekio::block_on`"
        ),
    }
}
