//! Hearing that the machine is back from a suspension.
//!
//! `PowerRegisterSuspendResumeNotification` calls us back, on a thread of the system's; we put a
//! packet into each port, so that whoever waits there looks at the clock (`stretch.rs` says why).
//! Registered once for the process, with the first port, and for good.

use std::ffi::c_void;
use std::ptr;

use super::port::{Port, origin};
use crate::sync::{Arc, StaticMutex, Weak, lock_static};
use crate::sys;

/// The ports that are told.
static PORTS: StaticMutex<Ports> = StaticMutex::new(Ports {
    is_registered: false,
    open: Vec::new(),
});

struct Ports {
    /// Whether the system has been asked, not what it answered.
    is_registered: bool,
    open: Vec<Weak<Port>>,
}

/// From now on the port is told, by a packet of [`origin::RESUME`].
///
/// A system that cannot tell (before Windows 8, or without that library, as the smallest servers are)
/// is none that is suspended, and no error: the stretches of a wait are bounded anyway.
pub(super) fn tell(port: &Arc<Port>) {
    let mut ports = lock_static(&PORTS);
    ports.open.retain(|port| port.strong_count() > 0);
    ports.open.push(Arc::downgrade(port));
    if !ports.is_registered {
        ports.is_registered = true;
        register();
    }
}

/// `DEVICE_NOTIFY_SUBSCRIBE_PARAMETERS`
#[repr(C)]
struct Subscription {
    callback: unsafe extern "system" fn(*const c_void, u32, *const c_void) -> u32,
    context: *const c_void,
}

/// `PowerRegisterSuspendResumeNotification`
type Register = unsafe extern "system" fn(u32, *const Subscription, *mut *mut c_void) -> u32;

fn register() {
    const DEVICE_NOTIFY_CALLBACK: u32 = 2;
    let name = c"PowerRegisterSuspendResumeNotification";
    let Some(function) = sys::find_function("powrprof.dll", name) else {
        return;
    };
    // The system will call us for as long as the process lives.
    if !sys::keep_loaded(on_change as *const c_void) {
        return;
    }
    // SAFETY: transmute asks for a function of that type, which is the documented one of the name.
    let function = unsafe { std::mem::transmute::<sys::Function, Register>(function) };
    let subscription = Subscription {
        callback: on_change,
        context: ptr::null(),
    };
    let mut registration = ptr::null_mut();
    // SAFETY: the function asks for a subscription that lives during the call, which is the local
    // above, whose callback stays where it is, which has been seen to; and for room for a pointer.
    let _ = unsafe {
        // An error means that we are not told.
        function(
            DEVICE_NOTIFY_CALLBACK,
            &raw const subscription,
            &raw mut registration,
        )
    };
}

/// Called on a thread of the system's, when the machine is about to be suspended and when it is back.
/// Which of them it is makes no difference: a packet too many costs a look at the clock.
unsafe extern "system" fn on_change(_: *const c_void, _: u32, _: *const c_void) -> u32 {
    let open: Vec<_> = lock_static(&PORTS)
        .open
        .iter()
        .filter_map(Weak::upgrade)
        .collect();
    for port in open {
        // It fails if the system has no memory for the packet: then the stretch ends later.
        let _ = port.post(origin::RESUME, ptr::null());
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poller::iocp::Iocp;
    use crate::poller::{Events, Poller};
    use std::time::{Duration, Instant};

    /// The system's call, by us: a wait looks at the clock, and goes on.
    #[test]
    fn a21_a_call_back_ends_a_stretch_and_no_wait() {
        let poller = Iocp::new().unwrap();
        assert!(lock_static(&PORTS).is_registered);
        let mut events = Events::with_capacity(4);
        for timeout in [Duration::ZERO, Duration::from_millis(5)] {
            let start = Instant::now();
            // SAFETY: the function looks at none of its arguments.
            unsafe { on_change(ptr::null(), 0, ptr::null()) };
            poller.wait(&mut events, Some(timeout)).unwrap();
            assert!(events.is_empty() && start.elapsed() >= timeout);
        }
        // The packet does take the place of none that counts.
        // SAFETY: as above.
        unsafe { on_change(ptr::null(), 0, ptr::null()) };
        poller.notify().unwrap();
        poller.wait(&mut events, None).unwrap();
        let port = Arc::downgrade(poller.port());
        drop(poller);
        assert!(port.upgrade().is_none(), "the list keeps no port");
    }
}
