//! A socket that accepts connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::{TcpSocket, TcpStream};
use crate::net::listener::{BACKLOG, Listener};
use crate::net::lookup::first_that;
use crate::net::{ToSocketAddrs, lookup_host};

/// A TCP socket that accepts connections: [`std::net::TcpListener`], asynchronous.
///
/// # Examples
///
/// ```
/// use ekio::net::{TcpListener, TcpStream};
///
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// let listener = TcpListener::bind("localhost:0").await?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (server, address) = listener.accept().await?;
/// assert_eq!(address, client.local_addr()?);
/// assert_eq!(address, server.peer_addr()?);
/// # Ok(())
/// # })
/// # }
/// ```
pub struct TcpListener {
    listener: Listener<std::net::TcpListener>,
}

impl TcpListener {
    /// Listens at the first of the addresses that can be had (`socket`, `bind`, `listen`).
    ///
    /// Port 0 lets the system choose one; [`local_addr`](TcpListener::local_addr) tells which.
    /// Up to 4,096 connections wait to be accepted, if the system allows so many.
    ///
    /// # Platform behaviour
    ///
    /// | | Unix | Windows |
    /// |---|---|---|
    /// | `SO_REUSEADDR` | set, so that a server can start again at once | not set: there it would let others take the address |
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `AddrInUse` | another socket listens there |
    /// | `AddrNotAvailable` | the address is not one of this machine |
    /// | `PermissionDenied` | the port is for the privileged |
    /// | `InvalidInput` | there is no address at all, or its text makes no sense |
    /// | others | what the system or the resolver said |
    ///
    /// Of several addresses that all fail, the last one's error is reported.
    ///
    /// # Cancel safety
    ///
    /// It waits only for a name to be resolved. Dropped before that, it has done nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// use ekio::net::TcpListener;
    /// use std::net::Ipv4Addr;
    ///
    /// let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[doc(alias = "listen")]
    pub async fn bind(addresses: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let listen = |address| {
            let socket = TcpSocket::for_address(&address)?;
            #[cfg(unix)]
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        first_that(lookup_host(addresses).await?, listen)
    }

    /// Accepts a connection (`accept4` where the system has it), waiting until there is one.
    ///
    /// Any number of tasks may wait at the same time. All are woken by a connection, and one of them
    /// gets it. A connection that its peer has given up already is passed over.
    ///
    /// # Errors
    ///
    /// What the system says. In particular, when the process or the system has no more descriptors or
    /// memory (`EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`; kinds without a name, most of them) the
    /// connection stays in the queue, and `accept` may be called again at once. It tries no sooner
    /// than 10 ms after, which becomes twice as long at each failure that follows, up to a second. So
    /// a server that takes note of an error and goes on neither spins nor loses its listener, and
    /// serves again when it can (`b_emfile`).
    ///
    /// # Cancel safety
    ///
    /// No connection is lost.
    ///
    /// # Examples
    ///
    /// See [the type](TcpListener).
    #[doc(alias = "accept4")]
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = self.listener.accept().await?;
        Ok((TcpStream::of_nonblocking(stream, true), address))
    }

    /// [`accept`](TcpListener::accept) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `accept`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = self.listener.poll_accept(cx);
        accepted.map_ok(|(stream, address)| (TcpStream::of_nonblocking(stream, true), address))
    }

    /// The address at which it listens (`getsockname`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// How many routers a packet of an accepted connection may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket().ttl()
    }

    /// Sets what [`ttl`](TcpListener::ttl) tells.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket().set_ttl(ttl)
    }

    /// Takes a listener of `std`, and puts it into non-blocking mode.
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
    /// let listener = ekio::net::TcpListener::from_std(listener)?;
    /// # listener.into_std()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        Ok(TcpListener::of_nonblocking(listener))
    }

    /// Gives the socket back as a listener of `std`. It is still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be deregistered; it is closed then.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        self.listener.into_socket()
    }

    pub(super) fn of_nonblocking(listener: std::net::TcpListener) -> TcpListener {
        TcpListener {
            listener: Listener::of_nonblocking(listener),
        }
    }

    fn socket(&self) -> &std::net::TcpListener {
        self.listener.socket()
    }

    pub(in crate::net) fn lend(&self) -> &std::net::TcpListener {
        self.listener.lend()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
    }
}
