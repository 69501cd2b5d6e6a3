//! Who is watched, beside what the kernel remembers.
//!
//! The kernel's table answers neither of two questions that the contract asks: whether a source is
//! in it already (a second `EV_ADD` quietly changes the first), and of which of several `modify`s an
//! event is that was fetched a moment ago. So each line of the kernel's carries a *serial number* in
//! place of the caller's key, and this table knows what it stands for. A line is never changed but
//! always replaced, under a new number, so an event with a number that is no more is old news: the
//! line that replaced its own has looked at the state anew.
//!
//! It also keeps what the kernel says but once:
//!
//! * `stays`: what will not be said again and goes on being true (an exited process; a pipe without
//!   a reader). Level-triggered, it is told at every `wait`; after `modify`, once more.
//! * `pending`: what waits to be told once (signals that came while their source was quiet).
//!
//! The table is pure: it makes no system call. Its owner calls the kernel and the table under one
//! lock, the kernel first, so that neither knows what the other does not.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;

use super::alarm;
use crate::poller::event::{Event, Events, Interest, Key, Readiness, Trigger};
use crate::poller::flags::kqueue::Filter;

/// A source as the kernel knows it. Processes, signals and descriptors have numbers of their own:
/// the process 7 and the descriptor 7 have nothing in common (`a08_pid_eq_fd`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ident {
    Descriptor(usize),
    Process(usize),
    Signal(usize),
}

impl Ident {
    pub(super) fn new(filter: Filter, number: usize) -> Option<Ident> {
        match filter {
            Filter::Read | Filter::Write | Filter::Except => Some(Ident::Descriptor(number)),
            Filter::Process => Some(Ident::Process(number)),
            Filter::Signal => Some(Ident::Signal(number)),
            Filter::User => None,
        }
    }

    pub(super) fn number(self) -> usize {
        match self {
            Ident::Descriptor(number) | Ident::Process(number) | Ident::Signal(number) => number,
        }
    }
}

/// What the owner of a source asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) key: Key,
    pub(super) interest: Interest,
    pub(super) trigger: Trigger,
}

/// What is known of the file behind a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct File {
    pub(super) is_socket: bool,
    /// Device and inode, for libkqueue, which cannot tell a file from the next of its number.
    pub(super) identity: Option<(u64, u64)>,
}

/// The lines that the kernel was given of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    pub(super) serial: usize,
    pub(super) filters: Interest,
    pub(super) is_quiet: bool,
    pub(super) file: File,
}

/// How the kernel took the lines of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// The descriptor's filters that are in the kernel's table, by their interests.
    pub(super) filters: Interest,
    /// What the kernel said in place of taking a line.
    pub(super) stays: Readiness,
}

impl Standing {
    pub(super) const NOTHING: Standing = Standing {
        filters: Interest::NONE,
        stays: Readiness::NONE,
    };
}

/// An event of the kernel's.
#[derive(Clone, Copy, Debug)]
pub(super) struct News {
    pub(super) filter: Filter,
    pub(super) number: usize,
    pub(super) serial: usize,
    pub(super) readiness: Readiness,
    pub(super) payload: u64,
    /// The kernel has dropped the line.
    pub(super) is_last: bool,
}

#[derive(Debug)]
struct Entry {
    /// The serial number that it was added under: it tells the ticket of this source from those of
    /// earlier ones of the same number.
    name: usize,
    /// The serial number that its lines carry now.
    serial: usize,
    wish: Wish,
    filters: Interest,
    file: File,
    /// The one-shot has been told.
    is_spent: bool,
    stays: Readiness,
    pending: Readiness,
    payload: u64,
    /// It stands in the queue of those that have something to tell without the kernel.
    is_due: bool,
    /// In which round of `wait` it was told of last, and at which place of the list.
    told: Option<(u64, usize)>,
}

