//! kqueue's filters and bits: [kqueue(2)](https://man.freebsd.org/cgi/man.cgi?kqueue(2)).
//!
//! The bits are the same on every system that has a kqueue, in a field of 16 or (NetBSD) 32 bits.
//! The numbers of the filters are not, and stay with the backend; here they have names.

use crate::poller::event::{Interest, Readiness, Trigger};

pub(crate) const ADD: u32 = 0x0001;
pub(crate) const DELETE: u32 = 0x0002;
pub(crate) const ENABLE: u32 = 0x0004;
pub(crate) const DISABLE: u32 = 0x0008;
pub(crate) const ONESHOT: u32 = 0x0010;
pub(crate) const CLEAR: u32 = 0x0020;
pub(crate) const RECEIPT: u32 = 0x0040;
pub(crate) const DISPATCH: u32 = 0x0080;
pub(crate) const ERROR: u32 = 0x4000;
pub(crate) const EOF: u32 = 0x8000;

/// A piece of kernel code that looks at one thing. An entry of the kernel's table is a pair of
/// filter and number, and a number means another thing to each of the last three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Filter {
    /// `EVFILT_READ`, of a descriptor.
    Read,
    /// `EVFILT_WRITE`, of a descriptor.
    Write,
    /// `EVFILT_EXCEPT` with `NOTE_OOB`, of a descriptor.
    Except,
    /// `EVFILT_PROC` with `NOTE_EXIT`, of a process.
    Process,
    /// `EVFILT_SIGNAL`, of a signal.
    Signal,
    /// `EVFILT_USER`, of a number that we choose.
    User,
}

impl Filter {
    /// The filters of a descriptor.
    ///
    /// Their order matters to libkqueue alone, where the last of them to be added decides whether a
    /// half-close is seen behind data. Reading has to be that one.
    pub(crate) const OF_DESCRIPTOR: [Filter; 3] = [Filter::Write, Filter::Except, Filter::Read];

    /// The interest that a descriptor's filter serves.
    pub(crate) const fn interest(self) -> Interest {
        match self {
            Filter::Read => Interest::READABLE,
            Filter::Write => Interest::WRITABLE,
            Filter::Except => Interest::PRIORITY,
            Filter::Process | Filter::Signal | Filter::User => Interest::NONE,
        }
    }
}

/// One line for the kernel's table: a filter, and what to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) filter: Filter,
    pub(crate) flags: u32,
}

/// The line of a process. The kernel drops it once it has reported.
pub(crate) const PROCESS: Change = Change {
    filter: Filter::Process,
    flags: ADD,
};

/// The line of a signal, whose count starts anew when it has been reported.
pub(crate) const SIGNAL: Change = Change {
    filter: Filter::Signal,
    flags: ADD | CLEAR,
};

impl Change {
    /// The change that takes the line out again.
    pub(crate) const fn deleted(self) -> Change {
        Change {
            filter: self.filter,
            flags: DELETE,
        }
    }
}

/// The changes that put a descriptor into the kernel's table.
///
/// * A silent source has a line too, which is disabled at once: the kernel says whether the
///   descriptor can be watched at all, and forgets it when it is closed. (In two changes, because
///   libkqueue disables what is added disabled in name only.)
/// * One-shot is `DISPATCH` (the kernel disables the line, and keeps it) and not `ONESHOT` (it drops
///   the line), for the same reason.
pub(crate) fn encode(interest: Interest, trigger: Trigger) -> impl Iterator<Item = Change> {
    let is_silent = interest.is_empty();
    let filters = if is_silent {
        Interest::READABLE
    } else {
        interest
    };
    let how = match trigger {
        Trigger::Level => 0,
        Trigger::Edge => CLEAR,
        Trigger::OneShot => DISPATCH,
    };
    let silencer = Change {
        filter: Filter::Read,
        flags: DISABLE,
    };
    lines(filters, ADD | how).chain(is_silent.then_some(silencer))
}

/// The same flags for each of the descriptor's filters that are named by their interests.
pub(crate) fn lines(filters: Interest, flags: u32) -> impl Iterator<Item = Change> {
    Filter::OF_DESCRIPTOR
        .into_iter()
        .filter(move |filter| filters.contains(filter.interest()))
        .map(move |filter| Change { filter, flags })
}

