//! Operations on handles that are not sockets: pipes, files, whatever is overlapped.
//!
//! Here the kernel does the work and says when it is *done*, so it borrows a buffer meanwhile. Each
//! operation is a record behind an `Arc`, and *while the kernel has it the poller's list has a strong
//! count*. The packet names the record by the address of its `OVERLAPPED`; the list is asked for that
//! address, and the pointer is never followed. So a packet of an operation that somebody else started
//! on the same handle (a duplicate of it, say) is a stranger and is dropped; also if its memory has become
//! that of a record since, for the kernel has not written that record's status yet. No record is freed
//! twice, or before its packet has come.
//!
//! Locks, in this order: the handle, the record, the list.

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::mem;
use std::os::windows::io::{AsHandle as _, AsRawHandle as _, OwnedHandle, RawHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{
    ERROR_IO_PENDING, ERROR_MORE_DATA, ERROR_PIPE_CONNECTED, NTSTATUS, STATUS_PENDING,
};
use windows_sys::Win32::Storage::FileSystem::{ReadFile, WriteFile};
use windows_sys::Win32::System::IO::{CancelIoEx, OVERLAPPED};
use windows_sys::Win32::System::Pipes::ConnectNamedPipe;

use super::afd::error_from;
use super::port::{Counted, Port, origin};
use crate::poller::check_key;
use crate::poller::event::{Event, Key, Readiness};
use crate::sync::{Arc, Mutex, lock};

/// A handle whose operations end in a poller's queue. Made by
/// [`Iocp::associate`](super::Iocp::associate).
///
/// Dropping it cancels what is under way and closes the handle.
#[derive(Debug)]
pub struct Associated {
    handle: Arc<Handle>,
    list: Arc<List>,
}

/// An operation that was started on an [`Associated`] handle.
///
/// When it has ended, its [`Event`] comes out of `wait`, with the key that it was started with and
/// the number of bytes as payload. Dropping it sooner cancels it: then there is no event. Its memory
/// stays until the kernel has let go of it.
#[derive(Debug)]
pub struct Request {
    record: Arc<Record>,
}

/// The handle, until it is closed.
#[derive(Debug)]
struct Handle(Mutex<Option<OwnedHandle>>);

/// Every operation that the kernel has.
#[derive(Debug)]
pub(super) struct List {
    port: Arc<Port>,
    /// By the address of their `OVERLAPPED`. `None` when the poller has gone.
    records: Mutex<Option<HashMap<usize, Arc<Record>>>>,
}

struct Record {
    handle: Arc<Handle>,
    key: Key,
    /// What to say when it has succeeded.
    readiness: Readiness,
    /// The kernel's, while the list has the record.
    overlapped: UnsafeCell<OVERLAPPED>,
    state: Mutex<State>,
    _counted: Counted,
}

// SAFETY: what keeps `Record` from being Send are the pointers in `overlapped`, which are null or
// offsets.
unsafe impl Send for Record {}

// SAFETY: what keeps `Record` from being Sync is `overlapped`, which is touched by the kernel while
// the list has the record, by `start` before, and by `end` after.
unsafe impl Sync for Record {}

#[derive(Debug)]
enum State {
    /// The kernel may be using the buffer.
    Started(Vec<u8>),
    /// The kernel may be using the buffer, and nobody wants to know the result.
    Orphaned(#[expect(dead_code, reason = "only to be kept")] Vec<u8>),
    Ended(io::Result<usize>, Vec<u8>),
    Taken,
}

impl Associated {
    /// Starts reading (`ReadFile`), at most as much as the buffer is long. The event will be
    /// `READABLE`.
    ///
    /// Of a message that is longer than the buffer (a pipe of messages), the buffer is filled, the result is
    /// the system's `ERROR_MORE_DATA`, and the event's payload is the count; the rest is read next.
    ///
    /// # Errors
    ///
    /// `NotFound` if the poller has gone, `InvalidInput` for [`Key::RESERVED`], and what the system
    /// says if it refuses (`BrokenPipe` if the writer has gone).
    pub fn read(&self, key: Key, buffer: Vec<u8>) -> io::Result<Request> {
        let begin = |handle: RawHandle, overlapped, buffer: &mut [u8]| {
            let len = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
            // SAFETY: ReadFile asks for an open handle, and for a buffer of that length and an
            // OVERLAPPED that are the kernel's until the operation has ended: `start` lends them so.
            let answer = unsafe {
                ReadFile(
                    handle,
                    buffer.as_mut_ptr(),
                    len,
                    ptr::null_mut(),
                    overlapped,
                )
            };
            started(answer)
        };
        // SAFETY: `begin` starts one operation, with the pointers it is given.
        unsafe { self.start(key, Readiness::READABLE, buffer, begin) }
    }

    /// Starts writing the buffer (`WriteFile`). The event will be `WRITABLE`.
    ///
    /// # Errors
    ///
    /// As for [`read`](Associated::read).
    pub fn write(&self, key: Key, buffer: Vec<u8>) -> io::Result<Request> {
        let begin = |handle: RawHandle, overlapped, buffer: &mut [u8]| {
            let len = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
            // SAFETY: WriteFile asks for the same as ReadFile, in `read`.
            let answer =
                unsafe { WriteFile(handle, buffer.as_ptr(), len, ptr::null_mut(), overlapped) };
            started(answer)
        };
        // SAFETY: `begin` starts one operation, with the pointers it is given.
        unsafe { self.start(key, Readiness::WRITABLE, buffer, begin) }
    }

    /// Starts waiting for a client, on the server's end of a named pipe (`ConnectNamedPipe`). The
    /// event will be `WRITABLE`, also if the client was there already.
    ///
    /// # Errors
    ///
    /// As for [`read`](Associated::read).
    pub fn connect(&self, key: Key) -> io::Result<Request> {
        let begin = |handle: RawHandle, overlapped: *mut OVERLAPPED, _: &mut [u8]| {
            // SAFETY: ConnectNamedPipe asks for an open handle, and for an OVERLAPPED that is the
            // kernel's until the operation has ended: `start` lends it so.
            let answer = unsafe { ConnectNamedPipe(handle, overlapped) };
            match started(answer) {
                // It is done, and the kernel sends no packet, so we do.
                Err(error) if error.raw_os_error() == Some(ERROR_PIPE_CONNECTED as i32) => {
                    // SAFETY: the OVERLAPPED is ours to write to until an operation is under way,
                    // and the answer says that none is.
                    unsafe { overlapped.write(OVERLAPPED::default()) };
                    self.list.port.post(origin::REQUEST, overlapped)
                }
                other => other,
            }
        };
        // SAFETY: `begin` starts one operation, with the pointers it is given, or sends the packet
        // itself.
        unsafe { self.start(key, Readiness::WRITABLE, Vec::new(), begin) }
    }

    /// Starts any other operation. `begin` is given the handle, a new `OVERLAPPED` and the
    /// buffer; `readiness` is what the event will say, if the operation succeeds.
    ///
    /// # Errors
    ///
    /// What `begin` answers; `NotFound` if the poller has gone, `InvalidInput` for
    /// [`Key::RESERVED`].
    ///
    /// # Safety
    ///
    /// * `begin` starts at most one operation, on that handle, with that `OVERLAPPED` (whose
    ///   `hEvent` stays null), and with no other memory than the `OVERLAPPED` and the buffer.
    /// * It answers `Ok` if and only if that operation's packet will come, which is so if the
    ///   system's call answers success or `ERROR_IO_PENDING`.
    pub unsafe fn start(
        &self,
        key: Key,
        readiness: Readiness,
        mut buffer: Vec<u8>,
        begin: impl FnOnce(RawHandle, *mut OVERLAPPED, &mut [u8]) -> io::Result<()>,
    ) -> io::Result<Request> {
        check_key(key)?;
        let handle = lock(&self.handle.0);
        let raw = handle.as_ref().map(OwnedHandle::as_raw_handle);
        let raw = raw.ok_or(io::ErrorKind::NotFound)?;
        // The buffer's bytes stay where they are when the vector moves into the record.
        let bytes: *mut [u8] = buffer.as_mut_slice();
        let record = Arc::new(Record {
            handle: Arc::clone(&self.handle),
            key,
            readiness,
            overlapped: UnsafeCell::new(OVERLAPPED {
                Internal: STATUS_PENDING as usize,
                ..OVERLAPPED::default()
            }),
            state: Mutex::new(State::Started(buffer)),
            _counted: Counted::new(&self.list.port.census),
        });
        let state = lock(&record.state);
        self.list.insert(&record)?;
        // SAFETY: the bytes are those of the vector in `state`, which nobody touches: we hold its
        // lock.
        let bytes = unsafe { &mut *bytes };
        if let Err(error) = begin(raw, record.overlapped.get(), bytes) {
            self.list.take(record.address());
            return Err(error);
        }
        drop(state);
        drop(handle);
        Ok(Request { record })
    }
}

impl Drop for Associated {
    fn drop(&mut self) {
        let mut handle = lock(&self.handle.0);
        // Closing would do it, were this handle the only one of its file.
        cancel(handle.as_ref(), ptr::null());
        drop(handle.take());
    }
}

impl Request {
    /// The result and the buffer, once, after the event has come; `None` before and afterwards.
    pub fn finish(&mut self) -> Option<(io::Result<usize>, Vec<u8>)> {
        let mut state = lock(&self.record.state);
        match mem::replace(&mut *state, State::Taken) {
            State::Ended(result, buffer) => Some((result, buffer)),
            unfinished => {
                *state = unfinished;
                None
            }
        }
    }

    /// Asks the kernel to end the operation now. The event still comes; the result is an error, or
    /// what the operation achieved before.
    pub fn cancel(&self) {
        self.record.cancel();
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut state = lock(&self.record.state);
        match mem::replace(&mut *state, State::Taken) {
            State::Started(buffer) => *state = State::Orphaned(buffer),
            _ => return,
        }
        drop(state);
        self.record.cancel();
    }
}

impl List {
    pub(super) fn new(port: &Arc<Port>) -> List {
        List {
            port: Arc::clone(port),
            records: Mutex::new(Some(HashMap::new())),
        }
    }

    pub(super) fn associate(self: &Arc<List>, handle: OwnedHandle) -> io::Result<Associated> {
        self.port.associate(handle.as_handle(), origin::REQUEST)?;
        Ok(Associated {
            handle: Arc::new(Handle(Mutex::new(Some(handle)))),
            list: Arc::clone(self),
        })
    }

    fn insert(&self, record: &Arc<Record>) -> io::Result<()> {
        let mut records = lock(&self.records);
        let records = records.as_mut().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                "the poller that this handle is associated with has gone",
            )
        })?;
        records.insert(record.address(), Arc::clone(record));
        self.port.census.departed();
        Ok(())
    }

    fn take(&self, address: usize) -> Option<Arc<Record>> {
        let record = lock(&self.records).as_mut()?.remove(&address)?;
        self.port.census.returned();
        Some(record)
    }

    /// A packet has come for this address.
    pub(super) fn complete(&self, address: usize) -> Option<Event> {
        let has_status = lock(&self.records).as_ref()?.get(&address)?.has_status();
        if has_status {
            self.take(address)?.end()
        } else {
            None
        }
    }

    /// Nothing will be started any more; what is under way shall end. Its packets are still to be
    /// given to [`complete`](List::complete).
    pub(super) fn cancel_all(&self) {
        let under_way: Vec<_> = match &*lock(&self.records) {
            Some(records) => records.values().cloned().collect(),
            None => return,
        };
        for record in under_way {
            record.cancel();
        }
    }

    /// The poller goes. What the kernel still has is left to it for ever.
    pub(super) fn close(&self) {
        mem::forget(lock(&self.records).take());
    }
}

