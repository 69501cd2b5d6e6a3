//! What a `TcpSocket` is told is so for the listener or stream that it becomes.

#[path = "support/mod.rs"]
mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use ekio::net::{TcpListener, TcpSocket, TcpStream};
use futures_lite::future::{or, try_zip};
use support::futures::{cancel, everywhere};
use support::net::refusing;
use support::skipped;

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[test]
fn bound_on_both_sides() {
    everywhere(|| async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(loopback()).unwrap();
        let address = socket.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        let listener = socket.listen(8).unwrap();
        assert_eq!(listener.local_addr().unwrap(), address);
        cancel(listener.accept()).await;

        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(loopback()).unwrap();
        let from = socket.local_addr().unwrap();
        let connect = socket.connect(address);
        let (client, (server, seen)) = try_zip(connect, listener.accept()).await.unwrap();
        assert_eq!((seen, client.local_addr().unwrap()), (from, from));
        server.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 5];
        client.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"hello");
    });
}

#[test]
fn ipv6_if_the_machine_has_it() {
    everywhere(|| async {
        let address = "[::1]:0".parse().unwrap();
        let socket = TcpSocket::new_v6();
        let Some(socket) = socket.ok().filter(|socket| socket.bind(address).is_ok()) else {
            return skipped("this machine has no IPv6");
        };
        let listener = socket.listen(8).unwrap();
        let connect = TcpSocket::new_v6().unwrap();
        let connect = connect.connect(listener.local_addr().unwrap());
        let (client, (_, from)) = try_zip(connect, listener.accept()).await.unwrap();
        assert_eq!(client.local_addr().unwrap(), from);
        let other = TcpSocket::new_v4().unwrap();
        assert!(other.connect(listener.local_addr().unwrap()).await.is_err());
    });
}

#[test]
fn options_last() {
    everywhere(|| async {
        let socket = TcpSocket::new_v4().unwrap();
        assert!(!socket.keepalive().unwrap() && !socket.nodelay().unwrap());
        assert!(!socket.reuseaddr().unwrap());
        assert_eq!(socket.linger().unwrap(), None);
        socket.set_keepalive(true).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_linger(Some(Duration::from_secs(3))).unwrap();
        assert!(socket.keepalive().unwrap() && socket.nodelay().unwrap());
        assert_eq!(socket.linger().unwrap(), Some(Duration::from_secs(3)));
        let other = socket2::SockRef::from(&socket);
        assert_eq!(other.linger().unwrap(), Some(Duration::from_secs(3)));
        other.set_linger(Some(Duration::from_secs(2))).unwrap();
        assert_eq!(socket.linger().unwrap(), Some(Duration::from_secs(2)));
        socket.set_linger(None).unwrap();
        let before = (
            socket.recv_buffer_size().unwrap(),
            socket.send_buffer_size().unwrap(),
        );
        socket.set_recv_buffer_size(20_000).unwrap();
        socket.set_send_buffer_size(20_000).unwrap();
        let after = (
            socket.recv_buffer_size().unwrap(),
            socket.send_buffer_size().unwrap(),
        );
        assert!(after.0 >= 20_000 && after.1 >= 20_000, "{after:?}");
        assert_ne!(before, after);
        // No wish is too great to be told: the system grants a part of it, or says that there is no room.
        let granted = socket.set_recv_buffer_size(u32::MAX);
        assert!(!granted.is_err_and(|error| error.kind() == ErrorKind::InvalidInput));
        assert!(socket.take_error().unwrap().is_none());
        assert!(format!("{socket:?}").starts_with("TcpSocket"));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = socket.connect(listener.local_addr().unwrap());
        let (client, _) = try_zip(connect, listener.accept()).await.unwrap();
        assert!(client.nodelay().unwrap());
    });
}

#[test]
fn two_listeners_at_one_address() {
    everywhere(|| async {
        let first = TcpSocket::new_v4().unwrap();
        assert!(!first.reuseport().unwrap());
        first.set_reuseport(false).unwrap();
        match first.set_reuseport(true) {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                assert!(!first.reuseport().unwrap());
                return skipped("this system has no SO_REUSEPORT");
            }
            answer => answer.unwrap(),
        }
        assert!(first.reuseport().unwrap());
        first.bind(loopback()).unwrap();
        let first = first.listen(8).unwrap();
        let address = first.local_addr().unwrap();

        let second = TcpSocket::new_v4().unwrap();
        let error = second.bind(address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        second.set_reuseport(true).unwrap();
        second.bind(address).unwrap();
        let second = second.listen(8).unwrap();
        for _ in 0..10 {
            let client = TcpStream::connect(address).await.unwrap();
            let (_, from) = or(first.accept(), second.accept()).await.unwrap();
            assert_eq!(from, client.local_addr().unwrap());
        }
    });
}

#[test]
fn an_address_that_is_taken() {
    everywhere(|| async {
        let taken = TcpListener::bind(loopback()).await.unwrap();
        let address = taken.local_addr().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        let bound = socket.bind(address);
        let listens = bound.and_then(|()| socket.listen(8));
        assert_eq!(listens.unwrap_err().kind(), ErrorKind::AddrInUse);
    });
}

#[test]
fn a_refusal_is_an_error() {
    everywhere(|| async {
        let (_held, nobody) = refusing();
        let error = TcpSocket::new_v4().unwrap().connect(nobody).await;
        let kind = error.unwrap_err().kind();
        if support::is_libkqueue::<ekio::poller::OsPoller>() {
            skipped("libkqueue has taken the socket's error: the attempt failed, but why?");
        } else {
            assert_eq!(kind, ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn a_dropped_connect_harms_nobody() {
    everywhere(|| async {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..20 {
            let connect = TcpSocket::new_v4().unwrap().connect(address);
            let connect = async { connect.await.ok() };
            drop(or(connect, async { None }).await);
        }
        let socket = TcpSocket::new_v4().unwrap();
        let client = socket.connect(address).await.unwrap();
        loop {
            let (server, from) = listener.accept().await.unwrap();
            if from == client.local_addr().unwrap() {
                server.write_all(b"x").await.unwrap();
                break;
            }
        }
        client.read_exact(&mut [0]).await.unwrap();
    });
}

#[test]
fn everything_is_send_and_sync() {
    fn check<T: Send + Sync + Unpin>(_: &T) {}
    fn check_send<T: Send>(_: T) {}
    let socket = TcpSocket::new_v4().unwrap();
    check(&socket);
    check_send(socket.connect(loopback()));
}

/// `std` would have 128 of them wait; who finds no room is not connected until somebody accepts.
#[test]
#[cfg(has_epoll)]
fn many_may_wait_to_be_accepted() {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    if most.trim().parse::<usize>().unwrap() < 300 {
        return skipped("this machine lets fewer connections wait");
    }
    everywhere(|| async {
        let listener = TcpListener::bind(loopback()).await.unwrap();
        let address = listener.local_addr().unwrap();
        // Nobody accepts.
        let room = (0..300).map(|_| async {
            let client = TcpSocket::new_v4().unwrap();
            client.connect(address).await.unwrap()
        });
        let clients = support::futures::join_all(room).await;
        drop(clients);
    });
}