/// What an event of the kernel means.
///
/// * `EOF` is of the direction that its filter watches and of no other: read-closed from `Read`,
///   write-closed from `Write` (row a13 of the pitfalls). With it comes, in `fflags`, the error of
///   the socket if there is one.
/// * `ERROR` is a bit among others, and an error only if `data` has its number.
pub(crate) const fn decode(filter: Filter, flags: u32, fflags: u32, data: i64) -> Readiness {
    let is_eof = flags & EOF != 0;
    let mut readiness = match filter {
        Filter::Read if is_eof => Readiness::READ_CLOSED,
        Filter::Read | Filter::Process | Filter::Signal => Readiness::READABLE,
        Filter::Write if is_eof => Readiness::WRITE_CLOSED,
        Filter::Write => Readiness::WRITABLE,
        // Its `fflags` say which exception it is. The end of the stream is reported here too.
        Filter::Except if is_eof && fflags == 0 => Readiness::READ_CLOSED,
        Filter::Except if is_eof => Readiness::PRIORITY.union(Readiness::READ_CLOSED),
        Filter::Except => Readiness::PRIORITY,
        Filter::User => Readiness::NONE,
    };
    let has_socket_error = matches!(filter, Filter::Read | Filter::Write) && is_eof && fflags != 0;
    if has_socket_error || (flags & ERROR != 0 && data != 0) {
        readiness = readiness.union(Readiness::ERROR);
    }
    readiness.complete()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(interest: Interest, trigger: Trigger) -> Vec<(Filter, u32)> {
        encode(interest, trigger)
            .map(|change| (change.filter, change.flags))
            .collect()
    }

    #[test]
    fn encode_table() {
        use Filter::{Except, Read, Write};
        for (trigger, how) in [
            (Trigger::Level, 0),
            (Trigger::Edge, CLEAR),
            (Trigger::OneShot, DISPATCH),
        ] {
            let flags = ADD | how;
            assert_eq!(encoded(Interest::READABLE, trigger), [(Read, flags)]);
            assert_eq!(encoded(Interest::WRITABLE, trigger), [(Write, flags)]);
            assert_eq!(encoded(Interest::PRIORITY, trigger), [(Except, flags)]);
            assert_eq!(
                encoded(Interest::BOTH, trigger),
                [(Write, flags), (Read, flags)]
            );
            assert_eq!(
                encoded(Interest::BOTH | Interest::PRIORITY, trigger),
                [(Write, flags), (Except, flags), (Read, flags)]
            );
            // Row a12: silence is a line that is disabled.
            assert_eq!(
                encoded(Interest::NONE, trigger),
                [(Read, flags), (Read, DISABLE)]
            );
        }
    }

    #[test]
    fn lines_of_nothing_are_none() {
        assert_eq!(lines(Interest::NONE, DELETE).count(), 0);
    }

    #[test]
    fn decode_table() {
        use Filter::{Except, Process, Read, Signal, User, Write};
        const RESET: u32 = 54;
        const OOB: u32 = 2;
        let readable = Readiness::READABLE;
        let writable = Readiness::WRITABLE;
        let read_closed = readable | Readiness::READ_CLOSED;
        let write_closed = writable | Readiness::WRITE_CLOSED;
        let error = readable | writable | Readiness::ERROR;
        for (filter, flags, fflags, data, meaning) in [
            (Read, ADD | CLEAR, 0, 5, readable),
            (Write, ADD | DISPATCH, 0, 4096, writable),
            // Row a13: the end in one direction says nothing of the other.
            (Read, EOF, 0, 5, read_closed),
            (Read, EOF, 0, 0, read_closed),
            (Write, EOF, 0, 0, write_closed),
            (Read, EOF, RESET, 0, read_closed | error),
            (Write, EOF, RESET, 0, write_closed | error),
            // Without an end, the field means other things.
            (Read, 0, RESET, 5, readable),
            // Row a07: the bit alone is not an error.
            (Read, ERROR, 0, 0, readable),
            (Read, ERROR, 0, 9, error),
            (Except, 0, OOB, 1, Readiness::PRIORITY),
            (Except, EOF, OOB, 1, Readiness::PRIORITY | read_closed),
            (Except, EOF, 0, 0, read_closed),
            (Process, EOF | ONESHOT, 1 << 31, 256, readable),
            (Signal, CLEAR, 0, 3, readable),
            (User, CLEAR, 0, 0, Readiness::NONE),
        ] {
            assert_eq!(
                decode(filter, flags, fflags, data),
                meaning,
                "{filter:?} flags {flags:#x} fflags {fflags:#x} data {data}"
            );
        }
    }
}
