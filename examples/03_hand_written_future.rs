//! The ladder, rung 3: a leaf future and an executor, both written by hand.
//!
//! # What this teaches
//!
//! `async fn` is the compiler's way of writing rung 2: it cuts a function at each `.await`, turns
//! the pieces into a state machine, and the local variables into its state. What it does not bring
//! is the two ends:
//!
//! * At the bottom, a *leaf future*: one that waits for something real. Here it is `Ready`, which
//!   waits for one event of one source.
//! * At the top, an *executor*: something that polls the state machine again when there is a
//!   reason to. Here it is `Runtime::run`.
//!
//! They never meet. What connects them is the `Waker`: the executor hands it down with each poll,
//! the leaf future leaves it with the reactor, the reactor wakes it when the event comes, and to
//! wake means to put the task into the run queue.
//!
//! ```text
//!        .----------------------------------------------------------------------.
//!        v                                                                      |
//!   run queue ---> poll the task ---> async fn ---> Ready::poll                 |
//!        |                                              | leaves the waker,     |
//!        | empty                                        v asks for one event    |
//!        '--------> poller.wait ---> event ----> wakers[key] ----> wake: id -->-'
//! ```
//!
//! Five things to notice:
//!
//! 1. *A future is a value that is polled.* Nothing happens when it is made, and it takes no part in
//!    its own continuation but by the waker that it left.
//! 2. *The latest waker counts.* A future may be polled again for no reason, with another waker than
//!    before, so `Ready::poll` replaces the one that it left.
//! 3. *Cancelling is dropping.* `Ready` takes its waker back when it is dropped, `Watched` takes its
//!    socket out of the queue; there is nothing else to tell anybody.
//! 4. *A waker may be woken from anywhere*, also from a thread that is not ours while ours sleeps in
//!    `poller.wait`. So waking also calls `notify`, which ends the sleep, unless it is on our own
//!    thread, which cannot be asleep then.
//! 5. *First come, first served*: the run queue is a queue and no stack, and a task stands in it
//!    once. Otherwise a busy task keeps others from ever running.
//!
//! The trigger is `OneShot`: one event, then silence until we ask again. It fits a leaf future like a
//! glove and costs a system call each time something has to wait. ekio's own reactor is
//! edge-triggered and remembers what it was told, which saves that call; read
//! `src/reactor/slot.rs` next to `Ready::poll` here.
//!
//! Run it with `cargo run --example 03_hand_written_future`. The last rung is `04_block_on`.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, ThreadId};
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

    let seen = Rc::new(Seen::default());
    let runtime = Rc::new(Runtime::new()?);
    runtime.spawn(serve(Rc::clone(&runtime), listener, Rc::clone(&seen)));
    runtime.run()?;

    for client in clients {
        client.join().expect("a client has panicked, see above")?;
    }
    println!(
        "echoed {} bytes to {} clients on one thread, by {} polls of tasks and {} sleeps",
        seen.bytes.get(),
        seen.clients.get(),
        runtime.polls.get(),
        runtime.reactor.waits.get()
    );
    Ok(())
}

#[derive(Default)]
struct Seen {
    clients: Cell<usize>,
    bytes: Cell<usize>,
}

// The server. Compare it with the callbacks of rung 2: it reads like a program with threads again.

async fn serve(runtime: Rc<Runtime>, listener: TcpListener, seen: Rc<Seen>) -> io::Result<()> {
    let listener = Watched::new(&runtime.reactor, listener)?;
    while seen.clients.get() < CLIENTS {
        let accepted = listener.io(Interest::READABLE, TcpListener::accept).await;
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // It has knocked and gone away again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        let client = Watched::new(&runtime.reactor, stream)?;
        seen.clients.set(seen.clients.get() + 1);
        runtime.spawn(echo(client, Rc::clone(&seen)));
    }
    Ok(())
}

async fn echo(client: Watched<TcpStream>, seen: Rc<Seen>) -> io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let read = client.io(Interest::READABLE, |mut stream| stream.read(&mut buffer));
        let count = read.await?;
        if count == 0 {
            return Ok(());
        }
        let mut unsent = &buffer[..count];
        while !unsent.is_empty() {
            let write = client.io(Interest::WRITABLE, |mut stream| stream.write(unsent));
            let count = write.await?;
            seen.bytes.set(seen.bytes.get() + count);
            unsent = &unsent[count..];
        }
    }
}

