//! Messages to and fro on connections that stay.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{RecvFlags, recv};
use rustix::time::Timespec;

use super::{Extent, Outcome, PATIENCE, Progress, Traffic, timed_out};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";

pub struct Exchange {
    epoll: OwnedFd,
    connections: Vec<Connection>,
    request: Vec<u8>,
    answer_len: usize,
}

struct Connection {
    socket: TcpStream,
    sent: Instant,
    /// Bytes of the answer.
    received: usize,
}

impl Exchange {
    pub fn connect(
        address: SocketAddrV4,
        traffic: Traffic,
        connections: usize,
    ) -> io::Result<Exchange> {
        let request = match traffic {
            Traffic::Echo(bytes) => (0..bytes).map(|number| number as u8).collect(),
            _ => REQUEST.to_vec(),
        };
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let mut all = Vec::with_capacity(connections);
        for number in 0..connections {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            let key = EventData::new_u64(number as u64);
            epoll::add(&epoll, &socket, key, EventFlags::IN)?;
            all.push(Connection {
                socket,
                sent: Instant::now(),
                received: 0,
            });
        }
        let first = &all.first().expect("there are connections").socket;
        first.set_read_timeout(Some(PATIENCE))?;
        let answer_len = match traffic {
            Traffic::Echo(_) => check_echo(first, &request)?,
            _ => len_of_answer(first)?,
        };
        Ok(Exchange {
            epoll,
            connections: all,
            request,
            answer_len,
        })
    }

    pub fn run(&mut self, extent: Extent) -> io::Result<Outcome> {
        let mut progress = Progress::new(extent);
        for connection in &mut self.connections {
            let now = Instant::now();
            if progress.starts(now) {
                connection.send(&self.request, now)?;
            }
        }
        let mut events = Vec::with_capacity(1024);
        let mut buffer = vec![0; self.answer_len];
        let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        while !progress.is_over() {
            events.clear();
            if epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience))? == 0 {
                return Err(timed_out());
            }
            for event in &events {
                let connection = &mut self.connections[event.data.u64() as usize];
                if !connection.has_answer(&mut buffer, self.answer_len)? {
                    continue;
                }
                let now = Instant::now();
                progress.finished(now - connection.sent);
                if progress.starts(now) {
                    connection.send(&self.request, now)?;
                }
            }
        }
        Ok(progress.outcome())
    }
}

impl Connection {
    /// Blocks if there is no room for the whole, which a server that reads makes.
    fn send(&mut self, request: &[u8], now: Instant) -> io::Result<()> {
        self.sent = now;
        self.received = 0;
        (&self.socket).write_all(request)
    }

    /// Receives what has come, and tells whether that is all.
    fn has_answer(&mut self, buffer: &mut [u8], answer_len: usize) -> io::Result<bool> {
        let (len, _) = recv(&self.socket, buffer, RecvFlags::DONTWAIT)?;
        self.received += len;
        if len == 0 || self.received > answer_len {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the server closes a connection, or answers too much",
            ));
        }
        Ok(self.received == answer_len)
    }
}

/// That the bytes come back as they are.
fn check_echo(mut socket: &TcpStream, request: &[u8]) -> io::Result<usize> {
    socket.write_all(request)?;
    let mut answer = vec![0; request.len()];
    socket.read_exact(&mut answer)?;
    if answer == request {
        return Ok(answer.len());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        "the echo is wrong",
    ))
}

/// Every answer is as long as the first.
fn len_of_answer(mut socket: &TcpStream) -> io::Result<usize> {
    let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the answer is wrong");
    socket.write_all(REQUEST)?;
    let mut answer = Vec::new();
    loop {
        let mut bytes = [0; 1024];
        let len = socket.read(&mut bytes)?;
        answer.extend_from_slice(&bytes[..len]);
        let mut headers = [httparse::EMPTY_HEADER; 16];
        let mut response = httparse::Response::new(&mut headers);
        let parsed = response.parse(&answer).map_err(io::Error::other)?;
        if let httparse::Status::Complete(head) = parsed
            && answer[head..] == *b"Hello, world!"
        {
            return Ok(answer.len());
        }
        if len == 0 || answer.len() > 4096 {
            return Err(wrong());
        }
    }
}
