//! A connection.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use super::TcpSocket;
use crate::net::lookup::no_address;
use crate::net::stream::Stream;
use crate::net::{ToSocketAddrs, lookup_host};
use crate::sys;

/// A TCP connection: [`std::net::TcpStream`], asynchronous.
///
/// Everything works on a shared reference, so one task may read while another one writes. Several
/// tasks may even wait to read by [`read`](TcpStream::read) at the same time: all are woken by data,
/// and one of them gets it. What takes a [`Context`] ([`poll_read`](TcpStream::poll_read), the traits
/// of `futures-io`) keeps only the waker of its latest caller in each direction.
///
/// With the feature `futures-io`, which is on by default, the type and references to it are
/// `futures_io::{AsyncRead, AsyncWrite}`; with the feature `hyper`, `hyper::rt::{Read, Write}` as well.
///
/// Dropping the stream closes the connection in both directions.
///
/// Urgent data (`MSG_OOB`) is nothing that ekio reads, and reads stop before it as the system has them do.
/// Who takes it by the descriptor should use that for the data around it too: on Linux a read that ends
/// at the place of an urgent byte which is gone already looks like one that has emptied the socket, and
/// the next one waits until more comes.
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
    pub(crate) stream: Stream<std::net::TcpStream>,
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
            let attempt = async { TcpSocket::for_address(&address)?.connect(address).await };
            match attempt.await {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(no_address))
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
    pub fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> {
        self.stream.read(buffer)
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
    /// `UnexpectedEof` if the stream ends before, and those of [`read`](TcpStream::read). What the
    /// buffer holds is unspecified then.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what has been read is in the buffer, but nobody knows how much it is.
    pub fn read_exact(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<()>> {
        self.stream.read_exact(buffer)
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
    pub fn write(&self, bytes: &[u8]) -> impl Future<Output = io::Result<usize>> {
        self.stream.write(bytes)
    }

    /// [`write`](TcpStream::write) from several buffers, one after the other (`sendmsg` or `writev`;
    /// `send` for a few bytes, which are put together before).
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
    /// Those of [`write`](TcpStream::write).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: a part may have been written, and nobody knows how much it is.
    pub fn write_all(&self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> {
        self.stream.write_all(bytes)
    }

    /// [`read`](TcpStream::read) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `read`.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.stream.poll_read(cx, buffer)
    }

    /// [`write`](TcpStream::write) for those who write a future by hand. The waker of the latest
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
        self.stream.shutdown(how)
    }

    /// The address of this side (`getsockname`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// The address of the other side (`getpeername`).
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection has broken.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket().peer_addr()
    }

    /// Whether small pieces are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket().nodelay()
    }

    /// Sets what [`nodelay`](TcpStream::nodelay) tells. It is off at first (Nagle's algorithm).
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "TCP_NODELAY")]
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.socket().set_nodelay(nodelay)
    }

    /// How many routers a packet may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket().ttl()
    }

    /// Sets what [`ttl`](TcpStream::ttl) tells.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket().set_ttl(ttl)
    }

    /// For how long the system tries to deliver what was written after the stream is dropped
    /// (`SO_LINGER`). `None`, the default, leaves that to the system.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        sys::linger(self.socket())
    }

    /// Sets what [`linger`](TcpStream::linger) tells, in whole seconds, rounded up. Zero has a
    /// meaning of its own: closing resets the connection.
    ///
    /// With more than zero, closing may wait for as long as that on Unix: non-blocking or not, and with it
    /// the thread on which the stream is dropped, where its tasks and timers stand still. A stream that
    /// has [shut down](TcpStream::shutdown) and has then read the end of the other direction closes at once.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time that the system cannot express, and what the system says.
    #[doc(alias = "SO_LINGER")]
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        sys::set_linger(self.socket(), linger)
    }

    /// Takes the error that the system keeps for the socket, if there is one, and clears it
    /// (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// What the system says when it cannot be asked.
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket().take_error()
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
        let stream = TcpStream::of_nonblocking(stream, true);
        stream.lend();
        Ok(stream)
    }

    /// Gives the socket back as a stream of `std`. It is still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be deregistered; it is closed then.
    pub fn into_std(self) -> io::Result<std::net::TcpStream> {
        self.stream.into_socket()
    }

    pub(super) fn of_nonblocking(socket: std::net::TcpStream, is_connected: bool) -> TcpStream {
        TcpStream {
            stream: Stream::of_nonblocking(socket, is_connected),
        }
    }

    fn socket(&self) -> &std::net::TcpStream {
        self.stream.socket()
    }

    pub(in crate::net) fn lend(&self) -> &std::net::TcpStream {
        self.stream.lend()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
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
        let listener = TcpSocket::new_v4().unwrap();
        listener.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = listener.listen(0).unwrap().into_std().unwrap();
        let address = listener.local_addr().unwrap();
        let in_queue = std::net::TcpStream::connect(address).unwrap();
        let socket = sys::tcp_socket(sys::IpFamily::of(&address)).unwrap();
        assert!(!sys::connect(&socket, &address).unwrap());
        // "Connected" is the lie: it is believed to be writable.
        let stream = TcpStream::of_nonblocking(socket, true);
        let mut outcome = pin!(stream.stream.finish_connect());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(outcome.as_mut().poll(&mut cx).is_pending());
        listener.set_nonblocking(false).unwrap();
        listener.accept().unwrap();
        futures_lite::future::block_on(outcome).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        drop(in_queue);
    }
}
