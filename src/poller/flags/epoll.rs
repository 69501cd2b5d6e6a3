//! epoll's bits: [epoll_ctl(2)](https://man7.org/linux/man-pages/man2/epoll_ctl.2.html).

use crate::poller::event::{Interest, Readiness, Trigger};

pub(crate) const IN: u32 = 0x001;
pub(crate) const PRI: u32 = 0x002;
pub(crate) const OUT: u32 = 0x004;
pub(crate) const ERR: u32 = 0x008;
pub(crate) const HUP: u32 = 0x010;
pub(crate) const RDHUP: u32 = 0x2000;
pub(crate) const ONESHOT: u32 = 1 << 30;
pub(crate) const ET: u32 = 1 << 31;

/// The mask to hand to the kernel.
///
/// `HUP` and `ERR` cannot be masked out: with a mask of zero, a hang-up is still reported, at every
/// wait. So an interest of nothing is edge-triggered, whatever was asked for.
pub(crate) const fn encode(interest: Interest, trigger: Trigger) -> u32 {
    if interest.is_empty() {
        return ET;
    }
    let mut mask = 0;
    if interest.contains(Interest::READABLE) {
        mask |= IN | RDHUP;
    }
    if interest.contains(Interest::WRITABLE) {
        mask |= OUT;
    }
    if interest.contains(Interest::PRIORITY) {
        mask |= PRI;
    }
    match trigger {
        Trigger::Level => mask,
        Trigger::Edge => mask | ET,
        Trigger::OneShot => mask | ONESHOT,
    }
}

/// What the kernel's mask means.
///
/// * `RDHUP` alone is the peer's half-close; `HUP` is both directions down (a pipe: the writer is
///   gone), and comes without `IN` if there is nothing to read.
/// * `ERR` is an error to fetch, or, on the writing end of a pipe, a reader that is gone.
pub(crate) const fn decode(mask: u32) -> Readiness {
    let mut readiness = Readiness::NONE;
    if mask & IN != 0 {
        readiness = readiness.union(Readiness::READABLE);
    }
    if mask & OUT != 0 {
        readiness = readiness.union(Readiness::WRITABLE);
    }
    if mask & PRI != 0 {
        readiness = readiness.union(Readiness::PRIORITY);
    }
    if mask & (RDHUP | HUP | ERR) == 0 {
        return readiness; // Nearly always.
    }
    if mask & (RDHUP | HUP) != 0 {
        readiness = readiness.union(Readiness::READ_CLOSED);
    }
    if mask & HUP != 0 {
        readiness = readiness.union(Readiness::WRITE_CLOSED);
    }
    if mask & ERR != 0 {
        readiness = readiness.union(Readiness::ERROR);
    }
    readiness.complete()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_table() {
        let both = Interest::BOTH;
        assert_eq!(encode(Interest::READABLE, Trigger::Level), IN | RDHUP);
        assert_eq!(encode(Interest::WRITABLE, Trigger::Level), OUT);
        assert_eq!(encode(both, Trigger::Edge), IN | OUT | RDHUP | ET);
        assert_eq!(encode(both, Trigger::OneShot), IN | OUT | RDHUP | ONESHOT);
        assert_eq!(encode(Interest::PRIORITY, Trigger::Level), PRI);
        for trigger in [Trigger::Level, Trigger::Edge, Trigger::OneShot] {
            assert_eq!(encode(Interest::NONE, trigger), ET);
        }
    }

    #[test]
    fn decode_table() {
        let readable = Readiness::READABLE;
        let writable = Readiness::WRITABLE;
        let read_closed = readable | Readiness::READ_CLOSED;
        let closed = read_closed | writable | Readiness::WRITE_CLOSED;
        for (mask, meaning) in [
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
            assert_eq!(decode(mask), meaning, "mask {mask:#x}");
        }
    }
}
