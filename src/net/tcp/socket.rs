//! A socket before it listens or connects.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::{TcpListener, TcpStream};
use crate::reactor::budget;
use crate::sys::{self, IpFamily};

/// A TCP socket that is neither a listener nor a stream yet: for those who want to say more of it
/// than [`TcpListener::bind`] and [`TcpStream::connect`] ask for.
///
/// Everything that is set stays set for the listener or stream that it becomes, and what a
/// listener has its connections have, too.
///
/// # Examples
///
/// ```
/// use ekio::net::TcpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// let socket = TcpSocket::new_v4()?;
/// socket.set_recv_buffer_size(256 * 1024)?;
/// socket.set_nodelay(true)?;
/// socket.bind(([127, 0, 0, 1], 0).into())?;
/// let listener = socket.listen(16)?;
///
/// let socket = TcpSocket::new_v4()?;
/// socket.set_keepalive(true)?;
/// let client = socket.connect(listener.local_addr()?).await?;
/// let (server, _) = listener.accept().await?;
/// # drop((client, server));
/// # Ok(())
/// # })
/// # }
/// ```
pub struct TcpSocket {
    /// In the type of a stream, which has the options, although it is none yet.
    socket: std::net::TcpStream,
}

impl TcpSocket {
    /// Makes a socket for IPv4 (`socket`).
    ///
    /// # Errors
    ///
    /// What the system says, for one that there are no more descriptors.
    ///
    /// # Examples
    ///
    /// See [the type](TcpSocket).
    #[doc(alias = "socket")]
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::new(IpFamily::V4)
    }

    /// Makes a socket for IPv6 (`socket`).
    ///
    /// # Errors
    ///
    /// What the system says, for one that there are no more descriptors, or no IPv6.
    ///
    /// # Examples
    ///
    /// See [the type](TcpSocket).
    #[doc(alias = "socket")]
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::new(IpFamily::V6)
    }

    /// Makes a socket for this kind of addresses.
    pub(super) fn for_address(address: &SocketAddr) -> io::Result<TcpSocket> {
        TcpSocket::new(IpFamily::of(address))
    }

    fn new(family: IpFamily) -> io::Result<TcpSocket> {
        let socket = sys::tcp_socket(family)?;
        Ok(TcpSocket { socket })
    }

    /// Whether it may take an address that connections of a former life still hold
    /// (`SO_REUSEADDR`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn reuseaddr(&self) -> io::Result<bool> {
        sys::is_address_reused(&self.socket)
    }

    /// Sets what [`reuseaddr`](TcpSocket::reuseaddr) tells. It is off at first;
    /// [`TcpListener::bind`] sets it on Unix.
    ///
    /// # Platform behaviour
    ///
    /// | Unix | Windows |
    /// |---|---|
    /// | what a server wants that starts again | lets two sockets listen at the same address; which of them gets a connection nobody knows |
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "SO_REUSEADDR")]
    pub fn set_reuseaddr(&self, on: bool) -> io::Result<()> {
        sys::reuse_address(&self.socket, on)
    }

    /// Whether several sockets, all of which say so, may listen at the same address
    /// (`SO_REUSEPORT`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn reuseport(&self) -> io::Result<bool> {
        sys::is_port_reused(&self.socket)
    }

    /// Sets what [`reuseport`](TcpSocket::reuseport) tells. It is off at first.
    ///
    /// # Platform behaviour
    ///
    /// | Linux | the BSDs, Apple's systems | Windows and others |
    /// |---|---|---|
    /// | spreads the connections among the listeners | the latest gets them, or any | `Unsupported` |
    ///
    /// # Errors
    ///
    /// `Unsupported` where the system has nothing like it, and what the system says.
    ///
    /// # Examples
    ///
    /// ```
    /// use ekio::net::TcpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// let socket = TcpSocket::new_v4()?;
    /// if let Err(error) = socket.set_reuseport(true) {
    ///     assert_eq!(error.kind(), std::io::ErrorKind::Unsupported);
    /// }
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[doc(alias = "SO_REUSEPORT")]
    pub fn set_reuseport(&self, on: bool) -> io::Result<()> {
        sys::reuse_port(&self.socket, on)
    }

    /// How much is kept that has been written and not yet sent (`SO_SNDBUF`), in bytes.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn send_buffer_size(&self) -> io::Result<u32> {
        sys::send_buffer_size(&self.socket)
    }

    /// Sets what [`send_buffer_size`](TcpSocket::send_buffer_size) tells. It is a wish: the system has
    /// a least and a most, and Linux takes twice as much, for what it needs itself.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "SO_SNDBUF")]
    pub fn set_send_buffer_size(&self, size: u32) -> io::Result<()> {
        sys::set_send_buffer_size(&self.socket, size)
    }

    /// How much is kept that has been received and not yet read (`SO_RCVBUF`), in bytes.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn recv_buffer_size(&self) -> io::Result<u32> {
        sys::recv_buffer_size(&self.socket)
    }

    /// Sets what [`recv_buffer_size`](TcpSocket::recv_buffer_size) tells. It is a wish, as at
    /// [`set_send_buffer_size`](TcpSocket::set_send_buffer_size). More than 64 KiB has its whole
    /// effect only if it is set before the socket listens or connects.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "SO_RCVBUF")]
    pub fn set_recv_buffer_size(&self, size: u32) -> io::Result<()> {
        sys::set_recv_buffer_size(&self.socket, size)
    }

    /// Whether the system asks a silent peer now and then if it is still there (`SO_KEEPALIVE`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn keepalive(&self) -> io::Result<bool> {
        sys::keepalive(&self.socket)
    }

    /// Sets what [`keepalive`](TcpSocket::keepalive) tells. It is off at first. After how long it asks
    /// is the system's affair: two hours, nearly everywhere.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "SO_KEEPALIVE")]
    pub fn set_keepalive(&self, on: bool) -> io::Result<()> {
        sys::set_keepalive(&self.socket, on)
    }

    /// Whether small pieces are sent at once (`TCP_NODELAY`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.socket.nodelay()
    }

    /// Sets what [`nodelay`](TcpSocket::nodelay) tells. It is off at first (Nagle's algorithm).
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "TCP_NODELAY")]
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.socket.set_nodelay(on)
    }

    /// For how long the system tries to deliver what was written after the stream is dropped
    /// (`SO_LINGER`). `None`, the default, leaves that to the system.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        sys::linger(&self.socket)
    }

    /// Sets what [`linger`](TcpSocket::linger) tells, in whole seconds, rounded up. Zero has a meaning
    /// of its own: closing resets the connection.
    ///
    /// With more than zero, closing may wait for as long as that on Unix: non-blocking or not, and with it
    /// the thread on which the stream is dropped, where its tasks and timers stand still. A stream that
    /// has [shut down](super::TcpStream::shutdown) and has then read the end of the other direction closes at once.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a time that the system cannot express, and what the system says.
    #[doc(alias = "SO_LINGER")]
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        sys::set_linger(&self.socket, linger)
    }

    /// Takes an address for this side (`bind`). Port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `AddrInUse` | another socket has it |
    /// | `AddrNotAvailable` | the address is not one of this machine |
    /// | `PermissionDenied` | the port is for the privileged |
    /// | others | what the system says, for one that the address is of another family |
    ///
    /// # Examples
    ///
    /// ```
    /// use ekio::net::TcpSocket;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// let socket = TcpSocket::new_v4()?;
    /// socket.bind("127.0.0.1:0".parse().expect("an address"))?;
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        sys::bind(&self.socket, &address)
    }

    /// Listens (`listen`). Up to `backlog` connections wait to be accepted, as far as the system
    /// allows ([`TcpListener::bind`] asks for 4,096).
    ///
    /// # Platform behaviour
    ///
    /// | | Linux | Windows |
    /// |---|---|---|
    /// | the most | `net.core.somaxconn`, 4,096 since 5.4 | 65,535 |
    /// | without [`bind`](TcpSocket::bind) | the system chooses a port | `InvalidInput` |
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `AddrInUse` | another socket listens there |
    /// | others | what the system says |
    ///
    /// # Examples
    ///
    /// See [the type](TcpSocket).
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        let listener = sys::listen(self.socket, backlog)?;
        Ok(TcpListener::of_nonblocking(listener))
    }

    /// Connects (`connect`, and `getsockopt` for the outcome).
    ///
    /// It waits for as long as the system does, which may be minutes for an address from which
    /// nothing comes back.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `ConnectionRefused` | nobody listens there |
    /// | `TimedOut`, `HostUnreachable`, `NetworkUnreachable` | there is no way to get there |
    /// | others | what the system says, for one that the address is of another family |
    ///
    /// # Cancel safety
    ///
    /// Dropped at any time, it closes the socket, and the attempt with it.
    ///
    /// # Examples
    ///
    /// See [the type](TcpSocket).
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        poll_fn(budget::poll_proceed).await;
        budget::spend();
        // Registered after `connect` has begun: before, a socket says that it is writable and hung
        // up, which is how a failure looks.
        let is_connected = sys::connect(&self.socket, &address)?;
        let stream = TcpStream::of_nonblocking(self.socket, is_connected);
        stream.lend(); // As this may have been.
        if !is_connected {
            stream.stream.finish_connect().await?;
        }
        Ok(stream)
    }

    /// The address of this side (`getsockname`).
    ///
    /// # Platform behaviour
    ///
    /// Before [`bind`](TcpSocket::bind) it is unspecified on Unix, and an error on Windows.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Takes the error that the system keeps for the socket, if there is one, and clears it
    /// (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// What the system says when it cannot be asked.
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket.take_error()
    }

    pub(in crate::net) fn lend(&self) -> &std::net::TcpStream {
        &self.socket
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.socket.local_addr().ok();
        f.debug_struct("TcpSocket")
            .field("addr", &address)
            .finish_non_exhaustive()
    }
}
