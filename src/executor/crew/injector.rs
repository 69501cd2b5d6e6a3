//! The queue of all workers: what comes from outside, and what a ring has no room for.

use super::super::queue::Queue;
use super::Count;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, lock};
use crate::task::raw::Runnable;

/// First in, first out.
#[derive(Debug, Default)]
pub(crate) struct Injector {
    queue: Mutex<Queue>,
    /// How many there are; written under the lock, and a hint to who does not hold it. It is what
    /// a worker looks at before it sleeps.
    len: AtomicUsize,
    /// How many have ever come from outside; written under the lock.
    pub(crate) pushes: Count,
}

impl Injector {
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: the sleeper looks behind a fence, and everybody else looks again.
        self.len.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn push(&self, task: Runnable) {
        self.with_queue(|queue| {
            queue.push(task);
            self.pushes.bump();
        });
    }

    pub(crate) fn append(&self, mut tasks: Queue) {
        self.with_queue(|queue| queue.append(&mut tasks));
    }

    /// Takes the first task, and moves more of them to `keep`: one of `parts` of what there is, and
    /// `most` at most.
    pub(crate) fn take(
        &self,
        parts: usize,
        most: usize,
        mut keep: impl FnMut(Runnable),
    ) -> Option<Runnable> {
        if self.is_empty() {
            return None;
        }
        let mut taken = Queue::new();
        let first = self.with_queue(|queue| {
            let count = queue.len().div_ceil(parts).min(most + 1);
            let first = queue.pop();
            for _ in 1..count {
                queue.pop().into_iter().for_each(|task| taken.push(task));
            }
            first
        });
        while let Some(task) = taken.pop() {
            keep(task);
        }
        first
    }

    fn with_queue<R>(&self, change: impl FnOnce(&mut Queue) -> R) -> R {
        let mut queue = lock(&self.queue);
        let answer = change(&mut queue);
        self.len.store(queue.len(), Ordering::Relaxed);
        answer
    }
}
