//! A reactor without events, for unit tests and models.

use std::io;
use std::time::Duration;

use super::sleep::Turn;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Condvar, Mutex, lock};

/// Something to sleep in until somebody notifies.
#[derive(Clone, Default)]
pub(super) struct Couch(Arc<Parts>);

#[derive(Default)]
struct Parts {
    state: Mutex<State>,
    is_notified: Condvar,
    was_notified: AtomicBool,
}

#[derive(Default)]
struct State {
    is_notified: bool,
    notifications: usize,
    is_disowned: bool,
    /// What the next turn does.
    news: Option<Box<dyn FnOnce() + Send>>,
}

impl Couch {
    pub(super) fn new() -> Couch {
        Couch::default()
    }

    /// True if a notification would end a sleep.
    #[cfg(not(ekio_loom))]
    pub(super) fn is_ringing(&self) -> bool {
        lock(&self.0.state).is_notified
    }

    /// Ends the next sleep, in whose turn `news` is called.
    #[cfg(not(ekio_loom))]
    pub(super) fn bring(&self, news: impl FnOnce() + Send + 'static) {
        lock(&self.0.state).news = Some(Box::new(news));
    }

    #[cfg(not(ekio_loom))]
    pub(super) fn is_disowned(&self) -> bool {
        lock(&self.0.state).is_disowned
    }

    pub(super) fn notifications(&self) -> usize {
        lock(&self.0.state).notifications
    }
}

impl Turn for Couch {
    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        let mut state = lock(&self.0.state);
        while limit.is_none() && !state.is_notified && state.news.is_none() {
            state = self.0.is_notified.wait(state).unwrap();
        }
        state.is_notified = false;
        let news = state.news.take();
        drop(state);
        news.into_iter().for_each(|news| news());
        Ok(())
    }

    fn notify(&self) {
        // As the reactor does it, and in `take_notification`.
        self.0.was_notified.swap(true, Ordering::Release);
        let mut state = lock(&self.0.state);
        state.notifications += 1;
        state.is_notified = true;
        self.0.is_notified.notify_one();
    }

    fn is_notified(&self) -> bool {
        self.0.was_notified.load(Ordering::Acquire)
    }

    fn take_notification(&self) -> bool {
        self.is_notified() && self.0.was_notified.swap(false, Ordering::AcqRel)
    }

    fn disown(&self) {
        lock(&self.0.state).is_disowned = true;
    }
}
