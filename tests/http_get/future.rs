//! `HttpGetFuture` from inside: what a program cannot show.

use std::future::Future;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use crate::answer::Answer;
use crate::http_get_future::{GetError, HttpGetFuture};
use crate::server::{OneConnection, close_in_peace, read_head};
use crate::support::{HANG, net, watchdog::Watchdog};

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn get(address: SocketAddr) -> HttpGetFuture {
    HttpGetFuture::new(vec![address], b"GET / HTTP/1.1\r\n\r\n".to_vec())
}

fn hello() -> Answer {
    Answer {
        status: 200,
        reason: "OK".to_owned(),
        body: b"hello".to_vec(),
    }
}

/// A server that says nothing until it is told to, so that the future has to wait.
fn on_command() -> (SocketAddr, mpsc::Sender<()>) {
    let server = OneConnection::new();
    let address = server.address;
    let (command, commands) = mpsc::channel();
    server.then(move |mut stream| {
        read_head(&stream);
        if commands.recv_timeout(HANG).is_ok() {
            stream.write_all(ANSWER.as_bytes()).unwrap();
            close_in_peace(&stream);
        }
    });
    (address, command)
}

#[test]
fn runs_on_ekio() {
    let _watchdog = Watchdog::start();
    let (address, command) = on_command();
    command.send(()).unwrap();
    assert_eq!(ekio::block_on(get(address)).unwrap(), hello());
}

/// Where nobody drives a reactor, the shared one in the background does.
#[test]
fn runs_on_another_executor() {
    let _watchdog = Watchdog::start();
    let (address, command) = on_command();
    command.send(()).unwrap();
    assert_eq!(
        futures_lite::future::block_on(get(address)).unwrap(),
        hello()
    );
}

/// The request is more than the buffers hold and the server does not read yet, so writing has to
/// wait; the answer comes byte by byte.
#[test]
fn writes_and_reads_in_parts() {
    const SIZE: usize = 16 * 1024 * 1024;
    let _watchdog = Watchdog::start();
    let server = OneConnection::new();
    let address = server.address;
    let (command, commands) = mpsc::channel::<()>();
    let server = server.then(move |mut stream| {
        commands.recv_timeout(HANG).unwrap();
        let mut request = vec![0; SIZE];
        stream.read_exact(&mut request).unwrap();
        assert!(request.iter().all(|byte| *byte == b'x'));
        for byte in ANSWER.as_bytes() {
            stream.write_all(&[*byte]).unwrap();
        }
        close_in_peace(&stream);
    });
    let waits = Arc::new(Counter::default());
    let answer = ekio::block_on(async {
        let mut get = pin!(HttpGetFuture::new(vec![address], vec![b'x'; SIZE]));
        std::future::poll_fn(|cx| {
            let poll = get.as_mut().poll(cx);
            if poll.is_pending() && waits.0.fetch_add(1, Ordering::Relaxed) == 0 {
                command.send(()).unwrap();
            }
            poll
        })
        .await
    });
    assert_eq!(answer.unwrap(), hello());
    assert!(waits.0.load(Ordering::Relaxed) > 1, "nothing was in parts");
    server.join().unwrap();
}

#[test]
fn tries_one_address_after_the_other() {
    let _watchdog = Watchdog::start();
    let (_keeps_it, refusing) = net::refusing();
    let (address, command) = on_command();
    command.send(()).unwrap();
    let addresses = vec![refusing, address, refusing];
    let get = HttpGetFuture::new(addresses, b"GET / HTTP/1.1\r\n\r\n".to_vec());
    assert_eq!(ekio::block_on(get).unwrap(), hello());
}

#[test]
fn b_connect_refused_once() {
    let _watchdog = Watchdog::start();
    let (_keeps_it, refusing) = net::refusing();
    let addresses = vec![refusing, refusing];
    let refused = ekio::block_on(HttpGetFuture::new(addresses, Vec::new())).unwrap_err();
    let GetError::Connect(unreachable) = &refused else {
        panic!("{refused}");
    };
    assert_eq!(unreachable.len(), 2);
    for (address, error) in unreachable {
        assert_eq!(
            (*address, error.kind()),
            (refusing, ErrorKind::ConnectionRefused)
        );
    }
    let text = refused.to_string();
    assert!(
        text.starts_with(&format!("cannot connect to {refusing}: ")),
        "{text}"
    );
    assert!(text.contains(&format!(", nor to {refusing}: ")), "{text}");

    let nowhere = ekio::block_on(HttpGetFuture::new(Vec::new(), Vec::new()));
    assert_eq!(nowhere.unwrap_err().to_string(), "the host has no address");
}

/// Dropped in the middle, it closes its socket, and the other side sees that.
#[test]
fn dropping_it_hangs_up() {
    let _watchdog = Watchdog::start();
    let server = OneConnection::new();
    let address = server.address;
    let (told, telling) = mpsc::channel();
    let server = server.then(move |mut stream| {
        read_head(&stream);
        told.send(()).unwrap();
        stream.read(&mut [0]).map_or(0, |count| count)
    });
    ekio::block_on(async {
        let mut get = Box::pin(get(address));
        // One poll at a time, with a breath in between in which the request goes out.
        loop {
            let poll = std::future::poll_fn(|cx| Poll::Ready(get.as_mut().poll(cx))).await;
            assert!(poll.is_pending());
            if telling.try_recv().is_ok() {
                break;
            }
            ekio::task::yield_now().await;
        }
        drop(get);
        assert_eq!(server.join().unwrap(), 0);
    });
}

/// Polled by one task and then by another, it wakes the latter.
#[test]
fn the_latest_waker_is_woken() {
    let _watchdog = Watchdog::start();
    let (address, command) = on_command();
    let mut get = pin!(get(address));
    let (first, second) = (Arc::new(Counter::default()), Arc::new(Counter::default()));
    let poll = |get: std::pin::Pin<&mut HttpGetFuture>, counter: &Arc<Counter>| {
        let waker = Waker::from(Arc::clone(counter));
        get.poll(&mut Context::from_waker(&waker))
    };
    // On the reactor in the background. Until it waits for the answer and for nothing else, it may
    // be woken for the connection.
    assert!(poll(get.as_mut(), &first).is_pending());
    while first.0.swap(0, Ordering::SeqCst) > 0 {
        assert!(poll(get.as_mut(), &first).is_pending());
    }
    assert!(poll(get.as_mut(), &second).is_pending());
    command.send(()).unwrap();
    let answer = loop {
        while second.0.swap(0, Ordering::SeqCst) == 0 {
            thread::park_timeout(std::time::Duration::from_millis(1));
        }
        if let Poll::Ready(answer) = poll(get.as_mut(), &second) {
            break answer;
        }
    };
    assert_eq!(answer.unwrap(), hello());
}

/// How often something happened; as a waker, how often it was woken.
#[derive(Default)]
struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
