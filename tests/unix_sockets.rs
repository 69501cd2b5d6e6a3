//! Sockets between processes of one machine do what those of TCP do, and what is their own.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::io::ErrorKind;
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ekio::net::unix::{SocketAddr, UnixListener, UnixStream};
use futures_lite::future::{or, try_zip, zip};
use support::futures::{cancel, everywhere, join_all};
use support::{repeat, skipped};

/// A path that nobody else has. What is there in the end is removed.
struct Name(PathBuf);

impl Name {
    fn new() -> Name {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ekio-{}-{count}", std::process::id());
        Name(std::env::temp_dir().join(name))
    }

    /// One of so many bytes.
    #[cfg(unix)]
    fn of_len(len: usize) -> Name {
        use std::os::unix::ffi::OsStrExt as _;
        let mut name = Name::new();
        let rest = len.saturating_sub(name.0.as_os_str().as_bytes().len());
        name.0.as_mut_os_string().push("x".repeat(rest));
        name
    }

    /// A listener there; `None`, and a word about it, where there are no Unix sockets.
    fn listen(&self) -> Option<UnixListener> {
        match UnixListener::bind(self) {
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                skipped("this machine has no Unix sockets");
                None
            }
            answer => Some(answer.unwrap()),
        }
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

/// Two ends of a connection; `None` where there are no Unix sockets.
async fn pair() -> Option<(UnixStream, UnixStream)> {
    let name = Name::new();
    let listener = name.listen()?;
    let connect = UnixStream::connect(&name);
    let (client, (server, _)) = try_zip(connect, listener.accept()).await.unwrap();
    Some((client, server))
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len)
        .map(|index| ((index * 31 + seed) % 251) as u8)
        .collect()
}

