//! What can be watched.

use std::io;

pub(crate) use crate::sys::addresses;
use crate::sys::{self, AsSocket, BorrowedSocket, RawSocket};

/// Something whose events a [`Poller`](super::Poller) can report.
///
/// A kind that a backend cannot watch is answered with
/// [`ErrorKind::Unsupported`](std::io::ErrorKind::Unsupported) by `add`:
///
/// | kind | epoll | poll | kqueue | IOCP |
/// |---|---|---|---|---|
/// | socket | yes | yes | yes | yes |
/// | descriptor | all but regular files and folders | the same | the same | there are none |
/// | process | with pidfd | with pidfd | yes | yes |
/// | signal | no | no | yes | there are none |
///
/// [`ekio::signal`](crate::signal) works everywhere, by a handler and a descriptor.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Source<'a> {
    /// A socket of any family. The kernel is not asked whether it is one.
    Socket(BorrowedSocket<'a>),
    /// A pipe, terminal, device, or whatever else has a descriptor that can be polled. Those that
    /// are always ready (regular files, folders) are refused with `Unsupported` everywhere.
    #[cfg(unix)]
    Descriptor(std::os::fd::BorrowedFd<'a>),
    /// A child process, which becomes readable when it has exited.
    Process(Process<'a>),
    /// A signal of this process by its number, which becomes readable when it has been delivered.
    /// To watch it does not change its effect, which for most is to end the process: ignore or
    /// handle it first.
    Signal(i32),
}

impl<'a> Source<'a> {
    /// A socket, from whatever owns one.
    pub fn socket(socket: &'a impl AsSocket) -> Source<'a> {
        Source::Socket(socket.as_socket_ref())
    }

    /// A descriptor that is not a socket, from whatever owns one.
    #[cfg(unix)]
    pub fn descriptor(descriptor: &'a impl std::os::fd::AsFd) -> Source<'a> {
        Source::Descriptor(descriptor.as_fd())
    }

    /// A child process.
    pub fn process(child: &'a std::process::Child) -> Source<'a> {
        Source::Process(Process::new(child))
    }
}

/// A source as a number, for who tells of it without owning it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Socket(RawSocket),
    #[cfg(unix)]
    Descriptor(std::os::fd::RawFd),
    /// Its number; that of its handle, where it has no other name.
    Process(ProcessNumber),
    Signal(i32),
}

#[cfg(unix)]
type ProcessNumber = u32;
#[cfg(windows)]
type ProcessNumber = u64;

impl Label {
    /// What kind of number it is, and the number.
    pub(crate) fn name(self) -> (&'static str, u64) {
        match self {
            Label::Socket(socket) => ("socket", sys::to_number(socket)),
            #[cfg(unix)]
            Label::Descriptor(fd) => ("descriptor", sys::to_number(fd)),
            #[cfg(unix)]
            Label::Process(number) => ("process", u64::from(number)),
            #[cfg(windows)]
            Label::Process(number) => ("process", number),
            Label::Signal(number) => ("signal", u64::from(number.unsigned_abs())),
        }
    }
}

impl Source<'_> {
    pub(crate) fn label(self) -> Label {
        match self {
            Source::Socket(socket) => Label::Socket(sys::to_raw(socket)),
            #[cfg(unix)]
            Source::Descriptor(fd) => Label::Descriptor(std::os::fd::AsRawFd::as_raw_fd(&fd)),
            Source::Process(process) => Label::Process(process.number()),
            Source::Signal(number) => Label::Signal(number),
        }
    }
}

/// A child process that has not been waited for, as the system names it: by its number on Unix,
/// by its handle on Windows.
#[derive(Clone, Copy, Debug)]
pub struct Process<'a> {
    #[cfg(unix)]
    id: u32,
    #[cfg(windows)]
    handle: std::os::windows::io::BorrowedHandle<'a>,
    /// The child must not be reaped while its number is in use, so the number borrows it.
    _child: std::marker::PhantomData<&'a std::process::Child>,
}

#[cfg(unix)]
impl<'a> Process<'a> {
    fn new(child: &'a std::process::Child) -> Process<'a> {
        Process {
            id: child.id(),
            _child: std::marker::PhantomData,
        }
    }

    /// The process's number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    fn number(&self) -> ProcessNumber {
        self.id
    }
}

#[cfg(windows)]
impl<'a> Process<'a> {
    fn new(child: &'a std::process::Child) -> Process<'a> {
        use std::os::windows::io::AsHandle as _;
        Process {
            handle: child.as_handle(),
            _child: std::marker::PhantomData,
        }
    }

    /// The process's handle.
    #[must_use]
    pub fn handle(&self) -> std::os::windows::io::BorrowedHandle<'a> {
        self.handle
    }

    fn number(&self) -> ProcessNumber {
        use std::os::windows::io::AsRawHandle as _;
        self.handle.as_raw_handle().addr() as u64
    }
}

/// Refuses a source that is always ready. Sockets pay nothing for it.
pub(crate) fn check_watchable(source: Source<'_>) -> io::Result<()> {
    match source {
        #[cfg(unix)]
        Source::Descriptor(fd) if sys::is_always_ready(fd)? => Err(super::unsupported(
            "regular files and folders are always ready: no event queue can watch them",
        )),
        _ => Ok(()),
    }
}

/// Puts a source into non-blocking mode. Processes and signals have none.
pub(crate) fn set_nonblocking(source: Source<'_>) -> io::Result<()> {
    match source {
        #[cfg(unix)]
        Source::Socket(fd) | Source::Descriptor(fd) => sys::set_fd_nonblocking(fd),
        #[cfg(windows)]
        Source::Socket(socket) => sys::set_socket_nonblocking(socket),
        Source::Process(_) | Source::Signal(_) => Ok(()),
    }
}
