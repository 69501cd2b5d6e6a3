//! The completion port: where packets wait to be taken out, and who put them there.

use std::fmt;
use std::io;
use std::os::windows::io::{
    AsRawHandle as _, BorrowedHandle, FromRawHandle as _, OwnedHandle, RawHandle,
};
use std::ptr;

use windows_sys::Win32::Foundation::{INVALID_HANDLE_VALUE, WAIT_TIMEOUT};
use windows_sys::Win32::System::IO::{
    CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED, OVERLAPPED_ENTRY,
    PostQueuedCompletionStatus,
};

use crate::sync::Arc;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// Who put a packet into the port: its completion key.
pub(super) mod origin {
    /// A poll of AFD's has ended. The packet's pointer is the `Socket`'s.
    pub(in super::super) const AFD: usize = 1;
    /// `notify` or `post`. No pointer.
    pub(in super::super) const NOTIFY: usize = 2;
    /// An operation on a handle that was given to `associate`. The pointer is to the `OVERLAPPED`
    /// of a `Request`, or of a stranger.
    pub(in super::super) const REQUEST: usize = 3;
    /// A process has exited. The pointer is a serial number and leads nowhere.
    pub(in super::super) const EXIT: usize = 6;
    /// The machine is back from a suspension. No pointer.
    pub(in super::super) const RESUME: usize = 4;
    /// The alarm rings. No pointer.
    pub(in super::super) const ALARM: usize = 5;
}

/// What of a poller is alive: the test of `a24_afd_live_ops_zero` reads it.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// What is in the kernel's hands.
    in_flight: AtomicUsize,
    /// Pieces of memory that the kernel may be given.
    records: AtomicUsize,
}

impl Census {
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn records(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    /// Relaxed, all of them: the counts guard no memory, and who needs them exact (`Drop`) is the
    /// only thread left.
    pub(super) fn departed(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn returned(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lives in each record, and counts it.
pub(super) struct Counted(Arc<Census>);

impl Counted {
    pub(super) fn new(census: &Arc<Census>) -> Counted {
        census.records.fetch_add(1, Ordering::Relaxed);
        Counted(Arc::clone(census))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.records.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

#[derive(Debug)]
pub(super) struct Port {
    handle: OwnedHandle,
    pub(super) census: Arc<Census>,
}

impl Port {
    pub(super) fn new() -> io::Result<Port> {
        /// How many threads may be at work on packets before the port holds packets back. It counts
        /// a thread as at work from the moment it took a packet until it sleeps again, so with a
        /// small number a thread that is busy with what it took would keep the others from the port.
        const THREADS_MAX: u32 = i32::MAX as u32;
        // SAFETY: CreateIoCompletionPort asks for no file handle and no port in order to make a new
        // port; these two are its words for that.
        let raw = unsafe {
            CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, THREADS_MAX)
        };
        if raw.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: from_raw_handle asks for an open handle that nobody else owns: the call above has
        // just made it.
        let handle = unsafe { OwnedHandle::from_raw_handle(raw) };
        Ok(Port {
            handle,
            census: Arc::new(Census::default()),
        })
    }

    pub(super) fn raw_handle(&self) -> RawHandle {
        self.handle.as_raw_handle()
    }

    /// From now on, what ends on the handle comes here.
    pub(super) fn associate(&self, handle: BorrowedHandle<'_>, origin: usize) -> io::Result<()> {
        let port = self.handle.as_raw_handle();
        // SAFETY: CreateIoCompletionPort asks for open handles of a file and of a port: the first is
        // borrowed, the second is ours.
        let answer = unsafe { CreateIoCompletionPort(handle.as_raw_handle(), port, origin, 0) };
        if answer.is_null() {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Puts a packet into the port. The pointer travels through the kernel, which does not look
    /// where it leads.
    pub(super) fn post(&self, origin: usize, pointer: *const OVERLAPPED) -> io::Result<()> {
        let port = self.handle.as_raw_handle();
        // SAFETY: PostQueuedCompletionStatus asks for an open port, which is ours; it does not
        // follow the pointer.
        let answer = unsafe { PostQueuedCompletionStatus(port, 0, origin, pointer) };
        if answer == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Takes packets out, the oldest first; sleeps if there are none, for so many milliseconds. It may
    /// give up early, by up to a tick of the system's clock.
    pub(super) fn take<'a>(
        &self,
        room: &'a mut [OVERLAPPED_ENTRY],
        millis: u32,
    ) -> io::Result<&'a [OVERLAPPED_ENTRY]> {
        let mut count = 0;
        // SAFETY: GetQueuedCompletionStatusEx asks for an open port, which is ours, for room for as
        // many entries as we say, which is the slice, and for an integer to write to. We are not
        // alertable: an APC that somebody queued to this thread would end the wait.
        let answer = unsafe {
            GetQueuedCompletionStatusEx(
                self.handle.as_raw_handle(),
                room.as_mut_ptr(),
                u32::try_from(room.len()).unwrap_or(u32::MAX),
                &raw mut count,
                millis,
                0,
            )
        };
        if answer != 0 {
            return Ok(&room[..count as usize]);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() == Some(WAIT_TIMEOUT as i32) {
            return Ok(&[]);
        }
        Err(error)
    }
}
