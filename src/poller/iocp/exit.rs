//! Processes: a wait on the handle, which puts a packet into the port.
//!
//! A port hears of operations, and a process is none. But its handle is signalled when it has exited,
//! and a *wait completion packet* (`packet.rs`) then puts itself into the port. Where the system has
//! none, or refuses one, one of its own threads waits for the handle (`RegisterWaitForSingleObject`;
//! there is one thread for many handles), and posts. Either packet carries a serial number and no
//! address: a process that was deleted meanwhile is not found under it, and that is all. What `modify`
//! changes is not in the packet, so the wait goes on, and one that is on its way serves the new wish.
//!
//! One that has exited stays so. The same packet once more, which comes at once, is how its owner is
//! told again: after `modify` and `rearm`, and at each `wait` if it is level-triggered.

use std::collections::HashMap;
use std::ffi::c_void;
use std::fmt;
use std::io;
use std::os::windows::io::{AsHandle as _, AsRawHandle as _, BorrowedHandle, OwnedHandle};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use windows_sys::Win32::Foundation::{HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Threading::{
    INFINITE, RegisterWaitForSingleObject, UnregisterWaitEx, WT_EXECUTEONLYONCE,
};

use super::packet::{Calls, Packet};
use super::port::{Port, origin};
use crate::poller::event::{Event, Interest, Key, Readiness, Trigger};
use crate::sync::{Arc, Mutex, lock};

/// The processes that a poller watches.
#[derive(Debug)]
pub(super) struct Exits {
    table: Mutex<Table>,
    port: Arc<Port>,
    /// Where the system has them.
    calls: Option<&'static Calls>,
}

#[derive(Debug, Default)]
struct Table {
    vigils: HashMap<usize, Vigil>,
    /// Those to be told of at the next `wait`: level-triggered, and told of by this one.
    to_resume: Vec<usize>,
}

/// What the owner of a process asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) key: Key,
    pub(super) interest: Interest,
    pub(super) trigger: Trigger,
}

#[derive(Debug)]
struct Vigil {
    wish: Wish,
    has_exited: bool,
    /// The owner has not been told since he asked last.
    is_owed: bool,
    /// A packet that tells again is on its way.
    is_posted: bool,
    wait: Wait,
}

impl Exits {
    pub(super) fn new(port: &Arc<Port>, calls: Option<&'static Calls>) -> Exits {
        Exits {
            table: Mutex::default(),
            port: Arc::clone(port),
            calls,
        }
    }

    /// Answers the serial number, of which there is no other in this program.
    pub(super) fn add(&self, process: BorrowedHandle<'_>, wish: Wish) -> io::Result<usize> {
        /// Relaxed: all that counts is that the numbers differ.
        static LATEST: AtomicUsize = AtomicUsize::new(0);
        let serial = LATEST.fetch_add(1, Ordering::Relaxed);
        let mut table = lock(&self.table);
        let vigil = Vigil {
            wish,
            has_exited: false,
            is_owed: true,
            is_posted: false,
            wait: Wait::new(process, &self.port, serial, self.calls)?,
        };
        // A packet that has come already finds it here, behind the lock.
        table.vigils.insert(serial, vigil);
        Ok(serial)
    }

    pub(super) fn modify(&self, serial: usize, wish: Wish) -> io::Result<()> {
        let mut table = lock(&self.table);
        let vigil = table.vigils.get_mut(&serial).ok_or_else(not_here)?;
        vigil.wish = wish;
        vigil.is_owed = true;
        vigil.remind(&self.port, serial)
    }

    pub(super) fn rearm(&self, serial: usize, directions: Interest) -> io::Result<()> {
        let mut table = lock(&self.table);
        let vigil = table.vigils.get_mut(&serial).ok_or_else(not_here)?;
        let is_for_us = directions.contains(Interest::READABLE);
        if vigil.wish.trigger != Trigger::Edge || !is_for_us {
            return Ok(());
        }
        vigil.is_owed = true;
        vigil.remind(&self.port, serial)
    }

    pub(super) fn delete(&self, serial: usize) -> io::Result<()> {
        let vigil = lock(&self.table).vigils.remove(&serial);
        // The end of the wait, without the lock.
        vigil.map(drop).ok_or_else(not_here)
    }

    /// A packet has come.
    pub(super) fn complete(&self, serial: usize) -> Option<Event> {
        let mut table = lock(&self.table);
        let vigil = table.vigils.get_mut(&serial)?;
        vigil.has_exited = true;
        vigil.is_posted = false;
        if !vigil.is_to_be_told() {
            return None;
        }
        let Wish { key, trigger, .. } = vigil.wish;
        vigil.is_owed = trigger == Trigger::Level;
        if vigil.is_owed {
            table.to_resume.push(serial);
        }
        Some(Event::new(key, Readiness::READABLE))
    }

    /// A new `wait` begins. False if the system has no memory for a packet: then it must not sleep.
    pub(super) fn resume(&self) -> bool {
        let mut table = lock(&self.table);
        while let Some(serial) = table.to_resume.pop() {
            let vigil = table.vigils.get_mut(&serial);
            if vigil.is_some_and(|vigil| vigil.remind(&self.port, serial).is_err()) {
                table.to_resume.push(serial);
                return false;
            }
        }
        true
    }
}

