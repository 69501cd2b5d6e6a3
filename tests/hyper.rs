//! hyper on ekio's streams, tasks and timer: HTTP/1 on one thread, on workers and elsewhere, what it costs,
//! and what becomes of those who wait for a peer. (HTTP/2 is tested in the package `anywhere`, since it
//! brings many dependencies.)

#[path = "support/mod.rs"]
mod support;

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ekio::compat::hyper::{LocalExecutor, RuntimeExecutor, Timer};
use ekio::net::{TcpListener, TcpStream};
use ekio::runtime::Runtime;
use ekio::time;
use futures_lite::future::zip;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::rt::{Executor, Read, ReadBuf, ReadBufCursor, Sleep, Timer as _, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use support::futures::{everywhere, poll_once};
use support::net::tcp_pair;
use support::watchdog::Watchdog;
use support::{HANG, skipped, strace};

type Sender = SendRequest<Full<Bytes>>;

/// `/echo` sends the body back as it comes; everything else is told its path.
async fn answer(
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, Infallible> {
    Ok(Response::new(match request.uri().path() {
        "/echo" => request.into_body().boxed(),
        path => {
            let text = Full::from(format!("You are at {path}."));
            text.map_err(|never| match never {}).boxed()
        }
    }))
}

async fn serve(stream: impl Read + Write + Unpin) -> hyper::Result<()> {
    let mut http = http1::Builder::new();
    let http = http.timer(Timer).half_close(true);
    http.serve_connection(stream, service_fn(answer)).await
}

async fn ask(sender: &mut Sender, path: &str, body: Bytes) -> hyper::Result<Bytes> {
    let request = Request::post(path).header("host", "here");
    let request = request.body(Full::from(body)).unwrap();
    let response = sender.send_request(request).await?;
    assert_eq!(response.status(), StatusCode::OK);
    Ok(response.into_body().collect().await?.to_bytes())
}

/// A session over one connection, without tasks: the three futures are polled by one.
async fn session<F: Future>(
    server: impl Read + Write + Unpin,
    client: impl Read + Write + Unpin,
    ask: impl FnOnce(Sender) -> F,
) -> F::Output {
    let (sender, connection) = handshake(client).await.unwrap();
    let (served, (driven, answer)) = zip(serve(server), zip(connection, ask(sender))).await;
    served.unwrap();
    driven.unwrap();
    answer
}

fn ekio_pair() -> (TcpStream, TcpStream) {
    let (near, far) = tcp_pair();
    (
        TcpStream::from_std(near).unwrap(),
        TcpStream::from_std(far).unwrap(),
    )
}

async fn many_questions(mut sender: Sender) {
    for number in 0..20 {
        let answer = ask(&mut sender, &format!("/{number}"), Bytes::new()).await;
        assert_eq!(answer.unwrap(), format!("You are at /{number}."));
    }
}

#[test]
fn many_requests_on_one_connection() {
    everywhere(|| async {
        let (server, client) = ekio_pair();
        session(server, client, many_questions).await;
        // And by references, after which the streams are still there.
        let (server, client) = ekio_pair();
        session(&server, &client, many_questions).await;
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    });
}

#[cfg(unix)]
#[test]
fn over_unix_sockets() {
    everywhere(|| async {
        let (server, client) = ekio::net::unix::UnixStream::pair().unwrap();
        session(server, client, many_questions).await;
    });
}

#[test]
fn a_large_body_both_ways_at_once() {
    everywhere(|| async {
        let (server, client) = ekio_pair();
        let body: Bytes = (0..1 << 20)
            .map(|n: u32| (n.wrapping_mul(n) >> 7) as u8)
            .collect();
        session(server, client, |mut sender| async move {
            for _ in 0..2 {
                let echo = ask(&mut sender, "/echo", body.clone()).await.unwrap();
                assert!(echo == body, "the echo differs");
            }
        })
        .await;
    });
}

/// A server and clients, each of them a task of this executor.
async fn as_tasks<E>(executor: E, clients: usize)
where
    E: Executor<Pin<Box<dyn Future<Output = ()> + Send>>> + Clone + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (done, is_done) = async_channel::unbounded();
    let spawner = executor.clone();
    executor.execute(Box::pin(async move {
        for _ in 0..clients {
            let (stream, _) = listener.accept().await.unwrap();
            spawner.execute(Box::pin(async move { serve(stream).await.unwrap() }));
        }
    }));
    for _ in 0..clients {
        let (spawner, done) = (executor.clone(), done.clone());
        executor.execute(Box::pin(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let (sender, connection) = handshake(stream).await.unwrap();
            spawner.execute(Box::pin(async move { connection.await.unwrap() }));
            many_questions(sender).await;
            done.send(()).await.unwrap();
        }));
    }
    drop(done);
    let mut answered = 0;
    while is_done.recv().await.is_ok() {
        answered += 1;
    }
    assert_eq!(answered, clients);
}

