//! An echo server: `cargo run --example tcp_echo -- [--workers N] [ADDR]`, and then `nc` to the address
//! that it prints. It runs until it is ended.
//!
//! # What this teaches
//!
//! How little a server costs when an event queue does the waiting. Watch it on Linux by
//! `strace -f target/debug/examples/tcp_echo`:
//!
//! * While nothing happens there is one system call, and it has not returned.
//! * A message costs two calls besides the wait that brought it, a read and a write. There is no
//!   second read to find that there is no more (the first one was shorter than the buffer, and the
//!   reactor knows what that means), and none to ask for the next event (the queue is
//!   edge-triggered).
//! * A connection enters the queue by one `epoll_ctl` and leaves by one at most.
//!
//! And how little there is between one thread and many: `spawn` for `spawn_local`. With `--workers 4`
//! the first thread accepts, and four others serve; each has a queue of its own, and the first `read`
//! that has to wait puts its connection into the queue of the worker that it runs on. An echo is so
//! little work that one thread serves it best; see `06_many_threads` for work that is worth more.

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use ekio::Runtime;
use ekio::net::{TcpListener, TcpStream};
use ekio::time;

const HELP: &str = "\
Sends everybody what they send, until it is ended.

Usage: tcp_echo [--workers N] [ADDR]

ADDR is where to listen, as in 127.0.0.1:7000, [::1]:7000 or localhost:7000. With port 0, and
without ADDR, the system chooses a free port on 127.0.0.1; the first line printed tells which.

  --workers N   serve on N threads, and accept on one more; 0, as without it: all on one thread
  --help        print this";

fn main() -> ExitCode {
    let arguments = env::args_os().skip(1);
    let arguments: Vec<_> = arguments
        .map(|text| text.to_string_lossy().into_owned())
        .collect();
    let wanted = match Wanted::parse(arguments) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(what) => {
            eprintln!("tcp_echo: {what} (`tcp_echo --help` tells more)");
            return ExitCode::from(2);
        }
    };
    match wanted.serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("tcp_echo: {what}");
            ExitCode::FAILURE
        }
    }
}

struct Wanted {
    workers: usize,
    address: String,
}

impl Wanted {
    /// `None` if help is wanted.
    fn parse(arguments: Vec<String>) -> Result<Option<Wanted>, String> {
        let (mut workers, mut address) = (None, None);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (&*argument, None),
            };
            match name {
                "--help" | "-h" => return Ok(None),
                "--workers" => {
                    let value = value.or_else(|| arguments.next());
                    let value = value.ok_or("--workers wants a number, as in --workers 4")?;
                    let number = value.parse().map_err(|_| {
                        format!("--workers wants a number, as in --workers 4, and not `{value}`")
                    })?;
                    if workers.replace(number).is_some() {
                        return Err("--workers is given twice".to_owned());
                    }
                }
                _ if name.starts_with('-') => return Err(format!("there is no option `{name}`")),
                _ => {
                    if let Some(first) = address.replace(argument.clone()) {
                        return Err(format!(
                            "one address is all it takes, not `{first}` and `{argument}`"
                        ));
                    }
                }
            }
        }
        Ok(Some(Wanted {
            workers: workers.unwrap_or(0),
            address: address.unwrap_or_else(|| "127.0.0.1:0".to_owned()),
        }))
    }

    /// Answers only if it cannot start.
    fn serve(&self) -> Result<(), String> {
        let served = if self.workers == 0 {
            ekio::block_on(serve(&self.address, |stream| {
                ekio::spawn_local(serve_one(stream));
            }))
        } else {
            let runtime = Runtime::builder().workers(self.workers).build();
            let runtime = runtime
                .map_err(|error| format!("cannot start {} workers: {error}", self.workers))?;
            runtime.block_on(serve(&self.address, |stream| {
                ekio::spawn(serve_one(stream));
            }))
        };
        let address = &self.address;
        served.map_err(|error| {
            let hint = if address.contains(':') {
                String::new()
            } else {
                format!("\ntcp_echo: an address has a port, as in {address}:7000")
            };
            format!("cannot listen on `{address}`: {error}{hint}")
        })
    }
}

/// Gives each connection to `start`.
async fn serve(address: &str, start: impl Fn(TcpStream)) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    // If nobody reads it, that is no reason not to serve.
    let _ = writeln!(io::stdout(), "listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => start(stream),
            // Probably there are too many open files. That may pass, so do not give up, and do not
            // ask again at once either.
            Err(error) => {
                eprintln!("tcp_echo: cannot accept: {error}");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream) {
    // A client that has gone away, or whose connection broke, is its own concern.
    let _ = echo(stream).await;
}

async fn echo(stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
