//! A connection.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::{ToSocketAddrs, lookup_host};
use crate::reactor::{Direction, Readiness, Ready, Registration, STREAM_INTEREST, budget};
use crate::sys;

/// A TCP connection: [`std::net::TcpStream`], asynchronous.
///
/// Everything works on a shared reference, so one task may read while another one writes. Several
/// tasks may even wait to read by [`read`](TcpStream::read) at the same time: all are woken by data,
/// and one of them gets it. What takes a [`Context`] ([`poll_read`](TcpStream::poll_read), the traits
/// of `futures-io`) keeps only the waker of its latest caller in each direction.
///
/// With the feature `futures-io`, which is on by default, the type and references to it are
/// `futures_io::{AsyncRead, AsyncWrite}`.
///
/// Dropping the stream closes the connection in both directions.
///
/// # Examples
///
/// ```
/// use ekio::net::{TcpListener, TcpStream};
/// use std::net::Shutdown;
///
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (server, _) = listener.accept().await?;
///
/// client.write_all(b"What is the answer?").await?;
/// client.shutdown(Shutdown::Write)?;
/// let mut question = Vec::new();
/// let mut buffer = [0; 8];
/// loop {
///     match server.read(&mut buffer).await? {
///         0 => break,
///         count => question.extend_from_slice(&buffer[..count]),
///     }
/// }
/// assert_eq!(question, b"What is the answer?");
/// server.write_all(b"42").await?;
/// client.read_exact(&mut buffer[..2]).await?;
/// assert_eq!(&buffer[..2], b"42");
/// # Ok(())
/// # })
/// # }
/// ```
pub struct TcpStream {
    registration: Registration<std::net::TcpStream>,
}

impl TcpStream {
    /// Connects to the first of the addresses that answers, trying one after the other (`socket`,
    /// `connect`, and `getsockopt` for the outcome).
    ///
    /// It waits for as long as the system does, which may be minutes for an address from which
    /// nothing comes back.
    ///
    /// # Platform behaviour
    ///
    /// | | Unix | Windows |
    /// |---|---|---|
    /// | a port where nobody listens | refused at once | refused after the system has tried for about two seconds |
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `ConnectionRefused` | nobody listens there |
    /// | `TimedOut`, `HostUnreachable`, `NetworkUnreachable` | there is no way to get there |
    /// | `InvalidInput` | there is no address at all, or its text makes no sense |
    /// | others | what the system or the resolver said |
    ///
    /// Of several addresses that all fail, the last one's error is reported.
    ///
    /// # Cancel safety
    ///
    /// Dropped at any time, it closes the socket, and the attempt with it.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// use ekio::net::TcpStream;
    ///
    /// let by_name = TcpStream::connect("example.com:80").await?;
    /// let by_number = TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, 8080)).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect(addresses: impl ToSocketAddrs) -> io::Result<TcpStream> {
        let mut last_error = None;
        for address in lookup_host(addresses).await? {
            match TcpStream::connect_to(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(super::lookup::no_address))
    }

