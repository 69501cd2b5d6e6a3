//! The ladder, rung 9: the same server in every runtime but ekio's.
//!
//! # What this teaches
//!
//! A leaf future is a value that leaves a waker somewhere. Nothing in that says *who* polls it, and
//! nothing in an executor says *what* its tasks wait for. So ekio's sockets and timers run inside
//! tokio, smol and the rest, and what they have that waits for no event of the system (channels,
//! locks, `select`, `join`) runs inside ekio.
//!
//! ```text
//!   tokio's or smol's thread                      the thread `ekio-reactor`
//!     polls the task                                turns the shared reactor
//!       stream.read(..) would block                   poller.wait
//!         registers, leaves the waker  ------------>  event
//!     runs others, or sleeps           <------------  wakes: the task is in its queue again
//! ```
//!
//! Three things to notice:
//!
//! 1. *There is one more thread*, `ekio-reactor`. It starts when a future of ekio's first has to wait
//!    outside of ekio. A program that stays inside never has it: there the thread that runs the tasks
//!    turns the reactor too, which saves a switch of threads for each event.
//! 2. *A socket has no home.* It is registered with the reactor of the thread that polls it, so the
//!    listener below is bound by one runtime and serves in all.
//! 3. *The server is the same code.* What differs is who is asked to run it, and how a second task is
//!    started; `serve` uses `FuturesUnordered` instead, which is a task within the task.
//!
//! Run it with `cargo run --manifest-path anywhere/Cargo.toml --example 09_other_runtimes`. It lies in
//! a package of its own, so that the other runtimes stay out of ekio's dependencies.

use std::io;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ekio::net::{TcpListener, TcpStream};
use futures::future::{Either, select};
use futures::stream::{FuturesUnordered, StreamExt};

/// How many clients come, and what each of them sends.
const CLIENTS: usize = 3;
const MESSAGES_EACH: usize = 4;

/// A program that teaches should not hang if something is wrong: everybody gives up after this.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    // Bound before there is any runtime: it is a socket, and nothing else yet.
    let listener = ekio::block_on(TcpListener::bind("127.0.0.1:0"))?;

    let tokio = tokio::runtime::Builder::new_current_thread().build()?;
    visit("tokio", &listener, |server| tokio.block_on(server))?;
    visit("smol", &listener, |server| smol::block_on(server))?;
    visit("futures", &listener, |server| {
        futures::executor::block_on(server)
    })?;
    visit("pollster", &listener, |server| pollster::block_on(server))?;
    visit("ekio", &listener, |server| ekio::block_on(server))?;
    println!("echoed 264 bytes to {CLIENTS} clients in each of 5 runtimes");
    Ok(())
}

type Server<'a> = std::pin::Pin<Box<dyn Future<Output = io::Result<usize>> + 'a>>;

/// Has a runtime serve the clients.
fn visit(
    name: &str,
    listener: &TcpListener,
    block_on: impl FnOnce(Server) -> io::Result<usize>,
) -> io::Result<()> {
    let start = Instant::now();
    let clients = start_clients(listener.local_addr()?);
    let bytes = block_on(Box::pin(serve_with_patience(listener)))?;
    for client in clients {
        client.join().expect("a client has panicked, see above")?;
    }
    assert_eq!(bytes, 264);
    println!("{name:>8}: {bytes} bytes in {:?}", start.elapsed());
    Ok(())
}

/// `select` is that of the crate `futures`, and the timer is ekio's. (`ekio::time::timeout` would
/// say it in one word.)
async fn serve_with_patience(listener: &TcpListener) -> io::Result<usize> {
    let serve = std::pin::pin!(serve(listener));
    let patience = std::pin::pin!(ekio::time::sleep(PATIENCE));
    match select(serve, patience).await {
        Either::Left((bytes, _)) => bytes,
        Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn serve(listener: &TcpListener) -> io::Result<usize> {
    let echoes = FuturesUnordered::new();
    for _ in 0..CLIENTS {
        let (stream, _) = listener.accept().await?;
        echoes.push(echo(stream));
    }
    let bytes: Vec<io::Result<usize>> = echoes.collect().await;
    bytes.into_iter().sum()
}

async fn echo(stream: TcpStream) -> io::Result<usize> {
    let mut bytes = 0;
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(bytes);
        }
        stream.write_all(&buffer[..count]).await?;
        bytes += count;
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
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    for message in 1..=MESSAGES_EACH {
        let sent = format!("message {message} of client {number}\n");
        stream.write_all(sent.as_bytes())?;
        let mut answer = vec![0; sent.len()];
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, sent.as_bytes(), "the echo differs");
    }
    Ok(())
}
