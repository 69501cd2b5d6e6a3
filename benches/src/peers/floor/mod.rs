//! The floor: what a program written for the load alone would do, without futures for its connections
//! and without anything that only another program would need. A runtime's distance from it is what
//! the runtime costs.
//!
//! The servers are a level-triggered epoll loop. Level-triggered, because that has the fewest system
//! calls here: a connection is read once for each event, and no second read has to find out that
//! there is nothing more. The loads for executors run on the bare task list in `task_list.rs`, and the
//! one for two threads on the two loops in `apart.rs`.

use std::io;
use std::net::TcpListener;
use std::ops::Range;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};

use super::http::{ANSWER, Inbox};
use super::{Peer, Server};

mod apart;
mod task_list;
mod timers;

pub static PEER: Peer = Peer {
    name: "floor",
    package: "rustix",
    echo: Some(|server| serve(server, Echo::new)),
    http: Some(|server| serve(server, |_| Http::new())),
    spawn_join: Some(task_list::spawn_join),
    yield_now: Some(task_list::yield_now),
    ping_pong: Some(task_list::ping_pong),
    ping_pong_apart: Some(apart::ping_pong),
    timers_dropped: Some(timers::dropped),
    timers_firing: Some(timers::firing),
    ..Peer::IDLER
};

/// As many events as one wait may bring; tokio's wait asks for as many.
const EVENTS_MAX: usize = 1024;

/// The listener's key. Those of connections are the numbers of their descriptors.
const LISTENER: u64 = u64::MAX;

fn serve<T: Talk>(server: Server, talk: fn(usize) -> T) -> io::Result<()> {
    let Server {
        listener,
        workers,
        buffer,
    } = server;
    listener.set_nonblocking(workers == 1)?;
    if workers == 1 {
        let (_none, arrivals) = mpsc::channel();
        return EventLoop::new(talk, buffer, arrivals)?.run(Some(listener));
    }
    let mut hands = Vec::new();
    for _ in 0..workers {
        let (sender, arrivals) = mpsc::channel();
        let event_loop = EventLoop::new(talk, buffer, arrivals)?;
        hands.push((event_loop.epoll.try_clone()?, sender));
        thread::spawn(move || event_loop.run(None));
    }
    deal(&listener, &hands)
}

/// Gives each loop as many connections as the next. This thread is asleep while they are measured.
fn deal(listener: &TcpListener, hands: &[(OwnedFd, Sender<OwnedFd>)]) -> io::Result<()> {
    for (epoll, sender) in hands.iter().cycle() {
        let socket = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        add(epoll, &socket)?;
        // Fails if that loop has ended by an error, and then so do the connections in it.
        let _ = sender.send(socket);
    }
    Ok(())
}

fn add(epoll: &OwnedFd, socket: &OwnedFd) -> rustix::io::Result<()> {
    let key = EventData::new_u64(socket.as_raw_fd().cast_unsigned().into());
    epoll::add(epoll, socket, key, EventFlags::IN)
}

struct EventLoop<T> {
    epoll: OwnedFd,
    /// By the numbers of their descriptors, which are small.
    connections: Vec<Option<Connection<T>>>,
    /// Those that another thread has added to `epoll`.
    arrivals: Receiver<OwnedFd>,
    talk: fn(usize) -> T,
    buffer: usize,
}

struct Connection<T> {
    socket: OwnedFd,
    interest: EventFlags,
    talk: T,
}

impl<T: Talk> EventLoop<T> {
    fn new(
        talk: fn(usize) -> T,
        buffer: usize,
        arrivals: Receiver<OwnedFd>,
    ) -> io::Result<EventLoop<T>> {
        Ok(EventLoop {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: Vec::new(),
            arrivals,
            talk,
            buffer,
        })
    }

