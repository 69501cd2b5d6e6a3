//! epoll, Linux's event queue.
//!
//! # The queue in one paragraph
//!
//! An epoll instance is an object in the kernel with two lists: the *interest list* of what we asked
//! to watch, and the *ready list* of what has happened. `epoll_ctl` edits the first. A watched file
//! calls back when its state changes, and the callback moves its entry to the second, so that
//! `epoll_wait` looks only at what is ready, however much is watched. An entry belongs to a pair of
//! *open file description* and descriptor number, a fact from which most of the traps below grow.
//!
//! # Our words and the OS's
//!
//! | ekio | epoll |
//! |---|---|
//! | `new` | [`epoll_create1`](https://man7.org/linux/man-pages/man2/epoll_create.2.html) and [`eventfd`](https://man7.org/linux/man-pages/man2/eventfd.2.html) |
//! | `add`, `modify`, `delete` | [`epoll_ctl`](https://man7.org/linux/man-pages/man2/epoll_ctl.2.html) with `EPOLL_CTL_ADD`, `MOD`, `DEL` |
//! | `abandon` | nothing: the last `close` deletes |
//! | `rearm` | nothing: `EPOLLET` arms itself |
//! | `wait` | [`epoll_pwait2`](https://man7.org/linux/man-pages/man2/epoll_wait.2.html) (5.11, nanoseconds), else `epoll_wait` (milliseconds) |
//! | `notify` | `write` to the eventfd, which stands in the table with `EPOLLET` |
//! | `post` | a queue beside, and `notify` |
//! | `Key` | `data.u64` |
//! | process | [`pidfd_open`](https://man7.org/linux/man-pages/man2/pidfd_open.2.html), kept in the ticket |
//! | peer closed | `EPOLLRDHUP` (half), `EPOLLHUP` (both) |
//!
//! # Life of one event
//!
//! ```text
//!   segment arrives          epoll_pwait2 copies           decode               Event
//!  -----------------> ready  ------------------> mask,u64 ------> key,readiness ------> events
//!    (softirq: the    list     (our thread,                (flags/epoll.rs)
//!     callback)                 in `wait`)
//! ```
//!
//! # Traps
//!
//! * *Closing is not deleting*
//!   ([epoll(7), Q6](https://man7.org/linux/man-pages/man7/epoll.7.html)): while a duplicate of the
//!   descriptor lives (`dup`, `fork`), its entry lives too, and goes on reporting with the old key;
//!   and once the number is closed no call can name the entry any more. Hence "delete before close"
//!   (`a03_fd_reuse_dup`). Only who knows that there is no duplicate may `abandon` a source, and spare
//!   the call. A child process has one between its `fork` and its `exec`, which closes it; what its
//!   entry reports till then has an old key.
//! * *`EPOLLHUP` and `EPOLLERR` cannot be masked*, and may come alone: a pipe whose writer is gone
//!   gives `HUP` without `IN` (`a11_hup_err_alone`). With a mask of zero they still come, in level
//!   mode at every wait. So a source of no interest is in the table with `EPOLLET`, which makes it
//!   once, and under our own key, by which it is dropped (`a12_empty_interest_idle`).
//! * *Edge-triggered means per change*: no event follows a read that leaves data behind
//!   ([epoll(7)](https://man7.org/linux/man-pages/man7/epoll.7.html), "Level-triggered and
//!   edge-triggered"). `EPOLL_CTL_MOD` looks at the state anew and reports what holds.
//! * *A full eventfd gives no edge*: `write` answers `EAGAIN` (`b_wake_overflow`; see `notifier`).
//! * *Regular files* are refused with `EPERM`, which is `Unsupported` here
//!   (`a14_regular_file_unsupported`).
//! * *Time-outs*: `epoll_wait` takes milliseconds as an `int`. Rounding down would spin, so they are
//!   rounded up, and clamped (`a19_timeout_property`). `epoll_pwait2` may be missing (`ENOSYS`,
//!   before 5.11) or forbidden by a sandbox (`EPERM`); the first such answer is remembered.
//! * *The structure is packed* on x86-64 and nowhere else; it is rustix's here.
//! * *A pidfd says "exited" before and after the reaping*, and to others as well: a hint, which a
//!   `waitpid` must confirm.
//!
//! # What we do not use, and why
//!
//! * `EPOLLEXCLUSIVE`: it belongs to one socket in the tables of many instances; here each source is
//!   in one. It also excludes `MOD`.
//! * `EPOLLWAKEUP`: asks for a privilege, and keeps machines from sleeping.
//! * `timerfd`: `epoll_pwait2` has the nanoseconds without another descriptor, and an overdue
//!   `timerfd_settime(0)` would disarm.
//! * `signalfd`: it wants the signals blocked in every thread of the process, which a library cannot
//!   ask for.
//!
//! Checked against: epoll_ctl(2), epoll_wait(2) and epoll(7) of man-pages 6.9, Linux 6.18, 2026-11

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll;
use rustix::io::Errno;

