//! A socket belongs to no runtime: it works wherever it is polled next.

#[path = "support/mod.rs"]
mod support;

use std::io::{Read as _, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::thread;

use ekio::net::{TcpListener, TcpStream};
use futures_lite::future::{try_zip, zip};
use support::futures::{Counter, poll_with};
use support::net::tcp_pair;
use support::repeat;
use support::watchdog::Watchdog;

/// On a thread of its own.
fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(work).join().unwrap()
}

#[test]
fn from_one_block_on_to_the_next_on_another_thread() {
    let _watchdog = Watchdog::start();
    let (listener, mut near, mut far) = elsewhere(|| {
        ekio::block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let connect = TcpStream::connect(listener.local_addr().unwrap());
            let (near, (far, _)) = try_zip(connect, listener.accept()).await.unwrap();
            // Registered here, all three of them.
            support::futures::cancel(listener.accept()).await;
            support::futures::cancel(near.read(&mut [0])).await;
            support::futures::cancel(far.read(&mut [0])).await;
            (listener, near, far)
        })
    });
    for round in 0..repeat(1_000) as u8 {
        (near, far) = elsewhere(move || {
            ekio::block_on(async {
                let mut byte = [0];
                let read = async { far.read_exact(&mut byte).await };
                let write = async { near.write_all(&[round]).await };
                try_zip(read, write).await.unwrap();
                assert_eq!(byte, [round]);
            });
            (near, far)
        });
    }
    elsewhere(move || {
        ekio::block_on(async {
            let connect = TcpStream::connect(listener.local_addr().unwrap());
            try_zip(connect, listener.accept()).await.unwrap();
        });
    });
}

#[test]
fn who_waits_when_a_block_on_ends_is_woken_and_waits_elsewhere() {
    let _watchdog = Watchdog::start();
    let (near, mut far) = tcp_pair();
    let near = TcpStream::from_std(near).unwrap();
    let (counter, waker) = Counter::new();
    let mut buffer = [0; 8];
    let mut read = pin!(near.read(&mut buffer));
    ekio::block_on(async {
        assert!(poll_with(read.as_mut(), &waker).is_pending());
    });
    assert_eq!(counter.count(), 1, "nobody turns that reactor any more");
    assert!(poll_with(read.as_mut(), &waker).is_pending());
    far.write_all(b"x").unwrap();
    counter.wait_for(2);
    assert!(poll_with(read.as_mut(), &waker).is_ready());
}

#[test]
fn two_threads_share_a_stream() {
    let _watchdog = Watchdog::start();
    let (near, far) = tcp_pair();
    let [near, far] = [near, far].map(|end| Arc::new(TcpStream::from_std(end).unwrap()));
    let reader = Arc::clone(&near);
    let len = if cfg!(miri) { 20_000 } else { 2_000_000 };
    let sent: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
    let expected = sent.clone();
    // Reads in one thread what the other one makes the peer echo.
    let reading = thread::spawn(move || {
        let _watchdog = Watchdog::start();
        let mut received = vec![0; expected.len()];
        ekio::block_on(reader.read_exact(&mut received)).unwrap();
        assert!(received == expected);
    });
    let echo = async {
        let (mut buffer, mut left) = (vec![0; 10_000], sent.len());
        while left > 0 {
            let count = far.read(&mut buffer).await.unwrap();
            far.write_all(&buffer[..count]).await.unwrap();
            left -= count;
        }
    };
    ekio::block_on(zip(async { near.write_all(&sent).await.unwrap() }, echo));
    reading.join().unwrap();
}

#[test]
fn a_socket_outlives_the_thread_that_registered_it() {
    let _watchdog = Watchdog::start();
    let (near, mut far) = tcp_pair();
    let near = TcpStream::from_std(near).unwrap();
    let near = elsewhere(move || {
        ekio::block_on(support::futures::cancel(near.read(&mut [0])));
        near
    });
    far.write_all(b"x").unwrap();
    let mut byte = [0];
    assert_eq!(
        futures_lite::future::block_on(near.read(&mut byte)).unwrap(),
        1
    );
    let near = elsewhere(move || {
        ekio::block_on(support::futures::cancel(near.read(&mut [0])));
        near
    });
    drop(near);
    // (Where a thread sleeps in poll(2) with the socket, it closes when that thread has let it go.)
    far.set_nonblocking(false).unwrap();
    assert_eq!(far.read(&mut byte).unwrap(), 0);
}
