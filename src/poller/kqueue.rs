//! kqueue, the event queue of the BSDs and of Apple's systems.
//!
//! # The queue in one paragraph
//!
//! A kqueue is an object in the kernel with a table of lines, each a pair of *filter* and *number*: a
//! filter is a piece of kernel code that looks at one thing (data to read, room to write, a process's
//! exit, a signal), the number says of whom. One system call,
//! [`kevent`](https://man.freebsd.org/cgi/man.cgi?kevent(2)), does everything: it takes an array of
//! changes to the table, then fills an array of events, sleeping until there are some. Whenever a
//! watched thing changes, its filter runs and puts its line into the queue; it runs again as the line
//! is handed out, so that what is no longer true is not told. Reading and writing are two filters, so
//! a socket has two lines, and what is one event elsewhere may be two here.
//!
//! # Our words and the OS's
//!
//! | ekio | kqueue |
//! |---|---|
//! | `new` | [`kqueue`](https://man.freebsd.org/cgi/man.cgi?kqueue(2)), `fcntl` with `FD_CLOEXEC` |
//! | `add` | `EV_ADD` for each filter, with `EV_RECEIPT` |
//! | `modify` | `EV_DELETE` of the old lines and `EV_ADD` of new ones, in one call |
//! | `rearm` | nothing: `EV_CLEAR` arms itself |
//! | `delete` | `EV_DELETE` |
//! | `abandon` | the same: closing would do for the kernel, but not for libkqueue |
//! | `wait` | `kevent` without changes (nanoseconds) |
//! | `notify` | [`EVFILT_USER`](https://man.freebsd.org/cgi/man.cgi?kevent(2)) with `NOTE_TRIGGER`; on NetBSD and OpenBSD a pipe |
//! | `post` | a queue beside, and `notify` |
//! | `Key` | in a table of ours; `udata` has a serial number that finds it (see `table`) |
//! | edge | `EV_CLEAR` |
//! | one-shot | `EV_DISPATCH`: the line that fired is disabled; its sibling is ignored |
//! | priority | `EVFILT_EXCEPT` with `NOTE_OOB`: Apple, DragonFly, OpenBSD |
//! | process | `EVFILT_PROC` with `NOTE_EXIT` |
//! | signal | `EVFILT_SIGNAL`; `data` counts |
//! | peer closed | `EV_EOF`, of the direction whose filter says it; the socket's error in `fflags` |
//!
//! # Life of one event
//!
//! ```text
//!   segment arrives           kevent copies            decode              table      Event
//!  -----------------> queue  ---------------> kevent ---------> readiness -------> key,readiness
//!   (the filter runs) of     (the filter      (flags/kqueue.rs)  serial,   merges what is
//!                     lines   runs again)                        ident     of one source
//! ```
//!
//! # Traps
//!
//! The pages are those of [FreeBSD](https://man.freebsd.org/cgi/man.cgi?kqueue(2)) (15),
//! [NetBSD](https://man.netbsd.org/kqueue.2) (10), [OpenBSD](https://man.openbsd.org/kqueue.2) (7.8),
//! [DragonFly](https://man.dragonflybsd.org/?command=kqueue&section=2) (6.4) and
//! [Apple](https://developer.apple.com/library/archive/documentation/System/Conceptual/ManPages_iPhoneOS/man2/kqueue.2.html).
//!
//! * *A second `EV_ADD` is not an error*, and changes the `udata` but not the kind: a line that was
//!   made with `EV_CLEAR` keeps it (all systems). Hence the table of ours, and lines that are replaced
//!   and not changed (`level_modified_while_pending`).
//! * *A call that makes changes also fetches events*, if there is room for them: other sources'.
//!   `EV_RECEIPT` on each change, and room for just the receipts, leave none
//!   (`a06_modify_keeps_foreign`).
//! * *`EINTR` with changes* means that all of them were made; so it is not an error of theirs.
//! * *A receipt has the bit `EV_ERROR` in any case*; it is an error if `data` is not zero.
//! * *A pipe whose reader is gone* is refused by the writing filter, with `EPIPE` (FreeBSD, DragonFly),
//!   also although it was taken (Apple), or with `EBADF` (NetBSD). To the caller it is watched, and
//!   broken (`a07_pipe_reader_gone`). If the reader goes later, FreeBSD says so and drops the line
//!   (`EV_ONESHOT` appears among the flags), so we keep its last word. Some systems tell the writer by
//!   its *reading* filter only, so an end there is worth a try at writing, of what is no socket.
//! * *A process that has exited* is `ESRCH` to Apple's filter even before it was waited for. To the
//!   caller, that is an exit (`a09_spawn_true_1000`). `NOTE_EXIT` may come a moment before `waitpid`
//!   knows: wait for it with a blocking `waitpid`, which is short.
//! * *`EV_EOF` has a direction*: from the reading filter the peer has shut down its side, and we may
//!   write; there may still be data (`a13_half_close_rst`).
//! * *Closing deletes* the lines of the number, whatever duplicates live
//!   (`a03_fd_reuse_dup` is about epoll). So a table of one's own is easily ahead of the kernel's:
//!   ours asks the kernel before it says `AlreadyExists` (`a04_failed_add_no_leak`).
//! * *A fork's child has no kqueue*, and another descriptor may have its number there: the child
//!   does not close it (`a_child_closes_nothing`).
//! * *Signals*: the filter sees a signal that is ignored or handled, and changes nothing about its
//!   effect. The default effect of most is to end the process: whoever adds one must
//!   ignore or handle it ([`signal`](https://man.freebsd.org/cgi/man.cgi?signal(3))).
//! * *Two threads in `kevent`* can hide events from one another
//!   ([NetBSD before 10, go#42515](https://github.com/golang/go/issues/42515)): one waits at a time.
//!   Events of nothing, all zeroes, occur
//!   ([NetBSD 7, go#14127](https://github.com/golang/go/issues/14127)): no line of ours has the serial
//!   number 0.
//! * *Long sleeps* are `EINVAL` (Apple) or cut to a day (OpenBSD): they are cut by us, and gone on
//!   with.
//! * *`NOTE_TRIGGER` stores the `udata` that comes with it*, so ours comes with it.
//! * *Terminals*: Apple's `/dev/tty` is `EINVAL` to kqueue, which is `Unsupported` here; its `ttyname`
//!   can be watched.
//!
//! **libkqueue**, which stands in for a kernel's on Linux, differs (2.7.0; its
//! [BUGS.md](https://github.com/mheily/libkqueue/blob/master/BUGS.md), and its source):
//!
//! * *Closing does not delete.* So each file's identity is noted, which costs an `fstat` there.
//! * *What is added disabled is not*, and what was added last decides for both directions whether a
//!   half-close behind data is seen. Hence two steps, and the order, in `encode`.
//! * *It drops what it has no room for*, edges too: a ready socket takes one place as it is fetched
//!   and two as it is handed out. So it is always given all the room it takes, and a batch that comes
//!   back full makes us suspect every edge (`edge_hundreds_of_events`).
//! * *It reads `SO_ERROR`*, which can be read once, to fill `fflags`: of a failed connect or a reset the
//!   event knows, and the next system call does not.
//! * *It calls a stream's empty buffer its end*, if another thread has emptied it meanwhile. We look
//!   again.
//! * *Signals* must be blocked in every thread, and a child must not be waited for before its event
//!   has come.
//!
//! # What we do not use, and why
//!
//! * `EV_ONESHOT`: it removes the line that fired and leaves its sibling, and the kernel then cannot
//!   tell whether a number is still the one that was added.
//! * `EVFILT_TIMER`: the time-out of `kevent` has the nanoseconds, and costs no call of its own.
//! * Changes handed over together with the next `wait`: that saves calls, but `add` could not report
//!   errors, and other threads' changes would wait for the sleeper.
//! * `kevent64`, `kevent_qos`: Apple's own; they would carry 64-bit keys on 32-bit machines, and the
//!   table has to be there anyway.
//! * `kqueue1`, `kqueuex`: close-on-exec at birth gains nothing where no child inherits a queue.
//!
//! It was run with libkqueue, and type-checked for the systems themselves.
//!
//! Checked against: kqueue(2) of FreeBSD 15, NetBSD 10, OpenBSD 7, libkqueue 2.7.0, 2026-11

