//! The table that poll(2) does not keep: who is watched, for what, and what was reported already.
//!
//! It is pure (no system call), and everything in it takes constant time: entries are named by
//! index and generation, free ones are linked in a list, and what has changed since the waiter last
//! looked is in a list too.
//!
//! # Who touches what
//!
//! The [`Table`] is under the poller's lock. The [`Mirror`] is the waiter's own: the array that
//! the kernel reads and writes while the lock is free. Before each system call the waiter copies
//! what has changed ([`Table::begin_sleep`]), after it, it lets the table judge the answers
//! ([`Table::report`]). Whoever changes the table in between finds `is_sleeping` true and interrupts
//! the call, so that the waiter goes round.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

use crate::poller::event::{Event, Events, Interest, Key, Readiness, Trigger};
use crate::poller::flags::poll as flags;

/// `POLLRDHUP`, or zero where the system has none.
#[cfg(has_pollrdhup)]
const RDHUP: i16 = libc::POLLRDHUP;
#[cfg(not(has_pollrdhup))]
const RDHUP: i16 = 0;

/// Names an entry of the table. One that is gone is never mistaken for its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    index: usize,
    generation: u64,
}

/// What is wanted of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) key: Key,
    pub(super) interest: Interest,
    pub(super) trigger: Trigger,
}

/// One source.
#[derive(Debug)]
struct Watch {
    fd: RawFd,
    wish: Wish,
    /// The part of the interest that is to be reported: all of it, minus what an edge or one-shot
    /// trigger has reported already.
    armed: Interest,
    /// What `fd` is, where it is not the caller's.
    _owned: Option<OwnedFd>,
}

impl Watch {
    /// What to write into the array: no descriptor at all where nothing is to be reported, because
    /// a hang-up cannot be masked.
    fn pollfd(&self) -> libc::pollfd {
        match flags::encode(self.armed, RDHUP) {
            Some(events) => libc::pollfd {
                fd: self.fd,
                events,
                revents: 0,
            },
            None => NOBODY,
        }
    }

    /// The directions that stay armed after a report.
    fn still_armed(&self, revents: i16, readiness: Readiness) -> Interest {
        match self.wish.trigger {
            Trigger::Level => self.armed,
            // It would come again at every call, whatever else the line waits for. (It tells the
            // owner to look in every direction.)
            Trigger::Edge if revents & flags::UNMASKABLE != 0 => Interest::NONE,
            Trigger::Edge => self.armed.difference(directions(readiness)),
            Trigger::OneShot => Interest::NONE,
        }
    }
}

/// The directions of a report.
fn directions(readiness: Readiness) -> Interest {
    let mut directions = Interest::NONE;
    for (bit, direction) in [
        (Readiness::READABLE, Interest::READABLE),
        (Readiness::WRITABLE, Interest::WRITABLE),
        (Readiness::PRIORITY, Interest::PRIORITY),
    ] {
        if readiness.contains(bit) {
            directions |= direction;
        }
    }
    directions
}

/// A line of the array that the kernel skips.
const NOBODY: libc::pollfd = libc::pollfd {
    fd: -1,
    events: 0,
    revents: 0,
};

#[derive(Debug, Default)]
struct Entry {
    generation: u64,
    watch: Option<Watch>,
    /// True while the entry is in the list of changes.
    is_changed: bool,
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    free: Vec<usize>,
    by_fd: HashMap<RawFd, usize>,
    changes: Vec<usize>,
    /// Counts `add`s, and so names each.
    generation: u64,
    is_sleeping: bool,
}

