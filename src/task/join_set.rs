//! Many tasks, joined in the order in which they end.
//!
//! ```text
//!    JoinSet                                   who completes a task
//!   +----------------+
//!   | tasks[place]   |  JoinHandle <--- waker: Bell { place } --- wake
//!   | ready ---------|--> List { places, joiner } <---------------+
//!   +----------------+        |             |
//!      take the output <------+             +----> wake the joiner
//! ```
//!
//! Each task has a waker of its own, a `Bell`, which lies in the task's joiner's slot from the start.
//! Whoever completes the task wakes it, once, and it puts the task's place into the list of those that
//! are ready. So a join looks at one task, however many there are, and a task that ends costs the same.
//!
//! A place is used again when its task has been joined. That is after its bell has rung, so no bell
//! rings for a place's next tenant. `detach_all` alone gives up places before; so it gives up the list
//! as well.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc as StdArc;
use std::task::{Context, Poll, Wake, Waker, ready};

use super::{AbortHandle, Id, JoinError, JoinHandle, budget};
use crate::sync::{Arc, Mutex, lock};

/// Tasks that belong together, all with an output of type `T`: they are joined in the order in which
/// they end, and dropping the set aborts those that have not ended.
///
/// It mirrors tokio's type of this name.
///
/// # Cancel safety
///
/// Nothing is lost when a join is given up: an output leaves the set in the very poll that returns it.
///
/// # Examples
///
/// ```
/// # #[cfg(not(feature = "rt-multi-thread"))]
/// # fn main() {}
/// # #[cfg(feature = "rt-multi-thread")]
/// # fn main() -> std::io::Result<()> {
/// use ekio::task::JoinSet;
///
/// ekio::Runtime::builder().workers(2).build()?.block_on(async {
///     let mut set = JoinSet::new();
///     for n in 0..10 {
///         set.spawn(async move { n * n });
///     }
///     let mut sum = 0;
///     while let Some(square) = set.join_next().await {
///         sum += square.unwrap();
///     }
///     assert_eq!(sum, 285);
/// });
/// # Ok(())
/// # }
/// ```
pub struct JoinSet<T> {
    /// `None` where a place is vacant.
    tasks: Vec<Option<JoinHandle<T>>>,
    vacant: Vec<usize>,
    ready: Arc<Ready>,
}

/// What a set shares with its bells.
#[derive(Debug, Default)]
struct Ready {
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct List {
    /// The places of complete tasks, each once.
    places: VecDeque<usize>,
    /// Who waits for the next one.
    joiner: Option<Waker>,
}

/// The joiner of one task.
struct Bell {
    ready: Arc<Ready>,
    place: usize,
}

impl Wake for Bell {
    fn wake(self: StdArc<Bell>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &StdArc<Bell>) {
        let mut list = lock(&self.ready.list);
        list.places.push_back(self.place);
        let joiner = list.joiner.take();
        drop(list);
        joiner.into_iter().for_each(Waker::wake);
    }
}

impl<T> JoinSet<T> {
    /// An empty set.
    #[must_use]
    pub fn new() -> JoinSet<T> {
        JoinSet {
            tasks: Vec::new(),
            vacant: Vec::new(),
            ready: Arc::default(),
        }
    }

    /// How many tasks there are whose output has not been taken yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tasks.len() - self.vacant.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in a task that has been spawned.
    pub(crate) fn insert(&mut self, mut task: JoinHandle<T>) -> AbortHandle {
        let abort = task.abort_handle();
        let place = self.vacant.pop().unwrap_or(self.tasks.len());
        let ready = Arc::clone(&self.ready);
        let bell = Waker::from(StdArc::new(Bell { ready, place }));
        let is_complete = task.is_finished() || task.register(&bell);
        if place == self.tasks.len() {
            self.tasks.push(Some(task));
        } else {
            self.tasks[place] = Some(task);
        }
        if is_complete {
            bell.wake();
        }
        abort
    }

    /// Waits until a task has ended, and takes its output. `None` if the set is empty.
    ///
    /// # Errors
    ///
    /// Inside, as of a [`JoinHandle`]: the task panicked, or was aborted.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it is ready, no task has left the set.
    pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
        poll_fn(|cx| self.poll_join_next(cx)).await
    }

