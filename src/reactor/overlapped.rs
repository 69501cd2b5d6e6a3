//! Handles whose operations end in a completion port, for what cannot be watched on Windows.
//!
//! A handle belongs to one port for its whole life, so it cannot move with the thread that polls it,
//! as a [`Registration`](super::Registration) does. It belongs to the shared reactor's, which is
//! always driven. A slot of that reactor keeps the waker; the operation itself knows when it has
//! ended, and with what.
//!
//! # The protocol
//!
//! * To wait: (1) ask the operation; (2) leave the waker; (3) ask again.
//! * To end: (1) the poller notes the result; (2) the reactor fires the slot.
//!
//! Both second steps are under the slot's lock: either the waiter's third step sees the result, or the
//! firer's second finds the waker.

use std::io;
use std::task::{Context, Poll};

use super::slot::Slot;
use super::virtual_time::{self, RealTime};
use super::{Direction, Reactor, context};
use crate::poller::iocp::{Associated, Iocp, Request};
use crate::poller::{Interest, Key, Readiness};
use crate::sync::{Arc, Mutex, lock};

/// A handle for operations in one direction.
#[derive(Debug)]
pub(crate) struct Overlapped {
    handle: Associated,
    reactor: Arc<Reactor>,
    slot: Arc<Slot>,
    key: Key,
    direction: Direction,
    /// While somebody waits whose clock is a virtual one: the reactor is not his.
    real_time: Mutex<Option<RealTime>>,
}

impl Overlapped {
    /// `associate` puts the handle into the poller that it is given.
    pub(crate) fn new(
        direction: Direction,
        associate: impl FnOnce(&Iocp) -> io::Result<Associated>,
    ) -> io::Result<Overlapped> {
        let reactor = context::shared()?;
        let handle = associate(reactor.poller())?;
        let slot = Slot::new(Interest::BOTH, Readiness::NONE);
        let key = reactor.insert(Arc::clone(&slot));
        Ok(Overlapped {
            handle,
            reactor,
            slot,
            key,
            direction,
            real_time: Mutex::new(None),
        })
    }

    /// Begins to read.
    pub(crate) fn read(&self, buffer: Vec<u8>) -> io::Result<Request> {
        self.handle.read(self.key, buffer)
    }

    /// Begins to write.
    pub(crate) fn write(&self, buffer: Vec<u8>) -> io::Result<Request> {
        self.handle.write(self.key, buffer)
    }

    /// Ready with the result and the buffer when the operation has ended. The latest waker is kept.
    ///
    /// # Errors
    ///
    /// If the shared reactor has failed, so that nobody will ever hear of the end.
    pub(crate) fn poll_end(
        &self,
        cx: &mut Context<'_>,
        request: &mut Request,
    ) -> Poll<io::Result<(io::Result<usize>, Vec<u8>)>> {
        lock(&self.real_time).take();
        if let Some(finished) = request.finish() {
            return Poll::Ready(Ok(finished));
        }
        self.slot.leave_waker(cx, self.direction);
        if let Some(finished) = request.finish() {
            return Poll::Ready(Ok(finished));
        }
        if self.reactor.is_driven() {
            let real_time = virtual_time::real_time();
            *lock(&self.real_time) = real_time;
            return Poll::Pending;
        }
        Poll::Ready(Err(io::Error::other(
            "the shared reactor of this process has failed, and this handle belongs to it",
        )))
    }
}

impl Drop for Overlapped {
    fn drop(&mut self) {
        self.reactor.remove(self.key);
    }
}
