//! Unix sockets: what `std` cannot do, or not without further system calls.

pub use std::os::unix::net::SocketAddr as UnixAddr;
pub(crate) use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use std::io::{self, IoSlice, IoSliceMut, Read as _};
use std::mem::offset_of;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd as _};
use std::path::Path;

#[cfg(has_std_os_android)]
use std::os::android::net::SocketAddrExt as _;
#[cfg(all(has_abstract_names, not(has_std_os_android)))]
use std::os::linux::net::SocketAddrExt as _;

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrAny, SocketAddrUnix, SocketType};

use super::net::{accept_socket, new_socket, silence};
use crate::sys::stream::{ListeningSocket, StreamSocket};

pub(crate) fn unix_addr(path: &Path) -> io::Result<UnixAddr> {
    UnixAddr::from_pathname(path)
}

/// A non-blocking socket that listens at `address`.
pub(crate) fn listen_unix(address: &UnixAddr, backlog: u32) -> io::Result<UnixListener> {
    let socket = new_socket(AddressFamily::UNIX, SocketType::STREAM)?;
    rustix::net::bind(&socket, &name(address)?)?;
    rustix::net::listen(&socket, i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// A stream that is to be connected.
pub(crate) fn unix_socket() -> io::Result<UnixStream> {
    Ok(new_socket(AddressFamily::UNIX, SocketType::STREAM)?.into())
}

/// Begins to connect, and says whether it is connected already. `WouldBlock` is an answer of Linux:
/// the listener's queue is full, and nothing has begun.
pub(crate) fn connect_unix(socket: &UnixStream, address: &UnixAddr) -> io::Result<bool> {
    match rustix::net::connect(socket, &name(address)?) {
        Ok(()) => Ok(true),
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Two streams that are connected to each other.
pub(crate) fn unix_stream_pair() -> io::Result<(UnixStream, UnixStream)> {
    let (one, other) = UnixStream::pair()?;
    adopt_unix_stream(&one)?;
    adopt_unix_stream(&other)?;
    Ok((one, other))
}

/// Prepares a stream that somebody else made: it neither blocks nor kills the process when its peer
/// is gone.
pub(crate) fn adopt_unix_stream(stream: &UnixStream) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    silence(stream)
}

/// The same for a socket for datagrams.
pub(crate) fn adopt_unix_datagram(socket: &UnixDatagram) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    silence(socket)
}

/// Sends a datagram to the peer. (`std` writes, which may raise a signal.)
pub(crate) fn send_datagram(socket: &UnixDatagram, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, bytes, NO_SIGNAL)?)
}

/// Looks at what a socket would receive.
pub(crate) fn peek_unix(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (count, _) = rustix::net::recv(socket, buffer, RecvFlags::PEEK)?;
    Ok(count)
}

#[cfg(has_msg_nosignal)]
const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(not(has_msg_nosignal))]
const NO_SIGNAL: SendFlags = SendFlags::empty();

impl StreamSocket for UnixStream {
    /// A read stops at data that came with descriptors, or in another process's name, with more
    /// behind it (`c03_short_read_at_a_passed_descriptor`).
    const SHORT_READS_PROVE: bool = false;

    type Address = UnixAddr;

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(buffer)
    }

    fn read_vectored(&self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&mut &*self).read_vectored(buffers)
    }

    fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        peek_unix(self, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self, bytes, NO_SIGNAL)?)
    }

    fn write_vectored(&self, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
        super::write_vectored(self, buffers)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        UnixStream::shutdown(self, how)
    }

    fn peer_addr(&self) -> io::Result<UnixAddr> {
        UnixStream::peer_addr(self)
    }

    fn take_error(&self) -> io::Result<Option<io::Error>> {
        UnixStream::take_error(self)
    }
}

impl ListeningSocket for UnixListener {
    type Stream = UnixStream;

