//! Numbers of a runtime.

use super::Handle;
use crate::executor::crew::Berth;
use crate::sync::atomic::Ordering;

/// What a [`Runtime`](super::Runtime) has done and is doing, from
/// [`Runtime::metrics`](super::Runtime::metrics).
///
/// Each number is right by itself; together they are of about one moment. The sums begin with the
/// runtime and wrap after 2⁶⁴. They are kept anyway: to ask costs the workers nothing.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let runtime = ekio::Runtime::builder().workers(2).build()?;
/// runtime.block_on(async { ekio::spawn(async {}).await.unwrap() });
/// let metrics = runtime.metrics();
/// assert_eq!(metrics.workers.len(), 2);
/// assert_eq!(metrics.remote_wakes, 1);
/// assert_eq!(metrics.workers.iter().map(|worker| worker.runs).sum::<u64>(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Each worker, in the order of their threads' names. None if the runtime has ended.
    pub workers: Vec<WorkerMetrics>,
    /// Tasks that have not ended.
    pub tasks: usize,
    /// Tasks that have come from outside, or for which a worker's queue had no room, and wait for any
    /// worker.
    pub injector_len: usize,
    /// How often a task was woken by, or spawned from, a thread that is not one of the workers.
    pub remote_wakes: u64,
}

/// What one worker has done and is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerMetrics {
    /// How often it ran a task.
    pub runs: u64,
    /// How often a task was woken, or spawned, on its thread: by the task that it ran, or by the
    /// reactor that it turned.
    pub local_wakes: u64,
    /// How often it took tasks out of another worker's queue.
    pub thefts: u64,
    /// How often it asked its event queue for events.
    pub turns: u64,
    /// How many of these were allowed to wait.
    pub sleeps: u64,
    /// How often it turned the reactor of a worker that was stuck in a task.
    pub rescues: u64,
    /// Tasks that wait for it.
    pub queue_len: usize,
    /// It sleeps.
    pub is_asleep: bool,
}

impl Metrics {
    pub(super) fn of(handle: Handle) -> Metrics {
        let crew = handle.crew;
        if !crew.is_let_to(handle.tenancy) {
            return Metrics::default();
        }
        let mut tasks = 0;
        crew.rosters.visit(|_| tasks += 1);
        let berths = (0..crew.workers()).map(|worker| crew.berth(worker));
        Metrics {
            workers: berths.map(WorkerMetrics::of).collect(),
            tasks,
            injector_len: crew.injector.len(),
            remote_wakes: crew.injector.pushes.get(),
        }
    }
}

impl WorkerMetrics {
    fn of(berth: &Berth) -> WorkerMetrics {
        let counts = &berth.counts;
        WorkerMetrics {
            runs: counts.runs.get(),
            local_wakes: counts.pushes.get(),
            thefts: counts.thefts.get(),
            turns: counts.turns.get(),
            sleeps: counts.sleeps.get(),
            rescues: counts.rescues.get(),
            queue_len: berth.queue_len(),
            is_asleep: berth.is_asleep.load(Ordering::Relaxed),
        }
    }
}
