//! What hyper does for an HTTP server, the same for all peers: it speaks HTTP/1, and the peer's stream
//! brings the bytes.

use std::convert::Infallible;
use std::io;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

/// Answers the requests of one connection.
pub async fn answer(stream: impl Read + Write + Unpin) -> io::Result<()> {
    let http = http1::Builder::new();
    let done = http.serve_connection(stream, service_fn(hello)).await;
    done.map_err(io::Error::other)
}

async fn hello(_request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::from("Hello, world!")))
}
