//! AFD, the *ancillary function driver*: the part of the kernel under Winsock, and the one who can
//! be asked to say when a socket is ready.
//!
//! The request is made to a handle of the driver's own device, and names the sockets it is about.
//! Nothing of it is documented; see the links in the essay of [this module's parent](super).

use std::io;
use std::os::windows::io::{
    AsHandle as _, AsRawHandle as _, FromRawHandle as _, OwnedHandle, RawSocket,
};
use std::ptr;

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_OPEN, FILE_SYNCHRONOUS_IO_NONALERT, NTCREATEFILE_CREATE_OPTIONS, NtCancelIoFileEx,
    NtCreateFile,
};
use windows_sys::Wdk::System::IO::NtDeviceIoControlFile;
use windows_sys::Win32::Foundation::{
    HANDLE, NTSTATUS, RtlNtStatusToDosError, STATUS_NOT_FOUND, STATUS_PENDING, UNICODE_STRING,
};
use windows_sys::Win32::Networking::WinSock;
use windows_sys::Win32::Storage::FileSystem::{
    FILE_SHARE_READ, FILE_SHARE_WRITE, SYNCHRONIZE, SetFileCompletionNotificationModes,
};
use windows_sys::Win32::System::IO::{IO_STATUS_BLOCK, IO_STATUS_BLOCK_0};
use windows_sys::Win32::System::WindowsProgramming::FILE_SKIP_SET_EVENT_ON_HANDLE;

use super::base::{self, Question};
use super::port::{Port, origin};
use crate::poller::flags::afd::is_error;
use crate::sync::OnceLock;

/// The control code of a poll.
const IOCTL_AFD_POLL: u32 = 0x0001_2024;

/// `AFD_POLL_HANDLE_INFO`
#[repr(C)]
#[derive(Debug)]
struct PollHandleInfo {
    handle: HANDLE,
    events: u32,
    status: NTSTATUS,
}

/// `AFD_POLL_INFO` for one socket.
#[repr(C)]
#[derive(Debug)]
struct PollInfo {
    /// In units of 100 ns; negative is relative.
    timeout: i64,
    number_of_handles: u32,
    /// If not 0, it ends the other exclusive polls of the socket.
    exclusive: u32,
    handles: [PollHandleInfo; 1],
}

impl PollInfo {
    const BYTES: u32 = size_of::<PollInfo>() as u32;

    fn new(base: RawSocket, mask: u32, timeout: i64) -> PollInfo {
        PollInfo {
            timeout,
            number_of_handles: 1,
            exclusive: 0,
            handles: [PollHandleInfo {
                handle: ptr::with_exposed_provenance_mut(base as usize),
                events: mask,
                status: 0,
            }],
        }
    }

    /// The mask in an answer. (The answer to a poll that timed out names no socket.)
    fn found(&self) -> u32 {
        match self.number_of_handles {
            0 => 0,
            _ => self.handles[0].events,
        }
    }
}

/// What the kernel is lent for the time of a poll.
#[repr(C)]
pub(super) struct Block {
    status: IO_STATUS_BLOCK,
    info: PollInfo,
}

impl Block {
    pub(super) fn new(base: RawSocket, mask: u32) -> Block {
        const NEVER: i64 = i64::MAX;
        Block {
            status: IO_STATUS_BLOCK {
                Anonymous: IO_STATUS_BLOCK_0 {
                    Status: STATUS_PENDING,
                },
                Information: 0,
            },
            info: PollInfo::new(base, mask, NEVER),
        }
    }

    /// What the ended poll found, and how it ended.
    pub(super) fn answer(&self) -> (u32, NTSTATUS) {
        // SAFETY: the union is the kernel's, and of its two fields this is the one in which a status
        // comes back; as an integer it has no invalid values.
        let status = unsafe { self.status.Anonymous.Status };
        (self.info.found(), status)
    }
}

/// A handle of AFD's device.
#[derive(Debug)]
pub(super) struct Device {
    handle: OwnedHandle,
}

