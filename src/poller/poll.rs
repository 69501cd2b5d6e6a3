//! poll(2), the queue that every Unix has.
//!
//! # The queue in one paragraph
//!
//! There is none: [`poll`](https://man7.org/linux/man-pages/man2/poll.2.html) is handed an array
//! of descriptors at each call, looks at every one of them, sleeps if there is nothing to tell, looks
//! at every one again, and writes its answers into the array. The kernel keeps nothing between
//! calls, so what the other systems keep in the kernel is kept here: a table of who is
//! watched, for what, and what was told already. A call costs time in proportion to the
//! number of descriptors, which is why the other queues were invented. In return it works
//! everywhere, and on whatever has a descriptor.
//!
//! # Our words and the OS's
//!
//! | ekio | poll |
//! |---|---|
//! | `new` | a table, and a notifier ([`eventfd`](https://man7.org/linux/man-pages/man2/eventfd.2.html), or a pipe) in the first line of the array |
//! | `add`, `modify`, `delete`, `rearm` | a change of the table, copied into the array before the next call; a waiter that sleeps already is interrupted by the notifier, and goes round |
//! | `abandon` | as `delete`: no system call but for a waiter that sleeps |
//! | `wait` | [`ppoll`](https://man7.org/linux/man-pages/man2/poll.2.html) (nanoseconds), else `poll` (milliseconds) |
//! | `notify` | `write` to the notifier |
//! | `post` | a queue beside, and `notify` |
//! | `Key` | in the table |
//! | edge | emulated: what was reported is out of the array until `rearm` |
//! | one-shot | the same, until `modify` |
//! | process | [`pidfd_open`](https://man7.org/linux/man-pages/man2/pidfd_open.2.html) where there is one, kept in the table |
//! | peer closed | `POLLRDHUP` (half; Linux and FreeBSD), `POLLHUP` |
//!
//! # Life of one event
//!
//! ```text
//!                 begin_sleep               ppoll                 end_sleep        Event
//!   add   table -------------> array ------------------> revents ----------> key,readiness
//!  ------> (lock) what changed  (ours   the kernel looks           decode, and
//!                               alone)  at each line              disarm in the table
//! ```
//!
//! # Traps
//!
//! * *`POLLHUP` and `POLLERR` cannot be masked*
//!   ([poll(2)](https://man7.org/linux/man-pages/man2/poll.2.html), "events"): a line whose mask is
//!   zero still reports them, at every call. So a source of which nothing is to be reported has no
//!   line: its descriptor is written as -1, which the kernel skips (`a12_empty_interest_idle`).
//!   They may also come alone: a pipe whose writer is gone gives `HUP` without `IN`
//!   (`a11_hup_err_alone`).
//! * *It is level-triggered*: a terminal condition that was reported would be reported for ever.
//!   The emulation of edges disarms each direction that it reports, and terminal conditions come
//!   with theirs.
//! * *A closed number* answers `POLLNVAL` at every call, and a number that was closed and opened
//!   again is another file to every call. The table learns of the first and forgets the entry (a
//!   loop would spin otherwise); it cannot learn of the second. Hence "delete before close".
//! * *The array is the waiter's while it sleeps*: nobody may write to it, and the kernel does not
//!   look at what others do to the table. Hence the mirror and the interruption
//!   (`a01_register_vs_wait`).
//! * *Time-outs*: `poll` takes milliseconds as an `int`, rounded up here and clamped
//!   (`a19_timeout_property`).
//! * *Regular files and folders* are always ready to it. They are refused, as by the other queues,
//!   and to find out costs an `fstat`, which sockets do not pay (`a14_regular_file_unsupported`).
//! * *`POLLHUP` after a half-close*: some systems without `POLLRDHUP` report it while writing still
//!   works, see `decode`.
//! * *More lines than `RLIMIT_NOFILE`* are `EINVAL` on Linux. No line stands for a number twice, so
//!   there are not, unless the limit was lowered below what is open.
//! * *macOS's poll does not know devices* such as `/dev/tty`: `POLLNVAL`, though they are open. The
//!   look that `add` takes finds out, and answers `Unsupported`.
//!
//! # What we do not use, and why
//!
//! * `select`: its sets end at descriptor 1023.
//! * `/dev/poll`, event ports: systems that ekio does not know (yet) as more than "another Unix".
//! * ppoll's signal mask: changing the mask of a thread that is not ours is not for a library.
//! * Waiting for the waiter to leave the kernel before `delete` returns: its answers are judged by
//!   generation afterwards, so that nothing is gained by the delay.
//!
//! Checked against: poll(2) of man-pages 6.9, Linux 6.18, 2026-11