/// The table. See the [module](self).
#[derive(Debug)]
pub(super) struct Table {
    entries: HashMap<Ident, Entry>,
    due: VecDeque<Ident>,
    /// Whose turn it is where there is room for one.
    is_kernels_turn: bool,
    latest: usize,
}

impl Table {
    pub(super) fn new() -> Table {
        Table {
            entries: HashMap::new(),
            due: VecDeque::new(),
            is_kernels_turn: false,
            latest: alarm::SERIAL,
        }
    }

    /// A number that no line carries. (Where a pointer has 32 bits they come round again, but not
    /// while an event of the one before is on its way.)
    pub(super) fn next_serial(&mut self) -> usize {
        self.latest = self.latest.wrapping_add(1).max(alarm::SERIAL + 1);
        self.latest
    }

    /// The lines of a source, if it is here.
    pub(super) fn lines(&self, ident: Ident) -> Option<Lines> {
        let entry = self.entries.get(&ident)?;
        Some(Lines {
            serial: entry.serial,
            filters: entry.filters,
            is_quiet: !entry.is_armed(),
            file: entry.file,
        })
    }

    /// The filters that the kernel has of a ticket's source, or `NotFound`.
    pub(super) fn filters(&self, ident: Ident, name: usize) -> io::Result<Interest> {
        match self.entries.get(&ident) {
            Some(entry) if entry.name == name => Ok(entry.filters),
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "this source is not watched here",
            )),
        }
    }

    /// Enters a source, in place of what the kernel has forgotten under its number. True if it has
    /// something to tell at once.
    pub(super) fn insert(
        &mut self,
        ident: Ident,
        serial: usize,
        file: File,
        wish: Wish,
        standing: Standing,
    ) -> bool {
        self.forget(ident);
        let entry = Entry {
            name: serial,
            serial,
            wish,
            filters: standing.filters,
            file,
            is_spent: false,
            stays: standing.stays,
            pending: Readiness::NONE,
            payload: 0,
            is_due: false,
            told: None,
        };
        self.entries.insert(ident, entry);
        self.make_due(ident)
    }

    /// Notes another wish, and, if its lines were replaced, how the kernel took the new ones. True
    /// if the source has something to tell at once.
    pub(super) fn modify(
        &mut self,
        ident: Ident,
        wish: Wish,
        replaced: Option<(usize, Standing)>,
    ) -> bool {
        let Some(entry) = self.entries.get_mut(&ident) else {
            return false;
        };
        entry.wish = wish;
        entry.is_spent = false;
        entry.told = None;
        if let Some((serial, standing)) = replaced {
            entry.serial = serial;
            entry.filters = standing.filters;
            entry.stays = standing.stays;
            entry.pending = Readiness::NONE;
        }
        self.make_due(ident)
    }

    /// Forgets a source, whoever its ticket belongs to.
    pub(super) fn forget(&mut self, ident: Ident) {
        if self
            .entries
            .remove(&ident)
            .is_some_and(|entry| entry.is_due)
        {
            self.due.retain(|due| *due != ident);
        }
    }

    /// Tells what the kernel said, to whom it concerns. False if there is no room for it.
    pub(super) fn fire(&mut self, news: News, round: u64, events: &mut Events) -> bool {
        let Some(ident) = Ident::new(news.filter, news.number) else {
            return true;
        };
        let Some(entry) = self.entries.get_mut(&ident) else {
            return true;
        };
        if entry.serial != news.serial {
            return true;
        }
        let merges = entry.is_told_in(round);
        if entry.is_armed() && !merges && events.room() == 0 {
            return false;
        }
        let mut readiness = news.readiness;
        if entry.is_writer_of_pipe() && readiness.contains(Readiness::READ_CLOSED) {
            readiness |= Readiness::WRITABLE;
        }
        if news.is_last {
            entry.stays |= readiness;
        }
        if entry.is_armed() || merges {
            entry.tell(readiness, news.payload, round, events);
            if !entry.stays.is_empty() && entry.wish.trigger == Trigger::Level {
                self.make_due(ident);
            }
        } else if news.filter == Filter::Signal {
            entry.pending |= readiness;
            entry.payload += news.payload;
        }
        true
    }

    /// Tells what is known without the kernel, in half of the room at most, so that the kernel's
    /// events have the other; in a list for one they take turns. Says whether something is left to
    /// tell: then the waiter does not sleep, and after it has asked the kernel it takes again.
    pub(super) fn take_due(&mut self, round: u64, events: &mut Events) -> bool {
        let mut count = self.due.len().min(events.room().div_ceil(2));
        if events.capacity() == 1 && count == 1 {
            count = usize::from(!self.is_kernels_turn);
            self.is_kernels_turn = !self.is_kernels_turn;
        }
        for _ in 0..count {
            let Some(ident) = self.due.pop_front() else {
                break;
            };
            let Some(entry) = self.entries.get_mut(&ident) else {
                continue;
            };
            entry.is_due = false;
            if entry.has_news() && (entry.is_armed() || entry.is_told_in(round)) {
                entry.tell(Readiness::NONE, 0, round, events);
            }
            if entry.wish.trigger == Trigger::Level {
                self.make_due(ident);
            }
        }
        self.due.iter().any(|ident| self.may_tell(*ident))
    }

    /// Makes every edge-triggered descriptor try its luck, but those that were told of: for
    /// libkqueue, which drops edges when it runs out of room, see the traps. Of the `last` that was
    /// told of, half may be missing.
    ///
    /// Those that try in vain have had a spurious event, which the contract allows.
    pub(super) fn doubt_edges(&mut self, told: &HashSet<usize>, last: usize) {
        let is_doubtful = |(ident, entry): (&Ident, &Entry)| {
            let Ident::Descriptor(number) = *ident else {
                return None;
            };
            let is_edge = entry.wish.trigger == Trigger::Edge && !entry.wish.interest.is_empty();
            let is_whole = told.contains(&number) && number != last;
            (is_edge && !is_whole).then_some(*ident)
        };
        let doubtful: Vec<Ident> = self.entries.iter().filter_map(is_doubtful).collect();
        for ident in doubtful {
            if let Some(entry) = self.entries.get_mut(&ident) {
                let directions = entry.wish.interest.intersection(Interest::BOTH);
                entry.pending |= Readiness::from_bits(directions.bits());
            }
            self.make_due(ident);
        }
    }

    /// Puts a source into the queue of those that have something to tell, if it has and may.
    fn make_due(&mut self, ident: Ident) -> bool {
        if !self.may_tell(ident) {
            return false;
        }
        if let Some(entry) = self.entries.get_mut(&ident) {
            if !entry.is_due {
                entry.is_due = true;
                self.due.push_back(ident);
            }
        }
        true
    }

    fn may_tell(&self, ident: Ident) -> bool {
        let entry = self.entries.get(&ident);
        entry.is_some_and(|entry| entry.has_news() && entry.is_armed())
    }
}

