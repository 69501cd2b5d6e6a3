//! A list of nodes that live in their owners' memory: first in, first out, and out of the middle.
//!
//! It is a ring: the last node's `next` is the first, so that one pointer, to the first, finds both
//! ends, and no node is a special case when it leaves.

use std::cell::Cell;
use std::marker::PhantomPinned;
use std::ptr::NonNull;
use std::task::Waker;

/// A timer as [`Timers`](super::Timers) see it. The [module above](super) says who may touch which
/// field.
pub(crate) struct Node {
    /// Mean something while the node is in a list only.
    next: Cell<Option<NonNull<Node>>>,
    previous: Cell<Option<NonNull<Node>>>,
    pub(super) waker: Cell<Option<Waker>>,
    pub(super) deadline: Cell<u64>,
    pub(super) state: Cell<State>,
    /// Neighbours point to it.
    _pinned: PhantomPinned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In no list.
    Idle,
    /// In the list of this slot.
    Linked(Place),
    /// In no list: its time has come.
    Fired,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) level: u8,
    pub(super) slot: u8,
}

impl Node {
    pub(super) const fn new(deadline: u64) -> Node {
        Node {
            next: Cell::new(None),
            previous: Cell::new(None),
            waker: Cell::new(None),
            deadline: Cell::new(deadline),
            state: Cell::new(State::Idle),
            _pinned: PhantomPinned,
        }
    }
}

/// Every node in it is alive and in its place; see [`push`](List::push).
#[derive(Debug)]
pub(super) struct List {
    first: Option<NonNull<Node>>,
}

impl List {
    pub(super) const fn new() -> List {
        List { first: None }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    pub(super) const fn take(&mut self) -> List {
        List {
            first: self.first.take(),
        }
    }

    /// Adds a node at the end.
    ///
    /// # Safety
    ///
    /// * The node is in no list.
    /// * It is neither moved nor dropped while it is in this one.
    /// * While it is, whoever touches it or one of the list's other nodes does so by the fields'
    ///   rules.
    pub(super) unsafe fn push(&mut self, node: &Node) {
        let added = NonNull::from(node);
        let Some(first) = self.first else {
            node.next.set(Some(added));
            node.previous.set(Some(added));
            self.first = Some(added);
            return;
        };
        // SAFETY: nodes in a list are alive, as `push` asked when they came.
        let first_node = unsafe { first.as_ref() };
        let last = first_node.previous.replace(Some(added)).unwrap_or(first);
        node.previous.set(Some(last));
        node.next.set(Some(first));
        // SAFETY: as above.
        let last_node = unsafe { last.as_ref() };
        last_node.next.set(Some(added));
    }

    /// Takes a node out.
    ///
    /// # Safety
    ///
    /// * The node is in this list.
    pub(super) unsafe fn remove(&mut self, node: &Node) {
        let removed = NonNull::from(node);
        let (Some(next), Some(previous)) = (node.next.take(), node.previous.take()) else {
            debug_assert!(false, "a node that is in no list cannot leave it");
            return;
        };
        if next == removed {
            // It was alone.
            self.first = None;
            return;
        }
        // SAFETY: nodes in a list are alive, as `push` asked when they came.
        let next_node = unsafe { next.as_ref() };
        next_node.previous.set(Some(previous));
        // SAFETY: as above.
        let previous_node = unsafe { previous.as_ref() };
        previous_node.next.set(Some(next));
        if self.first == Some(removed) {
            self.first = Some(next);
        }
    }

    /// Takes the first node out. It is alive while the lock is held, which the list's own borrow
    /// stands for.
    pub(super) fn pop(&mut self) -> Option<&Node> {
        let first = self.first?;
        // SAFETY: nodes in a list are alive, as `push` asked when they came; their owners cannot
        // end that without this list, which is borrowed as long as the reference lives.
        let node = unsafe { first.as_ref() };
        // SAFETY: it is the first node of this list.
        unsafe { self.remove(node) };
        Some(node)
    }

    /// The deadline of the node that is alone in the list, if one is.
    pub(super) fn only(&self) -> Option<u64> {
        let first = self.first?;
        // SAFETY: nodes in a list are alive, as `push` asked when they came.
        let node = unsafe { first.as_ref() };
        (node.next.get() == self.first).then(|| node.deadline.get())
    }

    /// The nodes, in order. They are alive while the lock is held, as in `pop`.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Node> {
        let mut next = self.first;
        std::iter::from_fn(move || {
            // SAFETY: nodes in a list are alive, as `push` asked when they came.
            let node = unsafe { next?.as_ref() };
            next = node.next.get().filter(|next| Some(*next) != self.first);
            Some(node)
        })
    }

    /// The deadlines of the list's nodes, in order.
    #[cfg(test)]
    pub(super) fn deadlines(&self) -> Vec<u64> {
        self.iter().map(|node| node.deadline.get()).collect()
    }
}
