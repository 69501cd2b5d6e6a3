//! Which reactor a leaf future talks to: that of the thread which polls it.
//!
//! * Inside `block_on`, the thread's own. It is made at the thread's first `block_on` and survives
//!   between calls, so that a socket stays registered.
//! * On a worker of a runtime, the worker's.
//! * Outside, on whatever executor, the shared one, which a background thread named `ekio-reactor`
//!   drives. The thread starts when it is first needed; a program that stays inside ekio never has
//!   it.
//!
//! So is it on a worker that is stuck in a task when its runtime has ended: nobody else turns its
//! reactor for it any more ([`Reactor::disown`]).

use std::cell::RefCell;
use std::io;

use super::{ForkGuard, Reactor, budget, virtual_time};
use crate::sync::Arc;

thread_local! {
    static CONTEXT: RefCell<ThreadContext> = const { RefCell::new(ThreadContext::new()) };
}

/// What a thread knows.
struct ThreadContext {
    /// The reactor that this thread drives at the moment.
    current: Option<Arc<Reactor>>,
    /// The thread's own, kept from one `block_on` to the next.
    own: Option<Own>,
}

impl ThreadContext {
    const fn new() -> ThreadContext {
        ThreadContext {
            current: None,
            own: None,
        }
    }

    /// Makes the thread's own reactor the current one.
    fn enter(&mut self) -> io::Result<Arc<Reactor>> {
        if self.current.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let reactor = match &self.own {
            Some(own) if own.home.is_at_home() => Arc::clone(&own.reactor),
            _ => {
                let reactor = Reactor::new()?;
                self.own = Some(Own::new(&reactor));
                reactor
            }
        };
        self.current = Some(Arc::clone(&reactor));
        Ok(reactor)
    }
}

/// A reactor that is kept.
struct Own {
    reactor: Arc<Reactor>,
    /// A queue is of no use in a fork of the process that made it, nor is there the thread that
    /// drives the shared one.
    home: ForkGuard,
}

impl Own {
    fn new(reactor: &Arc<Reactor>) -> Own {
        Own {
            reactor: Arc::clone(reactor),
            home: ForkGuard::new(),
        }
    }
}

/// The reactor with which to register what this thread polls.
pub(crate) fn current() -> io::Result<Arc<Reactor>> {
    // A thread that is ending has lost its context, and is like any other thread then.
    let current = CONTEXT
        .try_with(|context| context.borrow().current.clone())
        .ok()
        .flatten()
        .filter(|reactor| reactor.is_driven());
    current.map_or_else(background::reactor, Ok)
}

/// The shared reactor, which is always driven, for what cannot move from one to another.
#[cfg(has_iocp)]
pub(crate) fn shared() -> io::Result<Arc<Reactor>> {
    background::reactor()
}

/// The thread drives a reactor until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    reactor: Arc<Reactor>,
    /// The one that this thread drives otherwise.
    former: Option<Arc<Reactor>>,
    /// What the task has left that this thread may be inside.
    _budget: budget::Outer,
    /// This is no part of the call on the pool that the thread may be in.
    _lent: Option<virtual_time::Lent>,
    /// It belongs to one thread.
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Entered {
    pub(crate) fn reactor(&self) -> &Arc<Reactor> {
        &self.reactor
    }
}

/// Makes this thread the driver of its own reactor.
///
/// A thread that is ending has lost its context: it gets a reactor for this once, and its leaf futures
/// use the shared one, like those of any other thread.
///
/// # Errors
///
/// `AlreadyExists` (in the sense of "there is a driver already") inside another `enter`; else what
/// the operating system says when a queue cannot be made.
pub(crate) fn enter() -> io::Result<Entered> {
    let own = CONTEXT.try_with(|context| context.borrow_mut().enter());
    let reactor = own.unwrap_or_else(|_| Reactor::new())?;
    reactor.take_charge();
    Ok(Entered {
        reactor,
        former: None,
        _budget: budget::set_aside(),
        _lent: Some(virtual_time::lend_to_call(None)),
        _not_send: std::marker::PhantomData,
    })
}

/// Makes this thread the driver of a reactor that was made for it; for the time, and not of the one
/// that it may drive otherwise.
pub(crate) fn enter_with(reactor: Arc<Reactor>) -> Entered {
    let current = Some(Arc::clone(&reactor));
    // (A thread that is ending has lost its context, and its futures use the shared reactor.)
    let former = CONTEXT.try_with(|context| {
        let mut context = context.borrow_mut();
        std::mem::replace(&mut context.current, current)
    });
    reactor.take_charge();
    Entered {
        reactor,
        former: former.unwrap_or_default(),
        _budget: budget::set_aside(),
        _lent: None,
        _not_send: std::marker::PhantomData,
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        budget::lift();
        let former = self.former.take();
        // If the thread is ending its context is gone already.
        let _ = CONTEXT.try_with(|context| context.borrow_mut().current = former);
        self.reactor.release();
    }
}

/// The shared reactor and its thread.
mod background {
    use super::*;
    // std's, because a static cannot hold loom's.
    use std::sync::Mutex;

    static SHARED: Mutex<Option<Own>> = Mutex::new(None);

    pub(super) fn reactor() -> io::Result<Arc<Reactor>> {
        let mut shared = SHARED
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(own) = shared.as_ref().filter(|own| own.home.is_at_home()) {
            return Ok(Arc::clone(&own.reactor));
        }
        let reactor = Reactor::new()?;
        let driven = Arc::clone(&reactor);
        reactor.take_charge();
        std::thread::Builder::new()
            .name("ekio-reactor".to_owned())
            .spawn(move || drive(&driven))
            .inspect_err(|_| reactor.release())?;
        *shared = Some(Own::new(&reactor));
        Ok(reactor)
    }

    /// Turns the reactor for as long as the operating system lets it; should it fail, the next
    /// leaf future gets a new one.
    fn drive(reactor: &Arc<Reactor>) {
        while reactor.turn(None).is_ok() {}
        let mut shared = SHARED
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.take();
        drop(shared);
        reactor.release();
    }
}
