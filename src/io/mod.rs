//! Whatever else can be watched, made asynchronous; and the program's own input and output.
//!
//! [`Async`] takes any socket, and on Unix any descriptor that can be polled: UDP and Unix sockets,
//! pipes, terminals, and the sockets and devices of other crates. [`stdin`], [`stdout`] and
//! [`stderr`] work everywhere, on the blocking pool.

#[cfg(feature = "futures-io")]
mod as_futures_io;
#[cfg(any(feature = "fs", feature = "io-std"))]
pub(crate) mod pooled;
#[cfg(feature = "io-std")]
mod stdio;
#[cfg(all(feature = "futures-io", feature = "io-std"))]
mod stdio_as_futures_io;

use std::fmt;
use std::io;
use std::task::{Context, Poll};

pub use crate::reactor::IoSafe;
#[cfg(feature = "io-std")]
pub use stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout};

use crate::reactor::{Direction, Ready, ReadyFuture, Registration};

/// A socket or descriptor of any type, in non-blocking mode, and the means to wait for it.
///
/// [`read_with`](Async::read_with) and [`write_with`](Async::write_with) do what is needed for any
/// operation that answers `WouldBlock`. If `&T` is [`std::io::Read`] or [`std::io::Write`], `Async<T>`
/// is `AsyncRead` or `AsyncWrite` of the `futures-io` crate (by the feature of that name, on by
/// default).
///
/// # Platform behaviour
///
/// | | Unix | Windows |
/// |---|---|---|
/// | sockets | yes | yes |
/// | pipes, terminals, devices | yes | no |
/// | regular files, folders | `Unsupported` | no |
///
/// # Examples
///
/// ```
/// use ekio::io::Async;
/// use std::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// let one = Async::new(UdpSocket::bind("127.0.0.1:0")?)?;
/// let other = Async::new(UdpSocket::bind("127.0.0.1:0")?)?;
/// let address = other.get_ref().local_addr()?;
///
/// one.write_with(|socket| socket.send_to(b"a datagram", address)).await?;
/// let mut buffer = [0; 16];
/// let (count, from) = other.read_with(|socket| socket.recv_from(&mut buffer)).await?;
/// assert_eq!(&buffer[..count], b"a datagram");
/// assert_eq!(from, one.get_ref().local_addr()?);
/// # Ok(())
/// # })
/// # }
/// ```
pub struct Async<T: IoSafe> {
    registration: Registration<T>,
}

impl<T: IoSafe> Async<T> {
    /// Takes a source, and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// `Unsupported` for what is always ready and cannot be watched (a regular file, a folder); else
    /// what the system says when the mode cannot be changed.
    pub fn new(source: T) -> io::Result<Async<T>> {
        let registration = Registration::new(source)?;
        Ok(Async { registration })
    }

    /// The source.
    pub fn get_ref(&self) -> &T {
        self.registration.get_ref()
    }

    /// Gives the source back, still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the source cannot be deregistered; it is closed then.
    pub fn into_source(self) -> io::Result<T> {
        self.registration.into_source()
    }

    /// Waits until a read is worth a try. Any number of tasks may wait.
    ///
    /// The answer stays the same until it is refuted, however much is read: who reads by way of
    /// [`get_ref`](Async::get_ref) and meets `WouldBlock` says so to
    /// [`clear_ready`](Async::clear_ready), or the next `readable` is ready at once.
    /// [`read_with`](Async::read_with) takes care of that.
    ///
    /// # Errors
    ///
    /// What the system says when the source cannot be registered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ekio::io::Async;
    /// # use std::{io, net::UdpSocket};
    /// # fn main() -> io::Result<()> {
    /// # ekio::block_on(async {
    /// # let receiver = Async::new(UdpSocket::bind("127.0.0.1:0")?)?;
    /// # let sender = UdpSocket::bind("127.0.0.1:0")?;
    /// # sender.send_to(b"hello", receiver.get_ref().local_addr()?)?;
    /// let mut buffer = [0; 16];
    /// let count = loop {
    ///     let ready = receiver.readable().await?;
    ///     match receiver.get_ref().recv(&mut buffer) {
    ///         Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
    ///             receiver.clear_ready(ready);
    ///         }
    ///         answer => break answer?,
    ///     }
    /// };
    /// # assert_eq!(count, 5);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub fn readable(&self) -> ReadyFuture<'_, T> {
        self.registration.ready(Direction::Read)
    }

    /// Waits until a write is worth a try. Any number of tasks may wait. What is said at
    /// [`readable`](Async::readable) holds here too.
    ///
    /// # Errors
    ///
    /// What the system says when the source cannot be registered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub fn writable(&self) -> ReadyFuture<'_, T> {
        self.registration.ready(Direction::Write)
    }

    /// [`readable`](Async::readable) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `readable`.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.registration.poll_ready(cx, Direction::Read)
    }

    /// [`writable`](Async::writable) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `writable`.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        self.registration.poll_ready(cx, Direction::Write)
    }

    /// Takes note of a would-block in the direction of `ready`: it is not worth a try until the next
    /// event. Does nothing if news came since.
    pub fn clear_ready(&self, ready: Ready) {
        self.registration.clear_ready(ready);
    }

    /// Tries a reading operation until it answers something other than `WouldBlock`, waiting in
    /// between. Any number of tasks may wait. `Interrupted` is tried again at once.
    ///
    /// # Errors
    ///
    /// Those of the operation, and those of [`readable`](Async::readable).
    ///
    /// # Cancel safety
    ///
    /// The operation has not been done if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [the type](Async).
    pub async fn read_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.registration.io(Direction::Read, operation).await
    }

    /// Tries a writing operation until it answers something other than `WouldBlock`, waiting in
    /// between. Any number of tasks may wait. `Interrupted` is tried again at once.
    ///
    /// # Errors
    ///
    /// Those of the operation, and those of [`writable`](Async::writable).
    ///
    /// # Cancel safety
    ///
    /// The operation has not been done if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [the type](Async).
    pub async fn write_with<R>(&self, operation: impl FnMut(&T) -> io::Result<R>) -> io::Result<R> {
        self.registration.io(Direction::Write, operation).await
    }
}

impl<T: IoSafe + fmt::Debug> fmt::Debug for Async<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Async").field(self.get_ref()).finish()
    }
}

#[cfg(unix)]
mod os {
    use super::{Async, IoSafe};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    impl<T: IoSafe + AsFd> AsFd for Async<T> {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.get_ref().as_fd()
        }
    }

    impl<T: IoSafe + AsRawFd> AsRawFd for Async<T> {
        fn as_raw_fd(&self) -> RawFd {
            self.get_ref().as_raw_fd()
        }
    }
}

#[cfg(windows)]
mod os {
    use super::{Async, IoSafe};
    use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

    impl<T: IoSafe + AsSocket> AsSocket for Async<T> {
        fn as_socket(&self) -> BorrowedSocket<'_> {
            self.get_ref().as_socket()
        }
    }

    impl<T: IoSafe + AsRawSocket> AsRawSocket for Async<T> {
        fn as_raw_socket(&self) -> RawSocket {
            self.get_ref().as_raw_socket()
        }
    }
}
