//! A socket for datagrams.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use super::lookup::{first_that, no_address};
use super::{ToSocketAddrs, lookup_host};
use crate::reactor::{Direction, Interest, Readiness, Registration};
use crate::sys;

/// A UDP socket: [`std::net::UdpSocket`], asynchronous.
///
/// It may be used unconnected, by [`send_to`](UdpSocket::send_to) and
/// [`recv_from`](UdpSocket::recv_from), to talk to any number of peers; or
/// [`connect`](UdpSocket::connect)ed to one of them, by [`send`](UdpSocket::send) and
/// [`recv`](UdpSocket::recv).
///
/// Everything works on a shared reference. Any number of tasks may wait to receive at the same time:
/// all are woken by a datagram, and one of them gets it. What takes a [`Context`] keeps only the
/// waker of its latest caller in each direction.
///
/// # Platform behaviour
///
/// Guaranteed: on an unconnected socket, a peer that is gone never disturbs what is received from
/// others. (On Windows that takes `SIO_UDP_CONNRESET` and `SIO_UDP_NETRESET`, which are off for
/// every socket that is in here, those of [`from_std`](UdpSocket::from_std) too.) Guaranteed as well:
/// a datagram that is longer than the buffer is cut, everywhere; its rest is lost, and the length of
/// the buffer is the answer.
///
/// | | Unix | Windows |
/// |---|---|---|
/// | a connected peer that is gone | the next operation answers `ConnectionRefused`, once | nothing is said |
///
/// # Examples
///
/// ```
/// use ekio::net::UdpSocket;
///
/// # fn main() -> std::io::Result<()> {
/// # ekio::block_on(async {
/// let server = UdpSocket::bind("127.0.0.1:0").await?;
/// let client = UdpSocket::bind("127.0.0.1:0").await?;
/// client.connect(server.local_addr()?).await?;
///
/// client.send(b"ping").await?;
/// let mut buffer = [0; 1500];
/// let (count, from) = server.recv_from(&mut buffer).await?;
/// assert_eq!((&buffer[..count], from), (&b"ping"[..], client.local_addr()?));
///
/// server.send_to(b"pong", from).await?;
/// let count = client.recv(&mut buffer).await?;
/// assert_eq!(&buffer[..count], b"pong");
/// # Ok(())
/// # })
/// # }
/// ```
pub struct UdpSocket {
    registration: Registration<std::net::UdpSocket>,
}

