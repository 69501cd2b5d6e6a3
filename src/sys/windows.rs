//! Windows, by windows-sys.

mod net;

pub(crate) use net::*;

use std::io;
use std::sync::OnceLock;

use windows_sys::Win32::Networking::WinSock;

use super::BorrowedSocket;

/// Puts a socket into non-blocking mode.
pub(crate) fn set_socket_nonblocking(socket: BorrowedSocket<'_>) -> io::Result<()> {
    use std::os::windows::io::AsRawSocket as _;
    let mut is_nonblocking = 1_u32;
    // SAFETY: ioctlsocket asks for an open socket, which the borrow is, and for a number that lives
    // during the call, which is the local above.
    let answer = unsafe {
        WinSock::ioctlsocket(
            socket.as_raw_socket() as WinSock::SOCKET,
            WinSock::FIONBIO,
            &mut is_nonblocking,
        )
    };
    if answer == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Starts Winsock for this process, as everything that has to do with sockets requires. (std does
/// it when it makes its first socket, but a socket may have come from elsewhere.) It is not ended
/// again: that would be in the way of others.
pub(crate) fn start_winsock() -> io::Result<()> {
    const VERSION_2_2: u16 = 0x0202;
    static ANSWER: OnceLock<i32> = OnceLock::new();
    let answer = *ANSWER.get_or_init(|| {
        let mut data = WinSock::WSADATA::default();
        // SAFETY: WSAStartup asks for a structure to fill in, which is the local above.
        unsafe { WinSock::WSAStartup(VERSION_2_2, &raw mut data) }
    });
    match answer {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
