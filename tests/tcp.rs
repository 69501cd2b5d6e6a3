//! A connection does what `std`'s does, without blocking.

#[path = "support/mod.rs"]
mod support;

use std::io::{ErrorKind, IoSlice, IoSliceMut, Read as _, Write as _};
use std::net::Shutdown;
use std::pin::pin;
use std::time::Duration;

use ekio::net::{TcpListener, TcpStream};
use futures_lite::future::{try_zip, zip};
use support::futures::{cancel, everywhere, join_all, poll_once};

/// Two ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, (server, address)) = try_zip(client, listener.accept()).await.unwrap();
    assert_eq!(address, client.local_addr().unwrap());
    assert_eq!(server.peer_addr().unwrap(), address);
    assert_eq!(client.peer_addr().unwrap(), listener.local_addr().unwrap());
    (client, server)
}

/// Bytes that differ from one place to the next.
fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len)
        .map(|index| ((index * 31 + seed) % 251) as u8)
        .collect()
}

async fn read_all(stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 10_000];
    loop {
        match stream.read(&mut buffer).await.unwrap() {
            0 => return bytes,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

#[test]
fn both_ends_read_and_write_at_once() {
    everywhere(|| async {
        let (client, server) = pair().await;
        // More than all buffers hold, so that each writer has to wait for the reader. (Miri would
        // take hours.)
        let len = if cfg!(miri) { 30_000 } else { 6_000_000 };
        let (up, down) = (pattern(len, 1), pattern(len, 2));
        let send = |stream, bytes| async move {
            TcpStream::write_all(stream, bytes).await.unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        };
        let client_side = zip(send(&client, &up), read_all(&client));
        let server_side = zip(send(&server, &down), read_all(&server));
        let (((), at_client), ((), at_server)) = zip(client_side, server_side).await;
        assert!(at_client == down && at_server == up);
    });
}

#[test]
fn many_connections_echo() {
    const CONNECTIONS: usize = if cfg!(miri) { 3 } else { 200 };
    everywhere(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let servers = join_all((0..CONNECTIONS).map(|_| async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 64];
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => stream.write_all(&buffer[..count]).await.unwrap(),
                }
            }
        }));
        let clients = join_all((0..CONNECTIONS).map(|number| async move {
            let stream = TcpStream::connect(address).await.unwrap();
            for round in 0..5 {
                let message = pattern(100, number + round);
                stream.write_all(&message).await.unwrap();
                let mut answer = [0; 100];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(answer[..], message);
            }
        }));
        zip(servers, clients).await;
    });
}

#[test]
fn a_half_closed_connection_goes_on_in_the_other_direction() {
    everywhere(|| async {
        let (client, server) = pair().await;
        client.write_all(b"question").await.unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&server).await, b"question");
        // The end is an end each time.
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        for _ in 0..3 {
            server.write_all(b"answer").await.unwrap();
            let mut answer = [0; 6];
            client.read_exact(&mut answer).await.unwrap();
            assert_eq!(&answer, b"answer");
        }
        let error = client.write(b"more").await.unwrap_err();
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionAborted];
        // (std has no kind for WSAESHUTDOWN.)
        assert!(kinds.contains(&error.kind()) || cfg!(windows), "{error:?}");
        drop(server);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no SO_LINGER")]
