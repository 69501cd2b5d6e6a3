//! A socket for datagrams.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::Shutdown;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use super::SocketAddr;
use crate::net::back_off::rest_for;
use crate::reactor::{Direction, Interest, Readiness, Registration, budget};
use crate::sys;

/// How long to wait before another look whether a receiver has room, of which no event tells; twice
/// as long after each one that follows.
const FIRST_WAIT: Duration = Duration::from_millis(1);

/// The longest wait.
const LAST_WAIT: Duration = Duration::from_millis(20);

/// A Unix socket for datagrams: [`std::os::unix::net::UnixDatagram`], asynchronous.
///
/// Unlike those of UDP, none of them is ever lost, and they stay in order: the sender waits until the
/// receiver has room. (Not so on the BSDs and on Apple's systems, which answer `ENOBUFS` then.) What
/// is longer than the receiver's buffer is cut.
///
/// Everything works on a shared reference. Any number of tasks may wait to receive at the same time:
/// all are woken by a datagram, and one of them gets it. What takes a [`Context`] keeps only the
/// waker of its latest caller in each direction.
///
/// # Examples
///
/// ```
/// use ekio::net::unix::UnixDatagram;
///
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// let path = std::env::temp_dir().join(format!("ekio-datagram-{}", std::process::id()));
/// let server = UnixDatagram::bind(&path)?;
/// let client = UnixDatagram::unbound()?;
/// client.send_to(b"hello", &path).await?;
/// let mut buffer = [0; 16];
/// let (count, from) = server.recv_from(&mut buffer).await?;
/// assert_eq!(&buffer[..count], b"hello");
/// assert!(from.is_unnamed());
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # })
/// # }
/// ```
pub struct UnixDatagram {
    registration: Registration<sys::UnixDatagram>,
}

