//! The tasks of one thread.
//!
//! It comes in two halves. [`Local`] is what the thread itself uses, without locks and atomics; it
//! lies in the frame of `block_on`. [`Home`] is what the tasks' wakers hold: an address that other
//! threads can send to.
//!
//! ```text
//!    home thread                                   any thread
//!   wake ----> Local.queue ----> run         wake ----> Home.inbox ----> rouse
//!              ^                                             |
//!              +------------ collect <-----------------------+
//! ```
//!
//! # Homes are for ever
//!
//! A waker may outlive its `block_on`, and its thread. If it counted a reference to its home, every
//! spawn, every clone of the root's waker and every free would touch a shared counter. So a home is
//! never freed: when its `block_on` returns it goes back to a list, for the next `block_on` of any
//! thread. There are never more of them than there were calls of `block_on` at the same time.
//!
//! What an old waker can do to a home that has a new tenant: nothing if it is a task's, because all
//! tasks are complete before the home is given back (at worst a corpse arrives late, and is buried);
//! and one poll too many if it is the root's.
//!
//! # Futures that are not `Send`
//!
//! They are polled and dropped in `run` and `close`, which only the home thread calls; both belong to
//! `Local`, which cannot leave it. Their outputs are dropped there too, because a `JoinHandle` for an
//! output that is not `Send` cannot leave either. What is left for others is memory.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::Location;
use std::ptr;
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use super::queue::{Queue, Roster};
use super::sleep::{Sleep, Turn};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, StaticMutex, lock, lock_static, per_thread};
use crate::task::JoinHandle;
use crate::task::raw::{self, Ran, Runnable, Schedule};
use crate::task::spare::Keeping;

per_thread! {
    /// The `Local` in whose scope this thread is, or null.
    static CURRENT: Cell<*const Local> = const { Cell::new(ptr::null()) };
}

/// The thread's half. See the [module](self).
#[derive(Debug)]
pub(crate) struct Local {
    home: &'static Home,
    queue: RefCell<Queue>,
    roster: RefCell<Roster>,
    /// The root is the future of `block_on`. It has a place in the queue without being in it:
    /// behind `ahead_of_root` tasks.
    root_is_woken: Cell<bool>,
    ahead_of_root: Cell<usize>,
}

/// Whose turn it is.
#[derive(Debug)]
pub(crate) enum Next {
    Root,
    Task(Runnable),
    Nobody,
}

impl Local {
    /// The root counts as woken.
    pub(crate) fn new() -> Local {
        Local {
            home: Home::claim(),
            queue: RefCell::new(Queue::new()),
            roster: RefCell::new(Roster::new()),
            root_is_woken: Cell::new(true),
            ahead_of_root: Cell::new(0),
        }
    }

    /// True if this thread is in some `Local`'s scope.
    pub(crate) fn is_inside() -> bool {
        !CURRENT.with(Cell::get).is_null()
    }

    /// Calls `f` with the `Local` in whose scope this thread is, if it is in one.
    pub(crate) fn with_current<R>(f: impl FnOnce(&Local) -> R) -> Option<R> {
        let current = CURRENT.with(Cell::get);
        // SAFETY: `enter` put the pointer there, and the scope that takes it away borrows the
        // `Local`, so it is alive and stays so for the call; this thread alone ever sees it.
        unsafe { current.as_ref() }.map(f)
    }

