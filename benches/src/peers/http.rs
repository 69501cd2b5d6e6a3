//! What an HTTP server by hand does between reading and writing, the same for all peers.

use std::io;

/// To every request.
pub const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, world!";

/// Bytes that one connection's requests may have. `wrk`'s have some 40, and never a body.
pub const REQUEST_MAX: usize = 4096;

/// What has come of a connection's requests.
pub struct Inbox {
    bytes: Box<[u8]>,
    len: usize,
}

impl Inbox {
    pub fn new() -> Inbox {
        Inbox {
            bytes: vec![0; REQUEST_MAX].into(),
            len: 0,
        }
    }

    /// Where the next read puts what comes. It is empty if a request is too long, and then that read
    /// looks like the end of the connection.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.bytes[self.len..]
    }

    /// Says how many bytes have come; answers how many requests are whole, which it forgets.
    pub fn received(&mut self, len: usize) -> io::Result<usize> {
        self.len += len;
        let (requests, end) = whole_requests(&self.bytes[..self.len])?;
        self.bytes.copy_within(end..self.len, 0);
        self.len -= end;
        Ok(requests)
    }
}

#[cfg(any(feature = "compio", feature = "monoio"))]
impl Inbox {
    /// The same for those whose buffers the kernel owns in between. To copy a request's few bytes is
    /// nothing beside the call that brings them.
    pub fn received_in(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room().get_mut(..bytes.len());
        let too_long = || io::Error::new(io::ErrorKind::InvalidData, "a request is too long");
        room.ok_or_else(too_long)?.copy_from_slice(bytes);
        self.received(bytes.len())
    }
}

/// How many requests are whole, and where the last of them ends.
fn whole_requests(bytes: &[u8]) -> io::Result<(usize, usize)> {
    let (mut requests, mut end) = (0, 0);
    while end < bytes.len() {
        let mut headers = [httparse::EMPTY_HEADER; 16];
        match httparse::Request::new(&mut headers).parse(&bytes[end..]) {
            Ok(httparse::Status::Complete(len)) => end += len,
            Ok(httparse::Status::Partial) => break,
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
        requests += 1;
    }
    Ok((requests, end))
}
