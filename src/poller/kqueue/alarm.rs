//! Ending a `wait`: by the filter made for it, `EVFILT_USER`, or by a descriptor where there is none.

use std::io;
use std::os::fd::BorrowedFd;

use super::ffi::{self, Kevent};
use crate::poller::flags::kqueue::{ADD, CLEAR, Change, Filter};

/// What the alarm's own line in the kernel's table carries instead of a serial number of the table.
/// Not zero, which stray events of old NetBSDs carry.
pub(super) const SERIAL: usize = 1;

/// A line of the kernel's table that is triggered at will. The protocol of `is_pending` is that of
/// [`Notifier`](crate::poller::notifier::Notifier), with "the kernel clears it as it hands it out"
/// (`EV_CLEAR`) in place of draining.
#[cfg(has_evfilt_user)]
#[derive(Debug, Default)]
pub(super) struct Alarm {
    is_pending: crate::sync::atomic::AtomicBool,
}

#[cfg(has_evfilt_user)]
impl Alarm {
    /// `EVFILT_USER` has numbers of its own, so any will do.
    const NUMBER: usize = 0;

    pub(super) fn new(queue: BorrowedFd<'_>) -> io::Result<Alarm> {
        submit(
            queue,
            Kevent::new(Alarm::NUMBER, line(Filter::User), SERIAL),
        )?;
        Ok(Alarm::default())
    }

    pub(super) fn ring(&self, queue: BorrowedFd<'_>) -> io::Result<()> {
        use crate::sync::atomic::Ordering;
        // AcqRel: release for what the caller published, paired with the swap in `acknowledge`;
        // acquire so that the call below stays behind it.
        if self.is_pending.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        submit(queue, Kevent::trigger(Alarm::NUMBER, SERIAL))
            .inspect_err(|_| self.is_pending.store(false, Ordering::Release))
    }

    pub(super) fn is_source_of(&self, event: &Kevent) -> bool {
        event.filter() == Some(Filter::User)
    }

    /// Takes note of an event of the alarm's.
    pub(super) fn acknowledge(&self) {
        use crate::sync::atomic::Ordering;
        // AcqRel: acquire pairs with the swap in `ring`.
        self.is_pending.swap(false, Ordering::AcqRel);
    }
}

/// A descriptor of ours, watched like any other.
#[cfg(not(has_evfilt_user))]
#[derive(Debug)]
pub(super) struct Alarm {
    notifier: crate::poller::notifier::Notifier,
}

#[cfg(not(has_evfilt_user))]
impl Alarm {
    pub(super) fn new(queue: BorrowedFd<'_>) -> io::Result<Alarm> {
        let notifier = crate::poller::notifier::Notifier::new()?;
        let alarm = Alarm { notifier };
        submit(
            queue,
            Kevent::new(alarm.number(), line(Filter::Read), SERIAL),
        )?;
        Ok(alarm)
    }

    fn number(&self) -> usize {
        use std::os::fd::AsRawFd as _;
        self.notifier.as_fd().as_raw_fd().unsigned_abs() as usize
    }

    pub(super) fn ring(&self, _queue: BorrowedFd<'_>) -> io::Result<()> {
        self.notifier.notify()
    }

    pub(super) fn is_source_of(&self, event: &Kevent) -> bool {
        event.filter() == Some(Filter::Read) && event.serial() == SERIAL
    }

    /// Takes note of an event of the alarm's.
    pub(super) fn acknowledge(&self) {
        self.notifier.acknowledge(true);
    }
}

fn line(filter: Filter) -> Change {
    Change {
        filter,
        flags: ADD | CLEAR,
    }
}

fn submit(queue: BorrowedFd<'_>, change: Kevent) -> io::Result<()> {
    let [receipt, ..] = ffi::submit(queue, &[change])?;
    Ok(receipt.verdict()?)
}
