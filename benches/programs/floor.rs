//! A TCP echo on epoll, by hand and with nothing but the standard library: what the build of any
//! program costs.

use std::collections::HashMap;
use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const EPOLL_CTL_ADD: c_int = 1;
const EPOLLIN: u32 = 1;

#[derive(Clone, Copy, Default)]
#[cfg_attr(target_arch = "x86_64", repr(C, packed))]
#[cfg_attr(not(target_arch = "x86_64"), repr(C))]
struct Event {
    events: u32,
    key: u64,
}

unsafe extern "C" {
    safe fn epoll_create1(flags: c_int) -> c_int;
    fn epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut Event) -> c_int;
    fn epoll_wait(epoll: c_int, events: *mut Event, max: c_int, timeout: c_int) -> c_int;
}

fn checked(status: c_int) -> io::Result<c_int> {
    match status {
        -1 => Err(io::Error::last_os_error()),
        status => Ok(status),
    }
}

fn add(epoll: &OwnedFd, fd: &impl AsRawFd) -> io::Result<()> {
    let fd = fd.as_raw_fd();
    let mut event = Event { events: EPOLLIN, key: fd as u64 };
    // SAFETY: the event outlives the call.
    checked(unsafe { epoll_ctl(epoll.as_raw_fd(), EPOLL_CTL_ADD, fd, &mut event) })?;
    Ok(())
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:7007")?;
    // SAFETY: the descriptor is new, and nobody else's.
    let epoll = unsafe { OwnedFd::from_raw_fd(checked(epoll_create1(0))?) };
    add(&epoll, &listener)?;
    let mut streams: HashMap<u64, TcpStream> = HashMap::new();
    let mut events = [Event::default(); 64];
    loop {
        // SAFETY: the kernel writes no more than the 64 events that there are.
        let count = checked(unsafe { epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), 64, -1) })?;
        for event in &events[..count as usize] {
            let key = event.key;
            let Some(stream) = streams.get_mut(&key) else {
                let (stream, _) = listener.accept()?;
                add(&epoll, &stream)?;
                streams.insert(stream.as_raw_fd() as u64, stream);
                continue;
            };
            let mut buffer = [0; 4096];
            match stream.read(&mut buffer) {
                Ok(len @ 1..) if stream.write_all(&buffer[..len]).is_ok() => {}
                _ => drop(streams.remove(&key)),
            }
        }
    }
}
