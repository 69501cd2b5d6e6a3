//! The ladder, rung 5: tasks, on one thread.
//!
//! # What this teaches
//!
//! A task is a future that was given away: the executor polls it, and the spawner keeps a handle. Here
//! clients send jobs, a line each, and a server does every job in a task of its own:
//!
//! | job | is |
//! |---|---|
//! | `square 12` | done in its first run, without waiting for anything |
//! | `count 10` | a loop that gives way after each step |
//! | `tick 1000` | a loop that never has to wait, and never says that it would give way |
//! | `crash` | a panic |
//! | `nap` | a future that is never ready |
//! | `abort` | no job: it ends the naps |
//!
//! Six things to notice:
//!
//! 1. *Spawning is cheap and does nothing yet*: one allocation, and a place at the end of the queue.
//!    The task runs when its turn has come.
//! 2. *A turn lasts until the next `.await` that waits.* Nobody is interrupted, so between two of
//!    them a task has the thread, and all that belongs to it, to itself: that is why an `Rc` and a
//!    `Cell` are enough here. It is also why a loop without an `.await` would stop the whole server.
//!    `count` gives way by `yield_now`, and is overtaken by what came later.
//! 3. *The budget.* `tick` awaits a timer that is always due, as a socket may be that has always
//!    something to read; such an `.await` does not wait. So every run of a task has a budget of such
//!    operations, and when it is used up the next one gives way for it: 1,000 ticks take several runs.
//! 4. *A panic is the end of one task.* It is caught, and whoever awaits the handle gets it as an
//!    error. (The panic hook prints its usual lines, which you see.)
//! 5. *Aborting is dropping.* An aborted task is not polled again; its future is dropped, with all
//!    that is in it, when its turn comes.
//! 6. *Dropping a `JoinHandle` lets its task go on; dropping a `JoinSet` aborts all that is in it*,
//!    so that nothing of a client remains when its connection ends with an error.
//!
//! Run it with `cargo run --example 05_tasks`. The next rung is `06_many_threads`.

use std::cell::Cell;
use std::future::{Future, pending, poll_fn};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use ekio::net::{TcpListener, TcpStream};
use ekio::task::{AbortHandle, JoinHandle, JoinSet, yield_now};
use ekio::time::{interval, timeout};
use ekio::{block_on, spawn_local};

const CLIENTS: usize = 3;

/// What each client wants; then it waits until all but the nap is done, and sends `abort`.
const JOBS: [&str; 5] = ["count 10", "nap", "tick 1000", "crash", "square 12"];

/// A program that teaches should not hang if something is wrong: everybody gives up after this.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> io::Result<()> {
    let (seen, clients) = block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let clients = start_clients(listener.local_addr()?);
        let seen = Rc::new(Seen::default());
        timeout(PATIENCE, serve(&listener, &seen)).await??;
        io::Result::Ok((seen, clients))
    })?;
    for client in clients {
        client.join().expect("a client has panicked, see above")?;
    }
    println!(
        "{} jobs of {CLIENTS} clients on one thread: {} done, {} panicked, {} aborted, by {} runs of tasks",
        seen.done.get() + seen.panicked.get() + seen.aborted.get(),
        seen.done.get(),
        seen.panicked.get(),
        seen.aborted.get(),
        seen.runs.get(),
    );
    Ok(())
}

/// How the jobs ended. All tasks share it, without a lock.
#[derive(Default)]
struct Seen {
    done: Cell<usize>,
    panicked: Cell<usize>,
    aborted: Cell<usize>,
    runs: Cell<usize>,
}

fn add(count: &Cell<usize>, more: usize) {
    count.set(count.get() + more);
}

/// A task for each client.
async fn serve(listener: &TcpListener, seen: &Rc<Seen>) -> io::Result<()> {
    let mut clients = JoinSet::new();
    for number in 1..=CLIENTS {
        let (stream, _) = listener.accept().await?;
        clients.spawn_local(serve_client(number, stream, Rc::clone(seen)));
    }
    while let Some(joined) = clients.join_next().await {
        joined.expect("a task has panicked, see above")?;
    }
    Ok(())
}