impl Table {
    pub(super) fn add(
        &mut self,
        fd: RawFd,
        owned: Option<OwnedFd>,
        wish: Wish,
    ) -> io::Result<Name> {
        if self.by_fd.contains_key(&fd) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "this descriptor is in the table already",
            ));
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry::default());
            self.entries.len() - 1
        });
        self.generation += 1;
        self.by_fd.insert(fd, index);
        let entry = &mut self.entries[index];
        entry.generation = self.generation;
        entry.watch = Some(Watch {
            fd,
            wish,
            armed: wish.interest,
            _owned: owned,
        });
        self.note_change(index);
        Ok(Name {
            index,
            generation: self.generation,
        })
    }

    pub(super) fn modify(&mut self, name: Name, wish: Wish) -> io::Result<()> {
        let watch = self.find(name).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "this source is not in the table: was it closed before it was deleted?",
            )
        })?;
        watch.wish = wish;
        watch.armed = wish.interest;
        self.note_change(name.index);
        Ok(())
    }

    pub(super) fn rearm(&mut self, name: Name, directions: Interest) {
        let Some(watch) = self.find(name) else {
            return;
        };
        let armed = watch.armed | watch.wish.interest.intersection(directions);
        if watch.wish.trigger == Trigger::Edge && armed != watch.armed {
            watch.armed = armed;
            self.note_change(name.index);
        }
    }

    pub(super) fn remove(&mut self, name: Name) {
        if self.find(name).is_some() {
            self.forget(name.index);
        }
    }

    /// True if a waiter sleeps on an array that is no longer up to date.
    pub(super) fn is_sleeper_behind(&self) -> bool {
        self.is_sleeping && !self.changes.is_empty()
    }

    /// Brings the waiter's array up to date. What changes from now on must interrupt it.
    pub(super) fn begin_sleep(&mut self, mirror: &mut Mirror) {
        mirror.resize(self.entries.len());
        for index in self.changes.drain(..) {
            let entry = &mut self.entries[index];
            entry.is_changed = false;
            let pollfd = entry.watch.as_ref().map_or(NOBODY, Watch::pollfd);
            mirror.set(index, pollfd, entry.generation);
        }
        self.is_sleeping = true;
    }

    /// Judges what the kernel wrote into the waiter's array, which ends its sleep.
    pub(super) fn end_sleep(&mut self, mirror: &mut Mirror, answered: usize, events: &mut Events) {
        self.is_sleeping = false;
        mirror.each_answer(answered, |name, revents| {
            if events.room() == 0 {
                return false;
            }
            if let Some(event) = self.report(name, revents) {
                events.push(event);
            }
            true
        });
    }

    /// What one answer of the kernel means by now: the entry may have been changed, or be another
    /// one, since the array was written.
    fn report(&mut self, name: Name, revents: i16) -> Option<Event> {
        let watch = self.find(name)?;
        if revents & flags::NVAL != 0 {
            // Closed before it was deleted. A source that the kernel cannot find stays silent, and
            // leaves the array, which it would keep awake.
            self.forget(name.index);
            return None;
        }
        let mask = flags::encode(watch.armed, RDHUP)?;
        let readiness = flags::decode(revents & (mask | flags::UNMASKABLE), RDHUP);
        if readiness.is_empty() {
            return None;
        }
        let key = watch.wish.key;
        let armed = watch.still_armed(revents, readiness);
        if armed != watch.armed {
            watch.armed = armed;
            self.note_change(name.index);
        }
        Some(Event::new(key, readiness))
    }

    fn find(&mut self, name: Name) -> Option<&mut Watch> {
        let entry = self.entries.get_mut(name.index)?;
        if entry.generation != name.generation {
            return None;
        }
        entry.watch.as_mut()
    }

    fn forget(&mut self, index: usize) {
        if let Some(watch) = self.entries[index].watch.take() {
            self.by_fd.remove(&watch.fd);
            self.free.push(index);
            self.note_change(index);
        }
    }

    fn note_change(&mut self, index: usize) {
        let entry = &mut self.entries[index];
        if !entry.is_changed {
            entry.is_changed = true;
            self.changes.push(index);
        }
    }
}

