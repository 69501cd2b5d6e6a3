//! The ladder, rung 2: callbacks on the event queue.
//!
//! # What this teaches
//!
//! The loop of rung 1 knew everything: what a listener is, what a client is, what to do for each.
//! Here it is taken apart. An `EventLoop` knows keys and *callbacks*: "when this socket is ready,
//! call that". What to do then is the business of whoever left the callback. This is how libuv
//! (Node.js), libevent and nginx work, and with it the loop can be written once, for all programs.
//!
//! ```text
//!   rung 1:   wait -> event -> if listener { .. } else { the client's state: what do I do now? }
//!   rung 2:   wait -> event -> callbacks[key]()        -- the state *is* the callback that waits
//! ```
//!
//! Three things to notice:
//!
//! 1. *State moves into closures.* In rung 1 "this client is being written to" was a field that is
//!    not empty. Here it is that the callback `finish_writing` waits, and what has not been sent yet
//!    is what it has captured.
//! 2. *Control flow turns inside out.* A step that has to wait cannot return to its caller, for the
//!    caller is the loop. It must say what comes next (`Next::When(.., then)`), and hand over all
//!    that the next step needs. "Read, write, repeat" is a loop of two lines in a program with
//!    threads; here it is two functions that name each other as their successor. Try to add "and
//!    if the client is silent for a minute, say good-bye" to see how it grows.
//! 3. *Who owns what?* The loop owns the callbacks, the callbacks own their client, and a callback
//!    that runs wants to change the loop that is running it. So a callback is taken *out* of the map
//!    while it runs, and sockets are shared (`Rc`). In languages without ownership the same
//!    questions are there; they are just not asked at compile time.
//!
//! Run it with `cargo run --example 02_callbacks`.
//!
//! The next rung, `03_hand_written_future`, keeps the loop, and turns the control flow back
//! outside out: the compiler will write the successors.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ekio::poller::{AsSocket, Events, Interest, Key, OsPoller, Poller, Source, Trigger};

/// How many clients come, and what each of them sends.
const CLIENTS: usize = 3;
const MESSAGES_EACH: usize = 4;

/// A program that teaches should not hang if something is wrong: everybody gives up after this.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let clients = start_clients(listener.local_addr()?);

    let seen = Rc::new(RefCell::new(Seen::default()));
    let mut event_loop = EventLoop::new()?;
    let listener = Rc::new(listener);
    let on_client = accept_clients(Rc::clone(&listener), Rc::clone(&seen));
    event_loop.watch(listener, Interest::READABLE, on_client)?;
    event_loop.run()?;

    for client in clients {
        client.join().expect("a client has panicked, see above")?;
    }
    let seen = seen.borrow();
    println!(
        "echoed {} bytes to {} clients on one thread, by {} calls of callbacks",
        seen.bytes, seen.clients, event_loop.calls
    );
    Ok(())
}

#[derive(Default)]
struct Seen {
    clients: usize,
    bytes: usize,
}

// The loop. It could be a library: nothing in it knows that this is an echo server.

/// What is called when a source is ready. It may use the loop that calls it.
type Callback = Box<dyn FnOnce(&mut EventLoop) -> io::Result<Next>>;

/// What a callback wants to happen next to its source.
enum Next {
    /// To be called (or another one in its place) when the source is ready for that.
    When(Interest, Callback),
    /// To be forgotten.
    Leave,
}

struct EventLoop {
    poller: OsPoller,
    watched: HashMap<Key, Watched>,
    next_key: u64,
    calls: usize,
}

struct Watched {
    /// Shared with the callback. The loop's own share sees to it that the socket cannot be closed
    /// before the loop has deleted it.
    socket: Rc<dyn AsSocket>,
    ticket: <OsPoller as Poller>::Ticket,
    interest: Interest,
    /// `None` while it runs.
    callback: Option<Callback>,
}

impl EventLoop {
    fn new() -> io::Result<EventLoop> {
        Ok(EventLoop {
            poller: OsPoller::new()?,
            watched: HashMap::new(),
            next_key: 0,
            calls: 0,
        })
    }

    /// Calls `callback` when the socket is ready.
    fn watch(
        &mut self,
        socket: Rc<dyn AsSocket>,
        interest: Interest,
        callback: Callback,
    ) -> io::Result<()> {
        let key = Key(self.next_key);
        self.next_key += 1;
        let source = Source::Socket(socket.as_socket_ref());
        // SAFETY: the socket must not be closed before it is deleted; `watched` keeps a share of it
        // until `leave` has deleted it, and is dropped after `poller`, which stands before it.
        let ticket = unsafe { self.poller.add(source, key, interest, Trigger::Level)? };
        let watched = Watched {
            socket,
            ticket,
            interest,
            callback: Some(callback),
        };
        self.watched.insert(key, watched);
        Ok(())
    }

