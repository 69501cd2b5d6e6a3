//! The ladder, rung 7: green threads on the same event queue.
//!
//! # What this teaches
//!
//! Rung 3 turned callbacks back into a program that reads from top to bottom by having the compiler cut
//! each `async fn` where it waits. There is another way, and it is older: let each client have a
//! thread of its own, but one that we switch ourselves. A *fiber* is a stack. When its read would
//! block, it leaves a note in the event queue, the processor's registers are put aside, those of the
//! loop are taken up, and the loop goes on as if `resume` had returned. When the event comes, the same
//! happens backwards, and the read returns. This is how Go's goroutines and Java's virtual threads
//! work. The switch itself is a dozen instructions, for which we ask the crate `corosensei`.
//!
//! ```text
//!   the loop's stack                           a fiber's stack
//!     poller.wait                                echo
//!       event: fibers[key]                         BufReader::read_line      (std's, and unaware)
//!         resume  ----- registers ----->             Socket::read
//!                                                      would block: poller.modify(key)
//!       ready.pop <----- registers -----               suspend
//! ```
//!
//! Compare `echo` with the one of rung 3:
//!
//! 1. *Functions have no colour.* There is no `async` and no `.await`: the switch happens below
//!    `Socket::read`, which is `std::io::Read`. So std's `BufReader` reads lines here, and would
//!    never know that it was left in the middle. With futures somebody had to write it again.
//! 2. *A stack is larger than a state.* A future is as large as what is alive where it waits, here
//!    some hundred bytes. A fiber needs a stack that is large enough for the worst case, and whose
//!    pages, once touched, stay. The system lends address space and gives memory page by page, so it
//!    is some kilobytes for each client in truth.
//! 3. *Dropping is harder.* To drop a future is to drop a value. To drop a fiber is to unwind a stack
//!    that stands still, like a panic.
//! 4. *What may not be held across a wait nobody checks.* The compiler knows what a future holds while
//!    it waits, and that it may not be sent to another thread, say. It knows nothing of a switch.
//!    `BorrowMut` panics if a fiber waits with a `RefCell` in its hand that another one wants.
//!
//! The event queue does not care: the loop below is that of rung 2, with stacks in place of callbacks.
//!
//! Run it with `cargo run --example 07_fibers`.

#[cfg(has_fibers)]
fn main() -> std::io::Result<()> {
    fibers::main()
}

#[cfg(not(has_fibers))]
fn main() {
    println!("skipped: the crate corosensei cannot switch stacks on this processor and system");
}

#[cfg(has_fibers)]
mod fibers {
    use std::cell::{Cell, RefCell};
    use std::collections::{HashMap, VecDeque};
    use std::io::{self, BufRead, BufReader, Read, Write};
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::rc::Rc;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use corosensei::{Coroutine, CoroutineResult, Yielder};
    use ekio::poller::{AsSocket, Events, Interest, Key, OsPoller, Poller, Source, Trigger};

    /// How many clients come, and what each of them sends.
    const CLIENTS: usize = 3;
    const MESSAGES_EACH: usize = 4;

    /// A program that teaches should not hang if something is wrong: everybody gives up after this.
    const PATIENCE: Duration = Duration::from_secs(10);

    pub fn main() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let clients = start_clients(listener.local_addr()?);

        let seen = Rc::new(Seen::default());
        let scheduler = Rc::new(Scheduler::new()?);
        {
            let (scheduler, seen) = (Rc::clone(&scheduler), Rc::clone(&seen));
            let own = Rc::clone(&scheduler);
            scheduler.spawn(move |fiber| serve(fiber, &own, listener, &seen));
        }
        scheduler.run()?;

