//! `SO_REUSEPORT`, where there is none.

use std::io;
use std::net::TcpStream;

pub(crate) fn is_port_reused(_socket: &TcpStream) -> io::Result<bool> {
    Ok(false)
}

pub(crate) fn reuse_port(_socket: &TcpStream, on: bool) -> io::Result<()> {
    if on {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system has no SO_REUSEPORT",
        ));
    }
    Ok(())
}
