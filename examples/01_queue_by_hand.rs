//! The ladder, rung 1: an event queue by hand.
//!
//! # What this teaches
//!
//! A server of many clients needs neither a thread for each of them nor futures. It needs one list,
//! kept by the operating system, of the sockets it cares about, and one call that sleeps until
//! something happens to any of them. That list is the *event queue*: epoll on Linux, kqueue on
//! Apple's systems and the BSDs, a completion port on Windows. `ekio::poller::OsPoller` is whichever
//! of them this program was built for, and this rung uses nothing else of ekio.
//!
//! ```text
//!        .---------------------------------------------------------------.
//!        v                                                               |
//!   poller.wait      sleeps, this thread's only sleep                    |
//!        |                                                               |
//!        |  events: (key, what the source is ready for)                  |
//!        v                                                               |
//!   which source is it?  --- the listener ---> accept, add the client ---+
//!        |                                                               |
//!        '------------------ a client -------> read, write, maybe close -'
//! ```
//!
//! Four things to notice on the way:
//!
//! 1. *Readiness is a hint that a call is worth a try.* The sockets are in non-blocking mode, so a
//!    try that comes too early is harmless: it answers `WouldBlock`, and the loop goes on.
//! 2. *The key is ours.* The system keeps the number and hands it back with each event; it is how
//!    we find the client again. A number is used once, so that an event of a client that left cannot
//!    be taken for one of a client that came.
//! 3. *Nothing may block.* What could not be written now has to be kept (`unsent`) until the queue
//!    says that there is room; until then we don't even want to hear that the client sent more.
//!    So the state of each client is a value in a map, and the loop is its only reader.
//! 4. *Level-triggered*: an event is repeated at each `wait` for as long as the condition holds.
//!    That forgives a loop that reads only a part. (Edge-triggered, which ekio's own reactor uses,
//!    reports a change once, which saves calls and forgives nothing.)
//!
//! Run it with `cargo run --example 01_queue_by_hand`, and on Linux once more under
//! `strace -e trace=epoll_create1,epoll_ctl,epoll_wait,epoll_pwait2` (or whatever your system
//! offers) to see the same story from below.
//!
//! The next rung, `02_callbacks`, moves the `if` in the middle of the loop into the map.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ekio::poller::{Events, Interest, Key, OsPoller, Poller, Source, Trigger};

/// How many clients come, and what each of them sends.
const CLIENTS: usize = 3;
const MESSAGES_EACH: usize = 4;

/// A program that teaches should not hang if something is wrong: everybody gives up after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// The key of the listener. Clients get the numbers after it.
const LISTENER: Key = Key(0);

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let clients = start_clients(listener.local_addr()?);
    let seen = serve(&listener)?;
    for client in clients {
        client.join().expect("a client has panicked, see above")?;
    }
    println!("{seen}");
    Ok(())
}

/// Echoes to `CLIENTS` clients until each of them has left.
fn serve(listener: &TcpListener) -> io::Result<Seen> {
    listener.set_nonblocking(true)?;
    // In front of the poller, so that they are dropped behind it should we leave by a `?`.
    let mut clients: HashMap<Key, Client> = HashMap::new();
    let poller = OsPoller::new()?;
    // SAFETY: the listener must not be closed before it is deleted; it is borrowed for longer than
    // this function runs, and deleted (or the poller is gone) when the function returns.
    let listener_ticket = unsafe {
        poller.add(
            Source::socket(listener),
            LISTENER,
            Interest::READABLE,
            Trigger::Level,
        )?
    };

    let mut next_key = LISTENER.0 + 1;
    let mut events = Events::with_capacity(64);
    let mut seen = Seen::default();
    while seen.clients < CLIENTS {
        poller.wait(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the clients have gone silent",
            ));
        }
        seen.waits += 1;
        println!("wait {} brought {}:", seen.waits, events.len());
        for event in &events {
            seen.events += 1;
            println!("    {:?} {:?}", event.key, event.readiness);
            if event.key == LISTENER {
                while let Some(stream) = accept(listener)? {
                    let key = Key(next_key);
                    next_key += 1;
                    clients.insert(key, Client::add(&poller, key, stream)?);
                }
            } else if let Some(client) = clients.get_mut(&event.key) {
                let is_open = client.proceed(&poller, &mut seen)?;
                if !is_open {
                    seen.clients += 1;
                    let client = clients.remove(&event.key);
                    client.map_or(Ok(()), |client| client.delete(&poller))?;
                }
            }
        }
    }
    poller.delete(listener_ticket, Source::socket(listener))?;
    Ok(seen)
}

/// The next client that has knocked, if there is one.
fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    match listener.accept() {
        Ok((stream, _)) => Ok(Some(stream)),
        Err(error) if is_not_yet(&error) => Ok(None),
        // It has knocked and gone away again.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(None),
        Err(error) => Err(error),
    }
}

/// True for "it would block". An interrupted call is the same to us: if the condition holds, the
/// next wait will say so.
fn is_not_yet(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// All that the loop has to remember of a client between two of its events.
struct Client {
    stream: TcpStream,
    key: Key,
    /// The poller's note on the stream, given back when we part.
    ticket: <OsPoller as Poller>::Ticket,
    /// What the client has yet to be sent. While there is some, we wait for room to write and for
    /// nothing else.
    unsent: Vec<u8>,
}

impl Client {
    fn add(poller: &OsPoller, key: Key, stream: TcpStream) -> io::Result<Client> {
        stream.set_nonblocking(true)?;
        // SAFETY: the stream must not be closed before it is deleted; the `Client` owns it, and
        // `serve` lets go of one by `delete`, or by failing, when the poller is dropped first.
        let ticket = unsafe {
            poller.add(
                Source::socket(&stream),
                key,
                Interest::READABLE,
                Trigger::Level,
            )?
        };
        Ok(Client {
            stream,
            key,
            ticket,
            unsent: Vec::new(),
        })
    }

    /// Does what can be done without blocking. False when the client has left.
    fn proceed(&mut self, poller: &OsPoller, seen: &mut Seen) -> io::Result<bool> {
        let was_writing = !self.unsent.is_empty();
        if !was_writing {
            // One read for each event is enough: if there is more, the next wait will say so.
            let mut buffer = [0; 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => self.unsent.extend_from_slice(&buffer[..count]),
                Err(error) if is_not_yet(&error) => {}
                Err(error) => return Ok(lost(&error)),
            }
        }
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => {
                    seen.bytes += count;
                    self.unsent.drain(..count);
                }
                Err(error) if is_not_yet(&error) => break,
                Err(error) => return Ok(lost(&error)),
            }
        }
        let is_writing = !self.unsent.is_empty();
        if is_writing != was_writing {
            let interest = if is_writing {
                Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            let source = Source::socket(&self.stream);
            poller.modify(&self.ticket, source, self.key, interest, Trigger::Level)?;
        }
        Ok(true)
    }

    /// Parts from the client, in this order: out of the queue first, closed afterwards.
    fn delete(self, poller: &OsPoller) -> io::Result<()> {
        poller.delete(self.ticket, Source::socket(&self.stream))
    }
}

/// A client whose connection breaks is no reason to leave the others alone.
fn lost(error: &io::Error) -> bool {
    println!("    a client was lost: {error}");
    false
}

#[derive(Default)]
struct Seen {
    clients: usize,
    bytes: usize,
    waits: usize,
    events: usize,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "echoed {} bytes to {} clients on one thread, which slept {} times and was told of {} events",
            self.bytes, self.clients, self.waits, self.events
        )
    }
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
