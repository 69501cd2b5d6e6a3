//! Sockets: what `std` cannot do, or not without further system calls.

use std::io::{self, IoSlice};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

/// A non-blocking socket that listens at `address`.
///
/// `SO_REUSEADDR` is set, as `std` does: without it a server cannot start again while connections
/// of its former life are in `TIME_WAIT`.
pub(crate) fn listen(address: &SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = stream_socket(address)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, address)?;
    rustix::net::listen(&socket, backlog)?;
    Ok(socket.into())
}

/// Begins to connect a new non-blocking socket, and says whether it is connected already.
pub(crate) fn begin_connect(address: &SocketAddr) -> io::Result<(TcpStream, bool)> {
    let socket = stream_socket(address)?;
    let is_connected = match rustix::net::connect(&socket, address) {
        Ok(()) => true,
        // A signal does not stop the attempt
        // (https://pubs.opengroup.org/onlinepubs/9799919799/functions/connect.html).
        Err(Errno::INPROGRESS | Errno::INTR) => false,
        Err(error) => return Err(error.into()),
    };
    Ok((socket.into(), is_connected))
}

/// Accepts a connection as a non-blocking socket, with one system call where there is `accept4`.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    #[cfg(has_sock_cloexec)]
    let accepted = rustix::net::acceptfrom_with(listener, NEW_SOCKET);
    #[cfg(not(has_sock_cloexec))]
    let accepted = rustix::net::acceptfrom(listener);
    let (socket, address) = accepted?;
    finish(&socket).map_err(|error| match Errno::from_io_error(&error) {
        // Apple's systems refuse options to a socket whose peer has reset it by now.
        Some(Errno::INVAL) => io::ErrorKind::ConnectionAborted.into(),
        _ => error,
    })?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    // Some systems accept a connection that its peer has given up already, and have no name for it.
    let address = address.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
    Ok((socket.into(), address))
}

/// True for an error of `accept` that tells of one connection that came to nothing, not of the
/// listener ([accept(2)](https://man7.org/linux/man-pages/man2/accept.2.html), "Error handling").
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionAborted
        || matches!(
            Errno::from_io_error(error),
            Some(Errno::PROTO | Errno::NETDOWN | Errno::NETUNREACH | Errno::HOSTUNREACH)
        )
}

/// Prepares a stream that somebody else made: it neither blocks nor kills the process when its peer
/// is gone.
pub(crate) fn adopt_stream(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    silence(stream)
}

/// Writes from several buffers. (`std` has this too, by a system call that raises `SIGPIPE`.)
#[cfg(has_msg_nosignal)]
pub(crate) fn write_vectored(stream: &TcpStream, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
    // More than that the system refuses, instead of writing the first ones.
    let buffers = &buffers[..buffers.len().min(BUFFERS_MAX)];
    let mut nothing_else = SendAncillaryBuffer::default();
    Ok(sendmsg(
        stream,
        buffers,
        &mut nothing_else,
        SendFlags::NOSIGNAL,
    )?)
}

/// Writes from several buffers.
#[cfg(not(has_msg_nosignal))]
pub(crate) fn write_vectored(mut stream: &TcpStream, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    io::Write::write_vectored(&mut stream, buffers)
}

/// `IOV_MAX` of every system that has `MSG_NOSIGNAL`.
#[cfg(has_msg_nosignal)]
const BUFFERS_MAX: usize = 1024;

/// `SO_LINGER`.
pub(crate) fn linger(stream: &TcpStream) -> io::Result<Option<Duration>> {
    Ok(sockopt::socket_linger(stream)?)
}

/// `SO_LINGER`, in whole seconds, rounded up.
pub(crate) fn set_linger(stream: &TcpStream, linger: Option<Duration>) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(stream, linger)?)
}

/// What every new socket is, where that can be said in one system call.
#[cfg(has_sock_cloexec)]
const NEW_SOCKET: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);
#[cfg(not(has_sock_cloexec))]
const NEW_SOCKET: SocketFlags = SocketFlags::empty();

fn stream_socket(address: &SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, NEW_SOCKET, None)?;
    finish(&socket)?;
    Ok(socket)
}

/// What a new socket still lacks.
fn finish(socket: &OwnedFd) -> io::Result<()> {
    #[cfg(not(has_sock_cloexec))]
    {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(socket, true)?;
    }
    silence(socket)
}

/// Makes a write to a socket whose peer is gone an error and no signal, where that is a property
/// of the socket.
fn silence(socket: impl std::os::fd::AsFd) -> io::Result<()> {
    #[cfg(has_so_nosigpipe)]
    sockopt::set_socket_nosigpipe(socket, true)?;
    #[cfg(not(has_so_nosigpipe))]
    let _ = socket; // There each write says so, by `MSG_NOSIGNAL`.
    Ok(())
}
