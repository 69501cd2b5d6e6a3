//! A listener survives that there are no more descriptors. (A program of its own, because it takes
//! them from everybody.)

#![cfg(unix)]

#[path = "support/mod.rs"]
mod support;

use std::future::poll_fn;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ekio::net::unix::{UnixListener, UnixStream};
use ekio::net::{TcpListener, TcpStream};
use futures_lite::future::{or, zip};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::futures::{cancel, everywhere};
use support::watchdog::Watchdog;

/// While it lives, nobody gets a descriptor.
struct Hoard {
    before: Rlimit,
    _descriptors: Vec<OwnedFd>,
}

impl Hoard {
    fn of(one: BorrowedFd<'_>) -> Hoard {
        let before = getrlimit(Resource::Nofile);
        let mut tight = before;
        tight.current = Some(64);
        setrlimit(Resource::Nofile, tight).unwrap();
        let mut descriptors = Vec::new();
        while let Ok(another) = one.try_clone_to_owned() {
            descriptors.push(another);
        }
        Hoard {
            before,
            _descriptors: descriptors,
        }
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.before).unwrap();
    }
}

fn is_emfile(error: &std::io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error())
}

/// All stories in one test, since they are about the process.
#[test]
fn b_emfile() {
    before_there_is_a_reactor();
    everywhere(accept_tells_and_goes_on_when_there_is_one_again);
    everywhere(by_hand);
    everywhere(several_tasks_spin_no_more_than_one);
    everywhere(a_loop_serves_again_without_a_new_event);
    everywhere(of_another_family);
}

/// A reactor wants descriptors itself.
fn before_there_is_a_reactor() {
    let _watchdog = Watchdog::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let start = Instant::now();
    futures_lite::future::block_on(async {
        let hoard = Hoard::of(listener.as_fd());
        for _ in 0..3 {
            assert!(is_emfile(&listener.accept().await.unwrap_err()));
        }
        assert!(is_emfile(
            &poll_fn(|cx| listener.poll_accept(cx)).await.unwrap_err()
        ));
        drop(hoard);
        let (_, from) = listener.accept().await.unwrap();
        assert_eq!(from, client.local_addr().unwrap());
    });
    assert!(start.elapsed() >= Duration::from_millis(10 + 20 + 40 + 80));
}

async fn accept_tells_and_goes_on_when_there_is_one_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    cancel(listener.accept()).await;
    let address = listener.local_addr().unwrap();
    let clients = [
        TcpStream::connect(address).await.unwrap(),
        TcpStream::connect(address).await.unwrap(),
    ];

    let hoard = Hoard::of(listener.as_fd());
    let start = Instant::now();
    // The first one at once; then each of them waits before it tries.
    for rest in [0, 10, 10 + 20, 10 + 20 + 40] {
        assert!(is_emfile(&listener.accept().await.unwrap_err()));
        assert!(start.elapsed() >= Duration::from_millis(rest));
    }
    // It waits, and may be dropped meanwhile.
    cancel(listener.accept()).await;
    drop(hoard);

    for client in &clients {
        let (_, from) = listener.accept().await.unwrap();
        assert_eq!(from, client.local_addr().unwrap());
    }
    // All is well again.
    cancel(listener.accept()).await;
    let client = TcpStream::connect(address).await.unwrap();
    let (_, from) = listener.accept().await.unwrap();
    assert_eq!(from, client.local_addr().unwrap());
}

async fn by_hand() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let hoard = Hoard::of(listener.as_fd());
    let start = Instant::now();
    let mut polls = 0;
    for rest in [0, 10, 10 + 20, 10 + 20 + 40] {
        let accept = poll_fn(|cx| {
            polls += 1;
            listener.poll_accept(cx)
        });
        assert!(is_emfile(&accept.await.unwrap_err()));
        assert!(start.elapsed() >= Duration::from_millis(rest));
    }
    assert!(polls < 50, "{polls} polls");
    drop(hoard);
    let (_, from) = poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    assert_eq!(from, client.local_addr().unwrap());
}

async fn several_tasks_spin_no_more_than_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = TcpStream::connect(address).await.unwrap();
    let hoard = Hoard::of(listener.as_fd());
    let start = Instant::now();
    let fail = || async {
        for _ in 0..4 {
            assert!(is_emfile(&listener.accept().await.unwrap_err()));
        }
    };
    zip(zip(fail(), fail()), fail()).await;
    assert!(start.elapsed() >= Duration::from_millis(10 + 20 + 40));
    drop(hoard);
    let (_, from) = or(listener.accept(), listener.accept()).await.unwrap();
    assert_eq!(from, client.local_addr().unwrap());
}

/// The loop that everybody writes. What waits in the queue gives no second event.
async fn a_loop_serves_again_without_a_new_event() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    cancel(listener.accept()).await;
    let client = TcpStream::connect(address).await.unwrap();
    let mut hoard = Some(Hoard::of(listener.as_fd()));
    let mut errors = 0;
    let stream = loop {
        match listener.accept().await {
            Ok((stream, _)) => break stream,
            Err(error) => {
                assert!(is_emfile(&error));
                errors += 1;
                if errors == 3 {
                    hoard = None;
                }
            }
        }
    };
    assert!(hoard.is_none());
    assert_eq!(errors, 3);
    stream.write_all(b"served").await.unwrap();
    let mut buffer = [0; 6];
    client.read_exact(&mut buffer).await.unwrap();
}

async fn of_another_family() {
    let name = format!("ekio-emfile-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    let client = UnixStream::connect(&path).await.unwrap();
    let hoard = Hoard::of(listener.as_fd());
    let start = Instant::now();
    for rest in [0, 10, 10 + 20] {
        assert!(is_emfile(&listener.accept().await.unwrap_err()));
        assert!(start.elapsed() >= Duration::from_millis(rest));
    }
    drop(hoard);
    std::fs::remove_file(path).unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"x").await.unwrap();
    client.read_exact(&mut [0]).await.unwrap();
}
