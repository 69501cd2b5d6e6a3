//! A web server by hyper: `cargo run --features hyper --example hyper_hello -- [--workers N] [ADDR]`, and
//! then `curl` to the address that it prints. It runs until it is ended.
//!
//! # What this teaches
//!
//! That hyper's HTTP needs little of a runtime, and how little there is between the two. The stream goes
//! into hyper as it is: ekio's type has hyper's traits. `Timer` is what hyper needs to hang up on those who
//! take half a minute for the head of a request. There is no executor, since HTTP/1 has no tasks of its own.
//!
//! Watch it on Linux by `strace -f target/debug/examples/hyper_hello`, and ask it by
//! `curl http://ADDR/1 http://ADDR/2`: one `recvfrom` and one `sendto` for a request, besides the wait
//! that brought it. hyper's timer has no call of its own; it is the time-out of the wait.

use std::convert::Infallible;
use std::env;
use std::io::{self, Write as _};
use std::time::Duration;

use ekio::Runtime;
use ekio::compat::hyper::Timer;
use ekio::net::{TcpListener, TcpStream};
use ekio::time;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

fn main() -> io::Result<()> {
    let mut address = "127.0.0.1:0".to_owned();
    let mut workers = 0;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--workers" {
            let number = arguments.next().and_then(|number| number.parse().ok());
            workers = number.ok_or_else(|| io::Error::other("--workers wants a number"))?;
        } else {
            address = argument;
        }
    }
    if workers == 0 {
        ekio::block_on(serve(&address, |stream| {
            ekio::spawn_local(serve_one(stream));
        }))
    } else {
        let runtime = Runtime::builder().workers(workers).build()?;
        runtime.block_on(serve(&address, |stream| {
            ekio::spawn(serve_one(stream));
        }))
    }
}

/// Gives each connection to `start`.
async fn serve(address: &str, start: impl Fn(TcpStream)) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    // If nobody reads it, that is no reason not to serve.
    let _ = writeln!(
        io::stdout(),
        "listening on http://{}",
        listener.local_addr()?
    );
    loop {
        match listener.accept().await {
            Ok((stream, _)) => start(stream),
            // Probably there are too many open files, which may pass.
            Err(error) => {
                eprintln!("hyper_hello: cannot accept: {error}");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve_one(stream: TcpStream) {
    let mut http = http1::Builder::new();
    http.timer(Timer)
        .header_read_timeout(Duration::from_secs(30));
    // A client that has gone away, or speaks something else, is its own concern.
    let _ = http.serve_connection(stream, service_fn(hello)).await;
}

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let text = format!("Hello from {}!\n", request.uri().path());
    Ok(Response::new(Full::from(text)))
}
