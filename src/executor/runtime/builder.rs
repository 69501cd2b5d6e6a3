//! How a runtime is made.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc as StdArc;
use std::thread::available_parallelism;

use super::super::crew::Crew;
use super::super::sleep::Turn;
use super::super::worker::Worker;
use super::virtual_time::Virtual;
use super::{Handle, Runtime};
use crate::reactor::{Reactor, context};
use crate::sync::{Arc, thread};

/// The most workers: more than machines have processors, and few enough that looking through all of
/// their queues ends.
const WORKERS_MAX: usize = 1_024;

/// Says what a [`Runtime`] is to be like.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = ekio::Runtime::builder()
///     .workers(2)
///     .thread_name("server")
///     .build()?;
/// let name = runtime.spawn(async { std::thread::current().name().unwrap().to_owned() });
/// assert!(runtime.block_on(name).unwrap().starts_with("server-"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    workers: Option<usize>,
    thread_name: String,
    stack_len: Option<usize>,
    seed: Option<u64>,
}

impl Builder {
    pub(super) fn new() -> Builder {
        Builder {
            workers: None,
            thread_name: "ekio-worker".to_owned(),
            stack_len: None,
            seed: None,
        }
    }

    /// How many workers there are, from 1 to 1,024. One for each processor that the process may use,
    /// if this is not called.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Builder {
        self.workers = Some(workers);
        self
    }

    /// What the workers' threads are called, before a `-` and a number from 1. `ekio-worker` if this
    /// is not called.
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Builder {
        self.thread_name = name.into();
        self
    }

    /// The size of the workers' stacks in bytes. That of std's threads if this is not called.
    #[must_use]
    pub fn thread_stack_size(mut self, bytes: usize) -> Builder {
        self.stack_len = Some(bytes);
        self
    }

    /// For tests: time passes only when there is nothing else to do, and the order in which ready
    /// tasks run comes out of a seed, so that what a test met once can be met again.
    ///
    /// There is one worker then, which is the thread in [`block_on`](Runtime::block_on): tasks run
    /// while somebody is there. Inside, [`sleep`](crate::time::sleep), `timeout` and `interval` go by
    /// the virtual clock, which [`ekio::time::now`](crate::time::now) reads and `Instant::now` does
    /// not.
    ///
    /// * The clock jumps to the next timer when no task is ready, no call is on the
    ///   [blocking pool](crate::spawn_blocking), and nobody waits for a source of the operating
    ///   system's.
    /// * While a call is on the pool, it stands. The call itself sees it stand in
    ///   [`ekio::time::now`](crate::time::now); what it waits for in a `block_on` of its own, or by
    ///   another executor, goes by real time.
    /// * While a task waits for a socket, a pipe, a child or a signal, time runs as it really does, since
    ///   nobody knows when those come.
    ///
    /// [`dump`](Runtime::dump) says which of these holds. The seed orders the tasks of
    /// [`spawn`](crate::spawn), one draw for each run; those of `spawn_local` keep their order. What
    /// the operating system and other threads do comes when it comes. If the future of `block_on`
    /// panics, as that of a failing test does, the seed is printed to stderr.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use std::time::{Duration, Instant};
    ///
    /// let runtime = ekio::Runtime::builder().virtual_time(42).build()?;
    /// let start = Instant::now();
    /// runtime.block_on(async {
    ///     let begin = ekio::time::now();
    ///     ekio::time::sleep(Duration::from_secs(86_400)).await;
    ///     assert_eq!(ekio::time::now() - begin, Duration::from_secs(86_400));
    /// });
    /// assert!(start.elapsed() < Duration::from_secs(3_600));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn virtual_time(mut self, seed: u64) -> Builder {
        self.seed = Some(seed);
        self
    }

    /// Makes the runtime, and starts its workers.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: no workers or too many (under [virtual time](Builder::virtual_time), any
    ///   other number than one), or a name with a zero byte in it.
    /// * What the operating system says if it refuses an event queue or a thread.
    pub fn build(self) -> io::Result<Runtime> {
        let workers = match self.workers {
            Some(workers) => workers,
            None if self.seed.is_some() => 1,
            None => available_parallelism().map_or(1, NonZeroUsize::get),
        };
        if !(1..=WORKERS_MAX).contains(&workers) {
            let text = format!("a runtime has from 1 to {WORKERS_MAX} workers, not {workers}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        if self.thread_name.contains('\0') {
            let text = "the name of a thread has no zero byte";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        if let Some(seed) = self.seed {
            return match workers {
                1 => start_virtual(seed),
                _ => {
                    let text = format!("under virtual time there is one worker, not {workers}");
                    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
                }
            };
        }
        let reactors = (0..workers).map(|_| Reactor::new());
        self.start(reactors.collect::<io::Result<_>>()?)
    }

    fn start(&self, reactors: Vec<Arc<Reactor>>) -> io::Result<Runtime> {
        let to_turn =
            |reactor: &Arc<Reactor>| -> StdArc<dyn Turn> { StdArc::new(Arc::clone(reactor)) };
        let (crew, tenancy) = Crew::claim(reactors.iter().map(to_turn).collect());
        let mut runtime = Runtime {
            handle: Handle { crew, tenancy },
            workers: Vec::with_capacity(reactors.len()),
            virtual_time: None,
        };
        let mut refused = None;
        for (index, reactor) in reactors.into_iter().enumerate() {
            // It takes the place of a worker that cannot be started, too: to leave at once.
            let aboard = Aboard::new(crew, index);
            if refused.is_some() {
                continue;
            }
            let handle = runtime.handle;
            let mut thread =
                thread::Builder::new().name(format!("{}-{}", self.thread_name, index + 1));
            if let Some(len) = self.stack_len {
                thread = thread.stack_size(len);
            }
            match thread.spawn(move || serve(aboard, handle, reactor)) {
                Ok(worker) => runtime.workers.push(worker),
                Err(error) => refused = Some(error),
            }
        }
        match refused {
            None => Ok(runtime),
            // (The runtime is dropped here, which ends the workers that have begun.)
            Some(error) => Err(error),
        }
    }
}

fn start_virtual(seed: u64) -> io::Result<Runtime> {
    let (clock, reactor) = Virtual::clock_and_reactor()?;
    let turn: StdArc<dyn Turn> = StdArc::new(Arc::clone(&reactor));
    let (crew, tenancy) = Crew::claim(vec![turn]);
    let handle = Handle { crew, tenancy };
    Ok(Runtime {
        handle,
        workers: Vec::new(),
        virtual_time: Some(Virtual::new(handle, clock, reactor, seed)),
    })
}

/// The life of a worker's thread.
fn serve(mut aboard: Aboard, handle: Handle, reactor: Arc<Reactor>) {
    let _guard = handle.enter();
    let turn = StdArc::new(Arc::clone(&reactor));
    let worker = Worker::new(handle.crew, aboard.index, turn);
    // It leaves the reactor before it leaves the crew.
    let _entered = context::enter_with(reactor);
    worker.work();
    aboard.is_working = false;
}

/// A worker's place in its crew, which it leaves even if it panics.
struct Aboard {
    crew: &'static Crew,
    index: usize,
    is_working: bool,
}

impl Aboard {
    fn new(crew: &'static Crew, index: usize) -> Aboard {
        Aboard {
            crew,
            index,
            is_working: true,
        }
    }
}

impl Drop for Aboard {
    fn drop(&mut self) {
        if self.is_working {
            self.crew.stop_working();
        }
        self.crew.leave(self.index);
    }
}
