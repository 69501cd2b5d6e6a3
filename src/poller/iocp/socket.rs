//! One socket in the table: its machine, and the memory that the kernel borrows for a poll.
//!
//! # Who owns the memory
//!
//! A `Socket` is one allocation behind an `Arc`. The table has a strong count, the ticket has one,
//! and *for each poll in flight the kernel has one*: it leaves as the packet's pointer in
//! [`submit`](Socket::submit), and comes back in [`from_packet`](Socket::from_packet). AFD gives
//! exactly one packet for each poll that it accepted, whether the poll found something, was
//! cancelled, or lost its socket, so that count is given back exactly once, and the memory lives as
//! long as the kernel may write to it, whoever has dropped what meanwhile.
//!
//! # Who may touch what
//!
//! * `watch`: under its lock. System calls that it asks for are made before the lock is released, so
//!   the kernel and the machine never disagree. None of them blocks.
//! * `block`: in the machine's phase `Idle`, by who holds the lock; in the others, by the kernel. A
//!   thread that took the packet out locks first, so it also waits for a submitter whose call has not
//!   returned yet.

use std::cell::UnsafeCell;
use std::fmt;
use std::io;
use std::os::windows::io::RawSocket;

use windows_sys::Win32::System::IO::OVERLAPPED;

use super::afd::{Block, Device, Glance, error_from};
use super::port::{Counted, Port};
use super::watch::{Step, Watch};
use crate::poller::event::{Event, Interest, Key, Trigger};
use crate::poller::flags::afd::is_error;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Arc, Mutex, lock};

pub(super) struct Socket {
    /// As the owner names it.
    pub(super) raw: RawSocket,
    /// As AFD names it.
    pub(super) base: RawSocket,
    port: Arc<Port>,
    device: Arc<Device>,
    watch: Mutex<Watch>,
    block: UnsafeCell<Block>,
    /// The ticket was dropped without `delete`. Relaxed: it guards nothing.
    is_abandoned: AtomicBool,
    _counted: Counted,
}

// SAFETY: what keeps `Socket` from being Send is the handle in `block`, an integer in a pointer's
// clothes that may be used from any thread.
unsafe impl Send for Socket {}

// SAFETY: what keeps `Socket` from being Sync is `block`, which is touched by one thread at a time:
// see "Who may touch what" above.
unsafe impl Sync for Socket {}

/// What is left to do when a packet has been dealt with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Aftermath {
    None,
    /// A new poll is under way, and may have ended already.
    Resubmitted,
    /// Call [`Socket::resume`] at the next wait.
    Resume,
    /// Take the socket out of the table.
    Forget,
}

impl Socket {
    pub(super) fn new(
        raw: RawSocket,
        base: RawSocket,
        port: &Arc<Port>,
        device: Arc<Device>,
    ) -> Arc<Socket> {
        Arc::new(Socket {
            raw,
            base,
            port: Arc::clone(port),
            device,
            watch: Mutex::new(Watch::new()),
            block: UnsafeCell::new(Block::new(base, 0)),
            is_abandoned: AtomicBool::new(false),
            _counted: Counted::new(&port.census),
        })
    }

    /// True if its polls come to this port.
    pub(super) fn belongs_to(&self, port: &Arc<Port>) -> bool {
        Arc::ptr_eq(&self.port, port)
    }

