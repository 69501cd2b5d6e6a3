//! One timer, as leaf futures use it: safe, and its own janitor.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::{fmt, io};

use super::list::Node;
use super::{Look, Timers};
use crate::poller::Poller;
use crate::reactor::{Reactor, clock};
use crate::sync::{Arc, MutexGuard};

/// A reactor, as far as timers know it.
pub(crate) trait Host {
    /// Locks the timers.
    fn timers(&self) -> MutexGuard<'_, Timers>;

    /// Ends the wait that is under way, or the next one.
    fn notify(&self) -> io::Result<()>;

    /// True while some thread promises to turn the reactor. When the last one takes its promise
    /// back, this becomes false first and [`Timers::wake_all_into`] is called after, so that an
    /// answer found under the lock holds until then.
    fn is_driven(&self) -> bool;
}

impl<P: Poller> Host for Reactor<P> {
    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.timers()
    }

    fn notify(&self) -> io::Result<()> {
        self.notify()
    }

    fn is_driven(&self) -> bool {
        self.is_driven()
    }
}

/// A deadline and, while a task waits for it, a place in a reactor's [`Timers`].
pub(crate) struct Timer<H: Host> {
    /// The reactor that may know the node. While it is `None`, none does, and the node is idle or
    /// its state has no meaning.
    home: Option<Arc<H>>,
    node: Node,
}

// SAFETY: Only the node stands against it, for its cells and pointers. Send asks that the owner may
// be another thread from now on: what a reactor touches too is touched under its lock, on either
// side (see `super`), and the rest has no tie to a thread.
unsafe impl<H: Host + Send + Sync> Send for Timer<H> {}

// SAFETY: As above. Sync asks that `&Timer` may be used on many threads: all it offers is
// `deadline`, which reads a field that is written by `&mut` alone.
unsafe impl<H: Host + Send + Sync> Sync for Timer<H> {}

impl<H: Host> Timer<H> {
    pub(crate) const fn new(deadline: u64) -> Timer<H> {
        Timer {
            home: None,
            node: Node::new(deadline),
        }
    }

    pub(crate) fn deadline(&self) -> u64 {
        self.node.deadline.get()
    }

    /// Ready at the deadline and from then on. Until then the timer is linked in the reactor which
    /// `find_home` gave at the first poll or, if that one has let go of it, at a later poll. It
    /// keeps the waker of the latest poll.
    ///
    /// # Panics
    ///
    /// If there is no reactor, or if it cannot be notified.
    pub(crate) fn poll_elapsed(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        find_home: impl FnOnce() -> io::Result<Arc<H>>,
    ) -> Poll<()> {
        let (home, node) = self.parts();
        if let Some(host) = home {
            match look_again(&**host, node, cx.waker()) {
                Look::Waits | Look::WaitsForAnother => return Poll::Pending,
                Look::Fired => {
                    *home = None;
                    return Poll::Ready(());
                }
                Look::Idle => *home = None,
            }
        }
        match node.deadline.get() {
            clock::NEVER => return Poll::Pending,
            deadline if deadline <= clock::now() => return Poll::Ready(()),
            _ => {}
        }
        let waker = cx.waker().clone();
        let host = home.insert(find_home().unwrap_or_else(|error| no_reactor(&error)));
        let mut timers = host.timers();
        if !host.is_driven() {
            // Its last driver left since `find_home` asked. Another look finds another reactor.
            drop(timers);
            *home = None;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // SAFETY: `insert` asks for a node that is not linked, which it is not, since there was no
        // home; that no other Timers get it, and that `remove` precedes its end: `home` now names
        // these ones, and is changed only after they have let go of the node, or by `drop`.
        let must_notify = unsafe { timers.insert(node, waker) };
        drop(timers);
        if must_notify {
            notify(&**host);
        }
        Poll::Pending
    }

    /// Changes the deadline. A task that waits is woken at the new one.
    ///
    /// # Panics
    ///
    /// If the reactor cannot be notified.
    pub(crate) fn reset(self: Pin<&mut Self>, deadline: u64) {
        let (home, node) = self.parts();
        let Some(host) = home else {
            node.deadline.set(deadline);
            return;
        };
        // SAFETY: the node has been given to these Timers alone: they are those of `home`.
        let must_notify = unsafe { host.timers().reset(node, deadline) };
        if must_notify {
            notify(&**host);
        }
    }

    /// The fields: one to change, one that stays where it is.
    fn parts(self: Pin<&mut Self>) -> (&mut Option<Arc<H>>, Pin<&Node>) {
        // SAFETY: get_unchecked_mut asks that nothing is moved out by the reference: `home` is not
        // pinned, and of `node` only a shared reference leaves here.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: new_unchecked asks that the node is not moved before it is dropped: it is a field
        // of a pinned struct that is not Unpin (PhantomPinned), has no other projection, and is not
        // packed.
        let node = unsafe { Pin::new_unchecked(&this.node) };
        (&mut this.home, node)
    }
}

impl<H: Host> Drop for Timer<H> {
    fn drop(&mut self) {
        // With a home, the timer was pinned, and stays in its place to its end.
        // SAFETY: new_unchecked asks just that; without a home, nobody points to the node.
        let (home, node) = unsafe { Pin::new_unchecked(self) }.parts();
        if let Some(host) = home.take() {
            // SAFETY: the node has been given to these Timers alone: they were those of `home`.
            let waker = unsafe { host.timers().remove(node) };
            // Now that the lock is free.
            drop(waker);
        }
    }
}

impl<H: Host> fmt::Debug for Timer<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer")
            .field("deadline", &clock::to_instant(self.deadline()))
            .finish_non_exhaustive()
    }
}

