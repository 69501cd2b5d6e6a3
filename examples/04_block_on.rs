//! The ladder, rung 4: the same server on ekio.
//!
//! # What this teaches
//!
//! All that the rungs below wrote by hand is in the library, and this is what remains. Each line
//! that says `.await` may put its task to sleep; where the work of the other rungs has gone:
//!
//! | here | there |
//! |---|---|
//! | `ekio::block_on` | rung 3's `Runtime::run`: polls tasks while it can, else sleeps in the queue |
//! | `ekio::spawn_local` | rung 3's `Runtime::spawn`, and a handle on what the task returns |
//! | `accept`, `read`, `write_all` | rung 3's `Watched::io` and `Ready`, rung 2's callbacks |
//! | a local variable | rung 1's `Client`, the state between two events |
//! | dropping the stream | `poller.delete`, and then to close it |
//!
//! It also does a few things better than rung 3. The queue is edge-triggered and the readiness that
//! it reported is remembered, so that waiting costs no system call of its own; a socket enters the
//! queue when it first has to wait; whoever waits for the same source is woken, and not just the
//! last one; a task is one allocation; timers are there. How, is told in `src/reactor` and
//! `src/task`, which are meant to be read.
//!
//! Run it with `cargo run --example 04_block_on`. The next rung is `05_tasks`. See also
//! `http_get` for a leaf future of your own on ekio's reactor, and `tcp_echo` for this server without
//! an end.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ekio::net::{TcpListener, TcpStream};

/// How many clients come, and what each of them sends.
const CLIENTS: usize = 3;
const MESSAGES_EACH: usize = 4;

/// A program that teaches should not hang if something is wrong: everybody gives up after this.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let (bytes, clients) = ekio::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let clients = start_clients(listener.local_addr()?);
        let served = ekio::time::timeout(PATIENCE, serve(&listener)).await??;
        io::Result::Ok((served, clients))
    })?;
    for client in clients {
        client.join().expect("a client has panicked, see above")?;
    }
    println!("echoed {bytes} bytes to {CLIENTS} clients on one thread");
    Ok(())
}

/// Echoes to `CLIENTS` clients until each of them has left, and answers how many bytes that were.
async fn serve(listener: &TcpListener) -> io::Result<usize> {
    let mut tasks = Vec::new();
    for number in 1..=CLIENTS {
        let (stream, _) = listener.accept().await?;
        println!("client {number} has come");
        tasks.push(ekio::spawn_local(echo(number, stream)));
    }
    let mut bytes = 0;
    for task in tasks {
        bytes += task.await.expect("a task has panicked, see above")?;
    }
    Ok(bytes)
}

async fn echo(number: usize, stream: TcpStream) -> io::Result<usize> {
    let mut bytes = 0;
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            println!("client {number} has left");
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
    let mut stream = std::net::TcpStream::connect(address)?;
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
