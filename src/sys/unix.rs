//! Unix, by rustix where it has the call and by libc where it has not.

mod fork;
mod net;

pub(crate) use fork::ForkGuard;
pub(crate) use net::*;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// A pipe whose two ends, the reading one first, neither block nor survive `exec`.
#[cfg(has_pipe2)]
#[cfg_attr(has_eventfd, allow(dead_code))]
pub(crate) fn pipe_nonblocking() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pipe::{PipeFlags, pipe_with};
    Ok(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?)
}

/// A pipe whose two ends, the reading one first, neither block nor survive `exec` (unless another
/// thread forks between the calls: the system has no way to make such a pipe at once).
#[cfg(not(has_pipe2))]
#[cfg_attr(has_eventfd, allow(dead_code))]
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
    // The two types differ on some systems only.
    #[allow(clippy::useless_conversion)]
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

/// A descriptor that becomes readable when the process has exited.
#[cfg(has_pidfd)]
pub(crate) fn open_process(id: u32) -> io::Result<OwnedFd> {
    use rustix::io::Errno;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::NOSYS | Errno::PERM) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this kernel or sandbox has no pidfd_open",
        )),
        Err(Errno::SRCH) => Err(io::Error::new(
            io::ErrorKind::NotFound,
            "there is no such process: has it been waited for already?",
        )),
        other => Ok(other?),
    }
}

/// A descriptor that becomes readable when the process has exited: not here.
#[cfg(not(has_pidfd))]
pub(crate) fn open_process(_id: u32) -> io::Result<OwnedFd> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this build has no pidfd to watch a process by",
    ))
}
