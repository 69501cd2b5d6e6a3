//! TCP, UDP, Unix sockets, and the addresses of hosts.
//!
//! The types mirror those of [`std::net`]; what may block there is `async` here. Each holds a
//! [`Registration`](crate::reactor::Registration), tries its system call at once, and waits for the
//! reactor only if the call would have blocked. So they work on any executor, and may be used from
//! several tasks at once by a shared reference.
//!
//! ```
//! use ekio::net::{TcpListener, TcpStream};
//!
//! # fn main() -> std::io::Result<()> {
//! # ekio::block_on(async {
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let client = TcpStream::connect(listener.local_addr()?).await?;
//! let (server, _) = listener.accept().await?;
//!
//! client.write_all(b"ping").await?;
//! let mut buffer = [0; 16];
//! let count = server.read(&mut buffer).await?;
//! assert_eq!(&buffer[..count], b"ping");
//! # Ok(())
//! # })
//! # }
//! ```

#[cfg(feature = "futures-io")]
mod as_futures_io;
mod back_off;
mod lend;
mod listener;
mod lookup;
mod stream;
mod tcp;
mod udp;
pub mod unix;

#[cfg(feature = "hyper")]
pub(crate) use stream::Stream;

pub use lookup::{SocketAddrs, ToSocketAddrs, lookup_host};
pub use tcp::{TcpListener, TcpSocket, TcpStream};
pub use udp::UdpSocket;
