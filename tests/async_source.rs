//! `io::Async` makes asynchronous whatever can be watched, and refuses what cannot.

#[path = "support/mod.rs"]
mod support;

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::task::Poll;

use ekio::io::Async;
use futures_lite::future::zip;
use support::futures::{cancel, everywhere, poll_once};

#[test]
fn datagrams() {
    everywhere(|| async {
        let one = Async::new(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let other = Async::new(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let address = other.get_ref().local_addr().unwrap();
        let mut buffer = [0; 16];
        for round in 0..100_u8 {
            cancel(other.read_with(|socket| socket.recv(&mut [0; 16]))).await;
            let send = one.write_with(|socket| socket.send_to(&[round], address));
            let receive = other.read_with(|socket| socket.recv_from(&mut buffer));
            let (sent, received) = zip(send, receive).await;
            assert_eq!(sent.unwrap(), 1);
            assert_eq!(received.unwrap(), (1, one.get_ref().local_addr().unwrap()));
            assert_eq!(buffer[0], round);
        }
        assert!(format!("{one:?}").starts_with("Async(UdpSocket"));
    });
}

#[test]
fn readable_and_writable() {
    everywhere(|| async {
        let socket = Async::new(support::net::udp_to_itself()).unwrap();
        let mut buffer = [0; 16];
        socket.writable().await.unwrap();
        std::future::poll_fn(|cx| socket.poll_writable(cx))
            .await
            .unwrap();
        for round in 0..10_u8 {
            let mut ready = socket.readable().await.unwrap();
            let readable = loop {
                let error = socket.get_ref().recv(&mut buffer).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                socket.clear_ready(ready);
                let mut readable = Box::pin(socket.readable());
                match poll_once(readable.as_mut()).await {
                    Poll::Pending => break readable,
                    // A late event, of what was received before.
                    Poll::Ready(again) => ready = again.unwrap(),
                }
            };
            socket.get_ref().send(&[round]).unwrap();
            readable.await.unwrap();
            std::future::poll_fn(|cx| socket.poll_readable(cx))
                .await
                .unwrap();
            assert_eq!(socket.get_ref().recv(&mut buffer).unwrap(), 1);
            assert_eq!(buffer[0], round);
        }
    });
}

#[test]
fn the_source_comes_back() {
    everywhere(|| async {
        let socket = Async::new(support::net::udp_to_itself()).unwrap();
        cancel(socket.read_with(|socket| socket.recv(&mut [0; 1]))).await;
        let socket = socket.into_source().unwrap();
        socket.send(b"x").unwrap();
        assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1);
    });
}

#[test]
fn listeners_and_streams_of_std() {
    everywhere(|| async {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Async::new(listener).unwrap();
        cancel(listener.read_with(|listener| listener.accept())).await;
        let client = Async::new(std::net::TcpStream::connect(address).unwrap()).unwrap();
        let (server, from) = listener
            .read_with(|listener| listener.accept())
            .await
            .unwrap();
        assert_eq!(from, client.get_ref().local_addr().unwrap());
        let server = Async::new(server).unwrap();
        let mut byte = [0];
        let read = server.read_with(|mut server| std::io::Read::read(&mut server, &mut byte));
        let write = client.write_with(|mut client| std::io::Write::write(&mut client, b"x"));
        let (read, written) = zip(read, write).await;
        assert_eq!((read.unwrap(), written.unwrap()), (1, 1));
    });
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::fs::File;
    use std::pin::pin;
    use support::unix::pipe;

    #[test]
    fn a14_regular_file_unsupported() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(Async::new(file).unwrap_err().kind(), ErrorKind::Unsupported);
        let folder = File::open("/").unwrap();
        assert_eq!(
            Async::new(folder).unwrap_err().kind(),
            ErrorKind::Unsupported
        );
    }

    #[cfg(feature = "futures-io")]
    #[test]
    fn pipes_carry_more_than_they_hold() {
        use futures_lite::io::{AsyncReadExt as _, AsyncWriteExt as _};
        everywhere(|| async {
            let (reader, writer) = pipe();
            let (mut reader, mut writer) =
                (Async::new(reader).unwrap(), Async::new(writer).unwrap());
            let sent: Vec<u8> = (0..1_000_000_u32)
                .map(|index| (index % 251) as u8)
                .collect();
            let write = async {
                writer.write_all(&sent).await.unwrap();
                writer.close().await.unwrap();
                drop(writer);
            };
            let mut received = Vec::new();
            let (read, ()) = zip(reader.read_to_end(&mut received), write).await;
            assert_eq!(read.unwrap(), sent.len());
            assert!(received == sent);
        });
    }

    /// Row a11 of the pitfalls: epoll says HUP, or ERR, and nothing else.
    #[test]
    fn a11_hup_err_alone() {
        use std::io::{Read as _, Write as _};
        everywhere(|| async {
            let (reader, writer) = pipe();
            let reader = Async::new(reader).unwrap();
            let mut read = pin!(reader.read_with(|mut reader| reader.read(&mut [0; 8])));
            assert!(poll_once(read.as_mut()).await.is_pending());
            drop(writer);
            assert_eq!(read.await.unwrap(), 0);

            let (reader, writer) = pipe();
            let writer = Async::new(writer).unwrap();
            while writer.get_ref().write(&[0; 4096]).is_ok() {}
            let mut write = pin!(writer.write_with(|mut writer| writer.write(&[0; 4096])));
            assert!(poll_once(write.as_mut()).await.is_pending());
            drop(reader);
            assert_eq!(write.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        });
    }

    /// A flush of what holds nothing back has nothing to wait for, were the pipe ever so full.
    #[cfg(feature = "futures-io")]
    #[test]
    fn a_flush_does_not_wait_for_room() {
        use futures_lite::io::AsyncWriteExt as _;
        everywhere(|| async {
            let (_reader, writer) = pipe();
            let mut writer = Async::new(writer).unwrap();
            cancel(writer.write_all(&vec![0; 1_000_000])).await;
            writer.flush().await.unwrap();
            writer.close().await.unwrap();
        });
    }

    /// Row a07: the write end of a pipe that nobody reads can be registered, and says so.
    #[test]
    fn a07_pipe_reader_gone() {
        use std::io::Write as _;
        everywhere(|| async {
            let (reader, writer) = pipe();
            let writer = Async::new(writer).unwrap();
            while writer.get_ref().write(&[0; 4096]).is_ok() {}
            let ready = writer.writable().await.unwrap();
            drop(reader);
            writer.clear_ready(ready);
            writer.writable().await.unwrap();
            let error = writer.write_with(|mut writer| writer.write(b"x")).await;
            assert_eq!(error.unwrap_err().kind(), ErrorKind::BrokenPipe);
        });
    }

    #[cfg(feature = "futures-io")]
    #[test]
    fn unix_sockets_in_both_directions() {
        use futures_lite::io::{AsyncReadExt as _, AsyncWriteExt as _};
        everywhere(|| async {
            let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
            let (near, far) = (Async::new(near).unwrap(), Async::new(far).unwrap());
            let there = async {
                let mut buffer = [0; 4];
                (&far).read_exact(&mut buffer).await.unwrap();
                (&far).write_all(&buffer).await.unwrap();
            };
            let here = async {
                let mut buffer = [0; 4];
                let (written, read) = zip(async { (&near).write_all(b"ping").await }, async {
                    (&near).read_exact(&mut buffer).await
                })
                .await;
                written.unwrap();
                read.unwrap();
                buffer
            };
            let (answer, ()) = zip(here, there).await;
            assert_eq!(&answer, b"ping");
        });
    }
}