// The reactor: the poller, and who waits for which key.

struct Reactor {
    poller: Arc<OsPoller>,
    wakers: RefCell<HashMap<Key, Waker>>,
    next_key: Cell<u64>,
    waits: Cell<usize>,
}

impl Reactor {
    /// Sleeps until there are events, and wakes whoever waits for them.
    fn turn(&self, events: &mut Events) -> io::Result<()> {
        self.poller.wait(events, Some(PATIENCE))?;
        self.waits.set(self.waits.get() + 1);
        for event in events.iter() {
            // A statement of its own, so that the map is free again while foreign code runs.
            let waker = self.wakers.borrow_mut().remove(&event.key);
            if let Some(waker) = waker {
                println!("{:?}: {:?}", event.key, event.readiness);
                waker.wake();
            }
        }
        Ok(())
    }
}

/// A socket and its place in the queue.
struct Watched<S: AsSocket> {
    socket: S,
    reactor: Rc<Reactor>,
    key: Key,
    /// `None` only while it is dropped.
    ticket: Option<<OsPoller as Poller>::Ticket>,
}

impl<S: AsSocket> Watched<S> {
    /// Takes a socket that is in non-blocking mode.
    fn new(reactor: &Rc<Reactor>, socket: S) -> io::Result<Watched<S>> {
        let key = Key(reactor.next_key.get());
        reactor.next_key.set(key.0 + 1);
        let source = Source::socket(&socket);
        // SAFETY: the socket must not be closed before it is deleted; the `Watched` made of it here
        // keeps it to itself, and deletes it in its `drop`, which runs before the socket's.
        let ticket = unsafe {
            reactor
                .poller
                .add(source, key, Interest::NONE, Trigger::OneShot)?
        };
        Ok(Watched {
            socket,
            reactor: Rc::clone(reactor),
            key,
            ticket: Some(ticket),
        })
    }

    /// Tries `operation` until it does not block, waiting for an event in between.
    async fn io<T>(
        &self,
        interest: Interest,
        mut operation: impl FnMut(&S) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match operation(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready(interest).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                answer => return answer,
            }
        }
    }

    /// Waits for the next event. One at a time: the reactor has room for one waker of each source.
    fn ready(&self, interest: Interest) -> Ready<'_, S> {
        Ready {
            watched: self,
            interest,
            is_asked_for: false,
        }
    }
}

impl<S: AsSocket> Drop for Watched<S> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            // If it fails, the queue is gone or does not know the socket, and all is well too.
            let _ = self
                .reactor
                .poller
                .delete(ticket, Source::socket(&self.socket));
        }
    }
}

/// The leaf future: it is ready when the next event of its source has come.
struct Ready<'a, S: AsSocket> {
    watched: &'a Watched<S>,
    interest: Interest,
    is_asked_for: bool,
}

impl<S: AsSocket> Future for Ready<'_, S> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Watched {
            socket,
            reactor,
            key,
            ticket,
        } = self.watched;
        // The reactor takes the waker out when the event comes: that is how we know.
        let is_waiting = reactor.wakers.borrow().contains_key(key);
        if self.is_asked_for && !is_waiting {
            return Poll::Ready(Ok(()));
        }
        // The first poll, or one for no reason. In both cases the latest waker is the one to keep.
        let new_waker = cx.waker().clone();
        let old_waker = reactor.wakers.borrow_mut().insert(*key, new_waker);
        drop(old_waker);
        if let (false, Some(ticket)) = (self.is_asked_for, ticket) {
            // After the waker was left, though on one thread the order would not matter.
            let source = Source::socket(socket);
            reactor
                .poller
                .modify(ticket, source, *key, self.interest, Trigger::OneShot)?;
            self.is_asked_for = true;
        }
        Poll::Pending
    }
}