    /// Makes this the thread's current `Local`, until the scope is dropped: then all its tasks are.
    pub(crate) fn enter(&self, reactor: Box<dyn Turn>) -> Scope<'_> {
        debug_assert!(!Local::is_inside());
        self.home.open(reactor);
        CURRENT.with(|current| current.set(self));
        Scope {
            local: self,
            _keeping: Keeping::begin(),
        }
    }

    pub(crate) fn spawn<F>(
        &self,
        future: F,
        location: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        let (task, handle) = raw::spawn(future, self.home, location);
        self.roster.borrow_mut().insert(&task);
        self.queue.borrow_mut().push(task);
        handle
    }

    pub(crate) fn next(&self) -> Next {
        let ahead = self.ahead_of_root.get();
        if ahead == 0 && self.root_is_woken.replace(false) {
            return Next::Root;
        }
        match self.queue.borrow_mut().pop() {
            Some(task) => {
                self.ahead_of_root.set(ahead.saturating_sub(1));
                Next::Task(task)
            }
            None => Next::Nobody,
        }
    }

    pub(crate) fn run(&self, task: Runnable) {
        // SAFETY: this is the home thread of all tasks that come here: a `Local` cannot leave its
        // thread, and `spawn` is the only way in. (A corpse of another home has no future.)
        match unsafe { task.run() } {
            Ran::Idle => {}
            Ran::Again(task) => self.queue.borrow_mut().push(task),
            Ran::Done(task) => self.roster.borrow_mut().remove(&task),
        }
    }

    /// Takes in what other threads have sent.
    pub(crate) fn collect(&self) {
        if self.home.take_root_wake() {
            self.wake_root();
        }
        self.home.take_mail(&mut self.queue.borrow_mut());
    }

    /// True if somebody's turn it is, as far as this thread knows.
    pub(crate) fn has_work(&self) -> bool {
        self.root_is_woken.get() || !self.queue.borrow().is_empty()
    }

    /// Turns the reactor: sleeps in it if nobody has sent anything.
    pub(crate) fn sleep<R>(&self, turn: impl FnOnce(Option<Duration>) -> R) -> R {
        self.home.sleep.sleep(|| self.home.has_post(), turn)
    }

    /// The root goes to the back of the queue, if it is not in it already.
    fn wake_root(&self) {
        if !self.root_is_woken.replace(true) {
            self.ahead_of_root.set(self.queue.borrow().len());
        }
    }

    pub(crate) fn root_waker(&self) -> Waker {
        // SAFETY: the functions below keep the contract of `RawWakerVTable`: they are thread-safe,
        // and a home is never freed.
        unsafe { Waker::from_raw(raw_root_waker(self.home)) }
    }

    /// Drops all tasks. Their destructors may wake and spawn.
    fn close(&self) {
        loop {
            let task = self.roster.borrow_mut().pop();
            let Some(task) = task else { break };
            // SAFETY: the roster's reference was the executor's; no task is being run, because
            // `run` is not under way; and this is the home thread, as above.
            unsafe { raw::seize(task) };
        }
        // What is in the queue now, and whatever else will be sent home, is dead: burying it runs
        // no foreign code, so the roster stays empty.
        drop(self.queue.take());
        self.home.close();
    }
}

/// The time for which a `Local` is the thread's current one.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    local: &'a Local,
    /// Ends behind all tasks.
    _keeping: Keeping,
}

impl Drop for Scope<'_> {
    fn drop(&mut self) {
        self.local.close();
        CURRENT.with(|current| current.set(ptr::null()));
        self.local.home.give_back();
    }
}

/// The half that other threads know. See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Home {
    inbox: Mutex<Inbox>,
    /// True while there is something in the inbox; written under its lock. It spares `collect` the
    /// lock, and it is what step 3 of the sleeper looks at.
    has_mail: AtomicBool,
    /// Another thread has woken the root.
    root_is_woken: AtomicBool,
    sleep: Sleep,
}

#[derive(Debug, Default)]
struct Inbox {
    queue: Queue,
    is_open: bool,
}

/// Homes without a tenant.
static VACANT: StaticMutex<Vec<&'static Home>> = StaticMutex::new(Vec::new());

