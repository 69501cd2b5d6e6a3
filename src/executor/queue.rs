//! Two lists that cost no memory, because their links are in the tasks.
//!
//! * [`Queue`]: who runs next. First in, first out: a task that keeps waking itself is never ahead of
//!   one that waits. Singly linked through `Header::next`, which belongs to the holder of a
//!   `Runnable`; a queue holds its `Runnable`s.
//! * [`Roster`]: the unfinished tasks of an executor, queued or not, to end them when it ends. Doubly
//!   linked through `Header::siblings`, so that a task which completes leaves without a search.
//!
//! Neither is a lock or an atomic: each belongs to a thread, or lies in a mutex.

use std::mem;
use std::ptr::NonNull;

use crate::task::raw::{Done, Header, Runnable, Siblings};

/// Tasks that wait for their run, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// The first and the last, if there is one. Each is a `Runnable` turned into a pointer.
    ends: Option<(NonNull<Header>, NonNull<Header>)>,
    len: usize,
}

// SAFETY: it is a collection of `Runnable`s, which are Send.
unsafe impl Send for Queue {}

impl Queue {
    pub(crate) const fn new() -> Queue {
        Queue { ends: None, len: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_none()
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn push(&mut self, task: Runnable) {
        let task = task.into_raw();
        // SAFETY: we hold its `Runnable`, which keeps it alive.
        set_next(unsafe { task.as_ref() }, None);
        self.link(task, task);
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<Runnable> {
        let (first, last) = self.ends?;
        // SAFETY: the queue holds its `Runnable`, which keeps it alive.
        let header = unsafe { first.as_ref() };
        // SAFETY: and allows to touch the link.
        let next = unsafe { header.with_next(|next| *next) };
        self.ends = next.map(|next| (next, last));
        self.len -= 1;
        // SAFETY: `push` made it from a `Runnable`, and it is out of the list now.
        Some(unsafe { Runnable::from_raw(first) })
    }

    /// Moves all of `other` behind what is here.
    pub(crate) fn append(&mut self, other: &mut Queue) {
        let Some((other_first, other_last)) = other.ends.take() else {
            return;
        };
        self.len += mem::take(&mut other.len);
        self.link(other_first, other_last);
    }

    /// Puts a chain of tasks behind the last one.
    fn link(&mut self, chain_first: NonNull<Header>, chain_last: NonNull<Header>) {
        let first = match self.ends {
            None => chain_first,
            Some((first, last)) => {
                // SAFETY: the queue holds its `Runnable`, which keeps it alive.
                set_next(unsafe { last.as_ref() }, Some(chain_first));
                first
            }
        };
        self.ends = Some((first, chain_last));
    }
}

/// Of a task whose `Runnable` the queue at work holds.
fn set_next(task: &Header, behind: Option<NonNull<Header>>) {
    // SAFETY: by the sentence above, which the two callers keep.
    unsafe { task.with_next(|next| *next = behind) };
}

impl Drop for Queue {
    fn drop(&mut self) {
        while let Some(task) = self.pop() {
            drop(task);
        }
    }
}

/// The tasks of an executor that are not complete. One reference of each belongs to it.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    first: Option<NonNull<Header>>,
}

// SAFETY: the tasks are reached by who has `&mut Roster`, or by the roster's lock; what their headers
// hold is made for any thread by the state's rules, save for the links, which belong to the list.
unsafe impl Send for Roster {}

impl Roster {
    pub(crate) const fn new() -> Roster {
        Roster { first: None }
    }

    /// Enters a new task.
    pub(crate) fn insert(&mut self, task: &Runnable) {
        // SAFETY: the list at work is the one that the task is about to be in.
        unsafe {
            task.header()
                .with_siblings(|siblings| siblings.after = self.first);
        }
        let task = task.as_raw();
        if let Some(first) = self.first {
            change(first, |siblings| &mut siblings.before, Some(task));
        }
        self.first = Some(task);
    }

    /// Strikes out a task that is complete.
    pub(crate) fn remove(&mut self, task: &Done) {
        self.strike(task.as_raw());
    }

    /// Takes out any task; the executor's reference goes to the caller.
    pub(crate) fn pop(&mut self) -> Option<NonNull<Header>> {
        let task = self.first?;
        self.strike(task);
        Some(task)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// The tasks, in any order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = NonNull<Header>> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            let task = next?;
            // SAFETY: the executor's reference keeps a task alive that is in its list.
            let header = unsafe { task.as_ref() };
            // SAFETY: the task is in this list.
            next = unsafe { header.with_siblings(|siblings| siblings.after) };
            Some(task)
        })
    }

    fn strike(&mut self, task: NonNull<Header>) {
        // SAFETY: the executor's reference keeps it alive.
        let header = unsafe { task.as_ref() };
        // SAFETY: the task is in this list.
        let siblings = unsafe { header.with_siblings(mem::take) };
        match siblings.before {
            Some(before) => change(before, |siblings| &mut siblings.after, siblings.after),
            None => self.first = siblings.after,
        }
        if let Some(after) = siblings.after {
            change(after, |siblings| &mut siblings.before, siblings.before);
        }
    }
}

/// Of a task that is in the list at work.
fn change(
    task: NonNull<Header>,
    link: fn(&mut Siblings) -> &mut Option<NonNull<Header>>,
    to: Option<NonNull<Header>>,
) {
    // SAFETY: the executor's reference keeps a task alive that is in its list.
    let header = unsafe { task.as_ref() };
    // SAFETY: by the sentence above, which the callers keep.
    unsafe { header.with_siblings(|siblings| *link(siblings) = to) };
}
