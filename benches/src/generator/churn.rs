//! Connections that come and go.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, bind, connect, recv,
    send, shutdown, socket_with,
};
use rustix::time::Timespec;

use super::{Extent, Outcome, PATIENCE, Progress, timed_out};

const MESSAGE: [u8; 64] = [b'.'; 64];

/// Where the connections come from, one after the other. Whoever closes first keeps the pair of
/// addresses for a minute, and one address has ports for a second of it only.
const SOURCES: u8 = 250;

pub struct Churn {
    address: SocketAddrV4,
    epoll: OwnedFd,
    connections: Vec<Option<Connection>>,
    source: u8,
}

struct Connection {
    socket: OwnedFd,
    begun: Instant,
    received: usize,
}

impl Churn {
    pub fn new(address: SocketAddrV4, at_a_time: usize) -> io::Result<Churn> {
        Ok(Churn {
            address,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: (0..at_a_time).map(|_| None).collect(),
            source: 0,
        })
    }

    pub fn run(&mut self, extent: Extent) -> io::Result<Outcome> {
        let mut progress = Progress::new(extent);
        for place in 0..self.connections.len() {
            if progress.starts(Instant::now()) {
                self.begin(place)?;
            }
        }
        let mut events = Vec::with_capacity(1024);
        let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
        while !progress.is_over() {
            events.clear();
            if epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience))? == 0 {
                return Err(timed_out());
            }
            for event in &events {
                let place = event.data.u64() as usize;
                let connection = self.connections[place].as_mut();
                let connection = connection.expect("events are of connections that are open");
                if !connection.is_over()? {
                    continue;
                }
                let now = Instant::now();
                progress.finished(now - connection.begun);
                self.connections[place] = None;
                if progress.starts(now) {
                    self.begin(place)?;
                }
            }
        }
        Ok(progress.outcome())
    }

    /// Connects, which takes no time on loopback while the server's backlog has room, and sends.
    fn begin(&mut self, place: usize) -> io::Result<()> {
        let begun = Instant::now();
        self.source = self.source % SOURCES + 1;
        let source = Ipv4Addr::new(127, 0, 1, self.source);
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        bind(&socket, &SocketAddrV4::new(source, 0))?;
        connect(&socket, &self.address)?;
        send(&socket, &MESSAGE, SendFlags::NOSIGNAL)?;
        let key = EventData::new_u64(place as u64);
        epoll::add(&self.epoll, &socket, key, EventFlags::IN)?;
        self.connections[place] = Some(Connection {
            socket,
            begun,
            received: 0,
        });
        Ok(())
    }
}

impl Connection {
    /// When the whole message has come back it is closed from here, and is over when the server has
    /// done the same.
    fn is_over(&mut self) -> io::Result<bool> {
        let mut buffer = [0; MESSAGE.len()];
        let (len, _) = recv(&self.socket, &mut buffer[..], RecvFlags::DONTWAIT)?;
        self.received += len;
        if len > 0 && self.received == MESSAGE.len() {
            shutdown(&self.socket, Shutdown::Write)?;
        }
        if len == 0 && self.received != MESSAGE.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the server closes a connection early",
            ));
        }
        Ok(len == 0)
    }
}