    /// The same, with the number of the task. (An error has it [too](JoinError::id).)
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it is ready, no task has left the set.
    pub async fn join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        poll_fn(|cx| self.poll_join_next_with_id(cx)).await
    }

    /// Takes the output of a task that has ended, if there is one, without waiting.
    pub fn try_join_next(&mut self) -> Option<Result<T, JoinError>> {
        self.try_join_next_with_id().map(without_id)
    }

    /// The same, with the number of the task.
    pub fn try_join_next_with_id(&mut self) -> Option<Result<(Id, T), JoinError>> {
        let place = lock(&self.ready.list).places.pop_front()?;
        Some(self.take(place))
    }

    /// [`join_next`](JoinSet::join_next), polled: `Ready(None)` if the set is empty, and `Pending` if
    /// no task has ended. Then the waker, and the latest alone, is woken when one has.
    ///
    /// It takes part in the budget of the task that polls (see
    /// [`unconstrained`](super::unconstrained)): it may be `Pending` though a task has ended, and
    /// the waker is woken at once.
    pub fn poll_join_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, JoinError>>> {
        let joined = ready!(self.poll_join_next_with_id(cx));
        Poll::Ready(joined.map(without_id))
    }

    /// [`poll_join_next`](JoinSet::poll_join_next), with the number of the task.
    pub fn poll_join_next_with_id(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<(Id, T), JoinError>>> {
        if self.is_empty() {
            return Poll::Ready(None);
        }
        ready!(budget::poll_proceed(cx));
        let place = ready!(self.ready.poll_place(cx));
        budget::spend();
        Poll::Ready(Some(self.take(place)))
    }

    /// Waits for all tasks, and answers their outputs in the order in which they ended.
    ///
    /// # Panics
    ///
    /// With the panic of the first task that does, and if one was aborted; the others are aborted
    /// then. [`join_next`](JoinSet::join_next) leaves that to the caller.
    ///
    /// # Cancel safety
    ///
    /// Dropping it aborts all tasks, and loses the outputs.
    ///
    /// # Examples
    ///
    /// ```
    /// use ekio::task::JoinSet;
    ///
    /// ekio::block_on(async {
    ///     let mut set = JoinSet::new();
    ///     for n in 0..3 {
    ///         set.spawn_local(async move { n });
    ///     }
    ///     assert_eq!(set.join_all().await, [0, 1, 2]);
    /// });
    /// ```
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(joined) = self.join_next().await {
            match joined.map_err(JoinError::try_into_panic) {
                Ok(output) => outputs.push(output),
                Err(Ok(payload)) => std::panic::resume_unwind(payload),
                Err(Err(error)) => panic!("join_all: {error}"),
            }
        }
        outputs
    }

    /// Asks for all tasks to end, as [`JoinHandle::abort`] does, and does not wait. They stay in the
    /// set until they are joined.
    pub fn abort_all(&self) {
        self.tasks.iter().flatten().for_each(JoinHandle::abort);
    }

    /// Aborts all tasks, and waits until they have ended. Their outputs and panics are dropped.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped before it is ready, all tasks have been aborted, and some have not been joined.
    pub async fn shutdown(&mut self) {
        self.abort_all();
        while self.join_next().await.is_some() {}
    }

    /// Lets all tasks go on by themselves; the set is empty then.
    pub fn detach_all(&mut self) {
        let tasks = std::mem::take(&mut self.tasks);
        self.vacant.clear();
        // Bells that ring from now on ring in the old one.
        let old = std::mem::take(&mut self.ready);
        let joiner = lock(&old.list).joiner.take();
        drop(tasks);
        joiner.into_iter().for_each(Waker::wake);
    }

    /// The output of a task whose bell has rung.
    fn take(&mut self, place: usize) -> Result<(Id, T), JoinError> {
        let Some(mut task) = self.tasks[place].take() else {
            unreachable!("a bell rings once")
        };
        self.vacant.push(place);
        let id = task.id();
        task.take_output().map(|output| (id, output))
    }
}

fn without_id<T>(joined: Result<(Id, T), JoinError>) -> Result<T, JoinError> {
    joined.map(|(_, output)| output)
}

impl Ready {
    /// Takes a place from the list. If it is empty, the next bell wakes.
    fn poll_place(&self, cx: &mut Context<'_>) -> Poll<usize> {
        let mut list = lock(&self.list);
        if let Some(place) = list.places.pop_front() {
            return Poll::Ready(place);
        }
        let is_known = |joiner: &Waker| joiner.will_wake(cx.waker());
        if list.joiner.as_ref().is_some_and(is_known) {
            return Poll::Pending;
        }
        drop(list);
        // Foreign code, so without the lock; a bell may ring meanwhile.
        let joiner = cx.waker().clone();
        let mut list = lock(&self.list);
        if let Some(place) = list.places.pop_front() {
            drop(list);
            return Poll::Ready(place);
        }
        let old = list.joiner.replace(joiner);
        drop(list);
        drop(old);
        Poll::Pending
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> JoinSet<T> {
        JoinSet::new()
    }
}

impl<T> Drop for JoinSet<T> {
    /// Aborts all tasks.
    fn drop(&mut self) {
        self.abort_all();
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinSet")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
