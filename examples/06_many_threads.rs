//! The ladder, rung 6: tasks, on many threads.
//!
//! # What this teaches
//!
//! A `Runtime` has workers: threads that run tasks, each with a queue of its own and a reactor of its
//! own. `ekio::spawn` gives a task to all of them, so what it is made of has to be `Send`: it may run
//! on one worker now and on another after the next `.await`. In return, two things happen by
//! themselves, and this program makes both visible by asking every task on which thread it runs.
//!
//! *Work is stolen.* One task spawns many, which thereby are in the queue of one worker. A worker
//! with nothing to do looks through the others' queues and takes half of what is there:
//!
//! ```text
//!    worker-1   [ 9 10 11 12 13 14 15 16 ] -.
//!    worker-2   [ 17 18 .. 24 ] <-----------'   half of it, in one go
//!    worker-3   [ ] asleep in its reactor; somebody who found more than he needs will rouse it
//! ```
//!
//! *A worker that is stuck is stood in for.* A task must not block its thread, and some day one does:
//! it reads a file the old way, waits for a lock, computes for a second. Its worker is lost for as long,
//! and so would be its sockets and timers, since they are in a reactor that nobody turns. So the
//! others keep an eye on it: a run that lasts for longer than a millisecond is noticed, and another
//! worker turns that reactor, and takes the tasks that it wakes. Here a task blocks its thread on
//! purpose until every client has had all its answers. On one thread that would be a deadlock.
//!
//! What does not change: an `.await` is where a task gives way, a panic is the end of one task,
//! aborting is dropping. And `block_on` of a runtime runs its own future on the calling thread, with
//! `spawn_local` and all, beside the workers.
//!
//! How it is done is told in `src/executor/crew.rs` and `crew/watch.rs`. Run this with
//! `cargo run --example 06_many_threads`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ekio::net::{TcpListener, TcpStream};
use ekio::task::JoinSet;
use ekio::time::timeout;
use ekio::{Runtime, spawn, spawn_blocking};

const WORKERS: usize = 3;

/// How many pieces of work there are to steal.
const PIECES: u64 = 60;

/// How many clients have connections, and how often each sends while a worker is stuck.
const CLIENTS: usize = 12;
const ROUNDS: usize = 10;

/// A program that teaches should not hang if something is wrong: everybody gives up after this.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let runtime = Runtime::builder()
        .workers(WORKERS)
        .thread_name("worker")
        .build()?;
    let pieces = runtime.block_on(async { timeout(PATIENCE, share()).await })?;
    for (number, worker) in runtime.metrics().workers.iter().enumerate() {
        let (runs, thefts) = (worker.runs, worker.thefts);
        println!("worker-{}: {runs} runs, {thefts} thefts", number + 1);
    }
    let echoes = runtime.block_on(async { timeout(PATIENCE, stand_in()).await? })?;
    let metrics = runtime.metrics();
    let rescues = metrics.workers.iter().map(|worker| worker.rescues);
    println!(
        "{pieces} pieces of work on {WORKERS} workers; {echoes} echoes while one was stuck, by {} rescues",
        rescues.sum::<u64>()
    );
    Ok(())
}

/// Who did how much.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<BTreeMap<String, usize>>>);

impl Ledger {
    /// Enters that the calling thread has done something.
    fn enter(&self) {
        let name = this_worker();
        *self.0.lock().unwrap().entry(name).or_default() += 1;
    }

    /// Prints a line for each thread, and answers the sum.
    fn close(&self, what: &str) -> usize {
        let done = std::mem::take(&mut *self.0.lock().unwrap());
        for (name, count) in &done {
            println!("{name} {what} {count:3}: {}", "#".repeat(count.div_ceil(4)));
        }
        done.values().sum()
    }
}

fn this_worker() -> String {
    thread::current().name().unwrap_or("somebody").to_owned()
}