impl UdpSocket {
    /// Takes the first of the addresses that can be had (`socket`, `bind`).
    ///
    /// Port 0 lets the system choose one; [`local_addr`](UdpSocket::local_addr) tells which.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `AddrInUse` | another socket has it |
    /// | `AddrNotAvailable` | the address is not one of this machine |
    /// | `PermissionDenied` | the port is for the privileged |
    /// | `InvalidInput` | there is no address at all, or its text makes no sense |
    /// | others | what the system or the resolver said |
    ///
    /// Of several addresses that all fail, the last one's error is reported.
    ///
    /// # Cancel safety
    ///
    /// It waits only for a name to be resolved. Dropped before that, it has done nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// use ekio::net::UdpSocket;
    /// use std::net::Ipv4Addr;
    ///
    /// let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    /// assert_ne!(socket.local_addr()?.port(), 0);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn bind(addresses: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        let bind = |address| UdpSocket::from_std(std::net::UdpSocket::bind(address)?);
        first_that(lookup_host(addresses).await?, bind)
    }

    /// Connects to the first of the addresses that can be had (`connect`): from now on the socket
    /// sends there by [`send`](UdpSocket::send), and receives nothing from anybody else. It may be
    /// called again, for another peer.
    ///
    /// Nothing is sent, so it does not tell whether the peer is there.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `HostUnreachable`, `NetworkUnreachable` | there is no way to get there |
    /// | `InvalidInput` | there is no address at all, or its text makes no sense |
    /// | others | what the system or the resolver said, for one that the address is of another family |
    ///
    /// Of several addresses that all fail, the last one's error is reported.
    ///
    /// # Cancel safety
    ///
    /// It waits only for a name to be resolved. Dropped before that, it has done nothing.
    ///
    /// # Examples
    ///
    /// See [the type](UdpSocket).
    pub async fn connect(&self, addresses: impl ToSocketAddrs) -> io::Result<()> {
        let connect = |address| self.socket().connect(address);
        first_that(lookup_host(addresses).await?, connect)
    }

    /// Sends a datagram to the peer of [`connect`](UdpSocket::connect) (`send`), waiting until there
    /// is room for it. The answer is its length: a datagram is sent as a whole.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `NotConnected`, or `EDESTADDRREQ`, which has no kind | there is no peer |
    /// | `ConnectionRefused` | an earlier datagram found nobody; this one has not been sent (see [the type](UdpSocket#platform-behaviour)) |
    /// | others | what the system said, for one that the datagram is too long |
    ///
    /// # Cancel safety
    ///
    /// Nothing has been sent if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [the type](UdpSocket).
    pub async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let send = |socket: &std::net::UdpSocket| socket.send(bytes);
        self.registration.io(Direction::Write, send).await
    }

    /// Receives a datagram, waiting until there is one (`recv`): from the peer, if the socket is
    /// connected, else from anybody. The answer is how much of it there is in the buffer: all of it,
    /// or as much as finds room.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `ConnectionRefused` | the connected peer is gone; later ones are received again (see [the type](UdpSocket#platform-behaviour)) |
    /// | others | what the system said |
    ///
    /// # Cancel safety
    ///
    /// Nothing has been received if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [the type](UdpSocket).
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let recv = |socket: &std::net::UdpSocket| sys::recv(socket, buffer);
        self.registration.io(Direction::Read, recv).await
    }

    /// Sends a datagram (`sendto`) to the first of the addresses, waiting until there is room for it.
    /// The answer is its length: a datagram is sent as a whole.
    ///
    /// # Errors
    ///
    /// | kind | when |
    /// |---|---|
    /// | `InvalidInput` | there is no address at all, or its text makes no sense |
    /// | `PermissionDenied` | it is an address of all, and [`set_broadcast`](UdpSocket::set_broadcast) has not been called |
    /// | others | what the system or the resolver said, for one that the datagram is too long |
    ///
    /// # Cancel safety
    ///
    /// Nothing has been sent if the future is dropped before it is finished.
    ///
    /// # Examples
    ///
    /// See [the type](UdpSocket).
    #[doc(alias = "sendto")]
    pub async fn send_to(&self, bytes: &[u8], target: impl ToSocketAddrs) -> io::Result<usize> {
        let mut addresses = lookup_host(target).await?;
        let target = addresses.next().ok_or_else(no_address)?;
        let send = |socket: &std::net::UdpSocket| socket.send_to(bytes, target);
        self.registration.io(Direction::Write, send).await
    }

    /// [`recv`](UdpSocket::recv), and from whom it came (`recvfrom`).
    ///
    /// # Errors
    ///
    /// Those of `recv`.
    ///
    /// # Cancel safety
    ///
    /// That of `recv`.
    ///
    /// # Examples
    ///
    /// See [the type](UdpSocket).
    #[doc(alias = "recvfrom")]
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let recv = |socket: &std::net::UdpSocket| sys::recv_from(socket, buffer);
        self.registration.io(Direction::Read, recv).await
    }

    /// [`recv`](UdpSocket::recv) without taking: a later one gives the same datagram again (`recv`
    /// with `MSG_PEEK`).
    ///
    /// # Errors
    ///
    /// Those of `recv`.
    ///
    /// # Cancel safety
    ///
    /// That of `recv`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ekio::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// socket.send_to(b"twice", socket.local_addr()?).await?;
    /// let mut buffer = [0; 8];
    /// assert_eq!(socket.peek(&mut buffer[..2]).await?, 2);
    /// assert_eq!(socket.recv(&mut buffer).await?, 5);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    #[doc(alias = "MSG_PEEK")]
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let peek = |socket: &std::net::UdpSocket| sys::peek(socket, buffer);
        self.registration.io(Direction::Read, peek).await
    }

    /// [`peek`](UdpSocket::peek), and from whom it came (`recvfrom` with `MSG_PEEK`).
    ///
    /// # Errors
    ///
    /// Those of [`recv`](UdpSocket::recv).
    ///
    /// # Cancel safety
    ///
    /// That of `recv`.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ekio::net::UdpSocket;
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// # let itself = socket.local_addr()?;
    /// socket.send_to(b"whose?", itself).await?;
    /// let (_, from) = socket.peek_from(&mut [0; 8]).await?;
    /// assert_eq!(from, itself);
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let peek = |socket: &std::net::UdpSocket| sys::peek_from(socket, buffer);
        self.registration.io(Direction::Read, peek).await
    }

    /// [`send`](UdpSocket::send) for those who write a future by hand. The waker of the latest caller
    /// is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `send`.
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let send = |socket: &std::net::UdpSocket| socket.send(bytes);
        self.registration.poll_io(cx, Direction::Write, send)
    }

    /// [`recv`](UdpSocket::recv) for those who write a future by hand. The waker of the latest caller
    /// is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `recv`.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let recv = |socket: &std::net::UdpSocket| sys::recv(socket, buffer);
        self.registration.poll_io(cx, Direction::Read, recv)
    }

    /// [`send_to`](UdpSocket::send_to) for those who write a future by hand. The waker of the latest
    /// caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of `send_to`.
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        bytes: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        let send = |socket: &std::net::UdpSocket| socket.send_to(bytes, target);
        self.registration.poll_io(cx, Direction::Write, send)
    }

    /// [`recv_from`](UdpSocket::recv_from) for those who write a future by hand. The waker of the
    /// latest caller is kept, those of callers before are forgotten.
    ///
    /// # Errors
    ///
    /// Those of [`recv`](UdpSocket::recv).
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let recv = |socket: &std::net::UdpSocket| sys::recv_from(socket, buffer);
        self.registration.poll_io(cx, Direction::Read, recv)
    }

    /// Waits until [`try_recv`](UdpSocket::try_recv) or [`try_recv_from`](UdpSocket::try_recv_from)
    /// is worth a try, which still may answer `WouldBlock`. Any number of tasks may wait.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be registered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # use ekio::net::UdpSocket;
    /// # use std::io;
    /// # fn main() -> std::io::Result<()> {
    /// # ekio::block_on(async {
    /// # let socket = UdpSocket::bind("127.0.0.1:0").await?;
    /// # socket.send_to(b"hello", socket.local_addr()?).await?;
    /// let mut buffer = [0; 16];
    /// let (count, from) = loop {
    ///     socket.readable().await?;
    ///     match socket.try_recv_from(&mut buffer) {
    ///         Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
    ///         answer => break answer?,
    ///     }
    /// };
    /// # assert_eq!((count, from), (5, socket.local_addr()?));
    /// # Ok(())
    /// # })
    /// # }
    /// ```
    pub async fn readable(&self) -> io::Result<()> {
        self.registration.ready(Direction::Read).await.map(drop)
    }

    /// Waits until [`try_send`](UdpSocket::try_send) or [`try_send_to`](UdpSocket::try_send_to) is
    /// worth a try, which still may answer `WouldBlock`. Any number of tasks may wait.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be registered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn writable(&self) -> io::Result<()> {
        self.registration.ready(Direction::Write).await.map(drop)
    }

    /// [`send`](UdpSocket::send), now or never.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room, and those of `send`.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let send = |socket: &std::net::UdpSocket| socket.send(bytes);
        self.registration.try_now(Direction::Write, send)
    }

    /// [`recv`](UdpSocket::recv), now or never.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no datagram, and those of `recv`.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let recv = |socket: &std::net::UdpSocket| sys::recv(socket, buffer);
        self.registration.try_now(Direction::Read, recv)
    }

    /// [`send_to`](UdpSocket::send_to), now or never.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no room, and those of `send_to`.
    pub fn try_send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        let send = |socket: &std::net::UdpSocket| socket.send_to(bytes, target);
        self.registration.try_now(Direction::Write, send)
    }

    /// [`recv_from`](UdpSocket::recv_from), now or never.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if there is no datagram, and those of [`recv`](UdpSocket::recv).
    ///
    /// # Examples
    ///
    /// See [`readable`](UdpSocket::readable).
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let recv = |socket: &std::net::UdpSocket| sys::recv_from(socket, buffer);
        self.registration.try_now(Direction::Read, recv)
    }

    /// The address of this side (`getsockname`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// The address to which it is connected (`getpeername`).
    ///
    /// # Errors
    ///
    /// `NotConnected` if it is not.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket().peer_addr()
    }

    /// Whether it may send to the addresses of all (`SO_BROADCAST`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn broadcast(&self) -> io::Result<bool> {
        self.socket().broadcast()
    }

    /// Sets what [`broadcast`](UdpSocket::broadcast) tells. It is off at first.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "SO_BROADCAST")]
    pub fn set_broadcast(&self, on: bool) -> io::Result<()> {
        self.socket().set_broadcast(on)
    }

    /// How many routers a datagram may pass (`IP_TTL`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn ttl(&self) -> io::Result<u32> {
        self.socket().ttl()
    }

    /// Sets what [`ttl`](UdpSocket::ttl) tells.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "IP_TTL")]
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        self.socket().set_ttl(ttl)
    }

    /// Begins to receive what is sent to a group (`IP_ADD_MEMBERSHIP`), on the interface that has
    /// this address; [`Ipv4Addr::UNSPECIFIED`] lets the system choose one.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the address is none of a group, and what the system says.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// use ekio::net::UdpSocket;
    /// use std::net::Ipv4Addr;
    ///
    /// let group = Ipv4Addr::new(224, 0, 0, 251);
    /// let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5353)).await?;
    /// socket.join_multicast_v4(group, Ipv4Addr::UNSPECIFIED)?;
    /// let (count, from) = socket.recv_from(&mut [0; 9000]).await?;
    /// socket.leave_multicast_v4(group, Ipv4Addr::UNSPECIFIED)?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IP_ADD_MEMBERSHIP")]
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket().join_multicast_v4(&group, &interface)
    }

    /// Ends what [`join_multicast_v4`](UdpSocket::join_multicast_v4) began (`IP_DROP_MEMBERSHIP`).
    ///
    /// # Errors
    ///
    /// What the system says, for one that it has not been begun.
    #[doc(alias = "IP_DROP_MEMBERSHIP")]
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        self.socket().leave_multicast_v4(&group, &interface)
    }

    /// Begins to receive what is sent to a group (`IPV6_JOIN_GROUP`), on the interface of this number;
    /// 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the address is none of a group, and what the system says.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example() -> std::io::Result<()> {
    /// use ekio::net::UdpSocket;
    /// use std::net::Ipv6Addr;
    ///
    /// let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 5353)).await?;
    /// socket.join_multicast_v6("ff02::fb".parse().expect("an address"), 0)?;
    /// let (count, from) = socket.recv_from(&mut [0; 9000]).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[doc(alias = "IPV6_ADD_MEMBERSHIP")]
    #[doc(alias = "IPV6_JOIN_GROUP")]
    pub fn join_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket().join_multicast_v6(&group, interface)
    }

    /// Ends what [`join_multicast_v6`](UdpSocket::join_multicast_v6) began (`IPV6_LEAVE_GROUP`).
    ///
    /// # Errors
    ///
    /// What the system says, for one that it has not been begun.
    #[doc(alias = "IPV6_DROP_MEMBERSHIP")]
    #[doc(alias = "IPV6_LEAVE_GROUP")]
    pub fn leave_multicast_v6(&self, group: Ipv6Addr, interface: u32) -> io::Result<()> {
        self.socket().leave_multicast_v6(&group, interface)
    }

    /// Whether what is sent to an IPv4 group comes back to this machine's members
    /// (`IP_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn multicast_loop_v4(&self) -> io::Result<bool> {
        self.socket().multicast_loop_v4()
    }

    /// Sets what [`multicast_loop_v4`](UdpSocket::multicast_loop_v4) tells. It is on at first.
    ///
    /// # Platform behaviour
    ///
    /// | | Unix | Windows |
    /// |---|---|---|
    /// | whose it is | the sender's | the receiver's |
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "IP_MULTICAST_LOOP")]
    pub fn set_multicast_loop_v4(&self, on: bool) -> io::Result<()> {
        self.socket().set_multicast_loop_v4(on)
    }

    /// How many routers a datagram to an IPv4 group may pass (`IP_MULTICAST_TTL`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn multicast_ttl_v4(&self) -> io::Result<u32> {
        self.socket().multicast_ttl_v4()
    }

    /// Sets what [`multicast_ttl_v4`](UdpSocket::multicast_ttl_v4) tells. It is 1 at first: no
    /// router.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "IP_MULTICAST_TTL")]
    pub fn set_multicast_ttl_v4(&self, ttl: u32) -> io::Result<()> {
        self.socket().set_multicast_ttl_v4(ttl)
    }

    /// Whether what is sent to an IPv6 group comes back to this machine's members
    /// (`IPV6_MULTICAST_LOOP`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn multicast_loop_v6(&self) -> io::Result<bool> {
        self.socket().multicast_loop_v6()
    }

    /// Sets what [`multicast_loop_v6`](UdpSocket::multicast_loop_v6) tells. It is on at first. Whose
    /// it is differs as with [IPv4](UdpSocket::set_multicast_loop_v4).
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "IPV6_MULTICAST_LOOP")]
    pub fn set_multicast_loop_v6(&self, on: bool) -> io::Result<()> {
        self.socket().set_multicast_loop_v6(on)
    }

    /// How many routers a datagram to an IPv6 group may pass (`IPV6_MULTICAST_HOPS`).
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn multicast_ttl_v6(&self) -> io::Result<u32> {
        sys::multicast_hops_v6(self.socket())
    }

    /// Sets what [`multicast_ttl_v6`](UdpSocket::multicast_ttl_v6) tells. It is 1 at first: no
    /// router.
    ///
    /// # Errors
    ///
    /// What the system says.
    #[doc(alias = "IPV6_MULTICAST_HOPS")]
    pub fn set_multicast_ttl_v6(&self, ttl: u32) -> io::Result<()> {
        sys::set_multicast_hops_v6(self.socket(), ttl)
    }

    /// Takes the error that the system keeps for the socket, if there is one, and clears it
    /// (`SO_ERROR`).
    ///
    /// # Errors
    ///
    /// What the system says when it cannot be asked.
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        self.socket().take_error()
    }

    /// Takes a socket of `std`, and puts it into non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the mode cannot be changed.
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let socket = ekio::net::UdpSocket::from_std(socket)?;
    ///
    /// let socket = socket.into_std()?;
    /// socket.set_nonblocking(false)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_std(socket: std::net::UdpSocket) -> io::Result<UdpSocket> {
        sys::adopt_datagrams(&socket)?;
        let hope = Readiness::READABLE | Readiness::WRITABLE;
        let registration = Registration::of_nonblocking(socket, Interest::BOTH, hope);
        Ok(UdpSocket { registration })
    }

    /// Gives the socket back as one of `std`. It is still in non-blocking mode.
    ///
    /// # Errors
    ///
    /// What the system says when the socket cannot be deregistered; it is closed then.
    pub fn into_std(self) -> io::Result<std::net::UdpSocket> {
        self.registration.into_source()
    }

    fn socket(&self) -> &std::net::UdpSocket {
        self.registration.own()
    }

    pub(super) fn lend(&self) -> &std::net::UdpSocket {
        self.registration.lend()
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket().fmt(f)
    }
}
