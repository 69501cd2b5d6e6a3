//! Unix, by rustix where it has the call and by libc where it has not, or where the call alone would have
//! much more of rustix built.

mod fork;
mod local;
mod net;
#[cfg(feature = "signal")]
mod signals;
mod udp;

pub(crate) use fork::ForkGuard;
pub use local::UnixAddr;
pub(crate) use local::*;
pub(crate) use net::*;
#[cfg(feature = "signal")]
pub(crate) use signals::*;
pub(crate) use udp::*;

use std::fs::{File, Metadata};
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt as _;

/// A pipe whose two ends, the reading one first, neither block nor survive `exec`.
#[cfg(has_pipe2)]
pub(crate) fn pipe_nonblocking() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: pipe2 asks for room for two numbers, which is the array above.
    let answer = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
    two_new(answer, ends)
}

/// A pipe whose two ends, the reading one first, neither block nor survive `exec` (unless another
/// thread forks between the calls: the system has no way to make such a pipe at once).
#[cfg(not(has_pipe2))]
pub(crate) fn pipe_nonblocking() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
    let mut ends = [-1; 2];
    // SAFETY: pipe asks for room for two numbers, which is the array above.
    let answer = unsafe { libc::pipe(ends.as_mut_ptr()) };
    let (reader, writer) = two_new(answer, ends)?;
    for end in [&reader, &writer] {
        fcntl_setfd(end, FdFlags::CLOEXEC)?;
        ioctl_fionbio(end, true)?;
    }
    Ok((reader, writer))
}

/// The owners of the two descriptors that a call has made, if it has.
fn two_new(answer: libc::c_int, ends: [RawFd; 2]) -> io::Result<(OwnedFd, OwnedFd)> {
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: OwnedFd asks for an open descriptor that is nobody else's: the call of our only callers,
    // above, has succeeded, and put there the numbers of two that it has opened.
    let [reader, writer] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    Ok((reader, writer))
}

/// What the system knows of the file behind a descriptor. (By std, which asks in 64 bits on 32-bit machines
/// too.)
pub(crate) fn metadata_of(fd: BorrowedFd<'_>) -> io::Result<Metadata> {
    // SAFETY: File asks for an open descriptor that is its own to close. This one is open, because it is
    // borrowed here, and is not closed, because the File is never dropped.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd.as_raw_fd()) });
    file.metadata()
}

/// True for what is always ready and therefore never worth watching: regular files, folders, and
/// block devices.
pub(crate) fn is_always_ready(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let kind = metadata_of(fd)?.file_type();
    Ok(kind.is_file() || kind.is_dir() || kind.is_block_device())
}

/// Puts a descriptor into non-blocking mode.
pub(crate) fn set_fd_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, true)?)
}

/// Puts a descriptor back into blocking mode.
pub(crate) fn set_fd_blocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(fd, false)?)
}

/// A descriptor that becomes readable when the process has exited.
#[cfg(has_pidfd)]
pub(crate) fn open_process(id: u32) -> io::Result<OwnedFd> {
    let pid = libc::pid_t::try_from(id).ok().filter(|pid| *pid != 0);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: pidfd_open(2) takes two numbers, and touches no memory of ours.
    let answer = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match RawFd::try_from(answer) {
        Ok(number) if number >= 0 => {
            // SAFETY: OwnedFd asks for an open descriptor that is nobody else's: the call above has
            // made it.
            Ok(unsafe { OwnedFd::from_raw_fd(number) })
        }
        _ => Err(why_no_pidfd(io::Error::last_os_error())),
    }
}

#[cfg(has_pidfd)]
fn why_no_pidfd(error: io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => io::Error::new(
            io::ErrorKind::Unsupported,
            "this kernel or sandbox has no pidfd_open",
        ),
        Some(libc::ESRCH) => io::Error::new(
            io::ErrorKind::NotFound,
            "there is no such process: has it been waited for already?",
        ),
        _ => error,
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
