//! From what the caller has (an address, a list of them, a name) to socket addresses.
//!
//! What is an address already, if only as text, is answered at once. A name is given to the
//! system's resolver (`getaddrinfo`), which blocks, so it is asked on a thread of the blocking
//! pool: never on one that drives a reactor.

use std::io;
use std::iter::FusedIterator;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::vec;

use crate::executor::blocking::spawn_blocking;
use sealed::{Host, Resolve};

/// What can be resolved to socket addresses: the asynchronous [`std::net::ToSocketAddrs`].
///
/// It is implemented for
///
/// * [`SocketAddr`], [`SocketAddrV4`], [`SocketAddrV6`]; an [`IpAddr`], [`Ipv4Addr`] or [`Ipv6Addr`]
///   with a port; arrays, slices and vectors of `SocketAddr`: these are answered at once;
/// * text: `str` or `String` of the form `host:port`, and a host as text with the port as a number,
///   where a host is an address (answered at once) or a name (for the resolver);
/// * references to all of these.
///
/// The trait is sealed: it cannot be implemented outside of this crate, so that it can grow.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// use ekio::net::lookup_host;
/// use std::net::{Ipv4Addr, SocketAddr};
///
/// let expected = SocketAddr::from(([127, 0, 0, 1], 80));
/// assert_eq!(lookup_host(expected).await?.next(), Some(expected));
/// assert_eq!(lookup_host((Ipv4Addr::LOCALHOST, 80)).await?.next(), Some(expected));
/// assert_eq!(lookup_host("127.0.0.1:80").await?.next(), Some(expected));
/// assert_eq!(lookup_host(("127.0.0.1", 80)).await?.next(), Some(expected));
/// # Ok(())
/// # })
/// # }
/// ```
pub trait ToSocketAddrs: Resolve {}

impl<T: Resolve + ?Sized> ToSocketAddrs for T {}

/// Resolves a host to its addresses, in the order in which they should be tried (`getaddrinfo`, if
/// it is a name).
///
/// # Errors
///
/// | kind | when |
/// |---|---|
/// | `InvalidInput` | a text is not of the form `host:port` |
/// | others | what the system's resolver says, for one that there is no such name |
///
/// # Cancel safety
///
/// The resolver cannot be stopped: it finishes on its thread, and its answer is dropped.
///
/// # Examples
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// for address in ekio::net::lookup_host("localhost:80").await? {
///     assert!(address.ip().is_loopback());
/// }
/// # Ok(())
/// # })
/// # }
/// ```
#[doc(alias = "getaddrinfo")]
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<SocketAddrs> {
    match host.resolve()? {
        Host::Known(addresses) => Ok(addresses),
        Host::Named(name, port) => {
            let ask = move || std::net::ToSocketAddrs::to_socket_addrs(&(name.as_str(), port));
            let addresses = spawn_blocking(ask).await.map_err(io::Error::other)??;
            Ok(SocketAddrs(Addresses::Many(addresses)))
        }
    }
}

/// The addresses of a host, in the order in which they should be tried.
#[derive(Clone, Debug)]
pub struct SocketAddrs(Addresses);

/// One address needs no allocation.
#[derive(Clone, Debug)]
enum Addresses {
    One(Option<SocketAddr>),
    Many(vec::IntoIter<SocketAddr>),
}

impl Iterator for SocketAddrs {
    type Item = SocketAddr;

    fn next(&mut self) -> Option<SocketAddr> {
        match &mut self.0 {
            Addresses::One(address) => address.take(),
            Addresses::Many(addresses) => addresses.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Addresses::One(address) => address.iter().size_hint(),
            Addresses::Many(addresses) => addresses.size_hint(),
        }
    }
}

impl ExactSizeIterator for SocketAddrs {}

impl FusedIterator for SocketAddrs {}

/// The first address for which `attempt` succeeds; if there is none, the last one's error.
pub(super) fn first_that<T>(
    addresses: SocketAddrs,
    mut attempt: impl FnMut(SocketAddr) -> io::Result<T>,
) -> io::Result<T> {
    let mut last_error = None;
    for address in addresses {
        match attempt(address) {
            Ok(success) => return Ok(success),
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error.unwrap_or_else(no_address))
}

/// The answer to an empty list of addresses.
pub(super) fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "there is no address to use")
}

mod sealed {
    use super::{Addresses, SocketAddrs};
    use std::io;
    use std::net::SocketAddr;

    pub trait Resolve {
        /// What can be said without asking anybody.
        fn resolve(&self) -> io::Result<Host>;
    }

