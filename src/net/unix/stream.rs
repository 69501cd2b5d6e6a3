//! A connection.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use super::SocketAddr;
use crate::net::back_off::rest_for;
use crate::net::stream::Stream;
use crate::reactor::budget;
use crate::sys::{self, StreamSocket};

/// How long to wait when the listener's queue is full before another look, of which no event tells;
/// twice as long after each one that follows.
const FIRST_WAIT: Duration = Duration::from_millis(1);

/// The longest wait.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// A connection between processes of one machine: `std::os::unix::net::UnixStream`, asynchronous. See
/// [the module](super) for where there is one.
///
/// Everything works on a shared reference, so one task may read while another one writes. Several
/// tasks may even wait to read by [`read`](UnixStream::read) at the same time: all are woken by data,
/// and one of them gets it. What takes a [`Context`] ([`poll_read`](UnixStream::poll_read), the traits
/// of `futures-io`) keeps only the waker of its latest caller in each direction.
///
/// With the feature `futures-io`, which is on by default, the type and references to it are
/// `futures_io::{AsyncRead, AsyncWrite}`; with the feature `hyper`, `hyper::rt::{Read, Write}` as well.
///
/// Dropping the stream closes the connection in both directions.
///
/// # Examples
///
/// ```
/// # #[cfg(unix)]
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// use ekio::net::unix::UnixStream;
///
/// let (one, other) = UnixStream::pair()?;
/// one.write_all(b"hello").await?;
/// drop(one);
/// let mut buffer = [0; 5];
/// other.read_exact(&mut buffer).await?;
/// assert_eq!(&buffer, b"hello");
/// assert_eq!(other.read(&mut buffer).await?, 0);
/// # Ok(())
/// # })
/// # }
/// # #[cfg(windows)]
/// # fn main() {}
/// ```
pub struct UnixStream {
    pub(crate) stream: Stream<sys::UnixStream>,
}

impl UnixStream {
    /// Connects to the socket that listens at a path (`socket`, `connect`).
    ///
    /// # Platform behaviour
    ///
    /// | | Linux | others |
    /// |---|---|---|
    /// | too many connections wait there to be accepted | waits until there is room, looking again after 1 ms, and up to 100 ms | refused, or waits |
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `NotFound` | there is no such file |
    /// | `ConnectionRefused` | nobody listens there |
    /// | `PermissionDenied` | the file may not be written |
    /// | `InvalidInput` | the path is too long, or contains a zero |
    /// | `Unsupported` | the machine has no Unix sockets |
    /// | others | what the system says |
    ///
    /// # Cancel safety
    ///
    /// Dropped at any time, it closes the socket, and the attempt with it.
    ///
    /// # Examples
    ///
    /// See [`UnixListener`](super::UnixListener).
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        let address = sys::unix_addr(path.as_ref())?;
        UnixStream::connect_addr(&address).await
    }

    /// [`connect`](UnixStream::connect), for an address that is no path: an abstract name of Linux.
    ///
    /// # Errors
    ///
    /// Those of `connect`, and `InvalidInput` for an address without a name.
    ///
    /// # Cancel safety
    ///
    /// That of `connect`.
    ///
    /// # Examples
    ///
    /// See [the module](super).
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        poll_fn(budget::poll_proceed).await;
        budget::spend();
        let socket = sys::unix_socket()?;
        let mut wait = FIRST_WAIT;
        let is_connected = loop {
            match sys::connect_unix(&socket, address) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // In a box, because it is rare.
                    Box::pin(rest_for(wait)).await;
                    wait = (wait * 2).min(LAST_WAIT);
                }
                answer => break answer?,
            }
        };
        let stream = UnixStream::of_nonblocking(socket, is_connected);
        if !is_connected {
            stream.stream.finish_connect().await?;
        }
        Ok(stream)
    }

    /// Reads what there is (`recv`), waiting until there is something. 0 is the end of the stream:
    /// the peer writes no more. (An empty buffer gives 0 as well.)
    ///
    /// # Errors
    ///
    /// `ConnectionReset` if the peer has gone without reading all that it was sent, and what the
    /// system says.
    ///
    /// # Cancel safety
    ///
    /// Nothing has been read if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [the type](UnixStream).
    #[doc(alias = "recv")]
    pub fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.stream.read(buffer)
    }

    /// [`read`](UnixStream::read) into several buffers, filled one after the other (`readv`; on Windows
    /// into the first one that is not empty).
    ///
    /// # Errors
    ///
    /// Those of `read`.
    ///
    /// # Cancel safety
    ///
    /// That of `read`.
    #[doc(alias = "readv")]
    pub fn read_vectored(
        &self,
        buffers: &mut [IoSliceMut<'_>],
    ) -> impl Future<Output = io::Result<usize>> {
        self.stream.read_vectored(buffers)
    }

    /// Reads until the buffer is full.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends before, and those of [`read`](UnixStream::read). What the
    /// buffer holds is unspecified then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what has been read is in the buffer, but nobody knows how much it is.
    ///
    /// # Examples
    ///
    /// See [the type](UnixStream).
    pub fn read_exact(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<()>> {
        self.stream.read_exact(buffer)
    }

    /// Reads without taking: a later read gives the same bytes again (`recv` with `MSG_PEEK`).
    ///
    /// # Errors
    ///
    /// Those of [`read`](UnixStream::read).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// # let (one, other) = ekio::net::unix::UnixStream::pair()?;
    /// one.write_all(b"twice").await?;
    /// let mut buffer = [0; 5];
    /// assert_eq!(other.peek(&mut buffer).await?, 5);
    /// assert_eq!(other.read(&mut buffer).await?, 5);
    /// # Ok(())
    /// # })
    /// # }
    /// # #[cfg(windows)]
    /// # fn main() {}
    /// ```
    #[doc(alias = "MSG_PEEK")]
    pub fn peek(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.stream.peek(buffer)
    }

    /// Writes as much as there is room for (`send`), waiting until there is some.
    ///
    /// Guaranteed: a connection that its peer has closed is an error, not a signal (`MSG_NOSIGNAL`,
    /// `SO_NOSIGPIPE`).
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `BrokenPipe`, `ConnectionReset`, `ConnectionAborted` | the peer takes no more, or this side was shut down |
    /// | others | what the system said |
    ///
    /// # Cancel safety
    ///
    /// Nothing has been written if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [`write_all`](UnixStream::write_all), in [the type](UnixStream)'s example.
    #[doc(alias = "send")]
    pub fn write(&self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> {
        self.stream.write(bytes)
    }

    /// [`write`](UnixStream::write) from several buffers, one after the other (`sendmsg` or `writev`;
    /// `send` for a few bytes, which are put together before; on Windows from the first one that is not
    /// empty).
    ///
    /// # Errors
    ///
    /// Those of `write`.
    ///
    /// # Cancel safety
    ///
    /// That of `write`.
    #[doc(alias = "writev")]
    #[doc(alias = "sendmsg")]
    pub fn write_vectored(
        &self,
        buffers: &[IoSlice<'_>],
    ) -> impl Future<Output = io::Result<usize>> {
        self.stream.write_vectored(buffers)
    }

    /// Writes everything.
    ///
    /// # Errors
    ///
    /// Those of [`write`](UnixStream::write).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a part may have been written, and nobody knows how much it is.
    ///
    /// # Examples
    ///
    /// See [the type](UnixStream).
    pub fn write_all(&self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.stream.write_all(bytes)
    }

    /// [`read`](UnixStream::read) for those who write a future by hand. The waker of the latest caller
    /// is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, buffer)
    }

    /// [`write`](UnixStream::write) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_write(cx, bytes)
    }

    /// Ends one direction or both (`shutdown`). It does not wait for what is on its way.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is gone, on some systems.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(unix)]
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// # let (one, other) = ekio::net::unix::UnixStream::pair()?;
    /// one.shutdown(std::net::Shutdown::Write)?;
    /// assert_eq!(other.read(&mut [0; 8]).await?, 0);
    /// other.write_all(b"the other way").await?;
    /// # Ok(())
    /// # })
    /// # }
    /// # #[cfg(windows)]
    /// # fn main() {}
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    /// The address of this side (`getsockname`), which is unnamed at a client.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// The address of the other side (`getpeername`), which is unnamed at a server.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection has broken.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        StreamSocket::peer_addr(self.socket())
    }

    /// Takes the error that the system keeps for the socket, if there is one, and clears it
    /// (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// What the system says when it cannot be asked.
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        StreamSocket::take_error(self.socket())
    }

    pub(super) fn of_nonblocking(socket: sys::UnixStream, is_connected: bool) -> UnixStream {
        UnixStream {
            stream: Stream::of_nonblocking(socket, is_connected),
        }
    }

    fn socket(&self) -> &sys::UnixStream {
        self.stream.socket()
    }

    pub(in crate::net) fn lend(&self) -> &sys::UnixStream {
        self.stream.lend()
    }
}

