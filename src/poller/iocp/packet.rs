//! Wait completion packets: one packet in the port each time that an object is signalled.
//!
//! The system's own thread pool is built on them. Where a wait of the pool's
//! (`RegisterWaitForSingleObject`) has a thread that waits and then posts, here the kernel puts the
//! packet into the port itself, and its memory is there from the beginning. The three functions are in
//! `ntdll.dll` since Windows 8, and documented since 2023
//! ([`NtAssociateWaitCompletionPacket`](https://learn.microsoft.com/en-us/windows/win32/devnotes/ntassociatewaitcompletionpacket));
//! no library for the linker has them, and Wine 8 does not. So they are looked for at run time, and
//! whoever uses them can do without.
//!
//! # Life of a packet
//!
//! ```text
//!            associate               signalled                taken out
//!      idle -----------> associated -----------> in the port -----------> idle
//!       ^                    |                        |
//!       '------ cancel ------'-------- cancel --------'
//! ```
//!
//! One that is not idle cannot be associated. `cancel` may find it between two of these states: then
//! the packet comes, and whoever gets it must find that nobody wants it any more.

use std::ffi::c_void;
use std::os::windows::io::{AsRawHandle as _, BorrowedHandle, FromRawHandle as _, OwnedHandle};
use std::{fmt, mem, ptr};

use windows_sys::Win32::Foundation::{HANDLE, NTSTATUS, STATUS_CANCELLED, STATUS_SUCCESS};

use super::port::Port;
use crate::sync::OnceLock;
#[cfg(not(ekio_stand_in_wait_packets))]
use crate::sys::find_function;
#[cfg(ekio_stand_in_wait_packets)]
use stand_in::find_function;

/// `NtCreateWaitCompletionPacket(handle, access, attributes)`
type Create = unsafe extern "system" fn(*mut HANDLE, u32, *const c_void) -> NTSTATUS;

/// `NtAssociateWaitCompletionPacket(packet, port, object, key, pointer, status, information,
/// is_signalled_already)`
type Associate = unsafe extern "system" fn(
    HANDLE,
    HANDLE,
    HANDLE,
    *const c_void,
    *const c_void,
    NTSTATUS,
    usize,
    *mut u8,
) -> NTSTATUS;

/// `NtCancelWaitCompletionPacket(packet, takes_it_out_of_the_port)`
type Cancel = unsafe extern "system" fn(HANDLE, u8) -> NTSTATUS;

/// The system's three functions.
#[derive(Clone, Copy)]
pub(super) struct Calls {
    create: Create,
    associate: Associate,
    cancel: Cancel,
}

/// Dropping it takes it back, as [`cancel`](Packet::cancel) does.
pub(super) struct Packet {
    handle: OwnedHandle,
    calls: &'static Calls,
}

impl Calls {
    /// `None` where the system has no such packets.
    pub(super) fn of_system() -> Option<&'static Calls> {
        static CALLS: OnceLock<Option<Calls>> = OnceLock::new();
        CALLS.get_or_init(Calls::find).as_ref()
    }

    fn find() -> Option<Calls> {
        if cfg!(not(has_wait_packets)) {
            return None;
        }
        let find = |name| find_function("ntdll.dll", name);
        let create = find(c"NtCreateWaitCompletionPacket")?;
        let associate = find(c"NtAssociateWaitCompletionPacket")?;
        let cancel = find(c"NtCancelWaitCompletionPacket")?;
        // SAFETY: transmute asks for a function of that type, which is the documented one of the name.
        let create = unsafe { mem::transmute::<crate::sys::Function, Create>(create) };
        // SAFETY: as above.
        let associate = unsafe { mem::transmute::<crate::sys::Function, Associate>(associate) };
        // SAFETY: as above.
        let cancel = unsafe { mem::transmute::<crate::sys::Function, Cancel>(cancel) };
        Some(Calls {
            create,
            associate,
            cancel,
        })
    }
}

impl Packet {
    /// `None` if the system refuses.
    pub(super) fn new(calls: &'static Calls) -> Option<Packet> {
        /// `GENERIC_ALL`
        const ACCESS: u32 = 0x1000_0000;
        let mut handle = ptr::null_mut();
        // SAFETY: the function asks for room for a handle, which is the local above; the access is
        // the usual one, and attributes there need be none.
        let status = unsafe { (calls.create)(&raw mut handle, ACCESS, ptr::null()) };
        if status != STATUS_SUCCESS {
            return None;
        }
        // SAFETY: from_raw_handle asks for an open handle that nobody else owns: the call above has
        // just made it.
        let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
        Some(Packet { handle, calls })
    }

    /// Sees to it that a packet with this origin and pointer comes into the port, once, when the object
    /// is signalled; if it is so already, now. False says that none will come: the system refuses, or
    /// this one is not idle.
    pub(super) fn associate(
        &self,
        port: &Port,
        object: BorrowedHandle<'_>,
        origin: usize,
        pointer: usize,
    ) -> bool {
        let mut is_signalled_already = 0;
        // SAFETY: the function asks for handles of a packet and a port, which are ours, and of an
        // object to wait for, which is borrowed and of which it takes a reference; and for room for a
        // byte, which is the local above. Key and pointer travel through the kernel, which does not
        // look where they lead.
        let status = unsafe {
            (self.calls.associate)(
                self.handle.as_raw_handle(),
                port.raw_handle(),
                object.as_raw_handle(),
                ptr::without_provenance(origin),
                ptr::without_provenance(pointer),
                STATUS_SUCCESS,
                0,
                &raw mut is_signalled_already,
            )
        };
        // If it is signalled already the packet is in the port, as at any other time.
        status == STATUS_SUCCESS
    }

    /// Makes it idle, also if it is in the port already. False says that it is just on its way, and
    /// cannot be stopped.
    pub(super) fn cancel(&self) -> bool {
        // SAFETY: the function asks for a packet's handle, which is ours.
        let status = unsafe { (self.calls.cancel)(self.handle.as_raw_handle(), 1) };
        // The second says that there was nothing to cancel.
        status == STATUS_SUCCESS || status == STATUS_CANCELLED
    }

    #[cfg(test)]
    pub(super) fn replace_calls(&mut self, calls: &'static Calls) {
        self.calls = calls;
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // What cannot be stopped finds nobody.
        let _ = self.cancel();
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packet")
    }
}

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calls")
    }
}

#[cfg(any(test, ekio_stand_in_wait_packets))]
pub(super) mod stand_in;