/// The array that the kernel reads and writes: line 0 is the notifier's, line `index + 1` that of
/// the entry `index`. It is as long as the most sources that were ever watched at once.
#[derive(Debug)]
pub(super) struct Mirror {
    pollfds: Vec<libc::pollfd>,
    /// Whom each line stood for when it was written.
    generations: Vec<u64>,
    /// Where the next round begins, so that the front of the array cannot starve the rest when
    /// there is more to report than the caller has room for.
    start: usize,
}

impl Mirror {
    pub(super) fn new(notifier: &impl std::os::fd::AsFd) -> Mirror {
        let notifier = libc::pollfd {
            fd: notifier.as_fd().as_raw_fd(),
            events: flags::IN,
            revents: 0,
        };
        Mirror {
            pollfds: vec![notifier],
            generations: Vec::new(),
            start: 0,
        }
    }

    /// The lines, for the kernel.
    pub(super) fn pollfds(&mut self) -> &mut [libc::pollfd] {
        &mut self.pollfds
    }

    pub(super) fn is_notifier_ready(&self) -> bool {
        self.pollfds[0].revents != 0
    }

    fn resize(&mut self, count: usize) {
        self.pollfds.resize(count + 1, NOBODY);
        self.generations.resize(count, 0);
    }

    fn set(&mut self, index: usize, pollfd: libc::pollfd, generation: u64) {
        self.pollfds[index + 1] = pollfd;
        self.generations[index] = generation;
    }

    /// Shows the `answered` lines that have an answer to `show`, until that says "enough".
    fn each_answer(&mut self, answered: usize, mut show: impl FnMut(Name, i16) -> bool) {
        let mut left = answered - usize::from(answered > 0 && self.is_notifier_ready());
        let count = self.generations.len();
        for step in 0..count {
            if left == 0 {
                return;
            }
            let index = (self.start + step) % count;
            let revents = self.pollfds[index + 1].revents;
            if revents == 0 {
                continue;
            }
            left -= 1;
            let generation = self.generations[index];
            if !show(Name { index, generation }, revents) {
                self.start = index;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        table: Table,
        mirror: Mirror,
    }

    /// Stands for a descriptor; nothing here is ever asked of the kernel.
    const FD: RawFd = 1_000;

    fn wish(key: u64, interest: Interest, trigger: Trigger) -> Wish {
        Wish {
            key: Key(key),
            interest,
            trigger,
        }
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                table: Table::default(),
                mirror: Mirror::new(&io::stdin()),
            }
        }

        /// A system call in which `kernel` says what is so of each descriptor.
        fn round(&mut self, room: usize, kernel: impl Fn(RawFd) -> i16) -> Vec<(u64, Readiness)> {
            self.table.begin_sleep(&mut self.mirror);
            let mut answered = 0;
            for line in &mut self.mirror.pollfds()[1..] {
                line.revents = 0;
                if line.fd >= 0 {
                    line.revents = kernel(line.fd) & (line.events | flags::UNMASKABLE);
                    answered += usize::from(line.revents != 0);
                }
            }
            let mut events = Events::with_capacity(room);
            self.table
                .end_sleep(&mut self.mirror, answered, &mut events);
            events
                .iter()
                .map(|event| (event.key.0, event.readiness))
                .collect()
        }
    }

    #[test]
    fn an_edge_is_reported_once_for_each_rearm() {
        let mut bench = Bench::new();
        let edge = wish(1, Interest::BOTH, Trigger::Edge);
        let name = bench.table.add(FD, None, edge).unwrap();
        let kernel = |_| flags::IN | flags::OUT;
        let both = Readiness::READABLE | Readiness::WRITABLE;
        assert_eq!(bench.round(4, kernel), [(1, both)]);
        assert_eq!(bench.round(4, kernel), []);
        bench.table.rearm(name, Interest::READABLE);
        assert_eq!(bench.round(4, kernel), [(1, Readiness::READABLE)]);
        bench.table.modify(name, edge).unwrap();
        assert_eq!(bench.round(4, kernel), [(1, both)]);
        // Nothing armed: not even a hang-up is seen.
        assert_eq!(bench.round(4, |_| flags::HUP), []);
    }

