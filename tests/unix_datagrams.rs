//! Datagrams between processes of one machine: none is lost, and whoever sends waits for room.

#![cfg(unix)]

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::future::poll_fn;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use ekio::net::unix::UnixDatagram;
use futures_lite::future::{or, zip};
use support::futures::{Counter, cancel, everywhere, poll_with, until_one_waits};
use support::watchdog::Watchdog;
use support::{repeat, skipped};

/// A path that nobody else has. What is there in the end is removed.
struct Name(PathBuf);

impl Name {
    fn new() -> Name {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ekio-datagrams-{}-{count}", std::process::id());
        Name(std::env::temp_dir().join(name))
    }
}

impl AsRef<Path> for Name {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A path that fills the room for it comes with a length that is greater than that room, and is
/// answered all the same.
#[test]
fn the_longest_name_is_answered() {
    use rustix::net::SocketAddrUnix;
    everywhere(|| async {
        let (name, mut own) = (Name::new(), Name::new());
        let rest = 108 - own.0.as_os_str().len();
        own.0.as_mut_os_string().push("x".repeat(rest));
        let Ok(address) = SocketAddrUnix::new(own.as_ref()) else {
            skipped("a path of 108 bytes does not find room");
            return;
        };
        let server = UnixDatagram::bind(&name).unwrap();
        let client = std::os::unix::net::UnixDatagram::unbound().unwrap();
        rustix::net::bind(&client, &address).unwrap();
        client.send_to(b"ping", &name).unwrap();
        let mut buffer = [0; 16];
        let (count, from) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!((count, from.as_pathname()), (4, Some(own.as_ref())));
        assert_eq!(server.send_to_addr(b"pong", &from).await.unwrap(), 4);
        assert_eq!(client.recv(&mut buffer).unwrap(), 4);
    });
}

#[test]
fn with_and_without_names() {
    everywhere(|| async {
        let (name, own) = (Name::new(), Name::new());
        let server = UnixDatagram::bind(&name).unwrap();
        let client = UnixDatagram::bind(&own).unwrap();
        let nameless = UnixDatagram::unbound().unwrap();
        let address = server.local_addr().unwrap();
        assert_eq!(address.as_pathname(), Some(name.as_ref()));
        let mut buffer = [0; 16];
        for round in 0..50_u8 {
            cancel(server.recv_from(&mut buffer)).await;
            client.send_to(&[round], &name).await.unwrap();
            let (count, from) = server.recv_from(&mut buffer).await.unwrap();
            assert_eq!((count, buffer[0]), (1, round));
            assert_eq!(from.as_pathname(), Some(own.as_ref()));
            server.send_to_addr(b"answer", &from).await.unwrap();
            assert_eq!(client.recv(&mut buffer).await.unwrap(), 6);
            nameless.send_to_addr(b"me", &address).await.unwrap();
            let received = poll_fn(|cx| server.poll_recv_from(cx, &mut buffer)).await;
            let (count, from) = received.unwrap();
            assert!(count == 2 && from.is_unnamed());
        }
        nameless.connect(&name).unwrap();
        let peer = nameless.peer_addr().unwrap();
        assert_eq!(peer.as_pathname(), Some(name.as_ref()));
        client.connect_addr(&address).unwrap();
        client.send(b"connected").await.unwrap();
        assert_eq!(server.recv(&mut buffer).await.unwrap(), 9);

        let error = UnixDatagram::bind(&name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let nobody = Name::new();
        let error = server.send_to(b"x", &nobody).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(format!("{server:?}").contains("UnixDatagram"));
    });
}

#[test]
fn a_pair() {
    everywhere(|| async {
        let (near, far) = UnixDatagram::pair().unwrap();
        let mut buffer = [0; 4];
        cancel(near.recv(&mut buffer)).await;
        far.send(b"longer").await.unwrap();
        assert_eq!(near.peek(&mut buffer).await.unwrap(), 4);
        assert_eq!(near.recv(&mut buffer).await.unwrap(), 4);
        assert_eq!(&buffer, b"long");
        cancel(near.peek(&mut buffer)).await;
        far.send(&[]).await.unwrap();
        assert_eq!(near.recv(&mut buffer).await.unwrap(), 0);
        assert_eq!(poll_fn(|cx| far.poll_send(cx, b"x")).await.unwrap(), 1);
        let received = poll_fn(|cx| near.poll_recv(cx, &mut buffer)).await;
        assert_eq!(received.unwrap(), 1);

        let readable = until_one_waits(|| {
            let error = near.try_recv(&mut buffer).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            near.readable()
        })
        .await;
        far.writable().await.unwrap();
        far.try_send(b"y").unwrap();
        readable.await.unwrap();
        let (count, _) = near.try_recv_from(&mut buffer).unwrap();
        assert_eq!((count, buffer[0]), (1, b'y'));

        assert!(near.take_error().unwrap().is_none());
        near.shutdown(Shutdown::Both).unwrap();
        // No signal.
        assert!(near.send(b"x").await.is_err());
        drop(near);
        assert!(far.send(b"x").await.is_err());
    });
}

/// More than the receiver's queue holds, by a connected sender, who is told when there is room, and
/// by one who is not.
#[test]
fn senders_wait_for_room() {
    const COUNT: u32 = 2_000;
    everywhere(|| async {
        let name = Name::new();
        let server = UnixDatagram::bind(&name).unwrap();
        let connected = UnixDatagram::unbound().unwrap();
        connected.connect(&name).unwrap();
        let nameless = UnixDatagram::unbound().unwrap();
        let message = [7; 1_000];
        let mut is_full = false;
        while !is_full {
            match connected.try_send(&message) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => is_full = true,
                Err(error) => {
                    return skipped(&format!("a full receiver is an error here: {error}"));
                }
                Ok(_) => {}
            }
        }
        cancel(connected.send(&message)).await;
        cancel(nameless.send_to(&message, &name)).await;
        while server.try_recv(&mut [0; 1_000]).is_ok() {}

        let by_event = async {
            for number in 0..COUNT {
                connected.send(&number.to_ne_bytes()).await.unwrap();
            }
        };
        let receive = async {
            let mut buffer = [0; 4];
            for number in 0..COUNT {
                assert_eq!(server.recv(&mut buffer).await.unwrap(), 4);
                assert_eq!(u32::from_ne_bytes(buffer), number);
            }
        };
        zip(by_event, receive).await;
        let by_looking_again = async {
            for number in 0..COUNT / 4 {
                let bytes = number.to_ne_bytes();
                nameless.send_to(&bytes, &name).await.unwrap();
            }
        };
        let receive = async {
            let mut buffer = [0; 4];
            for number in 0..COUNT / 4 {
                assert_eq!(server.recv(&mut buffer).await.unwrap(), 4);
                assert_eq!(u32::from_ne_bytes(buffer), number);
            }
        };
        zip(by_looking_again, receive).await;
    });
}

#[test]
fn a_dropped_receive_loses_no_datagram() {
    everywhere(|| async {
        let (near, far) = UnixDatagram::pair().unwrap();
        for round in 0..repeat(10_000) {
            let byte = [round as u8];
            let mut buffer = [0; 1];
            cancel(near.recv(&mut buffer)).await;
            let send = async {
                far.send(&byte).await.unwrap();
                None
            };
            let receive = async { Some(near.recv(&mut buffer).await.unwrap()) };
            if or(send, receive).await.is_none() {
                near.recv(&mut buffer).await.unwrap();
            }
            assert_eq!(buffer, byte);
        }
    });
}

#[test]
fn b_blocking_std() {
    everywhere(|| async {
        let (near, far) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let near = UnixDatagram::from_std(near).unwrap();
        // It would block for ever if the mode were not changed.
        cancel(near.recv(&mut [0])).await;
        let near = near.into_std().unwrap();
        let blocked = near.recv(&mut [0]).unwrap_err();
        assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
        let near = UnixDatagram::from_std(near).unwrap();
        far.send(b"x").unwrap();
        assert_eq!(near.recv(&mut [0]).await.unwrap(), 1);
    });
}

#[cfg(all(has_abstract_names, not(has_std_os_android)))]
#[test]
fn names_that_are_no_files() {
    use ekio::net::unix::SocketAddr;
    use std::os::linux::net::SocketAddrExt as _;
    everywhere(|| async {
        let text = format!("ekio's datagrams, {}", std::process::id());
        let address = SocketAddr::from_abstract_name(&text).unwrap();
        let server = UnixDatagram::bind_addr(&address).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        client.send_to_addr(b"one", &address).await.unwrap();
        client.connect_addr(&address).unwrap();
        client.send(b"three").await.unwrap();
        assert_eq!(server.recv(&mut [0; 16]).await.unwrap(), 3);
        assert_eq!(server.recv(&mut [0; 16]).await.unwrap(), 5);
        let peer = client.peer_addr().unwrap();
        assert_eq!(peer.as_abstract_name(), Some(text.as_bytes()));
    });
}

#[test]
fn from_one_block_on_to_the_next_on_another_thread() {
    let _watchdog = Watchdog::start();
    let (mut near, mut far) = UnixDatagram::pair().unwrap();
    ekio::block_on(async {
        cancel(near.recv(&mut [0])).await;
        cancel(far.recv(&mut [0])).await;
    });
    for round in 0..repeat(1_000) as u8 {
        let thread = thread::spawn(move || {
            ekio::block_on(async {
                let mut byte = [0];
                let (received, sent) = zip(far.recv(&mut byte), near.send(&[round])).await;
                assert_eq!((received.unwrap(), sent.unwrap()), (1, 1));
                assert_eq!(byte, [round]);
            });
            (near, far)
        });
        (near, far) = thread.join().unwrap();
    }
    // Outside of any, what waited inside of one is woken, and finds another reactor.
    let (counter, waker) = Counter::new();
    let mut byte = [0];
    let mut receive = pin!(near.recv(&mut byte));
    ekio::block_on(async { assert!(poll_with(receive.as_mut(), &waker).is_pending()) });
    counter.wait_for(1);
    assert!(poll_with(receive.as_mut(), &waker).is_pending());
    futures_lite::future::block_on(far.send(b"x")).unwrap();
    counter.wait_for(2);
    assert!(poll_with(receive, &waker).is_ready());
}

#[test]
fn everything_is_send_and_sync() {
    fn check<T: Send + Sync + Unpin>(_: &T) {}
    fn check_send<T: Send>(_: T) {}
    let (near, _far) = UnixDatagram::pair().unwrap();
    check(&near);
    check_send(near.send(b"x"));
    check_send(near.send_to(b"x", "nowhere"));
    check_send(near.recv_from(&mut [0]));
    check_send(near.readable());
}
