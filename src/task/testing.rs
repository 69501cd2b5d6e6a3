//! The smallest executor, for the unit tests and the models of this room.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc as StdArc;
use std::task::{Wake, Waker};

use super::JoinHandle;
use super::raw::{self, Ran, Runnable, Schedule};
use crate::executor::queue::Queue;
use crate::sync::{Arc, Condvar, Mutex, lock};

/// A queue, and who comes to an empty one can wait.
#[derive(Clone)]
pub(super) struct Desk(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    is_pushed: Condvar,
}

impl Schedule for Desk {
    fn schedule(&self, task: Runnable) {
        lock(&self.0.queue).push(task);
        self.0.is_pushed.notify_one();
    }
}

impl Desk {
    pub(super) fn new() -> Desk {
        Desk(Arc::new(Shared {
            queue: Mutex::new(Queue::new()),
            is_pushed: Condvar::new(),
        }))
    }

    /// Run the desk on the same thread, if the future is not `Send`.
    #[track_caller]
    pub(super) fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        let (task, handle) = raw::spawn(future, self.clone(), Location::caller());
        self.schedule(task);
        handle
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0.queue).len()
    }

    /// Runs one task, if one is queued. True if it is complete then.
    pub(super) fn run(&self) -> bool {
        let task = lock(&self.0.queue).pop();
        task.is_some_and(|task| self.run_this(task))
    }

    /// Runs tasks, and waits for them, until one is complete.
    pub(super) fn run_to_end(&self) {
        loop {
            let mut queue = lock(&self.0.queue);
            let task = loop {
                match queue.pop() {
                    Some(task) => break task,
                    None => queue = self.0.is_pushed.wait(queue).unwrap(),
                }
            };
            drop(queue);
            if self.run_this(task) {
                return;
            }
        }
    }

    fn run_this(&self, task: Runnable) -> bool {
        // SAFETY: `spawn` asks for it.
        match unsafe { task.run() } {
            Ran::Idle => false,
            Ran::Again(task) => {
                lock(&self.0.queue).push(task);
                false
            }
            Ran::Done(_) => true,
        }
    }
}

/// A waker that counts, and a thread that waits for it.
pub(super) struct Bell {
    rings: Mutex<usize>,
    is_rung: Condvar,
}

impl Bell {
    pub(super) fn new() -> StdArc<Bell> {
        StdArc::new(Bell {
            rings: Mutex::new(0),
            is_rung: Condvar::new(),
        })
    }

    pub(super) fn waker(self: &StdArc<Bell>) -> Waker {
        self.clone().into()
    }

    /// How often it rang since this was asked.
    pub(super) fn rings(&self) -> usize {
        std::mem::take(&mut *lock(&self.rings))
    }

    pub(super) fn wait(&self) {
        let mut rings = lock(&self.rings);
        while *rings == 0 {
            rings = self.is_rung.wait(rings).unwrap();
        }
        *rings = 0;
    }
}

impl Wake for Bell {
    fn wake(self: StdArc<Bell>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &StdArc<Bell>) {
        *lock(&self.rings) += 1;
        self.is_rung.notify_one();
    }
}
