//! ekio's futures in other runtimes: the background thread drives their reactor, and wakes whoever
//! polls them.

mod common;

use std::future::pending;
use std::io;
use std::time::{Duration, Instant};

use common::{HOSTS, anywhere};
use ekio::net::{TcpListener, TcpStream, UdpSocket};
use ekio::time::{interval, sleep, timeout};
use futures::future::{join, join_all};

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connect = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = join(connect, listener.accept()).await;
    (client.unwrap(), server.unwrap().0)
}

#[test]
fn tcp() {
    anywhere(|| async {
        let (client, server) = pair().await;
        let sent = vec![7; 3_000_000];
        let send = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
        };
        let receive = async {
            let mut received = Vec::new();
            let mut reader = &server;
            futures::AsyncReadExt::read_to_end(&mut reader, &mut received)
                .await
                .unwrap();
            received
        };
        let ((), received) = join(send, receive).await;
        assert!(received == sent);
    });
}

#[test]
fn many_connections_at_once() {
    anywhere(|| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async {
            let echoes = futures::stream::FuturesUnordered::new();
            for _ in 0..50 {
                let (stream, _) = listener.accept().await.unwrap();
                echoes.push(async move { futures::io::copy(&stream, &mut &stream).await });
            }
            futures::StreamExt::count(echoes).await
        };
        let clients = join_all((0..50_u8).map(|number| async move {
            let stream = TcpStream::connect(address).await.unwrap();
            for round in 0..10 {
                stream.write_all(&[number, round]).await.unwrap();
                let mut answer = [0; 2];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(answer, [number, round]);
            }
        }));
        assert_eq!(join(serve, clients).await.0, 50);
    });
}

#[test]
fn udp() {
    anywhere(|| async {
        let one = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut buffer = [0; 16];
        let address = other.local_addr().unwrap();
        let receive = other.recv_from(&mut buffer);
        let (received, sent) = join(receive, one.send_to(b"datagram", address)).await;
        assert_eq!(sent.unwrap(), 8);
        assert_eq!(received.unwrap(), (8, one.local_addr().unwrap()));
        assert_eq!(&buffer[..8], b"datagram");
    });
}

#[test]
fn time() {
    anywhere(|| async {
        let start = Instant::now();
        sleep(Duration::from_millis(2)).await;
        assert!(start.elapsed() >= Duration::from_millis(2));
        timeout(Duration::from_millis(1), pending::<()>())
            .await
            .unwrap_err();
        assert_eq!(timeout(Duration::MAX, async { 1 }).await.unwrap(), 1);
        let mut ticks = interval(Duration::from_millis(1));
        for _ in 0..3 {
            ticks.tick().await;
        }
        let (client, _server) = pair().await;
        let read = async { client.read(&mut [0]).await };
        timeout(Duration::from_millis(1), read).await.unwrap_err();
    });
}

#[test]
fn files() {
    anywhere(|| async {
        let name = format!("ekio-anywhere-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        ekio::fs::create_dir(&folder).await.unwrap();
        let path = folder.join("file");
        let mut file = ekio::fs::File::create_new(&path).await.unwrap();
        file.write_all(b"text").await.unwrap();
        file.seek(io::SeekFrom::Start(1)).await.unwrap();
        let mut rest = String::new();
        file.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "ext");
        drop(file);
        assert_eq!(ekio::fs::read(&path).await.unwrap(), b"text");
        let mut entries = ekio::fs::read_dir(&folder).await.unwrap();
        assert_eq!(
            entries.next_entry().await.unwrap().unwrap().file_name(),
            "file"
        );
        assert!(entries.next_entry().await.unwrap().is_none());
        drop(entries);
        ekio::fs::remove_dir_all(&folder).await.unwrap();
    });
}

#[test]
fn the_blocking_pool() {
    anywhere(|| async {
        let answer = ekio::spawn_blocking(|| std::thread::current().name().map(str::to_owned));
        let name = answer.await.unwrap().unwrap();
        assert!(name.starts_with("ekio-blocking-"), "{name}");
        let addresses = ekio::net::lookup_host("localhost:80").await.unwrap();
        assert!(addresses.len() > 0);
    });
}

#[test]
fn programs() {
    anywhere(|| async {
        // Any program that says something; this one is there.
        let mut command = ekio::process::Command::new(std::env::current_exe().unwrap());
        let output = command.arg("--list").output().await.unwrap();
        assert!(output.status.success());
        let list = String::from_utf8(output.stdout).unwrap();
        assert!(list.contains("programs: test"), "{list}");
    });
}

#[cfg(unix)]
#[test]
fn unix_sockets() {
    anywhere(|| async {
        let (one, other) = ekio::net::unix::UnixStream::pair().unwrap();
        let mut buffer = [0; 5];
        let (read, written) = join(other.read_exact(&mut buffer), one.write_all(b"hello")).await;
        read.unwrap();
        written.unwrap();
        assert_eq!(&buffer, b"hello");
    });
}

#[cfg(unix)]
#[test]
fn signals() {
    use ekio::signal::unix::{SignalKind, signal};
    anywhere(|| async {
        let mut user = signal(SignalKind::user_defined1()).unwrap();
        let id = std::process::id().to_string();
        let kill = ekio::spawn_blocking(move || {
            let kill = std::process::Command::new("kill")
                .args(["-USR1", &id])
                .status();
            assert!(kill.unwrap().success());
        });
        user.recv().await.unwrap();
        kill.await.unwrap();
    });
}

/// Somebody else waits for what ekio's workers do.
#[test]
fn a_task_of_ekios_workers() {
    let runtime = ekio::Runtime::builder().workers(2).build().unwrap();
    let handle = *runtime.handle();
    anywhere(move || async move {
        let tasks = (0..20).map(|number| {
            handle.spawn(async move {
                sleep(Duration::from_micros(100)).await;
                number
            })
        });
        let sum: i32 = join_all(tasks).await.into_iter().map(Result::unwrap).sum();
        assert_eq!(sum, 190);
    });
}

/// A socket has no home: it begins in one runtime, and goes on in the next.
#[test]
fn from_one_runtime_to_the_next() {
    let _watchdog = common::watchdog::Watchdog::start();
    let (client, server) = ekio::block_on(pair());
    let (client, server) = (std::sync::Arc::new(client), std::sync::Arc::new(server));
    for (_, host) in HOSTS.into_iter().cycle().take(27) {
        let (writer, reader) = (client.clone(), server.clone());
        host(Box::pin(async move {
            let mut byte = [0];
            let (read, ()) = join(reader.read(&mut byte), async {
                writer.write_all(&[1]).await.unwrap();
            })
            .await;
            assert_eq!(read.unwrap(), 1);
        }));
        ekio::block_on(async {
            let mut byte = [0];
            let write = async { server.write_all(&[2]).await.unwrap() };
            assert_eq!(join(client.read(&mut byte), write).await.0.unwrap(), 1);
        });
    }
}