impl Entry {
    fn is_armed(&self) -> bool {
        let is_spent = self.wish.trigger == Trigger::OneShot && self.is_spent;
        !self.wish.interest.is_empty() && !is_spent
    }

    fn has_news(&self) -> bool {
        !self.stays.union(self.pending).is_empty()
    }

    /// True if this round's list has an event of it, with which another one merges.
    fn is_told_in(&self, round: u64) -> bool {
        self.told.is_some_and(|(told, _)| told == round)
    }

    /// Some systems tell the writer of a pipe that its reader is gone by its *reading* filter alone
    /// ([go@23aad44](https://github.com/golang/go/commit/23aad448b1e3f7c3b4ba2af90120bde91ac865b4)).
    fn is_writer_of_pipe(&self) -> bool {
        !self.file.is_socket && self.wish.interest.contains(Interest::WRITABLE)
    }

    /// Puts an event into the list, or merges it with the one that is there: for one-shot, so that
    /// there is one; for all, because it is cheap.
    fn tell(&mut self, readiness: Readiness, payload: u64, round: u64, events: &mut Events) {
        let readiness = readiness | self.stays | self.pending;
        let payload = payload + self.payload;
        self.pending = Readiness::NONE;
        self.payload = 0;
        self.is_spent = true;
        match self.told {
            Some((told, index)) if told == round => events.merge(index, readiness, payload),
            _ => {
                self.told = Some((round, events.len()));
                events.push(Event {
                    key: self.wish.key,
                    readiness,
                    payload,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIPE: File = File {
        is_socket: false,
        identity: None,
    };
    const SOCKET: File = File {
        is_socket: true,
        identity: None,
    };
    const FIVE: Ident = Ident::Descriptor(5);
    const TRIGGERS: [Trigger; 3] = [Trigger::Level, Trigger::Edge, Trigger::OneShot];

    /// A table, and the list of the round that is under way.
    struct Bench {
        table: Table,
        events: Events,
        round: u64,
    }

    impl Bench {
        fn new() -> Bench {
            Bench {
                table: Table::new(),
                events: Events::with_capacity(8),
                round: 0,
            }
        }

        fn add(&mut self, ident: Ident, file: File, wish: Wish) -> usize {
            let serial = self.table.next_serial();
            let is_due = self.table.insert(ident, serial, file, wish, standing(wish));
            assert!(!is_due);
            serial
        }

        fn modify(&mut self, ident: Ident, wish: Wish) -> usize {
            let serial = self.table.next_serial();
            let replaced = Some((serial, standing(wish)));
            self.table.modify(ident, wish, replaced);
            serial
        }

        fn fire(&mut self, filter: Filter, number: usize, serial: usize, readiness: Readiness) {
            let news = News {
                filter,
                number,
                serial,
                readiness,
                payload: u64::from(filter == Filter::Signal),
                is_last: filter == Filter::Process,
            };
            assert!(self.table.fire(news, self.round, &mut self.events));
        }

        /// Ends the round, and says what it told.
        fn told(&mut self) -> Vec<(u64, Readiness, u64)> {
            let told = self
                .events
                .iter()
                .map(|event| (event.key.0, event.readiness, event.payload))
                .collect();
            self.events.clear();
            self.round += 1;
            self.table.take_due(self.round, &mut self.events);
            told
        }
    }

    fn wish(key: u64, interest: Interest, trigger: Trigger) -> Wish {
        Wish {
            key: Key(key),
            interest,
            trigger,
        }
    }

    fn standing(wish: Wish) -> Standing {
        Standing {
            filters: wish.interest,
            stays: Readiness::NONE,
        }
    }

    #[test]
    fn two_filters_make_one_event() {
        for trigger in TRIGGERS {
            let mut bench = Bench::new();
            let serial = bench.add(FIVE, SOCKET, wish(1, Interest::BOTH, trigger));
            let other = Ident::Descriptor(6);
            let other_serial = bench.add(other, SOCKET, wish(2, Interest::BOTH, trigger));
            bench.fire(Filter::Write, 5, serial, Readiness::WRITABLE);
            bench.fire(Filter::Read, 6, other_serial, Readiness::READABLE);
            bench.fire(Filter::Read, 5, serial, Readiness::READABLE);
            let both = Readiness::READABLE | Readiness::WRITABLE;
            assert_eq!(bench.told(), [(1, both, 0), (2, Readiness::READABLE, 0)]);
            // The sibling that fires later is told, but not of a one-shot.
            bench.fire(Filter::Write, 6, other_serial, Readiness::WRITABLE);
            let count = bench.told().len();
            assert_eq!(count, usize::from(trigger != Trigger::OneShot));
        }
    }

    #[test]
    fn an_event_of_before_the_change_is_dropped() {
        for trigger in TRIGGERS {
            let mut bench = Bench::new();
            let old = bench.add(FIVE, SOCKET, wish(1, Interest::BOTH, trigger));
            let new = bench.modify(FIVE, wish(2, Interest::WRITABLE, trigger));
            bench.fire(Filter::Read, 5, old, Readiness::READABLE);
            assert_eq!(bench.told(), []);
            bench.fire(Filter::Write, 5, new, Readiness::WRITABLE);
            assert_eq!(bench.told(), [(2, Readiness::WRITABLE, 0)]);
            bench.table.forget(FIVE);
            bench.fire(Filter::Write, 5, new, Readiness::WRITABLE);
            assert_eq!(bench.told(), []);
        }
    }

    #[test]
    fn a_silent_source_is_silent() {
        let mut bench = Bench::new();
        let serial = bench.add(FIVE, SOCKET, wish(1, Interest::NONE, Trigger::Level));
        bench.fire(Filter::Read, 5, serial, Readiness::READ_CLOSED.complete());
        assert_eq!(bench.told(), []);
    }

    #[test]
    fn nothing_has_the_numbers_of_the_alarm_and_of_nobody() {
        let mut table = Table::new();
        table.latest = usize::MAX - 1;
        let serials = [(); 3].map(|()| table.next_serial());
        assert_eq!(serials, [usize::MAX, alarm::SERIAL + 1, alarm::SERIAL + 2]);
    }

    #[test]
    fn an_exit_stays_true() {
        for trigger in TRIGGERS {
            let mut bench = Bench::new();
            let seven = Ident::Process(7);
            let serial = bench.add(seven, File::default(), wish(1, Interest::READABLE, trigger));
            bench.fire(Filter::Process, 7, serial, Readiness::READABLE);
            let exit = [(1, Readiness::READABLE, 0)];
            for round in 0..3 {
                let is_told = round == 0 || trigger == Trigger::Level;
                assert_eq!(
                    bench.told(),
                    exit[..usize::from(is_told)],
                    "{trigger:?} {round}"
                );
            }
            assert!(
                bench
                    .table
                    .modify(seven, wish(2, Interest::READABLE, trigger), None)
            );
            bench.told();
            assert_eq!(bench.told(), [(2, Readiness::READABLE, 0)], "{trigger:?}");
            bench
                .table
                .modify(seven, wish(3, Interest::NONE, trigger), None);
            bench.told();
            assert_eq!(bench.told(), []);
        }
    }

    #[test]
    fn signals_are_kept_while_quiet() {
        let mut bench = Bench::new();
        let signal = Ident::Signal(7);
        let once = wish(1, Interest::READABLE, Trigger::OneShot);
        let serial = bench.add(signal, File::default(), once);
        for _ in 0..3 {
            bench.fire(Filter::Signal, 7, serial, Readiness::READABLE);
            bench.told();
        }
        assert!(bench.table.modify(signal, once, None));
        bench.told();
        assert_eq!(bench.told(), [(1, Readiness::READABLE, 2)]);
        assert!(!bench.table.modify(signal, once, None));
    }

    #[test]
    fn the_end_at_a_pipes_writer_is_worth_a_try_at_writing() {
        for (file, tries) in [(PIPE, true), (SOCKET, false)] {
            let mut bench = Bench::new();
            let serial = bench.add(FIVE, file, wish(1, Interest::BOTH, Trigger::Edge));
            bench.fire(Filter::Read, 5, serial, Readiness::READ_CLOSED.complete());
            assert_eq!(bench.told()[0].1.is_writable(), tries);
        }
    }

    #[test]
    fn doubted_edges_are_told_once() {
        let mut bench = Bench::new();
        let edge = |key| wish(key, Interest::BOTH, Trigger::Edge);
        for number in 1..=3 {
            bench.add(Ident::Descriptor(number), SOCKET, edge(number as u64));
        }
        let level = wish(4, Interest::READABLE, Trigger::Level);
        bench.add(Ident::Descriptor(4), SOCKET, level);
        let silent = wish(5, Interest::NONE, Trigger::Edge);
        bench.add(Ident::Descriptor(5), SOCKET, silent);
        bench.table.doubt_edges(&HashSet::from([1, 2]), 2);
        bench.told();
        let mut told = bench.told();
        told.sort_by_key(|(key, ..)| *key);
        let both = Readiness::READABLE | Readiness::WRITABLE;
        assert_eq!(told, [(2, both, 0), (3, both, 0)]);
        assert_eq!(bench.told(), []);
    }

    #[test]
    fn what_has_no_room_waits_and_what_merges_needs_none() {
        let mut table = Table::new();
        let mut events = Events::with_capacity(1);
        let mut serials = [0; 2];
        for (number, serial) in serials.iter_mut().enumerate() {
            *serial = table.next_serial();
            let wish = wish(number as u64, Interest::BOTH, Trigger::OneShot);
            table.insert(
                Ident::Descriptor(number),
                *serial,
                SOCKET,
                wish,
                standing(wish),
            );
        }
        let mut fire = |filter, number: usize, readiness| {
            let news = News {
                filter,
                number,
                serial: serials[number],
                readiness,
                payload: 0,
                is_last: false,
            };
            table.fire(news, 1, &mut events)
        };
        assert!(fire(Filter::Write, 0, Readiness::WRITABLE));
        assert!(!fire(Filter::Write, 1, Readiness::WRITABLE));
        assert!(fire(Filter::Read, 0, Readiness::READABLE));
        let both = Readiness::READABLE | Readiness::WRITABLE;
        assert_eq!(
            events.iter().map(|event| event.readiness).next(),
            Some(both)
        );
    }

    #[test]
    fn what_is_told_without_the_kernel_leaves_half_of_the_room() {
        let mut bench = Bench::new();
        for number in 0..20 {
            let wish = wish(number as u64, Interest::READABLE, Trigger::Level);
            let serial = bench.add(Ident::Process(number), File::default(), wish);
            let news = News {
                filter: Filter::Process,
                number,
                serial,
                readiness: Readiness::READABLE,
                payload: 0,
                is_last: true,
            };
            bench
                .table
                .fire(news, u64::MAX, &mut Events::with_capacity(1));
        }
        bench.told();
        let mut keys: Vec<u64> = (0..5)
            .flat_map(|_| {
                let told = bench.told();
                assert_eq!(told.len(), 4);
                told.into_iter().map(|(key, ..)| key)
            })
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, (0..20).collect::<Vec<_>>(), "each has its turn");
    }

    /// What is told at every `wait` must not have the only place at each of them.
    #[test]
    fn in_a_list_for_one_the_kernel_has_its_turn() {
        let mut table = Table::new();
        let ident = Ident::Process(1);
        let serial = table.next_serial();
        let level = |interest| wish(1, interest, Trigger::Level);
        let gone = Standing {
            stays: Readiness::READABLE,
            ..Standing::NOTHING
        };
        let loud = level(Interest::READABLE);
        assert!(table.insert(ident, serial, File::default(), loud, gone));
        let mut events = Events::with_capacity(1);
        let mut take = |table: &mut Table, round| {
            events.clear();
            let is_more = table.take_due(round, &mut events);
            (events.len(), is_more)
        };
        for round in 0..3 {
            assert_eq!(take(&mut table, 2 * round), (1, true));
            // It is the kernel's turn, but nobody may sleep.
            assert_eq!(take(&mut table, 2 * round + 1), (0, true));
        }
        assert_eq!(take(&mut table, 6), (1, true));
        // What has become silent keeps nobody awake.
        table.modify(ident, level(Interest::NONE), None);
        assert_eq!(take(&mut table, 7), (0, false));
        assert_eq!(take(&mut table, 8), (0, false));
    }
}