mod alarm;
mod ffi;
mod table;
mod verdict;

use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use rustix::io::Errno;

use self::alarm::Alarm;
use self::ffi::{CHANGES_MAX, Kevent};
use self::table::{File, Ident, Lines, News, Standing, Table, Wish};
use self::verdict::{explain, is_false_end, judge};
use super::event::{Event, Events, Interest, Key, Trigger};
use super::flags::kqueue::{self as flags, Change, Filter};
use super::posts::Posts;
use super::source::{Source, check_watchable};
use super::wait::{Countdown, OneWaiter};
use super::{Caps, Poller, check_key, unsupported};
use crate::sync::{Mutex, lock};
use crate::sys::{ForkGuard, metadata_of};

/// The most events that one system call brings: libkqueue's own bound.
const BATCH_MAX: usize = 512;

/// The queue of the BSDs and Apple's systems. See the [module](self) for how it works.
#[derive(Debug)]
pub struct Kqueue {
    /// Closed by the process that made it only: in a child, the number is another file's.
    queue: ManuallyDrop<OwnedFd>,
    alarm: Alarm,
    posts: Posts,
    /// Held while the kernel's table is changed too, so that the two stay in step.
    table: Mutex<Table>,
    waiter: OneWaiter<Batch>,
    home: ForkGuard,
}

