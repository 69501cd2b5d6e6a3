//! Pipes on Windows: overlapped operations, whose buffers belong to them.
//!
//! `std` makes our end of a child's pipe a named pipe that is overlapped. The kernel does the work
//! here and says when it is done; meanwhile the buffer is the operation's, not the caller's. So a
//! read that is begun goes on when its future is dropped, and what it brings is for the next one;
//! and a write takes a copy of what it is given and is done, as far as the caller is concerned, when
//! the kernel has been asked; the next one waits for it.

use std::fmt;
use std::io;
use std::os::windows::io::OwnedHandle;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};

use crate::reactor::{Direction, Overlapped, Request, budget};

/// How much one operation moves at most. The pipes that `std` makes hold 64 KiB.
const CHUNK: usize = 32 * 1024;

fn overlapped(end: OwnedHandle, direction: Direction) -> io::Result<Overlapped> {
    let associate = Overlapped::new(direction, |poller| poller.associate(end));
    associate.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidInput => io::Error::new(
            io::ErrorKind::Unsupported,
            "this pipe is not overlapped; pipe a child's streams by `Stdio::piped()`",
        ),
        _ => error,
    })
}

/// An end to read from.
#[derive(Debug)]
pub(in super::super) struct Receiver {
    pipe: Overlapped,
    state: Reading,
}

enum Reading {
    Idle(Vec<u8>),
    Started(Request),
    /// Bytes from `at` to `end` have not been handed out.
    Full {
        buffer: Vec<u8>,
        at: usize,
        end: usize,
    },
    AtEnd,
}

impl Receiver {
    pub(in super::super) fn new(end: OwnedHandle) -> io::Result<Receiver> {
        Ok(Receiver {
            pipe: overlapped(end, Direction::Read)?,
            state: Reading::Idle(Vec::new()),
        })
    }

    pub(in super::super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(budget::poll_proceed(cx));
        let answer = if buffer.is_empty() {
            Ok(0)
        } else {
            let filled = ready!(self.poll_fill(cx));
            filled.map(|()| self.hand_out(buffer))
        };
        budget::spend();
        Poll::Ready(answer)
    }

    /// Ready when there is something to hand out, or will never be.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                Reading::Full { .. } | Reading::AtEnd => return Poll::Ready(Ok(())),
                Reading::Idle(buffer) => {
                    let mut buffer = std::mem::take(buffer);
                    buffer.resize(CHUNK, 0);
                    self.state = match self.pipe.read(buffer) {
                        Ok(request) => Reading::Started(request),
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Reading::AtEnd,
                        Err(error) => return Poll::Ready(Err(error)),
                    };
                }
                Reading::Started(request) => {
                    let (result, buffer) = ready!(self.pipe.poll_end(cx, request))?;
                    let (state, answer) = match result {
                        // Somebody has written nothing, which is not the end.
                        Ok(0) => (Reading::Idle(buffer), Ok(())),
                        Ok(end) => (Reading::Full { buffer, at: 0, end }, Ok(())),
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                            (Reading::AtEnd, Ok(()))
                        }
                        Err(error) => (Reading::Idle(buffer), Err(error)),
                    };
                    self.state = state;
                    answer?;
                }
            }
        }
    }

    fn hand_out(&mut self, room: &mut [u8]) -> usize {
        let Reading::Full { buffer, at, end } = &mut self.state else {
            return 0;
        };
        let count = room.len().min(*end - *at);
        room[..count].copy_from_slice(&buffer[*at..*at + count]);
        *at += count;
        if at == end {
            self.state = Reading::Idle(std::mem::take(buffer));
        }
        count
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reading::Idle(_) => "Idle",
            Reading::Started(_) => "Started",
            Reading::Full { .. } => "Full",
            Reading::AtEnd => "AtEnd",
        })
    }
}

/// An end to write to.
#[derive(Debug)]
pub(in super::super) struct Sender {
    /// `None` when closed.
    pipe: Option<Overlapped>,
    /// What the kernel has not taken yet.
    started: Option<Request>,
}

impl Sender {
    pub(in super::super) fn new(end: OwnedHandle) -> io::Result<Sender> {
        Ok(Sender {
            pipe: Some(overlapped(end, Direction::Write)?),
            started: None,
        })
    }

    pub(in super::super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(budget::poll_proceed(cx));
        ready!(self.poll_flush(cx))?;
        let pipe = self.pipe.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let count = bytes.len().min(CHUNK);
        if count > 0 {
            self.started = Some(pipe.write(bytes[..count].to_vec())?);
        }
        budget::spend();
        Poll::Ready(Ok(count))
    }

    pub(in super::super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let (Some(pipe), Some(request)) = (&self.pipe, &mut self.started) {
            let (result, mut buffer) = ready!(pipe.poll_end(cx, request))?;
            self.started = None;
            // A pipe takes all or nothing, unless it is in a mode that nobody here puts it into.
            let count = result?;
            if count < buffer.len() {
                buffer.drain(..count);
                self.started = Some(pipe.write(buffer)?);
            }
        }
        Poll::Ready(Ok(()))
    }

    #[cfg_attr(not(feature = "futures-io"), allow(dead_code))]
    pub(in super::super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(self.poll_flush(cx));
        self.pipe = None;
        Poll::Ready(flushed)
    }
}

impl Drop for Sender {
    /// What was written is written: the pipe is closed when the kernel has taken it.
    fn drop(&mut self) {
        if let (Some(pipe), Some(mut request)) = (self.pipe.take(), self.started.take()) {
            // The task's waker, which is foreign code, goes here and not under a lock.
            let mut cx = Context::from_waker(Waker::noop());
            if pipe.poll_end(&mut cx, &mut request).is_ready() {
                return;
            }
            let farewell = Arc::new(Farewell(Mutex::new(Some((pipe, request)))));
            farewell.wake_by_ref();
        }
    }
}

/// A write that has no owner any more. It owns itself, as the waker of its own end: the child reads
/// it, or goes; then it is woken, and drops what it has.
struct Farewell(Mutex<Option<(Overlapped, Request)>>);

impl Wake for Farewell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waker = Waker::from(Arc::clone(self));
        let mut content = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((pipe, request)) = &mut *content else {
            return;
        };
        // Held meanwhile, lest a wake find it empty. It takes the slot's lock, and wakes nobody.
        let polled = pipe.poll_end(&mut Context::from_waker(&waker), request);
        let done = polled.is_ready().then(|| content.take());
        drop(content);
        drop(done);
    }
}
