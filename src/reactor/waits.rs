//! Who waits for what, in all reactors of the process: for reports.

use std::net::SocketAddr;
use std::task::Waker;

use super::slot::Direction;
use super::{Reactor, timers};
use crate::poller::{Label, Poller};
use crate::sync::lock;

/// What somebody waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wait {
    Source {
        label: Label,
        direction: Direction,
        local: Option<SocketAddr>,
        peer: Option<SocketAddr>,
        /// By the clock of the reactor's turns.
        since: u64,
    },
    Timer {
        deadline: u64,
    },
}

impl<P: Poller> Reactor<P> {
    /// Shows who waits here, and for what. What `visit` does may not wait, nor touch this reactor.
    pub(crate) fn visit_waits(&self, visit: &mut dyn FnMut(&Waker, Wait)) {
        let slots: Vec<_> = lock(&self.slots).iter().cloned().collect();
        for slot in slots {
            slot.visit(visit);
        }
        let timer = |waker: &Waker, deadline| visit(waker, Wait::Timer { deadline });
        timers::Timers::visit(&mut self.timers(), timer);
    }
}

/// Shows who waits in any reactor.
#[cfg(not(all(test, ekio_loom)))]
pub(crate) fn visit_all(visit: &mut dyn FnMut(&Waker, Wait)) {
    for reactor in list::all() {
        reactor.visit_waits(visit);
    }
}

/// (In a model there are no such reactors.)
#[cfg(all(test, ekio_loom))]
pub(crate) fn visit_all(_visit: &mut dyn FnMut(&Waker, Wait)) {}

/// The reactors of the process. There are about as many as threads, so a list will do.
#[cfg(not(all(test, ekio_loom)))]
pub(super) mod list {
    use crate::reactor::Reactor;
    use crate::sync::{Arc, StaticMutex, Weak, lock_static};

    static ALL: StaticMutex<Vec<Weak<Reactor>>> = StaticMutex::new(Vec::new());

    pub(crate) fn enter(reactor: &Arc<Reactor>) {
        let mut all = lock_static(&ALL);
        all.retain(|reactor| reactor.strong_count() > 0);
        all.push(Arc::downgrade(reactor));
    }

    pub(crate) fn all() -> Vec<Arc<Reactor>> {
        let all = lock_static(&ALL);
        all.iter().filter_map(Weak::upgrade).collect()
    }
}
