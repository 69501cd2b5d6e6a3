//! Servers of one connection, on a thread of their own, that say what they are told to.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use crate::support::HANG;

/// A listener that will take one connection.
pub struct OneConnection {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl OneConnection {
    pub fn new() -> OneConnection {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        OneConnection { listener, address }
    }

    /// Accepts, and does `what` with the connection.
    pub fn then<T: Send + 'static>(
        self,
        what: impl FnOnce(TcpStream) -> T + Send + 'static,
    ) -> JoinHandle<T> {
        thread::spawn(move || {
            let (stream, _) = self.listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(HANG)).unwrap();
            stream.set_write_timeout(Some(HANG)).unwrap();
            what(stream)
        })
    }
}

/// Answers each request with these bytes, whatever they are, and closes. The URL's path is `/`.
pub fn saying(answer: impl Into<Vec<u8>>) -> String {
    let server = OneConnection::new();
    let url = format!("http://{}/", server.address);
    let answer = answer.into();
    server.then(move |mut stream| {
        read_head(&stream);
        // The client may have had enough before the end.
        if stream.write_all(&answer).is_ok() {
            close_in_peace(&stream);
        }
    });
    url
}

/// Reads until the empty line.
pub fn read_head(mut stream: &TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Ends our side, and waits for the other one to end, so that nothing is reset.
pub fn close_in_peace(mut stream: &TcpStream) {
    if stream.shutdown(Shutdown::Write).is_ok() {
        let mut rest = [0; 1024];
        while matches!(stream.read(&mut rest), Ok(count) if count > 0) {}
    }
}