impl Device {
    /// Opens the device, with its completions coming to the port.
    pub(super) fn open(port: &Port) -> io::Result<Device> {
        let handle = open(0)?;
        port.associate(handle.as_handle(), origin::AFD)?;
        // SAFETY: SetFileCompletionNotificationModes asks for an open handle; ours is. The mode says
        // that the handle itself is not to be signalled: nobody waits for it.
        let answer = unsafe {
            SetFileCompletionNotificationModes(
                handle.as_raw_handle(),
                FILE_SKIP_SET_EVENT_ON_HANDLE as u8,
            )
        };
        if answer == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Device { handle })
    }

    /// Starts a poll. Unless the status is an error, a packet with `context` in the place of its
    /// pointer will come to the port, also if the poll ended at once.
    ///
    /// # Safety
    ///
    /// * `block` points to a block that nobody reads, writes or frees before that packet has been
    ///   taken out of the port, or the call has answered an error.
    pub(super) unsafe fn submit(&self, block: *mut Block, context: *const ()) -> NTSTATUS {
        // SAFETY: `block` points to a block, by our contract; the field's address is inside it.
        let status = unsafe { &raw mut (*block).status };
        // SAFETY: as above.
        let info = unsafe { &raw mut (*block).info };
        // SAFETY: NtDeviceIoControlFile asks for an open handle, and for a status block and buffers
        // of the lengths given that are the kernel's until the request has ended: our contract says
        // so of the block, of which they are parts.
        unsafe {
            NtDeviceIoControlFile(
                self.handle.as_raw_handle(),
                ptr::null_mut(),
                None,
                context.cast(),
                status,
                IOCTL_AFD_POLL,
                info.cast(),
                PollInfo::BYTES,
                info.cast(),
                PollInfo::BYTES,
            )
        }
    }

    /// Cancels the poll of a block, if it has not ended: then its packet is in the port already.
    ///
    /// # Safety
    ///
    /// * `block` points to a block that was given to [`submit`](Device::submit) of this device, and
    ///   is not freed during the call.
    pub(super) unsafe fn cancel(&self, block: *mut Block) {
        let mut ignored = IO_STATUS_BLOCK::default();
        // SAFETY: `block` points to a block, by our contract; the field's address is inside it.
        let request = unsafe { &raw const (*block).status };
        // SAFETY: NtCancelIoFileEx asks for an open handle, for the address of the status block that
        // names the request (it is compared, and not followed), and for another one to write to.
        let status =
            unsafe { NtCancelIoFileEx(self.handle.as_raw_handle(), request, &raw mut ignored) };
        debug_assert!(
            status == 0 || status == STATUS_NOT_FOUND,
            "NtCancelIoFileEx answers {status:#x}"
        );
    }
}

/// A second handle of the device, for questions that are answered at once.
#[derive(Debug, Default)]
pub(super) struct Glance {
    /// Opened at first use: edge-triggered sockets have none. `None` if that failed.
    handle: OnceLock<Option<OwnedHandle>>,
}

impl Glance {
    /// Which of these bits hold at this moment. (None, if the socket cannot be asked.)
    pub(super) fn look(&self, base: RawSocket, mask: u32) -> u32 {
        const AT_ONCE: i64 = 0;
        // On a synchronous handle the call itself waits for its end. No port learns of it.
        let handle = || open(FILE_SYNCHRONOUS_IO_NONALERT).ok();
        let Some(handle) = self.handle.get_or_init(handle) else {
            return 0;
        };
        let mut info = PollInfo::new(base, mask, AT_ONCE);
        let mut status = IO_STATUS_BLOCK::default();
        let buffer = &raw mut info;
        // SAFETY: NtDeviceIoControlFile asks for an open handle, and for a status block and buffers
        // of the lengths given that live until the request has ended. They are the locals above, and
        // on a synchronous handle, which this one is, that is when the call returns.
        let answer = unsafe {
            NtDeviceIoControlFile(
                handle.as_raw_handle(),
                ptr::null_mut(),
                None,
                ptr::null(),
                &raw mut status,
                IOCTL_AFD_POLL,
                buffer.cast(),
                PollInfo::BYTES,
                buffer.cast(),
                PollInfo::BYTES,
            )
        };
        debug_assert_ne!(answer, STATUS_PENDING, "a synchronous handle");
        if is_error(answer) { 0 } else { info.found() }
    }
}