    /// A hang-up cannot be masked, so whoever has been told of one has no line: not for the urgent
    /// data either that can come no more.
    #[test]
    fn a_hang_up_is_an_edge_whatever_else_is_wanted() {
        for end in [flags::HUP, flags::ERR] {
            let mut bench = Bench::new();
            let edge = wish(1, Interest::BOTH | Interest::PRIORITY, Trigger::Edge);
            let name = bench.table.add(FD, None, edge).unwrap();
            assert_eq!(bench.round(4, |_| end).len(), 1);
            assert_eq!(bench.round(4, |_| end), [], "{end:#x}");
            bench.table.rearm(name, Interest::PRIORITY);
            assert_eq!(bench.round(4, |_| end).len(), 1);
        }
    }

    #[test]
    fn rearm_is_for_edges_and_for_what_is_wanted() {
        let mut bench = Bench::new();
        let one_shot = wish(1, Interest::READABLE, Trigger::OneShot);
        let name = bench.table.add(FD, None, one_shot).unwrap();
        assert_eq!(bench.round(4, |_| flags::IN).len(), 1);
        bench.table.rearm(name, Interest::BOTH);
        assert_eq!(bench.round(4, |_| flags::IN | flags::OUT), []);
        let edge = wish(1, Interest::READABLE, Trigger::Edge);
        bench.table.modify(name, edge).unwrap();
        bench.table.rearm(name, Interest::BOTH);
        assert_eq!(bench.round(4, |_| flags::OUT), []);
    }

    #[test]
    fn a_closed_descriptor_leaves_the_array() {
        let mut bench = Bench::new();
        let level = wish(1, Interest::READABLE, Trigger::Level);
        let old = bench.table.add(FD, None, level).unwrap();
        assert_eq!(
            bench.table.add(FD, None, level).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(bench.round(4, |_| flags::NVAL), []);
        let new = bench.table.add(FD, None, level).unwrap();
        let error = bench.table.modify(old, level).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        // Neither does the old name take the new entry with it.
        bench.table.remove(old);
        assert_eq!(bench.round(4, |_| flags::IN).len(), 1);
        bench.table.remove(new);
        assert_eq!(bench.round(4, |_| flags::IN), []);
    }

    #[test]
    fn an_answer_for_a_predecessor_is_dropped() {
        let mut bench = Bench::new();
        let level = wish(1, Interest::READABLE, Trigger::Level);
        let name = bench.table.add(FD, None, level).unwrap();
        bench.table.begin_sleep(&mut bench.mirror);
        assert!(!bench.table.is_sleeper_behind());
        bench.table.remove(name);
        assert!(bench.table.is_sleeper_behind());
        let other = wish(2, Interest::READABLE, Trigger::Level);
        bench.table.add(FD, None, other).unwrap();
        bench.mirror.pollfds()[1].revents = flags::IN;
        let mut events = Events::with_capacity(4);
        bench.table.end_sleep(&mut bench.mirror, 1, &mut events);
        assert!(events.is_empty());
        assert!(!bench.table.is_sleeper_behind());
        let readable = Readiness::READABLE;
        assert_eq!(bench.round(4, |_| flags::IN), [(2, readable)]);
    }

    #[test]
    fn a_small_list_starves_nobody() {
        let mut bench = Bench::new();
        for key in 0..10 {
            let level = wish(key, Interest::READABLE, Trigger::Level);
            let fd = FD + i32::try_from(key).unwrap();
            bench.table.add(fd, None, level).unwrap();
        }
        let mut seen: Vec<u64> = Vec::new();
        for _ in 0..5 {
            seen.extend(bench.round(3, |_| flags::IN).iter().map(|(key, _)| key));
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4]);
    }
}
