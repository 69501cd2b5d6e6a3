//! A socket that accepts connections.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use super::{TcpStream, ToSocketAddrs, lookup_host};
use crate::reactor::{Direction, Interest, Readiness, Registration};
use crate::sys;

/// How many connections may wait to be accepted. `std` asks for 128, which is over soon: a client
/// beyond it has to try again after a second. Linux cuts this down to
/// [`net.core.somaxconn`](https://man7.org/linux/man-pages/man2/listen.2.html), 4,096 since 5.4.
const BACKLOG: i32 = 4_096;

/// The most connections that one try of `accept` finds dead. Each is taken off the queue, so there
/// is an end to them; the bound is for a system that does not keep to that.
const DEAD_MAX: usize = 64;

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
    registration: Registration<std::net::TcpListener>,
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
        let mut last_error = None;
        for address in lookup_host(addresses).await? {
            match sys::listen(&address, BACKLOG) {
                Ok(listener) => return Ok(TcpListener::of_nonblocking(listener)),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or_else(super::lookup::no_address))
    }

    /// Accepts a connection (`accept4` where the system has it), waiting until there is one.
    ///
    /// Any number of tasks may wait at the same time. All are woken by a connection, and one of them
    /// gets it. A connection that its peer has given up already is passed over.
    ///
    /// # Errors
    ///
    /// What the system says. In particular, when the process or the system has no more descriptors
    /// (`EMFILE`, `ENFILE`; a kind without a name) the connection stays in the queue, and `accept`
    /// can be called again once some have been closed; it does not wait for that.
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
        let accepted = self.registration.io(Direction::Read, accept_live).await;
        accepted.map(|(stream, address)| (TcpStream::of_nonblocking(stream, true), address))
    }

    /// [`accept`](TcpListener::accept) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `accept`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let accepted = self.registration.poll_io(cx, Direction::Read, accept_live);
        accepted.map_ok(|(stream, address)| (TcpStream::of_nonblocking(stream, true), address))
    }

    /// The address at which it listens (`getsockname`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.registration.get_ref().local_addr()
    }

    /// How many routers a packet of an accepted connection may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.registration.get_ref().ttl()
    }

    /// Sets what [`ttl`](TcpListener::ttl) tells.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.registration.get_ref().set_ttl(ttl)
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
        self.registration.into_source()
    }

    fn of_nonblocking(listener: std::net::TcpListener) -> TcpListener {
        TcpListener {
            registration: Registration::of_nonblocking(
                listener,
                Interest::READABLE,
                Readiness::READABLE,
            ),
        }
    }
}

/// Accepts the first connection that is not dead already.
fn accept_live(listener: &std::net::TcpListener) -> io::Result<(std::net::TcpStream, SocketAddr)> {
    let mut dead = 0;
    loop {
        match sys::accept(listener) {
            Err(error) if dead < DEAD_MAX && sys::is_of_one_connection(&error) => dead += 1,
            answer => return answer,
        }
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.registration.get_ref().fmt(f)
    }
}

#[cfg(unix)]
mod os {
    use super::TcpListener;
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    impl AsFd for TcpListener {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.registration.get_ref().as_fd()
        }
    }

    impl AsRawFd for TcpListener {
        fn as_raw_fd(&self) -> RawFd {
            self.registration.get_ref().as_raw_fd()
        }
    }
}

#[cfg(windows)]
mod os {
    use super::TcpListener;
    use std::os::windows::io::{AsRawSocket, AsSocket, BorrowedSocket, RawSocket};

    impl AsSocket for TcpListener {
        fn as_socket(&self) -> BorrowedSocket<'_> {
            self.registration.get_ref().as_socket()
        }
    }

    impl AsRawSocket for TcpListener {
        fn as_raw_socket(&self) -> RawSocket {
            self.registration.get_ref().as_raw_socket()
        }
    }
}
