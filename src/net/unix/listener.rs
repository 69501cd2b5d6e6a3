//! A socket that accepts connections.

use std::fmt;
use std::io;
use std::path::Path;
use std::task::{Context, Poll};

use super::{SocketAddr, UnixStream};
use crate::net::listener::{BACKLOG, Listener};
use crate::sys;

/// A Unix socket that accepts connections: `std::os::unix::net::UnixListener`, asynchronous. See
/// [the module](super) for where there is one.
///
/// # Examples
///
/// ```
/// use ekio::net::unix::{UnixListener, UnixStream};
///
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// let path = std::env::temp_dir().join(format!("ekio-listener-{}", std::process::id()));
/// let listener = match UnixListener::bind(&path) {
///     // A machine without Unix sockets.
///     Err(error) if error.kind() == std::io::ErrorKind::Unsupported => return Ok(()),
///     answer => answer?,
/// };
/// let client = UnixStream::connect(&path).await?;
/// let (server, address) = listener.accept().await?;
/// assert!(address.is_unnamed());
/// # drop((client, server));
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # })
/// # }
/// ```
pub struct UnixListener {
    listener: Listener<sys::UnixListener>,
}

impl UnixListener {
    /// Listens at a path (`socket`, `bind`, `listen`), where a file appears.
    ///
    /// Up to 4,096 connections wait to be accepted, if the system allows so many.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `AddrInUse` | there is such a file, if only that of a listener that has gone |
    /// | `NotFound`, `PermissionDenied` | no file can be made there |
    /// | `InvalidInput` | the path is too long, or contains a zero |
    /// | `Unsupported` | the machine has no Unix sockets |
    /// | others | what the system says |
    ///
    /// # Examples
    ///
    /// See [the type](UnixListener).
    #[doc(alias = "listen")]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::bind_addr(&sys::unix_addr(path.as_ref())?)
    }

    /// [`bind`](UnixListener::bind), for an address that is no path: an abstract name of Linux.
    ///
    /// # Errors
    ///
    /// Those of `bind`, and `InvalidInput` for an address without a name.
    ///
    /// # Examples
    ///
    /// See [the module](super).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        let listener = sys::listen_unix(address, BACKLOG)?;
        Ok(UnixListener::of_nonblocking(listener))
    }

    /// Accepts a connection (`accept4` where the system has it), waiting until there is one. Clients
    /// have no address, most of them.
    ///
    /// Any number of tasks may wait at the same time. All are woken by a connection, and one of them
    /// gets it.
    ///
    /// # Errors
    ///
    /// What the system says. When descriptors or memory have run out it rests before it tries again,
    /// as that of [`TcpListener`](crate::net::TcpListener::accept) does.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost.
    ///
    /// # Examples
    ///
    /// See [the type](UnixListener).
    #[doc(alias = "accept4")]
    pub async fn accept(&self) -> io::Result<(UnixStream, SocketAddr)> {
        let (stream, address) = self.listener.accept().await?;
        Ok((UnixStream::of_nonblocking(stream, true), address))
    }

    /// [`accept`](UnixListener::accept) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `accept`.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(UnixStream, SocketAddr)>> {
        let accepted = self.listener.poll_accept(cx);
        accepted.map_ok(|(stream, address)| (UnixStream::of_nonblocking(stream, true), address))
    }

    /// The address at which it listens (`getsockname`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
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

    fn of_nonblocking(listener: sys::UnixListener) -> UnixListener {
        UnixListener {
            listener: Listener::of_nonblocking(listener),
        }
    }

    fn socket(&self) -> &sys::UnixListener {
        self.listener.socket()
    }

    pub(in crate::net) fn lend(&self) -> &sys::UnixListener {
        self.listener.lend()
    }
}

/// What takes and gives a type that `std` has on Unix alone.
#[cfg(unix)]
impl UnixListener {
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
    /// # let path = std::env::temp_dir().join(format!("ekio-from-std-{}", std::process::id()));
    /// let listener = std::os::unix::net::UnixListener::bind(&path)?;
    /// let listener = ekio::net::unix::UnixListener::from_std(listener)?;
    /// # listener.into_std()?;
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> io::Result<UnixListener> {
        listener.set_nonblocking(true)?;
        Ok(UnixListener::of_nonblocking(listener))
    }

    /// Gives the socket back as a listener of `std`. It is still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be deregistered; it is closed then.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixListener> {
        self.listener.into_socket()
    }
}

impl fmt::Debug for UnixListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listener.fmt(f)
    }
}