/// Tells a source from others that had or will have its number.
#[derive(Debug)]
pub struct Ticket {
    name: usize,
}

/// What the kernel reports, and how many waits there have been.
#[derive(Debug, Default)]
struct Batch {
    events: Vec<Kevent>,
    /// Those that were fetched, and for which there was no room yet.
    left: Range<usize>,
    round: u64,
}

impl Poller for Kqueue {
    const CAPS: Caps = Caps {
        needs_rearm: false,
        short_read_proves_empty: true,
        timeout_resolution: Duration::from_nanos(1),
        processes: true,
        signals: true,
        priority: cfg!(has_evfilt_except),
    };

    type Ticket = Ticket;

    fn new() -> io::Result<Kqueue> {
        let queue = ffi::queue()?;
        Ok(Kqueue {
            alarm: Alarm::new(queue.as_fd())?,
            queue: ManuallyDrop::new(queue),
            posts: Posts::default(),
            table: Mutex::new(Table::new()),
            waiter: OneWaiter::new(Batch::default()),
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
        let (ident, wish) = understand(source, key, interest, trigger)?;
        check_watchable(source)?;
        let file = file_of(source)?;
        let mut table = lock(&self.table);
        if self.is_in_kernel(&table, ident, file)? {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "this source is watched already",
            ));
        }
        // What is left of a source that was closed behind us.
        let leftover = table
            .lines(ident)
            .map_or(Interest::NONE, |lines| lines.filters);
        let name = table.next_serial();
        let standing = self.put(source, ident, leftover, wish, name)?;
        let is_due = table.insert(ident, name, file, wish, standing);
        drop(table);
        let ticket = Ticket { name };
        if let Err(error) = self.ring_if(is_due) {
            // Without a ticket nobody can delete it.
            self.delete(ticket, source)?;
            return Err(error);
        }
        Ok(ticket)
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
        let (ident, wish) = understand(source, key, interest, trigger)?;
        let mut table = lock(&self.table);
        let old_filters = table.filters(ident, ticket.name)?;
        let is_due = if let Ident::Descriptor(_) = ident {
            let serial = table.next_serial();
            let outcome = self.put(source, ident, old_filters, wish, serial);
            let standing = *outcome.as_ref().unwrap_or(&Standing::NOTHING);
            let is_due = table.modify(ident, wish, Some((serial, standing)));
            outcome?;
            is_due
        } else {
            // Its line stays as it is, so that nothing is lost that will not be said again.
            table.modify(ident, wish, None)
        };
        drop(table);
        self.ring_if(is_due)
    }

