//! What an answer of the kernel means: an error, something to tell, or neither.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;

use super::ffi::Kevent;
use crate::poller::event::Readiness;
use crate::poller::flags::kqueue::{self as flags, Filter};
use crate::poller::source::Source;
use crate::poller::unsupported;

/// What it means that the kernel took a line or did not: an error, or something to tell.
pub(super) fn judge(
    source: Source<'_>,
    filter: Filter,
    verdict: Result<(), Errno>,
) -> Result<Readiness, Errno> {
    match (filter, verdict) {
        (_, Ok(())) => Ok(Readiness::NONE),
        (Filter::Write, Err(Errno::PIPE)) => Ok(Readiness::WRITE_CLOSED.complete()),
        // NetBSD, unless it means what it says.
        (Filter::Write, Err(Errno::BADF)) if is_open(source) => {
            Ok(Readiness::WRITE_CLOSED.complete())
        }
        (Filter::Process, Err(Errno::SRCH)) => Ok(Readiness::READABLE),
        (_, Err(error)) => Err(error),
    }
}

fn is_open(source: Source<'_>) -> bool {
    match source {
        Source::Socket(fd) | Source::Descriptor(fd) => rustix::io::fcntl_getfd(fd).is_ok(),
        Source::Process(_) | Source::Signal(_) => true,
    }
}

pub(super) fn explain(source: Source<'_>, error: Errno) -> io::Error {
    match (source, error) {
        (
            Source::Descriptor(_),
            Errno::INVAL | Errno::NODEV | Errno::OPNOTSUPP | Errno::PERM | Errno::NXIO,
        ) => unsupported("this system's kqueue cannot watch such devices"),
        _ => error.into(),
    }
}

/// libkqueue says that a stream has ended if it finds it empty. If another thread has emptied it
/// since, that is not so: see the traps.
pub(super) fn is_false_end(event: &Kevent, filter: Filter) -> bool {
    use rustix::net::{RecvFlags, recv};
    if filter != Filter::Read || event.flags() & flags::EOF == 0 || event.data() != 0 {
        return false;
    }
    let Ok(number) = i32::try_from(event.number()) else {
        return false;
    };
    // SAFETY: BorrowedFd asks that the number is open and not -1. It is the number of a source,
    // whose owner has promised in `add` to delete it before it is closed. A look at whatever has
    // the number if the promise is broken, or is kept during these lines, changes nothing there.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let looked = recv(fd, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT);
    matches!(looked, Err(Errno::AGAIN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    /// What the kernels of other systems say, as their sources have it: see the traps.
    #[test]
    fn verdicts() {
        let (reader, writer) = crate::sys::pipe_nonblocking().unwrap();
        let pipe = Source::descriptor(&writer);
        let broken = Readiness::WRITABLE | Readiness::WRITE_CLOSED;
        let (read, write) = (Filter::Read, Filter::Write);
        assert_eq!(judge(pipe, write, Ok(())), Ok(Readiness::NONE));
        assert_eq!(judge(pipe, write, Err(Errno::PIPE)), Ok(broken));
        assert_eq!(judge(pipe, write, Err(Errno::BADF)), Ok(broken));
        assert_eq!(judge(pipe, read, Err(Errno::BADF)), Err(Errno::BADF));
        assert_eq!(judge(pipe, write, Err(Errno::NOMEM)), Err(Errno::NOMEM));
        let gone = judge(Source::Signal(1), Filter::Process, Err(Errno::SRCH));
        assert_eq!(gone, Ok(Readiness::READABLE));
        for (source, error, kind) in [
            (pipe, Errno::INVAL, ErrorKind::Unsupported),
            (pipe, Errno::NODEV, ErrorKind::Unsupported),
            (pipe, Errno::NOMEM, ErrorKind::OutOfMemory),
            (Source::Signal(0), Errno::INVAL, ErrorKind::InvalidInput),
        ] {
            assert_eq!(explain(source, error).kind(), kind);
        }
        drop(reader);
    }
}