    fn accept(&self) -> io::Result<(UnixStream, UnixAddr)> {
        let (socket, address) = accept_socket(self)?;
        let stream = UnixStream::from(socket);
        // Clients have no address, nearly always. How it looks if they have differs among the systems:
        // `std` knows, also where a path that fills its room is longer than that with the zero behind it.
        let known = match address {
            Some(address) if may_have_name(&address) => stream.peer_addr().ok(),
            _ => None,
        };
        Ok((stream, known.map_or_else(unnamed, Ok)?))
    }
}

fn may_have_name(address: &SocketAddrAny) -> bool {
    address.addr_len() as usize > offset_of!(libc::sockaddr_un, sun_path)
}

fn unnamed() -> io::Result<UnixAddr> {
    UnixAddr::from_pathname("")
}

/// `sendto`. (`std` hands on an address with the length that the system gave it, which the system does
/// not take back where that is more than there is room for.)
pub(crate) fn send_to_unix(
    socket: &UnixDatagram,
    bytes: &[u8],
    address: &UnixAddr,
) -> io::Result<usize> {
    Ok(rustix::net::sendto(
        socket,
        bytes,
        NO_SIGNAL,
        &name(address)?,
    )?)
}

/// An address as rustix takes it.
fn name(address: &UnixAddr) -> io::Result<SocketAddrUnix> {
    if let Some(path) = address.as_pathname() {
        return Ok(SocketAddrUnix::new(path)?);
    }
    #[cfg(has_abstract_names)]
    if let Some(name) = address.as_abstract_name() {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        "this address has no name by which a socket could be found",
    ))
}

/// Who is at the other end: user, group, and process where the system tells.
pub(crate) type Credentials = (u32, u32, Option<i32>);

/// `SO_PEERCRED`. (rustix has it, in a type that has no room for the number 0, which is how the
/// system calls a process of another namespace.)
#[cfg(has_so_peercred)]
pub(crate) fn credentials(stream: &UnixStream) -> io::Result<Credentials> {
    let mut credentials = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: getsockopt asks for an open socket, which `stream` owns, and for room for `len` bytes,
    // which is the structure above; any bytes are a value of it.
    let answer = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &mut len,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    let pid = Some(credentials.pid).filter(|pid| *pid > 0);
    Ok((credentials.uid, credentials.gid, pid))
}

/// [`getpeereid`](https://man.freebsd.org/cgi/man.cgi?query=getpeereid).
#[cfg(has_getpeereid)]
pub(crate) fn credentials(stream: &UnixStream) -> io::Result<Credentials> {
    let (mut uid, mut gid) = (0, 0);
    // SAFETY: getpeereid asks for an open socket, which `stream` owns, and for room for two numbers,
    // which are those above.
    let answer = unsafe { libc::getpeereid(stream.as_raw_fd(), &mut uid, &mut gid) };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((uid, gid, peer_process(stream)))
}

/// `LOCAL_PEERPID`.
#[cfg(has_local_peerpid)]
fn peer_process(stream: &UnixStream) -> Option<i32> {
    let mut pid: libc::pid_t = 0;
    let mut len = size_of::<libc::pid_t>() as libc::socklen_t;
    // SAFETY: getsockopt asks for an open socket, which `stream` owns, and for room for `len` bytes,
    // which is the number above.
    let answer = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_LOCAL,
            libc::LOCAL_PEERPID,
            (&raw mut pid).cast(),
            &mut len,
        )
    };
    (answer == 0 && pid > 0).then_some(pid)
}

/// Nobody tells.
#[cfg(all(has_getpeereid, not(has_local_peerpid)))]
fn peer_process(_stream: &UnixStream) -> Option<i32> {
    None
}

/// Nobody tells.
#[cfg(not(any(has_so_peercred, has_getpeereid)))]
pub(crate) fn credentials(_stream: &UnixStream) -> io::Result<Credentials> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "this system does not tell who is at the other end",
    ))
}