use super::event::{Event, Events, Interest, Key, Trigger};
use super::notifier::Notifier;
use super::posts::Posts;
use super::source::Source;
use super::wait::{Countdown, OneWaiter};
use super::{Caps, Poller, check_key, flags, unsupported};
use crate::sys::{ForkGuard, open_process};

/// The most events that one system call brings.
const BATCH_MAX: usize = 1024;

/// Room for what the kernel reports.
#[derive(Default)]
struct Batch(Vec<epoll::Event>);

// SAFETY: `epoll::Event` is not Send only because its `data` could be read as a pointer; ours is
// never one, see `key_data`.
unsafe impl Send for Batch {}

/// The queue of Linux. See the [module](self) for how it works.
#[derive(Debug)]
pub struct Epoll {
    epoll_fd: OwnedFd,
    notifier: Notifier,
    posts: Posts,
    waiter: OneWaiter<Batch>,
    home: ForkGuard,
}

/// Nothing for a socket or descriptor; for a process, the pidfd that stands for it.
#[derive(Debug)]
pub struct Ticket {
    pidfd: Option<OwnedFd>,
}

impl Poller for Epoll {
    const CAPS: Caps = Caps {
        needs_rearm: false,
        short_read_proves_empty: true,
        timeout_resolution: sleep::RESOLUTION,
        processes: cfg!(has_pidfd),
        signals: false,
        // Miri has no EPOLLPRI.
        priority: cfg!(not(miri)),
    };

    type Ticket = Ticket;

    fn new() -> io::Result<Epoll> {
        let poller = Epoll {
            epoll_fd: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            notifier: Notifier::new()?,
            posts: Posts::default(),
            waiter: OneWaiter::new(Batch::default()),
            home: ForkGuard::new(),
        };
        let key = epoll::EventData::new_u64(Key::RESERVED.0);
        let mask = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&poller.epoll_fd, poller.notifier.as_fd(), key, mask)?;
        Ok(poller)
    }

    unsafe fn add(
        &self,
        source: Source<'_>,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<Ticket> {
        self.home.check()?;
        check_key(key)?;
        let ticket = Ticket::new(source)?;
        let fd = ticket.watched(source)?;
        let key = key_data(key, interest);
        match epoll::add(&self.epoll_fd, fd, key, kernel_mask(interest, trigger)) {
            Err(Errno::PERM) => Err(unsupported(
                "epoll cannot watch this descriptor: regular files and folders are always ready",
            )),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(ticket),
        }
    }

    fn modify(
        &self,
        ticket: &Ticket,
        source: Source<'_>,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        self.home.check()?;
        check_key(key)?;
        let fd = ticket.watched(source)?;
        let key = key_data(key, interest);
        Ok(epoll::modify(
            &self.epoll_fd,
            fd,
            key,
            kernel_mask(interest, trigger),
        )?)
    }

    fn rearm(&self, _ticket: &Ticket, _directions: Interest) -> io::Result<()> {
        Ok(())
    }

    fn delete(&self, ticket: Ticket, source: Source<'_>) -> io::Result<()> {
        self.home.check()?;
        match epoll::delete(&self.epoll_fd, ticket.watched(source)?) {
            // The kernel forgets by itself what is closed.
            Err(Errno::NOENT | Errno::BADF) => Ok(()),
            other => Ok(other?),
        }
    }

    fn abandon(&self, ticket: Ticket, _source: Source<'_>) -> io::Result<()> {
        // The entry goes with the last descriptor of its open file description; with that of a
        // process, which is in the ticket, now.
        drop(ticket);
        Ok(())
    }

    fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.home.check()?;
        let mut batch = self.waiter.enter()?;
        events.clear();
        let is_more = self.posts.take_into(events);
        if events.room() == 0 {
            return Ok(());
        }
        let countdown = if events.is_empty() && !is_more {
            Countdown::new(timeout)
        } else {
            Countdown::Zero
        };
        let batch = batch.room_for(events.room().min(BATCH_MAX));
        loop {
            let count = match sleep::sleep(&self.epoll_fd, batch, countdown.remaining()) {
                Ok(count) => count,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let is_notified = deliver(&batch[..count], events);
            if is_notified {
                self.notifier.acknowledge(true);
            }
            if is_notified || is_more {
                self.posts.take_into(events);
            }
            if is_notified || !events.is_empty() || countdown.is_over() {
                return Ok(());
            }
        }
    }

    fn notify(&self) -> io::Result<()> {
        self.home.check()?;
        self.notifier.notify()
    }

    fn post(&self, event: Event) -> io::Result<()> {
        self.home.check()?;
        check_key(event.key)?;
        self.posts.push(event);
        self.notifier.notify()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Batch(room for {})", self.0.len())
    }
}