/// Two tasks for each job: one that does it, and one that waits for its end and tells the client.
async fn serve_client(number: usize, stream: TcpStream, seen: Rc<Seen>) -> io::Result<()> {
    let stream = Rc::new(stream);
    let mut reports = JoinSet::new();
    let mut aborts: Vec<AbortHandle> = Vec::new();
    let mut lines = Lines::default();
    while let Some(line) = lines.next(&stream).await? {
        if line == "abort" {
            aborts.iter().for_each(AbortHandle::abort);
            continue;
        }
        let job = spawn_local(count_runs(Rc::clone(&seen), work(line.clone())));
        aborts.push(job.abort_handle());
        let name = format!("client {number}: {line}");
        reports.spawn_local(report(name, job, Rc::clone(&stream), Rc::clone(&seen)));
    }
    // The client has sent all that it wants to send.
    while let Some(joined) = reports.join_next().await {
        joined.expect("a task has panicked, see above")?;
    }
    Ok(())
}

/// What a job is.
async fn work(line: String) -> String {
    let (what, number) = line.split_once(' ').unwrap_or((&line, "0"));
    let number: u64 = number.parse().unwrap_or(0);
    match what {
        "square" => (number * number).to_string(),
        "count" => {
            for _ in 0..number {
                yield_now().await;
            }
            "counted".to_owned()
        }
        "tick" => {
            let mut always_due = interval(Duration::from_nanos(1));
            for _ in 0..number {
                always_due.tick().await;
            }
            "ticked".to_owned()
        }
        "crash" => panic!("a job has crashed (as it was told to)"),
        "nap" => pending().await,
        _ => "what?".to_owned(),
    }
}

/// Waits for the end of a job, whatever it is.
async fn report(
    name: String,
    job: JoinHandle<(String, usize)>,
    stream: Rc<TcpStream>,
    seen: Rc<Seen>,
) -> io::Result<()> {
    let answer = match job.await {
        Ok((answer, runs)) => {
            add(&seen.done, 1);
            format!("{answer}, in {runs} runs")
        }
        Err(error) if error.is_panic() => {
            add(&seen.panicked, 1);
            error.to_string()
        }
        Err(error) => {
            add(&seen.aborted, 1);
            error.to_string()
        }
    };
    println!("{name}: {answer}");
    stream.write_all(format!("{answer}\n").as_bytes()).await
}

/// Counts how often a future is polled: once for each run of its task.
async fn count_runs<F: Future>(seen: Rc<Seen>, future: F) -> (F::Output, usize) {
    let mut runs = 0;
    let mut future = pin!(future);
    let output = poll_fn(|cx| {
        runs += 1;
        add(&seen.runs, 1);
        future.as_mut().poll(cx)
    })
    .await;
    (output, runs)
}

/// Cuts what comes into lines.
#[derive(Default)]
struct Lines {
    read: Vec<u8>,
}

impl Lines {
    async fn next(&mut self, stream: &TcpStream) -> io::Result<Option<String>> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.read.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            let mut buffer = [0; 256];
            match stream.read(&mut buffer).await? {
                0 => return Ok(None),
                count => self.read.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// The clients are as simple as can be: a thread each, and calls that block.
fn start_clients(address: SocketAddr) -> Vec<thread::JoinHandle<io::Result<()>>> {
    let clients = (0..CLIENTS).map(|_| thread::spawn(move || be_client(address)));
    clients.collect()
}

fn be_client(address: SocketAddr) -> io::Result<()> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{}\n", JOBS.join("\n")).as_bytes())?;
    let mut answers = BufReader::new(stream.try_clone()?).lines();
    for number in 1..=JOBS.len() {
        if number == JOBS.len() {
            stream.write_all(b"abort\n")?;
        }
        answers.next().transpose()?;
    }
    Ok(())
}
