//! Two tasks that wait for each other, and a runtime that says so.
//!
//! What it teaches: a program that hangs is not a black box. The reactor knows every source that is
//! waited for, the executor every task, and [`Runtime::dump`] puts the two together: who waits, for
//! which direction of which socket, between which addresses, and for how long.
//!
//! The deadlock is the classic one of protocols: the client expects a greeting before it sends its
//! request, and the server expects a request before it answers. Here a thread that is no part of the
//! runtime notices that nothing happens any more, and prints the dump.
//!
//! `cargo run --example stuck`

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use ekio::net::{TcpListener, TcpStream};
use ekio::runtime::Handle;
use ekio::{Runtime, spawn};

/// How often the tasks got on: what the watchdog looks at.
static STEPS: AtomicUsize = AtomicUsize::new(0);

/// How long nothing may happen.
const PATIENCE: Duration = Duration::from_millis(300);

async fn serve(stream: TcpStream) -> io::Result<()> {
    let mut request = [0; 64];
    let len = stream.read(&mut request).await?;
    STEPS.fetch_add(1, Ordering::Relaxed);
    stream.write_all(&request[..len]).await
}

async fn request(stream: TcpStream) -> io::Result<()> {
    let mut greeting = [0; 64];
    stream.read(&mut greeting).await?; // The server does not greet.
    STEPS.fetch_add(1, Ordering::Relaxed);
    stream.write_all(b"request").await
}

/// Prints a dump when nothing has happened for a while; ends when the sender of `end` is dropped, or
/// after the first dump.
fn watch(runtime: Handle, end: &mpsc::Receiver<()>) {
    let mut before = usize::MAX;
    while end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
        let steps = STEPS.load(Ordering::Relaxed);
        if steps == before {
            println!("nothing has happened for {} ms:", PATIENCE.as_millis());
            print!("{}", runtime.dump());
            return;
        }
        before = steps;
    }
}

fn main() -> io::Result<()> {
    let runtime = Runtime::builder().workers(2).build()?;
    let (_end, is_ended) = mpsc::channel();
    let handle = *runtime.handle();
    let watchdog = thread::spawn(move || watch(handle, &is_ended));
    let (server, client) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let client = TcpStream::connect(listener.local_addr()?).await?;
        let (server, _) = listener.accept().await?;
        io::Result::Ok((spawn(serve(server)), spawn(request(client))))
    })?;
    if watchdog.join().is_err() {
        return Err(io::Error::other("the watchdog has panicked"));
    }
    // Whoever knows that nobody will ever answer may give up.
    server.abort();
    client.abort();
    for task in [server, client] {
        if let Err(error) = runtime.block_on(task) {
            println!("{error}");
        }
    }
    Ok(())
}