impl Batch {
    fn room_for(&mut self, count: usize) -> &mut [epoll::Event] {
        if self.0.len() < count {
            let blank = epoll::Event {
                flags: epoll::EventFlags::empty(),
                data: epoll::EventData::new_u64(0),
            };
            self.0.resize(count, blank);
        }
        &mut self.0[..count]
    }
}

impl Ticket {
    fn new(source: Source<'_>) -> io::Result<Ticket> {
        let pidfd = match source {
            Source::Process(process) => Some(open_process(process.id())?),
            _ => None,
        };
        Ok(Ticket { pidfd })
    }

    /// The descriptor that stands for the source in the kernel's table.
    fn watched<'a>(&'a self, source: Source<'a>) -> io::Result<BorrowedFd<'a>> {
        match (source, &self.pidfd) {
            (Source::Socket(fd) | Source::Descriptor(fd), _) => Ok(fd),
            (Source::Process(_), Some(pidfd)) => Ok(pidfd.as_fd()),
            (Source::Process(_), None) => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this ticket belongs to a source of another kind",
            )),
            (Source::Signal(_), _) => Err(unsupported(
                "epoll does not watch signals: see ekio::signal",
            )),
        }
    }
}

/// What comes back with each event: the caller's key, or ours for a silent source, which may still
/// hang up.
fn key_data(key: Key, interest: Interest) -> epoll::EventData {
    let is_silent = interest.is_empty();
    epoll::EventData::new_u64(if is_silent { Key::RESERVED.0 } else { key.0 })
}

fn kernel_mask(interest: Interest, trigger: Trigger) -> epoll::EventFlags {
    epoll::EventFlags::from_bits_retain(flags::epoll::encode(interest, trigger))
}

/// Hands on what is for the caller, and says whether the notifier was among it.
fn deliver(raw_events: &[epoll::Event], events: &mut Events) -> bool {
    let mut is_notified = false;
    for raw_event in raw_events {
        // Copied, because the structure may be packed.
        let (data, mask) = (raw_event.data, raw_event.flags);
        let key = Key(data.u64());
        if key == Key::RESERVED {
            // Of ours, only the notifier asks to be readable. What hangs up is a silent source.
            is_notified |= mask.contains(epoll::EventFlags::IN);
        } else {
            events.push(Event::new(key, flags::epoll::decode(mask.bits())));
        }
    }
    is_notified
}

/// The system call that blocks, in nanoseconds if the kernel takes them.
mod sleep {
    use super::*;
    use rustix::event::Timespec;

    #[cfg(not(has_pwait2))]
    pub(super) const RESOLUTION: Duration = Duration::from_millis(1);
    #[cfg(not(has_pwait2))]
    pub(super) use in_milliseconds as sleep;

