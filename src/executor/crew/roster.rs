//! The unfinished tasks of a runtime, in parts, so that workers which spawn and complete at the same
//! time seldom meet.
//!
//! A task is in the part that its number names. A thread counts on from task to task, and goes to
//! another part after every [`IN_A_ROW`] of them. So while one spawns and others complete what it
//! spawned before, they are at different parts, and most neighbours of a task in its list are still in
//! the cache of who enters it. (One part for a thousand in a row: a task on two workers takes 1.8 times
//! as long from spawn to join, for the locks.)

use super::super::queue::Roster;
use crate::sync::{Mutex, lock};
use crate::task::raw::{self, Done, Header, Runnable};

/// The parts for each worker: more than one, because threads from outside spawn too.
const PARTS_PER_WORKER: usize = 8;

/// How many tasks of a thread go to one part, before the next part has its turn.
const IN_A_ROW: u64 = 16;

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Rosters {
    parts: Box<[Padded<Mutex<Part>>]>,
}

/// Keeps what two threads write out of each other's cache line (two of them, since processors fetch
/// in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);

#[derive(Debug, Default)]
struct Part {
    tasks: Roster,
    /// The tenancy whose tasks may enter.
    open_to: Option<u64>,
}

impl Rosters {
    pub(super) fn new(workers: usize) -> Rosters {
        // (One in a model: the numbers of its tasks differ from run to run.)
        let is_model = cfg!(all(test, ekio_loom));
        let len = if is_model {
            1
        } else {
            workers * PARTS_PER_WORKER
        };
        Rosters {
            parts: (0..len).map(|_| Padded::default()).collect(),
        }
    }

    pub(super) fn open(&self, tenancy: u64) {
        for part in &self.parts {
            lock(&part.0).open_to = Some(tenancy);
        }
    }

    /// Enters a new task. False if the tenancy has ended: the caller has to refuse the task.
    #[must_use]
    pub(super) fn insert(&self, task: &Runnable, tenancy: u64) -> bool {
        let mut part = self.part_of(task.header());
        let is_open = part.open_to == Some(tenancy);
        if is_open {
            part.tasks.insert(task);
        }
        is_open
    }

    /// Strikes out a task that is complete.
    pub(crate) fn remove(&self, task: &Done) {
        self.part_of(task.header()).tasks.remove(task);
    }

    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// Lets no more tasks into a part, and aborts those in it: from then on the `Runnable` of each is
    /// on its way to somebody who will end it.
    pub(super) fn close(&self, index: usize) {
        let mut part = lock(&self.parts[index].0);
        part.open_to = None;
        for task in part.tasks.iter() {
            // SAFETY: the roster's reference, the executor's, keeps the task alive under the lock. No
            // foreign code runs: the task goes to a queue at most.
            unsafe { raw::abort(task) };
        }
    }

    /// Shows all tasks. What `visit` does may not wait, nor touch the roster.
    pub(crate) fn visit(&self, mut visit: impl FnMut(&Header)) {
        for part in &self.parts {
            for task in lock(&part.0).tasks.iter() {
                // SAFETY: the roster's reference, the executor's, keeps the task alive under the lock.
                visit(unsafe { task.as_ref() });
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| lock(&part.0).tasks.is_empty())
    }

    pub(super) fn has_more_than(&self, count: usize) -> bool {
        let mut rest = count;
        for part in &self.parts {
            let len = lock(&part.0).tasks.iter().take(rest + 1).count();
            if len > rest {
                return true;
            }
            rest -= len;
        }
        false
    }

    fn part_of(&self, task: &Header) -> crate::sync::MutexGuard<'_, Part> {
        // Cut off where addresses are short: the lower bits are as good.
        let index = (task.id().number() / IN_A_ROW) as usize % self.parts.len();
        lock(&self.parts[index].0)
    }
}
