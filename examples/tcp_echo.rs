//! An echo server: `cargo run --example tcp_echo [ADDR]`, and then `nc` to the address that it
//! prints. It runs until it is ended.
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

use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use ekio::net::{TcpListener, TcpStream};
use ekio::time;

const HELP: &str = "\
Sends everybody what they send, until it is ended.

Usage: tcp_echo [ADDR]

ADDR is where to listen, as in 127.0.0.1:7000, [::1]:7000 or localhost:7000. With port 0, and
without ADDR, the system chooses a free port on 127.0.0.1; the first line printed tells which.";

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    let arguments: Vec<_> = arguments
        .iter()
        .map(|text| text.to_string_lossy())
        .collect();
    let arguments: Vec<_> = arguments.iter().map(|text| &**text).collect();
    let address = match arguments[..] {
        [] => "127.0.0.1:0",
        ["--help" | "-h"] => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        [address] if !address.starts_with('-') => address,
        _ => {
            eprintln!("tcp_echo: one address is all it takes (`tcp_echo --help` tells more)");
            return ExitCode::from(2);
        }
    };
    match ekio::block_on(serve(address)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tcp_echo: cannot listen on `{address}`: {error}");
            if !address.contains(':') {
                eprintln!("tcp_echo: an address has a port, as in {address}:7000");
            }
            ExitCode::FAILURE
        }
    }
}

/// Answers only if it cannot start.
async fn serve(address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    // If nobody reads it, that is no reason not to serve.
    let _ = writeln!(io::stdout(), "listening on {}", listener.local_addr()?);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(ekio::spawn_local(async move {
                // A client that has gone away, or whose connection broke, is its own concern.
                let _ = echo(stream).await;
            })),
            // Probably there are too many open files. That may pass, so do not give up, and do not
            // ask again at once either.
            Err(error) => {
                eprintln!("tcp_echo: cannot accept: {error}");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
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