impl Vigil {
    fn is_to_be_told(&self) -> bool {
        self.has_exited && self.is_owed && self.wish.interest.contains(Interest::READABLE)
    }

    /// Sends a packet, if there is something to tell and none on its way.
    fn remind(&mut self, port: &Port, serial: usize) -> io::Result<()> {
        if self.is_to_be_told() && !self.is_posted {
            self.wait.repeat(port, serial)?;
            self.is_posted = true;
        }
        Ok(())
    }
}

fn not_here() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "this process is not watched here")
}

/// What puts the packet into the port when a process has exited. Dropping it ends that.
#[derive(Debug)]
struct Wait {
    by: By,
    /// A duplicate, which must be open as long as the wait goes on, and so is dropped after it.
    process: OwnedHandle,
}

#[derive(Debug)]
enum By {
    Packet(Packet),
    Thread { _wait: ThreadWait },
}

impl Wait {
    fn new(
        process: BorrowedHandle<'_>,
        port: &Arc<Port>,
        serial: usize,
        calls: Option<&'static Calls>,
    ) -> io::Result<Wait> {
        let process = process.try_clone_to_owned()?;
        let associate =
            |packet: &Packet| packet.associate(port, process.as_handle(), origin::EXIT, serial);
        let by = match calls.and_then(Packet::new).filter(associate) {
            Some(packet) => By::Packet(packet),
            None => By::Thread {
                // SAFETY: `ThreadWait::new` asks for a handle that stays open for longer than the
                // wait lives: it is in the field behind.
                _wait: unsafe { ThreadWait::new(process.as_handle(), port, serial) }?,
            },
        };
        Ok(Wait { by, process })
    }

    /// The packet again, at once: the process has exited, and the one before was taken out.
    fn repeat(&self, port: &Port, serial: usize) -> io::Result<()> {
        if let By::Packet(packet) = &self.by {
            if packet.associate(port, self.process.as_handle(), origin::EXIT, serial) {
                return Ok(());
            }
        }
        port.post(origin::EXIT, ptr::without_provenance(serial))
    }
}

/// A wait of the system's thread. Dropping it ends the wait, and if the thread is just posting waits
/// for that.
struct ThreadWait {
    handle: HANDLE,
    poster: *mut Poster,
}

// SAFETY: what keeps `ThreadWait` from being Send are a handle, which any thread may use, and a
// pointer to a box that is Send.
unsafe impl Send for ThreadWait {}

// SAFETY: nothing can be done by a shared reference but printing.
unsafe impl Sync for ThreadWait {}

/// What the system's thread is given.
struct Poster {
    port: Arc<Port>,
    serial: usize,
}

impl ThreadWait {
    /// # Safety
    ///
    /// The handle must stay open for longer than the answer lives.
    unsafe fn new(
        process: BorrowedHandle<'_>,
        port: &Arc<Port>,
        serial: usize,
    ) -> io::Result<ThreadWait> {
        let poster = Box::into_raw(Box::new(Poster {
            port: Arc::clone(port),
            serial,
        }));
        let mut handle = ptr::null_mut();
        // SAFETY: RegisterWaitForSingleObject asks for a handle that stays open until the wait is
        // unregistered, which the caller sees to, and for a context that is good for as long, which
        // is a field of the `ThreadWait` made below, whose drop unregisters first; and for room for a
        // handle.
        let answer = unsafe {
            RegisterWaitForSingleObject(
                &raw mut handle,
                process.as_raw_handle(),
                Some(post),
                poster.cast::<c_void>(),
                INFINITE,
                WT_EXECUTEONLYONCE,
            )
        };
        if answer == 0 {
            let error = io::Error::last_os_error();
            // SAFETY: from_raw asks for a box's pointer, once: it is that of above, and the system
            // has refused it.
            drop(unsafe { Box::from_raw(poster) });
            return Err(error);
        }
        Ok(ThreadWait { handle, poster })
    }
}

impl Drop for ThreadWait {
    fn drop(&mut self) {
        // SAFETY: UnregisterWaitEx asks for a wait that was not unregistered before, which only this
        // does. INVALID_HANDLE_VALUE makes it wait for a call of `post` that is under way; which
        // takes no lock, so it ends, and this is not called from within.
        let answer = unsafe { UnregisterWaitEx(self.handle, INVALID_HANDLE_VALUE) };
        debug_assert!(answer != 0, "{}", io::Error::last_os_error());
        if answer != 0 {
            // SAFETY: from_raw asks for a box's pointer, once: it is that of `new`, and the system
            // does not use it any more.
            drop(unsafe { Box::from_raw(self.poster) });
        }
    }
}

impl fmt::Debug for ThreadWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ThreadWait")
    }
}

/// The process has exited. Runs on a thread of the system's, once.
unsafe extern "system" fn post(poster: *mut c_void, _is_timeout: bool) {
    /// The system refuses a packet for want of memory only. It is asked again for about a second;
    /// then it has other sorrows.
    const TRIES: usize = 100;
    // SAFETY: the context is the box of `ThreadWait::new`, which lives until this call has ended.
    let poster = unsafe { &*poster.cast::<Poster>() };
    for _ in 0..TRIES {
        let pointer = ptr::without_provenance(poster.serial);
        if poster.port.post(origin::EXIT, pointer).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests;
