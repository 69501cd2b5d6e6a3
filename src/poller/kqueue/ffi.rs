//! The two system calls, and `struct kevent`, whose fields have other widths on every system.
//!
//! libc's declarations on the systems that have a kqueue; our own, of libkqueue's, on Linux. (Not
//! rustix's: it knows neither `EV_DISPATCH` nor `EVFILT_EXCEPT`, panics on a filter that it does not
//! know, and hides `fflags`.)

use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::Duration;
use std::{fmt, io, ptr};

use rustix::io::Errno;

use crate::poller::flags::kqueue::{self as bits, Change, Filter};

#[cfg(not(has_libkqueue))]
use libc as system;

/// The longest sleep asked of the kernel at once, some eleven days. Apple's kernel answers `EINVAL`
/// to much longer ones, and libkqueue counts milliseconds in 32 bits; the loop around the call goes
/// on with what remains.
const SLEEP_MAX: Duration = Duration::from_secs(1_000_000);

/// The most changes that one call makes: three lines out, three in.
pub(super) const CHANGES_MAX: usize = 6;

/// The kernel's structure: a change on the way down, a receipt or an event on the way up.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Kevent(system::kevent);

// SAFETY: libc's structure is not Send only because of the pointer `udata`. Ours is a number that
// nobody reads through: `Kevent::new` makes it without provenance.
unsafe impl Send for Kevent {}

// The kernel's fields and constants have 16 bits here, 32 or 64 there.
#[allow(clippy::unnecessary_cast)]
impl Kevent {
    pub(super) fn blank() -> Kevent {
        // SAFETY: all-zero bytes are a value of the structure: it has integers, and a raw pointer
        // that may be null.
        Kevent(unsafe { std::mem::zeroed() })
    }

    pub(super) fn new(number: usize, change: Change, serial: usize) -> Kevent {
        let mut kevent = Kevent::blank();
        kevent.0.ident = number;
        kevent.0.filter = number_of(change.filter) as _;
        // Every change asks for a receipt: see the traps.
        kevent.0.flags = (change.flags | bits::RECEIPT) as _;
        kevent.0.fflags = notes(change.filter);
        kevent.0.udata = ptr::without_provenance_mut(serial);
        kevent
    }

    /// The change that makes `EVFILT_USER` report. It gives `serial` anew, because some systems
    /// store what they find in its place.
    #[cfg(has_evfilt_user)]
    pub(super) fn trigger(number: usize, serial: usize) -> Kevent {
        let nothing_else = Change {
            filter: Filter::User,
            flags: 0,
        };
        let mut kevent = Kevent::new(number, nothing_else, serial);
        kevent.0.fflags = system::NOTE_TRIGGER;
        kevent
    }

    /// `None` for a filter that we never add.
    pub(super) fn filter(&self) -> Option<Filter> {
        let number = self.0.filter as i64;
        FILTERS
            .into_iter()
            .find(|filter| number_of(*filter) == number)
    }

    pub(super) fn number(&self) -> usize {
        self.0.ident
    }

    pub(super) fn flags(&self) -> u32 {
        self.0.flags as u32
    }

    pub(super) fn fflags(&self) -> u32 {
        self.0.fflags as u32
    }

    pub(super) fn data(&self) -> i64 {
        self.0.data as i64
    }

    pub(super) fn serial(&self) -> usize {
        self.0.udata.addr()
    }

    /// What a receipt says of its change.
    pub(super) fn verdict(&self) -> Result<(), Errno> {
        if self.flags() & bits::ERROR == 0 || self.data() == 0 {
            return Ok(());
        }
        Err(Errno::from_raw_os_error(self.data() as i32))
    }
}

impl fmt::Debug for Kevent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kevent")
            .field("filter", &self.filter())
            .field("number", &self.number())
            .field("flags", &format_args!("{:#x}", self.flags()))
            .field("fflags", &format_args!("{:#x}", self.fflags()))
            .field("data", &self.data())
            .field("serial", &self.serial())
            .finish()
    }
}