impl Home {
    fn claim() -> &'static Home {
        let vacant = lock_static(&VACANT).pop();
        vacant.unwrap_or_else(|| Box::leak(Box::default()))
    }

    fn give_back(&'static self) {
        // A lock of loom's is good for one run of a model.
        if cfg!(not(all(test, ekio_loom))) {
            lock_static(&VACANT).push(self);
        }
    }

    fn open(&self, reactor: Box<dyn Turn>) {
        self.sleep.set_reactor(Some(reactor));
        lock(&self.inbox).is_open = true;
    }

    /// From now on who sends a task has to bury it.
    fn close(&self) {
        let mut inbox = lock(&self.inbox);
        inbox.is_open = false;
        // Relaxed: written under the lock, and only a hint to who does not hold it.
        self.has_mail.store(false, Ordering::Relaxed);
        let late = std::mem::take(&mut inbox.queue);
        drop(inbox);
        drop(late);
        self.sleep.set_reactor(None);
    }

    /// Called on any thread but the tenant's.
    #[cold]
    fn send(&self, task: Runnable) {
        let mut inbox = lock(&self.inbox);
        if !inbox.is_open {
            drop(inbox);
            // The tenant has left, and seized the task before.
            drop(task);
            return;
        }
        inbox.queue.push(task);
        // Relaxed: the rouser's fence orders it for the sleeper; the task goes through the lock.
        self.has_mail.store(true, Ordering::Relaxed);
        drop(inbox);
        self.sleep.rouse();
    }

    fn take_mail(&self, queue: &mut Queue) {
        // Relaxed: what this look misses is seen by the sleeper's, behind its fence.
        if self.has_mail.load(Ordering::Relaxed) {
            let mut inbox = lock(&self.inbox);
            queue.append(&mut inbox.queue);
            self.has_mail.store(false, Ordering::Relaxed);
        }
    }

    /// Called on any thread but the tenant's.
    #[cold]
    fn send_root_wake(&self) {
        // Release: pairs with `take_root_wake`. A swap, not a store: it must not hide the wake of
        // a third thread, whose release has to reach the tenant too.
        self.root_is_woken.swap(true, Ordering::Release);
        self.sleep.rouse();
    }

    fn take_root_wake(&self) -> bool {
        // Acquire: pairs with `send_root_wake`.
        self.root_is_woken.load(Ordering::Relaxed)
            && self.root_is_woken.swap(false, Ordering::Acquire)
    }

    /// Step 3 of the sleeper.
    fn has_post(&self) -> bool {
        // Relaxed: behind the sleeper's fence.
        self.has_mail.load(Ordering::Relaxed) || self.root_is_woken.load(Ordering::Relaxed)
    }

    /// Calls `f` with the `Local` of this home if this is its thread.
    fn with_local(&self, f: impl FnOnce(&Local)) -> bool {
        Local::with_current(|local| {
            let is_home = ptr::eq(local.home, self);
            if is_home {
                f(local);
            }
            is_home
        })
        .unwrap_or(false)
    }
}

impl Schedule for &'static Home {
    fn schedule(&self, task: Runnable) {
        let mut task = Some(task);
        self.with_local(|local| {
            if let Some(task) = task.take() {
                local.queue.borrow_mut().push(task);
            }
        });
        if let Some(task) = task {
            self.send(task);
        }
    }
}

fn raw_root_waker(home: &'static Home) -> RawWaker {
    static VTABLE: RawWakerVTable =
        RawWakerVTable::new(clone_root_waker, wake_root, wake_root, |_| {});
    RawWaker::new(ptr::from_ref(home).cast(), &VTABLE)
}

unsafe fn clone_root_waker(data: *const ()) -> RawWaker {
    raw_root_waker(to_home(data))
}

unsafe fn wake_root(data: *const ()) {
    let home = to_home(data);
    if !home.with_local(Local::wake_root) {
        home.send_root_wake();
    }
}

fn to_home(data: *const ()) -> &'static Home {
    // SAFETY: `raw_root_waker`, above, made it from such a reference.
    unsafe { &*data.cast() }
}