fn a_reset_wakes_the_reader_and_fails_the_writer() {
    everywhere(|| async {
        let (client, server) = pair().await;
        let mut buffer = [0; 8];
        let mut read = pin!(server.read(&mut buffer));
        assert!(poll_once(read.as_mut()).await.is_pending());
        client.set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        let read = read.await;
        let kind = read.as_ref().map_err(|error| error.kind());
        match kind {
            Err(ErrorKind::ConnectionReset) => {}
            // Wine and libkqueue take the error themselves, and then the reader sees an end.
            Err(ErrorKind::ConnectionAborted) | Ok(0) if cfg!(windows) => {}
            Ok(0) if support::is_libkqueue::<ekio::poller::OsPoller>() => {}
            _ => panic!("{read:?}"),
        }
        // No signal, and an error at the latest when the first write has been answered.
        let error = loop {
            if let Err(error) = server.write(b"anybody there?").await {
                break error;
            }
        };
        let kinds = [
            ErrorKind::BrokenPipe,
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionAborted,
        ];
        assert!(kinds.contains(&error.kind()), "{error:?}");
        let vectored = server.write_vectored(&[IoSlice::new(b"still?")]).await;
        let error = vectored.unwrap_err();
        assert!(kinds.contains(&error.kind()), "{error:?}");
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no sendmsg")]
fn several_buffers_at_once() {
    everywhere(|| async {
        let (client, server) = pair().await;
        let parts = [
            IoSlice::new(b"one, "),
            IoSlice::new(b""),
            IoSlice::new(b"two"),
        ];
        assert_eq!(client.write_vectored(&parts).await.unwrap(), 8);
        client.shutdown(Shutdown::Write).unwrap();
        let (mut first, mut second) = ([0; 3], [0; 16]);
        let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let mut count = 0;
        while count < 8 {
            // What arrives in pieces fills the first buffer again: ask for it all beforehand.
            let there = server.peek(&mut [0; 16]).await.unwrap();
            if there == 8 {
                count = server.read_vectored(&mut buffers).await.unwrap();
            }
        }
        assert_eq!((&first, &second[..5]), (b"one", &b", two"[..]));
        assert_eq!(
            server
                .read_vectored(&mut [IoSliceMut::new(&mut first)])
                .await
                .unwrap(),
            0
        );
        // More slices than the system takes at once is a short write, not an error.
        let parts = vec![IoSlice::new(b"x"); 5_000];
        let count = server.write_vectored(&parts).await.unwrap();
        assert!((1..=5_000).contains(&count), "{count}");
    });
}

#[test]
fn a_peek_takes_nothing() {
    everywhere(|| async {
        let (client, server) = pair().await;
        let mut buffer = [0; 16];
        cancel(server.peek(&mut buffer)).await;
        client.write_all(b"seen").await.unwrap();
        for _ in 0..3 {
            let count = server.peek(&mut buffer).await.unwrap();
            assert!(count > 0 && b"seen".starts_with(&buffer[..count]));
        }
        server.read_exact(&mut buffer[..4]).await.unwrap();
        assert_eq!(&buffer[..4], b"seen");
        cancel(server.peek(&mut buffer)).await;
        drop(client);
        assert_eq!(server.peek(&mut buffer).await.unwrap(), 0);
    });
}

#[test]
fn read_exact_says_when_the_stream_is_too_short() {
    everywhere(|| async {
        let (client, server) = pair().await;
        client.write_all(b"short").await.unwrap();
        drop(client);
        let error = server.read_exact(&mut [0; 6]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
        server.read_exact(&mut []).await.unwrap();
    });
}

#[test]
fn two_readers_share_a_stream() {
    everywhere(|| async {
        let (client, server) = pair().await;
        let read = || async {
            let mut byte = [0];
            server.read_exact(&mut byte).await.unwrap();
            byte[0]
        };
        let mut readers = pin!(zip(read(), read()));
        assert!(poll_once(readers.as_mut()).await.is_pending());
        client.write_all(b"a").await.unwrap();
        client.write_all(b"b").await.unwrap();
        let (one, other) = readers.await;
        let mut both = [one, other];
        both.sort_unstable();
        assert_eq!(&both, b"ab");
    });
}

#[test]
#[cfg_attr(miri, ignore = "Miri has no SO_LINGER")]
fn options_reach_the_socket() {
    everywhere(|| async {
        let (client, _server) = pair().await;
        assert!(!client.nodelay().unwrap());
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        client.set_ttl(42).unwrap();
        assert_eq!(client.ttl().unwrap(), 42);
        assert_eq!(client.linger().unwrap(), None);
        client
            .set_linger(Some(Duration::from_millis(1_500)))
            .unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(2)));
        client.set_linger(None).unwrap();
        assert_eq!(client.linger().unwrap(), None);
        assert!(client.take_error().unwrap().is_none());
        assert!(format!("{client:?}").contains("TcpStream"));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.set_ttl(43).unwrap();
        assert_eq!(listener.ttl().unwrap(), 43);
        assert!(format!("{listener:?}").contains("TcpListener"));
    });
}

#[test]
fn b_blocking_std() {
    everywhere(|| async {
        let std_listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let std_client = std::net::TcpStream::connect(std_listener.local_addr().unwrap()).unwrap();
        let listener = TcpListener::from_std(std_listener).unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let client = TcpStream::from_std(std_client).unwrap();
        // Each of these would block for ever if the mode were not changed.
        cancel(listener.accept()).await;
        cancel(client.read(&mut [0; 8])).await;
        cancel(server.read(&mut [0; 8])).await;

        let mut std_client = client.into_std().unwrap();
        let blocked = std_client.read(&mut [0; 8]).unwrap_err();
        assert_eq!(
            blocked.kind(),
            ErrorKind::WouldBlock,
            "it is still non-blocking"
        );
        std_client.write_all(b"from std").unwrap();
        let mut buffer = [0; 8];
        server.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"from std");

        let std_listener = listener.into_std().unwrap();
        let blocked = std_listener.accept().unwrap_err();
        assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
        // There and back: what was deregistered can be registered again.
        let listener = TcpListener::from_std(std_listener).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        try_zip(client, listener.accept()).await.unwrap();
    });
}

/// The inherent methods and those of the extension traits have the same names: both must be usable
/// without ceremony.
#[cfg(feature = "futures-io")]
#[test]
#[cfg_attr(miri, ignore = "Miri has no sendmsg")]
fn the_futures_traits_and_the_inherent_methods_live_together() {
    use futures_lite::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

    async fn greet(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Vec<u8> {
        stream.write_all(b"hello").await.unwrap();
        stream.flush().await.unwrap();
        stream.close().await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    }

    everywhere(|| async {
        let (mut client, server) = pair().await;
        let serve = async {
            let mut question = Vec::new();
            (&server).read_to_end(&mut question).await.unwrap();
            server.write_all(&question).await.unwrap();
            let part = [IoSlice::new(b" yourself")];
            server.write_vectored(&part).await.unwrap();
            server.shutdown(Shutdown::Write).unwrap();
            // The peer has closed; to close twice is no error.
            (&server).close().await.unwrap();
            (&server).close().await.unwrap();
        };
        let (answer, ()) = zip(greet(&client), serve).await;
        assert_eq!(answer, b"hello yourself");
        // Inherent, though the traits are in scope; and the traits' on the owned stream.
        assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
        client.close().await.unwrap();
        let mut rest = String::new();
        BufReader::new(client)
            .read_to_string(&mut rest)
            .await
            .unwrap();
        assert_eq!(rest, "");
    });
}

#[cfg(feature = "futures-io")]
#[test]
fn copied_by_others_code() {
    everywhere(|| async {
        let (client, server) = pair().await;
        let sent = pattern(if cfg!(miri) { 10_000 } else { 300_000 }, 5);
        let echo = futures_lite::io::copy(&server, &server);
        let talk = zip(
            async {
                client.write_all(&sent).await.unwrap();
                client.shutdown(Shutdown::Write).unwrap();
            },
            async {
                let mut received = vec![0; sent.len()];
                client.read_exact(&mut received).await.unwrap();
                received
            },
        );
        let (echoed, ((), received)) = zip(echo, talk).await;
        assert_eq!(echoed.unwrap(), sent.len() as u64);
        assert!(received == sent);
    });
}

/// A stream may be sent to and shared between threads, and so may its futures.
#[test]
fn everything_is_send_and_sync() {
    fn check<T: Send + Sync + Unpin>(_: &T) {}
    fn check_send<T: Send>(_: T) {}
    everywhere(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        check(&listener);
        check_send(listener.accept());
        check_send(TcpListener::bind("name:1"));
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        check_send(TcpStream::connect("name:1"));
        let stream = connect.await.unwrap();
        check(&stream);
        check_send(stream.read(&mut [0; 1]));
        check_send(stream.write_all(&[0]));
        check_send(ekio::net::lookup_host(("name", 1)));
    });
}

#[test]
fn an_empty_buffer_is_read_into_at_once() {
    everywhere(|| async {
        let (client, _server) = pair().await;
        cancel(client.read(&mut [0])).await;
        assert_eq!(client.read(&mut []).await.unwrap(), 0);
        assert_eq!(client.read_vectored(&mut []).await.unwrap(), 0);
        let mut nothing = [];
        let polled = std::future::poll_fn(|cx| client.poll_read(cx, &mut nothing)).await;
        assert_eq!(polled.unwrap(), 0);
    });
}