impl Record {
    fn address(&self) -> usize {
        self.overlapped.get().addr()
    }

    /// True if the kernel has written how the operation ended, which it does before its packet comes.
    fn has_status(&self) -> bool {
        // SAFETY: the memory is alive, as the list has the record; no reference to it is made.
        let status = unsafe { &raw const (*self.overlapped.get()).Internal };
        // SAFETY: as above. The kernel may write the field at this moment, hence volatile, and one word.
        let status = unsafe { status.read_volatile() };
        status as NTSTATUS != STATUS_PENDING
    }

    /// Does nothing if the operation has ended, or the handle was closed, which cancels too.
    fn cancel(&self) {
        let handle = lock(&self.handle.0);
        cancel(handle.as_ref(), self.overlapped.get());
    }

    /// The packet has come, and the record is out of the list.
    fn end(&self) -> Option<Event> {
        // This waits for a `start` whose call has not returned yet.
        let mut state = lock(&self.state);
        // SAFETY: the OVERLAPPED may be read when the kernel has given it back: its packet has come.
        let overlapped = unsafe { &*self.overlapped.get() };
        // The kernel's status stands in a wider field.
        let status = overlapped.Internal as NTSTATUS;
        let count = overlapped.InternalHigh;
        match mem::replace(&mut *state, State::Taken) {
            State::Started(buffer) => {
                let result = match status {
                    0 => Ok(count),
                    _ => Err(error_from(status)),
                };
                let mut event = Event::new(self.key, self.readiness);
                event.payload = count as u64;
                if result.is_err() {
                    event.readiness |= Readiness::ERROR.complete();
                }
                *state = State::Ended(result, buffer);
                Some(event)
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The OVERLAPPED may be the kernel's at this moment.
        f.debug_struct("Record")
            .field("key", &self.key)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Cancels one operation, or with a null pointer all, of a handle that is open still.
fn cancel(handle: Option<&OwnedHandle>, overlapped: *const OVERLAPPED) {
    if let Some(handle) = handle {
        // SAFETY: CancelIoEx asks for an open handle, and compares the pointer without following it.
        // It fails if there is nothing (left) to cancel, which is as well.
        let _ = unsafe { CancelIoEx(handle.as_raw_handle(), overlapped) };
    }
}

/// Whether a packet will come, after a call that starts an operation has answered this.
fn started(answer: i32) -> io::Result<()> {
    if answer != 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error().map(|code| code as u32) {
        // Under way; or done, with the rest of a message left behind, which is but a warning.
        Some(ERROR_IO_PENDING | ERROR_MORE_DATA) => Ok(()),
        _ => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    use super::*;
    use crate::poller::iocp::Iocp;
    use crate::poller::{Events, Poller as _};

    /// A stranger's packet, of an operation that is over, names an address at which a record lies by now.
    #[test]
    fn a_packet_before_the_status_is_a_stranger_s() {
        let poller = Iocp::new().unwrap();
        // It says nothing until its input ends, nor then.
        let mut command = Command::new("cmd.exe");
        command.args(["/q", "/c", "set /p line="]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let output = poller.associate(output.into()).unwrap();
        let mut read = output.read(Key(7), vec![0; 10]).unwrap();
        let address = read.record.overlapped.get();
        output.list.port.post(origin::REQUEST, address).unwrap();
        let mut events = Events::with_capacity(4);
        poller
            .wait(&mut events, Some(Duration::from_millis(50)))
            .unwrap();
        assert!(events.is_empty());
        assert!(read.finish().is_none(), "the kernel has the buffer");
        drop(child.stdin.take());
        while read.finish().is_none() {
            poller.wait(&mut events, None).unwrap();
        }
        child.wait().unwrap();
    }
}