    fn rearm(&self, _ticket: &Ticket, _directions: Interest) -> io::Result<()> {
        Ok(())
    }

    fn delete(&self, ticket: Ticket, source: Source<'_>) -> io::Result<()> {
        self.home.check()?;
        let ident = ident_of(source)?;
        let mut table = lock(&self.table);
        let Ok(filters) = table.filters(ident, ticket.name) else {
            // The number was closed behind us, and the source that has it now was added.
            return Ok(());
        };
        let outcome = self.take_out(ident, filters);
        table.forget(ident);
        outcome
    }

    fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<()> {
        self.home.check()?;
        let mut batch = self.waiter.enter()?;
        batch.round += 1;
        let round = batch.round;
        events.clear();
        let is_more = self.take_own(round, events);
        if events.room() == 0 {
            return Ok(());
        }
        let countdown = if events.is_empty() && !is_more {
            Countdown::new(timeout)
        } else {
            Countdown::Zero
        };
        loop {
            match self.fetch(&mut batch, events.room(), countdown.remaining()) {
                Ok(()) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let is_notified = self.deliver(&mut batch, events);
            if is_notified {
                self.alarm.acknowledge();
            }
            if is_notified || is_more {
                self.take_own(round, events);
            }
            if is_notified || !events.is_empty() || countdown.is_over() {
                return Ok(());
            }
        }
    }

    fn notify(&self) -> io::Result<()> {
        self.home.check()?;
        self.alarm.ring(self.queue.as_fd())
    }

    fn post(&self, event: Event) -> io::Result<()> {
        self.home.check()?;
        check_key(event.key)?;
        self.posts.push(event);
        self.alarm.ring(self.queue.as_fd())
    }
}

impl Drop for Kqueue {
    fn drop(&mut self) {
        if self.home.is_at_home() {
            // SAFETY: ManuallyDrop::drop asks that the value is not used again, which holds because
            // this is the end of its owner.
            unsafe { ManuallyDrop::drop(&mut self.queue) };
        }
    }
}

impl Kqueue {
    /// Replaces the lines that a source has in the kernel's table by those that its owner wishes.
    /// After an error it has none.
    fn put(
        &self,
        source: Source<'_>,
        ident: Ident,
        old_filters: Interest,
        wish: Wish,
        serial: usize,
    ) -> io::Result<Standing> {
        let mut changes = Changes::new(ident, serial);
        changes.extend(flags::lines(old_filters, flags::DELETE));
        let old_count = changes.count;
        match ident {
            Ident::Descriptor(_) => changes.extend(flags::encode(wish.interest, wish.trigger)),
            Ident::Process(_) => changes.extend([flags::PROCESS]),
            Ident::Signal(_) => changes.extend([flags::SIGNAL]),
        }
        let receipts = match ffi::submit(self.queue.as_fd(), changes.list()) {
            Ok(receipts) => receipts,
            Err(error) => {
                // How far it came is not known. That some are not there is no second error.
                let lines = old_filters | wish.interest | Interest::READABLE;
                let _ = self.take_out(ident, lines);
                return Err(error.into());
            }
        };
        let mut standing = Standing::NOTHING;
        let mut failure = None;
        for (change, receipt) in changes.list().iter().zip(receipts).skip(old_count) {
            let Some(filter) = change.filter() else {
                continue;
            };
            match judge(source, filter, receipt.verdict()) {
                Ok(stays) => {
                    standing.stays |= stays;
                    standing.filters |= filter.interest();
                }
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        if let Some(error) = failure {
            // The first error is the one that counts.
            let _ = self.take_out(ident, standing.filters);
            return Err(explain(source, error));
        }
        Ok(standing)
    }

    /// Takes the lines of a source out of the kernel's table. It forgets by itself what is closed,
    /// or has exited.
    fn take_out(&self, ident: Ident, filters: Interest) -> io::Result<()> {
        let mut changes = Changes::new(ident, 0);
        match ident {
            Ident::Descriptor(_) => changes.extend(flags::lines(filters, flags::DELETE)),
            Ident::Process(_) => changes.extend([flags::PROCESS.deleted()]),
            Ident::Signal(_) => changes.extend([flags::SIGNAL.deleted()]),
        }
        for receipt in ffi::submit(self.queue.as_fd(), changes.list())? {
            match receipt.verdict() {
                Ok(()) | Err(Errno::NOENT | Errno::BADF | Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Whether a source that our table knows is in the kernel's too, and not closed behind us: asked
    /// by enabling what is enabled and disabling what is quiet.
    fn is_in_kernel(&self, table: &Table, ident: Ident, file: File) -> io::Result<bool> {
        let Some(lines) = table.lines(ident) else {
            return Ok(false);
        };
        // Nothing is closed behind us but descriptors; and libkqueue does not notice when they are.
        if cfg!(has_libkqueue) || !matches!(ident, Ident::Descriptor(_)) {
            return Ok(lines.file.identity == file.identity);
        }
        let Lines {
            serial,
            filters,
            is_quiet,
            ..
        } = lines;
        let mut changes = Changes::new(ident, serial);
        let no_change = if is_quiet {
            flags::DISABLE
        } else {
            flags::ENABLE
        };
        changes.extend(flags::lines(filters, no_change));
        let receipts = ffi::submit(self.queue.as_fd(), changes.list())?;
        let mut verdicts = receipts[..changes.count].iter().map(Kevent::verdict);
        Ok(verdicts.any(|verdict| verdict.is_ok()))
    }

    /// Sleeps until the kernel reports something, unless something is left of the last time.
    fn fetch(
        &self,
        batch: &mut Batch,
        room: usize,
        timeout: Option<Duration>,
    ) -> Result<(), Errno> {
        if !batch.left.is_empty() {
            return Ok(());
        }
        // Two lines of one source make one event.
        let count_max = if cfg!(has_libkqueue) {
            BATCH_MAX
        } else {
            BATCH_MAX.min(room.saturating_mul(2))
        };
        if batch.events.len() < count_max {
            batch.events.resize(count_max, Kevent::blank());
        }
        let events = &mut batch.events[..count_max];
        let count = ffi::sleep(self.queue.as_fd(), events, timeout)?;
        batch.left = 0..count;
        if cfg!(has_libkqueue) && count == count_max {
            // Of the last one, half may be missing.
            let told = events[..count - 1].iter().map(Kevent::number).collect();
            lock(&self.table).doubt_edges(&told, events[count - 1].number());
        }
        Ok(())
    }

    /// Hands on what is for the caller, as far as there is room, and says whether the alarm was
    /// among it.
    fn deliver(&self, batch: &mut Batch, events: &mut Events) -> bool {
        let mut is_notified = false;
        let mut table = lock(&self.table);
        while let Some(event) = batch.events[batch.left.clone()].first() {
            if self.alarm.is_source_of(event) {
                is_notified = true;
            } else if let Some(news) = understand_event(event) {
                if !table.fire(news, batch.round, events) {
                    break;
                }
            }
            batch.left.start += 1;
        }
        is_notified
    }

    /// Takes what there is to tell without the kernel, and says whether something is left.
    fn take_own(&self, round: u64, events: &mut Events) -> bool {
        let is_more = self.posts.take_into(events);
        lock(&self.table).take_due(round, events) || is_more
    }

    /// Tells a waiter that there is something to tell without the kernel.
    fn ring_if(&self, is_due: bool) -> io::Result<()> {
        if is_due {
            self.alarm.ring(self.queue.as_fd())?;
        }
        Ok(())
    }
}

/// Changes of one source's lines.
struct Changes {
    number: usize,
    serial: usize,
    list: [Kevent; CHANGES_MAX],
    count: usize,
}

impl Changes {
    fn new(ident: Ident, serial: usize) -> Changes {
        Changes {
            number: ident.number(),
            serial,
            list: [Kevent::blank(); CHANGES_MAX],
            count: 0,
        }
    }

    fn extend(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.list[self.count] = Kevent::new(self.number, change, self.serial);
            self.count += 1;
        }
    }

    fn list(&self) -> &[Kevent] {
        &self.list[..self.count]
    }
}

/// What an event says, if it is of one of our lines.
fn understand_event(event: &Kevent) -> Option<News> {
    let filter = event.filter()?;
    let mut bits = event.flags();
    if cfg!(has_libkqueue) && is_false_end(event, filter) {
        bits &= !flags::EOF;
    }
    let payload = match filter {
        Filter::Signal => event.data().unsigned_abs(),
        _ => 0,
    };
    Some(News {
        filter,
        number: event.number(),
        serial: event.serial(),
        readiness: flags::decode(filter, bits, event.fflags(), event.data()),
        payload,
        is_last: filter == Filter::Process || bits & flags::ONESHOT != 0,
    })
}

/// What a source is to the kernel, and what is asked of it.
fn understand(
    source: Source<'_>,
    key: Key,
    interest: Interest,
    trigger: Trigger,
) -> io::Result<(Ident, Wish)> {
    check_key(key)?;
    if interest.contains(Interest::PRIORITY) && !Kqueue::CAPS.priority {
        return Err(unsupported(
            "this system's kqueue has no filter for out-of-band data",
        ));
    }
    let ident = ident_of(source)?;
    let interest = match ident {
        Ident::Descriptor(_) => interest,
        // There is nothing else to hear of them.
        Ident::Process(_) | Ident::Signal(_) => interest.intersection(Interest::READABLE),
    };
    let wish = Wish {
        key,
        interest,
        trigger,
    };
    Ok((ident, wish))
}

fn ident_of(source: Source<'_>) -> io::Result<Ident> {
    let ident = match source {
        Source::Socket(fd) | Source::Descriptor(fd) => {
            usize::try_from(fd.as_raw_fd()).map(Ident::Descriptor)
        }
        Source::Process(process) => usize::try_from(process.id()).map(Ident::Process),
        Source::Signal(signal) => usize::try_from(signal).map(Ident::Signal),
    };
    ident.map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// What is known of the file behind a source.
fn file_of(source: Source<'_>) -> io::Result<File> {
    let (fd, is_socket) = match source {
        Source::Socket(fd) => (fd, true),
        Source::Descriptor(fd) => (fd, false),
        Source::Process(_) | Source::Signal(_) => return Ok(File::default()),
    };
    let mut file = File {
        is_socket,
        identity: None,
    };
    if cfg!(has_libkqueue) {
        let metadata = metadata_of(fd)?;
        file.identity = Some((metadata.dev(), metadata.ino()));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_before_the_wait_ends_it() {
        let poller = Kqueue::new().unwrap();
        let mut events = Events::with_capacity(1);
        for _ in 0..3 {
            poller.notify().unwrap();
            poller.notify().unwrap();
            poller.wait(&mut events, None).unwrap();
            assert!(events.is_empty());
            poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
            assert!(events.is_empty());
        }
    }

    /// What is fetched and has no room yet comes with the next wait, and not if it was deleted.
    #[test]
    fn leftovers() {
        let poller = Kqueue::new().unwrap();
        let (_reader, writer) = crate::sys::pipe_nonblocking().unwrap();
        let (_other_reader, other) = crate::sys::pipe_nonblocking().unwrap();
        let mut events = Events::with_capacity(1);
        let mut next = || {
            poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
            events.iter().map(|event| event.key.0).next()
        };
        let add = |source, key| {
            // SAFETY: deleted below.
            let added = unsafe { poller.add(source, Key(key), Interest::WRITABLE, Trigger::Edge) };
            added.unwrap()
        };
        let first = add(Source::descriptor(&writer), 1);
        let second = add(Source::descriptor(&other), 2);
        assert_eq!((next(), next(), next()), (Some(1), Some(2), None));
        for (ticket, pipe, key) in [(&first, &writer, 3), (&second, &other, 4)] {
            let source = Source::descriptor(pipe);
            let trigger = Trigger::Edge;
            let modified = poller.modify(ticket, source, Key(key), Interest::WRITABLE, trigger);
            modified.unwrap();
        }
        assert_eq!(next(), Some(3));
        poller.delete(second, Source::descriptor(&other)).unwrap();
        assert_eq!(next(), None);
        poller.delete(first, Source::descriptor(&writer)).unwrap();
    }
}
