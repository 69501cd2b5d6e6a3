//! Windows, by windows-sys.

mod net;

pub(crate) use net::*;

use std::io;

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