async fn read_all(stream: &UnixStream) -> Vec<u8> {
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
fn addresses_are_told() {
    everywhere(|| async {
        let name = Name::new();
        let Some(listener) = name.listen() else {
            return;
        };
        let address = listener.local_addr().unwrap();
        assert_eq!(address.as_pathname(), Some(name.as_ref()));
        let connect = UnixStream::connect_addr(&address);
        let (client, (server, from)) = try_zip(connect, listener.accept()).await.unwrap();
        assert!(from.is_unnamed());
        assert!(client.local_addr().unwrap().is_unnamed());
        assert!(server.peer_addr().unwrap().is_unnamed());
        let here = server.local_addr().unwrap();
        assert_eq!(here.as_pathname(), Some(name.as_ref()));
        let there = client.peer_addr().unwrap();
        assert_eq!(there.as_pathname(), Some(name.as_ref()));
        assert!(client.take_error().unwrap().is_none());
        assert!(listener.take_error().unwrap().is_none());
        assert!(format!("{listener:?}, {client:?}").contains("UnixStream"));
    });
}

#[test]
fn where_nobody_is() {
    everywhere(|| async {
        let name = Name::new();
        let error = UnixStream::connect(&name).await.unwrap_err();
        if error.kind() == ErrorKind::Unsupported {
            return skipped("this machine has no Unix sockets");
        }
        // (Windows calls it a refusal.)
        assert!(error.kind() == ErrorKind::NotFound || cfg!(windows));
        drop(name.listen());
        // The file is still there.
        let error = UnixStream::connect(&name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let error = UnixListener::bind(&name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        fs::remove_file(&name).unwrap();
        let listener = UnixListener::bind(&name).unwrap();
        let connect = UnixStream::connect(&name);
        try_zip(connect, listener.accept()).await.unwrap();
    });
}

#[test]
fn a_path_has_a_length() {
    let long = "x".repeat(200);
    let error = SocketAddr::from_pathname(&long).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = UnixListener::bind(&long).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    everywhere(|| async {
        let error = UnixStream::connect("a\0b").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let unnamed = SocketAddr::from_pathname("").unwrap();
        assert!(unnamed.is_unnamed() && unnamed.as_pathname().is_none());
        let error = UnixStream::connect_addr(&unnamed).await.unwrap_err();
        let kinds = [ErrorKind::InvalidInput, ErrorKind::Unsupported];
        assert!(kinds.contains(&error.kind()));
    });
}

#[test]
fn both_ends_read_and_write_at_once() {
    everywhere(|| async {
        let Some((client, server)) = pair().await else {
            return;
        };
        let (up, down) = (pattern(3_000_000, 1), pattern(3_000_000, 2));
        let send = |stream, bytes| async move {
            UnixStream::write_all(stream, bytes).await.unwrap();
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
    everywhere(|| async {
        let name = Name::new();
        let Some(listener) = name.listen() else {
            return;
        };
        let servers = join_all((0..100).map(|_| async {
            let (stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 64];
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => stream.write_all(&buffer[..count]).await.unwrap(),
                }
            }
        }));
        let path = name.as_ref();
        let clients = join_all((0..100).map(|number| async move {
            let stream = UnixStream::connect(path).await.unwrap();
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
fn a_dropped_accept_loses_no_connection() {
    everywhere(|| async {
        let name = Name::new();
        let Some(listener) = name.listen() else {
            return;
        };
        for round in 0..repeat(1_000) as u8 {
            cancel(listener.accept()).await;
            let client = UnixStream::connect(&name).await.unwrap();
            let (server, _) = std::future::poll_fn(|cx| listener.poll_accept(cx))
                .await
                .unwrap();
            client.write_all(&[round]).await.unwrap();
            let mut byte = [0];
            server.read_exact(&mut byte).await.unwrap();
            assert_eq!(byte, [round]);
        }
    });
}

#[test]
fn a_dropped_read_loses_no_byte() {
    everywhere(|| async {
        let Some((client, server)) = pair().await else {
            return;
        };
        for round in 0..repeat(10_000) {
            let byte = [round as u8];
            let mut buffer = [0; 1];
            cancel(server.read(&mut buffer)).await;
            cancel(server.peek(&mut buffer)).await;
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
        let Some((client, server)) = pair().await else {
            return;
        };
        let piece = [1; 64 * 1024];
        let mut written = 0;
        loop {
            let write = async { Some(client.write(&piece).await.unwrap()) };
            match or(write, async { None }).await {
                Some(count) => written += count,
                None => break,
            }
        }
        cancel(client.write(&piece)).await;
        drop(client);
        assert_eq!(read_all(&server).await.len(), written);
    });
}

#[test]
fn a_peer_that_is_gone() {
    everywhere(|| async {
        let Some((client, server)) = pair().await else {
            return;
        };
        drop(client);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        // No signal.
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
    });
}

#[test]
fn everything_is_send_and_sync() {
    fn check<T: Send + Sync + Unpin>(_: &T) {}
    fn check_send<T: Send>(_: T) {}
    everywhere(|| async {
        check_send(UnixStream::connect("nowhere"));
        let name = Name::new();
        let Some(listener) = name.listen() else {
            return;
        };
        check(&listener);
        check_send(listener.accept());
        let stream = UnixStream::connect(&name).await.unwrap();
        check(&stream);
        check_send(stream.read(&mut [0]));
        check_send(stream.write_all(&[0]));
    });
}

#[cfg(feature = "futures-io")]
#[test]
fn copied_by_others_code() {
    use futures_lite::io::{AsyncReadExt as _, AsyncWriteExt as _};
    everywhere(|| async {
        let Some((mut client, server)) = pair().await else {
            return;
        };
        let sent = pattern(300_000, 5);
        let echo = futures_lite::io::copy(&server, &server);
        let talk = async {
            let mut received = Vec::new();
            let write = async {
                client.write_all(&sent).await.unwrap();
                (&client).close().await.unwrap();
            };
            let read = async {
                let mut buffer = vec![0; sent.len()];
                client.read_exact(&mut buffer).await.unwrap();
                received = buffer;
            };
            zip(write, read).await;
            received
        };
        let (echoed, received) = zip(echo, talk).await;
        assert_eq!(echoed.unwrap(), sent.len() as u64);
        assert!(received == sent);
        drop(server);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        client.close().await.unwrap();
        assert!(rest.is_empty());
    });
}

/// Where `std` has them too.
#[cfg(unix)]
mod unix {
    use super::*;
    use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
    use std::os::fd::AsFd as _;
    use std::pin::pin;
    use std::thread;
    use support::futures::{Counter, poll_once, poll_with};
    use support::watchdog::Watchdog;

    #[test]
    fn b_blocking_std() {
        everywhere(|| async {
            let name = Name::new();
            let listener = std::os::unix::net::UnixListener::bind(&name).unwrap();
            let client = std::os::unix::net::UnixStream::connect(&name).unwrap();
            let listener = UnixListener::from_std(listener).unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let client = UnixStream::from_std(client).unwrap();
            // Each of these would block for ever if the mode were not changed.
            cancel(listener.accept()).await;
            cancel(client.read(&mut [0; 8])).await;
            cancel(server.read(&mut [0; 8])).await;
            let mut client = client.into_std().unwrap();
            let blocked = client.read(&mut [0; 8]).unwrap_err();
            assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
            client.write_all(b"from std").unwrap();
            let mut buffer = [0; 8];
            server.read_exact(&mut buffer).await.unwrap();
            assert_eq!(&buffer, b"from std");
            let listener = listener.into_std().unwrap();
            let blocked = listener.accept().unwrap_err();
            assert_eq!(blocked.kind(), ErrorKind::WouldBlock);
            let listener = UnixListener::from_std(listener).unwrap();
            let connect = UnixStream::connect(&name);
            try_zip(connect, listener.accept()).await.unwrap();
        });
    }

    #[test]
    fn a_client_may_have_a_name() {
        everywhere(|| async {
            use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};
            let name = Name::new();
            let listener = name.listen().unwrap();
            // Also one that fills the room for it, with no zero at the end.
            for own in [Name::new(), Name::of_len(108)] {
                let Ok(address) = SocketAddrUnix::new(own.as_ref()) else {
                    continue; // There is less room on this system.
                };
                let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None);
                let socket = socket.unwrap();
                rustix::net::bind(&socket, &address).unwrap();
                let address = SocketAddrUnix::new(name.as_ref()).unwrap();
                rustix::net::connect(&socket, &address).unwrap();
                let (_, from) = listener.accept().await.unwrap();
                assert_eq!(from.as_pathname(), Some(own.as_ref()));
            }
        });
    }

    #[test]
    fn several_buffers_at_once() {
        everywhere(|| async {
            let (client, server) = UnixStream::pair().unwrap();
            let parts = [
                IoSlice::new(b"one, "),
                IoSlice::new(b""),
                IoSlice::new(b"two"),
            ];
            assert_eq!(client.write_vectored(&parts).await.unwrap(), 8);
            let (mut first, mut second) = ([0; 3], [0; 16]);
            let mut buffers = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
            assert_eq!(server.read_vectored(&mut buffers).await.unwrap(), 8);
            assert_eq!((&first, &second[..5]), (b"one", &b", two"[..]));
            let parts = vec![IoSlice::new(b"x"); 5_000];
            let count = client.write_vectored(&parts).await.unwrap();
            assert!((1..=5_000).contains(&count), "{count}");
        });
    }

    #[test]
    fn who_is_at_the_other_end() {
        everywhere(|| async {
            let (client, server) = pair().await.unwrap();
            for end in [&client, &server] {
                let peer = match end.peer_cred() {
                    Err(error) if error.kind() == ErrorKind::Unsupported => {
                        return skipped("this system does not tell");
                    }
                    answer => answer.unwrap(),
                };
                assert_eq!(peer.uid(), rustix::process::geteuid().as_raw());
                assert_eq!(peer.gid(), rustix::process::getegid().as_raw());
                match peer.pid() {
                    Some(pid) => assert_eq!(pid.unsigned_abs(), std::process::id()),
                    None => skipped("this system does not tell the process"),
                }
            }
        });
    }

    /// Data that comes with a descriptor ends a read, and no event tells of the data behind it.
    #[test]
    fn c03_short_read_at_a_passed_descriptor() {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
        everywhere(|| async {
            let (near, far) = UnixStream::pair().unwrap();
            let mut buffer = [0; 64];
            cancel(near.read(&mut buffer)).await;
            for _ in 0..10 {
                let mut space = vec![std::mem::MaybeUninit::uninit(); 256];
                let mut control = SendAncillaryBuffer::new(&mut space);
                let passed = [far.as_fd()];
                assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
                let message = [IoSlice::new(b"ab")];
                sendmsg(&far, &message, &mut control, SendFlags::empty()).unwrap();
                far.write_all(b"cd").await.unwrap();
                let mut read = 0;
                while read < 4 {
                    read += near.read(&mut buffer[read..]).await.unwrap();
                }
                assert_eq!(&buffer[..4], b"abcd");
                cancel(near.read(&mut buffer)).await;
            }
        });
    }

    /// The queue of a listener is full, and what Linux answers then is neither an error nor the end.
    #[test]
    fn a_full_queue_makes_a_connect_wait() {
        if !cfg!(has_abstract_names) {
            return skipped("only Linux says so");
        }
        everywhere(|| async {
            let name = Name::new();
            let listener = name.listen().unwrap();
            rustix::net::listen(&listener, 1).unwrap();
            let mut waiting = Vec::new();
            let mut connect = loop {
                let mut connect = Box::pin(UnixStream::connect(&name));
                match poll_once(connect.as_mut()).await {
                    std::task::Poll::Ready(stream) => waiting.push(stream.unwrap()),
                    std::task::Poll::Pending => break connect,
                }
                assert!(waiting.len() < 10, "the queue is never full");
            };
            // One that gives up meanwhile harms nobody.
            cancel(UnixStream::connect(&name)).await;
            assert!(poll_once(connect.as_mut()).await.is_pending());
            for client in &waiting {
                client.write_all(b"1").await.unwrap();
                let (server, _) = listener.accept().await.unwrap();
                server.read_exact(&mut [0]).await.unwrap();
            }
            let (last, (server, _)) = try_zip(connect, listener.accept()).await.unwrap();
            last.write_all(b"x").await.unwrap();
            server.read_exact(&mut [0]).await.unwrap();
        });
    }

    #[cfg(all(has_abstract_names, not(has_std_os_android)))]
    #[test]
    fn names_that_are_no_files() {
        use std::os::linux::net::SocketAddrExt as _;
        everywhere(|| async {
            let text = format!("ekio's tests, {}", std::process::id());
            let address = SocketAddr::from_abstract_name(&text).unwrap();
            let listener = UnixListener::bind_addr(&address).unwrap();
            let here = listener.local_addr().unwrap();
            assert_eq!(here.as_abstract_name(), Some(text.as_bytes()));
            let connect = UnixStream::connect_addr(&address);
            let (client, _) = try_zip(connect, listener.accept()).await.unwrap();
            let there = client.peer_addr().unwrap();
            assert_eq!(there.as_abstract_name(), Some(text.as_bytes()));
            let error = UnixListener::bind_addr(&address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            // Gone with its socket.
            drop(listener);
            UnixListener::bind_addr(&address).unwrap();
        });
    }

    #[test]
    fn from_one_block_on_to_the_next_on_another_thread() {
        let _watchdog = Watchdog::start();
        let name = Name::new();
        let listener = name.listen().unwrap();
        let (mut near, mut far) = ekio::block_on(async {
            cancel(listener.accept()).await;
            let connect = UnixStream::connect(&name);
            let (near, (far, _)) = try_zip(connect, listener.accept()).await.unwrap();
            cancel(near.read(&mut [0])).await;
            cancel(far.read(&mut [0])).await;
            (near, far)
        });
        for round in 0..repeat(1_000) as u8 {
            let thread = thread::spawn(move || {
                ekio::block_on(async {
                    let mut byte = [0];
                    let read = async { far.read_exact(&mut byte).await };
                    try_zip(read, near.write_all(&[round])).await.unwrap();
                    assert_eq!(byte, [round]);
                });
                (near, far)
            });
            (near, far) = thread.join().unwrap();
        }
        // Outside of any, what waited inside of one is woken, and finds another reactor.
        let (counter, waker) = Counter::new();
        let mut byte = [0];
        let mut read = pin!(near.read(&mut byte));
        ekio::block_on(async { assert!(poll_with(read.as_mut(), &waker).is_pending()) });
        counter.wait_for(1);
        assert!(poll_with(read.as_mut(), &waker).is_pending());
        futures_lite::future::block_on(far.write_all(b"x")).unwrap();
        counter.wait_for(2);
        assert!(poll_with(read, &waker).is_ready());
        let accept = async {
            let connect = UnixStream::connect(&name);
            try_zip(connect, listener.accept()).await.unwrap();
        };
        futures_lite::future::block_on(accept);
    }
}