        for client in clients {
            client.join().expect("a client has panicked, see above")?;
        }
        println!(
            "echoed {} bytes to {} clients on one thread, by {} switches of stacks",
            seen.bytes.get(),
            seen.clients.get(),
            2 * scheduler.resumes.get()
        );
        Ok(())
    }

    #[derive(Default)]
    struct Seen {
        clients: Cell<usize>,
        bytes: Cell<usize>,
    }

    // The server. Every call in it is an ordinary one.

    fn serve(
        fiber: &Fiber,
        scheduler: &Rc<Scheduler>,
        listener: TcpListener,
        seen: &Rc<Seen>,
    ) -> io::Result<()> {
        let listener = Watched::new(scheduler, listener)?;
        while seen.clients.get() < CLIENTS {
            let stream = match listener.io(fiber, Interest::READABLE, TcpListener::accept) {
                Ok((stream, _)) => stream,
                // It has knocked and gone away again.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            seen.clients.set(seen.clients.get() + 1);
            let stream = Watched::new(scheduler, stream)?;
            let seen = Rc::clone(seen);
            scheduler.spawn(move |fiber| echo(fiber, &stream, &seen));
        }
        Ok(())
    }

    fn echo(fiber: &Fiber, stream: &Watched<TcpStream>, seen: &Seen) -> io::Result<()> {
        let mut writer = Socket { fiber, stream };
        // A buffer of std's, which reads from a socket of ours, which switches stacks.
        let mut reader = BufReader::new(Socket { fiber, stream });
        let mut line = String::new();
        while reader.read_line(&mut line)? > 0 {
            writer.write_all(line.as_bytes())?;
            seen.bytes.set(seen.bytes.get() + line.len());
            line.clear();
        }
        Ok(())
    }

    // Sockets. They look as if they blocked, and what they block is one fiber.

    struct Socket<'a> {
        fiber: &'a Fiber,
        stream: &'a Watched<TcpStream>,
    }

    impl Read for Socket<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let read = |mut stream: &TcpStream| stream.read(buffer);
            self.stream.io(self.fiber, Interest::READABLE, read)
        }
    }

    impl Write for Socket<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let write = |mut stream: &TcpStream| stream.write(bytes);
            self.stream.io(self.fiber, Interest::WRITABLE, write)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A socket and its place in the queue.
    struct Watched<S: AsSocket> {
        socket: S,
        scheduler: Rc<Scheduler>,
        key: Key,
        /// `None` only while it is dropped.
        ticket: Option<<OsPoller as Poller>::Ticket>,
    }

    impl<S: AsSocket> Watched<S> {
        /// Takes a socket that is in non-blocking mode.
        fn new(scheduler: &Rc<Scheduler>, socket: S) -> io::Result<Watched<S>> {
            let key = Key(scheduler.next_key.get());
            scheduler.next_key.set(key.0 + 1);
            let (poller, source) = (&scheduler.poller, Source::socket(&socket));
            // SAFETY: the socket must not be closed before it is deleted; the `Watched` made of it
            // here keeps it to itself, and deletes it in its `drop`, which runs before the socket's.
            let ticket = unsafe { poller.add(source, key, Interest::NONE, Trigger::OneShot)? };
            Ok(Watched {
                socket,
                scheduler: Rc::clone(scheduler),
                key,
                ticket: Some(ticket),
            })
        }

        /// Tries `operation` until it does not block. In between others run, on this thread.
        fn io<T>(
            &self,
            fiber: &Fiber,
            interest: Interest,
            mut operation: impl FnMut(&S) -> io::Result<T>,
        ) -> io::Result<T> {
            loop {
                match operation(&self.socket) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.ask_for(interest)?;
                        // Here the stack is left. When this returns, there was an event.
                        fiber.suspend(self.key);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    answer => return answer,
                }
            }
        }

        fn ask_for(&self, interest: Interest) -> io::Result<()> {
            let Some(ticket) = &self.ticket else {
                return Ok(());
            };
            let source = Source::socket(&self.socket);
            let poller = &self.scheduler.poller;
            poller.modify(ticket, source, self.key, interest, Trigger::OneShot)
        }
    }

    impl<S: AsSocket> Drop for Watched<S> {
        fn drop(&mut self) {
            if let Some(ticket) = self.ticket.take() {
                let source = Source::socket(&self.socket);
                // If it fails, the queue is gone or does not know the socket, and all is well too.
                let _ = self.scheduler.poller.delete(ticket, source);
            }
        }
    }

    // The scheduler: the fibers, and which of them wait for which event.

    /// What a fiber's own code knows of it: the way back to the loop, with the key of the event that
    /// it wants to come back for.
    type Fiber = Yielder<(), Key>;

    /// A stack, and where on it to go on.
    type Suspended = Coroutine<(), Key, io::Result<()>>;

    struct Scheduler {
        poller: OsPoller,
        waiting: RefCell<HashMap<Key, (usize, Suspended)>>,
        ready: RefCell<VecDeque<(usize, Suspended)>>,
        next_key: Cell<u64>,
        next_number: Cell<usize>,
        resumes: Cell<usize>,
    }

    impl Scheduler {
        fn new() -> io::Result<Scheduler> {
            Ok(Scheduler {
                poller: OsPoller::new()?,
                waiting: RefCell::default(),
                ready: RefCell::default(),
                next_key: Cell::new(0),
                next_number: Cell::new(1),
                resumes: Cell::new(0),
            })
        }

        /// Makes a stack. What it is for begins when its turn comes.
        fn spawn(&self, body: impl FnOnce(&Fiber) -> io::Result<()> + 'static) {
            let number = self.next_number.get();
            self.next_number.set(number + 1);
            let fiber = Coroutine::new(move |fiber: &Fiber, ()| body(fiber));
            self.ready.borrow_mut().push_back((number, fiber));
        }

        /// Runs fibers while it can, else sleeps in the queue, until all are done.
        fn run(&self) -> io::Result<()> {
            let mut events = Events::with_capacity(64);
            loop {
                self.run_ready();
                if self.waiting.borrow().is_empty() {
                    return Ok(());
                }
                self.poller.wait(&mut events, Some(PATIENCE))?;
                if events.is_empty() {
                    // The fibers have shares of the scheduler that owns them: cut the circle. Their
                    // stacks are unwound, which drops what lies on them.
                    drop(self.waiting.take());
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "nothing happened for a long time",
                    ));
                }
                for event in events.iter() {
                    // An event that comes for somebody who has gone is none.
                    if let Some(fiber) = self.waiting.borrow_mut().remove(&event.key) {
                        println!("{:?}: {:?}", event.key, event.readiness);
                        self.ready.borrow_mut().push_back(fiber);
                    }
                }
            }
        }

        fn run_ready(&self) {
            loop {
                // A statement of its own: the fiber may spawn others, which needs the queue.
                let next = self.ready.borrow_mut().pop_front();
                let Some((number, mut fiber)) = next else {
                    return;
                };
                self.resumes.set(self.resumes.get() + 1);
                match fiber.resume(()) {
                    CoroutineResult::Yield(key) => {
                        println!("    fiber {number} waits for {key:?}");
                        self.waiting.borrow_mut().insert(key, (number, fiber));
                    }
                    CoroutineResult::Return(Ok(())) => println!("    fiber {number} is done"),
                    // A client whose connection breaks is no reason to leave the others alone.
                    CoroutineResult::Return(Err(error)) => {
                        println!("    fiber {number} has failed: {error}");
                    }
                }
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
}
