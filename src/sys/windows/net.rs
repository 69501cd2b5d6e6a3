//! Sockets: what `std` cannot do.

use std::io::{self, IoSlice, Write as _};
use std::mem;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::windows::io::{
    AsRawSocket as _, AsSocket as _, FromRawSocket as _, OwnedSocket, RawSocket,
};
use std::ptr;
use std::sync::OnceLock;
use std::time::Duration;

use windows_sys::Win32::Foundation::{HANDLE, HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::Networking::WinSock;

/// A non-blocking socket that listens at `address`.
///
/// There is no `SO_REUSEADDR` here: on Windows it would let another program take the address away.
pub(crate) fn listen(address: &SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = stream_socket(address)?;
    let name = Name::new(address);
    // SAFETY: bind asks for an open socket, which `socket` owns, and for `len` bytes of address,
    // which `name` lends.
    let answer = unsafe { WinSock::bind(raw(&socket), name.pointer(), name.len()) };
    check(answer)?;
    // A positive number above 200 would be cut to that; a negative one is a hint that is followed
    // up to 65,535 (`SOMAXCONN_HINT` in winsock2.h).
    // SAFETY: listen asks for an open socket, which `socket` owns.
    let answer = unsafe { WinSock::listen(raw(&socket), -backlog) };
    check(answer)?;
    Ok(socket.into())
}

/// Begins to connect a new non-blocking socket, and says whether it is connected already.
pub(crate) fn begin_connect(address: &SocketAddr) -> io::Result<(TcpStream, bool)> {
    let socket = stream_socket(address)?;
    let name = Name::new(address);
    // SAFETY: connect asks for an open socket, which `socket` owns, and for `len` bytes of address,
    // which `name` lends.
    let answer = unsafe { WinSock::connect(raw(&socket), name.pointer(), name.len()) };
    let is_connected = match check(answer) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(error) => return Err(error),
    };
    Ok((socket.into(), is_connected))
}

/// Accepts a connection as a non-blocking socket.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, address) = listener.accept()?;
    stream.set_nonblocking(true)?;
    // SAFETY: SetHandleInformation asks for an open handle; that of the stream is one.
    let answer =
        unsafe { SetHandleInformation(stream.as_raw_socket() as HANDLE, HANDLE_FLAG_INHERIT, 0) };
    if answer == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((stream, address))
}

/// True for an error of `accept` that tells of one connection that came to nothing, not of the
/// listener (the peer had taken it back).
pub(crate) fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}

/// Prepares a stream that somebody else made: it does not block.
pub(crate) fn adopt_stream(stream: &TcpStream) -> io::Result<()> {
    stream.set_nonblocking(true)
}