    /// True if nobody can name it any more, so that another may take its place in the table.
    pub(super) fn is_replaceable(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed) || lock(&self.watch).is_gone()
    }

    pub(super) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    /// `NotFound` if the socket is out of the table.
    pub(super) fn set(
        self: &Arc<Socket>,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        self.update(|watch| watch.set(key, interest, trigger))
    }

    /// `NotFound` if the socket is out of the table.
    pub(super) fn rearm(self: &Arc<Socket>, directions: Interest) -> io::Result<()> {
        self.update(|watch| watch.rearm(directions))
    }

    fn update(self: &Arc<Socket>, change: impl FnOnce(&mut Watch) -> Step) -> io::Result<()> {
        let mut watch = lock(&self.watch);
        if watch.is_gone() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "this socket is not in the poller's table (any more)",
            ));
        }
        let step = change(&mut watch);
        self.obey(step).map_err(|status| {
            watch.refused();
            error_from(status)
        })?;
        Ok(())
    }

    /// The socket leaves the table.
    pub(super) fn retire(self: &Arc<Socket>) {
        let mut watch = lock(&self.watch);
        let step = watch.retire();
        // Nothing is submitted for a socket that is gone, so nothing can be refused.
        let _ = self.obey(step);
    }

    /// A `wait` begins.
    pub(super) fn resume(self: &Arc<Socket>) -> (Option<Event>, Aftermath) {
        let mut watch = lock(&self.watch);
        let step = watch.resume();
        self.obey_in_wait(&mut watch, (None, step))
    }

    /// The packet of the poll has come.
    pub(super) fn complete(self: &Arc<Socket>, glance: &Glance) -> (Option<Event>, Aftermath) {
        let mut watch = lock(&self.watch);
        // SAFETY: the block may be read by who holds the lock when the kernel has given it back: its
        // packet has come, and `watch` has not been told of it, so that nobody has submitted since.
        let block = unsafe { &*self.block.get() };
        let (mask, status) = block.answer();
        let look = |mask| glance.look(self.base, mask);
        let answer = watch.complete(mask, status, look);
        self.obey_in_wait(&mut watch, answer)
    }

    fn obey_in_wait(
        self: &Arc<Socket>,
        watch: &mut Watch,
        (event, step): (Option<Event>, Step),
    ) -> (Option<Event>, Aftermath) {
        match self.obey(step) {
            Ok(aftermath) => (event, aftermath),
            Err(status) => {
                let (refusal, step) = watch.refused_in_wait(status);
                // A refusal never asks for another attempt.
                let aftermath = self.obey(step).unwrap_or(Aftermath::None);
                (merged(event, refusal), aftermath)
            }
        }
    }

    /// Does what the machine says. The caller holds its lock.
    fn obey(self: &Arc<Socket>, step: Step) -> Result<Aftermath, i32> {
        match step {
            Step::Rest => Ok(Aftermath::None),
            Step::ResumeAtWait => Ok(Aftermath::Resume),
            Step::Forget => Ok(Aftermath::Forget),
            Step::Submit(mask) => self.submit(mask).map(|()| Aftermath::Resubmitted),
            Step::Cancel => {
                // SAFETY: `cancel` asks for a block that was submitted to this device and lives
                // during the call: a machine says `Cancel` only in the phase `Pending`, and the block
                // is part of `self`.
                unsafe { self.device.cancel(self.block.get()) };
                Ok(Aftermath::None)
            }
        }
    }

    fn submit(self: &Arc<Socket>, mask: u32) -> Result<(), i32> {
        let block = self.block.get();
        // SAFETY: the block may be written by who holds the lock when the kernel does not have it: a
        // machine says `Submit` only in the phase `Idle`.
        unsafe { block.write(Block::new(self.base, mask)) };
        let context = Arc::into_raw(Arc::clone(self));
        self.port.census.departed();
        // SAFETY: `submit` asks that the block be left alone until its packet has come. The machine
        // sees to that while it is in the phase `Pending` or `Cancelled`, and the strong count in
        // `context`, which `from_packet` takes back, keeps the memory.
        let status = unsafe { self.device.submit(block, context.cast()) };
        if is_error(status) {
            self.port.census.returned();
            // SAFETY: `context` is from `into_raw`, above, and as no packet will come, its count is
            // taken back here and nowhere else.
            drop(unsafe { Arc::from_raw(context) });
            return Err(status);
        }
        Ok(())
    }

    /// Takes back the strong count that the kernel had.
    ///
    /// # Safety
    ///
    /// * `pointer` came out of the port in a packet of a poll, and is not given to this function
    ///   again.
    pub(super) unsafe fn from_packet(pointer: *mut OVERLAPPED) -> Arc<Socket> {
        // SAFETY: `from_raw` asks for a pointer from `into_raw` whose count is ours: `submit` sends
        // such a pointer with each poll, AFD answers each poll by one packet, and our contract says
        // that this is that packet.
        let socket = unsafe { Arc::from_raw(pointer.cast_const().cast::<Socket>()) };
        socket.port.census.returned();
        socket
    }
}

/// One event of two of the same socket.
fn merged(one: Option<Event>, other: Option<Event>) -> Option<Event> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Event::new(one.key, one.readiness | other.readiness)),
        (one, other) => one.or(other),
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The block may be the kernel's at this moment.
        f.debug_struct("Socket")
            .field("raw", &self.raw)
            .field("base", &self.base)
            .field("watch", &self.watch)
            .finish_non_exhaustive()
    }
}