    #[derive(Debug)]
    pub enum Host {
        Known(SocketAddrs),
        /// A name and a port, for the resolver.
        Named(String, u16),
    }

    impl Host {
        pub(super) fn one(address: impl Into<SocketAddr>) -> io::Result<Host> {
            let one = Addresses::One(Some(address.into()));
            Ok(Host::Known(SocketAddrs(one)))
        }

        pub(super) fn many(addresses: Vec<SocketAddr>) -> io::Result<Host> {
            let many = Addresses::Many(addresses.into_iter());
            Ok(Host::Known(SocketAddrs(many)))
        }
    }
}

/// What `SocketAddr` can be made from.
macro_rules! addresses {
    ($($type:ty),* $(,)?) => {
        $(impl Resolve for $type {
            fn resolve(&self) -> io::Result<Host> {
                Host::one(*self)
            }
        })*
    };
}

addresses!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16),
);

impl Resolve for [SocketAddr] {
    fn resolve(&self) -> io::Result<Host> {
        Host::many(self.to_vec())
    }
}

impl<const N: usize> Resolve for [SocketAddr; N] {
    fn resolve(&self) -> io::Result<Host> {
        Host::many(self.to_vec())
    }
}

impl Resolve for Vec<SocketAddr> {
    fn resolve(&self) -> io::Result<Host> {
        Host::many(self.clone())
    }
}

impl Resolve for str {
    fn resolve(&self) -> io::Result<Host> {
        if let Ok(address) = self.parse::<SocketAddr>() {
            return Host::one(address);
        }
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let (host, port) = self
            .rsplit_once(':')
            .ok_or_else(|| invalid("a host needs a port: host:port"))?;
        let port = port
            .parse()
            .map_err(|_| invalid("what stands behind the colon is not a port number"))?;
        (host, port).resolve()
    }
}

impl Resolve for String {
    fn resolve(&self) -> io::Result<Host> {
        self.as_str().resolve()
    }
}

impl Resolve for (&str, u16) {
    fn resolve(&self) -> io::Result<Host> {
        let (host, port) = *self;
        match host.parse::<IpAddr>() {
            Ok(address) => Host::one((address, port)),
            Err(_) => Ok(Host::Named(host.to_owned(), port)),
        }
    }
}

impl Resolve for (String, u16) {
    fn resolve(&self) -> io::Result<Host> {
        (self.0.as_str(), self.1).resolve()
    }
}

impl<T: Resolve + ?Sized> Resolve for &T {
    fn resolve(&self) -> io::Result<Host> {
        (**self).resolve()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(host: impl ToSocketAddrs) -> Option<Vec<SocketAddr>> {
        match host.resolve() {
            Ok(Host::Known(addresses)) => Some(addresses.collect()),
            _ => None,
        }
    }

    fn named(host: impl ToSocketAddrs) -> Option<(String, u16)> {
        match host.resolve() {
            Ok(Host::Named(name, port)) => Some((name, port)),
            _ => None,
        }
    }

    #[test]
    fn addresses_need_no_resolver() {
        let four: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let six: SocketAddr = "[::1]:80".parse().unwrap();
        let both = vec![four, six];
        assert_eq!(known(four), Some(vec![four]));
        assert_eq!(known("127.0.0.1:80"), Some(vec![four]));
        assert_eq!(known(String::from("[::1]:80")), Some(vec![six]));
        assert_eq!(known(("::1", 80)), Some(vec![six]));
        assert_eq!(known((four.ip(), 80)), Some(vec![four]));
        assert_eq!(known((Ipv6Addr::LOCALHOST, 80)), Some(vec![six]));
        assert_eq!(known(&both[..]), Some(both.clone()));
        assert_eq!(known([four, six]), Some(both.clone()));
        assert_eq!(known(&both), Some(both));
        assert_eq!(known(&[][..]), Some(Vec::new()));
    }

    #[test]
    fn names_do() {
        let expected = Some((String::from("example.com"), 80));
        assert_eq!(named("example.com:80"), expected);
        assert_eq!(named(("example.com", 80)), expected);
        assert_eq!(named(&(String::from("example.com"), 80)), expected);
    }

    #[test]
    fn nonsense_is_neither() {
        for nonsense in ["example.com", "example.com:http", "example.com:65536", ""] {
            let error = nonsense.resolve().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{nonsense}");
        }
    }

    #[test]
    fn the_number_of_addresses_is_known() {
        let Ok(Host::Known(mut one)) = "127.0.0.1:80".resolve() else {
            panic!("this is an address");
        };
        assert_eq!(one.len(), 1);
        one.next();
        assert_eq!((one.len(), one.next()), (0, None));
    }
}
