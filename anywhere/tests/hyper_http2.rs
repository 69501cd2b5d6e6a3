//! HTTP/2 by hyper on ekio: it has tasks of its own, which need an executor.
//!
//! Here and not in ekio's own tests, because of what it depends on. HTTP/1 is there.

mod common;

use std::cell::Cell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

use common::watchdog::Watchdog;
use ekio::Runtime;
use ekio::compat::hyper::{LocalExecutor, RuntimeExecutor, Timer};
use ekio::net::{TcpListener, TcpStream};
use futures::future::join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper::{Request, Response};

/// Long enough for many frames, and for windows that run full.
const LEN: u32 = 300_000;

async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let body = request.into_body().collect().await?;
    Ok(Response::new(Full::from(body.to_bytes())))
}

/// Many requests over one connection at the same time.
async fn many_echoes(sender: SendRequest<Full<Bytes>>) {
    let echoes = (0..10).map(|number: u32| {
        let mut sender = sender.clone();
        async move {
            let body: Bytes = (0..LEN).map(|n| ((n * 7 + number) >> 3) as u8).collect();
            let request = Request::post("http://here/").body(Full::from(body.clone()));
            let response = sender.send_request(request.unwrap()).await.unwrap();
            let echo = response.into_body().collect().await.unwrap().to_bytes();
            assert!(echo == body, "the echo differs");
        }
    });
    join_all(echoes).await;
}

#[test]
fn on_many_workers() {
    let _watchdog = Watchdog::start();
    let runtime = Runtime::builder().workers(2).build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = ekio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut http = hyper::server::conn::http2::Builder::new(RuntimeExecutor);
            let http = http
                .timer(Timer)
                .keep_alive_interval(Duration::from_secs(10));
            http.serve_connection(stream, service_fn(echo)).await
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let mut http = hyper::client::conn::http2::Builder::new(RuntimeExecutor);
        let http = http
            .timer(Timer)
            .keep_alive_interval(Duration::from_secs(10));
        let (sender, connection) = http.handshake(stream).await.unwrap();
        let connection = ekio::spawn(connection);
        many_echoes(sender).await;
        connection.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
    });
}

/// A service that is not `Send` is enough.
#[test]
fn on_one_thread() {
    let _watchdog = Watchdog::start();
    ekio::block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let server = ekio::spawn_local(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service_fn(|_request: Request<Incoming>| {
                let count = Rc::clone(&counted);
                async move {
                    count.set(count.get() + 1);
                    let text = format!("number {}", count.get());
                    Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
                }
            });
            let http = hyper::server::conn::http2::Builder::new(LocalExecutor);
            http.serve_connection(stream, service).await
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(LocalExecutor, stream);
        let (mut sender, connection) = handshake.await.unwrap();
        let connection = ekio::spawn_local(connection);
        for number in 1..=3 {
            let request = Request::get("http://here/").body(Full::<Bytes>::default());
            let response = sender.send_request(request.unwrap()).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("number {number}"));
        }
        drop(sender);
        connection.await.unwrap().unwrap();
        server.await.unwrap().unwrap();
        assert_eq!(count.get(), 3);
    });
}