    #[cfg(has_pwait2)]
    pub(super) const RESOLUTION: Duration = Duration::from_nanos(1);

    #[cfg(has_pwait2)]
    pub(super) fn sleep(
        epoll_fd: &OwnedFd,
        batch: &mut [epoll::Event],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        // std's, because a static cannot hold loom's.
        use std::sync::atomic::{AtomicBool, Ordering};

        /// Set by the first refusal. Relaxed: it guards nothing, and to learn it twice is cheap.
        static IS_REFUSED: AtomicBool = AtomicBool::new(false);

        // To look without sleeping, and to sleep for ever, milliseconds are as good.
        let is_exact_for_both = timeout.is_none_or(|timeout| timeout.is_zero());
        if is_exact_for_both || IS_REFUSED.load(Ordering::Relaxed) {
            return in_milliseconds(epoll_fd, batch, timeout);
        }
        match in_nanoseconds(epoll_fd, batch, timeout.unwrap_or_default()) {
            Err(Errno::NOSYS | Errno::PERM) => {
                IS_REFUSED.store(true, Ordering::Relaxed);
                in_milliseconds(epoll_fd, batch, timeout)
            }
            answer => answer,
        }
    }

    /// `epoll_pwait2`. (rustix would call it too, by a feature that has no way back on older
    /// kernels.)
    #[cfg(has_pwait2)]
    fn in_nanoseconds(
        epoll_fd: &OwnedFd,
        batch: &mut [epoll::Event],
        timeout: Duration,
    ) -> Result<usize, Errno> {
        use std::os::fd::AsRawFd as _;

        /// The kernel's own `struct __kernel_timespec`: 64 bits each, on 32-bit machines too.
        #[repr(C)]
        struct KernelTimespec {
            seconds: i64,
            nanoseconds: i64,
        }

        let timespec = KernelTimespec {
            seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: timeout.subsec_nanos().into(),
        };
        // SAFETY: epoll_pwait2(2) asks for room for `maxevents` structures, which `batch` is
        // (rustix's Event is the kernel's structure), and for a timespec that lives during the
        // call, which is the local above. A null signal mask is allowed, its size is then ignored.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                epoll_fd.as_raw_fd(),
                batch.as_mut_ptr(),
                i32::try_from(batch.len()).unwrap_or(i32::MAX),
                &raw const timespec,
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        usize::try_from(answer)
            .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO))
    }

    /// `epoll_wait`.
    pub(super) fn in_milliseconds(
        epoll_fd: &OwnedFd,
        batch: &mut [epoll::Event],
        timeout: Option<Duration>,
    ) -> Result<usize, Errno> {
        let millis = timeout.map(|timeout| {
            crate::poller::wait::millis_rounded_up(timeout, i32::MAX.unsigned_abs())
        });
        let timespec = millis.map(|millis| Timespec {
            tv_sec: (millis / 1_000).into(),
            tv_nsec: (millis % 1_000 * 1_000_000).into(),
        });
        epoll::wait(epoll_fd, batch, timespec.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_systems() {
        use epoll::EventFlags as Real;
        for (ours, real) in [
            (flags::epoll::IN, Real::IN),
            (flags::epoll::PRI, Real::PRI),
            (flags::epoll::OUT, Real::OUT),
            (flags::epoll::ERR, Real::ERR),
            (flags::epoll::HUP, Real::HUP),
            (flags::epoll::RDHUP, Real::RDHUP),
            (flags::epoll::ONESHOT, Real::ONESHOT),
            (flags::epoll::ET, Real::ET),
        ] {
            assert_eq!(ours, real.bits());
        }
    }

    #[test]
    fn a_notification_before_the_wait_ends_it() {
        let poller = Epoll::new().unwrap();
        let mut events = Events::with_capacity(4);
        poller.notify().unwrap();
        poller.wait(&mut events, None).unwrap();
        assert!(events.is_empty());
        poller
            .post(Event {
                payload: 5,
                ..Event::new(Key(3), super::super::Readiness::READABLE)
            })
            .unwrap();
        poller.wait(&mut events, None).unwrap();
        assert_eq!(
            events.iter().next().map(|event| (event.key, event.payload)),
            Some((Key(3), 5))
        );
    }
}
