//! Sockets on loopback, and what can be done to them that std does not offer.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

/// Two ends of a connection, neither of which blocks or delays.
pub fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = loop {
        let (far, from) = listener.accept().unwrap();
        if from == near.local_addr().unwrap() {
            break far;
        }
    };
    for end in [&near, &far] {
        end.set_nonblocking(true).unwrap();
        end.set_nodelay(true).unwrap();
    }
    (near, far)
}

/// A listener that does not block, and its address.
pub fn tcp_listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A datagram socket that sends to itself: the cheapest thing that can be made readable.
pub fn udp_to_itself() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(socket.local_addr().unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// A socket that has an address and does not listen: connections to it are refused, and nobody else
/// gets the address while it lives.
pub fn refusing() -> (TcpStream, SocketAddr) {
    let socket = os::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// How a series of reads or writes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    WouldBlock,
    Closed,
    Error(ErrorKind),
}

/// Reads until there is nothing more.
pub fn drain(mut stream: &TcpStream) -> (Vec<u8>, End) {
    let mut data = Vec::new();
    let mut buffer = [0; 64 * 1024];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (data, End::Closed),
            Ok(count) => data.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (data, End::WouldBlock),
            Err(error) => return (data, End::Error(error.kind())),
        }
    }
}

impl End {
    /// True if this is how a reset looks to the reader. (Wine takes the error itself, and then the
    /// reader sees an end.)
    pub fn is_reset(self) -> bool {
        let looks_so_on_windows =
            matches!(self, End::Error(ErrorKind::ConnectionAborted) | End::Closed);
        self == End::Error(ErrorKind::ConnectionReset) || (cfg!(windows) && looks_so_on_windows)
    }
}

/// Reads until there is nothing more, on a socket that is expected to have nothing but data.
pub fn drain_data(stream: &TcpStream) -> Vec<u8> {
    let (data, end) = drain(stream);
    assert_eq!(end, End::WouldBlock);
    data
}

/// Writes until there is no more room, and says how much went in.
pub fn fill(mut stream: &TcpStream) -> (usize, End) {
    let mut count = 0;
    loop {
        match stream.write(&[b'x'; 16 * 1024]) {
            Ok(more) => count += more,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (count, End::WouldBlock),
            Err(error) => return (count, End::Error(error.kind())),
        }
    }
}

/// Writes all of it to a socket that has room.
pub fn send(mut stream: &TcpStream, data: &[u8]) {
    stream.write_all(data).unwrap();
}

/// Closes with a reset instead of an orderly end.
pub fn reset(stream: TcpStream) {
    os::linger_zero(&stream).unwrap();
}

/// Sends a byte out of band.
pub fn send_urgent(stream: &TcpStream, byte: u8) {
    os::send_urgent(stream, byte).unwrap();
}

/// Fetches the byte that came out of band.
pub fn receive_urgent(stream: &TcpStream) -> io::Result<u8> {
    os::receive_urgent(stream)
}

/// A connection attempt under way.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    os::connect(to)
}

#[cfg(unix)]
mod os {
    use super::*;
    use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, sockopt};
    use std::time::Duration;

    pub(super) fn linger_zero(stream: &TcpStream) -> io::Result<()> {
        Ok(sockopt::set_socket_linger(stream, Some(Duration::ZERO))?)
    }

    pub(super) fn send_urgent(stream: &TcpStream, byte: u8) -> io::Result<()> {
        rustix::net::send(stream, &[byte], SendFlags::OOB)?;
        Ok(())
    }

    pub(super) fn receive_urgent(stream: &TcpStream) -> io::Result<u8> {
        let mut byte = [0_u8];
        rustix::net::recv(stream, &mut byte, RecvFlags::OOB)?;
        Ok(byte[0])
    }

    fn socket() -> io::Result<TcpStream> {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(true)?;
        Ok(stream)
    }

    pub(super) fn bind(to: SocketAddr) -> io::Result<TcpStream> {
        let stream = socket()?;
        rustix::net::bind(&stream, &to)?;
        Ok(stream)
    }

    pub(super) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
        let stream = socket()?;
        match rustix::net::connect(&stream, &to) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(stream),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(windows)]