const FILTERS: [Filter; 6] = [
    Filter::Read,
    Filter::Write,
    Filter::User,
    Filter::Process,
    Filter::Signal,
    Filter::Except,
];

/// What a filter is called here. One that the system does not have gets a number that no kernel
/// has given to anything, and answers `EINVAL` to.
#[allow(clippy::unnecessary_cast)]
const fn number_of(filter: Filter) -> i64 {
    #[cfg(not(all(has_evfilt_user, has_evfilt_except)))]
    const NOBODY: i64 = i16::MAX as i64;
    match filter {
        Filter::Read => system::EVFILT_READ as i64,
        Filter::Write => system::EVFILT_WRITE as i64,
        Filter::Process => system::EVFILT_PROC as i64,
        Filter::Signal => system::EVFILT_SIGNAL as i64,
        #[cfg(has_evfilt_user)]
        Filter::User => system::EVFILT_USER as i64,
        #[cfg(not(has_evfilt_user))]
        Filter::User => NOBODY - 1,
        #[cfg(has_evfilt_except)]
        Filter::Except => system::EVFILT_EXCEPT as i64,
        #[cfg(not(has_evfilt_except))]
        Filter::Except => NOBODY,
    }
}

/// What a filter is to look for, besides what it always does.
const fn notes(filter: Filter) -> u32 {
    match filter {
        Filter::Process => system::NOTE_EXIT,
        #[cfg(has_evfilt_except)]
        Filter::Except => system::NOTE_OOB,
        _ => 0,
    }
}

#[allow(clippy::unnecessary_cast)]
const _: () = assert!(
    bits::ADD == system::EV_ADD as u32
        && bits::DELETE == system::EV_DELETE as u32
        && bits::ENABLE == system::EV_ENABLE as u32
        && bits::DISABLE == system::EV_DISABLE as u32
        && bits::ONESHOT == system::EV_ONESHOT as u32
        && bits::CLEAR == system::EV_CLEAR as u32
        && bits::RECEIPT == system::EV_RECEIPT as u32
        && bits::DISPATCH == system::EV_DISPATCH as u32
        && bits::ERROR == system::EV_ERROR as u32
        && bits::EOF == system::EV_EOF as u32,
    "this system has its own bits for kevent(2): teach flags/kqueue.rs"
);

/// A new queue, which programs that this one starts do not have.
///
/// Two calls, and no other thread can fork between them to harm: a child of `fork` has none of its
/// parent's queues, whatever their flags.
pub(super) fn queue() -> io::Result<OwnedFd> {
    // SAFETY: kqueue(2) has no preconditions.
    let number = unsafe { system::kqueue() };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the number is that of an open descriptor which nobody else owns: the kernel has just
    // made it for us.
    let queue = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&queue, rustix::io::FdFlags::CLOEXEC)?;
    Ok(queue)
}

/// Makes changes, and gets the receipts, for which there is room and for nothing else.
pub(super) fn submit(
    queue: BorrowedFd<'_>,
    changes: &[Kevent],
) -> Result<[Kevent; CHANGES_MAX], Errno> {
    let mut receipts = [Kevent::blank(); CHANGES_MAX];
    if changes.is_empty() {
        return Ok(receipts);
    }
    let room = &mut receipts[..changes.len()];
    // No time to sleep, in case that a system answers to a change with no receipt.
    match kevent(queue, changes, room, Some(Duration::ZERO)) {
        // All changes are made before anything can be interrupted.
        Ok(_) | Err(Errno::INTR) => Ok(receipts),
        Err(error) => Err(error),
    }
}

/// Sleeps until there are events.
pub(super) fn sleep(
    queue: BorrowedFd<'_>,
    events: &mut [Kevent],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    kevent(queue, &[], events, timeout)
}

