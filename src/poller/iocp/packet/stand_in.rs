//! Packets of our own, for systems that have none (Wine): a wait of the thread pool's, whose function
//! posts. For tests alone, ours of `iocp` and, with `--cfg ekio_stand_in_wait_packets`, all others.
//!
//! It differs from the system's in that `cancel` leaves what has been posted in the port, which is more
//! than its users have to bear; and that it must not outlive the port, which `Packet`'s drop sees to.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr;
#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use windows_sys::Win32::Foundation::{
    HANDLE, INVALID_HANDLE_VALUE, NTSTATUS, STATUS_CANCELLED, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS,
};
use windows_sys::Win32::System::IO::{OVERLAPPED, PostQueuedCompletionStatus};
use windows_sys::Win32::System::Threading::{
    CreateEventW, INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEONLYONCE,
};

#[cfg(test)]
use super::Calls;

#[cfg(test)]
pub(in super::super) const CALLS: Calls = Calls {
    create,
    associate,
    cancel,
};

/// One that makes no packets.
#[cfg(test)]
pub(in super::super) const NO_CREATE: Calls = Calls {
    create: refuse_create,
    ..CALLS
};

/// One whose packets cannot be used.
#[cfg(test)]
pub(in super::super) const NO_ASSOCIATE: Calls = Calls {
    associate: refuse_associate,
    ..CALLS
};

/// One whose packets are always on their way when they are cancelled.
#[cfg(test)]
pub(in super::super) const NO_CANCEL: Calls = Calls {
    cancel: cancel_too_late,
    ..CALLS
};

/// How many packets of each origin were put into ports.
#[cfg(test)]
static RINGS: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];

/// What stands for a packet.
struct Stand {
    wait: usize,
    port: usize,
    key: usize,
    pointer: usize,
    has_rung: bool,
}

/// By the address of the handles, which are events that nobody signals.
static STANDS: LazyLock<Mutex<HashMap<usize, Stand>>> = LazyLock::new(Mutex::default);

fn stands() -> MutexGuard<'static, HashMap<usize, Stand>> {
    STANDS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
pub(in super::super) fn rings(origin: usize) -> usize {
    RINGS[origin].load(Ordering::Relaxed)
}

/// In place of [`crate::sys::find_function`].
#[cfg(ekio_stand_in_wait_packets)]
pub(super) fn find_function(_: &str, name: &std::ffi::CStr) -> Option<crate::sys::Function> {
    let address = match name.to_bytes() {
        b"NtCreateWaitCompletionPacket" => create as *const c_void,
        b"NtAssociateWaitCompletionPacket" => associate as *const c_void,
        b"NtCancelWaitCompletionPacket" => cancel as *const c_void,
        _ => return None,
    };
    // SAFETY: transmute asks for the address of a function, which each of them is; of which type, the
    // caller knows.
    Some(unsafe { std::mem::transmute::<*const c_void, crate::sys::Function>(address) })
}

unsafe extern "system" fn create(packet: *mut HANDLE, _: u32, _: *const c_void) -> NTSTATUS {
    // SAFETY: CreateEventW asks for neither attributes nor a name.
    let event = unsafe { CreateEventW(ptr::null(), 0, 0, ptr::null()) };
    if event.is_null() {
        return STATUS_INVALID_PARAMETER;
    }
    // SAFETY: the caller gives room for a handle.
    unsafe { packet.write(event) };
    STATUS_SUCCESS
}

unsafe extern "system" fn associate(
    packet: HANDLE,
    port: HANDLE,
    object: HANDLE,
    key: *const c_void,
    pointer: *const c_void,
    _: NTSTATUS,
    _: usize,
    is_signalled_already: *mut u8,
) -> NTSTATUS {
    let mut stands = stands();
    if stands
        .get(&packet.addr())
        .is_some_and(|stand| !stand.has_rung)
    {
        return STATUS_INVALID_PARAMETER;
    }
    let mut wait = ptr::null_mut();
    // SAFETY: the call asks for room for a handle, which is the local above, and for an object that
    // stays open until the wait is unregistered, which is so: our users close it after the packet.
    let answer = unsafe {
        RegisterWaitForSingleObject(
            &raw mut wait,
            object,
            Some(ring),
            packet,
            INFINITE,
            WT_EXECUTEONLYONCE,
        )
    };
    if answer == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let stand = Stand {
        wait: wait.expose_provenance(),
        port: port.expose_provenance(),
        key: key.addr(),
        pointer: pointer.addr(),
        has_rung: false,
    };
    if let Some(former) = stands.insert(packet.addr(), stand) {
        let wait = ptr::with_exposed_provenance_mut(former.wait);
        // SAFETY: the wait was registered by an earlier call, and is unregistered once. Its function
        // has done all that it does with the stand.
        unsafe { UnregisterWaitEx(wait, ptr::null_mut()) };
    }
    // SAFETY: the caller gives room for a byte.
    unsafe { is_signalled_already.write(0) };
    STATUS_SUCCESS
}

unsafe extern "system" fn ring(packet: *mut c_void, _: bool) {
    let mut stands = stands();
    let Some(stand) = stands.get_mut(&packet.addr()) else {
        return; // It is being cancelled.
    };
    stand.has_rung = true;
    #[cfg(test)]
    RINGS[stand.key].fetch_add(1, Ordering::Relaxed);
    // SAFETY: the port is open as long as its poller, which ends after its packets.
    unsafe {
        PostQueuedCompletionStatus(
            ptr::with_exposed_provenance_mut(stand.port),
            0,
            stand.key,
            ptr::without_provenance::<OVERLAPPED>(stand.pointer),
        )
    };
}

unsafe extern "system" fn cancel(packet: HANDLE, _: u8) -> NTSTATUS {
    let Some(stand) = stands().remove(&packet.addr()) else {
        return STATUS_CANCELLED;
    };
    let wait = ptr::with_exposed_provenance_mut(stand.wait);
    // SAFETY: the wait was registered above, and is unregistered once. It waits for `ring` to end.
    unsafe { UnregisterWaitEx(wait, INVALID_HANDLE_VALUE) };
    STATUS_SUCCESS
}

#[cfg(test)]
unsafe extern "system" fn refuse_create(_: *mut HANDLE, _: u32, _: *const c_void) -> NTSTATUS {
    STATUS_INVALID_PARAMETER
}

#[cfg(test)]
unsafe extern "system" fn refuse_associate(
    _: HANDLE,
    _: HANDLE,
    _: HANDLE,
    _: *const c_void,
    _: *const c_void,
    _: NTSTATUS,
    _: usize,
    _: *mut u8,
) -> NTSTATUS {
    STATUS_INVALID_PARAMETER
}

#[cfg(test)]
unsafe extern "system" fn cancel_too_late(packet: HANDLE, takes_out: u8) -> NTSTATUS {
    // SAFETY: as for ourselves. (A wait that went on after its object was closed would disturb the
    // pool's others.)
    unsafe { cancel(packet, takes_out) };
    windows_sys::Win32::Foundation::STATUS_PENDING
}