mod os {
    use super::*;
    use std::os::windows::io::{AsRawSocket as _, FromRawSocket as _};
    use windows_sys::Win32::Networking::WinSock;

    fn check(answer: i32) -> io::Result<()> {
        if answer == WinSock::SOCKET_ERROR {
            // SAFETY: WSAGetLastError asks for nothing.
            let code = unsafe { WinSock::WSAGetLastError() };
            return Err(io::Error::from_raw_os_error(code));
        }
        Ok(())
    }

    pub(super) fn linger_zero(stream: &TcpStream) -> io::Result<()> {
        let linger = WinSock::LINGER {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: setsockopt asks for a socket, which `stream` is, and for a structure of the
        // length given, which the local above is.
        check(unsafe {
            WinSock::setsockopt(
                stream.as_raw_socket() as _,
                WinSock::SOL_SOCKET,
                WinSock::SO_LINGER,
                (&raw const linger).cast(),
                size_of_val(&linger) as i32,
            )
        })
    }

    pub(super) fn send_urgent(stream: &TcpStream, byte: u8) -> io::Result<()> {
        // SAFETY: send asks for a socket, which `stream` is, and for as many bytes as it is told.
        let answer = unsafe {
            WinSock::send(
                stream.as_raw_socket() as _,
                &raw const byte,
                1,
                WinSock::MSG_OOB,
            )
        };
        check(answer)
    }

    pub(super) fn receive_urgent(stream: &TcpStream) -> io::Result<u8> {
        let mut byte = 0_u8;
        // SAFETY: recv asks for a socket, which `stream` is, and for room for as many bytes as it
        // is told.
        let answer = unsafe {
            WinSock::recv(
                stream.as_raw_socket() as _,
                &raw mut byte,
                1,
                WinSock::MSG_OOB,
            )
        };
        check(answer)?;
        Ok(byte)
    }

    fn socket() -> io::Result<TcpStream> {
        // std starts Winsock at its first socket.
        drop(UdpSocket::bind("127.0.0.1:0")?);
        // SAFETY: WSASocketW asks for no pointers but null.
        let socket = unsafe {
            WinSock::WSASocketW(
                WinSock::AF_INET.into(),
                WinSock::SOCK_STREAM,
                WinSock::IPPROTO_TCP,
                std::ptr::null(),
                0,
                WinSock::WSA_FLAG_OVERLAPPED | WinSock::WSA_FLAG_NO_HANDLE_INHERIT,
            )
        };
        if socket == WinSock::INVALID_SOCKET {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: from_raw_socket asks for an open socket that nobody else owns, which was made
        // just now.
        let stream = unsafe { TcpStream::from_raw_socket(socket as _) };
        stream.set_nonblocking(true)?;
        Ok(stream)
    }

    fn sockaddr(address: SocketAddr) -> WinSock::SOCKADDR_IN {
        let SocketAddr::V4(address) = address else {
            panic!("the tests use IPv4");
        };
        WinSock::SOCKADDR_IN {
            sin_family: WinSock::AF_INET,
            sin_port: address.port().to_be(),
            sin_addr: WinSock::IN_ADDR {
                S_un: WinSock::IN_ADDR_0 {
                    S_addr: u32::from_ne_bytes(address.ip().octets()),
                },
            },
            sin_zero: [0; 8],
        }
    }

    pub(super) fn bind(to: SocketAddr) -> io::Result<TcpStream> {
        let stream = socket()?;
        let address = sockaddr(to);
        // SAFETY: bind asks for a socket, which `stream` is, and for an address of the length
        // given, which the local above is.
        let answer = unsafe {
            WinSock::bind(
                stream.as_raw_socket() as _,
                (&raw const address).cast(),
                size_of_val(&address) as i32,
            )
        };
        check(answer)?;
        Ok(stream)
    }

    pub(super) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
        let stream = socket()?;
        let address = sockaddr(to);
        // SAFETY: connect asks for a socket, which `stream` is, and for an address of the length
        // given, which the local above is.
        let answer = unsafe {
            WinSock::connect(
                stream.as_raw_socket() as _,
                (&raw const address).cast(),
                size_of_val(&address) as i32,
            )
        };
        match check(answer) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(stream),
        }
    }
}
