//! What each task of a runtime waits for.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::panic::Location;
use std::time::{Duration, Instant};

use super::Handle;
use crate::reactor::Direction;
use crate::reactor::clock;
use crate::reactor::waits::{Wait as Waits, visit_all};
use crate::sync::atomic::Ordering;
use crate::task::Id;
use crate::task::raw::{self, Header, Stand};

/// What each task of a [`Runtime`](super::Runtime) is doing, and what it waits for, from
/// [`Runtime::dump`](super::Runtime::dump). `Display` makes a report of it.
///
/// The tasks go on meanwhile, so it is of about one moment.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// use ekio::runtime::{Target, TaskState};
/// use std::time::Duration;
///
/// let runtime = ekio::Runtime::builder().workers(1).build()?;
/// let nap = runtime.spawn(ekio::time::sleep(Duration::from_secs(1_000)));
/// let task = loop {
///     let mut dump = runtime.dump();
///     let task = dump.tasks.pop().unwrap();
///     if task.state == TaskState::Waiting && !task.waits.is_empty() {
///         break task;
///     }
/// };
/// assert_eq!(task.id, nap.id());
/// assert_eq!(task.location.file(), file!());
/// assert!(matches!(task.waits[0].target, Target::Timer { .. }));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Dump {
    /// The tasks that have not ended, in the order of their numbers.
    pub tasks: Vec<TaskDump>,
    /// What is waited for in this process by others: futures of `block_on` and their local tasks,
    /// tasks of other runtimes, and tasks whose wakers are wrapped in another's.
    pub others: Vec<Wait>,
    /// How time passes, as far as a [`Runtime`](super::Runtime) is asked; a
    /// [`Handle`] answers `Real`.
    pub time: Time,
}

/// How time passes in a runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Time {
    /// As it does.
    #[default]
    Real,
    /// It is [virtual](super::Builder::virtual_time), and jumps from timer to timer.
    Jumps,
    /// It is virtual, but passes as it really does: somebody waits for a source of the operating
    /// system's.
    Runs,
    /// It is virtual, and stands: a call is on the blocking pool, or there is no timer.
    Stands,
}

/// One task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TaskDump {
    /// Its number.
    pub id: Id,
    /// Where it was spawned.
    pub location: &'static Location<'static>,
    /// What it is doing.
    pub state: TaskState,
    /// What it has left a waker for. What it began to wait for while the dump was made may be
    /// missing; a future that is polled no more may be here until its event comes.
    pub waits: Vec<Wait>,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TaskState {
    /// It is being run by a worker, the first of which is 0.
    Running {
        /// Which one.
        worker: usize,
    },
    /// It is in a queue.
    Queued,
    /// It waits for a wake.
    Waiting,
    /// It has been aborted, and will be dropped.
    Cancelled,
}

/// Something that somebody waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Wait {
    /// What it is.
    pub target: Target,
    /// For how long, counted from the turn of the reactor before: up to the length of a run too
    /// long. Not known of a timer.
    pub since: Option<Duration>,
}

/// What it is that somebody waits for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Target {
    /// A source is to become ready.
    Source {
        /// The number of the socket or descriptor, of the process (on Windows: of its handle), or
        /// of the signal.
        number: u64,
        /// What kind of number that is.
        kind: &'static str,
        /// For reading or for writing.
        direction: Direction,
        /// The address of an internet socket.
        local: Option<SocketAddr>,
        /// That of its peer.
        peer: Option<SocketAddr>,
    },
    /// A moment is to come.
    Timer {
        /// That moment.
        deadline: Instant,
    },
}

impl Dump {
    pub(super) fn of(handle: Handle) -> Dump {
        let crew = handle.crew;
        let mut dump = Dump::default();
        if !crew.is_let_to(handle.tenancy) {
            return dump;
        }
        // Tasks after waits: a task that leaves in between takes its waits with it.
        let mut waits: HashMap<Option<Id>, Vec<Wait>> = HashMap::new();
        let now = clock::coarse_now();
        visit_all(&mut |waker, wait| {
            let of_task = waits.entry(raw::id_of(waker)).or_default();
            of_task.push(Wait::new(wait, now));
        });
        let running: Vec<u64> = (0..crew.workers())
            .map(|worker| crew.berth(worker).running.load(Ordering::Relaxed))
            .collect();
        crew.rosters.visit(|task| {
            let Some(state) = state_of(task, &running) else {
                return;
            };
            dump.tasks.push(TaskDump {
                id: task.id(),
                location: task.location,
                state,
                waits: waits.remove(&Some(task.id())).unwrap_or_default(),
            });
        });
        dump.tasks.sort_by_key(|task| task.id);
        dump.others = waits.into_values().flatten().collect();
        dump
    }
}

fn state_of(task: &Header, running: &[u64]) -> Option<TaskState> {
    let number = task.id().number() + 1;
    let worker = running.iter().position(|running| *running == number);
    match (task.stand(), worker) {
        (Stand::Complete, _) => None,
        (Stand::Idle, _) => Some(TaskState::Waiting),
        (Stand::Active | Stand::Cancelled, Some(worker)) => Some(TaskState::Running { worker }),
        (Stand::Active, None) => Some(TaskState::Queued),
        (Stand::Cancelled, None) => Some(TaskState::Cancelled),
    }
}

impl Wait {
    fn new(wait: Waits, now: u64) -> Wait {
        match wait {
            Waits::Timer { deadline } => Wait {
                target: Target::Timer {
                    deadline: clock::to_instant(deadline),
                },
                since: None,
            },
            Waits::Source {
                label,
                direction,
                local,
                peer,
                since,
            } => {
                let (kind, number) = label.name();
                Wait {
                    target: Target::Source {
                        number,
                        kind,
                        direction,
                        local,
                        peer,
                    },
                    since: Some(Duration::from_nanos(now.saturating_sub(since))),
                }
            }
        }
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            Time::Real => {}
            Time::Jumps => writeln!(f, "virtual time jumps")?,
            Time::Runs => writeln!(f, "virtual time runs like real time: a source is awaited")?,
            Time::Stands => writeln!(
                f,
                "virtual time stands: a call is on the pool, or no timer runs"
            )?,
        }
        for task in &self.tasks {
            write!(f, "{task}")?;
        }
        if !self.others.is_empty() {
            writeln!(f, "others")?;
        }
        self.others
            .iter()
            .try_for_each(|wait| writeln!(f, "    {wait}"))
    }
}

impl fmt::Display for TaskDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "task {}, {}, spawned at {}",
            self.id, self.state, self.location
        )?;
        self.waits
            .iter()
            .try_for_each(|wait| writeln!(f, "    {wait}"))
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskState::Running { worker } => write!(f, "running on worker {worker}"),
            TaskState::Queued => f.write_str("queued"),
            TaskState::Waiting => f.write_str("waiting"),
            TaskState::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.target.fmt(f)?;
        match self.since {
            Some(since) => write!(f, ", for {:.1} s", since.as_secs_f64()),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Timer { deadline } => {
                let rest = deadline.saturating_duration_since(Instant::now());
                write!(f, "for a timer, due in {:.1} s", rest.as_secs_f64())
            }
            Target::Source {
                number,
                kind,
                direction,
                local,
                peer,
            } => {
                let verb = match direction {
                    Direction::Read => "read",
                    Direction::Write => "write",
                };
                write!(f, "to {verb}: {kind} {number}")?;
                if let Some(local) = local {
                    write!(f, ", {local}")?;
                }
                match peer {
                    Some(peer) => write!(f, ", peer {peer}"),
                    None => Ok(()),
                }
            }
        }
    }
}
