//! A leaf future, written by hand on ekio's public [`Registration`].
//!
//! ```text
//!   Start ---> Connecting ---> Writing ---> Reading ---> Finished
//!     ^            |
//!     '------------'  the next address, when this one does not answer
//! ```
//!
//! Each state but the first and the last tries one operation on a non-blocking socket, and there are
//! two things that can come of it. Either it is done, and the future goes on, perhaps to its next
//! state, without returning. Or it would block, and the future returns `Pending`; then somebody has
//! to poll it again when the socket is ready, and nobody else will see to that. This is the whole
//! art of a leaf future, and [`Registration::poll_io`] is the part of it that is always the same:
//!
//! ```text
//!        .-> poll_ready(cx, direction)     Pending: the waker of `cx` is kept (the latest one, if
//!        |          | Ready(ready)                  the task has moved), the socket is registered
//!        |     try the operation                    with the reactor: return Pending
//!        |          | would block
//!        '-- clear_ready(ready)            "what you told me is over", unless there is news since
//! ```
//!
//! When the future is finished, or dropped in the middle (by a time-out, say), its state is dropped,
//! with it the `Registration`, and that takes the socket out of the event queue before it closes it.
//! So there is no `Drop` here, and nothing to forget.

use std::fmt;
use std::future::Future;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::vec;

use ekio::reactor::{Direction, Registration};
use socket2::{Domain, Protocol, Socket, Type};

use crate::answer::{Answer, AnswerReader, Fault};

/// Sends one request to the first of some addresses that answers, and reads the answer.
pub struct HttpGetFuture {
    /// Those that have yet to be tried.
    addresses: vec::IntoIter<SocketAddr>,
    /// Those that have been, and why they are no good.
    unreachable: Vec<(SocketAddr, io::Error)>,
    request: Vec<u8>,
    state: State,
}

enum State {
    Start,
    Connecting {
        socket: Registration<TcpStream>,
        address: SocketAddr,
    },
    Writing {
        socket: Registration<TcpStream>,
        sent: usize,
    },
    Reading {
        socket: Registration<TcpStream>,
        reader: AnswerReader,
    },
    Finished,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum GetError {
    /// No address took the connection.
    Connect(Vec<(SocketAddr, io::Error)>),
    /// The connection broke before the request was sent.
    Send(io::Error),
    /// The connection broke before the answer had come.
    Receive(io::Error),
    /// What came is no answer.
    Answer(Fault),
}

impl HttpGetFuture {
    /// Does nothing yet: no future does before it is polled.
    pub fn new(addresses: Vec<SocketAddr>, request: Vec<u8>) -> HttpGetFuture {
        HttpGetFuture {
            addresses: addresses.into_iter(),
            unreachable: Vec::new(),
            request,
            state: State::Start,
        }
    }

    /// Goes from state to state until something has to be waited for.
    fn proceed(&mut self, cx: &mut Context<'_>) -> Poll<Result<Answer, GetError>> {
        loop {
            match &mut self.state {
                State::Start => {
                    let Some(address) = self.addresses.next() else {
                        let unreachable = mem::take(&mut self.unreachable);
                        return Poll::Ready(Err(GetError::Connect(unreachable)));
                    };
                    match begin_to_connect(address) {
                        Ok(socket) => self.state = State::Connecting { socket, address },
                        Err(error) => self.unreachable.push((address, error)),
                    }
                }
                State::Connecting { socket, address } => {
                    match ready!(socket.poll_io(cx, Direction::Write, outcome_of_connect)) {
                        Ok(()) => self.go_on_to_write(),
                        Err(error) => {
                            self.unreachable.push((*address, error));
                            self.state = State::Start;
                        }
                    }
                }
                State::Writing { socket, sent } => {
                    let unsent = &self.request[*sent..];
                    let write = |mut stream: &TcpStream| stream.write(unsent);
                    match ready!(socket.poll_io(cx, Direction::Write, write)) {
                        Ok(0) => return Poll::Ready(Err(GetError::Send(broken()))),
                        Ok(count) => *sent += count,
                        Err(error) => return Poll::Ready(Err(GetError::Send(error))),
                    }
                    if *sent == self.request.len() {
                        self.go_on_to_read();
                    }
                }
                State::Reading { socket, reader } => {
                    // On the stack, and not in the future: there may be thousands of those.
                    let mut buffer = [0; 16 * 1024];
                    let read = |mut stream: &TcpStream| stream.read(&mut buffer);
                    let outcome = match ready!(socket.poll_io(cx, Direction::Read, read)) {
                        Ok(0) => reader.close(),
                        Ok(count) => reader.feed(&buffer[..count]),
                        Err(error) => return Poll::Ready(Err(GetError::Receive(error))),
                    };
                    outcome.map_err(GetError::Answer)?;
                    if reader.is_complete() {
                        return Poll::Ready(Ok(mem::take(reader).into_answer()));
                    }
                }
                State::Finished => panic!("an HttpGetFuture was polled after it had finished"),
            }
        }
    }

    fn go_on_to_write(&mut self) {
        if let State::Connecting { socket, .. } = mem::replace(&mut self.state, State::Finished) {
            self.state = State::Writing { socket, sent: 0 };
        }
    }

    fn go_on_to_read(&mut self) {
        if let State::Writing { socket, .. } = mem::replace(&mut self.state, State::Finished) {
            let reader = AnswerReader::default();
            self.state = State::Reading { socket, reader };
        }
    }
}

impl Future for HttpGetFuture {
    type Output = Result<Answer, GetError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Nothing in it refers to itself, so it may be moved, and `get_mut` is there.
        let this = self.get_mut();
        let answer = ready!(this.proceed(cx));
        // Deregister and close at once, not when our owner comes round to dropping us.
        this.state = State::Finished;
        Poll::Ready(answer)
    }
}

/// Makes a socket and lets it connect, without waiting for the outcome. (The standard library's
/// `TcpStream::connect` waits, and has no other way.)
fn begin_to_connect(address: SocketAddr) -> io::Result<Registration<TcpStream>> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if !is_in_progress(&error) => Err(error),
        _ => Registration::new(socket.into()),
    }
}

#[cfg(unix)]
fn is_in_progress(error: &io::Error) -> bool {
    let in_progress = rustix::io::Errno::INPROGRESS.raw_os_error();
    error.raw_os_error() == Some(in_progress) || error.kind() == io::ErrorKind::Interrupted
}

#[cfg(windows)]
fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

/// How the connection attempt went. While it is under way this "would block", though there is no
/// call to try: the socket has no error yet, and no peer.
fn outcome_of_connect(stream: &TcpStream) -> io::Result<()> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => {
            Err(io::ErrorKind::WouldBlock.into())
        }
        Err(error) => Err(error),
    }
}

fn broken() -> io::Error {
    io::ErrorKind::WriteZero.into()
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GetError::Connect(unreachable) if unreachable.is_empty() => {
                f.write_str("the host has no address")
            }
            GetError::Connect(unreachable) => {
                let mut separator = "cannot connect to";
                for (address, error) in unreachable {
                    write!(f, "{separator} {address}: {error}")?;
                    separator = ", nor to";
                }
                Ok(())
            }
            GetError::Send(error) => write!(f, "cannot send the request: {error}"),
            GetError::Receive(error) => write!(f, "cannot receive the answer: {error}"),
            GetError::Answer(fault) => fault.fmt(f),
        }
    }
}