impl UnixDatagram {
    /// Takes a path (`socket`, `bind`), where a file appears.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `AddrInUse` | there is such a file, if only that of a socket that has gone |
    /// | `NotFound`, `PermissionDenied` | no file can be made there |
    /// | `InvalidInput` | the path is too long, or contains a zero |
    /// | others | what the system says |
    ///
    /// # Examples
    ///
    /// See [the type](UnixDatagram).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(sys::UnixDatagram::bind(path)?)
    }

    /// [`bind`](UnixDatagram::bind), for an address that is no path: an abstract name of Linux.
    ///
    /// # Errors
    ///
    /// Those of `bind`.
    ///
    /// # Examples
    ///
    /// See [the module](super) for such a name.
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(sys::UnixDatagram::bind_addr(address)?)
    }

    /// A socket without an address (`socket`), for who only sends.
    ///
    /// # Errors
    ///
    /// What the system says, for one that there are no more descriptors.
    ///
    /// # Examples
    ///
    /// See [the type](UnixDatagram).
    pub fn unbound() -> io::Result<UnixDatagram> {
        UnixDatagram::from_std(sys::UnixDatagram::unbound()?)
    }

    /// Two sockets that are connected to each other (`socketpair`).
    ///
    /// # Errors
    ///
    /// What the system says, for one that there are no more descriptors.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// let (one, other) = ekio::net::unix::UnixDatagram::pair()?;
    /// one.send(b"hello").await?;
    /// assert_eq!(other.recv(&mut [0; 16]).await?, 5);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = sys::UnixDatagram::pair()?;
        Ok((UnixDatagram::from_std(one)?, UnixDatagram::from_std(other)?))
    }

    /// Connects to a path (`connect`): from now on the socket sends there by
    /// [`send`](UnixDatagram::send), and receives nothing from anybody else.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `NotFound`, `ConnectionRefused` | there is no such socket, or it has gone |
    /// | `PermissionDenied` | the file may not be written |
    /// | others | what the system says |
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.socket().connect(path)
    }

    /// [`connect`](UnixDatagram::connect), for an address that is no path: an abstract name of Linux,
    /// or one that [`recv_from`](UnixDatagram::recv_from) told.
    ///
    /// # Errors
    ///
    /// Those of `connect`.
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        self.socket().connect_addr(address)
    }

    /// Sends a datagram to the peer of [`connect`](UnixDatagram::connect) (`send`), waiting until there
    /// is room for it. The answer is its length: a datagram is sent as a whole.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `NotConnected`, or `EDESTADDRREQ`, which has no kind | there is no peer |
    /// | `ConnectionRefused`, `ConnectionReset` | the peer has gone |
    /// | `BrokenPipe` | one of the two was shut down |
    /// | others | what the system says, for one that the datagram is too long |
    ///
    /// # Cancel safety
    ///
    /// Nothing has been sent if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [`pair`](UnixDatagram::pair).
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let send = |socket: &sys::UnixDatagram| sys::send_datagram(socket, bytes);
        self.registration.io(Direction::Write, send).await
    }

    /// Sends a datagram to a path (`sendto`), waiting until there is room for it.
    ///
    /// No system tells when a receiver has room to which a socket is not connected. So it looks again
    /// after 1 ms, and up to 20 ms. (There is no form of this for futures written by hand, which
    /// could not wait.)
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `NotFound`, `ConnectionRefused` | there is no such socket, or it has gone |
    /// | `PermissionDenied` | the file may not be written |
    /// | others | what the system says, for one that the datagram is too long |
    ///
    /// # Cancel safety
    ///
    /// Nothing has been sent if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [the type](UnixDatagram).
    #[doc(alias = "sendto")]
    pub async fn send_to(&self, bytes: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        let address = sys::unix_addr(path.as_ref())?;
        self.send_to_addr(bytes, &address).await
    }

    /// [`send_to`](UnixDatagram::send_to), for an address that is no path: an abstract name of Linux,
    /// or one that [`recv_from`](UnixDatagram::recv_from) told.
    ///
    /// # Errors
    ///
    /// Those of `send_to`.
    ///
    /// # Cancel safety
    ///
    /// That of `send_to`.
    pub async fn send_to_addr(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        let mut wait = FIRST_WAIT;
        loop {
            poll_fn(budget::poll_proceed).await;
            match self.try_send_to_addr(bytes, address) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // In a box, because it is rare.
                    Box::pin(rest_for(wait)).await;
                    wait = (wait * 2).min(LAST_WAIT);
                }
                answer => return answer,
            }
        }
    }

    /// Receives a datagram, waiting until there is one (`recv`): from the peer, if the socket is
    /// connected, else from anybody. The answer is how much of it there is in the buffer: all of it,
    /// or as much as finds room.
    ///
    /// # Errors
    ///
    /// What the system says: `ConnectionReset`, for one, if a connected peer has gone without
    /// receiving all that it was sent.
    ///
    /// # Cancel safety
    ///
    /// Nothing has been received if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [`pair`](UnixDatagram::pair).
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let recv = |socket: &sys::UnixDatagram| socket.recv(buffer);
        self.registration.io(Direction::Read, recv).await
    }

    /// [`recv`](UnixDatagram::recv), and from whom it came (`recvfrom`): an unnamed address if the
    /// sender is not bound.
    ///
    /// # Errors
    ///
    /// Those of `recv`.
    ///
    /// # Cancel safety
    ///
    /// That of `recv`.
    ///
    /// # Examples
    ///
    /// See [the type](UnixDatagram).
    #[doc(alias = "recvfrom")]
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let recv = |socket: &sys::UnixDatagram| socket.recv_from(buffer);
        self.registration.io(Direction::Read, recv).await
    }

    /// [`recv`](UnixDatagram::recv) without taking: a later one gives the same datagram again (`recv`
    /// with `MSG_PEEK`).
    ///
    /// # Errors
    ///
    /// Those of `recv`.
    ///
    /// # Cancel safety
    ///
    /// That of `recv`.
    #[doc(alias = "MSG_PEEK")]
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let peek = |socket: &sys::UnixDatagram| sys::peek_unix(socket, buffer);
        self.registration.io(Direction::Read, peek).await
    }

    /// [`send`](UnixDatagram::send) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `send`.
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let send = |socket: &sys::UnixDatagram| sys::send_datagram(socket, bytes);
        self.registration.poll_io(cx, Direction::Write, send)
    }

    /// [`recv`](UnixDatagram::recv) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `recv`.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let recv = |socket: &sys::UnixDatagram| socket.recv(buffer);
        self.registration.poll_io(cx, Direction::Read, recv)
    }

    /// [`recv_from`](UnixDatagram::recv_from) for those who write a future by hand. The waker of the
    /// latest caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](UnixDatagram::recv).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let recv = |socket: &sys::UnixDatagram| socket.recv_from(buffer);
        self.registration.poll_io(cx, Direction::Read, recv)
    }

    /// Waits until [`try_recv`](UnixDatagram::try_recv) is worth a try, which still may answer
    /// `WouldBlock`. Any number of tasks may wait.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be registered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn readable(&self) -> io::Result<()> {
        self.registration.ready(Direction::Read).await.map(drop)
    }

    /// Waits until [`try_send`](UnixDatagram::try_send) is worth a try, which still may answer
    /// `WouldBlock`. Any number of tasks may wait. Of the room of a receiver to which the socket is
    /// not connected it does not tell.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be registered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn writable(&self) -> io::Result<()> {
        self.registration.ready(Direction::Write).await.map(drop)
    }

    /// [`send`](UnixDatagram::send), now or never.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room, and those of `send`.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let send = |socket: &sys::UnixDatagram| sys::send_datagram(socket, bytes);
        self.registration.try_now(Direction::Write, send)
    }

    /// [`send_to_addr`](UnixDatagram::send_to_addr), now or never.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room, and those of `send_to_addr`.
    pub fn try_send_to_addr(&self, bytes: &[u8], address: &SocketAddr) -> io::Result<usize> {
        let send = |socket: &sys::UnixDatagram| sys::send_to_unix(socket, bytes, address);
        self.registration.try_now(Direction::Write, send)
    }

    /// [`recv`](UnixDatagram::recv), now or never.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no datagram, and those of `recv`.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let recv = |socket: &sys::UnixDatagram| socket.recv(buffer);
        self.registration.try_now(Direction::Read, recv)
    }

    /// [`recv_from`](UnixDatagram::recv_from), now or never.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no datagram, and those of [`recv`](UnixDatagram::recv).
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let recv = |socket: &sys::UnixDatagram| socket.recv_from(buffer);
        self.registration.try_now(Direction::Read, recv)
    }

    /// Ends one direction or both (`shutdown`).
    ///
    /// # Errors
    ///
    /// `NotConnected` if there is no peer.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket().shutdown(how)
    }

    /// The address of this side (`getsockname`), which is unnamed if it is not bound.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// The address to which it is connected (`getpeername`).
    ///
    /// # Errors
    ///
    /// `NotConnected` if it is not.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket().peer_addr()
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

    /// Takes a socket of `std`, and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the mode cannot be changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let (one, _other) = std::os::unix::net::UnixDatagram::pair()?;
    /// let one = ekio::net::unix::UnixDatagram::from_std(one)?;
    ///
    /// let one = one.into_std()?;
    /// one.set_nonblocking(false)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_std(socket: std::os::unix::net::UnixDatagram) -> io::Result<UnixDatagram> {
        sys::adopt_unix_datagram(&socket)?;
        let hope = Readiness::READABLE | Readiness::WRITABLE;
        let registration = Registration::of_nonblocking(socket, Interest::BOTH, hope);
        Ok(UnixDatagram { registration })
    }

    /// Gives the socket back as one of `std`. It is still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be deregistered; it is closed then.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixDatagram> {
        self.registration.into_source()
    }

    fn socket(&self) -> &sys::UnixDatagram {
        self.registration.own()
    }

    pub(in crate::net) fn lend(&self) -> &sys::UnixDatagram {
        self.registration.lend()
    }
}

impl fmt::Debug for UnixDatagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
    }
}
