//! `TcpStream::connect` tries the addresses in turn and tells the truth about them.

#[path = "support/mod.rs"]
mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;

use ekio::net::{TcpListener, TcpStream};
use ekio::poller::OsPoller;
use futures_lite::future::try_zip;
use support::futures::{cancel, everywhere};
use support::net::refusing;

/// What a refusal is called.
fn refused() -> ErrorKind {
    if support::is_libkqueue::<OsPoller>() {
        support::skipped("libkqueue has taken the socket's error: the attempt failed, but why?");
        return ErrorKind::NotConnected;
    }
    ErrorKind::ConnectionRefused
}

#[test]
#[cfg_attr(
    miri,
    ignore = "the socket that refuses needs F_SETFD, which Miri does not have"
)]
fn b_connect_refused_once() {
    everywhere(|| async {
        let (_held, nobody) = refusing();
        for _ in 0..3 {
            let error = TcpStream::connect(nobody).await.unwrap_err();
            assert_eq!(error.kind(), refused(), "{error:?}");
        }
    });
}

#[test]
#[cfg_attr(
    miri,
    ignore = "the socket that refuses needs F_SETFD, which Miri does not have"
)]
fn the_first_address_that_answers_is_taken() {
    everywhere(|| async {
        let (_held, nobody) = refusing();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let [somebody, another] = [&listener, &other].map(|it| it.local_addr().unwrap());
        let addresses = [nobody, somebody, another];
        let connect = TcpStream::connect(&addresses);
        let (client, (_, from)) = try_zip(connect, listener.accept()).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), somebody);
        assert_eq!(from, client.local_addr().unwrap());
        cancel(other.accept()).await;
    });
}

#[test]
#[cfg_attr(
    miri,
    ignore = "the socket that refuses needs F_SETFD, which Miri does not have"
)]
fn the_last_error_is_reported() {
    everywhere(|| async {
        let (_held, nobody) = refusing();
        // Port 0 is not an address that one could connect to: what it is called differs.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let of_nowhere = TcpStream::connect(nowhere).await.unwrap_err().kind();
        let last = TcpStream::connect([nobody, nowhere]).await.unwrap_err();
        assert_eq!(last.kind(), of_nowhere);
        let last = TcpStream::connect([nowhere, nobody]).await.unwrap_err();
        assert_eq!(last.kind(), refused());
    });
}

#[test]
fn no_address_is_invalid_input() {
    everywhere(|| async {
        let error = TcpStream::connect(&[][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = TcpListener::bind(&[][..]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let error = TcpStream::connect("no port").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

#[test]
fn names_are_resolved() {
    everywhere(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // The name may stand for an IPv6 address first, where nobody listens.
        let connect = TcpStream::connect(("localhost", port));
        let (client, _) = try_zip(connect, listener.accept()).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), listener.local_addr().unwrap());
    });
}

#[test]
fn ipv6_if_the_machine_has_it() {
    everywhere(|| async {
        let Ok(listener) = TcpListener::bind("[::1]:0").await else {
            support::skipped("this machine has no IPv6");
            return;
        };
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (client, (server, from)) = try_zip(connect, listener.accept()).await.unwrap();
        assert!(from.is_ipv6() && from == client.local_addr().unwrap());
        server.write_all(b"six").await.unwrap();
        let mut buffer = [0; 3];
        client.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"six");
    });
}

#[test]
fn an_address_in_use_is_an_error_of_bind() {
    everywhere(|| async {
        let first = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = first.local_addr().unwrap();
        let error = TcpListener::bind(taken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        let other = SocketAddr::from(([127, 0, 0, 1], 0));
        let second = TcpListener::bind([taken, other]).await.unwrap();
        assert_ne!(second.local_addr().unwrap(), taken);
    });
}

/// A server that starts again while connections of its former life are in `TIME_WAIT`.
#[test]
fn a_listener_can_take_its_address_again_at_once() {
    everywhere(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, (server, _)) = try_zip(TcpStream::connect(address), listener.accept())
            .await
            .unwrap();
        drop(server); // It closes first, so the wait is on its side.
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        drop((client, listener));
        TcpListener::bind(address).await.unwrap();
    });
}