mod table;

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use self::table::{Mirror, Name, Table, Wish};
use super::event::{Event, Events, Interest, Key, Trigger};
use super::notifier::Notifier;
use super::posts::Posts;
use super::source::Source;
use super::wait::{Countdown, OneWaiter};
use super::{Caps, Poller, check_key, flags, unsupported};
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Mutex, lock};
use crate::sys::{self, ForkGuard};

const _: () = {
    use flags::poll::{ERR, HUP, IN, NVAL, OUT, PRI};
    assert!(
        IN == libc::POLLIN
            && PRI == libc::POLLPRI
            && OUT == libc::POLLOUT
            && ERR == libc::POLLERR
            && HUP == libc::POLLHUP
            && NVAL == libc::POLLNVAL,
        "this system has its own numbers for poll(2): teach flags/poll.rs"
    );
};

/// The queue of every Unix. See the [module](self) for how it works.
#[derive(Debug)]
pub struct Poll {
    table: Mutex<Table>,
    notifier: Notifier,
    /// True if a notification was meant for the caller of `wait`, and not only for the waiter, to
    /// make it look at the table again. Written before the notifier is told, read after it has been
    /// acknowledged. A waiter that was only nudged may read it in between, before the notifier is told.
    is_notified: AtomicBool,
    posts: Posts,
    waiter: OneWaiter<Mirror>,
    home: ForkGuard,
}

/// Names an entry of the table.
#[derive(Debug)]
pub struct Ticket(Name);

impl Poller for Poll {
    const CAPS: Caps = Caps {
        needs_rearm: true,
        // What arrives after a short read is reported, but only once `rearm` has asked for it.
        short_read_proves_empty: false,
        timeout_resolution: sleep::RESOLUTION,
        processes: cfg!(has_pidfd),
        signals: false,
        priority: true,
    };

    type Ticket = Ticket;

    fn new() -> io::Result<Poll> {
        let notifier = Notifier::new()?;
        let mirror = Mirror::new(&notifier.as_fd());
        Ok(Poll {
            table: Mutex::new(Table::default()),
            notifier,
            is_notified: AtomicBool::new(false),
            posts: Posts::default(),
            waiter: OneWaiter::new(mirror),
            home: ForkGuard::new(),
        })
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
        let (fd, owned) = descriptor_of(source)?;
        let wish = Wish {
            key,
            interest,
            trigger,
        };
        let name = self.change(|table| table.add(fd, owned, wish))?;
        Ok(Ticket(name?))
    }

    fn modify(
        &self,
        ticket: &Ticket,
        _source: Source<'_>,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        self.home.check()?;
        check_key(key)?;
        let wish = Wish {
            key,
            interest,
            trigger,
        };
        self.change(|table| table.modify(ticket.0, wish))?
    }

    fn rearm(&self, ticket: &Ticket, directions: Interest) -> io::Result<()> {
        self.home.check()?;
        self.change(|table| table.rearm(ticket.0, directions))
    }

    fn delete(&self, ticket: Ticket, _source: Source<'_>) -> io::Result<()> {
        self.home.check()?;
        self.change(|table| table.remove(ticket.0))
    }

    fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.home.check()?;
        let mut mirror = self.waiter.enter()?;
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
        loop {
            lock(&self.table).begin_sleep(&mut mirror);
            let answer = sleep::sleep(mirror.pollfds(), countdown.remaining());
            let answered = match answer {
                Ok(count) => count,
                Err(error) => {
                    lock(&self.table).end_sleep(&mut mirror, 0, events);
                    if error.kind() == io::ErrorKind::Interrupted {
                        continue;
                    }
                    return Err(error);
                }
            };
            lock(&self.table).end_sleep(&mut mirror, answered, events);
            let is_notified = mirror.is_notifier_ready() && self.acknowledge();
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
        // Release: pairs with the swap in `acknowledge`, for what the caller has published. A swap, not
        // a store: it must not hide the notification of another thread.
        self.is_notified.swap(true, Ordering::Release);
        self.notifier.notify()
    }

    fn post(&self, event: Event) -> io::Result<()> {
        self.home.check()?;
        check_key(event.key)?;
        self.posts.push(event);
        self.notify()
    }
}

impl Poll {
    /// Changes the table, for the `wait` that is under way too.
    fn change<T>(&self, edit: impl FnOnce(&mut Table) -> T) -> io::Result<T> {
        let mut table = lock(&self.table);
        let answer = edit(&mut table);
        let is_sleeper_behind = table.is_sleeper_behind();
        drop(table);
        if is_sleeper_behind {
            self.notifier.notify()?;
        }
        Ok(answer)
    }