#[test]
fn tasks_of_one_thread() {
    let _watchdog = Watchdog::start();
    ekio::block_on(as_tasks(LocalExecutor, 4));
}

#[test]
fn tasks_of_many_workers() {
    let _watchdog = Watchdog::start();
    let runtime = Runtime::builder().workers(2).build().unwrap();
    runtime.block_on(as_tasks(RuntimeExecutor, 8));
    // A handle is an executor wherever the caller is.
    ekio::block_on(as_tasks(*runtime.handle(), 8));
}

#[test]
#[should_panic(expected = "Runtime")]
fn no_workers_to_run_it() {
    ekio::block_on(async { RuntimeExecutor.execute(async {}) });
}

/// What hyper has asked of a stream.
#[derive(Default)]
struct Log {
    writes: usize,
    /// How many buffers with something in them, and whether all of that was written.
    vectored: Vec<(usize, bool)>,
}

/// A stream that writes a log.
struct Logged(TcpStream, Arc<Mutex<Log>>);

impl Read for Logged {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl Write for Logged {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.1.lock().unwrap().writes += 1;
        Write::poll_write(Pin::new(&mut self.0), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.0).poll_write_vectored(cx, buffers);
        let full: Vec<_> = buffers.iter().map(|buffer| buffer.len()).collect();
        let is_whole =
            matches!(answer, Poll::Ready(Ok(count)) if count == full.iter().sum::<usize>());
        let full = full.into_iter().filter(|&len| len > 0).count();
        self.1.lock().unwrap().vectored.push((full, is_whole));
        answer
    }
}

#[test]
fn head_and_body_are_written_at_once() {
    everywhere(|| async {
        let (server, client) = ekio_pair();
        let log = Arc::new(Mutex::new(Log::default()));
        session(Logged(server, Arc::clone(&log)), client, many_questions).await;
        let log = log.lock().unwrap();
        assert_eq!(log.writes, 0);
        assert_eq!(log.vectored, [(2, true); 20]);
    });
}

fn nobody() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// What a read adds to a buffer of 32 bytes which begins with "old" and is not initialised behind that.
fn read_into_uninitialised(stream: &mut TcpStream) -> Poll<Vec<u8>> {
    let mut memory = [MaybeUninit::uninit(); 32];
    let mut buffer = ReadBuf::uninit(&mut memory);
    buffer.unfilled().put_slice(b"old");
    match Pin::new(stream).poll_read(&mut nobody(), buffer.unfilled()) {
        Poll::Pending => {
            assert_eq!(buffer.filled(), b"old");
            Poll::Pending
        }
        Poll::Ready(answer) => {
            answer.unwrap();
            assert_eq!(&buffer.filled()[..3], b"old");
            Poll::Ready(buffer.filled()[3..].to_vec())
        }
    }
}

#[test]
fn reads_go_into_memory_that_is_not_initialised() {
    everywhere(|| async {
        let (mut far, near) = tcp_pair();
        let mut near = TcpStream::from_std(near).unwrap();
        assert_eq!(read_into_uninitialised(&mut near), Poll::Pending);
        for text in [
            "a few bytes",
            "and some",
            "thirty-two bytes are too many here",
        ] {
            far.write_all(text.as_bytes()).unwrap();
            let mut read = Vec::new();
            while read.len() < text.len() {
                near.peek(&mut [0]).await.unwrap();
                match read_into_uninitialised(&mut near) {
                    Poll::Ready(part) => {
                        assert!(!part.is_empty());
                        read.extend(part);
                    }
                    // As it may be, after a wake that was for the peek.
                    Poll::Pending => {}
                }
            }
            assert_eq!(read, text.as_bytes());
            assert_eq!(read_into_uninitialised(&mut near), Poll::Pending);
        }
        far.shutdown(Shutdown::Write).unwrap();
        assert_eq!(near.peek(&mut [0]).await.unwrap(), 0);
        assert_eq!(read_into_uninitialised(&mut near), Poll::Ready(Vec::new()));
    });
}

#[test]
fn shutting_down_ends_one_direction() {
    everywhere(|| async {
        let (mut near, far) = ekio_pair();
        for _ in 0..2 {
            let shut_down = Pin::new(&mut near).poll_shutdown(&mut nobody());
            assert!(matches!(shut_down, Poll::Ready(Ok(()))));
        }
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
        far.write_all(b"still there?").await.unwrap();
        let mut buffer = [0; 12];
        near.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"still there?");
    });
}

