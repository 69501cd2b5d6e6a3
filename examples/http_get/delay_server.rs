//! A server that takes its time: `GET /<milliseconds>/<text>` answers the text after that delay.
//!
//! It lives in the same process, and on the same thread, as the requests that it answers: a task
//! that accepts, and a task for each connection. None of them blocks, so they do not notice.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ekio::net::{TcpListener, TcpStream};
use ekio::time;

/// How long a client may take over its request.
const PATIENCE: Duration = Duration::from_secs(30);

/// The longest request that makes sense.
const MAX_HEAD: usize = 16 * 1024;

/// The longest delay, a day.
const MAX_MILLIS: u64 = 24 * 60 * 60 * 1_000;

/// Starts the server on a port that the system chooses, and says where. It lives as long as the
/// `block_on` that this is called in.
pub async fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    // To drop the handle of a task lets the task go on by itself.
    drop(ekio::spawn_local(serve(listener)));
    Ok(address)
}

async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(ekio::spawn_local(async move {
                // A client that has gone away is no concern of ours.
                let _ = answer(&stream).await;
            })),
            // Probably there are too many open files. That may pass, so do not give up, and do not
            // ask again at once either.
            Err(error) => {
                eprintln!("the delay server cannot accept: {error}");
                time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: &TcpStream) -> io::Result<()> {
    let head = time::timeout(PATIENCE, read_head(stream)).await??;
    let reply = match Request::parse(&head) {
        Ok(request) => {
            time::sleep(request.delay).await;
            Reply::new("200 OK", &request.text)
        }
        Err(reply) => reply,
    };
    stream.write_all(reply.0.as_bytes()).await
}

/// Reads until the head of the request is complete, or is no such thing.
async fn read_head(stream: &TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        head.extend_from_slice(&buffer[..count]);
        if count == 0 || head.len() > MAX_HEAD || head.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(head);
        }
    }
}

#[derive(Debug, PartialEq)]
struct Request {
    delay: Duration,
    text: String,
}

#[derive(Debug, PartialEq)]
struct Reply(String);

impl Request {
    /// What is asked for, or the reply to what cannot be asked for.
    fn parse(head: &[u8]) -> Result<Request, Reply> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) if head.len() > MAX_HEAD => {
                return Err(Reply::new(
                    "431 Request Header Fields Too Large",
                    "too long",
                ));
            }
            Ok(httparse::Status::Partial) => {
                return Err(Reply::new("400 Bad Request", "the request was cut off"));
            }
            Err(error) => return Err(Reply::new("400 Bad Request", &error.to_string())),
        }
        if request.method != Some("GET") {
            return Err(Reply::new(
                "405 Method Not Allowed",
                "only GET is served here",
            ));
        }
        let path = request.path.unwrap_or_default();
        let parts = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let usage = || Reply::new("404 Not Found", "ask for /<milliseconds>/<text>");
        let (millis, text) = parts.ok_or_else(usage)?;
        let millis = millis.parse().map_err(|_| usage())?;
        if millis > MAX_MILLIS {
            return Err(Reply::new(
                "400 Bad Request",
                "the delay is longer than a day",
            ));
        }
        Ok(Request {
            delay: Duration::from_millis(millis),
            text: text.to_owned(),
        })
    }
}

impl Reply {
    fn new(status: &str, body: &str) -> Reply {
        Reply(format!(
            "HTTP/1.1 {status}\r\n\
             Content-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\n\
             Connection: close\r\n\
             \r\n\
             {body}",
            body.len()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_and_a_text() {
        let request = Request::parse(b"GET /250/some/text HTTP/1.1\r\nHost: x\r\n\r\n");
        let expected = Request {
            delay: Duration::from_millis(250),
            text: "some/text".to_owned(),
        };
        assert_eq!(request, Ok(expected));
    }

    #[test]
    fn everything_else_is_told_why_not() {
        for (head, status) in [
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("GET /250 HTTP/1.1\r\n\r\n", "404"),
            ("GET /soon/text HTTP/1.1\r\n\r\n", "404"),
            ("GET /-1/text HTTP/1.1\r\n\r\n", "404"),
            ("GET /86400001/text HTTP/1.1\r\n\r\n", "400"),
            ("POST /1/text HTTP/1.1\r\n\r\n", "405"),
            ("GET /1/text", "400"),
            ("nonsense\r\n\r\n", "400"),
            (&format!("GET /1/{} ", "x".repeat(MAX_HEAD)), "431"),
        ] {
            let Err(Reply(reply)) = Request::parse(head.as_bytes()) else {
                panic!("{head:?} was understood");
            };
            assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
        }
    }
}
