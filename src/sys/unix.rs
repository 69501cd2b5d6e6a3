//! Unix, by rustix where it has the call and by libc where it has not.

mod fork;

pub(crate) use fork::ForkGuard;

use std::io;
use std::os::fd::OwnedFd;

/// A pipe whose two ends, the reading one first, neither block nor survive `exec`.
#[cfg(has_pipe2)]
pub(crate) fn pipe_nonblocking() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pipe::{PipeFlags, pipe_with};
    Ok(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?)
}

/// A pipe whose two ends, the reading one first, neither block nor survive `exec` (unless another
/// thread forks between the calls: the system has no way to make such a pipe at once).
#[cfg(not(has_pipe2))]
pub(crate) fn pipe_nonblocking() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
    let (reader, writer) = rustix::pipe::pipe()?;
    for end in [&reader, &writer] {
        fcntl_setfd(end, FdFlags::CLOEXEC)?;
        ioctl_fionbio(end, true)?;
    }
    Ok((reader, writer))
}
