//! An alarm for the waiter: a packet in the port at a moment, more exactly than the port's own
//! time-outs.
//!
//! `GetQueuedCompletionStatusEx` counts ticks of the system's clock, 15.6 ms by default. A *waitable
//! timer* of high resolution (Windows 10, 1803) is good to about half a millisecond, and a *wait
//! completion packet* (`packet.rs`) puts a packet into a port when an object is signalled: the two
//! together are an alarm, as Go, compio and others have it. Where something is missing (Wine 8, older
//! Windows) there is no alarm, and waits are rounded up to milliseconds.
//!
//! # Life of an alarm
//!
//! ```text
//!            set: SetWaitableTimer, NtAssociateWaitCompletionPacket
//!      idle ------------------------------------------------------> set
//!       ^ ^                                                        |  |
//!       | '--- rang: the packet was taken out of the port ---------'  |
//!       '----- set, while it is: NtCancelWaitCompletionPacket --------'
//! ```
//!
//! A wait that ends for another reason leaves the alarm set: a packet that comes for nobody costs a look
//! at the clock, and most are never cancelled, since the next wait that needs the alarm comes after it
//! has rung.

use std::os::windows::io::{AsHandle as _, AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::{fmt, ptr};

use windows_sys::Win32::System::Threading::{
    CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, CreateWaitableTimerExW, SYNCHRONIZATION_SYNCHRONIZE,
    SetWaitableTimer, TIMER_MODIFY_STATE,
};

use super::packet::{Calls, Packet};
use super::port::{Port, origin};

/// One for each poller; its waiter's.
pub(super) struct Alarm {
    /// Before the timer, which it may be associated with.
    packet: Packet,
    timer: OwnedHandle,
    /// The packet may be associated with the timer, or on its way.
    is_set: bool,
}

impl Alarm {
    /// `None` if this system cannot do it.
    pub(super) fn new(calls: Option<&'static Calls>) -> Option<Alarm> {
        let packet = Packet::new(calls?)?;
        let access = SYNCHRONIZATION_SYNCHRONIZE | TIMER_MODIFY_STATE;
        // SAFETY: CreateWaitableTimerExW asks for no attributes and no name in order to use its
        // defaults.
        let timer = unsafe {
            CreateWaitableTimerExW(
                ptr::null(),
                ptr::null(),
                CREATE_WAITABLE_TIMER_HIGH_RESOLUTION,
                access,
            )
        };
        if timer.is_null() {
            return None;
        }
        // SAFETY: from_raw_handle asks for an open handle that nobody else owns: the call above has
        // just made it.
        let timer = unsafe { OwnedHandle::from_raw_handle(timer) };
        Some(Alarm {
            packet,
            timer,
            is_set: false,
        })
    }

    /// Sees to it that a packet of [`origin::ALARM`] comes into the port in so many units of 100 ns,
    /// and not the one that was set before. False says that this time none may come.
    pub(super) fn set(&mut self, port: &Port, units: i64) -> bool {
        if !self.unset() {
            return false;
        }
        // Negative is relative. (An absolute one would follow the wall clock when that is set.)
        let due = -units;
        // SAFETY: SetWaitableTimer asks for a timer's handle, which is ours, and for a time that lives
        // during the call, which is the local above; no function is to be called.
        let answer = unsafe {
            SetWaitableTimer(
                self.timer.as_raw_handle(),
                &raw const due,
                0,
                None,
                ptr::null(),
                0,
            )
        };
        if answer == 0 {
            return false;
        }
        // A packet that cannot be associated is one that is so already.
        self.is_set = true;
        let timer = self.timer.as_handle();
        self.packet.associate(port, timer, origin::ALARM, 0)
    }

    /// Its packet has been taken out of the port.
    pub(super) fn rang(&mut self) {
        self.is_set = false;
    }

    /// False says that its packet is just on its way, and cannot be stopped.
    fn unset(&mut self) -> bool {
        if !self.is_set {
            return true;
        }
        let is_unset = self.packet.cancel();
        self.is_set = !is_unset;
        is_unset
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm")
            .field("is_set", &self.is_set)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
