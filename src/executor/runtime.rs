//! The multi-thread runtime.
//!
//! A [`Runtime`] has *workers*: threads that run tasks, each with a reactor of its own. A task that
//! is [spawned](crate::spawn) to it may run on any of them, and on another one each time.
//!
//! ```
//! use ekio::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! let runtime = ekio::Runtime::new()?;
//! let answer = runtime.block_on(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     ekio::spawn(async move {
//!         let (stream, _peer) = listener.accept().await?;
//!         stream.write_all(b"hello").await
//!     });
//!     let mut answer = [0; 5];
//!     TcpStream::connect(address).await?.read_exact(&mut answer).await?;
//!     std::io::Result::Ok(answer)
//! })?;
//! assert_eq!(&answer, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! | | [`ekio::block_on`](crate::block_on) | [`Runtime`] |
//! |---|---|---|
//! | threads | the caller's | the caller's, and the workers |
//! | [`spawn_local`](crate::spawn_local) | on the caller's thread | inside [`Runtime::block_on`], on the caller's thread |
//! | [`spawn`](crate::spawn) | panics | on the workers |
//! | the future given to it | runs on the caller's thread | runs on the caller's thread |
//!
//! # What a task that blocks its thread does to others
//!
//! If there is another worker, nothing for long: the others take over the tasks of its worker, and
//! its sockets and timers, after some milliseconds. Yet a worker is lost for as long; leave what
//! blocks to [`spawn_blocking`](crate::spawn_blocking).

mod builder;
mod dump;
mod handle;
mod metrics;
mod virtual_time;

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

pub use builder::Builder;
pub use dump::{Dump, Target, TaskDump, TaskState, Time, Wait};
pub(super) use handle::no_runtime;
pub use handle::{EnterGuard, Handle};
pub use metrics::{Metrics, WorkerMetrics};

use super::block_on::{assert_outside, block_on};
use super::crew::FORKED;
use super::worker::Worker;
use crate::sync::thread;
use crate::task::JoinHandle;
use virtual_time::Virtual;

/// Threads that run tasks. See the [module](self).
///
/// # Dropping it
///
/// cancels its tasks, which runs the destructors of their futures, and waits for the workers; for a
/// worker that is inside a task which does not come to an `.await`, as long as that takes. See
/// [`shutdown_timeout`](Runtime::shutdown_timeout) for patience that ends. Dropped by one of its own
/// workers, that is, inside a task of its own, it cancels all the same but waits for nobody. Threads
/// of [`spawn_blocking`](crate::spawn_blocking) are not its own, and not waited for.
///
/// A stream or a timer that has been sent out of the runtime goes on elsewhere: what waits in the reactor
/// of a worker that has ended, or is the last one and inside a task, is woken and moves to the reactor
/// of who polls it.
///
/// What is spawned to a runtime that has ended is cancelled; so it is in a fork of the process that made
/// the runtime, where dropping it does nothing.
pub struct Runtime {
    handle: Handle,
    workers: Vec<thread::JoinHandle<()>>,
    virtual_time: Option<Virtual>,
}

impl Runtime {
    /// A runtime with a worker for each processor that this process may use.
    ///
    /// # Errors
    ///
    /// If the operating system refuses an event queue or a thread.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = ekio::Runtime::new()?;
    /// assert_eq!(runtime.block_on(async { ekio::spawn(async { 7 }).await.unwrap() }), 7);
    /// # Ok(())
    /// # }
    /// ```
    pub fn new() -> io::Result<Runtime> {
        Builder::new().build()
    }

    /// Says what the runtime is to be like.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Runs a future to its end on the calling thread, while the tasks run on the workers.
    ///
    /// All that [`ekio::block_on`](crate::block_on) says holds: the thread has its own reactor and
    /// its own [local tasks](crate::spawn_local). Inside, [`ekio::spawn`](crate::spawn) spawns to
    /// this runtime.
    ///
    /// # Panics
    ///
    /// As `ekio::block_on` does: with the panic of the future, inside another `block_on` and inside a
    /// task of a runtime, and if the system gives this thread no event queue. And in a fork of the
    /// process that made the runtime, which has none of the workers.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        assert!(self.handle.crew.is_at_home(), "block_on: {FORKED}");
        let _guard = self.handle.enter();
        match &self.virtual_time {
            None => block_on(future),
            Some(virtual_time) => {
                assert_outside();
                virtual_time.block_on(future)
            }
        }
    }

    /// Starts a task on the workers. See [`ekio::spawn`](crate::spawn).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let runtime = ekio::Runtime::builder().workers(2).build()?;
    /// let task = runtime.spawn(async { std::thread::current().name().map(str::to_owned) });
    /// let name = runtime.block_on(task).unwrap();
    /// assert!(name.unwrap().starts_with("ekio-worker-"));
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(future)
    }

    /// What other threads can hold of this runtime.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Numbers: what the workers have done, and how long their queues are.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.handle.metrics()
    }

    /// What each task is doing, and what it waits for: on which socket, between which addresses, and
    /// since when.
    ///
    /// Takes no lock for longer than it takes to look at one source or at one part of the tasks; a
    /// runtime that nobody asks pays for it with a look at a coarse clock per turn.
    #[must_use]
    pub fn dump(&self) -> Dump {
        let mut dump = self.handle.dump();
        if let Some(virtual_time) = &self.virtual_time {
            dump.time = virtual_time.flow();
        }
        dump
    }

    /// Ends the runtime as [dropping it](Runtime#dropping-it) does, but waits for `timeout` at most.
    /// Answers how many workers had not ended by then: they are inside a task that blocks, and end
    /// when that does.
    ///
    /// By one of its own workers, it waits for nobody, and answers how many workers there are.
    ///
    /// Whoever waits in the reactor of a worker that has not ended is woken on this thread: do not hold a
    /// lock that a waker of another executor takes.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use std::time::Duration;
    ///
    /// let runtime = ekio::Runtime::builder().workers(1).build()?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// runtime.spawn(async move {
    ///     sender.send(()).unwrap();
    ///     std::thread::sleep(Duration::from_secs(1_000));
    /// });
    /// receiver.recv().unwrap();
    /// assert_eq!(runtime.shutdown_timeout(Duration::from_millis(10)), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown_timeout(mut self, timeout: Duration) -> usize {
        self.end(Some(timeout))
    }

    fn end(&mut self, timeout: Option<Duration>) -> usize {
        let workers = std::mem::take(&mut self.workers);
        let (crew, tenancy) = (self.handle.crew, self.handle.tenancy);
        if !crew.is_at_home() {
            // What std would detach are the threads of this process that have come to have the same
            // numbers.
            std::mem::forget(workers);
            std::mem::forget(self.virtual_time.take());
            return 0;
        }
        if let Some(virtual_time) = self.virtual_time.take() {
            virtual_time.end(self.handle);
            return 0;
        }
        if workers.is_empty() {
            return 0;
        }
        let is_own = Worker::is_inside_one_of(crew);
        crew.end(tenancy, !is_own);
        if is_own {
            return workers.len();
        }
        let left_over = crew.wait_for_end(tenancy, timeout);
        if left_over == 0 {
            for worker in workers {
                // One that panicked has said so, and has left as well.
                let _ = worker.join();
            }
        }
        left_over
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("workers", &self.handle.crew.workers())
            .finish_non_exhaustive()
    }
}