/// What has become of a node since it was inserted; if it still waits, then for this waker.
fn look_again<H: Host>(host: &H, node: Pin<&Node>, waker: &Waker) -> Look {
    // SAFETY: the node has been given to these Timers alone: they are those of the timer's `home`.
    let seen = unsafe { host.timers().look(node, waker) };
    if seen != Look::WaitsForAnother {
        return seen;
    }
    // Cloned before the lock is taken, and whatever it comes to hold is dropped after.
    let mut exchanged = Some(waker.clone());
    // SAFETY: as above.
    let seen = unsafe { host.timers().exchange(node, &mut exchanged) };
    drop(exchanged);
    seen
}

fn notify<H: Host>(host: &H) {
    if let Err(error) = host.notify() {
        panic!("the reactor of this timer cannot be reached: {error}");
    }
}

#[cold]
fn no_reactor(error: &io::Error) -> ! {
    panic!("a timer needs a reactor, and none could be made: {error}");
}

#[cfg(all(test, not(ekio_loom)))]
mod tests;

/// The protocol of `a18_earlier_timer`, in every order in which it can happen.
#[cfg(all(test, ekio_loom))]
mod models {
    use super::*;
    use crate::reactor::timers::Rise;
    use crate::reactor::wakers::WakerBatch;
    use crate::sync::atomic::{AtomicBool, Ordering};
    use crate::sync::{Condvar, Mutex, lock, thread};
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;
    use std::time::Duration;

    /// Counts its wakes. (std's, since `Wake` knows no other `Arc`. loom need not watch it.)
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A reactor whose `wait` is a condition variable, and whose time stands still.
    struct Model {
        is_driven: AtomicBool,
        timers: Mutex<Timers>,
        is_notified: Mutex<bool>,
        notification: Condvar,
    }

    impl Host for Model {
        fn timers(&self) -> MutexGuard<'_, Timers> {
            lock(&self.timers)
        }

        fn notify(&self) -> io::Result<()> {
            *lock(&self.is_notified) = true;
            self.notification.notify_one();
            Ok(())
        }

        fn is_driven(&self) -> bool {
            self.is_driven.load(Ordering::Relaxed)
        }
    }

    impl Model {
        fn new() -> Arc<Model> {
            Arc::new(Model {
                is_driven: AtomicBool::new(true),
                timers: Mutex::new(Timers::new(clock::now())),
                is_notified: Mutex::new(false),
                notification: Condvar::new(),
            })
        }

        /// Turns until the thread sees that it must be up within `limit`. A notification that is
        /// lost is a deadlock, which loom reports.
        fn turn_until(&self, limit: Duration) {
            loop {
                let timeout = self.timers().begin_sleep(None, Rise::WithItsCrowd);
                if timeout.is_some_and(|timeout| timeout <= limit) {
                    return;
                }
                let mut is_notified = lock(&self.is_notified);
                while !*is_notified {
                    is_notified = self.notification.wait(is_notified).unwrap();
                }
                *is_notified = false;
                drop(is_notified);
                self.timers().end_sleep();
            }
        }
    }

    /// Inserts a timer by its first poll, and leaves it there.
    fn start(host: &Arc<Model>, seconds: u64) -> Pin<Box<Timer<Model>>> {
        start_with(host, seconds, Waker::noop())
    }

    fn start_with(host: &Arc<Model>, seconds: u64, waker: &Waker) -> Pin<Box<Timer<Model>>> {
        let deadline = clock::after(clock::now(), Duration::from_secs(seconds));
        let mut timer = Box::pin(Timer::new(deadline));
        let mut cx = Context::from_waker(waker);
        let polled = timer.as_mut().poll_elapsed(&mut cx, || Ok(host.clone()));
        assert!(polled.is_pending());
        timer
    }

    #[test]
    fn loom_a18_earlier_timer() {
        loom::model(|| {
            let host = Model::new();
            let other = host.clone();
            let starter = thread::spawn(move || start(&other, 1_000));
            host.turn_until(Duration::from_secs(1_000));
            drop(starter.join().unwrap());
        });
    }

    /// Two threads insert, each earlier than what the sleeper knows, and one of them may think that
    /// the other has notified.
    #[test]
    fn loom_a18_two_earlier_timers() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let host = Model::new();
            let others = [1_000, 2_000].map(|seconds| {
                let host = host.clone();
                thread::spawn(move || start(&host, seconds))
            });
            host.turn_until(Duration::from_secs(1_000));
            others
                .into_iter()
                .for_each(|starter| drop(starter.join().unwrap()));
        });
    }

    /// A timer that waits already is brought forward.
    #[test]
    fn loom_a18_earlier_by_reset() {
        loom::model(|| {
            let host = Model::new();
            let mut timer = start(&host, 5_000);
            let soon = clock::after(clock::now(), Duration::from_secs(1_000));
            let resetter = thread::spawn(move || {
                timer.as_mut().reset(soon);
                timer
            });
            host.turn_until(Duration::from_secs(1_000));
            drop(resetter.join().unwrap());
        });
    }

    /// A reactor is left by its last driver while a timer joins it. Either the timer is woken to move,
    /// or it sees that it must not join.
    #[test]
    fn loom_a_timer_joins_no_reactor_that_is_left() {
        loom::model(|| {
            let host = Model::new();
            let other = host.clone();
            let starter = thread::spawn(move || {
                let counter = std::sync::Arc::new(Counter::default());
                (start_with(&other, 1_000, &counter.clone().into()), counter)
            });
            host.is_driven.store(false, Ordering::Relaxed);
            let mut batch = WakerBatch::new();
            host.timers().wake_all_into(&mut batch);
            batch.wake_all();
            let (timer, counter) = starter.join().unwrap();
            assert!(host.timers().is_empty());
            assert_eq!(counter.0.load(Ordering::Relaxed), 1);
            drop(timer);
        });
    }
}
