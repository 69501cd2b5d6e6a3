//! A runtime under a virtual clock: its only worker is the thread that is in its `block_on`.
//!
//! One thread, because the order of what many do cannot be replayed; and that one, because the future
//! of `block_on` shall live under the same clock, and need not be `Send`. So the worker is a guest in the
//! loop of `block_on`: what that loop does instead of turning its reactor is a
//! [`round`](Worker::round) of the worker, which runs tasks and turns the same reactor.

use std::future::Future;
use std::sync::Arc as StdArc;

use super::super::block_on::block_on_by;
use super::super::worker::Worker;
use super::Handle;
use super::Time;
use crate::reactor::virtual_time::{Flow, VirtualClock};
use crate::reactor::{Reactor, context};
use crate::sync::{Arc, Mutex, lock};

/// See the [module](self).
pub(super) struct Virtual {
    clock: Arc<VirtualClock>,
    reactor: Arc<Reactor>,
    /// Who has the lock is the worker.
    worker: Mutex<Worker>,
    seed: u64,
}

impl Virtual {
    /// A reactor whose timers have begun when the clock does.
    pub(super) fn clock_and_reactor() -> std::io::Result<(Arc<VirtualClock>, Arc<Reactor>)> {
        let reactor = Reactor::new()?;
        Ok((VirtualClock::new(), reactor))
    }

    pub(super) fn new(
        handle: Handle,
        clock: Arc<VirtualClock>,
        reactor: Arc<Reactor>,
        seed: u64,
    ) -> Virtual {
        let turn = StdArc::new(Arc::clone(&reactor));
        let worker = Worker::by_lot(handle.crew, turn, seed);
        Virtual {
            clock,
            reactor,
            worker: Mutex::new(worker),
            seed,
        }
    }

    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        let worker = lock(&self.worker);
        let _told = TellSeed(self.seed);
        let _in_force = VirtualClock::put_in_force(&self.clock);
        let entered = context::enter_with(Arc::clone(&self.reactor));
        let _current = worker.enter();
        let round = |limit| {
            worker.round(limit);
            Ok(())
        };
        block_on_by(Arc::clone(entered.reactor()), round, future)
    }

    /// Drops the tasks, on this thread.
    pub(super) fn end(self, handle: Handle) {
        // For destructors that spawn.
        let _guard = handle.enter();
        let worker = lock(&self.worker);
        let in_force = VirtualClock::put_in_force(&self.clock);
        let entered = context::enter_with(Arc::clone(&self.reactor));
        handle.crew.end(handle.tenancy, true);
        worker.work();
        drop(entered);
        drop(in_force);
        handle.crew.leave(0);
    }

    pub(super) fn flow(&self) -> Time {
        match self.clock.flow() {
            Flow::Jumps => Time::Jumps,
            Flow::Runs => Time::Runs,
            Flow::Stands => Time::Stands,
        }
    }
}

/// Says with which seed a test has failed.
struct TellSeed(u64);

impl Drop for TellSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("ekio: the seed of this virtual time is {}", self.0);
        }
    }
}
