//! poll's bits: [poll(2)](https://man7.org/linux/man-pages/man2/poll.2.html).
//!
//! `POLLRDHUP` has a different number on each of the few systems that have it, so it is handed in;
//! zero stands for "there is none".

use crate::poller::event::{Interest, Readiness};

pub(crate) const IN: i16 = 0x01;
pub(crate) const PRI: i16 = 0x02;
pub(crate) const OUT: i16 = 0x04;
pub(crate) const ERR: i16 = 0x08;
pub(crate) const HUP: i16 = 0x10;
pub(crate) const NVAL: i16 = 0x20;

/// What is reported without having been asked for.
pub(crate) const UNMASKABLE: i16 = ERR | HUP | NVAL;

/// The mask for the directions that are to be reported.
///
/// `HUP` and `ERR` cannot be masked out: with a mask of zero they are still reported, at every call.
/// So where nothing is to be reported there is no mask, and the source does not stand in the array.
pub(crate) const fn encode(armed: Interest, rdhup: i16) -> Option<i16> {
    if armed.is_empty() {
        return None;
    }
    let mut mask = 0;
    if armed.contains(Interest::READABLE) {
        mask |= IN | rdhup;
    }
    if armed.contains(Interest::WRITABLE) {
        mask |= OUT;
    }
    if armed.contains(Interest::PRIORITY) {
        mask |= PRI;
    }
    Some(mask)
}

/// What the kernel's answer means. (`NVAL` is not of the source but of its number; the caller looks
/// for it first.)
///
/// * `RDHUP` alone is the peer's half-close.
/// * `HUP` is both directions down. On systems without `RDHUP` it may be only the half-close, but
///   then `OUT` can come with it, which POSIX excludes for a true hang-up; nothing is claimed of the
///   writing direction then.
/// * `ERR` is an error to fetch, or, on the writing end of a pipe, a reader that is gone.
pub(crate) const fn decode(revents: i16, rdhup: i16) -> Readiness {
    let mut readiness = Readiness::NONE;
    if revents & IN != 0 {
        readiness = readiness.union(Readiness::READABLE);
    }
    if revents & OUT != 0 {
        readiness = readiness.union(Readiness::WRITABLE);
    }
    if revents & PRI != 0 {
        readiness = readiness.union(Readiness::PRIORITY);
    }
    if revents & (rdhup | HUP) != 0 {
        readiness = readiness.union(Readiness::READ_CLOSED);
    }
    if revents & HUP != 0 && (rdhup != 0 || revents & OUT == 0) {
        readiness = readiness.union(Readiness::WRITE_CLOSED);
    }
    if revents & ERR != 0 {
        readiness = readiness.union(Readiness::ERROR);
    }
    readiness.complete()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RDHUP: i16 = 0x2000;

    #[test]
    fn encode_table() {
        assert_eq!(encode(Interest::NONE, RDHUP), None);
        assert_eq!(encode(Interest::READABLE, RDHUP), Some(IN | RDHUP));
        assert_eq!(encode(Interest::READABLE, 0), Some(IN));
        assert_eq!(encode(Interest::WRITABLE, RDHUP), Some(OUT));
        assert_eq!(encode(Interest::BOTH, RDHUP), Some(IN | OUT | RDHUP));
        assert_eq!(encode(Interest::PRIORITY, RDHUP), Some(PRI));
        let all = Interest::BOTH | Interest::PRIORITY;
        let asked = encode(all, RDHUP).unwrap() & UNMASKABLE;
        assert_eq!(asked, 0, "they come unasked");
    }

    #[test]
    fn decode_table() {
        let readable = Readiness::READABLE;
        let writable = Readiness::WRITABLE;
        let read_closed = readable | Readiness::READ_CLOSED;
        let closed = read_closed | writable | Readiness::WRITE_CLOSED;
        for (revents, meaning) in [
            (0, Readiness::NONE),
            (IN, readable),
            (OUT, writable),
            (PRI, Readiness::PRIORITY),
            (IN | RDHUP, read_closed),
            (RDHUP, read_closed),
            // Row a11: each of the two may come alone.
            (HUP, closed),
            (ERR, readable | writable | Readiness::ERROR),
            (IN | OUT | ERR | HUP | RDHUP, closed | Readiness::ERROR),
        ] {
            assert_eq!(decode(revents, RDHUP), meaning, "revents {revents:#x}");
        }
    }

    #[test]
    fn decode_table_without_rdhup() {
        let read_closed = Readiness::READABLE | Readiness::READ_CLOSED;
        let closed = read_closed | Readiness::WRITABLE | Readiness::WRITE_CLOSED;
        assert_eq!(decode(HUP, 0), closed);
        assert_eq!(decode(IN | HUP, 0), closed);
        assert_eq!(decode(IN | OUT | HUP, 0), read_closed | Readiness::WRITABLE);
    }
}