    async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
        poll_fn(budget::poll_proceed).await;
        budget::spend();
        // Registered after `connect` has begun: before, a socket says that it is writable and hung
        // up, which is how a failure looks.
        let (socket, is_connected) = sys::begin_connect(&address)?;
        let stream = TcpStream::of_nonblocking(socket, is_connected);
        if !is_connected {
            stream.finish_connect().await?;
        }
        Ok(stream)
    }

    /// Waits for the outcome of `connect`. The error is in `SO_ERROR`, which gives it out once, so
    /// it is asked for once (`b_connect_refused_once`).
    async fn finish_connect(&self) -> io::Result<()> {
        let socket = self.registration.get_ref();
        loop {
            let ready = self.registration.ready(Direction::Write).await?;
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            let is_over = ready
                .readiness()
                .intersects(Readiness::ERROR | Readiness::WRITE_CLOSED);
            match socket.peer_addr() {
                Ok(_) => return Ok(()),
                // Woken for nothing: the attempt goes on.
                Err(error) if error.kind() == io::ErrorKind::NotConnected && !is_over => {
                    self.registration.clear_ready(ready);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads what there is (`recv`), waiting until there is something. 0 is the end of the stream:
    /// the peer writes no more. (An empty buffer gives 0 as well.)
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `ConnectionReset`, `ConnectionAborted`, `TimedOut` | the connection has broken |
    /// | others | what the system said |
    ///
    /// # Cancel safety
    ///
    /// Nothing has been read if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [the type](TcpStream).
    #[doc(alias = "recv")]
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let asked = buffer.len();
        self.read_by(asked, |mut socket| socket.read(buffer)).await
    }

    /// [`read`](TcpStream::read) into several buffers, filled one after the other (`readv`).
    ///
    /// # Errors
    ///
    /// Those of `read`.
    ///
    /// # Cancel safety
    ///
    /// That of `read`.
    #[doc(alias = "readv")]
    pub async fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        let asked = total_len(buffers);
        self.read_by(asked, |mut socket| socket.read_vectored(buffers))
            .await
    }

    /// Reads until the buffer is full.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the stream ends before, and those of [`read`](TcpStream::read). What the
    /// buffer holds is unspecified then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what has been read is in the buffer, but nobody knows how much it is.
    pub async fn read_exact(&self, buffer: &mut [u8]) -> io::Result<()> {
        let mut rest = buffer;
        while !rest.is_empty() {
            match self.read(rest).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => rest = &mut rest[count..],
            }
        }
        Ok(())
    }

    /// Reads without taking: a later read gives the same bytes again (`recv` with `MSG_PEEK`).
    ///
    /// # Errors
    ///
    /// Those of [`read`](TcpStream::read).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ekio::net::{TcpListener, TcpStream};
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = TcpStream::connect(listener.local_addr()?).await?;
    /// # let (server, _) = listener.accept().await?;
    /// client.write_all(b"twice").await?;
    /// let mut buffer = [0; 5];
    /// let count = server.peek(&mut buffer).await?;
    /// assert!(b"twice".starts_with(&buffer[..count]));
    /// server.read_exact(&mut buffer).await?;
    /// assert_eq!(&buffer, b"twice");
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[doc(alias = "MSG_PEEK")]
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let peek = |socket: &std::net::TcpStream| socket.peek(buffer);
        self.registration.io(Direction::Read, peek).await
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
    /// ```
    /// # use ekio::net::{TcpListener, TcpStream};
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let client = TcpStream::connect(listener.local_addr()?).await?;
    /// let count = client.write(b"as much as there is room for").await?;
    /// assert!(count > 0);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[doc(alias = "send")]
    pub async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.registration
            .io(Direction::Write, |mut socket| socket.write(bytes))
            .await
    }

    /// [`write`](TcpStream::write) from several buffers, one after the other (`sendmsg` or `writev`).
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
    pub async fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        self.registration
            .io(Direction::Write, |socket| {
                sys::write_vectored(socket, buffers)
            })
            .await
    }

    /// Writes everything.
    ///
    /// # Errors
    ///
    /// Those of [`write`](TcpStream::write).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a part may have been written, and nobody knows how much it is.
    pub async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.write(rest).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => rest = &rest[count..],
            }
        }
        Ok(())
    }

    /// [`read`](TcpStream::read) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let asked = buffer.len();
        self.poll_read_by(cx, asked, |mut socket| socket.read(buffer))
    }

    /// [`write`](TcpStream::write) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.registration
            .poll_io(cx, Direction::Write, |mut socket| socket.write(bytes))
    }

    /// Ends one direction or both (`shutdown`). It does not wait for what is on its way.
    ///
    /// # Platform behaviour
    ///
    /// | | Linux | others |
    /// |---|---|---|
    /// | reading from a direction that was shut down | gives what is there and then 0, and more if the peer goes on | 0, or an error on Windows |
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is gone (on some systems, after a reset or a shutdown before).
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.registration.get_ref().shutdown(how)
    }

    /// The address of this side (`getsockname`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.registration.get_ref().local_addr()
    }

    /// The address of the other side (`getpeername`).
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection has broken.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.registration.get_ref().peer_addr()
    }

    /// Whether small pieces are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.registration.get_ref().nodelay()
    }

    /// Sets what [`nodelay`](TcpStream::nodelay) tells. It is off at first (Nagle's algorithm).
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "TCP_NODELAY")]
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.registration.get_ref().set_nodelay(nodelay)
    }

    /// How many routers a packet may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.registration.get_ref().ttl()
    }

    /// Sets what [`ttl`](TcpStream::ttl) tells.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.registration.get_ref().set_ttl(ttl)
    }

    /// For how long the system tries to deliver what was written after the stream is dropped
    /// (`SO_LINGER`). `None`, the default, leaves that to the system.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        sys::linger(self.registration.get_ref())
    }

    /// Sets what [`linger`](TcpStream::linger) tells, in whole seconds, rounded up. Zero has a
    /// meaning of its own: closing resets the connection.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time that the system cannot express, and what the system says.
    #[doc(alias = "SO_LINGER")]
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        sys::set_linger(self.registration.get_ref(), linger)
    }

    /// Takes the error that the system keeps for the socket, if there is one, and clears it
    /// (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// What the system says when it cannot be asked.
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.registration.get_ref().take_error()
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
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    /// let stream = ekio::net::TcpStream::from_std(stream)?;
    ///
    /// let stream = stream.into_std()?;
    /// stream.set_nonblocking(false)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        sys::adopt_stream(&stream)?;
        Ok(TcpStream::of_nonblocking(stream, true))
    }

    /// Gives the socket back as a stream of `std`. It is still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be deregistered; it is closed then.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.registration.into_source()
    }

    /// A connected socket is worth a try in both directions; one that is not yet connected is not.
    pub(super) fn of_nonblocking(socket: std::net::TcpStream, is_connected: bool) -> TcpStream {
        let hope = if is_connected {
            Readiness::READABLE | Readiness::WRITABLE
        } else {
            Readiness::NONE
        };
        TcpStream {
            registration: Registration::of_nonblocking(socket, STREAM_INTEREST, hope),
        }
    }

    async fn read_by(
        &self,
        asked: usize,
        mut read: impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            poll_fn(budget::poll_proceed).await;
            let ready = self.registration.ready(Direction::Read).await?;
            if let Some(answer) = self.try_read(ready, asked, &mut read) {
                return answer;
            }
        }
    }

    pub(super) fn poll_read_by(
        &self,
        cx: &mut Context<'_>,
        asked: usize,
        mut read: impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        ready!(budget::poll_proceed(cx));
        loop {
            let ready = ready!(self.registration.poll_ready(cx, Direction::Read))?;
            if let Some(answer) = self.try_read(ready, asked, &mut read) {
                return Poll::Ready(answer);
            }
        }
    }

    /// One try. A read that gets less than it asked for has met the end of what there is.
    fn try_read(
        &self,
        ready: Ready,
        asked: usize,
        read: &mut impl FnMut(&std::net::TcpStream) -> io::Result<usize>,
    ) -> Option<io::Result<usize>> {
        let answer = self.registration.try_io(ready, read)?;
        if matches!(answer, Ok(count) if 0 < count && count < asked) {
            self.registration.note_short_read(ready);
        }
        Some(answer)
    }

    #[cfg(feature = "futures-io")]
    pub(super) fn poll_write_vectored(
        &self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.registration.poll_io(cx, Direction::Write, |socket| {
            sys::write_vectored(socket, buffers)
        })
    }
}