#[test]
fn who_is_slow_with_the_head_of_a_request_is_hung_up_on() {
    everywhere(|| async {
        let (server, client) = ekio_pair();
        client.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
        let mut http = http1::Builder::new();
        let limit = Duration::from_millis(20);
        let http = http.timer(Timer).header_read_timeout(limit);
        let start = std::time::Instant::now();
        let served = http.serve_connection(server, service_fn(answer)).await;
        assert!(served.unwrap_err().is_timeout());
        assert!(start.elapsed() >= limit);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn a_timer_is_set_anew_in_its_place() {
    fn address(sleep: &Pin<Box<dyn Sleep>>) -> *const () {
        (&raw const **sleep).cast()
    }
    let runtime = Runtime::builder().virtual_time(7).build();
    runtime.unwrap().block_on(async {
        let _watchdog = Watchdog::start();
        let hour = Duration::from_secs(3_600);
        let start = Timer.now();
        let mut sleep = Timer.sleep(1_000_000 * hour);
        assert!(poll_once(Pin::new(&mut sleep)).await.is_pending());
        let place = address(&sleep);
        for hours in 1..=3 {
            Timer.reset(&mut sleep, start + hours * hour);
            assert_eq!(address(&sleep), place);
            sleep.as_mut().await;
            assert_eq!(Timer.now(), start + hours * hour);
        }
        Timer.sleep_until(start + 4 * hour).await;
        assert_eq!(time::now(), start + 4 * hour);

        // One that is not ours gives way to one that is.
        struct Never;
        impl Future for Never {
            type Output = ();
            fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
                Poll::Pending
            }
        }
        impl Sleep for Never {}
        let mut sleep: Pin<Box<dyn Sleep>> = Box::pin(Never);
        Timer.reset(&mut sleep, start + 5 * hour);
        sleep.await;
        assert_eq!(Timer.now(), start + 5 * hour);
    });
}

#[test]
fn a_server_that_goes_away_within_a_body() {
    everywhere(|| async {
        for is_reset in [false, true] {
            let (server, client) = ekio_pair();
            let (mut sender, connection) = handshake(client).await.unwrap();
            let half_an_answer = async {
                let mut request = [0; 1_024];
                assert!(server.read(&mut request).await.unwrap() > 0);
                let part = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart of it";
                server.write_all(part).await.unwrap();
                if is_reset {
                    server.set_linger(Some(Duration::ZERO)).unwrap();
                }
                drop(server);
            };
            let asked = ask(&mut sender, "/", Bytes::new());
            let (answer, _) = zip(asked, zip(connection, half_an_answer)).await;
            answer.unwrap_err();
        }
    });
}

#[test]
fn a_client_that_goes_away_within_a_body() {
    everywhere(|| async {
        for is_reset in [false, true] {
            let (server, client) = ekio_pair();
            let half_a_question = async {
                let part = b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\npart";
                client.write_all(part).await.unwrap();
                // The server is in the middle of it now.
                assert!(client.read(&mut [0; 1_024]).await.unwrap() > 0);
                if is_reset {
                    client.set_linger(Some(Duration::ZERO)).unwrap();
                }
                drop(client);
            };
            let (served, ()) = zip(serve(server), half_a_question).await;
            served.unwrap_err();
        }
    });
}

/// What the documentation promises, seen from below.
#[test]
fn a_request_costs_one_read_and_one_write() {
    const REQUESTS: usize = 200;

    let traced = match strace::start("hyper_hello") {
        Ok(traced) => traced,
        Err(why) => return skipped(why),
    };
    let address = traced
        .process
        .first_line
        .strip_prefix("listening on http://");
    let mut client = std::net::TcpStream::connect(address.unwrap()).unwrap();
    client.set_read_timeout(Some(HANG)).unwrap();
    for _ in 0..REQUESTS {
        client
            .write_all(b"GET /you HTTP/1.1\r\nHost: here\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\nHello from /you!\n") {
            let mut buffer = [0; 1_024];
            let count = client.read(&mut buffer).unwrap();
            assert!(count > 0);
            answer.extend_from_slice(&buffer[..count]);
        }
    }
    drop((client, traced.process));
    let calls = traced.log.calls();
    // Under a sanitizer the allocator asks for memory now and then.
    let is_of_memory = |call: &str| {
        ["mmap(", "munmap(", "madvise(", "brk("]
            .iter()
            .any(|name| call.starts_with(name))
    };
    let others = calls
        .iter()
        .filter(|call| !strace::is_wait(call) && !is_of_memory(call));
    let (sent, others): (Vec<_>, Vec<_>) = others.partition(|call| call.contains("Hello from"));
    let (received, others): (Vec<_>, Vec<_>) = others
        .into_iter()
        .partition(|call| call.contains("GET /you"));
    println!(
        "{REQUESTS} requests, {} reads, {} writes, and besides {others:?}",
        received.len(),
        sent.len()
    );
    assert_eq!(received.len(), REQUESTS);
    assert_eq!(sent.len(), REQUESTS);
    // To accept, to register, to find that there is nothing yet, and to part.
    assert!(others.len() <= 12);
}