    /// Takes note of a report by the notifier, and says whether it was for the caller.
    fn acknowledge(&self) -> bool {
        self.notifier.acknowledge(false);
        // Acquire: pairs with the swap in `notify`.
        self.is_notified.swap(false, Ordering::Acquire)
    }
}

/// The descriptor that stands for a source, and its owner if that is to be us.
fn descriptor_of(source: Source<'_>) -> io::Result<(i32, Option<OwnedFd>)> {
    match source {
        Source::Socket(fd) => {
            if look(fd)? & flags::poll::NVAL != 0 {
                return Err(rustix::io::Errno::BADF.into());
            }
            Ok((fd.as_raw_fd(), None))
        }
        Source::Descriptor(fd) => {
            if sys::is_always_ready(fd)? {
                return Err(unsupported(
                    "poll cannot watch this descriptor: regular files and folders are always ready",
                ));
            }
            if look(fd)? & flags::poll::NVAL != 0 {
                return Err(unsupported("this system's poll does not know such devices"));
            }
            Ok((fd.as_raw_fd(), None))
        }
        Source::Process(process) => {
            let pidfd = sys::open_process(process.id())?;
            Ok((pidfd.as_raw_fd(), Some(pidfd)))
        }
        Source::Signal(_) => Err(unsupported("poll does not watch signals: see ekio::signal")),
    }
}

/// What poll says of a descriptor right now, so that a bad one is refused by `add` and not silently
/// never reported.
fn look(fd: BorrowedFd<'_>) -> io::Result<i16> {
    let mut line = [libc::pollfd {
        fd: fd.as_raw_fd(),
        events: 0,
        revents: 0,
    }];
    loop {
        match sleep::sleep(&mut line, Some(Duration::ZERO)) {
            Ok(_) => return Ok(line[0].revents),
            // A signal that is pending ends even a call that does not sleep.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The system call that blocks, in nanoseconds if the system takes them.
mod sleep {
    use super::*;

    /// The longest sleep asked of the kernel at once, some 24 days, because not every system takes
    /// longer ones. The loop around it goes on with what remains.
    const SLEEP_MAX: Duration = Duration::from_millis(i32::MAX as u64);

    #[cfg(has_ppoll)]
    pub(super) const RESOLUTION: Duration = Duration::from_nanos(1);

    #[cfg(has_ppoll)]
    pub(super) fn sleep(
        lines: &mut [libc::pollfd],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let timespec = timeout.map(|timeout| {
            let timeout = timeout.min(SLEEP_MAX);
            libc::timespec {
                // Both fit into 32 bits.
                tv_sec: timeout.as_secs() as _,
                tv_nsec: timeout.subsec_nanos() as _,
            }
        });
        let timespec = timespec
            .as_ref()
            .map_or(std::ptr::null(), |t| &raw const *t);
        // SAFETY: ppoll(2) asks for an array of the length given, which `lines` is, and for a time
        // that lives during the call, which the local above does. Null is allowed for the time
        // (for ever) and for the signal mask (unchanged). What the numbers in the array stand for is
        // no matter of memory safety.
        let answer = unsafe {
            libc::ppoll(
                lines.as_mut_ptr(),
                lines.len() as libc::nfds_t,
                timespec,
                std::ptr::null(),
            )
        };
        usize::try_from(answer).map_err(|_| io::Error::last_os_error())
    }

    #[cfg(not(has_ppoll))]
    pub(super) const RESOLUTION: Duration = Duration::from_millis(1);

    #[cfg(not(has_ppoll))]
    pub(super) fn sleep(
        lines: &mut [libc::pollfd],
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        const FOREVER: i32 = -1;
        let millis = timeout.map_or(FOREVER, |timeout| {
            let timeout = timeout.min(SLEEP_MAX);
            let millis = crate::poller::wait::millis_rounded_up(timeout, i32::MAX.unsigned_abs());
            i32::try_from(millis).unwrap_or(i32::MAX)
        });
        // SAFETY: poll(2) asks for an array of the length given, which `lines` is. What the numbers
        // in it stand for is no matter of memory safety.
        let answer = unsafe { libc::poll(lines.as_mut_ptr(), lines.len() as libc::nfds_t, millis) };
        usize::try_from(answer).map_err(|_| io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "Miri has no poll(2)")]
    fn a_nudge_is_not_a_notification() {
        let poller = Poll::new().unwrap();
        poller.notifier.notify().unwrap();
        let mut events = Events::with_capacity(4);
        let start = std::time::Instant::now();
        let timeout = Duration::from_millis(20);
        poller.wait(&mut events, Some(timeout)).unwrap();
        assert!(start.elapsed() >= timeout);
        poller.notify().unwrap();
        poller.wait(&mut events, None).unwrap();
        assert!(events.is_empty());
    }
}
