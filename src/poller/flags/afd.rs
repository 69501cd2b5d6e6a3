//! AFD's bits. Microsoft documents none of them; their meaning was found out by
//! [wepoll](https://github.com/piscisaureus/wepoll), and each system since Windows Vista, and Wine,
//! keeps to it.

use crate::poller::event::{Interest, Readiness};

pub(crate) const RECEIVE: u32 = 0x001;
pub(crate) const RECEIVE_EXPEDITED: u32 = 0x002;
pub(crate) const SEND: u32 = 0x004;
pub(crate) const DISCONNECT: u32 = 0x008;
pub(crate) const ABORT: u32 = 0x010;
pub(crate) const LOCAL_CLOSE: u32 = 0x020;
pub(crate) const ACCEPT: u32 = 0x080;
pub(crate) const CONNECT_FAIL: u32 = 0x100;

/// The mask to poll for, if there is anything to poll for.
///
/// * The bits that tell of the end (`ABORT`, `CONNECT_FAIL`) must be asked for. `LOCAL_CLOSE` comes
///   whether or not it was.
/// * `AFD_POLL_CONNECT` (0x40) is left alone: once a socket is connected it holds for ever, and
///   `SEND` says the same thing.
/// * The trigger is not in the mask: AFD answers a poll once, and to ask again is up to us.
pub(crate) const fn encode(interest: Interest) -> Option<u32> {
    if interest.is_empty() {
        return None;
    }
    let mut mask = ABORT | CONNECT_FAIL | LOCAL_CLOSE;
    if interest.contains(Interest::READABLE) {
        mask |= RECEIVE | ACCEPT | DISCONNECT;
    }
    if interest.contains(Interest::WRITABLE) {
        mask |= SEND;
    }
    if interest.contains(Interest::PRIORITY) {
        mask |= RECEIVE_EXPEDITED;
    }
    Some(mask)
}

/// What a finished poll means: the mask in its answer, and the `NTSTATUS` of the poll itself.
///
/// * `DISCONNECT` is the peer's half-close. `ABORT` is a reset, `CONNECT_FAIL` a connection attempt
///   that failed; each leaves an error to fetch, and neither direction works any more.
/// * `LOCAL_CLOSE` says that we have closed the socket ourselves. It has no readiness.
/// * A cancelled poll says nothing (bit 31 and 30 of a status: an error). One that failed says that
///   the socket needs to be looked at.
pub(crate) const fn decode(mask: u32, status: i32) -> Readiness {
    if is_error(status) {
        return if status == STATUS_CANCELLED {
            Readiness::NONE
        } else {
            Readiness::ERROR.complete()
        };
    }
    let mut readiness = Readiness::NONE;
    if mask & (RECEIVE | ACCEPT) != 0 {
        readiness = readiness.union(Readiness::READABLE);
    }
    if mask & SEND != 0 {
        readiness = readiness.union(Readiness::WRITABLE);
    }
    if mask & RECEIVE_EXPEDITED != 0 {
        readiness = readiness.union(Readiness::PRIORITY);
    }
    if mask & (DISCONNECT | ABORT | CONNECT_FAIL) != 0 {
        readiness = readiness.union(Readiness::READ_CLOSED);
    }
    if mask & (ABORT | CONNECT_FAIL) != 0 {
        readiness = readiness
            .union(Readiness::WRITE_CLOSED)
            .union(Readiness::ERROR);
    }
    readiness.complete()
}

pub(crate) const STATUS_UNSUCCESSFUL: i32 = 0xc000_0001_u32 as i32;
pub(crate) const STATUS_CANCELLED: i32 = 0xc000_0120_u32 as i32;
pub(crate) const STATUS_INVALID_HANDLE: i32 = 0xc000_0008_u32 as i32;
pub(crate) const STATUS_OBJECT_TYPE_MISMATCH: i32 = 0xc000_0024_u32 as i32;

/// True if an answer says that the socket is not open any more: it was closed while a poll was
/// under way, or its number is nobody's or somebody else's by now. (A poll that failed leaves the
/// mask as it was, with all the bits that we asked for.)
pub(crate) const fn is_closed(mask: u32, status: i32) -> bool {
    if is_error(status) {
        status == STATUS_INVALID_HANDLE || status == STATUS_OBJECT_TYPE_MISMATCH
    } else {
        mask & LOCAL_CLOSE != 0
    }
}

/// True for a status that says "this did not happen", and so, if a call answers it at once, that no
/// packet will come (`NT_ERROR`).
pub(crate) const fn is_error(status: i32) -> bool {
    status as u32 >> 30 == 3
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALWAYS: u32 = ABORT | CONNECT_FAIL | LOCAL_CLOSE;
    const STATUS_SUCCESS: i32 = 0;

    #[test]
    fn a23_afd_table() {
        let readable = Readiness::READABLE;
        let writable = Readiness::WRITABLE;
        let read_closed = readable | Readiness::READ_CLOSED;
        let broken = read_closed | writable | Readiness::WRITE_CLOSED | Readiness::ERROR;
        for (mask, meaning) in [
            (0, Readiness::NONE),
            (RECEIVE, readable),
            (ACCEPT, readable),
            (SEND, writable),
            (RECEIVE | SEND, readable | writable),
            (RECEIVE_EXPEDITED, Readiness::PRIORITY),
            (DISCONNECT, read_closed),
            (RECEIVE | DISCONNECT, read_closed),
            (SEND | DISCONNECT, read_closed | writable),
            (ABORT, broken),
            (RECEIVE | ABORT, broken),
            (CONNECT_FAIL, broken),
            (LOCAL_CLOSE, Readiness::NONE),
        ] {
            assert_eq!(decode(mask, STATUS_SUCCESS), meaning, "mask {mask:#x}");
        }
    }

    #[test]
    fn a_poll_that_did_not_succeed() {
        const STATUS_INSUFFICIENT_RESOURCES: i32 = 0xc000_009a_u32 as i32;
        const STATUS_PENDING: i32 = 0x103;
        assert_eq!(decode(RECEIVE, STATUS_CANCELLED), Readiness::NONE);
        assert_eq!(
            decode(0, STATUS_INSUFFICIENT_RESOURCES),
            Readiness::READABLE | Readiness::WRITABLE | Readiness::ERROR
        );
        assert!(is_error(STATUS_CANCELLED) && is_error(STATUS_INVALID_HANDLE));
        assert!(is_closed(LOCAL_CLOSE, STATUS_SUCCESS) && is_closed(0, STATUS_INVALID_HANDLE));
        assert!(!is_closed(ABORT, STATUS_SUCCESS) && !is_closed(u32::MAX, STATUS_CANCELLED));
        // A warning (bit 31 alone) has happened, and its packet comes.
        assert!(!is_error(STATUS_PENDING) && !is_error(i32::MIN | 5));
    }

    #[test]
    fn encode_table() {
        assert_eq!(encode(Interest::NONE), None);
        let reading = RECEIVE | ACCEPT | DISCONNECT;
        assert_eq!(encode(Interest::READABLE), Some(reading | ALWAYS));
        assert_eq!(encode(Interest::WRITABLE), Some(SEND | ALWAYS));
        assert_eq!(encode(Interest::PRIORITY), Some(RECEIVE_EXPEDITED | ALWAYS));
        assert_eq!(encode(Interest::BOTH), Some(reading | SEND | ALWAYS));
    }
}
