//! Which reactor a leaf future talks to: that of the thread which polls it.
//!
//! * Inside `block_on`, the thread's own. It is made at the thread's first `block_on` and survives
//!   between calls, so that a socket stays registered.
//! * Outside, on whatever executor, the shared one, which a background thread named `ekio-reactor`
//!   drives. The thread starts when it is first needed; a program that stays inside ekio never has
//!   it.

use std::cell::RefCell;
use std::io;

use super::{Reactor, budget};
use crate::poller::{OsPoller, Poller};
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
}

struct Own {
    reactor: Arc<Reactor>,
    /// The process that made it: a queue is of no use in a fork of that one.
    process: u32,
}

/// The reactor with which to register what this thread polls.
pub(crate) fn current() -> io::Result<Arc<Reactor>> {
    // A thread that is ending has lost its context, and is like any other thread then.
    let current = CONTEXT
        .try_with(|context| context.borrow().current.clone())
        .ok()
        .flatten();
    current.map_or_else(background::reactor, Ok)
}

/// The thread drives a reactor until this is dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    reactor: Arc<Reactor>,
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
/// # Errors
///
/// `AlreadyExists` (in the sense of "there is a driver already") inside another `enter`; else what
/// the operating system says when a queue cannot be made.
pub(crate) fn enter() -> io::Result<Entered> {
    CONTEXT.with_borrow_mut(|context| {
        if context.current.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let process = std::process::id();
        if context
            .own
            .as_ref()
            .is_none_or(|own| own.process != process)
        {
            let reactor = Reactor::with_poller(OsPoller::new()?);
            context.own = Some(Own { reactor, process });
        }
        let reactor = context.own.as_ref().map(|own| Arc::clone(&own.reactor));
        let reactor = reactor.ok_or(io::ErrorKind::Other)?;
        reactor.take_charge();
        context.current = Some(Arc::clone(&reactor));
        Ok(Entered {
            reactor,
            _not_send: std::marker::PhantomData,
        })
    })
}

impl Drop for Entered {
    fn drop(&mut self) {
        budget::lift();
        // If the thread is ending its context is gone already.
        let _ = CONTEXT.try_with(|context| context.borrow_mut().current.take());
        self.reactor.release();
    }
}

/// The shared reactor and its thread.
mod background {
    use super::*;
    // std's, because a static cannot hold loom's.
    use std::sync::Mutex;

    static SHARED: Mutex<Option<Arc<Reactor>>> = Mutex::new(None);

    pub(super) fn reactor() -> io::Result<Arc<Reactor>> {
        let mut shared = SHARED
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(reactor) = shared.as_ref() {
            return Ok(Arc::clone(reactor));
        }
        let reactor = Reactor::with_poller(OsPoller::new()?);
        let driven = Arc::clone(&reactor);
        reactor.take_charge();
        std::thread::Builder::new()
            .name("ekio-reactor".to_owned())
            .spawn(move || drive(&driven))
            .inspect_err(|_| reactor.release())?;
        *shared = Some(Arc::clone(&reactor));
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
