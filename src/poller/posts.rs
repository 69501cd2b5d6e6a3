//! Events that come from this process: the queue behind `post`, for the backends whose kernel has
//! none.

use std::collections::VecDeque;

use super::event::{Event, Events};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, lock};

/// The poster pushes and then notifies; the waiter takes before it sleeps. Nothing is lost: an
/// event pushed after the waiter took is followed by a notification that ends the sleep.
#[derive(Debug, Default)]
pub(crate) struct Posts {
    queue: Mutex<VecDeque<Event>>,
    /// True while the queue holds something; written under its lock. It spares a waiter the lock.
    is_some: AtomicBool,
}

impl Posts {
    pub(crate) fn push(&self, event: Event) {
        let mut queue = lock(&self.queue);
        queue.push_back(event);
        self.is_some.store(true, Ordering::Relaxed);
    }

    /// Moves events to the list, half of its room at most, so that a poster who never stops
    /// cannot keep the kernel's events from it.
    ///
    /// Relaxed suffices for the look at `is_some`: a push that this look misses is followed by a
    /// notification, which makes the waiter look again.
    pub(crate) fn take_into(&self, events: &mut Events) {
        if !self.is_some.load(Ordering::Relaxed) {
            return;
        }
        let mut queue = lock(&self.queue);
        let count = queue.len().min(events.room().div_ceil(2));
        queue.drain(..count).for_each(|event| events.push(event));
        self.is_some.store(!queue.is_empty(), Ordering::Relaxed);
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
            posts.take_into(&mut events);
            assert!(events.len() <= 2);
            seen.extend(events.iter().map(|event| event.key.0));
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        events.clear();
        posts.take_into(&mut events);
        assert!(events.is_empty());
    }
}
