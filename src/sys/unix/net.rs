//! Sockets: what `std` cannot do, or not without further system calls.

use std::io::{self, IoSlice};
#[cfg(feature = "hyper")]
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
#[cfg(has_linger_sec)]
use std::os::fd::AsRawFd as _;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketFlags, SocketType, sockopt};

#[cfg(feature = "hyper")]
use rustix::net::RecvFlags;

#[cfg(feature = "hyper")]
use crate::sys::BorrowedSocket;
use crate::sys::IpFamily;

/// A stream socket that neither blocks nor survives `exec`, nor raises a signal.
pub(crate) fn tcp_socket(family: IpFamily) -> io::Result<TcpStream> {
    let family = match family {
        IpFamily::V4 => AddressFamily::INET,
        IpFamily::V6 => AddressFamily::INET6,
    };
    Ok(new_socket(family, SocketType::STREAM)?.into())
}

pub(crate) fn bind(socket: &TcpStream, address: &SocketAddr) -> io::Result<()> {
    Ok(rustix::net::bind(socket, address)?)
}

pub(crate) fn listen(socket: TcpStream, backlog: u32) -> io::Result<TcpListener> {
    rustix::net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(OwnedFd::from(socket).into())
}

/// Begins to connect, and says whether it is connected already.
pub(crate) fn connect(socket: &TcpStream, address: &SocketAddr) -> io::Result<bool> {
    match rustix::net::connect(socket, address) {
        Ok(()) => Ok(true),
        // A signal does not stop the attempt
        // (https://pubs.opengroup.org/onlinepubs/9799919799/functions/connect.html).
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Accepts a connection as a non-blocking socket.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (socket, address) = accept_socket(listener)?;
    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
    // Some systems accept a connection that its peer has given up already, and have no name for it.
    let address = address.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionAborted))?;
    Ok((socket.into(), address))
}

/// Accepts a connection of any family, with one system call where there is `accept4`.
pub(super) fn accept_socket(listener: impl AsFd) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
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
    Ok((socket, address))
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

/// True for an error that says that descriptors or memory have run out, here or everywhere.
pub(crate) fn is_want_of_means(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}

/// Prepares a stream that somebody else made: it neither blocks nor kills the process when its peer
/// is gone.
pub(crate) fn adopt_stream(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    silence(stream)
}

/// Reads from a stream into memory of whatever contents: from its beginning, as many bytes as the
/// answer says are initialised then. (`std` can read into nothing but initialised memory.)
#[cfg(feature = "hyper")]
pub(crate) fn read_uninit(
    stream: BorrowedSocket<'_>,
    buffer: &mut [MaybeUninit<u8>],
) -> io::Result<usize> {
    let ((read, _rest), _count) = rustix::net::recv(stream, buffer, RecvFlags::empty())?;
    Ok(read.len())
}

/// Writes from several buffers. (`std` has this too, by a system call that raises `SIGPIPE`.)
#[cfg(has_msg_nosignal)]
pub(crate) fn write_vectored(stream: impl AsFd, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
    // More than that the system refuses, instead of writing the first ones.
    let buffers = &buffers[..buffers.len().min(BUFFERS_MAX)];
    let mut together = [0; TOGETHER_MAX];
    if let Some(len) = put_together(buffers, &mut together) {
        return Ok(send(stream, &together[..len], SendFlags::NOSIGNAL)?);
    }
    let mut nothing_else = SendAncillaryBuffer::default();
    Ok(sendmsg(
        stream,
        buffers,
        &mut nothing_else,
        SendFlags::NOSIGNAL,
    )?)
}

/// So few bytes are copied, because `send` costs less than `sendmsg`, which has to fetch a list of
/// buffers: on Linux 6.18 some 85 ns, and the copy of the head and body of a short answer 10.
#[cfg(has_msg_nosignal)]
const TOGETHER_MAX: usize = 512;