fn kevent(
    queue: BorrowedFd<'_>,
    changes: &[Kevent],
    events: &mut [Kevent],
    timeout: Option<Duration>,
) -> Result<usize, Errno> {
    let timespec = timeout.map(|timeout| {
        let timeout = timeout.min(SLEEP_MAX);
        libc::timespec {
            // Both fit into 32 bits.
            tv_sec: timeout.as_secs() as _,
            tv_nsec: timeout.subsec_nanos() as _,
        }
    });
    let timespec = timespec.as_ref().map_or(ptr::null(), |it| &raw const *it);
    // SAFETY: kevent(2) asks for an array of changes and an array to write events to, each of the
    // length given, which the two slices are (`Kevent` is transparent over the structure, and no
    // length here exceeds `BATCH_MAX`, so none is cut off); and for a time that lives during the
    // call, which the local above does, or null for ever. What the numbers in the changes stand
    // for is no matter of memory safety.
    let answer = unsafe {
        system::kevent(
            queue.as_raw_fd(),
            changes.as_ptr().cast(),
            changes.len() as _,
            events.as_mut_ptr().cast(),
            events.len() as _,
            timespec,
        )
    };
    usize::try_from(answer)
        .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// libkqueue's `<sys/event.h>` (2.6 and 2.7).
#[cfg(has_libkqueue)]
// Rust 1.85 does not see that the assertion above uses them.
#[allow(dead_code)]
mod system {
    use std::ffi::{c_int, c_short, c_uint, c_ushort, c_void};

    #[allow(non_camel_case_types)]
    #[derive(Clone, Copy)]
    #[repr(C)]
    pub(super) struct kevent {
        pub(super) ident: usize,
        pub(super) filter: c_short,
        pub(super) flags: c_ushort,
        pub(super) fflags: c_uint,
        pub(super) data: isize,
        pub(super) udata: *mut c_void,
    }

    pub(super) const EVFILT_READ: c_short = -1;
    pub(super) const EVFILT_WRITE: c_short = -2;
    pub(super) const EVFILT_PROC: c_short = -5;
    pub(super) const EVFILT_SIGNAL: c_short = -6;
    #[cfg(has_evfilt_user)]
    pub(super) const EVFILT_USER: c_short = -11;

    pub(super) const EV_ADD: c_ushort = 0x0001;
    pub(super) const EV_DELETE: c_ushort = 0x0002;
    pub(super) const EV_ENABLE: c_ushort = 0x0004;
    pub(super) const EV_DISABLE: c_ushort = 0x0008;
    pub(super) const EV_ONESHOT: c_ushort = 0x0010;
    pub(super) const EV_CLEAR: c_ushort = 0x0020;
    pub(super) const EV_RECEIPT: c_ushort = 0x0040;
    pub(super) const EV_DISPATCH: c_ushort = 0x0080;
    pub(super) const EV_ERROR: c_ushort = 0x4000;
    pub(super) const EV_EOF: c_ushort = 0x8000;

    pub(super) const NOTE_EXIT: c_uint = 0x8000_0000;
    #[cfg(has_evfilt_user)]
    pub(super) const NOTE_TRIGGER: c_uint = 0x0100_0000;

    unsafe extern "C" {
        pub(super) fn kqueue() -> c_int;
        pub(super) fn kevent(
            kq: c_int,
            changelist: *const kevent,
            nchanges: c_int,
            eventlist: *mut kevent,
            nevents: c_int,
            timeout: *const libc::timespec,
        ) -> c_int;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_filter_has_its_own_number() {
        for (index, filter) in FILTERS.into_iter().enumerate() {
            let change = Change {
                filter,
                flags: bits::ADD,
            };
            let kevent = Kevent::new(7 + index, change, 99);
            assert_eq!(kevent.filter(), Some(filter));
            assert_eq!((kevent.number(), kevent.serial()), (7 + index, 99));
            assert_eq!(kevent.flags(), bits::ADD | bits::RECEIPT);
            assert_eq!(kevent.verdict(), Ok(()));
        }
    }
}