    fn run(mut self, listener: Option<TcpListener>) -> io::Result<()> {
        if let Some(listener) = &listener {
            let key = EventData::new_u64(LISTENER);
            epoll::add(&self.epoll, listener, key, EventFlags::IN)?;
        }
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match (event.data.u64(), &listener) {
                    (LISTENER, Some(listener)) => self.accept(listener)?,
                    (key, _) => self.go_on(key as usize)?,
                }
            }
        }
    }

    /// All that have come: the call that finds no other costs less than a wait for each of them.
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => {
                    add(&self.epoll, &socket)?;
                    self.insert(socket);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn insert(&mut self, socket: OwnedFd) {
        let key = socket.as_raw_fd() as usize;
        if self.connections.len() <= key {
            self.connections.resize_with(key + 1, || None);
        }
        self.connections[key] = Some(Connection {
            socket,
            interest: EventFlags::IN,
            talk: (self.talk)(self.buffer),
        });
    }

    fn go_on(&mut self, key: usize) -> io::Result<()> {
        while self.connections.get(key).is_none_or(Option::is_none) {
            let arrived = self.arrivals.recv();
            self.insert(arrived.expect("events come of what was inserted or is on its way"));
        }
        let Some(connection) = &mut self.connections[key] else {
            unreachable!("the loop above ends with it")
        };
        match connection.talk.go_on(&connection.socket) {
            Ok(Some(interest)) if interest == connection.interest => {}
            Ok(Some(interest)) => {
                connection.interest = interest;
                let key = EventData::new_u64(key as u64);
                epoll::modify(&self.epoll, &connection.socket, key, interest)?;
            }
            // Closing it takes it out of `epoll`.
            Ok(None) | Err(_) => self.connections[key] = None,
        }
        Ok(())
    }
}

/// The server's side of the talk on one connection.
trait Talk: Send + 'static {
    /// Its socket is ready; answers for what to wait next, or that the talk is over.
    fn go_on(&mut self, socket: &OwnedFd) -> rustix::io::Result<Option<EventFlags>>;
}

struct Echo {
    buffer: Box<[u8]>,
    unsent: Range<usize>,
}

impl Echo {
    fn new(buffer: usize) -> Echo {
        Echo {
            buffer: vec![0; buffer].into(),
            unsent: 0..0,
        }
    }
}

impl Talk for Echo {
    fn go_on(&mut self, socket: &OwnedFd) -> rustix::io::Result<Option<EventFlags>> {
        if self.unsent.is_empty() {
            match recv(socket, &mut self.buffer[..], RecvFlags::empty())? {
                (0, _) => return Ok(None),
                (len, _) => self.unsent = 0..len,
            }
        }
        send_more(socket, &self.buffer, &mut self.unsent).map(Some)
    }
}

struct Http {
    inbox: Inbox,
    /// Of `ANSWER`; the requests behind a half-sent answer are not read before it is sent.
    unsent: Range<usize>,
    unanswered: usize,
}

impl Http {
    fn new() -> Http {
        Http {
            inbox: Inbox::new(),
            unsent: 0..0,
            unanswered: 0,
        }
    }
}

impl Talk for Http {
    fn go_on(&mut self, socket: &OwnedFd) -> rustix::io::Result<Option<EventFlags>> {
        if self.unsent.is_empty() {
            let (len, _) = recv(socket, self.inbox.room(), RecvFlags::empty())?;
            if len == 0 {
                return Ok(None);
            }
            self.unanswered = self.inbox.received(len).map_err(|_| Errno::PROTO)?;
        }
        loop {
            if self.unsent.is_empty() && self.unanswered > 0 {
                self.unanswered -= 1;
                self.unsent = 0..ANSWER.len();
            }
            let interest = send_more(socket, ANSWER, &mut self.unsent)?;
            if interest == EventFlags::OUT || self.unanswered == 0 {
                return Ok(Some(interest));
            }
        }
    }
}

/// Sends what goes; answers for what to wait next.
fn send_more(
    socket: &OwnedFd,
    bytes: &[u8],
    unsent: &mut Range<usize>,
) -> rustix::io::Result<EventFlags> {
    while unsent.start < unsent.end {
        match send(socket, &bytes[unsent.clone()], SendFlags::NOSIGNAL) {
            Ok(len) => unsent.start += len,
            Err(Errno::AGAIN) => return Ok(EventFlags::OUT),
            Err(error) => return Err(error),
        }
    }
    Ok(EventFlags::IN)
}