/// Copies all buffers into one, one after the other, and answers how many bytes that makes. `None` if
/// they do not fit.
#[cfg(has_msg_nosignal)]
fn put_together(buffers: &[IoSlice<'_>], together: &mut [u8]) -> Option<usize> {
    let mut len = 0;
    for buffer in buffers {
        let room = together[len..].get_mut(..buffer.len())?;
        room.copy_from_slice(buffer);
        len += buffer.len();
    }
    Some(len)
}

/// Writes from several buffers.
#[cfg(not(has_msg_nosignal))]
pub(crate) fn write_vectored(stream: impl AsFd, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(rustix::io::writev(stream, buffers)?)
}

/// `IOV_MAX` of every system that has `MSG_NOSIGNAL`.
#[cfg(has_msg_nosignal)]
const BUFFERS_MAX: usize = 1024;

/// `SO_LINGER`.
#[cfg(not(has_linger_sec))]
pub(crate) fn linger(stream: &TcpStream) -> io::Result<Option<Duration>> {
    Ok(sockopt::socket_linger(stream)?)
}

/// `SO_LINGER`, in whole seconds, rounded up.
#[cfg(not(has_linger_sec))]
pub(crate) fn set_linger(stream: &TcpStream, linger: Option<Duration>) -> io::Result<()> {
    Ok(sockopt::set_socket_linger(stream, linger)?)
}

/// `SO_LINGER_SEC`, because the unit of `SO_LINGER`, which rustix has, is a hundredth of a second here.
#[cfg(has_linger_sec)]
pub(crate) fn linger(stream: &TcpStream) -> io::Result<Option<Duration>> {
    let mut linger = libc::linger {
        l_onoff: 0,
        l_linger: 0,
    };
    let mut len = size_of::<libc::linger>() as libc::socklen_t;
    // SAFETY: getsockopt asks for an open socket, which `stream` owns, and for room for `len` bytes,
    // which is the structure above; any bytes are a value of it.
    let answer = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER_SEC,
            (&raw mut linger).cast(),
            &mut len,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    let seconds = u64::try_from(linger.l_linger).unwrap_or(0);
    Ok((linger.l_onoff != 0).then(|| Duration::from_secs(seconds)))
}

/// `SO_LINGER_SEC`, in whole seconds, rounded up.
#[cfg(has_linger_sec)]
pub(crate) fn set_linger(stream: &TcpStream, linger: Option<Duration>) -> io::Result<()> {
    let seconds = linger.map_or(0, |time| {
        time.as_secs()
            .saturating_add(u64::from(time.subsec_nanos() > 0))
    });
    let linger = libc::linger {
        l_onoff: linger.is_some().into(),
        l_linger: libc::c_int::try_from(seconds).map_err(|_| io::ErrorKind::InvalidInput)?,
    };
    // SAFETY: setsockopt asks for an open socket, which `stream` owns, and for a value of as many bytes
    // as it says, which is the structure above.
    let answer = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER_SEC,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `SO_REUSEADDR`.
pub(crate) fn is_address_reused(socket: &TcpStream) -> io::Result<bool> {
    Ok(sockopt::socket_reuseaddr(socket)?)
}

/// `SO_REUSEADDR`.
pub(crate) fn reuse_address(socket: &TcpStream, on: bool) -> io::Result<()> {
    Ok(sockopt::set_socket_reuseaddr(socket, on)?)
}

/// `SO_REUSEPORT`.
#[cfg(has_reuseport)]
pub(crate) fn is_port_reused(socket: &TcpStream) -> io::Result<bool> {
    Ok(sockopt::socket_reuseport(socket)?)
}

/// `SO_REUSEPORT`.
#[cfg(has_reuseport)]
pub(crate) fn reuse_port(socket: &TcpStream, on: bool) -> io::Result<()> {
    Ok(sockopt::set_socket_reuseport(socket, on)?)
}

/// A wish, as far as the system can be told of it.
fn buffer_size(wish: u32) -> usize {
    wish.min(i32::MAX as u32) as usize
}

/// `SO_SNDBUF`.
pub(crate) fn send_buffer_size(socket: &TcpStream) -> io::Result<u32> {
    let size = sockopt::socket_send_buffer_size(socket)?;
    Ok(u32::try_from(size).unwrap_or(u32::MAX))
}

/// `SO_SNDBUF`.
pub(crate) fn set_send_buffer_size(socket: &TcpStream, size: u32) -> io::Result<()> {
    Ok(sockopt::set_socket_send_buffer_size(
        socket,
        buffer_size(size),
    )?)
}

/// `SO_RCVBUF`.
pub(crate) fn recv_buffer_size(socket: &TcpStream) -> io::Result<u32> {
    let size = sockopt::socket_recv_buffer_size(socket)?;
    Ok(u32::try_from(size).unwrap_or(u32::MAX))
}

/// `SO_RCVBUF`.
pub(crate) fn set_recv_buffer_size(socket: &TcpStream, size: u32) -> io::Result<()> {
    Ok(sockopt::set_socket_recv_buffer_size(
        socket,
        buffer_size(size),
    )?)
}

/// `SO_KEEPALIVE`.
pub(crate) fn keepalive(socket: &TcpStream) -> io::Result<bool> {
    Ok(sockopt::socket_keepalive(socket)?)
}

/// `SO_KEEPALIVE`.
pub(crate) fn set_keepalive(socket: &TcpStream, on: bool) -> io::Result<()> {
    Ok(sockopt::set_socket_keepalive(socket, on)?)
}

/// What every new socket is, where that can be said in one system call.
#[cfg(has_sock_cloexec)]
const NEW_SOCKET: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);
#[cfg(not(has_sock_cloexec))]
const NEW_SOCKET: SocketFlags = SocketFlags::empty();

/// A socket that neither blocks nor survives `exec`, nor raises a signal.
pub(super) fn new_socket(family: AddressFamily, kind: SocketType) -> io::Result<OwnedFd> {
    let socket = rustix::net::socket_with(family, kind, NEW_SOCKET, None)?;
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
pub(super) fn silence(socket: impl AsFd) -> io::Result<()> {
    #[cfg(has_so_nosigpipe)]
    sockopt::set_socket_nosigpipe(socket, true)?;
    #[cfg(not(has_so_nosigpipe))]
    let _ = socket; // There each write says so, by `MSG_NOSIGNAL`.
    Ok(())
}

#[cfg(all(test, has_msg_nosignal))]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_put_together_if_they_fit() {
        let mut together = [0; 8];
        let buffers = [&b"head"[..], b"", b"body"].map(IoSlice::new);
        assert_eq!(put_together(&buffers, &mut together), Some(8));
        assert_eq!(&together, b"headbody");
        assert_eq!(put_together(&[], &mut together), Some(0));
        let buffers = [&b"head"[..], b"bodies"].map(IoSlice::new);
        assert_eq!(put_together(&buffers, &mut together), None);
    }
}