pub(super) fn total_len(buffers: &[IoSliceMut<'_>]) -> usize {
    buffers.iter().map(|buffer| buffer.len()).sum()
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registration.get_ref().fmt(f)
    }
}

#[cfg(unix)]
mod os {
    use super::TcpStream;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    impl AsFd for TcpStream {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.registration.get_ref().as_fd()
        }
    }

    impl AsRawFd for TcpStream {
        fn as_raw_fd(&self) -> RawFd {
            self.registration.get_ref().as_raw_fd()
        }
    }
}

#[cfg(windows)]
mod os {
    use super::TcpStream;
    use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

    impl AsSocket for TcpStream {
        fn as_socket(&self) -> BorrowedSocket<'_> {
            self.registration.get_ref().as_socket()
        }
    }

    impl AsRawSocket for TcpStream {
        fn as_raw_socket(&self) -> RawSocket {
            self.registration.get_ref().as_raw_socket()
        }
    }
}

#[cfg(all(test, has_epoll))]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Waker;

    /// On Linux a listener whose queue is full does not answer, and its peer asks again a second
    /// later: a connection that is long under way, without a network.
    #[test]
    #[cfg_attr(miri, ignore = "Miri's sockets have no queue that is full")]
    fn a_wake_for_nothing_does_not_end_a_connect() {
        let listener = sys::listen(&SocketAddr::from(([127, 0, 0, 1], 0)), 0).unwrap();
        let address = listener.local_addr().unwrap();
        let in_queue = std::net::TcpStream::connect(address).unwrap();
        let (socket, is_connected) = sys::begin_connect(&address).unwrap();
        assert!(!is_connected);
        // "Connected" is the lie: it is believed to be writable.
        let stream = TcpStream::of_nonblocking(socket, true);
        let mut outcome = pin!(stream.finish_connect());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(outcome.as_mut().poll(&mut cx).is_pending());
        listener.set_nonblocking(false).unwrap();
        listener.accept().unwrap();
        futures_lite::future::block_on(outcome).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        drop(in_queue);
    }
}
