//! A future that is dropped while it waits takes nothing with it.

#[path = "support/mod.rs"]
mod support;

use ekio::net::{TcpListener, TcpStream};
use futures_lite::future::{or, try_zip};
use support::futures::{cancel, everywhere, join_all};
use support::repeat;

#[test]
fn a_dropped_accept_loses_no_connection() {
    everywhere(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for _ in 0..repeat(1_000) {
            cancel(listener.accept()).await;
            let client = TcpStream::connect(address).await.unwrap();
            let (_, from) = listener.accept().await.unwrap();
            assert_eq!(from, client.local_addr().unwrap());
        }
    });
}

#[test]
fn a_dropped_read_loses_no_byte() {
    everywhere(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (client, (server, _)) = try_zip(connect, listener.accept()).await.unwrap();
        for round in 0..repeat(10_000) {
            let byte = [round as u8];
            let mut buffer = [0; 1];
            cancel(server.read(&mut buffer)).await;
            // One that is dropped with its wake under way.
            let write = async {
                client.write_all(&byte).await.unwrap();
                None
            };
            let read = async { Some(server.read(&mut buffer).await.unwrap()) };
            if or(write, read).await.is_none() {
                server.read_exact(&mut buffer).await.unwrap();
            }
            assert_eq!(buffer, byte);
        }
    });
}

#[test]
fn a_dropped_write_has_written_nothing() {
    everywhere(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connect = TcpStream::connect(listener.local_addr().unwrap());
        let (client, (server, _)) = try_zip(connect, listener.accept()).await.unwrap();
        let piece = [1; 64 * 1024];
        let mut written = 0;
        loop {
            let write = async { Some(client.write(&piece).await.unwrap()) };
            match or(write, async { None }).await {
                Some(count) => written += count,
                // It had to wait, and was dropped.
                None => break,
            }
        }
        cancel(client.write(&piece)).await;
        drop(client);
        let (mut buffer, mut read) = (vec![0; 256 * 1024], 0);
        loop {
            match server.read(&mut buffer).await.unwrap() {
                0 => break,
                count => read += count,
            }
        }
        assert_eq!(read, written);
    });
}

#[test]
fn a_dropped_connect_harms_nobody() {
    everywhere(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let attempts = (0..50).map(|_| {
            or(async { TcpStream::connect(address).await.ok() }, async {
                None
            })
        });
        let connected: Vec<_> = join_all(attempts).await.into_iter().flatten().collect();
        drop(connected);
        // Whatever came of those, this one is served.
        let client = TcpStream::connect(address).await.unwrap();
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