/// Opens `\Device\Afd` under a name of our own, which the driver ignores, and which shows in tools.
fn open(options: NTCREATEFILE_CREATE_OPTIONS) -> io::Result<OwnedHandle> {
    const NAME: &[u8] = br"\Device\Afd\ekio";
    const WIDE_NAME: [u16; NAME.len()] = {
        let mut wide = [0; NAME.len()];
        let mut at = 0;
        while at < wide.len() {
            wide[at] = NAME[at] as u16;
            at += 1;
        }
        wide
    };
    const BYTES: u16 = size_of_val(&WIDE_NAME) as u16;
    let wide_name = WIDE_NAME;
    let name = UNICODE_STRING {
        Length: BYTES,
        MaximumLength: BYTES,
        Buffer: wide_name.as_ptr().cast_mut(),
    };
    // No OBJ_INHERIT: programs that this one starts do not get the handle.
    let attributes = OBJECT_ATTRIBUTES {
        Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        ObjectName: (&raw const name).cast_mut(),
        ..OBJECT_ATTRIBUTES::default()
    };
    let mut status_block = IO_STATUS_BLOCK::default();
    let mut handle = ptr::null_mut();
    // SAFETY: NtCreateFile asks for room for a handle and a status block, and for attributes with a
    // name in them, all of which are locals that outlive the call.
    let status = unsafe {
        NtCreateFile(
            &raw mut handle,
            SYNCHRONIZE,
            &raw const attributes,
            &raw mut status_block,
            ptr::null(),
            0,
            FILE_SHARE_READ | FILE_SHARE_WRITE,
            FILE_OPEN,
            options,
            ptr::null(),
            0,
        )
    };
    if status != 0 {
        let error = error_from(status);
        return Err(io::Error::new(
            error.kind(),
            format!(r"\Device\Afd, which tells when sockets are ready, cannot be opened: {error}"),
        ));
    }
    // SAFETY: from_raw_handle asks for an open handle that nobody else owns: the call above has just
    // made it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// The socket that AFD knows, of one that a program knows.
pub(super) fn base_socket(socket: RawSocket) -> io::Result<RawSocket> {
    base::find(socket, |socket, question| {
        let code = match question {
            Question::Base => WinSock::SIO_BASE_HANDLE,
            Question::Poll => WinSock::SIO_BSP_HANDLE_POLL,
            Question::Select => WinSock::SIO_BSP_HANDLE_SELECT,
            Question::Plain => WinSock::SIO_BSP_HANDLE,
        };
        let mut named: WinSock::SOCKET = WinSock::INVALID_SOCKET;
        let mut bytes = 0;
        // SAFETY: WSAIoctl asks for room for the answer, of the length given (the local `named`), and
        // for an integer to write to. A handle that is no socket is an error.
        let answer = unsafe {
            WinSock::WSAIoctl(
                socket as WinSock::SOCKET,
                code,
                ptr::null(),
                0,
                (&raw mut named).cast(),
                size_of::<WinSock::SOCKET>() as u32,
                &raw mut bytes,
                ptr::null_mut(),
                None,
            )
        };
        if answer == 0 {
            return Ok(named as RawSocket);
        }
        // SAFETY: WSAGetLastError asks for nothing.
        Err(unsafe { WinSock::WSAGetLastError() })
    })
}

/// The error that Windows has for a kernel's status.
pub(super) fn error_from(status: NTSTATUS) -> io::Error {
    // SAFETY: RtlNtStatusToDosError asks for nothing but a number.
    let error = unsafe { RtlNtStatusToDosError(status) };
    io::Error::from_raw_os_error(error as i32)
}
