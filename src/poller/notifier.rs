//! Ending a `wait` by a descriptor of our own: an eventfd, or a pipe where there is none.
//!
//! # The protocol
//!
//! `is_pending` is true from a notification until the waiter has taken note of it, so that any
//! number of notifications in between costs one system call.
//!
//! * To notify: (1) swap `is_pending` to true; (2) if it was false, write to the descriptor.
//! * To acknowledge, when the descriptor was reported: (1) drain it, unless it is edge-triggered
//!   and a counter; (2) swap `is_pending` to false; (3) return from `wait`.
//!
//! A notifier that finds `is_pending` true writes nothing and still loses nothing: the waiter has
//! yet to do its step 2, so it has yet to return from `wait`, and whatever the notifier published
//! before its step 1 is visible after it (the two swaps are acquire and release). Draining must
//! come first: drained after the swap, a byte that a notifier wrote in between would be lost while
//! `is_pending` stays true for ever.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sync::atomic::{AtomicBool, Ordering};

/// One end to write to from anywhere, one to watch.
#[derive(Debug)]
pub(crate) struct Notifier {
    is_pending: AtomicBool,
    channel: Channel,
}

impl Notifier {
    pub(crate) fn new() -> io::Result<Notifier> {
        Ok(Notifier {
            is_pending: AtomicBool::new(false),
            channel: Channel::new()?,
        })
    }

    /// The descriptor to watch for reading.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.watched()
    }

    pub(crate) fn notify(&self) -> io::Result<()> {
        // AcqRel: release for what the caller published, paired with the swap in `acknowledge`;
        // acquire so that the write below stays behind it.
        if self.is_pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.channel
            .write()
            .inspect_err(|_| self.is_pending.store(false, Ordering::Release))
    }

    /// Takes note of a report. `is_edge` says that the watch is edge-triggered.
    pub(crate) fn acknowledge(&self, is_edge: bool) {
        self.channel.drain(is_edge);
        // AcqRel: acquire pairs with the swap in `notify`.
        self.is_pending.swap(false, Ordering::AcqRel);
    }
}

/// A counter in the kernel.
#[cfg(has_eventfd)]
#[derive(Debug)]
struct Channel {
    eventfd: OwnedFd,
}

#[cfg(has_eventfd)]
impl Channel {
    fn new() -> io::Result<Channel> {
        use rustix::event::{EventfdFlags, eventfd};
        let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Channel { eventfd })
    }

    fn watched(&self) -> BorrowedFd<'_> {
        self.eventfd.as_fd()
    }

    fn write(&self) -> io::Result<()> {
        loop {
            match rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes()) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                // The counter is full. The write gave no edge, so make room and write again.
                Err(rustix::io::Errno::AGAIN) => self.drain(false),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// An edge comes with each write, whether or not the counter was read, so only a
    /// level-triggered watch needs to drain.
    fn drain(&self, is_edge: bool) {
        if !is_edge {
            // Nothing to read means that another thread has drained it.
            let _ = rustix::io::read(&self.eventfd, &mut [0_u8; 8]);
        }
    }
}

/// A pipe with at most one byte in it (`is_pending` sees to that).
#[cfg(not(has_eventfd))]
#[derive(Debug)]
struct Channel {
    reader: OwnedFd,
    writer: OwnedFd,
}

#[cfg(not(has_eventfd))]
impl Channel {
    fn new() -> io::Result<Channel> {
        let (reader, writer) = crate::sys::pipe_nonblocking()?;
        Ok(Channel { reader, writer })
    }

    fn watched(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    fn write(&self) -> io::Result<()> {
        loop {
            match rustix::io::write(&self.writer, &[1]) {
                // A full pipe holds a byte that nobody has seen yet.
                Ok(_) | Err(rustix::io::Errno::AGAIN) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A pipe gives no second edge while an old byte lies in it on every system, so it is drained
    /// for either trigger.
    fn drain(&self, _is_edge: bool) {
        let mut bytes = [0_u8; 64];
        while matches!(rustix::io::read(&self.reader, &mut bytes), Ok(count) if count == bytes.len())
        {
        }
    }
}

#[cfg(all(test, has_eventfd, not(ekio_loom)))]
mod tests {
    use super::*;

    #[test]
    fn b_wake_overflow() {
        let notifier = Notifier::new().unwrap();
        let almost_full = (u64::MAX - 1).to_ne_bytes();
        rustix::io::write(&notifier.channel.eventfd, &almost_full).unwrap();
        notifier.notify().unwrap();
        let mut counter = [0_u8; 8];
        rustix::io::read(&notifier.channel.eventfd, &mut counter).unwrap();
        assert_eq!(
            u64::from_ne_bytes(counter),
            1,
            "room was made and the write repeated"
        );
    }

    #[test]
    fn notifications_coalesce_until_acknowledged() {
        let notifier = Notifier::new().unwrap();
        let mut counter = [0_u8; 8];
        for _ in 0..3 {
            notifier.notify().unwrap();
        }
        rustix::io::read(&notifier.channel.eventfd, &mut counter).unwrap();
        assert_eq!(u64::from_ne_bytes(counter), 1);
        notifier.acknowledge(true);
        notifier.notify().unwrap();
        rustix::io::read(&notifier.channel.eventfd, &mut counter).unwrap();
        assert_eq!(u64::from_ne_bytes(counter), 1);
    }
}