/// What Unix alone has, or `std` on Unix alone.
#[cfg(unix)]
impl UnixStream {
    /// Two streams that are connected to each other (`socketpair`).
    ///
    /// # Errors
    ///
    /// What the system says, for one that there are no more descriptors.
    ///
    /// # Examples
    ///
    /// See [the type](UnixStream).
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = sys::unix_stream_pair()?;
        let [one, other] = [one, other].map(|end| UnixStream::of_nonblocking(end, true));
        Ok((one, other))
    }

    /// Who is at the other end: on whose behalf its process connected, or listened, at that time
    /// (`SO_PEERCRED`, `getpeereid`).
    ///
    /// # Errors
    ///
    /// `Unsupported` where the system does not tell, and what the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// let (one, _other) = ekio::net::unix::UnixStream::pair()?;
    /// let peer = one.peer_cred()?;
    /// println!("user {}, group {}, process {:?}", peer.uid(), peer.gid(), peer.pid());
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[doc(alias = "SO_PEERCRED")]
    #[doc(alias = "getpeereid")]
    pub fn peer_cred(&self) -> io::Result<super::UCred> {
        sys::credentials(self.socket()).map(super::UCred::new)
    }

    /// Takes a stream of `std`, and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the mode cannot be changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let (one, _other) = std::os::unix::net::UnixStream::pair()?;
    /// let one = ekio::net::unix::UnixStream::from_std(one)?;
    ///
    /// let one = one.into_std()?;
    /// one.set_nonblocking(false)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_std(stream: std::os::unix::net::UnixStream) -> io::Result<UnixStream> {
        sys::adopt_unix_stream(&stream)?;
        let stream = UnixStream::of_nonblocking(stream, true);
        stream.lend();
        Ok(stream)
    }

    /// Gives the socket back as a stream of `std`. It is still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be deregistered; it is closed then.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixStream> {
        self.stream.into_socket()
    }
}

impl fmt::Debug for UnixStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}
