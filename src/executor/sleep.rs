//! How a thread goes to sleep without missing what others send it.
//!
//! A worker sleeps inside its reactor's `turn`. Work that its own thread brings it sees by itself.
//! Work that another thread brings must end the sleep, at the cost of one `notify`, and must cost
//! nothing if the worker is awake.
//!
//! # To sleep
//!
//! 0. Look for a while, if it is worth it ([`spin`](super::spin)): who finds something turns without
//!    waiting, and nobody has to notify him.
//! 1. Set `is_asleep`.
//! 2. `fence(SeqCst)`.
//! 3. Look wherever others leave work.
//! 4. `turn`: without a time limit if there was none, else without waiting.
//! 5. Clear `is_asleep`.
//!
//! # To rouse
//!
//! 1. Leave the work where step 3 looks.
//! 2. `fence(SeqCst)`.
//! 3. If `is_asleep` is set, clear it; who cleared it, and only he, goes to 4.
//! 4. `notify`.
//!
//! # Why nothing is lost
//!
//! One of the two fences comes first in their single order. If it is the sleeper's, the rouser's step
//! 3 sees `is_asleep` and notifies; a `notify` that comes before the `turn` has begun to wait ends
//! that wait all the same. If it is the rouser's, the sleeper's step 3 sees the work. Of several
//! rousers one notifies; the others find `is_asleep` clear, and their work is seen after the same
//! `turn`. A `notify` that comes late, when the sleeper is up already, costs it one short `turn`.

use std::time::Duration;
use std::{fmt, io};

use super::spin::Spin;
use crate::reactor::Reactor;
use crate::sync::atomic::{AtomicBool, Ordering, fence};
use crate::sync::{Arc, Mutex, lock};

/// What a worker sleeps in: a reactor, whatever its poller.
pub(crate) trait Turn: Send + Sync {
    /// Waits for events, at most for `limit`, and wakes who waits for them.
    fn turn(&self, limit: Option<Duration>) -> io::Result<()>;

    /// Ends the wait of the turn that is under way, or of the next one.
    fn notify(&self);

    /// True if there was a notification that nobody has taken.
    fn is_notified(&self) -> bool;

    /// Takes it.
    fn take_notification(&self) -> bool;

    /// Whoever waits for events here is woken, and from now on nobody does.
    fn disown(&self);
}

impl Turn for Arc<Reactor> {
    fn turn(&self, limit: Option<Duration>) -> io::Result<()> {
        Reactor::turn(self, limit)
    }

    fn notify(&self) {
        // It fails in a fork of the process alone, where nobody sleeps in this reactor.
        let _ = Reactor::notify(self);
    }

    fn is_notified(&self) -> bool {
        Reactor::is_notified(self)
    }

    fn take_notification(&self) -> bool {
        Reactor::take_notification(self)
    }

    fn disown(&self) {
        Reactor::disown(self);
    }
}

/// The bed of one worker.
#[derive(Default)]
pub(crate) struct Sleep {
    is_asleep: AtomicBool,
    spin: Spin,
    /// Whom to notify. Taken by who rouses, and when the worker changes.
    reactor: Mutex<Option<Box<dyn Turn>>>,
}

impl Sleep {
    /// The worker will sleep in this reactor from now on, or (`None`) not at all.
    pub(crate) fn set_reactor(&self, reactor: Option<Box<dyn Turn>>) {
        let old = std::mem::replace(&mut *lock(&self.reactor), reactor);
        drop(old); // Without the lock: it may be the last grip on a reactor.
    }

    /// To sleep: `look` is step 3 (true if there is work), `turn` is step 4. If there is work, the
    /// turn is a short one, so that whoever keeps sending it cannot keep the reactor from its turns.
    pub(crate) fn sleep<R>(
        &self,
        look: impl Fn() -> bool,
        turn: impl FnOnce(Option<Duration>) -> R,
    ) -> R {
        if self.spin.finds(&look) {
            return turn(Some(Duration::ZERO));
        }
        // AcqRel, here and at the end: pairs with the swap in `rouse`, whose next step is to lock the
        // reactor. Swaps rather than stores, so that every change lies behind the one before it.
        self.is_asleep.swap(true, Ordering::AcqRel);
        // Pairs with the fence in `rouse`.
        fence(Ordering::SeqCst);
        let limit = if look() { Some(Duration::ZERO) } else { None };
        let turned = turn(limit);
        let was_roused = !self.is_asleep.swap(false, Ordering::AcqRel);
        self.spin.note_end(was_roused);
        turned
    }

    /// To rouse, steps 2 to 4. The work has been left.
    pub(crate) fn rouse(&self) {
        // Pairs with the fence in `sleep`.
        fence(Ordering::SeqCst);
        // AcqRel: pairs with the swaps in `sleep`.
        if self.is_asleep.load(Ordering::Relaxed) && self.is_asleep.swap(false, Ordering::AcqRel) {
            if let Some(reactor) = &*lock(&self.reactor) {
                reactor.notify();
            }
        }
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("is_asleep", &self.is_asleep)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(ekio_loom)))]
mod tests {
    use super::*;
    use crate::executor::testing::Couch;

    #[test]
    fn who_finds_something_before_it_sleeps_is_not_notified() {
        let couch = Couch::new();
        let sleep = Sleep::default();
        sleep.set_reactor(Some(Box::new(couch.clone())));
        sleep.sleep(|| false, |_| sleep.rouse());
        assert_eq!(couch.notifications(), 1);
        let turn = |limit| {
            assert_eq!(limit, Some(Duration::ZERO));
            sleep.rouse();
        };
        sleep.sleep(|| true, turn);
        assert_eq!(couch.notifications(), 1);
    }
}
