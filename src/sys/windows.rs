//! Windows, by windows-sys.

#[cfg(feature = "signal")]
mod console;
mod local;
mod net;
mod udp;

#[cfg(feature = "signal")]
pub(crate) use console::*;
pub use local::UnixAddr;
pub(crate) use local::*;
pub(crate) use net::*;
pub(crate) use udp::*;

use std::ffi::{CStr, c_void};
use std::sync::OnceLock;
use std::{io, ptr};

use windows_sys::Win32::Networking::WinSock;
use windows_sys::Win32::System::LibraryLoader;

use super::BorrowedSocket;

/// What remembers, on Unix, in which process it was made. Here no process is a copy of another.
#[derive(Debug)]
pub(crate) struct ForkGuard;

impl ForkGuard {
    pub(crate) fn new() -> ForkGuard {
        ForkGuard
    }

    pub(crate) fn is_at_home(&self) -> bool {
        true
    }
}

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

/// A function of some type that its finder knows.
pub(crate) type Function = unsafe extern "system" fn() -> isize;

/// Looks for a function that not every Windows has, in one of the system's own libraries, which stays
/// loaded.
pub(crate) fn find_function(library: &str, name: &CStr) -> Option<Function> {
    let library: Vec<u16> = library.encode_utf16().chain([0]).collect();
    // SAFETY: LoadLibraryExW asks for a text that ends with a zero and lives during the call, which
    // is the local above. (It looks in the system's folder alone.)
    let module = unsafe {
        LibraryLoader::LoadLibraryExW(
            library.as_ptr(),
            ptr::null_mut(),
            LibraryLoader::LOAD_LIBRARY_SEARCH_SYSTEM32,
        )
    };
    if module.is_null() {
        return None;
    }
    // SAFETY: GetProcAddress asks for a loaded module, which the call above has answered, and for a
    // text that ends with a zero, as a CStr does.
    unsafe { LibraryLoader::GetProcAddress(module, name.as_ptr().cast()) }
}

/// Keeps the module in which this address lies loaded for as long as the process lives. False says
/// that it could not be done.
pub(crate) fn keep_loaded(address: *const c_void) -> bool {
    let mut module = ptr::null_mut();
    // SAFETY: GetModuleHandleExW asks, with these flags, for an address, which it does not follow,
    // and for room for a handle, which is the local above.
    let answer = unsafe {
        LibraryLoader::GetModuleHandleExW(
            LibraryLoader::GET_MODULE_HANDLE_EX_FLAG_PIN
                | LibraryLoader::GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
            address.cast(),
            &raw mut module,
        )
    };
    answer != 0
}