/// Writes from several buffers.
pub(crate) fn write_vectored(mut stream: &TcpStream, buffers: &[IoSlice<'_>]) -> io::Result<usize> {
    stream.write_vectored(&buffers[..buffers.len().min(BUFFERS_MAX)])
}

/// More than that Wine refuses, instead of writing the first ones.
const BUFFERS_MAX: usize = 1024;

/// `SO_LINGER`.
pub(crate) fn linger(stream: &TcpStream) -> io::Result<Option<Duration>> {
    let mut linger = WinSock::LINGER {
        l_onoff: 0,
        l_linger: 0,
    };
    let mut len = LINGER_LEN;
    // SAFETY: getsockopt asks for an open socket, which `stream` owns, and for room for `len` bytes,
    // which is the structure above.
    let answer = unsafe {
        WinSock::getsockopt(
            stream.as_raw_socket() as WinSock::SOCKET,
            WinSock::SOL_SOCKET,
            WinSock::SO_LINGER,
            (&raw mut linger).cast(),
            &mut len,
        )
    };
    check(answer)?;
    Ok((linger.l_onoff != 0).then(|| Duration::from_secs(linger.l_linger.into())))
}

/// `SO_LINGER`, in whole seconds, rounded up.
pub(crate) fn set_linger(stream: &TcpStream, linger: Option<Duration>) -> io::Result<()> {
    let seconds = linger.map_or(0, |time| {
        time.as_secs()
            .saturating_add(u64::from(time.subsec_nanos() > 0))
    });
    let linger = WinSock::LINGER {
        l_onoff: linger.is_some().into(),
        l_linger: u16::try_from(seconds).map_err(|_| io::ErrorKind::InvalidInput)?,
    };
    // SAFETY: setsockopt asks for an open socket, which `stream` owns, and for as many bytes as
    // the length says, which is the structure above.
    let answer = unsafe {
        WinSock::setsockopt(
            stream.as_raw_socket() as WinSock::SOCKET,
            WinSock::SOL_SOCKET,
            WinSock::SO_LINGER,
            (&raw const linger).cast(),
            LINGER_LEN,
        )
    };
    check(answer)
}

const LINGER_LEN: i32 = size_of::<WinSock::LINGER>() as i32;

/// A stream socket that no child process inherits and that does not block.
fn stream_socket(address: &SocketAddr) -> io::Result<OwnedSocket> {
    start_winsock()?;
    let family = match address {
        SocketAddr::V4(_) => WinSock::AF_INET,
        SocketAddr::V6(_) => WinSock::AF_INET6,
    };
    // SAFETY: WSASocketW asks for nothing but that Winsock has been started, as it has above; no
    // protocol structure is allowed.
    let socket = unsafe {
        WinSock::WSASocketW(
            family.into(),
            WinSock::SOCK_STREAM,
            0,
            ptr::null(),
            0,
            WinSock::WSA_FLAG_OVERLAPPED | WinSock::WSA_FLAG_NO_HANDLE_INHERIT,
        )
    };
    if socket == WinSock::INVALID_SOCKET {
        return Err(last_error());
    }
    // SAFETY: the number is that of an open socket, made above, which nobody else has.
    let socket = unsafe { OwnedSocket::from_raw_socket(socket as RawSocket) };
    super::set_socket_nonblocking(socket.as_socket())?;
    Ok(socket)
}

/// Starts Winsock, once. (`std` does it too, at its own first socket.)
fn start_winsock() -> io::Result<()> {
    /// 2.2, the last one there is.
    const VERSION: u16 = 0x0202;
    static STARTED: OnceLock<i32> = OnceLock::new();
    let answer = *STARTED.get_or_init(|| {
        // SAFETY: all bytes zero is a value of this plain structure.
        let mut data: WinSock::WSADATA = unsafe { mem::zeroed() };
        // SAFETY: WSAStartup asks for room for a WSADATA, which is the local above.
        unsafe { WinSock::WSAStartup(VERSION, &mut data) }
    });
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(answer))
    }
}

/// An address as Winsock takes it.
enum Name {
    V4(WinSock::SOCKADDR_IN),
    V6(WinSock::SOCKADDR_IN6),
}

impl Name {
    fn new(address: &SocketAddr) -> Name {
        match address {
            SocketAddr::V4(address) => Name::V4(WinSock::SOCKADDR_IN {
                sin_family: WinSock::AF_INET,
                sin_port: address.port().to_be(),
                sin_addr: WinSock::IN_ADDR {
                    S_un: WinSock::IN_ADDR_0 {
                        S_addr: u32::from_ne_bytes(address.ip().octets()),
                    },
                },
                sin_zero: [0; 8],
            }),
            SocketAddr::V6(address) => Name::V6(WinSock::SOCKADDR_IN6 {
                sin6_family: WinSock::AF_INET6,
                sin6_port: address.port().to_be(),
                sin6_flowinfo: address.flowinfo(),
                sin6_addr: WinSock::IN6_ADDR {
                    u: WinSock::IN6_ADDR_0 {
                        Byte: address.ip().octets(),
                    },
                },
                Anonymous: WinSock::SOCKADDR_IN6_0 {
                    sin6_scope_id: address.scope_id(),
                },
            }),
        }
    }

    fn pointer(&self) -> *const WinSock::SOCKADDR {
        match self {
            Name::V4(name) => ptr::from_ref(name).cast(),
            Name::V6(name) => ptr::from_ref(name).cast(),
        }
    }

    fn len(&self) -> i32 {
        match self {
            Name::V4(_) => size_of::<WinSock::SOCKADDR_IN>() as i32,
            Name::V6(_) => size_of::<WinSock::SOCKADDR_IN6>() as i32,
        }
    }
}

fn raw(socket: &OwnedSocket) -> WinSock::SOCKET {
    socket.as_raw_socket() as WinSock::SOCKET
}

fn check(answer: i32) -> io::Result<()> {
    if answer == WinSock::SOCKET_ERROR {
        Err(last_error())
    } else {
        Ok(())
    }
}

fn last_error() -> io::Error {
    // SAFETY: WSAGetLastError asks for nothing.
    io::Error::from_raw_os_error(unsafe { WinSock::WSAGetLastError() })
}
