//! Children that nobody waits for.
//!
//! On Unix a child that has exited stays in the system's table, as a *zombie*, until its parent asks
//! for its status. A [`Child`](super::Child) that is dropped while it runs comes here, so that it is
//! asked some day:
//!
//! * It is registered with the reactor of the thread that drops it, with a waker that asks. No thread
//!   waits for it, and no task.
//! * If it cannot be watched, or its reactor is no longer driven, it goes on a list that is looked
//!   through whenever a program is started, a child's end is learnt of, or another orphan comes. Under a
//!   virtual clock too: a source that is waited for would make its time real, and no task waits.
//!
//! Windows has no zombies, and this is empty there.

#[cfg(unix)]
pub(super) use unix::{adopt, look_through};

#[cfg(windows)]
pub(super) fn adopt(_child: std::process::Child) {}

#[cfg(windows)]
pub(super) fn look_through() {}

#[cfg(unix)]
mod unix {
    use std::collections::BTreeMap;
    use std::process::Child;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
    use std::task::{Context, Wake, Waker};

    use crate::reactor::{Direction, Interest, Readiness, Registration, virtual_time};

    /// By the number of their adoption.
    static ORPHANS: Mutex<BTreeMap<u64, Orphan>> = Mutex::new(BTreeMap::new());

    static LATEST: AtomicU64 = AtomicU64::new(0);

    /// Not held while anything else is done.
    fn orphans() -> MutexGuard<'static, BTreeMap<u64, Orphan>> {
        ORPHANS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    enum Orphan {
        /// It is just being registered.
        Comes,
        /// And has been reported already.
        IsReported,
        Watched(Registration<Child>),
        /// On the list that is looked through.
        Listed(Child),
    }

    /// Takes a child over.
    pub(in super::super) fn adopt(child: Child) {
        look_through();
        let Some(child) = running(child) else {
            return;
        };
        // Relaxed: all that counts is that the numbers differ.
        let number = LATEST.fetch_add(1, Ordering::Relaxed);
        if virtual_time::in_force().is_some() {
            orphans().insert(number, Orphan::Listed(child));
            return;
        }
        orphans().insert(number, Orphan::Comes);
        let waker = Waker::from(Arc::new(Asker { number }));
        let registration = Registration::of_nonblocking(child, Interest::READABLE, Readiness::NONE);
        let polled = registration.poll_ready(&mut Context::from_waker(&waker), Direction::Read);
        let mut orphans = orphans();
        let is_reported = matches!(orphans.remove(&number), Some(Orphan::IsReported));
        if polled.is_pending() && !is_reported {
            orphans.insert(number, Orphan::Watched(registration));
            return;
        }
        drop(orphans);
        list(number, registration.leave());
    }

    /// Asks those whom nobody watches.
    pub(in super::super) fn look_through() {
        let mut orphans = orphans();
        let is_listed = |orphan: &Orphan| matches!(orphan, Orphan::Listed(_));
        let numbers = orphans.iter().filter(|(_, orphan)| is_listed(orphan));
        let numbers: Vec<u64> = numbers.map(|(number, _)| *number).collect();
        let listed: Vec<_> = numbers
            .into_iter()
            .filter_map(|number| Some((number, orphans.remove(&number)?)))
            .collect();
        drop(orphans);
        for (number, orphan) in listed {
            if let Orphan::Listed(child) = orphan {
                list(number, child);
            }
        }
    }

    fn list(number: u64, child: Child) {
        if let Some(child) = running(child) {
            orphans().insert(number, Orphan::Listed(child));
        }
    }

    /// The child, if it runs. If it cannot be asked it is none of ours (in a fork, say), or was asked
    /// by somebody else.
    fn running(mut child: Child) -> Option<Child> {
        matches!(child.try_wait(), Ok(None)).then_some(child)
    }

    /// The waker of an orphan. Its reactor reports it, or is no longer driven.
    struct Asker {
        number: u64,
    }

    impl Wake for Asker {
        fn wake(self: Arc<Self>) {
            self.wake_by_ref();
        }

        fn wake_by_ref(self: &Arc<Self>) {
            let mut orphans = orphans();
            match orphans.remove(&self.number) {
                Some(Orphan::Watched(registration)) => {
                    drop(orphans);
                    list(self.number, registration.leave());
                }
                Some(Orphan::Comes) => {
                    orphans.insert(self.number, Orphan::IsReported);
                }
                Some(other) => {
                    orphans.insert(self.number, other);
                }
                None => {}
            }
        }
    }
}
