//! Events that come from this process: the queue behind `post`, beside the kernel's.

use std::collections::VecDeque;

use super::event::{Event, Events};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, lock};

/// The poster pushes and then notifies; the waiter takes before it sleeps. Nothing is lost: an
/// event pushed after the waiter took is followed by a notification that ends the sleep.
#[derive(Debug, Default)]
pub(crate) struct Posts {
    queue: Mutex<Queue>,
    /// True while the queue holds something; written under its lock. It spares a waiter the lock.
    is_some: AtomicBool,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    /// Whose turn it is where there is room for one.
    is_kernels_turn: bool,
}

impl Posts {
    pub(crate) fn push(&self, event: Event) {
        let mut queue = lock(&self.queue);
        queue.events.push_back(event);
        self.is_some.store(true, Ordering::Relaxed);
    }

    /// Moves events to the list, half of its room at most, so that a poster who never stops
    /// cannot keep the kernel's events from it. In a list for one they take turns. Says whether
    /// some are left: then the waiter does not sleep, and after it has asked the kernel it takes
    /// again.
    ///
    /// Relaxed suffices for the look at `is_some`: a push that this look misses is followed by a
    /// notification, which makes the waiter look again.
    pub(crate) fn take_into(&self, events: &mut Events) -> bool {
        if !self.is_some.load(Ordering::Relaxed) {
            return false;
        }
        let mut queue = lock(&self.queue);
        let mut count = queue.events.len().min(events.room().div_ceil(2));
        if events.capacity() == 1 && count == 1 {
            count = usize::from(!queue.is_kernels_turn);
            queue.is_kernels_turn = !queue.is_kernels_turn;
        }
        for event in queue.events.drain(..count) {
            events.push(event);
        }
        let is_more = !queue.events.is_empty();
        self.is_some.store(is_more, Ordering::Relaxed);
        is_more
    }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests {
    use super::super::event::{Key, Readiness};
    use super::*;

    #[test]
    fn half_of_the_room_at_a_time_and_in_order() {
        let posts = Posts::default();
        let mut events = Events::with_capacity(4);
        for key in 0..5 {
            posts.push(Event::new(Key(key), Readiness::READABLE));
        }
        let mut seen = Vec::new();
        while seen.len() < 5 {
            events.clear();
            let is_more = posts.take_into(&mut events);
            assert!(events.len() <= 2);
            seen.extend(events.iter().map(|event| event.key.0));
            assert_eq!(is_more, seen.len() < 5);
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        events.clear();
        assert!(!posts.take_into(&mut events));
        assert!(events.is_empty());
    }

    #[test]
    fn in_a_list_for_one_they_take_turns() {
        let posts = Posts::default();
        for key in 0..2 {
            posts.push(Event::new(Key(key), Readiness::READABLE));
        }
        let mut events = Events::with_capacity(1);
        for (count, is_more) in [(1, true), (0, true), (1, false), (0, false)] {
            events.clear();
            assert_eq!(posts.take_into(&mut events), is_more);
            assert_eq!(events.len(), count);
        }
    }
}
