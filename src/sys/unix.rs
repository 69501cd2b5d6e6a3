//! Unix, by rustix where it has the call and by libc where it has not.

mod fork;

pub(crate) use fork::ForkGuard;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

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

/// True for what is always ready and therefore never worth watching: regular files, folders, and
/// block devices.
pub(crate) fn is_always_ready(fd: BorrowedFd<'_>) -> io::Result<bool> {
    use rustix::fs::FileType;
    let status = rustix::fs::fstat(fd)?;
    let kind = FileType::from_raw_mode(status.st_mode.into());
    Ok(matches!(
        kind,
        FileType::RegularFile | FileType::Directory | FileType::BlockDevice
    ))
}

/// Puts a descriptor into non-blocking mode.
pub(crate) fn set_fd_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}