impl<S: AsSocket> Drop for Ready<'_, S> {
    /// An event that comes nevertheless finds no waker, and is forgotten.
    fn drop(&mut self) {
        let waker = self
            .watched
            .reactor
            .wakers
            .borrow_mut()
            .remove(&self.watched.key);
        drop(waker);
    }
}

// The executor: the tasks, and which of them have a reason to be polled.

type Task = Pin<Box<dyn Future<Output = io::Result<()>>>>;

struct Runtime {
    reactor: Rc<Reactor>,
    tasks: RefCell<HashMap<usize, (Task, Arc<TaskWaker>)>>,
    run_queue: Arc<RunQueue>,
    next_id: Cell<usize>,
    polls: Cell<usize>,
}

impl Runtime {
    fn new() -> io::Result<Runtime> {
        let poller = Arc::new(OsPoller::new()?);
        Ok(Runtime {
            run_queue: Arc::new(RunQueue {
                ids: Mutex::default(),
                home: thread::current().id(),
                poller: Arc::clone(&poller),
            }),
            reactor: Rc::new(Reactor {
                poller,
                wakers: RefCell::default(),
                next_key: Cell::new(0),
                waits: Cell::new(0),
            }),
            tasks: RefCell::default(),
            next_id: Cell::new(1),
            polls: Cell::new(0),
        })
    }

    /// Adds a task, with a first reason to be polled.
    fn spawn(&self, future: impl Future<Output = io::Result<()>> + 'static) {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let waker = Arc::new(TaskWaker {
            id,
            is_queued: AtomicBool::new(false),
            run_queue: Arc::clone(&self.run_queue),
        });
        waker.wake_by_ref();
        self.tasks
            .borrow_mut()
            .insert(id, (Box::pin(future), waker));
    }

    /// Polls tasks while there is a reason to, else lets the reactor sleep, until all are done.
    fn run(&self) -> io::Result<()> {
        let mut events = Events::with_capacity(64);
        while !self.tasks.borrow().is_empty() {
            while let Some(id) = self.run_queue.pop() {
                self.poll(id);
            }
            if self.tasks.borrow().is_empty() {
                break;
            }
            self.reactor.turn(&mut events)?;
            if events.is_empty() && self.run_queue.is_empty() {
                // The tasks have shares of the runtime that owns them: cut the circle.
                self.tasks.take();
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "nothing happened for a long time",
                ));
            }
        }
        Ok(())
    }

    fn poll(&self, id: usize) {
        // Taken out, because the task may spawn others while it runs.
        let Some((mut task, task_waker)) = self.tasks.borrow_mut().remove(&id) else {
            return; // It had ended when it was woken.
        };
        // Before the poll, so that a wake during it counts.
        task_waker.is_queued.store(false, Ordering::Release);
        self.polls.set(self.polls.get() + 1);
        let waker = Waker::from(Arc::clone(&task_waker));
        match task.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => {
                println!("    task {id} waits");
                self.tasks.borrow_mut().insert(id, (task, task_waker));
            }
            Poll::Ready(Ok(())) => println!("    task {id} is done"),
            // A client whose connection breaks is no reason to leave the others alone.
            Poll::Ready(Err(error)) => println!("    task {id} has failed: {error}"),
        }
    }
}

/// What a waker touches. It may do so on any thread, so there is a lock.
struct RunQueue {
    ids: Mutex<VecDeque<usize>>,
    home: ThreadId,
    poller: Arc<OsPoller>,
}

impl RunQueue {
    fn push(&self, id: usize) {
        self.ids().push_back(id);
        if thread::current().id() != self.home {
            // If the queue is gone, nobody sleeps in it.
            let _ = self.poller.notify();
        }
    }

    fn pop(&self) -> Option<usize> {
        self.ids().pop_front()
    }

    fn is_empty(&self) -> bool {
        self.ids().is_empty()
    }

    fn ids(&self) -> std::sync::MutexGuard<'_, VecDeque<usize>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To wake a task is to put it into the run queue, unless it stands there already. The standard
/// library makes a `Waker` of this.
struct TaskWaker {
    id: usize,
    is_queued: AtomicBool,
    run_queue: Arc<RunQueue>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Ordering::AcqRel) {
            self.run_queue.push(self.id);
        }
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