    /// Runs until nothing is watched any more.
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(64);
        while !self.watched.is_empty() {
            self.poller.wait(&mut events, Some(PATIENCE))?;
            if events.is_empty() {
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "nothing happened for a long time",
                ));
            }
            for event in &events {
                self.call(event.key)?;
            }
        }
        Ok(())
    }

    fn call(&mut self, key: Key) -> io::Result<()> {
        // The source may have left on account of an event before this one.
        let Some(watched) = self.watched.get_mut(&key) else {
            return Ok(());
        };
        let Some(callback) = watched.callback.take() else {
            return Ok(());
        };
        self.calls += 1;
        match callback(self)? {
            Next::When(interest, callback) => self.put_back(key, interest, callback),
            Next::Leave => self.leave(key),
        }
    }

    fn put_back(&mut self, key: Key, interest: Interest, callback: Callback) -> io::Result<()> {
        let Some(watched) = self.watched.get_mut(&key) else {
            return Ok(());
        };
        watched.callback = Some(callback);
        if watched.interest != interest {
            watched.interest = interest;
            let source = Source::Socket(watched.socket.as_socket_ref());
            self.poller
                .modify(&watched.ticket, source, key, interest, Trigger::Level)?;
        }
        Ok(())
    }

    fn leave(&mut self, key: Key) -> io::Result<()> {
        let Some(watched) = self.watched.remove(&key) else {
            return Ok(());
        };
        let source = Source::Socket(watched.socket.as_socket_ref());
        self.poller.delete(watched.ticket, source)
    }
}

// The server: three callbacks, each of which names its successor.

/// Welcomes whoever has knocked; leaves when the last of the expected clients has come.
fn accept_clients(listener: Rc<TcpListener>, seen: Rc<RefCell<Seen>>) -> Callback {
    Box::new(move |event_loop| {
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    let stream = Rc::new(stream);
                    let on_message = echo(Rc::clone(&stream), Rc::clone(&seen));
                    event_loop.watch(stream, Interest::READABLE, on_message)?;
                    seen.borrow_mut().clients += 1;
                    println!("client {} has come", seen.borrow().clients);
                }
                Err(error) if is_not_yet(&error) => break,
                // It has knocked and gone away again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => break,
                Err(error) => return Err(error),
            }
        }
        if seen.borrow().clients == CLIENTS {
            return Ok(Next::Leave);
        }
        Ok(Next::When(
            Interest::READABLE,
            accept_clients(listener, seen),
        ))
    })
}

/// Reads, and goes on with `finish_writing`.
fn echo(stream: Rc<TcpStream>, seen: Rc<RefCell<Seen>>) -> Callback {
    Box::new(move |event_loop| {
        let mut buffer = [0; 1024];
        match (&*stream).read(&mut buffer) {
            Ok(0) => {
                println!("a client has left");
                Ok(Next::Leave)
            }
            Ok(count) => {
                // Most often there is room to write at once, so the successor is called directly.
                finish_writing(stream, buffer[..count].to_vec(), seen)(event_loop)
            }
            Err(error) if is_not_yet(&error) => {
                Ok(Next::When(Interest::READABLE, echo(stream, seen)))
            }
            Err(error) => Ok(lost(&error)),
        }
    })
}

/// Writes what is left, and goes back to `echo`.
fn finish_writing(stream: Rc<TcpStream>, mut unsent: Vec<u8>, seen: Rc<RefCell<Seen>>) -> Callback {
    Box::new(move |_event_loop| {
        while !unsent.is_empty() {
            match (&*stream).write(&unsent) {
                Ok(count) => {
                    seen.borrow_mut().bytes += count;
                    unsent.drain(..count);
                }
                Err(error) if is_not_yet(&error) => {
                    let rest = finish_writing(stream, unsent, seen);
                    return Ok(Next::When(Interest::WRITABLE, rest));
                }
                Err(error) => return Ok(lost(&error)),
            }
        }
        Ok(Next::When(Interest::READABLE, echo(stream, seen)))
    })
}

/// True for "it would block". An interrupted call is the same to us: if the condition holds, the
/// next wait will say so.
fn is_not_yet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// A client whose connection breaks is no reason to leave the others alone.
fn lost(error: &io::Error) -> Next {
    println!("a client was lost: {error}");
    Next::Leave
}

/// The clients are as simple as can be: a thread each, and calls that block.
fn start_clients(address: SocketAddr) -> Vec<JoinHandle<io::Result<()>>> {
    let numbers = 1..=CLIENTS;
    numbers
        .map(|number| thread::spawn(move || be_client(number, address)))
        .collect()
}

fn be_client(number: usize, address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    for message in 1..=MESSAGES_EACH {
        let sent = format!("message {message} of client {number}\n");
        stream.write_all(sent.as_bytes())?;
        let mut answer = vec![0; sent.len()];
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, sent.as_bytes(), "the echo differs");
        // Of different speed, so that the server sees them in ever new company.
        thread::sleep(Duration::from_millis(5 * number as u64));
    }
    Ok(())
}
