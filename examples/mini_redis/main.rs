//! A small Redis: `cargo run --release --example mini_redis [ADDR] [--workers N]`, and then
//! `redis-cli -p PORT` with the port that it prints. Ctrl-C ends it.
//!
//! # What this teaches
//!
//! What a server is made of that is more than an echo, and what each part leans on:
//!
//! | file | does | leans on |
//! |---|---|---|
//! | `main` | accepts clients, and listens to Ctrl-C | a listener, a signal, `or` between them |
//! | `connection` | reads requests, writes replies | a stream, and the order in which things are done |
//! | `resp` | makes requests of bytes, and bytes of replies | nothing: no input, no output, no clock |
//! | `store` | keys, values, and when they expire | nothing: who asks tells it the time |
//! | `commands` | what each command does | `resp` and `store` |
//!
//! Most of it is not asynchronous at all, and that is the lesson: only `main` and `connection` know
//! of ekio. What remains can be tested without a socket, and is.
//!
//! *Pipelining* costs nothing extra. A client may send a hundred requests without waiting; one read
//! gets them all, the replies gather in one buffer, and one write sends them. See how
//! `connection::serve` writes only when there is no whole request left.
//!
//! *One thread or many?* Without `--workers` everything runs on the thread of `ekio::block_on`. With
//! it, connections are tasks of a `Runtime`, and the store is the only thing they share: a lock that
//! is held for one command and never across an `.await`, so `std`'s is the right one. Measure both
//! with `redis-benchmark -p PORT -t get,set -P 16`, where the client is not the slower one.
//!
//! Why not the crate `redis-protocol`? Its decoder calls itself for each array in an array, as deep as
//! the client likes, so a client can make the stack overflow; and it begins anew with every piece of
//! a request that comes. A server's requests are plainer than that (lists of strings), and `resp`
//! reads each byte once.

mod commands;
mod connection;
mod resp;
mod store;

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ekio::net::TcpListener;
use ekio::{signal, time};
use futures_lite::future::or;

use connection::Shared;
use store::Store;

const HELP: &str = "\
Keeps keys and values for whoever speaks RESP2: PING, ECHO, GET, SET [EX s | PX ms], DEL, INCR,
EXPIRE, TTL. Ctrl-C ends it.

Usage: mini_redis [ADDR] [--workers N]

ADDR is where to listen, as in 127.0.0.1:6379 or localhost:6379. With port 0, and without ADDR, the
system chooses a free port on 127.0.0.1; the first line printed tells which. --workers N serves on
that many threads instead of one.";

/// How often keys are looked for that have expired and that nobody asks for any more.
const SWEEP_PERIOD: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let Plan { address, workers } = match Plan::parse(env::args_os().skip(1)) {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("mini_redis: {why} (`mini_redis --help` tells more)");
            return ExitCode::from(2);
        }
    };
    let ran = match workers {
        None => ekio::block_on(run(&address, |client| drop(ekio::spawn_local(client)))),
        Some(workers) => {
            let runtime = ekio::Runtime::builder().workers(workers).build();
            runtime.and_then(|runtime| {
                runtime.block_on(run(&address, |client| drop(ekio::spawn(client))))
            })
        }
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mini_redis: cannot serve on `{address}`: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Plan {
    address: String,
    workers: Option<usize>,
}

impl Plan {
    /// `None` asks for help.
    fn parse(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Option<Plan>, String> {
        let mut arguments = arguments.map(|text| text.to_string_lossy().into_owned());
        let (mut address, mut workers) = (None, None);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--workers" => {
                    let number = arguments.next().and_then(|text| text.parse().ok());
                    let number = number.filter(|number| *number > 0);
                    workers = Some(number.ok_or("--workers needs a number, 1 or more")?);
                }
                _ if argument.starts_with('-') || address.is_some() => {
                    return Err(format!("`{argument}` makes no sense here"));
                }
                _ => address = Some(argument),
            }
        }
        let address = address.unwrap_or_else(|| "127.0.0.1:0".to_owned());
        Ok(Some(Plan { address, workers }))
    }
}

/// A client's task. It may go to another thread, if it is spawned to a runtime of many.
type Client = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Serves until Ctrl-C.
async fn run(address: &str, spawn: impl Fn(Client)) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    // From here on, so that none is missed.
    let ctrl_c = signal::ctrl_c();
    // If nobody reads it, that is no reason not to serve.
    let _ = writeln!(io::stdout(), "listening on {}", listener.local_addr()?);
    let shared = Arc::new(Shared {
        store: Mutex::new(Store::default()),
        commands: AtomicU64::new(0),
    });
    spawn(Box::pin(sweep(Arc::clone(&shared))));
    let mut clients = 0_u64;
    let accept = async {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    clients += 1;
                    let shared = Arc::clone(&shared);
                    spawn(Box::pin(async move {
                        // A client that has gone away, or whose connection broke, is its own
                        // concern.
                        let _ = connection::serve(&stream, &shared).await;
                    }));
                }
                // Probably there are too many open files. `accept` takes a rest by itself.
                Err(error) => eprintln!("mini_redis: cannot accept: {error}"),
            }
        }
    };
    or(ctrl_c, accept).await?;
    let commands = shared.commands.load(Ordering::Relaxed);
    println!("commands: {commands}, clients: {clients}");
    Ok(())
}

/// Forgets what has expired. (A key that is asked for is looked at then; this is for the others.)
async fn sweep(shared: Arc<Shared>) {
    let mut ticks = time::interval(SWEEP_PERIOD);
    loop {
        ticks.tick().await;
        shared.store().sweep(Instant::now());
    }
}