/// One task spawns all pieces; the others' threads come for them.
async fn share() -> usize {
    println!("{PIECES} pieces of work, all spawned on one worker:");
    let ledger = Ledger::default();
    let copy = ledger.clone();
    let spawner = spawn(async move {
        let mut pieces: JoinSet<u64> = (0..PIECES)
            .map(|number| {
                let ledger = copy.clone();
                async move {
                    ledger.enter();
                    compute(number)
                }
            })
            .collect();
        println!("they were spawned on {}", this_worker());
        let mut sum: u64 = 0;
        while let Some(piece) = pieces.join_next().await {
            sum = sum.wrapping_add(piece.expect("a task has panicked, see above"));
        }
        sum
    });
    let sum = spawner.await.expect("a task has panicked, see above");
    black_box(sum);
    ledger.close("did")
}

/// A millisecond's work, more or less. Nothing in it awaits, so it is done in one run.
fn compute(seed: u64) -> u64 {
    (0..50_000).fold(seed, |number, step| {
        black_box(
            number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(step),
        )
    })
}

/// Clients are served while one worker is stuck in a task.
async fn stand_in() -> io::Result<usize> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (warm, is_warm) = mpsc::channel();
    let (stuck, is_stuck) = mpsc::channel();
    let (free, is_freed) = mpsc::channel();
    let clients = thread::spawn(move || be_clients(address, &warm, &is_stuck, free));

    let ledger = Ledger::default();
    let mut servers = JoinSet::new();
    for _ in 0..CLIENTS {
        let (stream, _) = listener.accept().await?;
        servers.spawn(echo(stream, ledger.clone()));
    }
    // Every client has had its first answer, so every connection is in some worker's reactor.
    join(spawn_blocking(move || is_warm.recv()))
        .await?
        .map_err(io::Error::other)?;
    ledger.close("has served");

    let blocker = spawn(async move {
        let name = this_worker();
        println!("now {name} is stuck in a task");
        let is_heard = stuck.send(name).is_ok();
        // Wrong, and the point of this: a call that blocks the thread, in a task. It returns when the
        // clients are done, and drop the other end.
        let _ = is_freed.recv();
        is_heard
    });
    let name = join(spawn_blocking(move || {
        clients.join().expect("a client has panicked")
    }))
    .await??;
    let is_done = join(blocker).await?;
    assert!(is_done, "the clients were there");
    let has_served = ledger.0.lock().unwrap().contains_key(&name);
    assert!(!has_served, "{name} was stuck, and yet has served");
    while let Some(joined) = servers.join_next().await {
        joined.expect("a task has panicked, see above")?;
    }
    Ok(ledger.close("has served"))
}

/// The output of a task that does not panic.
async fn join<T>(task: ekio::task::JoinHandle<T>) -> io::Result<T> {
    task.await.map_err(io::Error::other)
}

async fn echo(stream: TcpStream, ledger: Ledger) -> io::Result<()> {
    let mut buffer = [0; 64];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        ledger.enter();
        stream.write_all(&buffer[..count]).await?;
    }
}

/// All the clients, on one thread that is no worker, by calls that block. Answers who was stuck.
fn be_clients(
    address: SocketAddr,
    warm: &Sender<()>,
    is_stuck: &Receiver<String>,
    free: Sender<()>,
) -> io::Result<String> {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = std::net::TcpStream::connect(address)?;
        client.set_read_timeout(Some(PATIENCE))?;
        round_trip(&mut client)?;
        clients.push(client);
    }
    warm.send(()).map_err(io::Error::other)?;
    let name = is_stuck.recv().map_err(io::Error::other)?;
    for _ in 0..ROUNDS {
        for client in &mut clients {
            round_trip(client)?;
        }
    }
    drop(free);
    Ok(name)
}

fn round_trip(client: &mut std::net::TcpStream) -> io::Result<()> {
    client.write_all(b"are you there?")?;
    client.read_exact(&mut [0; 14])
}
