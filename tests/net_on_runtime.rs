//! Every kind of socket on a runtime of many workers, and across its end.

#[path = "support/mod.rs"]
mod support;

use ekio::net::{TcpSocket, UdpSocket};
use ekio::runtime::Runtime;
use support::repeat;
use support::watchdog::Watchdog;

fn workers(count: usize) -> Runtime {
    Runtime::builder().workers(count).build().unwrap()
}

#[test]
fn datagrams_to_tasks_that_are_aborted_and_tasks_that_are_not() {
    let _watchdog = Watchdog::start();
    let runtime = workers(3);
    runtime.block_on(async {
        let mut echoes = Vec::new();
        let mut clients = Vec::new();
        for _ in 0..30 {
            let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let address = server.local_addr().unwrap();
            echoes.push(ekio::spawn(async move {
                let mut buffer = [0; 64];
                loop {
                    let (count, from) = server.recv_from(&mut buffer).await.unwrap();
                    server.send_to(&buffer[..count], from).await.unwrap();
                }
            }));
            clients.push(ekio::spawn(async move {
                let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                client.connect(address).await.unwrap();
                for round in 0..repeat(2_000) {
                    let message = [round as u8; 20];
                    client.send(&message).await.unwrap();
                    let mut answer = [0; 64];
                    assert_eq!(client.recv(&mut answer).await.unwrap(), 20);
                    assert_eq!(answer[..20], message);
                }
            }));
        }
        for client in clients {
            client.await.unwrap();
        }
        for echo in echoes {
            echo.abort();
            assert!(echo.await.unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn a_listener_of_many_tasks() {
    let _watchdog = Watchdog::start();
    let runtime = workers(3);
    let listener = TcpSocket::new_v4().unwrap();
    listener.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = std::sync::Arc::new(listener.listen(100).unwrap());
    let address = listener.local_addr().unwrap();
    runtime.block_on(async {
        let servers: Vec<_> = (0..8)
            .map(|_| {
                let listener = std::sync::Arc::clone(&listener);
                ekio::spawn(async move {
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        stream.write_all(b"served").await.unwrap();
                    }
                })
            })
            .collect();
        let clients: Vec<_> = (0..100)
            .map(|_| {
                ekio::spawn(async move {
                    let client = TcpSocket::new_v4().unwrap();
                    let client = client.connect(address).await.unwrap();
                    let mut buffer = [0; 6];
                    client.read_exact(&mut buffer).await.unwrap();
                    assert_eq!(&buffer, b"served");
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        for server in servers {
            server.abort();
        }
    });
}

#[test]
fn a_socket_outlives_the_runtime() {
    let _watchdog = Watchdog::start();
    let runtime = workers(2);
    let (socket, here) = runtime.block_on(async {
        let task = ekio::spawn(async {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            support::futures::cancel(socket.recv(&mut [0])).await;
            let here = socket.local_addr().unwrap();
            (socket, here)
        });
        task.await.unwrap()
    });
    drop(runtime);
    let send = || std::net::UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", here);
    send().unwrap();
    ekio::block_on(socket.recv(&mut [0])).unwrap();
    let runtime = workers(2);
    runtime.block_on(async {
        let waits = ekio::spawn(async move { socket.recv(&mut [0; 8]).await.unwrap() });
        send().unwrap();
        assert_eq!(waits.await.unwrap(), 1);
    });
}

#[cfg(unix)]
#[test]
fn unix_sockets_between_tasks() {
    use ekio::net::unix::{UnixDatagram, UnixStream};
    let _watchdog = Watchdog::start();
    workers(3).block_on(async {
        let tasks: Vec<_> = (0..30)
            .map(|number: usize| {
                ekio::spawn(async move {
                    let (near, far) = UnixStream::pair().unwrap();
                    let (here, there) = UnixDatagram::pair().unwrap();
                    let echo = ekio::spawn(async move {
                        let mut buffer = [0; 64];
                        loop {
                            let count = far.read(&mut buffer).await.unwrap();
                            if count == 0 {
                                return;
                            }
                            there.send(&buffer[..count]).await.unwrap();
                        }
                    });
                    for round in 0..repeat(2_000) {
                        let message = [(round + number) as u8; 20];
                        near.write_all(&message).await.unwrap();
                        let mut answer = [0; 64];
                        assert_eq!(here.recv(&mut answer).await.unwrap(), 20);
                        assert_eq!(answer[..20], message);
                    }
                    drop(near);
                    echo.await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}
