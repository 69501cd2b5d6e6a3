//! Sockets between processes of one machine, named by a path.
//!
//! The types mirror those of `std::os::unix::net`; what may block there is `async` here.
//!
//! # Platform behaviour
//!
//! | | Linux | the BSDs, Apple's systems | Windows 10 (1803) and later |
//! |---|---|---|---|
//! | [`UnixStream`], [`UnixListener`] | yes | yes | yes, but without credentials and pairs; older ones and Wine 8 answer `Unsupported` |
//! | `UnixDatagram` | yes | yes | no |
//! | [`SocketAddr`] | `std`'s | `std`'s | one like it |
//! | abstract names | yes | no | no |
//! | longest path | 107 bytes | 103 bytes | 107 bytes |
//!
//! The file that `bind` makes stays when the socket is closed, and keeps the next one from binding
//! (`AddrInUse`): remove it first.
//!
//! An abstract name, which is no file and goes with its socket, is a [`SocketAddr`] that `std` makes:
//!
//! ```
//! # #[cfg(all(has_abstract_names, not(has_std_os_android)))]
//! # fn main() -> std::io::Result<()> {
//! # ekio::block_on(async {
//! use ekio::net::unix::{SocketAddr, UnixListener, UnixStream};
//! use std::os::linux::net::SocketAddrExt;
//!
//! let name = format!("an example of ekio's, {}", std::process::id());
//! let address = SocketAddr::from_abstract_name(name)?;
//! let listener = UnixListener::bind_addr(&address)?;
//! let client = UnixStream::connect_addr(&address).await?;
//! let (server, _) = listener.accept().await?;
//! assert_eq!(server.local_addr()?.as_abstract_name(), address.as_abstract_name());
//! # drop(client);
//! # Ok(())
//! # })
//! # }
//! # #[cfg(not(all(has_abstract_names, not(has_std_os_android))))]
//! # fn main() {}
//! ```

#[cfg(unix)]
mod credentials;
#[cfg(unix)]
mod datagram;
mod listener;
mod stream;

pub use crate::sys::UnixAddr as SocketAddr;
#[cfg(unix)]
pub use credentials::UCred;
#[cfg(unix)]
pub use datagram::UnixDatagram;
pub use listener::UnixListener;
pub use stream::UnixStream;
